package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// instant is a time since the cluster was made, on the monotonic clock.
type instant = time.Duration

// node is a member of the cluster. All fields but key, live, ref, pool and stop are
// guarded by Cluster.mu.
type node[C Conn] struct {
	key  NodeKey
	live live
	ref  atomic.Pointer[NodeRef]
	pool *pool[C]

	id string
	// addrs are the addresses known for it, seeds first; addrs[addr] is the
	// one that is dialled, and the next one is when that fails.
	addrs    []string
	addr     int
	position int

	role      Role
	roleEpoch uint64
	// demotions counts the times that the node said it is not the primary: a
	// report on a check begun before the last one cannot contradict it.
	demotions uint64
	// drains counts the refusals in the same way.
	drains uint64

	state  State
	since  instant
	reason string
	// reached is set once the node has answered at all.
	reached bool
	// answered is when it last did.
	answered instant
	// refused is set while the last dial was refused for good.
	refused  bool
	lastErr  error
	lastAt   instant
	failures uint64

	gen uint64
	// arisen counts the times that the node became healthy: a caller whose
	// dial failed tries the node again when it has.
	arisen uint64

	idle, leased, closing  int
	dials                  []*dial[C]
	opened, closed, served uint64
	// shed is how many sessions are to be closed instead of returned, so that
	// another node gets the room; grow is how many sessions are owed to this
	// one.
	shed, grow int

	rtt        time.Duration
	serverLoad uint32

	easing   bool
	easeFrom instant
	late     bool

	left, retired bool

	monitor monitorState
}

// monitorState is how others reach a node's monitor.
type monitorState struct {
	stop context.CancelFunc
	// wake ends the monitor's wait; nil while it does not wait.
	wake context.CancelFunc
	// kicked is set when a check is wanted. hasty is set when the reason is a failure.
	kicked, hasty bool
	// checked is when the last check began.
	checked instant
}

// size is how many sessions the node has or is about to have.
func (n *node[C]) size() int { return n.idle + n.leased + len(n.dials) }

// publish copies the counters that policies read.
func (n *node[C]) publish() {
	n.live.idle.Store(int32(n.idle))
	n.live.leased.Store(int32(n.leased))
}

// address is the one to dial now.
func (n *node[C]) address() string { return n.addrs[n.addr] }

// rotate goes on to the next address after a failure on addr.
func (n *node[C]) rotate(addr string) {
	if n.address() == addr {
		n.addr = (n.addr + 1) % len(n.addrs)
		n.rename()
	}
}

// settle keeps using addr, which has just answered.
func (n *node[C]) settle(addr string) {
	if i := slices.Index(n.addrs, addr); i >= 0 && i != n.addr {
		n.addr = i
		n.rename()
	}
}

func (n *node[C]) rename() {
	n.ref.Store(&NodeRef{Key: n.key, ID: n.id, Address: n.address()})
}

// name returns how errors and events call the node.
func (n *node[C]) name() NodeRef { return *n.ref.Load() }

const (
	// easeTime is how long a recovered node takes to get its whole share.
	easeTime = 3 * time.Second
	// easeStart is the share that it begins with.
	easeStart = 0.1
)

// weight is the part of a fair share that the node is to have now.
func (n *node[C]) weight(now instant) float64 {
	if !n.easing {
		return 1
	}
	done := float64(now-n.easeFrom) / float64(easeTime)
	return min(1, easeStart+(1-easeStart)*done)
}

// stuck says whether a dial on the node takes suspiciously long.
func (n *node[C]) stuck(now instant) bool {
	return len(n.dials) > 0 && now-n.dials[0].began >= stagger
}

// rank says how good the node is for target, 0 being best, or -1 when it
// cannot be used.
func (n *node[C]) rank(t Target) int {
	if !n.state.usable() || n.left {
		return -1
	}
	p := t.preference(n.role, !n.reached)
	if p < 0 {
		return -1
	}
	switch n.state {
	case StateHealthy:
		return p
	case StateUnknown:
		return 2 + p
	default:
		return 4 + p
	}
}

const numRanks = 6
