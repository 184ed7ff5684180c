package session

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// openFails opens a session with a node that plays the script from the first
// byte on, and gives the error. The stream must be closed by then.
func openFails(t *testing.T, ctx context.Context, script func(*peer)) error {
	t.Helper()
	address := serve(t, script)
	c := dial(t, address)
	s, err := Open(ctx, c, address, testConfig(), false)
	if err == nil {
		_ = s.Close() // never fails
		t.Fatal("a session was opened")
	}
	c.shutOnce(t)
	if s != nil {
		t.Error("a session came with the error")
	}
	return err
}

func TestOpenTellsTheNodeWhoItIsAndLearnsWhoTheNodeIs(t *testing.T) {
	hellos := make(chan wire.ClientHandshake, 1)
	address := serve(t, func(p *peer) {
		hellos <- p.welcome(func(h *wire.ServerHandshake) {
			h.Topology = wire.Topology{Epoch: 3, Nodes: []wire.Node{{ID: "n1", Address: "a:1"}}}
			h.AuthData = []byte("gone after this")
		})
		p.ended(true)
	})
	c := dial(t, address)
	s, err := Open(t.Context(), c, address, testConfig(), true)
	if err != nil {
		t.Fatal(err)
	}
	sent := <-hellos
	if sent.VersionMin != wire.VersionMin || sent.VersionMax != wire.VersionMax || sent.ClientName != "test" ||
		sent.Database != "db" || sent.User != "me" || sent.ApplicationName != "app" || sent.MaxMessageSize != 1<<20 ||
		sent.Offered != wire.ProtocolTCP || sent.InUse != wire.ProtocolTCP || !sent.Monitor || sent.Nonce == [16]byte{} {
		t.Errorf("the node was told %+v", sent)
	}
	h := s.Hello()
	if h.NodeID != "n1" || h.Topology.Epoch != 3 || h.AuthData != nil || s.Address() != address || s.Protocol() != wire.ProtocolTCP {
		t.Errorf("the session says %+v at %s over %v", h, s.Address(), s.Protocol())
	}
	if c.count() != 1 {
		t.Errorf("the handshake took %d writes", c.count())
	}
	c.free(t)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenReturnsTheNodesRefusalAsItCame(t *testing.T) {
	err := openFails(t, t.Context(), func(p *peer) {
		seq := p.expect(wire.TypeHandshake, nil)
		p.refuse(seq, "57P01", func(e *wire.Error) { e.Elsewhere, e.Severity = true, wire.SeverityFatal })
		p.ended(false)
	})
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "57P01" || !e.Elsewhere || e.Effect != wire.EffectNone {
		t.Errorf("error %v", err)
	}
}

func TestOpenRefusesAnAnswerThatItCannotUse(t *testing.T) {
	welcome := func(change func(*wire.ServerHandshake)) func(*peer) {
		return func(p *peer) { p.welcome(change); p.ended(false) }
	}
	for name, c := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"a newer version": {welcome(func(h *wire.ServerHandshake) { h.Version = 9 }), "version 9"},
		"version 0":       {welcome(func(h *wire.ServerHandshake) { h.Version = 0 }), "version 0"},
		"authentication": {welcome(func(h *wire.ServerHandshake) {
			h.Auth, h.Mechanisms = wire.AuthContinue, []string{"SCRAM-SHA-256"}
		}), "SCRAM-SHA-256"},
		"another message": {func(p *peer) {
			p.reply(wire.TypePong, p.expect(wire.TypeHandshake, nil), &wire.Pong{})
			p.ended(false)
		}, "Pong"},
		"another sequence number": {func(p *peer) {
			p.reply(wire.TypeHandshake, p.expect(wire.TypeHandshake, nil)+1, &wire.ServerHandshake{Version: 1})
			p.ended(false)
		}, "sequence number"},
		"a damaged payload": {func(p *peer) {
			p.reply(wire.TypeHandshake, p.expect(wire.TypeHandshake, nil), raw("\x01\x00\x09short"))
			p.ended(false)
		}, "server_name"},
		"a damaged refusal": {func(p *peer) {
			p.reply(wire.TypeError, p.expect(wire.TypeHandshake, nil), raw("?????"))
			p.ended(false)
		}, "SQLSTATE"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openFails(t, t.Context(), c.script)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not speak of %q", err, c.want)
			}
		})
	}
}

func TestADemandForAuthenticationIsAnErrorOfSQL(t *testing.T) {
	err := openFails(t, t.Context(), func(p *peer) {
		p.welcome(func(h *wire.ServerHandshake) { h.Auth = wire.AuthContinue })
		p.ended(false)
	})
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "28000" || !strings.Contains(e.Message, "authentication") {
		t.Errorf("error %v", err)
	}
}

// raw is a payload as it stands.
type raw string

