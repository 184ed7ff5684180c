package testserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// logBuffer collects a log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestTheHandshakeSaysWhoAnswersAndWhatIsServed(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2, NodeIDBase: 5, MaxMessageSize: 1 << 20})
	s := dial(t, c.Node(1), func(h *wire.ClientHandshake) { h.Features = ^wire.Features(0) })
	w := s.welcome
	if w.Version != 1 || w.NodeID != "6" || w.Dialect != "scripted" || !strings.HasPrefix(w.SessionID, "6-") ||
		w.Served != wire.ProtocolTCP || w.MaxMessageSize != 1<<20 || w.Auth != wire.AuthOK || w.Nonce == [16]byte{} {
		t.Fatalf("got %+v", w)
	}
	if want := wire.FeatureLZ4 | wire.FeatureTxStatus | wire.FeatureTopology; w.Features != want {
		t.Fatalf("features %b, want %b", w.Features, want)
	}
	if len(w.Topology.Nodes) != 2 || w.Topology.Nodes[0].ID != "5" || w.Topology.Nodes[1].Address != c.Node(1).Addr() {
		t.Fatalf("topology %+v", w.Topology)
	}
	if other := dial(t, c.Node(1)); other.welcome.SessionID == w.SessionID {
		t.Fatal("two sessions have the same id")
	}
}

func TestHandshakesThatCannotBeMetAreRefused(t *testing.T) {
	c, _ := scripted(t, Options{MaxSessions: 1})
	for name, tc := range map[string]struct {
		change func(*wire.ClientHandshake)
		code   string
	}{
		"a newer version":      {func(h *wire.ClientHandshake) { h.VersionMin, h.VersionMax = 2, 9 }, "0A000"},
		"another transport":    {func(h *wire.ClientHandshake) { h.InUse = wire.ProtocolTLS }, "08P01"},
		"an unknown setting":   {func(h *wire.ClientHandshake) { h.Settings = []wire.Setting{{Name: "x", Value: "y"}} }, "42704"},
		"too small a message":  {func(h *wire.ClientHandshake) { h.MaxMessageSize = 100 }, "22023"},
		"too long a handshake": {func(h *wire.ClientHandshake) { h.AuthData = make([]byte, handshakeSize) }, "08P01"},
	} {
		s := dialRaw(t, c.Node(0))
		if e := s.shake(tc.change); e == nil || e.Code != tc.code || e.Severity != wire.SeverityFatal || e.Effect != wire.EffectNone {
			t.Errorf("%s: got %v, want a fatal %s without effect", name, e, tc.code)
		}
		s.expectClosed()
	}
	dial(t, c.Node(0))
	if e := dialRaw(t, c.Node(0)).shake(); e == nil || e.Code != "53300" || !e.Elsewhere {
		t.Errorf("one session too many: got %v, want 53300, elsewhere", e)
	}
}

func TestReferenceModeIsRefusedWithAnError(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dialRaw(t, c.Node(0))
	s.send(wire.TypePing, nil)
	e := s.expectError(1, "0A000")
	if !strings.Contains(e.Message, "reference mode") {
		t.Fatalf("got %v", e)
	}
	s.expectClosed()
}

func TestATLSClientIsToldThatThereIsNoTLSHere(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dialRaw(t, c.Node(0))
	// The head of a ClientHello, and more than one read's worth after it: what
	// is unread at the close must not take the answer with it.
	hello := append([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}, make([]byte, 100<<10)...)
	s.conn.Write(hello)
	e := s.expectError(0, "0A000")
	if e.Detail != DetailNoTLS || DetailNoTLS != "no TLS here" || e.Effect != wire.EffectNone {
		t.Fatalf("got %+v", e)
	}
	if _, err := s.receive(); err != io.EOF {
		t.Fatalf("got %v, want the end of the stream", err)
	}
}

