package testserver

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// topology is what this process knows of the cluster: its own nodes, at first
// hand, and those of its peers, as far as the probes tell. It is safe for
// concurrent use.
//
// Its epoch is the time of the last change, in Unix microseconds, but always
// more than the epoch before it and than that of a peer from which the change
// was heard. So epochs of different processes, and of one before and after a
// restart, can be compared: the higher one is the later view, as far as the
// clocks of the processes agree, and views that follow from one another are in
// order even if they do not.
type topology struct {
	c *Cluster

	mu      sync.Mutex // protects what follows
	current wire.Topology
	peers   map[string]wire.Node // by address
}

// change is an event that changes the topology.
type change struct {
	node   string // its id
	join   bool
	reason wire.LeaveReason // when it is not a join
	// seen is the epoch of the peer's view that the change comes from.
	seen uint64
}

func newTopology(c *Cluster) *topology {
	return &topology{c: c, peers: map[string]wire.Node{}}
}

// snapshot gives the topology of the moment. It is not to be changed.
func (t *topology) snapshot() wire.Topology {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

func (t *topology) epoch() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Epoch
}

// changed takes note of what has happened to one of our nodes, and tells all
// monitors.
func (t *topology) changed(ch change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.publish(ch)
}

// setPeer takes note of a peer's node.
func (t *topology) setPeer(n wire.Node, ch change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[n.Address] == n {
		return
	}
	t.peers[n.Address] = n
	t.publish(ch)
}

// lists reports whether a peer's node is listed just so.
func (t *topology) lists(n wire.Node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[n.Address] == n
}

// dropPeer forgets a peer's node.
func (t *topology) dropPeer(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.peers[addr]
	if !ok {
		return
	}
	delete(t.peers, addr)
	t.publish(change{node: n.ID, reason: wire.LeaveGone})
}

// publish makes a new snapshot and hands it to the monitors. It holds mu, so
// that they hear of changes in the order of their epochs.
func (t *topology) publish(ch change) {
	nodes := t.c.Nodes()
	next := wire.Topology{Epoch: max(t.current.Epoch+1, ch.seen+1, uint64(time.Now().UnixMicro()))}
	for _, n := range nodes {
		next.Nodes = append(next.Nodes, n.describe())
	}
	others := make([]wire.Node, 0, len(t.peers))
	for _, n := range t.peers {
		others = append(others, n)
	}
	slices.SortFunc(others, func(a, b wire.Node) int { return strings.Compare(a.Address, b.Address) })
	next.Nodes = append(next.Nodes, others...)
	t.current = next
	for _, n := range nodes {
		n.tellMonitors(notice{join: ch.join, TopologyChange: wire.TopologyChange{NodeID: ch.node, Reason: ch.reason, Topology: next}})
	}
}

// describe gives the node's entry in the topology. All nodes are primaries:
// they share their data.
func (n *Node) describe() wire.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return wire.Node{ID: n.id, Address: n.addr, Role: wire.RolePrimary, Status: n.status}
}