func (r raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

// text answers the first byte with the bytes and waits for the end.
func text(s string) func(*peer) {
	return func(p *peer) {
		p.next()
		if _, err := p.conn.Write([]byte(s)); err != nil {
			p.fatalf("%v", err)
		}
		p.ended(false)
	}
}

func TestOpenExplainsAPeerThatSpeaksSomethingElse(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"HTTP":         {"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"},
		"TLS alert":    {"\x15\x03\x01\x00\x02\x02\x28", "TLS"},
		"SSH":          {"SSH-2.0-OpenSSH_9.9\r\n", "SSH"},
		"text":         {"220 mail.example.com ESMTP\r\n", "220 "},
		"zeros":        {strings.Repeat("\x00", 64), "length 0"},
		"a wrong flag": {"\x00\x00\x00\x40\x09" + strings.Repeat("x", 63), "flag 9"},
		"half a frame of noise, that claims too much": {"\x00\x20\x00\x00\x00", "over the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openFails(t, t.Context(), text(c.answer))
			if !strings.Contains(err.Error(), "does not speak the qdb protocol") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestOpenEndsWhenThePeerNeverStopsTalking(t *testing.T) {
	for name, noise := range map[string]string{
		"garbage":       strings.Repeat("\xff\xfe\xfd", 1000),
		"signs of life": string(frameOf(wire.TypeHeartbeat, 0, raw(""))),
	} {
		t.Run(name, func(t *testing.T) {
			err := openFails(t, t.Context(), func(p *peer) {
				p.next()
				for {
					if _, err := p.conn.Write([]byte(noise)); err != nil {
						return // the client has closed
					}
				}
			})
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

// frameOf is a frame as it travels.
func frameOf(kind wire.Type, seq uint64, m interface{ AppendTo([]byte) []byte }) []byte {
	var e wire.Encoder
	e.Begin(kind, seq)
	e.Payload = m.AppendTo(e.Payload)
	if err := e.End(); err != nil {
		panic(err)
	}
	return e.Bytes()
}

func TestOpenFailsWhenTheStreamEndsEarly(t *testing.T) {
	hello := frameOf(wire.TypeHandshake, 1, &wire.ServerHandshake{Version: 1, NodeID: "n1"})
	for name, c := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"at once":           {func(p *peer) {}, ""},
		"after the request": {func(p *peer) { p.next() }, "closed the connection"},
		"half-way":          {func(p *peer) { p.next(); p.conn.Write(hello[:len(hello)/2]) }, "inside a frame"},
		"by a reset":        {func(p *peer) { p.next(); p.reset() }, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openFails(t, t.Context(), c.script)
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "does not speak") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestOpenReturnsWhenTheContextEnds(t *testing.T) {
	hello := frameOf(wire.TypeHandshake, 1, &wire.ServerHandshake{Version: 1, NodeID: "n1"})
	for name, said := range map[string][]byte{"silence": nil, "half an answer": hello[:40]} {
		t.Run(name, func(t *testing.T) {
			promptly(t, 20*time.Millisecond, func() time.Duration {
				deadline := time.Now().Add(30 * time.Millisecond)
				ctx, cancel := context.WithDeadline(t.Context(), deadline)
				defer cancel()
				err := openFails(t, ctx, func(p *peer) {
					if _, err := p.in.Next(); err != nil {
						return // a try that the machine held up
					}
					p.conn.Write(said)
					p.ended(false)
				})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				return time.Since(deadline)
			})
		})
	}
}

// promptly fails the test unless one of several tries keeps within the limit: one
// alone may be held up by the machine.
func promptly(t *testing.T, limit time.Duration, try func() time.Duration) {
	t.Helper()
	best := time.Hour
	for range 20 {
		if best = min(best, try()); best <= limit {
			return
		}
	}
	t.Errorf("the best of 20 tries took %v too long, want at most %v", best, limit)
}

func TestOpenEndsAtOnceWhenTheContextIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	err := openFails(t, ctx, func(p *peer) {
		p.next()
		cancel(errors.New("the user went home"))
		p.ended(false)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestOpenFailsWithAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := openFails(t, ctx, func(p *peer) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAStrangerCannotMakeOpenSetMemoryAside(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, handshakeLimit+100)
	err := openFails(t, t.Context(), text(string(claim)+"\x00"))
	if !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestTheSmallerLimitForMessagesHolds(t *testing.T) {
	for name, c := range map[string]struct {
		ours, theirs int
	}{"the node's": {1 << 20, 4096}, "the client's": {4096, 1 << 20}, "the node's, the client's being the default": {0, 4096}} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(p *peer) {
				p.welcome(func(h *wire.ServerHandshake) { h.MaxMessageSize = uint32(c.theirs) })
				seq, _ := p.execute()
				p.answer(seq, wire.Int(7))
				p.ended(true)
			})
			s, stream := openAt(t, address, func(cfg *Config) { cfg.MaxMessageSize = c.ours })
			before := stream.count()
			_, err := query(t.Context(), s, "SELECT '"+strings.Repeat("x", 5000)+"'")
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != "54000" || e.Effect != wire.EffectNone || stream.count() != before {
				t.Fatalf("error %v after %d writes", err, stream.count()-before)
			}
			got, err := query(t.Context(), s, "SELECT 7 ")
			wantInts(t, got, err, 7)
		})
	}
}

func TestRequestsAreCompressedWhereBothSidesCan(t *testing.T) {
	sql := "SELECT '" + strings.Repeat("x", 5000) + "'"
	for name, c := range map[string]struct {
		threshold int
		features  wire.Features
		want      bool
	}{
		"both":                   {1000, wire.FeatureLZ4, true},
		"the node cannot":        {1000, 0, false},
		"the client does not":    {0, wire.FeatureLZ4, false},
		"the request is smaller": {10000, wire.FeatureLZ4, false},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(p *peer) {
				p.welcome(func(h *wire.ServerHandshake) { h.Features = c.features })
				seq, x := p.execute()
				if x.SQL != sql {
					p.t.Errorf("%d bytes of SQL arrived", len(x.SQL))
				}
				p.answer(seq, wire.Int(1))
				p.ended(true)
			})
			s, stream := openAt(t, address, func(cfg *Config) { cfg.CompressThreshold = c.threshold })
			before := stream.written
			got, err := query(t.Context(), s, sql)
			wantInts(t, got, err, 1)
			if n := stream.written - before; n < len(sql) != c.want {
				t.Errorf("%d bytes were written", n)
			}
		})
	}
}