func TestGarbageIsLoggedAndClosed(t *testing.T) {
	var log logBuffer
	c, _ := scripted(t, Options{Logger: log.logger()})
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	noise[0] = 0x80
	for name, bytes := range map[string][]byte{
		"HTTP":        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"SSH":         []byte("SSH-2.0-OpenSSH_9.9\r\n"),
		"huge length": {0x7f, 0xff, 0xff, 0xff, 0},
		"zero length": make([]byte, 64),
		"bad flag":    {0, 0, 0, 49, 7},
		"noise":       noise,
	} {
		t.Run(name, func(t *testing.T) {
			s := dialRaw(t, c.Node(0))
			s.conn.Write(bytes) // a reset in the middle of it is in order
			s.expectClosed()
		})
	}
	if n := strings.Count(log.String(), "the client broke the protocol"); n != 6 {
		t.Fatalf("%d connections were logged, want 6:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "the peer sent text") {
		t.Errorf("the log does not recognise HTTP:\n%s", log.String())
	}
	dial(t, c.Node(0)).must("rows 1")
}

func TestAFrameWithAWrongChecksumEndsTheSession(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.put(wire.TypePing, nil)
	s.out.Payload[len(s.out.Payload)-1] ^= 1
	s.flush()
	if e := s.expectClosed(); e == nil || e.Code != "08P01" || !strings.Contains(e.Detail, "checksum") {
		t.Fatalf("got %v, want 08P01 about the checksum", e)
	}
}

func TestSilenceIsClosedAfterTheHandshakeTimeout(t *testing.T) {
	var log logBuffer
	c, _ := scripted(t, Options{HandshakeTimeout: 50 * time.Millisecond, Logger: log.logger()})
	start := time.Now()
	dialRaw(t, c.Node(0)).expectClosed()
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	eventually(t, "the log", func() bool { return strings.Contains(log.String(), "no handshake in time") })
}

func TestATrickleDoesNotExtendTheHandshakeTimeout(t *testing.T) {
	c, _ := scripted(t, Options{HandshakeTimeout: 100 * time.Millisecond})
	s := dialRaw(t, c.Node(0))
	start := time.Now()
	s.conn.Write([]byte{0, 0, 0xff, 0, 0})
	for time.Since(start) < 20*time.Second {
		if _, err := s.conn.Write([]byte{0}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond) // slower than the timeout, faster than patience
	}
	t.Fatal("the connection was not closed")
}

func TestASessionMayBeIdleForLongerThanTheHandshakeTimeout(t *testing.T) {
	c, _ := scripted(t, Options{HandshakeTimeout: 50 * time.Millisecond})
	s := dial(t, c.Node(0))
	time.Sleep(100 * time.Millisecond) // the timeout must be over
	s.ping()
}

func TestConnectionsWithoutAHandshakeAreLimited(t *testing.T) {
	c, _ := scripted(t, Options{MaxHandshakes: 3})
	var waiting []*client
	for range 3 {
		waiting = append(waiting, dialRaw(t, c.Node(0)))
	}
	eventually(t, "the connections accepted", func() bool { return c.Node(0).Dials() == 3 })
	s := dialRaw(t, c.Node(0))
	if e := s.expectClosed(); e != nil {
		t.Fatalf("got %v, want nothing but the end", e)
	}
	// One that shakes hands makes room.
	if e := waiting[0].shake(); e != nil {
		t.Fatal(e)
	}
	dial(t, c.Node(0)).ping()
}

func TestEndlessInputTakesNoMemory(t *testing.T) {
	c, _ := scripted(t, Options{MaxMessageSize: wire.HighestMaxMessageSize})
	s := dial(t, c.Node(0))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	// A frame that claims 256 MiB and stops after a little.
	head := binary.BigEndian.AppendUint32(nil, wire.HighestMaxMessageSize)
	received := c.Node(0).BytesReceived()
	s.conn.Write(append(head, make([]byte, 10_000)...))
	eventually(t, "the bytes read", func() bool { return c.Node(0).BytesReceived() >= received+10_000 })
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Fatalf("%d bytes were allocated for a frame of which 10,000 bytes came", grown)
	}
}

func TestClientsThatVanishInTheHandshakeLeaveNothing(t *testing.T) {
	c, _ := scripted(t, Options{})
	whole := &client{t: t}
	whole.put(wire.TypeHandshake, handshake())
	frame := whole.out.Bytes()
	for n := range len(frame) {
		conn, err := net.Dial("tcp", c.Node(0).Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(frame[:n])
		conn.Close()
	}
	eventually(t, "no connection", func() bool {
		l := c.Node(0).life
		l.mu.Lock()
		defer l.mu.Unlock()
		return c.Node(0).Dials() == int64(len(frame)) && len(l.conns) == 0 && l.handshakes == 0
	})
}

func FuzzASessionEndsWhateverItIsSent(f *testing.F) {
	c := &client{t: f}
	c.put(wire.TypeHandshake, handshake())
	c.put(wire.TypeExecute, query("rows 2 3; put ?", wire.Int(1)))
	c.put(wire.TypePrepare, &wire.Prepare{Statement: 1, SQL: "echo ?"})
	c.put(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin, ID: [16]byte{1}})
	c.put(wire.TypeCancel, &wire.Cancel{Target: 2})
	c.put(wire.TypeCredit, &wire.Credit{Target: 2, Bytes: 5})
	c.put(wire.TypeReset, nil)
	c.put(wire.TypeTerminate, nil)
	f.Add(append([]byte(nil), c.out.Bytes()...))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{0x16, 3, 1})
	cluster, err := New(Options{Backend: newScriptedEngine(), HandshakeTimeout: 100 * time.Millisecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { cluster.Close() })
	f.Fuzz(func(t *testing.T, input []byte) {
		if bytes.Contains(input, []byte("wait")) || bytes.Contains(input, []byte("trickle")) {
			t.Skip("would wait for the test")
		}
		conn, err := net.Dial("tcp", cluster.Node(0).Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(input)
		conn.(*net.TCPConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("the session did not end")
			}
		}
	})
}
