package session

import (
	"github.com/qdb-go/qdb/wire"
)

// LostError: a request got no answer. The session is broken. It never wraps a
// *wire.Error, so that the two cannot be taken for each other.
type LostError struct {
	// Sent: the whole of the request was handed to the transport, so that the
	// node may have carried it out. Of a request that was cut short the node has
	// a frame without its end, which it cannot carry out.
	Sent bool
	// ReadOnly: the request could not have had an effect.
	ReadOnly bool
	// Node is the node's address.
	Node string
	// Context is the context's error when that is why nobody waited any longer.
	Context error
	// Err is what happened to the connection.
	Err error
}

// Error says what happened and what it means for the request.
func (e *LostError) Error() string { return e.SQL().Error() }

// Unwrap gives the context's error and the connection's.
func (e *LostError) Unwrap() []error {
	if e.Context != nil {
		return []error{e.Context, e.Err}
	}
	return []error{e.Err}
}

// SQL is the error in terms of SQL, for a caller.
func (e *LostError) SQL() *wire.Error {
	out := wire.Error{Code: "08006", Severity: wire.SeverityFatal, Node: e.Node}
	switch {
	case !e.Sent:
		out.Code, out.Effect = "08003", wire.EffectNone
		out.Message = "the connection was lost before the request was sent"
	case e.ReadOnly:
		out.Effect = wire.EffectNone
		out.Message = "the connection was lost before the answer came; the request only reads"
	default:
		out.Code, out.Effect = "08007", wire.EffectUnknown
		out.Message = "the connection was lost before the answer came; the effect is unknown"
	}
	if e.Context != nil {
		out.Code = "57014"
		return wire.NewError(out, &joined{e.Context, e.Err})
	}
	return wire.NewError(out, e.Err)
}

// farewell is a node's last word: an Error that is no request's answer. The node
// closes the session with it.
type farewell struct{ said wire.Error }

func (f *farewell) Error() string { return "the node ended the session: " + f.said.Error() }

// joined is two errors of which the first is the reason for the second.
type joined struct{ first, second error }

func (j *joined) Error() string   { return j.first.Error() + ": " + j.second.Error() }
func (j *joined) Unwrap() []error { return []error{j.first, j.second} }
