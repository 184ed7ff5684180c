package testserver

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// handshakeSize is the most, in bytes, that a message may have before its
// sender has shown that it is a client.
const handshakeSize = 64 << 10

// features are those that a node has.
const features = wire.FeatureLZ4 | wire.FeatureTxStatus | wire.FeatureTopology

// open makes a session of a connection: it waits for the client's handshake and
// answers it. A *wire.Error is the answer of a refusal.
func (s *session) open() error {
	if err := s.node.gate.wait(s.conn.closed); err != nil {
		return err
	}
	s.conn.SetDeadline(time.Now().Add(s.cluster.opts.HandshakeTimeout))
	s.in.MaxMessageSize = handshakeSize
	m, err := s.in.Next()
	if err != nil {
		return err
	}
	s.sequence = m.Sequence
	if m.Type != wire.TypeHandshake {
		return refusal("0A000", fmt.Sprintf("reference mode is not served by this node: the first message must be Handshake, not %s", m.Type))
	}
	var h wire.ClientHandshake
	if err := h.Decode(m.Payload); err != nil {
		return err
	}
	if err := s.accept(&h); err != nil {
		return err
	}
	if err := s.send(wire.TypeHandshake, m.Sequence, s.welcome(&h)); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.conn.SetDeadline(time.Time{})
	s.cluster.log.Debug("session opened", "node", s.node.id, "session", s.id, "client", s.conn.RemoteAddr(),
		"driver", h.ClientName, "application", h.ApplicationName, "monitor", s.monitor)
	return nil
}

// accept judges a client's handshake and takes over what it agrees on.
func (s *session) accept(h *wire.ClientHandshake) error {
	switch {
	case h.VersionMin > wire.VersionMax || h.VersionMax < wire.VersionMin:
		return refusal("0A000", fmt.Sprintf("versions %d to %d of the protocol are not spoken by this node, which speaks %d to %d",
			h.VersionMin, h.VersionMax, wire.VersionMin, wire.VersionMax))
	case h.InUse != 0 && h.InUse != s.protocol:
		return refusal("08P01", fmt.Sprintf("the client takes this connection for transport %d, it is %d", h.InUse, s.protocol))
	case len(h.Settings) > 0:
		return refusal("42704", fmt.Sprintf("unknown session setting %q", h.Settings[0].Name))
	case h.MaxMessageSize != 0 && h.MaxMessageSize < MinMessageSize:
		return refusal("22023", fmt.Sprintf("a maximum message size of %d bytes is below the least, %d", h.MaxMessageSize, MinMessageSize))
	case s.life.draining.Load() && !h.Monitor:
		return drainingError(s.node.id)
	}
	s.monitor = h.Monitor
	if h.Monitor {
		s.notices = newNotices()
		s.conn.monitor.Store(true)
	}
	if !s.life.admit(s) {
		e := refusal("53300", fmt.Sprintf("node %s has no session left: all %d are taken", s.node.id, s.cluster.opts.MaxSessions))
		e.Elsewhere = true
		return e
	}
	s.agree(h)
	return nil
}

// agree sets what the two sides have in common.
func (s *session) agree(h *wire.ClientHandshake) {
	ours, theirs := s.cluster.opts.MaxMessageSize, int(h.MaxMessageSize)
	if theirs == 0 {
		theirs = wire.DefaultMaxMessageSize
	}
	s.in.MaxMessageSize = ours
	s.out.MaxMessageSize = min(ours, theirs)
	if s.features(h)&wire.FeatureLZ4 != 0 {
		s.out.CompressThreshold = s.cluster.opts.CompressThreshold
	}
}

// features are those in use on the session.
func (s *session) features(h *wire.ClientHandshake) wire.Features {
	have := features
	if s.cluster.opts.CompressThreshold < 0 {
		have &^= wire.FeatureLZ4
	}
	return have & h.Features
}

// welcome is the answer to a client's handshake.
func (s *session) welcome(h *wire.ClientHandshake) *wire.ServerHandshake {
	w := &wire.ServerHandshake{
		Version: min(h.VersionMax, wire.VersionMax), ServerName: "qdb-server " + Version,
		Dialect: s.cluster.backend.Dialect(), NodeID: s.node.id, SessionID: s.id,
		Served: s.life.ln.Protocol(), Features: s.features(h),
		MaxMessageSize: uint32(s.cluster.opts.MaxMessageSize), SchemaEpoch: s.schemaEpoch(),
		Topology: s.cluster.topo.snapshot(), Auth: wire.AuthOK,
	}
	rand.Read(w.Nonce[:])
	if h.Monitor {
		s.cluster.peers.recognize(h.Nonce)
	}
	return w
}
