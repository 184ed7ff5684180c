package testserver

import (
	"fmt"

	"github.com/qdb-go/qdb/wire"
)

// handler does what a message asks for, and answers. An error ends the session.
type handler func(*session, ahead) error

// handlers has an entry for every message that a client may send in session
// mode after its handshake. Anything else breaks the protocol.
var handlers = [...]handler{
	wire.TypePing:           (*session).ping,
	wire.TypeHeartbeat:      (*session).ignore,
	wire.TypeTransaction:    (*session).transaction,
	wire.TypeAdmin:          (*session).unsupported,
	wire.TypeAuth:           (*session).unsupported,
	wire.TypePrepare:        (*session).prepare,
	wire.TypeExecute:        (*session).execute,
	wire.TypeCancel:         (*session).lateCancel,
	wire.TypeCredit:         (*session).lateCredit,
	wire.TypeCloseStatement: (*session).closeStatement,
	wire.TypeReset:          (*session).reset,
	wire.TypeTerminate:      (*session).terminate,
}

func (s *session) dispatch(m ahead) error {
	if int(m.Type) >= len(handlers) || handlers[m.Type] == nil {
		return &wire.ProtocolError{Kind: wire.ErrMalformed, What: "message", Offset: -1,
			Detail: fmt.Sprintf("a client must not send %s now", m.Type)}
	}
	return handlers[m.Type](s, m)
}

// enter counts a request in. The error, if any, is the answer: the request is
// refused, and was not started. Otherwise leave must follow.
func (s *session) enter(r Request) *wire.Error {
	if !s.life.begin(s.holds) {
		return drainingError(s.node.id)
	}
	if e := s.ask(r); e != nil {
		s.life.finish()
		return e
	}
	return nil
}

// ask asks Options.OnRequest whether the request may be carried out.
func (s *session) ask(r Request) *wire.Error {
	hook := s.cluster.opts.OnRequest
	if hook == nil {
		return nil
	}
	r.Node, r.Session, r.Monitor = s.node.id, s.id, s.monitor
	s.outMu.Unlock()
	err := hook(r)
	s.outMu.Lock()
	if err == nil {
		return nil
	}
	return engineError(err)
}

// leave counts a request out, after its transaction has been accounted for.
func (s *session) leave() {
	s.settle()
	s.life.finish()
}

func (s *session) ping(m ahead) error {
	if e := s.ask(Request{Type: wire.TypePing}); e != nil {
		return s.fail(e)
	}
	return s.send(wire.TypePong, m.Sequence, &wire.Pong{
		Status: s.node.Status(), Role: wire.RolePrimary, Load: uint32(s.life.load.Load()),
		TopologyEpoch: s.cluster.topo.epoch(), SchemaEpoch: s.schemaEpoch(),
	})
}

// ignore takes a sign of life for what it is.
func (s *session) ignore(ahead) error { return nil }

func (s *session) unsupported(m ahead) error {
	return s.fail(refusal("0A000", fmt.Sprintf("%s is not served by this node", m.Type)))
}

// lateCancel gets a Cancel whose request has ended: it does nothing.
func (s *session) lateCancel(m ahead) error { return new(wire.Cancel).Decode(m.Payload) }

// lateCredit gets a Credit whose request has ended: it does nothing.
func (s *session) lateCredit(m ahead) error { return new(wire.Credit).Decode(m.Payload) }

func (s *session) closeStatement(m ahead) error {
	var c wire.CloseStatement
	if err := c.Decode(m.Payload); err != nil {
		return err
	}
	for _, id := range c.Statements {
		s.statements.forget(id)
	}
	return nil
}

func (s *session) terminate(ahead) error {
	if err := s.flush(); err != nil {
		return err
	}
	return errTerminated
}

// reset brings the session back to its beginning. Prepared statements stay: they
// are compiled anew where that is needed.
func (s *session) reset(m ahead) error {
	s.life.begin(true)
	defer s.leave()
	if e := s.ask(Request{Type: wire.TypeReset}); e != nil {
		return s.fail(e)
	}
	if s.db != nil {
		if err := s.db.Reset(); err != nil {
			return s.fail(engineError(err))
		}
	}
	s.settle()
	s.ack = wire.Ack{Tx: s.txState(), SchemaEpoch: s.schemaEpoch()}
	return s.send(wire.TypeAck, m.Sequence, &s.ack)
}
