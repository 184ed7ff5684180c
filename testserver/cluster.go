package testserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/testserver/sqlite"
	"github.com/qdb-go/qdb/wire"
)

// Cluster is a set of nodes over the same data in this process. It is safe for
// concurrent use.
type Cluster struct {
	opts       Options
	log        *slog.Logger
	backend    backend.Backend
	ownBackend bool
	txs        *txLog
	topo       *topology
	peers      *peers

	mu     sync.Mutex // protects what follows
	nodes  []*Node
	nextID int
	closed bool
}

// TB is what Start needs of a test: *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start starts a cluster for a test, which it fails if that is impossible. The
// cluster is closed when the test ends.
func Start(tb TB, o Options) *Cluster {
	tb.Helper()
	c, err := New(o)
	if err != nil {
		tb.Fatalf("start the cluster: %v", err)
		return nil
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// New starts a cluster. When it returns, all nodes accept connections, and the
// peers have been asked who they are. Close ends it.
func New(o Options) (*Cluster, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, log: o.Logger, backend: o.Backend, txs: newTxLog(), nextID: o.NodeIDBase}
	c.topo, c.peers = newTopology(c), newPeers(c)
	if c.backend == nil {
		if c.backend, err = sqlite.Open(sqlite.Options{Path: o.Data, Sync: o.Sync}); err != nil {
			return nil, fmt.Errorf("testserver: open the data: %w", err)
		}
		c.ownBackend = true
	}
	for i := range o.Nodes {
		addr, err := addressOf(o.Listen, i)
		if err == nil {
			_, err = c.addNode(addr)
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	c.peers.start(o.Peers)
	return c, nil
}

// addressOf gives the address of the i-th node: the i-th port after listen's.
func addressOf(listen string, i int) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("testserver: listen address %q is not host:port: %w", listen, err)
	}
	first, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", fmt.Errorf("testserver: port of listen address %q is not a number from 0 to 65535", listen)
	}
	if first == 0 {
		return listen, nil
	}
	if first+uint64(i) > 65535 {
		return "", fmt.Errorf("testserver: no port is left for node %d after %s", i+1, listen)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(first)+i)), nil
}

// AddNode starts one more node, on a free port of the host in Options.Listen.
// Monitors hear of it at once.
func (c *Cluster) AddNode() (*Node, error) {
	host, _, err := net.SplitHostPort(c.opts.Listen)
	if err != nil {
		return nil, err
	}
	return c.addNode(net.JoinHostPort(host, "0"))
}

func (c *Cluster) addNode(addr string) (*Node, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	n := newNode(c, c.nextID)
	c.nextID++
	c.mu.Unlock()
	if err := n.start(addr); err != nil {
		return nil, err
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.nodes = append(c.nodes, n)
	}
	c.mu.Unlock()
	if closed {
		n.stop(endClose)
		return nil, errClosed
	}
	c.topo.changed(change{node: n.id, join: true})
	return n, nil
}

var errClosed = errors.New("testserver: the cluster is closed")

// RemoveNode kills the i-th node and takes it off the cluster: unlike one that
// was only killed, the topology lists it no more. It panics when there is none.
func (c *Cluster) RemoveNode(i int) {
	c.mu.Lock()
	n := c.nodes[i]
	c.nodes = slices.Delete(c.nodes, i, i+1)
	c.mu.Unlock()
	n.stop(endKill)
	n.stop(endClose) // for good
	c.topo.changed(change{node: n.id, reason: wire.LeaveGone})
}

// Node gives the i-th node, counted from 0. It panics when there is none.
func (c *Cluster) Node(i int) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// Nodes gives all nodes that this process runs, those that were killed too.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// Executed is the sum of Node.Executed over all nodes.
func (c *Cluster) Executed(prefix string) (total int64) {
	for _, n := range c.Nodes() {
		total += n.Executed(prefix)
	}
	return total
}

// DSN gives a data source name that lists all nodes and Options.Peers, such as
// "qdb://127.0.0.1:7000,127.0.0.1:7001".
func (c *Cluster) DSN() string {
	var hosts []string
	for _, n := range c.Nodes() {
		hosts = append(hosts, n.Addr())
	}
	return "qdb://" + strings.Join(append(hosts, c.opts.Peers...), ",")
}

// Close ends all nodes at once: sessions are closed, transactions rolled back.
// It waits until everything has stopped, and gives the error of closing the
// data. Later calls do nothing.
func (c *Cluster) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	nodes := slices.Clone(c.nodes)
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.peers.stop()
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { n.stop(endClose) })
	}
	wg.Wait()
	if !c.ownBackend {
		return nil
	}
	return c.backend.Close()
}

// Drain drains all nodes and waits until the last of them has ended, which
// takes Options.DrainGrace at most and a little more, or until ctx ends.
func (c *Cluster) Drain(ctx context.Context) error {
	nodes := c.Nodes()
	for _, n := range nodes {
		n.Drain()
	}
	for _, n := range nodes {
		select {
		case <-n.Drained():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
