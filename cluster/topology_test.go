package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// list describes nodes as the cluster itself does.
func (net *network) list(addrs ...string) []NodeInfo {
	var out []NodeInfo
	for _, a := range addrs {
		n := net.node(a)
		out = append(out, NodeInfo{ID: n.id, Address: a, Role: n.role, Status: StatusUp})
	}
	return out
}

// publish has the node at addr announce a topology.
func (net *network) publish(addr string, epoch uint64, nodes []NodeInfo) {
	net.node(addr).set(func(n *fakeNode) { n.epoch, n.topology = epoch, nodes })
	net.node(addr).announce()
	synctest.Wait()
}

// members returns the addresses of the members.
func members(c *Cluster[*fakeConn]) string {
	out := ""
	for _, n := range c.Stats().Nodes {
		if !n.Left {
			out += n.Node.Address + " "
		}
	}
	return out
}

func TestNodesJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a"))
		time.Sleep(time.Second)
		w := c.Watch(100)
		net.publish("a", 1, net.list("a", "b", "c"))
		time.Sleep(10 * time.Second)
		if m := members(c); m != "a b c " {
			t.Fatalf("members: %s", m)
		}
		if got := work(t, c, 1, 300, time.Millisecond); got["b"] < 80 || got["c"] < 80 {
			t.Errorf("load: %v", got)
		}
		var l Lease[*fakeConn]
		for l = mustAcquire(t, c, Request{}); l.Node().Address != "b"; l = mustAcquire(t, c, Request{}) {
			defer l.Release()
		}
		net.publish("c", 2, net.list("a", "c"))
		if m := members(c); m != "a c " {
			t.Fatalf("members: %s", m)
		}
		if s := stats(t, c, "b"); !s.Left || s.InUse != 1 || s.Idle != 0 {
			t.Errorf("b: %+v", s)
		}
		if err := l.Conn().do(t.Context(), time.Second); err != nil {
			t.Errorf("the lease on the leaving node failed: %v", err)
		}
		l.Release()
		synctest.Wait()
		if n := len(c.Stats().Nodes); n != 2 {
			t.Errorf("%d nodes are still known", n)
		}
		if _, monitors := net.sessions(); monitors != 2 {
			t.Errorf("%d monitors", monitors)
		}
		w.Stop()
		kinds := map[EventKind]int{}
		for e := range w.Events() {
			kinds[e.Kind]++
		}
		if kinds[NodeJoined] != 2 || kinds[NodeLeft] != 1 {
			t.Errorf("events: %v", kinds)
		}
	})
}

func TestOlderNewsLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		net.publish("a", 7, net.list("a", "b"))
		net.publish("b", 6, net.list("a", "b", "c"))
		if m := members(c); m != "a b " {
			t.Errorf("after older news: %s", m)
		}
		net.publish("b", 7, net.list("b"))
		if m := members(c); m != "a b " {
			t.Errorf("after other news of the same epoch: %s", m)
		}
		if s := c.Stats(); s.Epoch != 7 {
			t.Errorf("epoch %d", s.Epoch)
		}
		// Roles as well: what b says of itself in an older epoch is over.
		list := net.list("a", "b")
		list[1].Role = RoleReplica
		net.publish("a", 8, list)
		if r := stats(t, c, "b").Role; r != RoleReplica {
			t.Errorf("b is %v after epoch 8", r)
		}
		time.Sleep(5 * time.Second)
		if r := stats(t, c, "b").Role; r != RoleReplica {
			t.Errorf("b is %v after its own report of epoch 7", r)
		}
	})
}

func TestWithoutDiscoverySeedsAloneAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a")
		opt.Discover = false
		c := open(t, opt)
		time.Sleep(time.Second)
		net.publish("a", 1, net.list("b"))
		time.Sleep(5 * time.Second)
		if m := members(c); m != "a " {
			t.Errorf("members: %s", m)
		}
	})
}

func TestANodeKnownByTwoNamesIsOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("db1", "db2", "10.0.0.1", "10.0.0.2")
		net.node("10.0.0.1").id = net.node("db1").id
		net.node("10.0.0.2").id = net.node("db2").id
		net.node("db2").latency = 300 * time.Millisecond // it is discovered before its seed answers
		c := open(t, net.options("db1", "db2"))
		time.Sleep(100 * time.Millisecond)
		net.publish("db1", 1, net.list("10.0.0.1", "10.0.0.2"))
		time.Sleep(5 * time.Second)
		if m := members(c); m != "db1 db2 " {
			t.Fatalf("members: %s", m)
		}
		synctest.Wait()
		if n := len(c.Stats().Nodes); n != 2 {
			t.Errorf("%d nodes known", n)
		}
		// The seed's address dies, the other is used.
		net.node("db2").kill()
		net.node("10.0.0.2").set(func(n *fakeNode) {
			for m := range n.monitors {
				m.fail(errReset)
			}
		})
		w := c.Watch(10)
		time.Sleep(10 * time.Second)
		w.Stop()
		for e := range w.Events() {
			if e.To == StateDown {
				t.Error("the node was down though one of its addresses answered")
			}
		}
		s := stats(t, c, "10.0.0.2")
		if s.State != StateHealthy || s.Node.ID != "id-db2" {
			t.Errorf("%+v", s)
		}
	})
}

func TestASeedThatLeadsToSeveralNodesDoesNotConfuseThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("any", "a", "b")
		any := net.node("any")
		any.id = "id-a"
		c := open(t, net.options("any"))
		time.Sleep(100 * time.Millisecond)
		net.publish("any", 1, []NodeInfo{{ID: "id-a", Address: "a"}, {ID: "id-b", Address: "b"}})
		time.Sleep(5 * time.Second)
		any.set(func(n *fakeNode) { n.id, n.topology = "id-b", nil })
		var held []Lease[*fakeConn]
		for range 20 {
			held = append(held, mustAcquire(t, c, Request{}))
		}
		for _, l := range held {
			if want := l.Conn().node.addr; want != "any" && l.Node().ID != "id-"+want {
				t.Errorf("a session on %s counts for %v", want, l.Node())
			}
			l.Release()
		}
		for _, n := range c.Stats().Nodes {
			if n.InUse+n.Idle < 9 {
				t.Errorf("%v has %d sessions", n.Node, n.InUse+n.Idle)
			}
		}
	})
}

func TestTheSeedsAreTheLastResort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("seed", "x", "y")
		c := open(t, net.options("seed"))
		time.Sleep(time.Second)
		net.publish("seed", 1, net.list("seed", "x", "y"))
		time.Sleep(time.Second)
		net.publish("x", 2, net.list("x", "y"))
		if m := members(c); m != "x y " {
			t.Fatalf("members: %s", m)
		}
		net.node("seed").set(func(n *fakeNode) { n.epoch, n.topology = 3, []NodeInfo{{ID: n.id, Address: "seed"}} })
		net.node("x").kill()
		net.node("y").kill()
		synctest.Wait()
		l := mustAcquire(t, c, Request{})
		if l.Node().Address != "seed" {
			t.Errorf("got %v", l.Node())
		}
		l.Release()
		if m := members(c); m != "seed " {
			t.Errorf("members: %s", m)
		}
	})
}

func TestHearsayOfADrainHasTheNodeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.HealthInterval = time.Hour
		c := open(t, opt)
		time.Sleep(time.Second)
		net.node("b").set(func(n *fakeNode) { n.draining = true })
		list := net.list("a", "b")
		list[1].Status = StatusDraining
		net.publish("a", 1, list)
		time.Sleep(time.Second)
		if s := stats(t, c, "b"); s.State != StateDraining {
			t.Errorf("b is %v", s.State)
		}
	})
}

func TestANameIsResolvedAnewForEachDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("host")
		opt := net.options("host")
		c := open(t, opt)
		time.Sleep(time.Second)
		old := net.node("host")
		moved := net.add("host") // the name now leads to another machine
		moved.set(func(n *fakeNode) { n.id = "id-moved" })
		old.kill()
		time.Sleep(1500 * time.Millisecond)
		l := mustAcquire(t, c, Request{})
		if l.Node().ID != "id-moved" {
			t.Errorf("got %v", l.Node())
		}
		l.Release()
	})
}
