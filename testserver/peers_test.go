package testserver

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// probeInterval leaves a busy machine time to answer, and a test's reader some.
const probeInterval = 400 * time.Millisecond

// listing gives the topology that a node tells, as "id status" by address.
func listing(t testing.TB, c *Cluster) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, n := range c.topo.snapshot().Nodes {
		got[n.Address] = n.ID + " " + []string{"up", "draining", "down"}[n.Status]
	}
	return got
}

func awaitListing(t testing.TB, c *Cluster, n *Node, want string) {
	t.Helper()
	eventually(t, n.Addr()+" listed as "+want, func() bool { return listing(t, c)[n.Addr()] == want })
}

func TestPeersAreListedFromTheStart(t *testing.T) {
	a, _ := scripted(t, Options{Nodes: 2})
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, NodeIDBase: 3, Peers: []string{a.Node(0).Addr(), a.Node(1).Addr()}})
	w := dial(t, b.Node(0)).welcome
	var ids []string
	for _, n := range w.Topology.Nodes {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"1", "2", "3"}) {
		t.Fatalf("the topology is %+v", w.Topology)
	}
	if !strings.HasSuffix(b.DSN(), a.Node(0).Addr()+","+a.Node(1).Addr()) {
		t.Fatalf("the DSN %s does not list the peers", b.DSN())
	}
	if w.Topology.Epoch <= a.topo.epoch() {
		t.Fatalf("the later view has epoch %d, the earlier %d", w.Topology.Epoch, a.topo.epoch())
	}
}

func TestAPeerThatIsNotThereDelaysNothingAndIsListedWithoutAName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	absent := l.Addr().String()
	l.Close()
	c, _ := scripted(t, Options{ProbeInterval: probeInterval, Peers: []string{absent}})
	if got := listing(t, c)[absent]; got != " down" {
		t.Fatalf("the topology lists it as %q", got)
	}
}

func TestTheStateOfAPeerIsFollowed(t *testing.T) {
	a, _ := scripted(t, Options{DrainLinger: -1})
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, NodeIDBase: 2, Peers: []string{a.Node(0).Addr()}})
	node := a.Node(0)
	m := dial(t, b.Node(0), asMonitor)
	holder := dial(t, node)
	holder.tx(wire.TxBegin, 1)
	node.Drain()
	if ch := m.notice(wire.TypeClusterLeave); ch.NodeID != "1" || ch.Reason != wire.LeaveDraining ||
		ch.Topology.Epoch <= m.welcome.Topology.Epoch {
		t.Fatalf("got %+v", ch)
	}
	holder.tx(wire.TxCommit, 1)
	if ch := m.notice(wire.TypeClusterLeave); ch.NodeID != "1" || ch.Reason != wire.LeaveGone {
		t.Fatalf("got %+v", ch)
	}
	awaitListing(t, b, node, "1 down")
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	if ch := m.notice(wire.TypeClusterJoin); ch.NodeID != "1" {
		t.Fatalf("got %+v", ch)
	}
	awaitListing(t, b, node, "1 up")
	node.Kill()
	awaitListing(t, b, node, "1 down")
}

func TestAPausedPeerIsDown(t *testing.T) {
	a, _ := scripted(t, Options{})
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, NodeIDBase: 2, Peers: []string{a.Node(0).Addr()}})
	a.Node(0).Pause()
	awaitListing(t, b, a.Node(0), "1 down")
	a.Node(0).Resume()
	awaitListing(t, b, a.Node(0), "1 up")
}

func TestNamingOnePeerIsEnough(t *testing.T) {
	a, _ := scripted(t, Options{Nodes: 2})
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, NodeIDBase: 3, Peers: []string{a.Node(0).Addr()}})
	awaitListing(t, b, a.Node(1), "2 up")
}

func TestANodeThatAPeerNoLongerListsIsForgotten(t *testing.T) {
	a, _ := scripted(t, Options{Nodes: 2})
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, NodeIDBase: 5, Peers: []string{a.Node(0).Addr()}})
	gone := a.Node(1)
	awaitListing(t, b, gone, "2 up")
	late, err := a.AddNode()
	if err != nil {
		t.Fatal(err)
	}
	awaitListing(t, b, late, "3 up")
	a.RemoveNode(1)
	eventually(t, "the removed node forgotten", func() bool { _, listed := listing(t, b)[gone.Addr()]; return !listed })
	awaitListing(t, b, late, "3 up")
}

func TestAPeerThatIsOneselfOrHasOnesIDIsNotListedByName(t *testing.T) {
	var log logBuffer
	a, _ := scripted(t, Options{})
	_, port, _ := net.SplitHostPort(a.Node(0).Addr())
	b, _ := scripted(t, Options{ProbeInterval: probeInterval, Peers: []string{a.Node(0).Addr()}, Logger: log.logger()})
	if got := listing(t, b)[a.Node(0).Addr()]; got != " down" || !strings.Contains(log.String(), "give them distinct numbers") {
		t.Fatalf("a peer with the id of another node is listed as %q; log:\n%s", got, log.String())
	}
	// The same node under another name.
	a.peers.start([]string{"localhost:" + port})
	if got := len(a.topo.snapshot().Nodes); got != 1 {
		t.Fatalf("%d nodes are listed, want 1", got)
	}
}
