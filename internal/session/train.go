package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// openTrain starts a train of frames with what has waited for the next request.
// The write lock must be held from here until send has returned.
func (s *Session) openTrain() error {
	s.enc.Reset()
	s.early, s.earlyErr, s.answered = s.early[:0], nil, false
	if s.reset {
		s.addEarly(wire.TypeReset)
		if err := s.enc.End(); err != nil {
			return err
		}
	}
	if len(s.stmts.closed) > 0 {
		s.enc.Begin(wire.TypeCloseStatement, s.nextSeq())
		m := wire.CloseStatement{Statements: s.stmts.closed}
		s.enc.Payload = m.AppendTo(s.enc.Payload)
		return s.enc.End()
	}
	return nil
}

// addBegin puts a Begin that waits into the train. It goes with statements only:
// what else is sent would carry it to a node without need, and would have to
// answer for its failure.
func (s *Session) addBegin() error {
	if s.begin == nil {
		return nil
	}
	s.addEarly(wire.TypeTransaction)
	s.enc.Payload = s.begin.AppendTo(s.enc.Payload)
	return s.enc.End()
}

func (s *Session) addEarly(t wire.Type) {
	seq := s.nextSeq()
	s.early = append(s.early, early{seq, t})
	s.enc.Begin(t, seq)
}

// send writes the train. What waited for it counts as sent when all of it was
// handed over; a train that was cut short ends in a frame that no node executes,
// so its last request counts as never sent. Where the context ended before the
// first byte nothing has happened at all, and the session is as it was.
func (s *Session) send(op string, readOnly bool) error {
	n, err := s.conn.Write(s.enc.Bytes())
	total := s.enc.Len()
	s.enc.Reset()
	if err != nil {
		ctxErr := s.watch.contextError(false)
		if n == 0 && ctxErr != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			return s.neverSent(ctxErr)
		}
		return &LostError{Sent: n == total, ReadOnly: readOnly, Node: s.addr, Context: ctxErr, Err: s.fail(op, err)}
	}
	s.reset, s.rested = false, false
	s.stmts.closed = s.stmts.closed[:0]
	return nil
}

// neverSent is the error of a request whose context ended before it was sent.
func (s *Session) neverSent(ctxErr error) error {
	return wire.NewError(wire.Error{Code: "57014", Effect: wire.EffectNone, Tx: s.Tx(), Node: s.addr,
		Message: "the context had ended before the request was sent"}, ctxErr)
}

// encodeError explains a request that could not be put on the wire. Nothing was
// sent, and what waits for the next request still does.
func (s *Session) encodeError(err error) error {
	s.enc.Reset()
	return wire.NewError(wire.Error{Code: "54000", Effect: wire.EffectNone, Tx: s.Tx(), Node: s.addr,
		Message: "the request is too large",
		Hint:    "send large values in parts, or raise max_message_size in the DSN and on the node"}, err)
}

// ready reports why a request cannot even begin.
func (s *Session) ready(ctx context.Context) error {
	if s.broken != nil {
		return &LostError{Node: s.addr, Err: s.broken}
	}
	if s.reading {
		return wire.NewError(wire.Error{Code: "24000", Effect: wire.EffectNone, Tx: s.Tx(), Node: s.addr,
			Message: "the rows of an earlier query are still being read on this connection",
			Hint:    "close them first, or use another connection"}, nil)
	}
	if err := ctx.Err(); err != nil {
		return s.neverSent(err)
	}
	return nil
}

// receive reads the next message of the response to seq, and takes in the
// responses to what travelled ahead of it.
func (s *Session) receive(seq uint64) (wire.Message, error) {
	for {
		msg, err := s.reader.Next()
		switch {
		case err != nil:
			return msg, err
		case msg.Type == wire.TypeHeartbeat:
		case msg.Type == wire.TypeClusterJoin || msg.Type == wire.TypeClusterLeave:
			if err := s.takeNews(msg); err != nil {
				return msg, err
			}
		case len(s.early) > 0 && msg.Sequence == s.early[0].seq:
			kind := s.early[0].kind
			s.early = s.early[:copy(s.early, s.early[1:])]
			if err := s.takeEarly(kind, msg); err != nil {
				return msg, err
			}
		case msg.Sequence == seq && len(s.early) == 0:
			s.answered = true
			return msg, nil
		case msg.Type == wire.TypeError && msg.Sequence == 0:
			return msg, decodeFarewell(msg)
		default:
			return msg, fmt.Errorf("a %v with sequence number %d came where the answer to %d was due", msg.Type, msg.Sequence, seq)
		}
	}
}

// takeEarly takes in the answer to a request that travelled ahead. A Begin that
// failed makes the operation fail once its own answer, a refusal, has been read:
// see beginRefused.
// After a Reset that failed nobody knows what state the operation ran in.
func (s *Session) takeEarly(kind wire.Type, msg wire.Message) error {
	switch msg.Type {
	case wire.TypeAck:
		var ack wire.Ack
		if err := ack.Decode(msg.Payload); err != nil {
			return err
		}
		s.tx, s.epoch = ack.Tx, ack.SchemaEpoch
		if kind == wire.TypeReset {
			s.dirty = false
		}
		return nil
	case wire.TypeError:
		var e wire.Error
		if err := e.Decode(msg.Payload); err != nil {
			return err
		}
		if kind != wire.TypeTransaction {
			return fmt.Errorf("%v failed: %s", kind, e.Error())
		}
		s.earlyErr = &e
		return nil
	}
	return fmt.Errorf("a %v came where the answer to %v was due", msg.Type, kind)
}

// decodeFarewell gives the error that is no request's answer.
func decodeFarewell(msg wire.Message) error {
	var f farewell
	if err := f.said.Decode(msg.Payload); err != nil {
		return err
	}
	return &f
}

// timeout gives what is left until ctx's deadline, in whole milliseconds, for
// the node to stop by itself; 0 when there is no deadline.
func timeout(ctx context.Context) uint32 {
	d, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	left := time.Until(d)/time.Millisecond + 1
	return uint32(max(1, min(left, math.MaxUint32)))
}
