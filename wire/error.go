package wire

import "fmt"

// Effect says whether a failed statement changed anything. When in doubt, it is
// EffectUnknown, the zero value.
type Effect uint8

const (
	// EffectUnknown: the statement may have been carried out, or not. It was
	// sent, and no answer came. Look before you repeat it.
	EffectUnknown Effect = 0
	// EffectNone: nothing was changed, for certain. It can be repeated.
	EffectNone Effect = 1
	// EffectDone: the statement was carried out; only what came after it
	// failed. Do not repeat it.
	EffectDone Effect = 2
)

// String gives "unknown", "none" or "done".
func (e Effect) String() string {
	switch e {
	case EffectNone:
		return "none"
	case EffectDone:
		return "done"
	}
	return "unknown"
}

// Severity is how far an error reaches.
type Severity uint8

// The severities.
const (
	SeverityError Severity = 0 // of the statement: the session goes on
	SeverityFatal Severity = 1 // of the session: the server closes it
)

// Error is a failure in terms of SQL: what a node answered, or what the driver
// found out about a request whose connection failed. It is found with
// errors.As. Its fields are not to be changed.
type Error struct {
	// Code is the SQLSTATE, five characters (ISO/IEC 9075, with PostgreSQL's
	// codes where the standard has none), such as 23505.
	Code string
	// Severity tells an error of the statement from one of the session.
	Severity Severity
	// Effect says whether the statement changed anything.
	Effect Effect
	// Elsewhere: the node did not start the request, another node may.
	Elsewhere bool
	// Tx is the state of the session's transaction afterwards.
	Tx TxState
	// Position is where in the SQL text the fault is: a byte offset counted
	// from 1; 0 when it has none.
	Position uint32
	// Message is one line, lower case.
	Message string
	// Detail says more, where there is more to say.
	Detail string
	// Hint says what could be done about it.
	Hint string
	// Constraint, Table and Column name what a constraint violation is about,
	// as far as it is known.
	Constraint, Table, Column string
	// Node is the id or address of the node that the error comes from.
	Node string

	cause error
}

// NewError makes an error that wraps a cause, which may be nil.
func NewError(e Error, cause error) *Error {
	e.cause = cause
	return &e
}

// Error gives message, detail and cause, then SQLSTATE, node, position and hint,
// as far as they are known, in one line.
func (e *Error) Error() string {
	s := e.Message
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	where := "SQLSTATE " + e.Code
	if e.Node != "" {
		where += ", node " + e.Node
	}
	if e.Position > 0 {
		where += fmt.Sprintf(", position %d", e.Position)
	}
	if e.Hint != "" {
		where += "; " + e.Hint
	}
	return s + " (" + where + ")"
}

// Unwrap gives the cause: the context's or the connection's error, if any.
func (e *Error) Unwrap() error { return e.cause }

// noCode stands for a code that is not known.
const noCode = "\x00\x00\x00\x00\x00"

// validCode reports whether s is an SQLSTATE: five digits or capital letters.
func validCode[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(s) == len(noCode)
}

// AppendTo appends the payload. The cause does not travel, and neither does a
// Code that is not an SQLSTATE.
func (e *Error) AppendTo(dst []byte) []byte {
	code := e.Code
	if !validCode(code) {
		code = noCode
	}
	dst = append(dst, code...)
	dst = append(dst, byte(e.Severity), byte(e.Effect))
	dst = appendBool(dst, e.Elsewhere)
	dst = append(dst, byte(e.Tx))
	dst = appendU32(dst, e.Position)
	for _, s := range [...]string{e.Message, e.Detail, e.Hint, e.Constraint, e.Table, e.Column, e.Node} {
		dst = appendString(dst, s)
	}
	return dst
}

// Decode decodes the payload.
func (e *Error) Decode(payload []byte) error {
	c := newCursor("Error", payload)
	*e = Error{
		Code: c.sqlState("code"), Severity: Severity(c.u8("severity")), Effect: Effect(c.u8("effect")),
		Elsewhere: c.bool("elsewhere"), Tx: TxState(c.u8("tx")), Position: c.u32("position"),
		Message: c.string("message"), Detail: c.string("detail"), Hint: c.string("hint"),
		Constraint: c.string("constraint"), Table: c.string("table"), Column: c.string("column"),
		Node: c.string("node"),
	}
	return c.err
}

// sqlState reads a code, which is empty when it is not known.
func (c *cursor) sqlState(field string) string {
	b := c.take(field, len(noCode))
	if b == nil || string(b) == noCode {
		return ""
	}
	if !validCode(b) {
		c.off -= len(noCode)
		c.fail(field, "%q is not an SQLSTATE of five digits or capital letters", b)
		return ""
	}
	return string(b)
}
