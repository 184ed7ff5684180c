package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	errReset   = errors.New("connection reset by peer")
	errRefused = errors.New("connection refused")
)

// permanentError is what a node says that lets nobody in.
type permanentError struct{}

func (permanentError) Error() string   { return "authentication failed" }
func (permanentError) Permanent() bool { return true }

// network is a cluster of fake nodes.
type network struct {
	mu    sync.Mutex
	nodes map[string]*fakeNode
	// callerDials counts the dials that were not made by monitors.
	callerDials atomic.Int64
	maxOpen     int
	open        int
}

// fakeNode is a node, all of whose behaviour is set by its fields under network.mu.
type fakeNode struct {
	net  *network
	addr string

	id       string
	role     Role
	draining bool
	epoch    uint64
	topology []NodeInfo
	load     uint32

	refuse   error         // dials fail with it
	paused   chan struct{} // not nil: a black hole until closed
	latency  time.Duration // of dials
	rtt      time.Duration // of checks
	checkErr error         // checks fail with it once

	conns    map[*fakeConn]bool
	monitors map[*fakeMonitor]bool
	counters
}

// counters are what a fakeNode counts.
type counters struct {
	dials     int // of sessions, ever
	probes    int // dials of monitors, ever
	checks    int
	opening   int
	maxDials  int // most dials of sessions at a time
	farewells int
}

func (n *fakeNode) counts() counters {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	return n.counters
}

// has says whether c is open.
func (n *fakeNode) has(c *fakeConn) bool {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	return n.conns[c]
}

func (net *network) mostOpen() int {
	net.mu.Lock()
	defer net.mu.Unlock()
	return net.maxOpen
}

func newNetwork(addrs ...string) *network {
	net := &network{nodes: map[string]*fakeNode{}}
	for _, a := range addrs {
		net.add(a)
	}
	return net
}

func (net *network) add(addr string) *fakeNode {
	n := &fakeNode{net: net, addr: addr, id: "id-" + addr, role: RolePrimary,
		conns: map[*fakeConn]bool{}, monitors: map[*fakeMonitor]bool{}}
	net.mu.Lock()
	net.nodes[addr] = n
	net.mu.Unlock()
	return n
}

func (net *network) node(addr string) *fakeNode {
	net.mu.Lock()
	defer net.mu.Unlock()
	return net.nodes[addr]
}

// set changes a node under the lock.
func (n *fakeNode) set(f func(*fakeNode)) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	f(n)
}

// kill ends the node's process: sessions are reset, dials refused.
func (n *fakeNode) kill() {
	n.set(func(n *fakeNode) {
		n.refuse = errRefused
		for c := range n.conns {
			c.fail(errReset)
		}
		for m := range n.monitors {
			m.fail(errReset)
		}
	})
}

// restart undoes kill and drain.
func (n *fakeNode) restart() {
	n.set(func(n *fakeNode) { n.refuse, n.draining = nil, false })
}

func (n *fakeNode) pause() {
	n.set(func(n *fakeNode) {
		if n.paused == nil {
			n.paused = make(chan struct{})
		}
	})
}

func (n *fakeNode) resume() {
	n.set(func(n *fakeNode) {
		if n.paused != nil {
			close(n.paused)
			n.paused = nil
		}
	})
}

// drain makes the node say so to its monitors at once.
func (n *fakeNode) drain() {
	n.set(func(n *fakeNode) { n.draining = true })
	n.announce()
}

// announce sends the node's report to its monitors unasked.
func (n *fakeNode) announce() {
	n.set(func(n *fakeNode) {
		for m := range n.monitors {
			select {
			case m.news <- n.report():
			default:
			}
		}
	})
}

// cutIdle ends every session without a word, as a server's idle timeout does.
func (n *fakeNode) cutIdle() {
	n.set(func(n *fakeNode) {
		for c := range n.conns {
			c.fail(errReset)
		}
	})
}

func (n *fakeNode) report() Report {
	r := Report{NodeID: n.id, Role: n.role, Draining: n.draining, TopologyEpoch: n.epoch, Nodes: n.topology, Load: n.load}
	if n.draining {
		r.Reason = "maintenance"
	}
	return r
}

// reach waits as long as a dial to addr takes.
func (net *network) reach(ctx context.Context, addr string) (*fakeNode, error) {
	net.mu.Lock()
	n := net.nodes[addr]
	if n == nil {
		net.mu.Unlock()
		return nil, fmt.Errorf("lookup %s: no such host", addr)
	}
	latency := n.latency
	net.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := n.passable(ctx); err != nil {
		return nil, err
	}
	net.mu.Lock()
	defer net.mu.Unlock()
	if n.refuse != nil {
		return nil, n.refuse
	}
	return n, nil
}

