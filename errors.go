package qdb

import (
	"errors"
	"strings"

	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// Error is a failure in terms of SQL: what a node answered, or what the driver
// knows of a request whose connection failed. Find it with errors.As. It says
// the SQLSTATE (Code), whether the statement had an effect (Effect), and as much
// as is known about where and why.
type Error = wire.Error

// Effect says whether a failed statement changed anything. See its constants:
// with EffectNone nothing happened and the statement can be repeated; with
// EffectDone it was carried out and must not be; with EffectUnknown it was sent
// and no answer came, so look at the data before doing it again.
type Effect = wire.Effect

// The effects of a failed statement.
const (
	EffectUnknown = wire.EffectUnknown
	EffectNone    = wire.EffectNone
	EffectDone    = wire.EffectDone
)

// ErrOutcomeUnknown is wrapped by every error after which nobody can say whether
// a write or a commit took place: it was sent, and the answer was lost.
var ErrOutcomeUnknown = errors.New("the outcome is unknown")

// IsRetryable reports whether err is a passing failure after which, for certain,
// nothing was applied: the statement, or the whole transaction if it was in one,
// can be run again and may succeed. It is false for errors that would come again,
// such as a violated constraint, and whenever the effect is unknown.
func IsRetryable(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Effect != EffectNone {
		return false
	}
	switch e.Code {
	case "40001", "40P01", "55P03", "57P01", "53300":
		return true
	}
	return strings.HasPrefix(e.Code, "08") && e.Code != "08P01"
}

// unknownOutcome joins what happened to the connection with what that means.
type unknownOutcome struct{ cause error }

func (u *unknownOutcome) Error() string { return u.cause.Error() }
func (u *unknownOutcome) Unwrap() []error {
	return []error{ErrOutcomeUnknown, u.cause}
}

// public gives an error as the caller is to see it.
func public(err error) error {
	var lost *session.LostError
	if !errors.As(err, &lost) {
		return err
	}
	e := lost.SQL()
	if e.Effect == EffectUnknown {
		return wire.NewError(*e, &unknownOutcome{e.Unwrap()})
	}
	return e
}

// lostTransaction is the error of a statement whose transaction ended with its
// connection: the node rolls it back, so that nothing of it remains.
func lostTransaction(err error) error {
	var lost *session.LostError
	if !errors.As(err, &lost) {
		return err
	}
	e := lost.SQL()
	out := *e
	out.Effect, out.Tx = EffectNone, wire.TxNone
	if out.Code != "57014" {
		out.Code = "08006"
	}
	out.Message = "the connection was lost; its transaction is rolled back"
	return wire.NewError(out, e.Unwrap())
}

// mayCommit reports whether the text may hold a statement that commits, so that
// its loss leaves the outcome open. It errs on that side.
func mayCommit(sql string) bool {
	upper := strings.ToUpper(sql)
	return strings.Contains(upper, "COMMIT") || strings.Contains(upper, "END") || strings.Contains(upper, "RELEASE")
}
