package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// Ping asks the node how it is: one round trip. A node that does not answer before
// the context ends gets no grace: the session is broken then.
func (s *Session) Ping(ctx context.Context) (wire.Pong, error) {
	var pong wire.Pong
	if err := s.ready(ctx); err != nil {
		return pong, err
	}
	seq, err := s.sendPing(ctx)
	if err != nil {
		s.disarm()
		return pong, err
	}
	msg, err := s.receive(seq)
	if err != nil {
		return pong, s.lost("ping", err, true)
	}
	defer s.disarm()
	switch {
	case msg.Type == wire.TypeError:
		return pong, s.refusal(msg)
	case msg.Type != wire.TypePong:
		return pong, s.lost("ping", fmt.Errorf("a %v came as the answer to Ping", msg.Type), true)
	}
	if err := pong.Decode(msg.Payload); err != nil {
		return pong, s.lost("ping", err, true)
	}
	s.epoch = pong.SchemaEpoch
	return pong, nil
}

func (s *Session) sendPing(ctx context.Context) (uint64, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := s.openTrain(); err != nil {
		return 0, s.encodeError(err)
	}
	seq := s.nextSeq()
	s.enc.Begin(wire.TypePing, seq)
	if err := s.enc.End(); err != nil {
		return 0, s.encodeError(err)
	}
	s.armShort(ctx)
	return seq, s.send("ping", true)
}

// takeNews keeps the latest thing that the node said unasked.
func (s *Session) takeNews(msg wire.Message) error {
	var m wire.TopologyChange
	if err := m.Decode(msg.Payload); err != nil {
		return err
	}
	s.news = &m
	return nil
}

// News gives, once, the latest change that the node has reported, or nil.
func (s *Session) News() *wire.TopologyChange {
	m := s.news
	s.news = nil
	return m
}

// Wait blocks until the node says something unasked, and gives it; nil for a
// mere sign of life. When the context ends first, its error is returned and the
// session lives on.
func (s *Session) Wait(ctx context.Context) (*wire.TopologyChange, error) {
	if m := s.News(); m != nil {
		return m, nil
	}
	if err := s.Broken(); err != nil {
		return nil, err
	}
	kicked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(kicked)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed stream, which the read finds
	})
	msg, err := s.reader.Next()
	ended := !stop()
	if ended {
		<-kicked
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return nil, s.fail("wait", err)
		}
	}
	switch {
	case err != nil && ended && errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ctx.Err()
	case err != nil:
		return nil, s.fail("wait", err)
	case msg.Type == wire.TypeClusterJoin || msg.Type == wire.TypeClusterLeave:
		if err := s.takeNews(msg); err != nil {
			return nil, s.fail("wait", err)
		}
		return s.News(), nil
	case msg.Type == wire.TypeHeartbeat:
		return nil, nil
	case msg.Type == wire.TypeError:
		return nil, s.fail("wait", decodeFarewell(msg))
	}
	return nil, s.fail("wait", fmt.Errorf("a %v came unasked", msg.Type))
}
