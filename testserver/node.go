package testserver

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// Node is a member of the cluster with a listener and sessions of its own. It
// is safe for concurrent use. Between Kill and Restart it has no listener, but
// keeps its id, address and counters.
type Node struct {
	cluster *Cluster
	id      string
	number  uint64

	gate   gate
	faults atomic.Pointer[faultSet]
	counts counts

	dials, opened  atomic.Int64
	sent, received atomic.Int64 // bytes
	writes         atomic.Int64 // of sockets

	restart sync.Mutex // one Restart at a time

	mu     sync.Mutex // protects what follows
	addr   string
	life   *life // nil while the node is down
	status wire.NodeStatus
	// unreserve gives up the port of a node that is down; nil while it is up.
	unreserve func()
	// drained is closed when the last drain has ended; nil when there was none
	// since the node's start.
	drained chan struct{}
}

func newNode(c *Cluster, number int) *Node {
	return &Node{cluster: c, id: strconv.Itoa(number), number: uint64(number), status: wire.StatusDown}
}

// ID is the node's id in the topology, such as "1".
func (n *Node) ID() string { return n.id }

// Addr is the node's address, host:port. It stays the same over restarts.
func (n *Node) Addr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// start begins a life of the node: it listens on addr.
func (n *Node) start(addr string) error {
	ln, err := listenTCP(addr)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = ln.Addr().String()
	n.life, n.drained = newLife(n, ln), nil
	n.status = wire.StatusUp
	n.release()
	n.life.serve()
	return nil
}

// release gives up the reserved port. It is called with mu held.
func (n *Node) release() {
	if n.unreserve != nil {
		n.unreserve()
		n.unreserve = nil
	}
}

// stop ends the node's life, if it has one, and waits for it. It reports
// whether it had one. Unless it is for good, the port is kept.
func (n *Node) stop(how ending) bool {
	n.mu.Lock()
	life := n.life
	n.life, n.status = nil, wire.StatusDown
	n.mu.Unlock()
	if life != nil {
		life.end(how)
		n.gate.resume()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.release()
	if how != endClose && n.life == nil && !n.cluster.isClosed() {
		n.unreserve = reserve(n.addr)
	}
	return life != nil
}

// Kill ends the node as kill -9 does: the listener is gone, every connection is
// reset at once, open transactions are rolled back, and nothing that was
// acknowledged is lost. It returns when all of that is done. The monitors of
// the other nodes hear that it is gone. It does nothing when the node is down.
func (n *Node) Kill() {
	if n.stop(endKill) {
		n.cluster.log.Info("node killed", "node", n.id)
		n.cluster.topo.changed(change{node: n.id, reason: wire.LeaveGone})
	}
}

// restartPatience is how long Restart tries to get the node's port back.
const restartPatience = 5 * time.Second

// Restart brings the node up again on the same address. A node that is draining
// is waited for first, one that is up or paused is killed. Faults stay as they
// are set. It fails when the port cannot be listened on.
func (n *Node) Restart() error {
	n.restart.Lock()
	defer n.restart.Unlock()
	n.awaitDrain()
	n.Kill()
	if n.cluster.isClosed() {
		return errClosed
	}
	deadline := time.Now().Add(restartPatience)
	for {
		err := n.start(n.Addr())
		if err == nil {
			break
		}
		// While the node was down, the port may have been lent to somebody's
		// outgoing connection.
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n.cluster.isClosed() {
		n.stop(endClose)
		return errClosed
	}
	n.cluster.log.Info("node restarted", "node", n.id, "address", n.Addr())
	n.cluster.topo.changed(change{node: n.id, join: true})
	return nil
}

// awaitDrain waits for the end of a drain, if there is one.
func (n *Node) awaitDrain() {
	n.mu.Lock()
	drained := n.drained
	n.mu.Unlock()
	if drained != nil {
		<-drained
	}
}

func (c *Cluster) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Pause makes the node a black hole: nothing is read or written any more, on
// existing connections and on new ones, which the kernel still completes.
// Nobody is told. Statements under way run on, their answers wait.
func (n *Node) Pause() { n.gate.pause() }

// Resume ends a pause. What arrived meanwhile is served. It does nothing when
// the node is not paused.
func (n *Node) Resume() { n.gate.resume() }

// Status is the node's state in the topology. A pause does not show in it.
func (n *Node) Status() wire.NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// SetFaults makes the node's connections go wrong from now on, in the way that
// f says; the zero value ends it. It takes hold of reads and writes that begin
// afterwards, and of what reads under way receive.
func (n *Node) SetFaults(f Faults) {
	if f == (Faults{}) {
		n.faults.Store(nil)
		return
	}
	n.faults.Store(&faultSet{Faults: f})
}

// FaultsHit is how many connections were cut or corrupted since SetFaults.
func (n *Node) FaultsHit() int64 {
	set := n.faults.Load()
	if set == nil {
		return 0
	}
	if hit := set.hit.Load(); set.Limit == 0 || hit < set.Limit {
		return hit
	}
	return set.Limit
}

// Sessions is the number of sessions that are open, without monitors. A
// connection becomes a session by its handshake.
func (n *Node) Sessions() int { return n.count(false) }

// Monitors is the number of monitor sessions that are open.
func (n *Node) Monitors() int { return n.count(true) }

func (n *Node) count(monitors bool) int {
	n.mu.Lock()
	life := n.life
	n.mu.Unlock()
	if life == nil {
		return 0
	}
	return life.count(monitors)
}

// SessionsOpened is how many sessions, without monitors, the node has opened
// in all its lives.
func (n *Node) SessionsOpened() int64 { return n.opened.Load() }

// Dials is how many connections the node has been sent in all its lives. Those
// that come while it is paused are counted too.
func (n *Node) Dials() int64 { return n.dials.Load() }

// BytesSent is how many bytes the node has written to its sockets.
func (n *Node) BytesSent() int64 { return n.sent.Load() }

// BytesReceived is how many bytes the node has read from its sockets.
func (n *Node) BytesReceived() int64 { return n.received.Load() }

// Executed is how many times the node started a statement whose text begins
// with prefix, in all its lives. It counts attempts that failed too. The text
// is that of one statement without leading space, cut at 256 bytes, so the
// prefix must be shorter; at most 10,000 distinct texts are told apart, and
// those after them are not counted.
func (n *Node) Executed(prefix string) int64 { return n.counts.sum(prefix) }
