package testserver

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestKillResetsEveryConnectionAndRollsBack(t *testing.T) {
	c, g := scripted(t, Options{})
	n := c.Node(0)
	idle, inTx, running, raw := dial(t, n), dial(t, n), dial(t, n), dialRaw(t, n)
	idle.must("put kept")
	inTx.tx(wire.TxBegin, 1)
	inTx.must("put lost")
	running.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	eventually(t, "all connections accepted", func() bool { return n.Dials() == 4 })
	n.Kill()
	for i, s := range []*client{idle, inTx, running, raw} {
		if _, err := s.receive(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client %d: got %v, want a reset", i, err)
		}
	}
	if _, err := net.Dial("tcp", n.Addr()); err == nil {
		t.Error("the listener is still there")
	}
	if got := g.contents(); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("got %v, want what was acknowledged", got)
	}
	if n.Sessions() != 0 || g.conns.Load() != 0 {
		t.Errorf("%d sessions, %d connections of the engine are left", n.Sessions(), g.conns.Load())
	}
	if n.Status() != wire.StatusDown {
		t.Errorf("status %d, want down", n.Status())
	}
	n.Kill() // again does nothing
}

func TestRestartBringsTheNodeBackOnItsAddress(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	addr, id := n.Addr(), n.ID()
	for range 3 {
		dial(t, n).must("put a")
		n.Kill()
		if err := n.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if n.Addr() != addr || n.ID() != id || n.Status() != wire.StatusUp {
		t.Fatalf("node %s at %s, status %d; want %s at %s, up", n.ID(), n.Addr(), n.Status(), id, addr)
	}
	dial(t, n).must("rows 1")
	if n.SessionsOpened() != 4 || n.Executed("put") != 3 || n.Dials() != 4 {
		t.Errorf("counted %d sessions, %d puts, %d dials over all lives; want 4, 3, 4", n.SessionsOpened(), n.Executed("put"), n.Dials())
	}
}

func TestRestartOfANodeThatIsUpKillsItFirst(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	if err := c.Node(0).Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.receive(); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	dial(t, c.Node(0)).ping()
}

func TestAPausedNodeIsABlackHole(t *testing.T) {
	c, g := scripted(t, Options{})
	n := c.Node(0)
	idle, running := dial(t, n), dial(t, n)
	seq := running.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	n.Pause()
	n.Pause() // again does nothing
	close(g.goOn)
	ping := idle.send(wire.TypePing, nil)
	fresh := dialRaw(t, n)
	fresh.send(wire.TypeHandshake, handshake())
	eventually(t, "the dial counted", func() bool { return n.Dials() == 3 })
	sent := n.BytesSent()
	idle.expectSilence(50 * time.Millisecond)
	running.expectSilence(10 * time.Millisecond)
	fresh.expectSilence(10 * time.Millisecond)
	if n.BytesSent() != sent {
		t.Error("a paused node has sent something")
	}
	n.Resume()
	idle.expect(wire.TypePong, ping)
	running.collect(seq)
	fresh.expect(wire.TypeHandshake, 1)
	n.Resume() // again does nothing
}

func TestAPauseLastsLongerThanTheHandshakeTimeout(t *testing.T) {
	c, _ := scripted(t, Options{HandshakeTimeout: 50 * time.Millisecond})
	c.Node(0).Pause()
	s := dialRaw(t, c.Node(0))
	s.send(wire.TypeHandshake, handshake())
	s.expectSilence(100 * time.Millisecond)
	c.Node(0).Resume()
	s.expect(wire.TypeHandshake, 1)
}

func TestAPausedNodeCanBeKilledAndRestarted(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	s := dial(t, n)
	n.Pause()
	s.send(wire.TypePing, nil)
	n.Kill()
	if _, err := s.receive(); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	if err := n.Restart(); err != nil {
		t.Fatal(err)
	}
	dial(t, n).ping()
	// And in one step.
	n.Pause()
	if err := n.Restart(); err != nil {
		t.Fatal(err)
	}
	dial(t, n).ping()
}

func TestCloseOfAClusterEndsEverything(t *testing.T) {
	g := newScriptedEngine()
	c, err := New(Options{Nodes: 3, Backend: g})
	if err != nil {
		t.Fatal(err)
	}
	inTx, running, monitor := dial(t, c.Node(0)), dial(t, c.Node(1)), dial(t, c.Node(2), asMonitor)
	inTx.tx(wire.TxBegin, 1)
	running.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	c.Node(2).Pause()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*client{inTx, running, monitor} {
		if _, err := s.receive(); err == nil {
			t.Error("a connection is still open")
		}
	}
	if g.conns.Load() != 0 {
		t.Errorf("%d connections of the engine are left", g.conns.Load())
	}
	if err := c.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := c.AddNode(); err == nil {
		t.Error("AddNode succeeded on a closed cluster")
	}
	if err := c.Node(0).Restart(); err == nil {
		t.Error("Restart succeeded on a closed cluster")
	}
}

func TestADSNListsAllNodes(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	want := "qdb://" + c.Node(0).Addr() + "," + c.Node(1).Addr()
	if got := c.DSN(); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestNodesListenOnThePortsAfterTheFirst(t *testing.T) {
	for _, tc := range []struct {
		listen string
		i      int
		want   string
	}{
		{"127.0.0.1:7000", 0, "127.0.0.1:7000"}, {"127.0.0.1:7000", 2, "127.0.0.1:7002"},
		{"[::1]:7000", 1, "[::1]:7001"}, {"127.0.0.1:0", 2, "127.0.0.1:0"},
	} {
		if got, err := addressOf(tc.listen, tc.i); err != nil || got != tc.want {
			t.Errorf("node %d after %s: got %s, %v; want %s", tc.i, tc.listen, got, err, tc.want)
		}
	}
	for _, listen := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536"} {
		if got, err := addressOf(listen, 0); err == nil {
			t.Errorf("%s: got %s, want an error", listen, got)
		}
	}
	if _, err := addressOf("127.0.0.1:65535", 1); err == nil {
		t.Error("a port beyond 65535 was given out")
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, o := range map[string]Options{
		"Nodes":               {Nodes: -1},
		"NodeIDBase":          {NodeIDBase: -1},
		"MaxMessageSize":      {MaxMessageSize: 10},
		"limit":               {MaxSessions: -1},
		"timeout":             {HandshakeTimeout: -1},
		"peer":                {Peers: []string{"nonsense"}},
		"only loopback":       {Listen: "0.0.0.0:0"},
		"not \"example.com:1": {Listen: "example.com:1"},
		"not host:port":       {Listen: "127.0.0.1"},
		"cannot listen":       {Listen: taken.Addr().String()},
	} {
		o.Backend = newScriptedEngine()
		c, err := New(o)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
}

func TestLoopbackAddressesMayBeListenedOn(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.8.9.1:0", "[::1]:0", "localhost:0"} {
		if err := checkLoopback(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{":7000", "10.0.0.1:7000", "[::]:7000", "localhost.example:1"} {
		if checkLoopback(addr) == nil {
			t.Errorf("%s was accepted", addr)
		}
	}
}

// failingTB is a test that fails to start a cluster.
type failingTB struct {
	failed   string
	cleanups []func()
}

func (f *failingTB) Helper()                        {}
func (f *failingTB) Cleanup(c func())               { f.cleanups = append(f.cleanups, c) }
func (f *failingTB) Fatalf(format string, _ ...any) { f.failed = format }

func TestStartFailsTheTestOrClosesTheClusterAtItsEnd(t *testing.T) {
	var bad failingTB
	if c := Start(&bad, Options{Nodes: -1}); c != nil || bad.failed == "" || len(bad.cleanups) != 0 {
		t.Fatalf("got cluster %v, failure %q", c, bad.failed)
	}
	var good failingTB
	c := Start(&good, Options{Backend: newScriptedEngine()})
	s := dial(t, c.Node(0))
	good.cleanups[0]()
	if _, err := s.receive(); err != io.EOF {
		t.Fatalf("got %v, want the end of the stream", err)
	}
}

func TestAnIdleTransactionIsEndedAfterItsTimeout(t *testing.T) {
	c, g := scripted(t, Options{IdleInTransactionTimeout: 50 * time.Millisecond})
	idle, inTx := dial(t, c.Node(0)), dial(t, c.Node(0))
	inTx.tx(wire.TxBegin, 1)
	inTx.must("put a")
	if e := inTx.expectClosed(); e == nil || e.Code != "25P03" || e.Severity != wire.SeverityFatal {
		t.Fatalf("got %v, want a fatal 25P03", e)
	}
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
	idle.ping() // without a transaction a session may be idle
}