// passable waits while the node is paused.
func (n *fakeNode) passable(ctx context.Context) error {
	n.net.mu.Lock()
	paused := n.paused
	n.net.mu.Unlock()
	if paused == nil {
		return ctx.Err()
	}
	select {
	case <-paused:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (net *network) dial(ctx context.Context, addr string) (*fakeConn, Report, error) {
	net.callerDials.Add(1)
	if n := net.node(addr); n != nil {
		n.set(func(n *fakeNode) {
			n.dials++
			n.opening++
			n.maxDials = max(n.maxDials, n.opening)
		})
		defer n.set(func(n *fakeNode) { n.opening-- })
	}
	n, err := net.reach(ctx, addr)
	if err != nil {
		return nil, Report{}, err
	}
	c := &fakeConn{node: n, broken: make(chan struct{})}
	net.mu.Lock()
	defer net.mu.Unlock()
	n.conns[c] = true
	net.open++
	net.maxOpen = max(net.maxOpen, net.open)
	return c, n.report(), nil
}

func (net *network) dialMonitor(ctx context.Context, addr string) (Monitor, Report, error) {
	if n := net.node(addr); n != nil {
		n.set(func(n *fakeNode) { n.probes++ })
	}
	n, err := net.reach(ctx, addr)
	if err != nil {
		return nil, Report{}, err
	}
	m := &fakeMonitor{node: n, broken: make(chan struct{}), news: make(chan Report, 8)}
	net.mu.Lock()
	defer net.mu.Unlock()
	n.monitors[m] = true
	return m, n.report(), nil
}

// sessions returns how many sessions and monitors are open.
func (net *network) sessions() (conns, monitors int) {
	net.mu.Lock()
	defer net.mu.Unlock()
	for _, n := range net.nodes {
		conns += len(n.conns)
		monitors += len(n.monitors)
	}
	return conns, monitors
}

// fakeConn is a session on a fakeNode.
type fakeConn struct {
	node   *fakeNode
	broken chan struct{}
	once   sync.Once
	err    error
	// closed counts calls of Close; busy is set while do runs.
	closed atomic.Int32
	busy   atomic.Int32
	checks atomic.Int32
}

func (c *fakeConn) fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.broken)
	})
}

func (c *fakeConn) Alive() error {
	c.checks.Add(1)
	select {
	case <-c.broken:
		return c.err
	default:
		return nil
	}
}

func (c *fakeConn) Close() error {
	if c.closed.Add(1) > 1 {
		panic("a session was closed twice")
	}
	c.node.set(func(n *fakeNode) {
		if n.conns[c] {
			delete(n.conns, c)
			n.net.open--
		}
		select {
		case <-c.broken:
		default:
			n.farewells++
		}
	})
	c.fail(errors.New("use of closed connection"))
	return nil
}

func (c *fakeConn) Abort(cause error) {
	c.fail(fmt.Errorf("aborted: %w", cause))
	c.node.set(func(n *fakeNode) {
		if n.conns[c] {
			delete(n.conns, c)
			n.net.open--
		}
	})
}

// do is a statement that takes d.
func (c *fakeConn) do(ctx context.Context, d time.Duration) error {
	if c.busy.Add(1) > 1 {
		panic("a session is used by two goroutines")
	}
	defer c.busy.Add(-1)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.broken:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
	c.node.net.mu.Lock()
	paused := c.node.paused
	c.node.net.mu.Unlock()
	if paused != nil {
		select {
		case <-paused:
		case <-c.broken:
			return c.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-c.broken:
		return c.err
	default:
		return nil
	}
}

// fakeMonitor is a monitor session on a fakeNode.
type fakeMonitor struct {
	node   *fakeNode
	broken chan struct{}
	once   sync.Once
	err    error
	news   chan Report
}

func (m *fakeMonitor) fail(err error) {
	m.once.Do(func() {
		m.err = err
		close(m.broken)
	})
}

func (m *fakeMonitor) Check(ctx context.Context) (Report, error) {
	m.node.net.mu.Lock()
	m.node.checks++
	rtt := m.node.rtt
	err := m.node.checkErr
	m.node.checkErr = nil
	m.node.net.mu.Unlock()
	if err != nil {
		return Report{}, err
	}
	if rtt > 0 {
		select {
		case <-time.After(rtt):
		case <-ctx.Done():
			return Report{}, ctx.Err()
		}
	}
	if err := m.node.passable(ctx); err != nil {
		return Report{}, err
	}
	select {
	case <-m.broken:
		return Report{}, m.err
	default:
	}
	m.node.net.mu.Lock()
	defer m.node.net.mu.Unlock()
	return m.node.report(), nil
}

func (m *fakeMonitor) Wait(ctx context.Context) (Report, error) {
	select {
	case r := <-m.news:
		return r, nil
	case <-m.broken:
		return Report{}, m.err
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

func (m *fakeMonitor) Close() error {
	m.node.set(func(n *fakeNode) { delete(n.monitors, m) })
	return nil
}

// options are the defaults of the driver, on net.
func (net *network) options(seeds ...string) Options[*fakeConn] {
	return Options[*fakeConn]{
		Seeds: seeds, Dial: net.dial, DialMonitor: net.dialMonitor,
		MinConns: 5, MaxConns: 20, IdleTimeout: time.Minute, MaxLifetime: 30 * time.Minute,
		AcquireTimeout: 5 * time.Second, ConnectTimeout: 5 * time.Second,
		HealthInterval: 2 * time.Second, HealthTimeout: time.Second, ShutdownGrace: time.Second,
		Retry: Backoff{Max: 3, Initial: 100 * time.Millisecond, MaxBackoff: 5 * time.Second, Multiplier: 2},
		Seed:  1, Discover: true,
	}
}

// open makes a cluster that is closed, and looked at, when the test ends.
func open(t testing.TB, opt Options[*fakeConn]) *Cluster[*fakeConn] {
	t.Helper()
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAndCheck(t, c) })
	return c
}

func closeAndCheck(t testing.TB, c *Cluster[*fakeConn]) {
	t.Helper()
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := consistent(c); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total != 0 {
		t.Errorf("%d sessions left after Close", c.total)
	}
}

func mustAcquire(t testing.TB, c *Cluster[*fakeConn], req Request) Lease[*fakeConn] {
	t.Helper()
	l, err := c.Acquire(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stats returns the statistics of the node at addr.
func stats(t testing.TB, c *Cluster[*fakeConn], addr string) NodeStats {
	t.Helper()
	for _, n := range c.Stats().Nodes {
		if n.Node.Address == addr {
			return n
		}
	}
	t.Fatalf("no node %s", addr)
	return NodeStats{}
}
