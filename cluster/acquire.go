package cluster

import (
	"context"
	"fmt"
	"time"
)

const (
	// freshFor is how long a session may be idle and still be used unseen.
	freshFor = time.Second
	// patience is how long a caller waits for the session that is being
	// opened on the chosen node before a free one on another node will do.
	patience = 10 * time.Millisecond
	// stagger is how long a dial may take before the next node is dialled as
	// well (RFC 8305, Happy Eyeballs, section 5: Connection Attempt Delay).
	stagger = 250 * time.Millisecond
	// neverReached bounds the wait for a cluster that has never answered.
	neverReached = 1500 * time.Millisecond
)

// Acquire leases a session on the node that the policy likes best for req. The
// lease must be ended with Release, Fail or Discard.
//
// When no session is free it opens one, or waits for one, in the order of
// arrival; while no node is usable it asks them all and waits for one to come
// back. The wait ends with ctx or after Options.AcquireTimeout, with an
// [*AcquireError] when the pool was exhausted and a [*NoNodeError] when no node
// could serve. It fails with a *NoNodeError before that when all nodes refuse
// for good, and when no node has ever been reached and all have failed for as
// long as the retry schedule takes, 1.5 s at most. After Close it returns
// [ErrClosed]. Safe for concurrent use.
func (c *Cluster[C]) Acquire(ctx context.Context, req Request) (Lease[C], error) {
	if req.Target >= numTargets || req.Holder >= numHolders {
		return Lease[C]{}, fmt.Errorf("cluster: acquire: target %d or holder %d is not one of the constants", req.Target, req.Holder)
	}
	var w *waiter[C]
	for ctx.Err() == nil {
		o := c.quick(req)
		if !o.lease.Valid() && o.err == nil {
			if w == nil {
				w = c.newWaiter(req)
			}
			o = c.wait(ctx, w)
		}
		if o.err != nil {
			return Lease[C]{}, o.err
		}
		if !o.stale || o.lease.s.conn.Alive() == nil {
			return o.lease, nil
		}
		o.lease.Discard()
	}
	if w == nil {
		w = c.newWaiter(req)
	}
	return Lease[C]{}, c.abandon(w, ctx.Err()).err
}

// quick takes an idle session on the preferred node, if there is one. It
// allocates nothing.
func (c *Cluster[C]) quick(req Request) (o outcome[C]) {
	v := c.view.Load()
	prime := v.prime[req.Target]
	if len(prime) == 0 {
		return o
	}
	cs := c.scratch.get()
	cs.arrange(prime, req.Avoid, v.easing, c.lead.Load(), c.opt.Policy)
	n := v.nodes[cs.plan[0].slot]
	c.scratch.put(cs)
	var stack []uintptr
	if c.opt.CaptureStacks {
		stack = callers()
	}
	now := c.now()
	c.mu.Lock()
	switch {
	case c.closed:
		o.err = ErrClosed
	case n.idle > 0 && c.view.Load() == v:
		o = c.grant(n, req.Holder, now)
		o.lease.s.stack = stack
	}
	c.mu.Unlock()
	return o
}

// grant leases an idle session of n.
func (c *Cluster[C]) grant(n *node[C], h Holder, now instant) outcome[C] {
	l := c.lease(n, h, now)
	return outcome[C]{lease: l, stale: now-l.s.idleSince >= freshFor}
}

func (c *Cluster[C]) newWaiter(req Request) *waiter[C] {
	w := &waiter[C]{req: req, since: c.now(), want: 1, patient: true, wake: make(chan struct{}, 1)}
	w.nextHedge = w.since + stagger
	if c.opt.CaptureStacks {
		w.stack = callers()
	}
	w.ticket = c.tickets.Add(1)
	return w
}

// wait queues w and returns when it is served or its time is over.
func (c *Cluster[C]) wait(ctx context.Context, w *waiter[C]) outcome[C] {
	w.done = make(chan outcome[C], 1)
	w.served = false
	c.submit(w)
	timer := time.NewTimer(c.due(w))
	defer timer.Stop()
	for {
		select {
		case o := <-w.done:
			return o
		case <-ctx.Done():
			return c.abandon(w, ctx.Err())
		case <-timer.C:
			c.tick(w)
		case <-w.wake:
			c.submit(w)
		}
		timer.Reset(c.due(w))
	}
}

// submit plans anew for w, serves it if it can, and queues it otherwise.
func (c *Cluster[C]) submit(w *waiter[C]) {
	cs := c.scratch.get()
	defer c.scratch.put(cs)
	for {
		v := c.view.Load()
		cs.plan = cs.plan[:0]
		peers := 0
		if prime := v.prime[w.req.Target]; len(prime) > 0 {
			peers = cs.arrange(prime, w.req.Avoid, v.easing, c.lead.Load(), c.opt.Policy)
		}
		c.mu.Lock()
		if c.view.Load() == v {
			c.adoptPlan(w, v, cs.plan, peers)
			c.place(w)
			c.unlock()
			return
		}
		c.mu.Unlock()
	}
}

// adoptPlan makes the result of a policy w's plan.
func (c *Cluster[C]) adoptPlan(w *waiter[C], v *view[C], plan []*NodeView, peers int) {
	w.plan, w.peers, w.spare = w.plan[:0], peers, false
	for _, nv := range plan {
		w.plan = append(w.plan, v.nodes[nv.slot])
		w.spare = w.spare || !avoided(w.req.Avoid, nv.Key)
	}
	for _, nv := range v.rest[w.req.Target] {
		w.plan = append(w.plan, v.nodes[nv.slot])
	}
}

