package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// handshakeLimit is the most bytes that a node may send in one message before it
// has said who it is.
const handshakeLimit = 256 << 10

// features that this client can make use of.
const features = wire.FeatureLZ4 | wire.FeatureIdempotency | wire.FeatureTxStatus | wire.FeatureTopology

// handshake opens session mode: one round trip.
func (s *Session) handshake(ctx context.Context, monitor bool) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	err := s.exchangeHandshakes(monitor)
	if !stop() {
		if err == nil {
			err = ctx.Err()
		} else {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
	}
	if err != nil {
		var se *wire.Error
		if errors.As(err, &se) {
			return err
		}
		return fmt.Errorf("handshake with %s: %w", s.addr, err)
	}
	return nil
}

func (s *Session) exchangeHandshakes(monitor bool) error {
	m := wire.ClientHandshake{
		VersionMin: wire.VersionMin, VersionMax: wire.VersionMax,
		ClientName: s.cfg.ClientName, Offered: s.cfg.Protocols, InUse: s.conn.Protocol(),
		Features: features, Database: s.cfg.Database, User: s.cfg.User,
		ApplicationName: s.cfg.ApplicationName, MaxMessageSize: uint32(s.cfg.MaxMessageSize),
		Monitor: monitor,
	}
	_, _ = rand.Read(m.Nonce[:]) // never fails
	s.enc.Begin(wire.TypeHandshake, s.nextSeq())
	s.enc.Payload = m.AppendTo(s.enc.Payload)
	if err := s.enc.End(); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.enc.Bytes()); err != nil {
		return err
	}
	s.enc.Reset()
	s.reader.MaxMessageSize = handshakeLimit
	msg, err := s.reader.Next()
	if err != nil {
		return explainGreeting(err)
	}
	return s.acceptHandshake(msg)
}

func explainGreeting(err error) error {
	var pe *wire.ProtocolError
	switch {
	case errors.Is(err, io.EOF):
		return errClosedByNode
	case errors.As(err, &pe) && !errors.Is(err, wire.ErrTruncated):
		return fmt.Errorf("the peer does not speak the qdb protocol: %w", err)
	}
	return err
}

func (s *Session) acceptHandshake(msg wire.Message) error {
	switch {
	case msg.Type == wire.TypeError:
		var e wire.Error
		if err := e.Decode(msg.Payload); err != nil {
			return err
		}
		return wire.NewError(e, nil)
	case msg.Type != wire.TypeHandshake || msg.Sequence != s.seq:
		return fmt.Errorf("the node answered the handshake with %v, sequence number %d", msg.Type, msg.Sequence)
	}
	if err := s.hello.Decode(msg.Payload); err != nil {
		return err
	}
	if v := s.hello.Version; v < wire.VersionMin || v > wire.VersionMax {
		return fmt.Errorf("the node speaks protocol version %d, this client %d to %d", v, wire.VersionMin, wire.VersionMax)
	}
	if s.hello.Auth != wire.AuthOK {
		return wire.NewError(wire.Error{Code: "28000", Effect: wire.EffectNone, Node: s.hello.NodeID,
			Message: fmt.Sprintf("authentication is required (mechanisms %v), which this client does not offer yet", s.hello.Mechanisms)}, nil)
	}
	s.hello.AuthData = nil
	s.epoch = s.hello.SchemaEpoch
	s.reader.MaxMessageSize = s.cfg.MaxMessageSize
	s.enc.MaxMessageSize = s.cfg.MaxMessageSize
	if s.enc.MaxMessageSize <= 0 {
		s.enc.MaxMessageSize = wire.DefaultMaxMessageSize
	}
	if limit := int(s.hello.MaxMessageSize); limit > 0 {
		s.enc.MaxMessageSize = min(limit, s.enc.MaxMessageSize)
	}
	if s.hello.Features&wire.FeatureLZ4 != 0 {
		s.enc.CompressThreshold = s.cfg.CompressThreshold
	}
	return nil
}
