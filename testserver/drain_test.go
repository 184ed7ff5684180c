package testserver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestADrainingNodeRefusesWhatIsNewAndFinishesWhatIsOpen(t *testing.T) {
	c, g := scripted(t, Options{DrainLinger: time.Hour})
	n := c.Node(0)
	idle, inTx, running := dial(t, n), dial(t, n), dial(t, n)
	idle.must("put before")
	inTx.tx(wire.TxBegin, 1)
	seq := running.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	n.Drain()
	n.Drain() // again does nothing
	if n.Status() != wire.StatusDraining {
		t.Fatalf("status %d, want draining", n.Status())
	}
	for what, send := range map[string]func() uint64{
		"Execute": func() uint64 { return idle.send(wire.TypeExecute, query("put new")) },
		"Prepare": func() uint64 { return idle.send(wire.TypePrepare, &wire.Prepare{Statement: 1, SQL: "rows 1"}) },
		"Begin":   func() uint64 { return idle.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin}) },
	} {
		e := idle.expectError(send(), "57P01")
		if !e.Elsewhere || e.Effect != wire.EffectNone || e.Severity != wire.SeverityError || e.Node != "1" ||
			e.Message != "node 1 is draining; not started" {
			t.Errorf("%s: got %+v", what, e)
		}
	}
	if p := idle.ping(); p.Status != wire.StatusDraining {
		t.Errorf("Pong says status %d, want draining", p.Status)
	}
	g.goOn <- struct{}{}
	running.collect(seq)
	inTx.must("put open")
	inTx.tx(wire.TxCommit, 1)
	inTx.expectError(inTx.send(wire.TypeExecute, query("put new")), "57P01")
	if got := g.contents(); !slices.Equal(got, []string{"before", "open"}) {
		t.Fatalf("got %v", got)
	}
}

func TestADrainedNodeSaysFarewellAndIsDown(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2, DrainLinger: -1})
	n := c.Node(0)
	idle, inTx, monitor, other := dial(t, n), dial(t, n), dial(t, n, asMonitor), dial(t, c.Node(1), asMonitor)
	inTx.tx(wire.TxBegin, 1)
	n.Drain()
	for _, m := range []*client{monitor, other} {
		ch := m.notice(wire.TypeClusterLeave)
		if ch.NodeID != "1" || ch.Reason != wire.LeaveDraining || ch.Topology.Nodes[0].Status != wire.StatusDraining ||
			ch.Topology.Epoch <= m.welcome.Topology.Epoch {
			t.Fatalf("got %+v", ch)
		}
	}
	select {
	case <-n.Drained():
		t.Fatal("drained with a transaction open")
	default:
	}
	inTx.tx(wire.TxCommit, 1)
	// Nobody's request: whatever was not answered was not started.
	for _, s := range []*client{idle, inTx} {
		e := s.expectError(0, "57P01")
		if e.Severity != wire.SeverityFatal || !e.Elsewhere || e.Effect != wire.EffectNone {
			t.Fatalf("got %+v", e)
		}
		s.expectClosed()
	}
	if ch := monitor.notice(wire.TypeClusterLeave); ch.Reason != wire.LeaveShutdown || ch.NodeID != "1" {
		t.Fatalf("got %+v, want shutdown", ch)
	}
	monitor.expectClosed()
	<-n.Drained()
	if n.Status() != wire.StatusDown || n.Sessions() != 0 {
		t.Fatalf("status %d, %d sessions; want down, none", n.Status(), n.Sessions())
	}
	if ch := other.notice(wire.TypeClusterLeave); ch.Reason != wire.LeaveGone || ch.Topology.Nodes[0].Status != wire.StatusDown {
		t.Fatalf("got %+v, want it gone", ch)
	}
}

func TestADrainEndsAtOnceWhenTheClientsGo(t *testing.T) {
	c, _ := scripted(t, Options{DrainLinger: time.Hour})
	n := c.Node(0)
	idle := dial(t, n)
	dial(t, n, asMonitor)
	n.Drain()
	idle.send(wire.TypeTerminate, nil)
	select {
	case <-n.Drained():
	case <-patience():
		t.Fatal("not drained")
	}
}

func TestNewSessionsAreRefusedByADrainingNodeButMonitorsAreNot(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	holder := dial(t, n)
	holder.tx(wire.TxBegin, 1)
	n.Drain()
	if e := dialRaw(t, n).shake(); e == nil || e.Code != "57P01" || !e.Elsewhere {
		t.Fatalf("got %v, want 57P01", e)
	}
	m := dial(t, n, asMonitor)
	if p := m.ping(); p.Status != wire.StatusDraining {
		t.Fatalf("got %+v, want draining", p)
	}
	holder.tx(wire.TxCommit, 1)
}

