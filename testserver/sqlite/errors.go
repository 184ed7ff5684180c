package sqlite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// outcome is what is known about an operation that failed, beside its error.
type outcome struct {
	sql    string // the text being compiled, for the position of the fault
	write  bool   // it would have committed by itself
	commit bool   // it was to commit a transaction
	kept   int64  // changes that it left behind
}

// failure puts an error of SQLite into the terms of SQL.
func (c *conn) failure(err error, o outcome) *wire.Error {
	var known *wire.Error
	if errors.As(err, &known) { // of a panic
		if o.commit {
			known.Effect = wire.EffectUnknown
		}
		return c.suspect(known)
	}
	code := errorCode(err)
	var e *wire.Error
	switch {
	case c.eng.guard.refusal != nil && (code.Code() == sqlite3.AUTH || o.sql != ""):
		e = wire.NewError(*c.eng.guard.refusal, nil)
		c.eng.guard.refusal = nil
	case code.Code() == sqlite3.INTERRUPT:
		e = c.cancelled()
	case code.Code() == sqlite3.BUSY && code != sqlite3.BUSY_SNAPSHOT:
		e = c.outwaited(err)
	default:
		e = translate(code, message(err))
		c.nameConstraint(code, e)
	}
	c.effect(e, code, o)
	e.Position = position(o.sql, e.Code, err)
	return e
}

const lostTransaction = "the whole transaction was rolled back"

// effect sets what the failure left behind. SQLite rolls a failed statement
// back, with two exceptions: what was asked to stay, and a commit of which the
// disk did not say whether it holds it.
func (c *conn) effect(e *wire.Error, code sqlite3.ExtendedErrorCode, o outcome) {
	e.Effect = wire.EffectNone
	switch {
	case o.kept > 0:
		e.Effect = wire.EffectUnknown
		e.Detail = fmt.Sprintf("%s made before the fault remain, as ON CONFLICT FAIL asks for", plural(int(o.kept), "change"))
	case (o.write || o.commit) && code.Code() == sqlite3.IOERR:
		e.Effect = wire.EffectUnknown
	case c.tx == wire.TxActive && !o.commit && c.eng.db.GetAutocommit():
		e.Detail = lostTransaction
	}
}

// errorCode gives SQLite's code of an error; 1 for one that is none of its own.
func errorCode(err error) sqlite3.ExtendedErrorCode {
	var code sqlite3.ExtendedErrorCode
	if errors.As(err, &code) {
		return code
	}
	return sqlite3.ExtendedErrorCode(sqlite3.ERROR)
}

// message gives SQLite's own words, without those for the code and without the
// operating system's.
func message(err error) string {
	code := errorCode(err)
	text := err.Error()
	if system := errors.Unwrap(err); system != nil {
		text = strings.TrimSuffix(text, ": "+system.Error())
	}
	general := code.Error()
	if rest, ok := strings.CutPrefix(text, general+": "); ok {
		return rest
	}
	return strings.TrimPrefix(text, "sqlite3: ")
}

// position is where in sql the fault is, counted from 1. An input that ends too
// early has its fault at the end; 0 is for a fault that has no place.
func position(sql, state string, err error) uint32 {
	var e *sqlite3.Error
	if sql == "" || !errors.As(err, &e) {
		return 0
	}
	if rest := e.SQL(); rest != "" {
		return uint32(len(sql)-len(rest)) + 1
	}
	if state == stateSyntax {
		return uint32(len(sql)) + 1
	}
	return 0
}

// panicError is the error for a panic of the engine. Memory that ran out is the
// statement's fault; anything else ends the session.
func panicError(p any) *wire.Error {
	if err, ok := p.(error); ok && err.Error() == outOfMemory {
		return &wire.Error{Code: "53200", Effect: wire.EffectNone,
			Message: "the statement needs more memory than a session may use", Hint: "ask for less at once"}
	}
	return &wire.Error{Code: "XX000", Severity: wire.SeverityFatal, Effect: wire.EffectUnknown,
		Message: fmt.Sprintf("the engine has failed: %v", p)}
}

// outOfMemory is the text of the value that the engine panics with.
const outOfMemory = "sqlite3: out of memory"

// catch turns a panic outside a session into an error.
func catch(err *error) {
	if p := recover(); p != nil {
		*err = panicError(p)
	}
}
