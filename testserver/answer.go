package testserver

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/qdb-go/qdb/wire"
)

// flushSize is how many bytes of answers are collected before they are sent,
// though more requests are at hand.
const flushSize = 32 << 10

// DetailNoTLS is the detail of the error, SQLSTATE 0A000, with which a node
// that serves no TLS answers a TLS ClientHello: in a plain frame, after which
// it closes. A client that allows plain TCP goes on from it to that, and from
// nothing else.
const DetailNoTLS = "no TLS here"

// appender is a message's payload.
type appender interface{ AppendTo(dst []byte) []byte }

// send adds a message to what is on its way out.
func (s *session) send(kind wire.Type, sequence uint64, m appender) error {
	s.out.Begin(kind, sequence)
	s.out.Payload = m.AppendTo(s.out.Payload)
	if err := s.out.End(); err != nil {
		return err
	}
	if s.out.Len() >= flushSize {
		return s.flush()
	}
	return nil
}

// flush sends what is on its way out. It holds outMu while it writes, so a
// client that does not read stalls its own session and nothing else.
func (s *session) flush() error {
	if s.outErr != nil {
		return s.outErr
	}
	if s.out.Len() == 0 {
		return nil
	}
	_, s.outErr = s.conn.Write(s.out.Bytes())
	s.out.Reset()
	return s.outErr
}

// fail answers the request with an error. The error it returns is that of
// sending it.
func (s *session) fail(e *wire.Error) error {
	answer := *e
	answer.Node, answer.Tx = s.node.id, s.txState()
	answer.Message = s.clip(answer.Message)
	answer.Detail = s.clip(answer.Detail)
	answer.Hint = s.clip(answer.Hint)
	return s.send(wire.TypeError, s.sequence, &answer)
}

// fatal answers with an error and closes the session.
func (s *session) fatal(e *wire.Error) {
	answer := *e
	answer.Severity = wire.SeverityFatal
	if s.rows.finish() != nil || s.fail(&answer) != nil || s.flush() != nil {
		return
	}
	s.conn.closePolitely()
}

// clip shortens a text of an error, so that the smallest maximum message size
// has room for all of them: they may quote SQL at any length.
func (s *session) clip(text string) string {
	const most = MinMessageSize / 4
	if len(text) <= most {
		return text
	}
	cut := most - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// refusal is an error of a request that was not started.
func refusal(code, message string) *wire.Error {
	return &wire.Error{Code: code, Effect: wire.EffectNone, Message: message}
}

// protocolViolation is the error for a message that must not come.
func protocolViolation(err error) *wire.Error {
	return &wire.Error{Code: "08P01", Effect: wire.EffectNone, Message: "protocol violation", Detail: err.Error()}
}

func drainingError(node string) *wire.Error {
	return &wire.Error{
		Code: "57P01", Effect: wire.EffectNone, Elsewhere: true,
		Message: fmt.Sprintf("node %s is draining; not started", node),
		Hint:    "send it to another node",
	}
}

func noTLSError() *wire.Error {
	return &wire.Error{
		Code: "0A000", Effect: wire.EffectNone, Message: "this node does not serve TLS",
		Detail: DetailNoTLS, Hint: "use plain TCP, if that is allowed",
	}
}

// engineError gives an engine's error as one of SQL, in a copy.
func engineError(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		c := *e
		return &c
	}
	return &wire.Error{Code: "XX000", Message: "the engine failed", Detail: err.Error()}
}

// stopError is the answer to a request that was stopped.
func (s *session) stopError(why cause, effect wire.Effect) *wire.Error {
	e := &wire.Error{Code: "57014", Effect: effect}
	switch why {
	case causeCancel:
		e.Message = "canceled at the client's request"
	case causeTimeout:
		e.Message = fmt.Sprintf("statement timeout: not finished within %d ms", s.request.Timeout)
	default:
		e.Code, e.Severity = "57P01", wire.SeverityFatal
		e.Message = fmt.Sprintf("node %s is going down; the request was cut off", s.node.id)
	}
	return e
}
