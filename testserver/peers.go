package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// peers watches the nodes that other processes run on the same data. Each is
// probed as a client's monitor would: by a session that pings at an interval, and
// hears at once of a drain. Peers that a peer lists are probed too, so that it
// is enough to name one of them. It is safe for concurrent use.
type peers struct {
	c        *Cluster
	interval time.Duration
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu    sync.Mutex       // protects what follows
	known map[string]*peer // by address
}

// peer is a node that is probed.
type peer struct {
	addr  string
	node  wire.Node     // as known; of the probe's goroutine
	first chan struct{} // closed after the first attempt
	once  sync.Once

	// peers.mu protects what follows.
	configured bool            // named in Options.Peers: never dropped
	nonce      [16]byte        // of the probe's handshake under way
	own        bool            // the address turned out to be one of our own nodes
	listed     map[string]bool // addresses that this peer lists as not down
}

func newPeers(c *Cluster) *peers {
	p := &peers{c: c, interval: c.opts.ProbeInterval, known: map[string]*peer{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// start starts the probes and waits until each of the peers has answered or
// failed to.
func (p *peers) start(addrs []string) {
	var first []*peer
	for _, addr := range addrs {
		if q := p.add(addr, true); q != nil {
			first = append(first, q)
		}
	}
	for _, q := range first {
		<-q.first
	}
}

// stop ends all probes and waits for them.
func (p *peers) stop() {
	p.mu.Lock()
	p.cancel()
	p.mu.Unlock()
	p.wg.Wait()
}

// add starts to probe an address, unless that goes on or it is our own. It
// gives the probe; nil when there is none.
func (p *peers) add(addr string, configured bool) *peer {
	for _, n := range p.c.Nodes() {
		if n.Addr() == addr {
			return nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.known[addr]; q != nil {
		// A peer that was quicker may have listed it already.
		q.configured = q.configured || configured
		return q
	}
	if p.ctx.Err() != nil {
		return nil
	}
	q := &peer{addr: addr, configured: configured, first: make(chan struct{})}
	p.known[addr] = q
	if configured {
		// A member whose name is not known yet: to leave it out would tell
		// clients that it has left.
		p.c.topo.setPeer(wire.Node{Address: addr, Status: wire.StatusDown}, change{join: true})
	}
	p.wg.Go(func() { p.watch(q) })
	return q
}

// watch probes a peer until the end, or until nobody lists it any more.
func (p *peers) watch(q *peer) {
	defer q.once.Do(func() { close(q.first) })
	for p.ctx.Err() == nil {
		err := p.probe(q)
		if p.ctx.Err() != nil {
			return
		}
		p.down(q, err)
		own := p.isOwn(q)
		if own {
			p.c.topo.dropPeer(q.addr)
		}
		q.once.Do(func() { close(q.first) })
		if own {
			return
		}
		if p.drop(q) {
			return
		}
		select {
		case <-time.After(p.interval):
		case <-p.ctx.Done():
		}
	}
}

func (p *peers) isOwn(q *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return q.own
}

// down notes that the peer does not answer.
func (p *peers) down(q *peer, err error) {
	p.mu.Lock()
	q.listed = nil
	p.mu.Unlock()
	if q.node.ID == "" || q.node.Status == wire.StatusDown {
		return
	}
	p.c.log.Warn("peer is down", "peer", q.node.ID, "address", q.addr, "error", err)
	q.node.Status = wire.StatusDown
	p.c.topo.setPeer(q.node, change{node: q.node.ID, reason: wire.LeaveGone})
}

// drop forgets a peer that does not answer, that nobody named, and that no
// other peer lists.
func (p *peers) drop(q *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.configured {
		return false
	}
	for _, other := range p.known {
		if other.listed[q.addr] {
			return false
		}
	}
	delete(p.known, q.addr)
	p.c.topo.dropPeer(q.addr)
	return true
}

// probe keeps a monitor session with the peer until it fails.
func (p *peers) probe(q *peer) error {
	ctx, cancel := context.WithTimeout(p.ctx, p.interval)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", q.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(p.ctx, func() { nc.Close() })()
	pr := &probe{peers: p, peer: q, conn: nc, in: wire.NewReader(nc)}
	pr.in.MaxMessageSize = wire.SessionMaxMessageSize
	pr.out.MaxMessageSize = wire.SessionMaxMessageSize
	if err := pr.handshake(); err != nil {
		return err
	}
	q.once.Do(func() { close(q.first) })
	for {
		if err := pr.ping(); err != nil {
			return err
		}
	}
}

// probe is a monitor session with a peer.
type probe struct {
	peers    *peers
	peer     *peer
	conn     net.Conn
	in       *wire.Reader
	out      wire.Encoder
	sequence uint64
}

func (pr *probe) send(kind wire.Type, payload appender) error {
	pr.sequence++
	pr.out.Reset()
	pr.out.Begin(kind, pr.sequence)
	if payload != nil {
		pr.out.Payload = payload.AppendTo(pr.out.Payload)
	}
	if err := pr.out.End(); err != nil {
		return err
	}
	pr.conn.SetWriteDeadline(time.Now().Add(pr.peers.interval))
	_, err := pr.conn.Write(pr.out.Bytes())
	return err
}

func (pr *probe) handshake() error {
	h := wire.ClientHandshake{
		VersionMin: wire.VersionMin, VersionMax: wire.VersionMax, ClientName: "qdb-server " + Version + " (peer)",
		Offered: wire.ProtocolTCP, InUse: wire.ProtocolTCP, Features: wire.FeatureTopology,
		MaxMessageSize: wire.SessionMaxMessageSize, Monitor: true,
	}
	rand.Read(h.Nonce[:])
	pr.peers.expect(pr.peer, h.Nonce)
	if err := pr.send(wire.TypeHandshake, &h); err != nil {
		return err
	}
	pr.conn.SetReadDeadline(time.Now().Add(pr.peers.interval))
	for {
		m, err := pr.in.Next()
		if err != nil {
			return err
		}
		if m.Type == wire.TypeHandshake {
			var w wire.ServerHandshake
			if err := w.Decode(m.Payload); err != nil {
				return err
			}
			return pr.peers.met(pr.peer, &w)
		}
		if err := pr.take(m); err != nil {
			return err
		}
	}
}

// ping sends a Ping and takes what comes until the next one is due, among it
// the Pong in time.
func (pr *probe) ping() error {
	sent := time.Now()
	if err := pr.send(wire.TypePing, nil); err != nil {
		return err
	}
	answered := false
	for {
		pr.conn.SetReadDeadline(sent.Add(pr.peers.interval))
		m, err := pr.in.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) && answered {
			return nil
		}
		if err != nil {
			return err
		}
		answered = answered || m.Type == wire.TypePong
		if err := pr.take(m); err != nil {
			return err
		}
	}
}

// take handles a message of the peer.
func (pr *probe) take(m wire.Message) error {
	switch m.Type {
	case wire.TypePong:
		var pong wire.Pong
		if err := pong.Decode(m.Payload); err != nil {
			return err
		}
		pr.peers.status(pr.peer, pong.Status, pong.TopologyEpoch)
	case wire.TypeClusterJoin, wire.TypeClusterLeave:
		var ch wire.TopologyChange
		if err := ch.Decode(m.Payload); err != nil {
			return err
		}
		pr.peers.heard(pr.peer, &ch.Topology)
	case wire.TypeError:
		var e wire.Error
		if err := e.Decode(m.Payload); err != nil {
			return err
		}
		return &e
	}
	return nil
}

// expect notes the nonce of a probe's handshake.
func (p *peers) expect(q *peer, nonce [16]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q.nonce = nonce
}

// recognize is told the nonce of every handshake that one of our own nodes
// receives. If a probe has sent it, that probe has ended up at ourselves.
func (p *peers) recognize(nonce [16]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.known {
		if q.nonce == nonce && nonce != [16]byte{} {
			q.own = true
		}
	}
}

// met takes note of a peer that has answered for the first time on a connection.
func (p *peers) met(q *peer, w *wire.ServerHandshake) error {
	if p.isOwn(q) {
		p.c.log.Warn("a peer is one of this process's own nodes", "address", q.addr, "node", w.NodeID)
		return fmt.Errorf("testserver: peer %s is this process's own node %s", q.addr, w.NodeID)
	}
	for _, n := range p.c.Nodes() {
		if n.ID() == w.NodeID {
			p.c.log.Error("a peer has the id of one of this process's own nodes: give them distinct numbers", "address", q.addr, "node", w.NodeID)
			return fmt.Errorf("testserver: peer %s says it is node %s, which this process runs", q.addr, w.NodeID)
		}
	}
	if q.node.ID != w.NodeID && q.node.ID != "" {
		p.c.topo.dropPeer(q.addr)
		q.node = wire.Node{}
	}
	q.node.ID, q.node.Address, q.node.Role = w.NodeID, q.addr, wire.RolePrimary
	p.heard(q, &w.Topology)
	return nil
}

// heard takes a peer's view: what it says of itself, and whom it lists.
func (p *peers) heard(q *peer, t *wire.Topology) {
	listed := map[string]bool{}
	for _, n := range t.Nodes {
		if n.ID == q.node.ID {
			p.status(q, n.Status, t.Epoch)
		} else if n.Status != wire.StatusDown {
			listed[n.Address] = true
		}
	}
	p.mu.Lock()
	q.listed = listed
	p.mu.Unlock()
	for addr := range listed {
		p.add(addr, false)
	}
}

// status takes note of what a peer says of itself.
func (p *peers) status(q *peer, status wire.NodeStatus, epoch uint64) {
	if q.node.Status == status && p.c.topo.lists(q.node) {
		return
	}
	q.node.Status = status
	ch := change{node: q.node.ID, seen: epoch}
	switch status {
	case wire.StatusUp:
		ch.join = true
	case wire.StatusDraining:
		ch.reason = wire.LeaveDraining
	default:
		ch.reason = wire.LeaveGone
	}
	p.c.log.Info("peer", "peer", q.node.ID, "address", q.addr, "draining", status == wire.StatusDraining)
	p.c.topo.setPeer(q.node, ch)
}