// place serves w at once, or queues it and sees to it that something happens.
func (c *Cluster[C]) place(w *waiter[C]) {
	now := c.now()
	switch {
	case w.served:
		return
	case c.closed:
		c.serve(w, outcome[C]{err: ErrClosed})
		return
	case c.seize(w, now):
		return
	}
	if err := c.hopeless(w, now); err != nil {
		c.serve(w, outcome[C]{err: err})
		return
	}
	if !w.queued {
		c.waits++
		c.queue.add(w)
	}
	c.pumpDue = true
}

// seize serves w with an idle session if that is right: one on the first node
// that does not fail or hang, or one on a peer if none can be opened there now.
func (c *Cluster[C]) seize(w *waiter[C], now instant) bool {
	if len(w.plan) == 0 {
		return false
	}
	first := w.plan[0]
	for _, n := range w.plan {
		if n.idle > 0 || !n.stuck(now) && !w.gaveUpOn(n) {
			first = n
			break
		}
	}
	if first.idle > 0 {
		c.serve(w, c.grant(first, w.req.Holder, now))
		return true
	}
	full := c.total >= c.opt.MaxConns
	if full {
		c.shift(w, now)
	}
	if full || len(first.dials) >= c.opt.DialsPerNode || w.gaveUpOn(first) {
		return c.seizePeer(w, now)
	}
	return false
}

// seizePeer serves w with an idle session on any node that will do as well as
// the preferred one.
func (c *Cluster[C]) seizePeer(w *waiter[C], now instant) bool {
	for _, n := range w.plan[:w.peers] {
		if n.idle > 0 {
			c.serve(w, c.grant(n, w.req.Holder, now))
			return true
		}
	}
	return false
}

// serve ends w's wait.
func (c *Cluster[C]) serve(w *waiter[C], o outcome[C]) {
	if o.lease.s != nil {
		o.lease.s.stack = w.stack
	}
	c.dequeue(w)
	w.served = true
	w.done <- o
}

// dequeue takes w out of the queue and leaves its dials to others.
func (c *Cluster[C]) dequeue(w *waiter[C]) {
	c.queue.remove(w)
	for _, d := range w.dials {
		d.owner = nil
		d.node.live.claims.Add(-1)
	}
	w.dials = nil
}

// accepts says whether a free session on n is for w.
func (c *Cluster[C]) accepts(w *waiter[C], n *node[C]) bool {
	r := n.rank(w.req.Target)
	if r < 0 || r != c.view.Load().best[w.req.Target] {
		return false
	}
	return !w.spare || !avoided(w.req.Avoid, n.key)
}

// deliver hands the idle sessions of n to those who wait longest for one.
func (c *Cluster[C]) deliver(n *node[C], now instant) {
	for w := c.queue.head; w != nil && n.idle > 0; {
		after := w.next
		if c.accepts(w, n) {
			c.serve(w, c.grant(n, w.req.Holder, now))
		}
		w = after
	}
}

// abandon ends w's wait because of cause and returns the error for it. A
// session that arrived in the same moment goes to the next in the queue.
func (c *Cluster[C]) abandon(w *waiter[C], cause error) outcome[C] {
	c.mu.Lock()
	select {
	case o := <-w.done:
		if o.lease.Valid() {
			c.giveBack(o.lease.s)
		}
	default:
	}
	err := error(ErrClosed)
	if !c.closed {
		err = c.waitError(w, cause)
	}
	c.dequeue(w)
	w.served = true
	c.pumpDue = true
	c.unlock()
	return outcome[C]{err: err}
}

// due returns how long w may sleep before tick has something to do.
func (c *Cluster[C]) due(w *waiter[C]) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := w.nextHedge
	if w.patient {
		at = min(at, w.since+patience)
	}
	if t := c.opt.AcquireTimeout; t > 0 {
		at = min(at, w.since+t)
	}
	if w.giveUpAt > 0 {
		at = min(at, w.giveUpAt)
	}
	return max(at-c.now(), 0)
}

// tick does what has become due for w.
func (c *Cluster[C]) tick(w *waiter[C]) {
	c.mu.Lock()
	defer c.unlock()
	now := c.now()
	if w.served {
		return
	}
	if t := c.opt.AcquireTimeout; t > 0 && now >= w.since+t {
		c.serve(w, outcome[C]{err: c.waitError(w, context.DeadlineExceeded)})
		c.pumpDue = true
		return
	}
	if w.giveUpAt > 0 && now >= w.giveUpAt {
		c.serve(w, outcome[C]{err: c.noNode(w, nil)})
		return
	}
	if w.patient && now >= w.since+patience {
		w.patient = false
		c.pumpDue = true
	}
	if now >= w.nextHedge {
		w.nextHedge = now + stagger
		if n := len(w.dials); n > 0 && now-w.dials[n-1].began >= stagger && w.want <= n {
			w.want = n + 1
		}
		c.pumpDue = true // also for dials that have become stuck meanwhile
	}
	if !w.patient {
		c.seizePeer(w, now)
	}
}

// hopeless returns an error when waiting cannot help w: every node refuses for
// good. For a cluster that was never reached it limits w's time. While no node
// is usable it has them all asked.
func (c *Cluster[C]) hopeless(w *waiter[C], now instant) error {
	untried := false
	for _, n := range w.plan {
		untried = untried || !w.gaveUpOn(n)
	}
	if untried || len(w.dials) > 0 {
		return nil
	}
	c.kickAll()
	refused, failed := true, true
	for _, n := range c.nodes {
		refused = refused && n.refused && n.leased == 0
		failed = failed && n.failures > 0
	}
	if refused {
		return c.noNode(w, nil)
	}
	if !c.reached && failed && w.giveUpAt == 0 {
		w.giveUpAt = max(w.since+c.opt.Retry.total(neverReached), now)
	}
	if c.reached {
		w.giveUpAt = 0
	}
	return nil
}