func TestWhatOutlivesTheGraceIsCutOff(t *testing.T) {
	c, g := scripted(t, Options{DrainGrace: 50 * time.Millisecond, DrainLinger: -1})
	n := c.Node(0)
	inTx, running, crediting := dial(t, n), dial(t, n), dial(t, n)
	inTx.tx(wire.TxBegin, 1)
	inTx.must("put lost")
	seq := running.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	e := query("rows 1000 1000")
	e.Credit = 1
	waiting := crediting.send(wire.TypeExecute, e)
	crediting.expect(wire.TypeRows, waiting)
	n.Drain()
	if e := running.expectError(seq, "57P01"); e.Severity != wire.SeverityFatal || e.Effect != wire.EffectNone {
		t.Errorf("got %+v", e)
	}
	crediting.expectError(waiting, "57P01")
	if e := inTx.expectClosed(); e == nil || e.Code != "57P01" {
		t.Errorf("got %v, want 57P01", e)
	}
	<-n.Drained()
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestRestartWaitsForADrain(t *testing.T) {
	c, _ := scripted(t, Options{DrainLinger: -1})
	n := c.Node(0)
	s := dial(t, n)
	s.tx(wire.TxBegin, 1)
	n.Drain()
	restarted := make(chan error)
	go func() { restarted <- n.Restart() }()
	s.must("put a")
	s.tx(wire.TxCommit, 1)
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	if n.Status() != wire.StatusUp {
		t.Fatalf("status %d, want up", n.Status())
	}
	dial(t, n).must("rows 1")
}

func TestANodeThatDrainedComesBackOnItsAddress(t *testing.T) {
	c, _ := scripted(t, Options{DrainLinger: -1})
	n := c.Node(0)
	addr := n.Addr()
	n.Drain()
	<-n.Drained()
	if err := n.Restart(); err != nil || n.Addr() != addr {
		t.Fatalf("got %v, address %s; want %s", err, n.Addr(), addr)
	}
	dial(t, n).ping()
}

func TestADrainingNodeCanBeKilled(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	s := dial(t, n)
	s.tx(wire.TxBegin, 1)
	n.Drain()
	n.Kill()
	<-n.Drained()
	if n.Status() != wire.StatusDown {
		t.Fatalf("status %d, want down", n.Status())
	}
	<-n.Drained() // and at once when there is no drain
}

// A rolling restart under load, with clients that do what the answers say: go
// elsewhere with what was refused. Nothing may fail, nothing run twice.
func TestARollingRestartByDrainFailsNothing(t *testing.T) {
	c, g := scripted(t, Options{Nodes: 3, DrainLinger: -1})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for w := range 4 {
		wg.Go(func() {
			r := &roamer{t: t, c: c}
			defer r.leave()
			for i := 0; ctx.Err() == nil; i++ {
				x := itoa(w) + "/" + itoa(i)
				if err := r.put(x); err != nil {
					t.Errorf("put %s: %v", x, err)
					return
				}
				mu.Lock()
				acknowledged[x] = true
				mu.Unlock()
			}
		})
	}
	for range 3 {
		for i := range 3 {
			c.Node(i).Drain()
			if err := c.Node(i).Restart(); err != nil {
				t.Error(err)
			}
		}
	}
	stop()
	wg.Wait()
	count := map[string]int{}
	for _, x := range g.contents() {
		count[x]++
	}
	for x := range acknowledged {
		if count[x] != 1 {
			t.Errorf("%s was acknowledged, and is there %d times", x, count[x])
		}
	}
	if len(count) != len(acknowledged) || len(count) == 0 {
		t.Errorf("%d statements took effect, %d were acknowledged", len(count), len(acknowledged))
	}
}

// roamer is a client that goes to the next node when one says so.
type roamer struct {
	t    *testing.T
	c    *Cluster
	node int
	s    *client
}

func (r *roamer) leave() {
	if r.s != nil {
		r.s.conn.Close()
	}
	r.s = nil
}

// put runs a statement once, on whichever node takes it.
func (r *roamer) put(x string) error {
	for range 1000 {
		if r.s == nil && !r.connect() {
			r.node++
			continue
		}
		seq := r.s.put(wire.TypeExecute, &wire.Execute{SQL: "put ?", Arguments: []wire.Argument{{Value: wire.String(x)}}})
		if _, err := r.s.conn.Write(r.s.out.Bytes()); err != nil && !r.farewell() {
			return err
		}
		r.s.out.Reset()
		m, err := r.s.receive()
		if err != nil {
			return err
		}
		if m.Type == wire.TypeComplete && m.Sequence == seq {
			return nil
		}
		e := r.s.errorOf(m)
		if e.Code != "57P01" || !e.Elsewhere || e.Effect != wire.EffectNone {
			return e
		}
		r.leave()
		r.node++
	}
	return errors.New("no node took it")
}

// farewell reports whether the node has said farewell before the write failed.
func (r *roamer) farewell() bool {
	m, err := r.s.receive()
	return err == nil && m.Sequence == 0 && m.Type == wire.TypeError
}

func (r *roamer) connect() bool {
	s := &client{t: r.t}
	conn, err := dialNode(r.c.Node(r.node % 3))
	if err != nil {
		return false
	}
	s.conn, s.in = conn, wire.NewReader(conn)
	s.put(wire.TypeHandshake, handshake())
	conn.Write(s.out.Bytes())
	s.out.Reset()
	m, err := s.receive()
	if err != nil || m.Type != wire.TypeHandshake {
		conn.Close()
		return false
	}
	r.s = s
	return true
}
