package testserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qdb-go/qdb/wire"
)

func TestMonitorsHearOfEveryChangeInOrder(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	m := dial(t, c.Node(0), asMonitor)
	epoch := m.welcome.Topology.Epoch
	expect := func(kind wire.Type, node string, reason wire.LeaveReason, statuses ...wire.NodeStatus) {
		t.Helper()
		ch := m.notice(kind)
		var got []wire.NodeStatus
		for _, n := range ch.Topology.Nodes {
			got = append(got, n.Status)
		}
		if ch.NodeID != node || ch.Reason != reason || !cmp.Equal(got, statuses) {
			t.Fatalf("got %+v, want node %s, reason %d, statuses %v", ch, node, reason, statuses)
		}
		if ch.Topology.Epoch <= epoch {
			t.Fatalf("epoch %d after %d", ch.Topology.Epoch, epoch)
		}
		epoch = ch.Topology.Epoch
	}
	const up, down = wire.StatusUp, wire.StatusDown
	c.Node(1).Kill()
	expect(wire.TypeClusterLeave, "2", wire.LeaveGone, up, down)
	if err := c.Node(1).Restart(); err != nil {
		t.Fatal(err)
	}
	expect(wire.TypeClusterJoin, "2", 0, up, up)
	n, err := c.AddNode()
	if err != nil {
		t.Fatal(err)
	}
	expect(wire.TypeClusterJoin, "3", 0, up, up, up)
	dial(t, n).must("rows 1")
	c.RemoveNode(1)
	expect(wire.TypeClusterLeave, "2", wire.LeaveGone, up, up)
	if p := m.ping(); p.TopologyEpoch != epoch {
		t.Fatalf("Pong says epoch %d, want %d", p.TopologyEpoch, epoch)
	}
	if got := len(c.Nodes()); got != 2 || c.Node(1) != n {
		t.Fatalf("%d nodes are left", got)
	}
}

func TestSessionsThatAreNoMonitorsHearOfNothing(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	s := dial(t, c.Node(0))
	c.Node(1).Kill()
	s.must("rows 1") // the next message is the answer
	if c.Node(0).Sessions() != 1 || c.Node(0).Monitors() != 0 {
		t.Fatalf("%d sessions, %d monitors; want 1, 0", c.Node(0).Sessions(), c.Node(0).Monitors())
	}
}

func TestMonitorsAreCountedApart(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	m := dial(t, n, asMonitor)
	if n.Sessions() != 0 || n.Monitors() != 1 || n.SessionsOpened() != 0 || n.Dials() != 1 {
		t.Fatalf("%d sessions, %d monitors, %d opened, %d dials", n.Sessions(), n.Monitors(), n.SessionsOpened(), n.Dials())
	}
	m.conn.Close()
	eventually(t, "no monitor", func() bool { return n.Monitors() == 0 })
}

func TestEpochsOfALaterProcessAreHigher(t *testing.T) {
	first, _ := scripted(t, Options{Nodes: 3})
	for range 50 {
		first.Node(1).Restart()
	}
	before := first.topo.epoch()
	second, _ := scripted(t, Options{})
	if after := second.topo.epoch(); after <= before {
		t.Fatalf("epoch %d after %d", after, before)
	}
}

func TestAMonitorThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	stuck := dial(t, c.Node(0), asMonitor)
	c.Node(0).Pause() // its notices cannot be sent
	m := dial(t, c.Node(1), asMonitor)
	for range 2 * noticesKept {
		n, err := c.AddNode()
		if err != nil {
			t.Fatal(err)
		}
		_ = n
		c.RemoveNode(2)
		m.notice(wire.TypeClusterJoin)
		m.notice(wire.TypeClusterLeave)
	}
	c.Node(0).Resume()
	var last wire.TopologyChange
	for last.Topology.Epoch < c.topo.epoch() {
		msg := stuck.next()
		if err := last.Decode(msg.Payload); err != nil {
			t.Fatal(err)
		}
	}
}
