package cluster

import (
	"context"
)

// dial is a session that is being opened. It belongs to the pool: the caller on
// whose account it was begun may go away, and a session that comes of it goes
// to whoever waits longest.
type dial[C Conn] struct {
	node  *node[C]
	gen   uint64
	addr  string
	began instant
	// owner is the caller on whose account it was begun, nil when that was the
	// pool or the caller is gone.
	owner  *waiter[C]
	cancel context.CancelFunc
	// demotions and drains are the node's when the dial began.
	demotions, drains uint64
}

// pump starts dials for those who wait, the oldest first, as far as the limits
// allow, and closes idle sessions that are of no use to them.
func (c *Cluster[C]) pump() {
	if c.closed {
		return
	}
	c.grow()
	if c.queue.len == 0 || !c.mayDial() {
		return
	}
	now := c.now()
	// Room that is about to come free is spoken for: nodes come first.
	claimed := c.owed
	for w := c.queue.head; w != nil; w = w.next {
		if len(w.dials) >= w.want || c.join(w, now) {
			continue
		}
		n := c.choose(w, now)
		if n == nil {
			continue
		}
		if c.total >= c.opt.MaxConns {
			if c.closing <= claimed && !c.evict() {
				return
			}
			claimed++
			continue
		}
		if !w.patient && now >= c.grown+patience || !c.remainder(w) {
			c.startDial(n, w)
		}
	}
}

// mayDial says whether a dial could be started at all, whoever it is for. It
// spares pump the walk through a long queue while everything is busy or down.
func (c *Cluster[C]) mayDial() bool {
	if c.total >= c.opt.MaxConns && c.idle+c.closing == 0 {
		return false
	}
	for _, n := range c.nodes {
		if n.state.usable() && len(n.dials) < c.opt.DialsPerNode {
			return true
		}
	}
	return false
}

// choose returns the node on which a session should be opened for w, or nil
// when none can be opened now: among equals the one with fewest sessions, else
// the first in the plan. A node on which dials hang is passed over as long as
// there is another.
func (c *Cluster[C]) choose(w *waiter[C], now instant) *node[C] {
	var best, stuck, busy *node[C]
	for i, n := range w.plan {
		if i >= w.peers && (best != nil || busy != nil) {
			break
		}
		if n.rank(w.req.Target) < 0 || w.gaveUpOn(n) || w.dialsOn(n) {
			continue
		}
		full := len(n.dials) >= c.opt.DialsPerNode
		switch {
		case n.stuck(now):
			if !full && stuck == nil {
				stuck = n
			}
		case full:
			if busy == nil || n.size() < busy.size() {
				busy = n
			}
		case best == nil || c.share(n, now) < c.share(best, now):
			best = n
		}
	}
	switch {
	case best == nil && busy == nil:
		return stuck
	case best != nil && busy != nil && w.peers > 1 && busy.size() < best.size() && best.size() >= c.opt.MaxConns/w.peers:
		return nil // best has its share already, busy will have room soon
	}
	return best
}

// share is how many sessions n has, measured against what it should have.
func (c *Cluster[C]) share(n *node[C], now instant) float64 {
	return float64(n.size()+n.grow-n.shed) / n.weight(now)
}

// join makes w the owner of a dial that has lost its own, if there is one.
func (c *Cluster[C]) join(w *waiter[C], now instant) bool {
	for _, n := range w.plan[:w.peers] {
		if n.rank(w.req.Target) < 0 || w.gaveUpOn(n) || w.dialsOn(n) {
			continue
		}
		for _, d := range n.dials {
			if d.owner == nil && d.gen == n.gen && now-d.began < stagger {
				c.own(d, w)
				return true
			}
		}
	}
	return false
}

func (c *Cluster[C]) own(d *dial[C], w *waiter[C]) {
	d.owner = w
	w.dials = append(w.dials, d)
	d.node.live.claims.Add(1)
}

