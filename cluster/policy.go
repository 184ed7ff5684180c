package cluster

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Policy decides in which order nodes are tried.
//
// Before it asks, the cluster has taken out every node that must not be used
// for the request: nodes that are down or drain, nodes of the wrong role, nodes
// on which the same request has just failed, and recovered nodes that already
// had their share. A policy therefore never looks at health or role unless it
// wants to.
//
// A policy for a client that prefers the nodes in its own rack:
//
//	type rackFirst struct{ rack string }
//
//	func (rackFirst) Name() string { return "rack_first" }
//
//	func (p rackFirst) Order(nodes []*cluster.NodeView, rng *rand.Rand) int {
//		near := 0
//		for i, n := range nodes {
//			if strings.HasSuffix(n.ID, p.rack) {
//				nodes[near], nodes[i] = nodes[i], nodes[near]
//				near++
//			}
//		}
//		if near == 0 {
//			near = len(nodes)
//		}
//		i := rng.IntN(near) // any of the near ones
//		nodes[0], nodes[i] = nodes[i], nodes[0]
//		return near
//	}
type Policy interface {
	// Name is how the policy is called in configuration and statistics.
	Name() string
	// Order rearranges nodes so that the best comes first; the rest is the
	// way that a request takes when the first ones fail. It returns how many
	// of the leading nodes are peers: nodes that are to carry equal load, so
	// that a new session may be opened on whichever has fewest and a free
	// session on any of them is as good as another. 1 says that the order is
	// to be kept strictly.
	//
	// nodes holds at least one node and arrives in the order of NodeView's
	// Position. Order is called for every request, by many goroutines at a
	// time and under no lock: it must not block, should not allocate, and
	// must neither keep the slice nor put other pointers into it. rng belongs
	// to the call.
	Order(nodes []*NodeView, rng *rand.Rand) (peers int)
}

// NodeView is a node as a [Policy] sees it. The fields never change; a node
// that changes gets another view. The methods return live numbers.
type NodeView struct {
	// Key is the cluster's number for the node.
	Key NodeKey
	// ID is the node's own name, empty when it gave none.
	ID string
	// Address is the host:port that is dialled.
	Address string
	// Position is the place among the seeds; discovered nodes follow in the
	// order in which they were found.
	Position int
	// Role is what the node may be used for.
	Role Role
	// State is what the cluster thinks of the node.
	State State
	// RTT is the moving average of the round trip, 0 when not measured yet.
	RTT time.Duration
	// ServerLoad is the last Report's Load.
	ServerLoad uint32

	live *live
	slot int
	ease bool
}

// Load returns how many sessions on the node are leased, plus how many callers
// wait for one that is being opened for them there.
func (v *NodeView) Load() int { return int(v.live.leased.Load() + v.live.claims.Load()) }

// Idle returns how many sessions on the node are open and free.
func (v *NodeView) Idle() int { return int(v.live.idle.Load()) }

// Recent compares nodes by how much they were used lately: it is a count of
// the leases given on the node that never falls far behind the most used
// node's, so that one which was idle for long is not flooded to make up for it.
func (v *NodeView) Recent() int { return int(v.live.pass.Load() / passUnit) }

// live holds the numbers of a node that change with each lease. They are
// written under the cluster's lock and read without.
type live struct {
	leased atomic.Int32
	claims atomic.Int32
	idle   atomic.Int32
	pass   atomic.Int64
}

const (
	// passUnit is what one lease on a node with full weight adds to its pass.
	passUnit = 1024
	// passLag is how many leases a node may lie behind the most used one.
	passLag = 32
)

// candidates is the state of one run of a policy.
type candidates struct {
	plan []*NodeView
	held []*NodeView
	rng  *rand.Rand
	next *candidates
}

// arrange fills plan with prime in the policy's order. Nodes to avoid and
// recovered nodes ahead of their share come after the others. It returns how
// many of the leading nodes are peers.
func (cs *candidates) arrange(prime []*NodeView, avoid []NodeKey, easing bool, lead int64, p Policy) int {
	cs.plan, cs.held = cs.plan[:0], cs.held[:0]
	if len(avoid) == 0 && !easing {
		cs.plan = append(cs.plan, prime...)
	} else {
		for _, v := range prime {
			if !avoided(avoid, v.Key) && !(v.ease && v.live.pass.Load() > lead) {
				cs.plan = append(cs.plan, v)
			}
		}
		cs.hold(prime, avoid, lead)
	}
	peers := 0
	if n := len(cs.plan); n > 0 {
		peers = min(max(p.Order(cs.plan, cs.rng), 1), n)
	}
	if n := len(cs.held); n > 0 {
		q := min(max(p.Order(cs.held, cs.rng), 1), n)
		if peers == 0 {
			peers = q
		}
		cs.plan = append(cs.plan, cs.held...)
	}
	return peers
}

// hold collects what arrange left out: recovered nodes, or if there are none
// the nodes to avoid as well.
func (cs *candidates) hold(prime []*NodeView, avoid []NodeKey, lead int64) {
	for _, v := range prime {
		if avoided(avoid, v.Key) || v.ease && v.live.pass.Load() > lead {
			cs.held = append(cs.held, v)
		}
	}
}

func avoided(avoid []NodeKey, k NodeKey) bool {
	for _, a := range avoid {
		if a == k {
			return true
		}
	}
	return false
}