// remainder says whether a new session would be one of those that do not divide
// among w's nodes: opening it would give one node more than its share of a
// saturated pool's load. It is opened all the same for a caller who has waited
// although no other session was opened meanwhile.
func (c *Cluster[C]) remainder(w *waiter[C]) bool {
	limit := c.opt.MaxConns
	if w.peers < 2 || limit < w.peers || limit-c.total > limit%w.peers {
		return false
	}
	for _, n := range w.plan[:w.peers] {
		if n.size() < limit/w.peers {
			return false
		}
	}
	return true
}

// startDial opens a session on n for w, or for the pool when w is nil.
func (c *Cluster[C]) startDial(n *node[C], w *waiter[C]) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.ConnectTimeout)
	d := &dial[C]{
		node: n, gen: n.gen, addr: n.address(), began: c.now(), cancel: cancel,
		demotions: n.demotions, drains: n.drains,
	}
	n.dials = append(n.dials, d)
	c.total++
	c.dialing++
	if w != nil {
		c.own(d, w)
	}
	c.wg.Go(func() {
		defer cancel()
		conn, rep, err := c.opt.Dial(ctx, d.addr)
		c.dialed(d, conn, rep, err)
	})
}

// dialed takes in the outcome of a dial.
func (c *Cluster[C]) dialed(d *dial[C], conn C, rep Report, err error) {
	c.mu.Lock()
	n, w := d.node, d.owner
	c.detach(d)
	stale := c.closed || n.left || d.gen != n.gen
	switch {
	case err != nil:
		c.total--
		if !stale {
			c.dialFailed(n, w, d.addr, err)
		}
	case stale:
		n.closing++
		c.closing++
		c.unlock()
		_ = conn.Close() // nobody ever used it
		c.gone(n)
		return
	default:
		c.dialSucceeded(d, w, conn, rep)
		if c.total-c.closing < c.opt.MinConns {
			c.wakeMaintenance()
		}
	}
	if w != nil && !w.served {
		w.nudge()
	}
	c.pumpDue = true
	c.retire(n)
	c.wakeCloser()
	c.unlock()
}

// detach takes d off its node and its owner.
func (c *Cluster[C]) detach(d *dial[C]) {
	c.dialing--
	d.node.dials = without(d.node.dials, d)
	if d.owner != nil {
		d.owner.dials = without(d.owner.dials, d)
		d.node.live.claims.Add(-1)
	}
}

func (c *Cluster[C]) dialFailed(n *node[C], w *waiter[C], addr string, err error) {
	n.rotate(addr)
	sig := sigDialFailed
	if permanent(err) {
		sig = sigDialRefused
	}
	if w != nil {
		w.failed = append(w.failed, failedDial[C]{n, n.arisen, &NodeError{n.name(), err}})
	}
	c.signal(n, sig, err)
}

// dialSucceeded puts the new session into the pool and hands it out.
func (c *Cluster[C]) dialSucceeded(d *dial[C], w *waiter[C], conn C, rep Report) {
	n := c.identify(d.node, d.addr, rep.NodeID)
	now := c.now()
	s := &session[C]{conn: conn, c: c, node: n, gen: n.gen, opened: now, idleSince: now}
	if t := c.opt.MaxLifetime; t > 0 {
		s.expires = now + t - fullJitter(c.rng, t/10)
	}
	if err := n.pool.adopt(s); err != nil {
		panic(err) // only a closed pool refuses, and this one's node is a member
	}
	n.idle++
	n.opened++
	c.idle++
	c.grown = now
	n.publish()
	c.observe(n, sigDialed, rep, d.demotions, d.drains)
	if !n.state.usable() && n.idle > 0 {
		c.closeIdle(n, nil) // it began to drain meanwhile
	}
	if n.idle > 0 && c.queue.len > 0 {
		c.deliver(n, now)
	}
	// Its owner takes it though better nodes have turned up meanwhile.
	if n.idle > 0 && w != nil && w.queued && n.rank(w.req.Target) >= 0 {
		c.serve(w, c.grant(n, w.req.Holder, now))
	}
}

// destroy closes a session that is in nobody's hands and not idle.
func (c *Cluster[C]) destroy(s *session[C]) {
	s.node.closing++
	c.closing++
	s.node.pool.destroy(s)
}

// closeSession is puddle's destructor, on a goroutine of its own.
func (c *Cluster[C]) closeSession(s *session[C]) {
	if s.cause != nil {
		s.conn.Abort(s.cause)
	}
	_ = s.conn.Close() // there is nothing left to save
	c.gone(s.node)
}

// gone counts a session of n that has been closed.
func (c *Cluster[C]) gone(n *node[C]) {
	c.mu.Lock()
	n.closing--
	n.closed++
	c.closing--
	c.total--
	if c.total-c.closing < c.opt.MinConns && n.state.usable() {
		c.wakeMaintenance()
	}
	c.pumpDue = true
	c.retire(n)
	c.wakeCloser()
	c.unlock()
}

// closeIdle closes the idle sessions of n, without a farewell when there is a
// cause.
func (c *Cluster[C]) closeIdle(n *node[C], cause error) {
	for _, s := range n.pool.takeAll() {
		s.cause = cause
		c.idle--
		n.idle--
		c.destroy(s)
	}
	n.publish()
}

// evict closes the idle session that is of least use: on the node with most of
// them the one that was not used for longest.
func (c *Cluster[C]) evict() bool {
	var most *node[C]
	for _, n := range c.nodes {
		if n.idle > 0 && (most == nil || n.idle > most.idle) {
			most = n
		}
	}
	if most == nil {
		return false
	}
	c.closeOldestIdle(most)
	return true
}

func (c *Cluster[C]) closeOldestIdle(n *node[C]) {
	all := n.pool.takeAll()
	last := len(all) - 1
	for i := last - 1; i >= 0; i-- {
		n.pool.put(all[i])
	}
	n.idle--
	c.idle--
	n.publish()
	c.destroy(all[last])
}

// shift begins to move a session to a node that w would rather have used from
// the peer that has most, when the difference is more than the last one that
// does not divide. It is how a recovered node gets its part of a full pool.
func (c *Cluster[C]) shift(w *waiter[C], now instant) {
	if w.peers < 2 {
		return
	}
	under, over := w.plan[0], w.plan[0]
	for _, n := range w.plan[:w.peers] {
		if c.share(n, now) < c.share(under, now) {
			under = n
		}
		if c.share(n, now) > c.share(over, now) {
			over = n
		}
	}
	have := float64(under.size()+under.grow+1) / under.weight(now)
	left := float64(over.size()-over.shed-1) / over.weight(now)
	if have > left || under.state != StateHealthy || len(under.dials)+under.grow >= c.opt.DialsPerNode {
		return
	}
	under.grow++
	c.owed++
	if over.idle > 0 {
		c.closeOldestIdle(over)
	} else {
		over.shed++
	}
}

// grow opens the sessions that are owed to nodes.
func (c *Cluster[C]) grow() {
	if c.owed == 0 {
		return
	}
	for _, n := range c.nodes {
		if n.grow > 0 && n.state != StateHealthy {
			c.owed -= n.grow
			n.grow = 0
		}
		for n.grow > 0 && c.total < c.opt.MaxConns && len(n.dials) < c.opt.DialsPerNode {
			n.grow--
			c.owed--
			c.startDial(n, nil)
		}
	}
	if c.owed == 0 {
		for _, n := range c.nodes {
			n.shed = 0
		}
	}
}

func without[T comparable](list []T, x T) []T {
	for i, v := range list {
		if v == x {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// cancelDials ends the dials under way on n.
func (n *node[C]) cancelDials() {
	for _, d := range n.dials {
		d.cancel()
	}
}
