package cluster

import (
	"context"
	"time"
)

const (
	// hastyPause is the least time between two checks of a node that are
	// made because something failed on it.
	hastyPause = 50 * time.Millisecond
	// askPause is the least time between two checks that are made because
	// callers find no usable node.
	askPause = 500 * time.Millisecond
	// probeFirst and probeMax are the first and the longest wait between two
	// probes of a node that is down, before jitter. A node that is back is
	// noticed within probeMax plus the time that the probe takes.
	probeFirst = 100 * time.Millisecond
	probeMax   = time.Second
	// refusedMax is the longest wait when the node refuses for good.
	refusedMax = 30 * time.Second
	// rttWeight is the weight of the latest round trip in the average.
	rttWeight = 0.2
)

// kick asks n's monitor for a check soon; hasty says that something failed.
func (c *Cluster[C]) kick(n *node[C], hasty bool) {
	m := &n.monitor
	m.kicked = true
	m.hasty = m.hasty || hasty
	if m.wake != nil {
		m.wake()
	}
}

// kickAll asks every node, as callers find none to use.
func (c *Cluster[C]) kickAll() {
	for _, n := range c.nodes {
		c.kick(n, false)
	}
}

// watch is the life of n's monitor.
func (c *Cluster[C]) watch(ctx context.Context, n *node[C]) {
	for ctx.Err() == nil {
		m := c.connect(ctx, n)
		if m == nil {
			return
		}
		c.follow(ctx, n, m)
		_ = m.Close() // it failed already, or the cluster is done with it
	}
}

// connect dials until n answers, with growing waits. It returns nil when ctx ends.
func (c *Cluster[C]) connect(ctx context.Context, n *node[C]) Monitor {
	for failed := 0; ctx.Err() == nil; failed++ {
		m, refused := c.probe(ctx, n, failed)
		if m != nil {
			return m
		}
		limit := probeMax
		if refused {
			limit = refusedMax
		}
		b := Backoff{Initial: probeFirst, MaxBackoff: limit, Multiplier: 2}
		c.mu.Lock()
		wait := fullJitter(c.rng, b.Delay(failed))
		c.mu.Unlock()
		c.pause(ctx, n, max(wait, hastyPause))
	}
	return nil
}

// probe dials n once, at each of its addresses until one answers. A node that is
// suspect or down gets the health timeout for its answer, so that a connection
// attempt that was lost is soon made anew; of those to a node that is down every
// fourth gets the whole connect timeout, for nodes that are slow to answer.
func (c *Cluster[C]) probe(ctx context.Context, n *node[C], failed int) (m Monitor, refused bool) {
	limit := c.opt.ConnectTimeout
	c.mu.Lock()
	if n.state == StateSuspect || n.state == StateDown && failed%4 != 3 {
		limit = min(limit, c.opt.HealthTimeout)
	}
	demotions, drains, addrs := n.demotions, n.drains, len(n.addrs)
	c.checking(n)
	c.mu.Unlock()
	began := c.now()
	told := make(chan struct{})
	late := time.AfterFunc(c.opt.HealthTimeout, func() {
		defer close(told)
		c.report(ctx, n, sigTimeout, began, errNodeSilent)
	})
	var addr string
	var rep Report
	var err error
	for range addrs {
		addr, m, rep, err = c.probeNext(ctx, n, limit)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if !late.Stop() {
		<-told
	}
	if err != nil {
		sig := sigProbeFailed
		if refused = permanent(err); refused {
			sig = sigProbeRefused
		}
		c.report(ctx, n, sig, began, err)
		return nil, refused
	}
	c.heard(n, addr, rep, demotions, drains)
	return m, false
}

// probeNext dials n at its current address, and goes on to the next one when
// that fails.
func (c *Cluster[C]) probeNext(ctx context.Context, n *node[C], limit time.Duration) (string, Monitor, Report, error) {
	c.mu.Lock()
	addr := n.address()
	c.mu.Unlock()
	dctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, rep, err := c.opt.DialMonitor(dctx, addr)
	if err != nil {
		c.mu.Lock()
		n.rotate(addr)
		c.mu.Unlock()
	}
	return addr, m, rep, err
}

// follow checks n through m until that fails or ctx ends.
func (c *Cluster[C]) follow(ctx context.Context, n *node[C], m Monitor) {
	for c.check(ctx, n, m) {
		for {
			rep, due, err := c.listen(ctx, n, m)
			if ctx.Err() != nil {
				return
			}
			if due {
				break
			}
			if err != nil {
				c.report(ctx, n, sigError, c.now(), err)
				return
			}
			c.mu.Lock()
			demotions, drains := n.demotions, n.drains
			c.mu.Unlock()
			c.heard(n, "", rep, demotions, drains)
		}
	}
}

// check makes one round trip and says whether m is still good.
func (c *Cluster[C]) check(ctx context.Context, n *node[C], m Monitor) bool {
	c.mu.Lock()
	demotions, drains := n.demotions, n.drains
	c.checking(n)
	c.mu.Unlock()
	cctx, cancel := context.WithTimeout(ctx, c.opt.HealthTimeout)
	defer cancel()
	began := c.now()
	rep, err := m.Check(cctx)
	if err != nil {
		sig := sigError
		if cctx.Err() != nil {
			sig, err = sigTimeout, errNodeSilent
		}
		c.report(ctx, n, sig, began, err)
		return false
	}
	c.measured(n, c.now()-began)
	c.heard(n, "", rep, demotions, drains)
	return true
}

// listen waits for news, or until a check is due, by the clock or by a kick.
func (c *Cluster[C]) listen(ctx context.Context, n *node[C], m Monitor) (rep Report, due bool, err error) {
	interval := c.opt.HealthInterval
	if interval > 0 {
		c.mu.Lock()
		due := n.monitor.checked + vary(c.rng, interval)
		c.mu.Unlock()
		interval = max(due-c.now(), hastyPause)
	}
	wctx, done := c.untilKicked(ctx, n, interval)
	defer done()
	if wctx.Err() != nil {
		return Report{}, true, nil
	}
	rep, err = m.Wait(wctx)
	return rep, err != nil && wctx.Err() != nil, err
}

// pause sleeps, unless the monitor is kicked.
func (c *Cluster[C]) pause(ctx context.Context, n *node[C], d time.Duration) {
	wctx, done := c.untilKicked(ctx, n, d)
	defer done()
	<-wctx.Done()
}

// untilKicked returns a context that ends after d, if d is positive, or when
// the monitor is kicked, but leaves the least pause between checks.
func (c *Cluster[C]) untilKicked(ctx context.Context, n *node[C], d time.Duration) (context.Context, func()) {
	base, cancel := context.WithCancel(ctx)
	wctx, stop := base, context.CancelFunc(func() {})
	if d > 0 {
		wctx, stop = context.WithTimeout(base, d)
	}
	var timer *time.Timer
	m := &n.monitor
	soon := func() { // under the lock
		rest := askPause
		if m.hasty {
			rest = hastyPause
		}
		rest -= c.now() - m.checked
		switch {
		case rest <= 0:
			cancel()
		case timer == nil:
			timer = time.AfterFunc(rest, cancel)
		default:
			timer.Reset(rest)
		}
	}
	c.mu.Lock()
	m.wake = soon
	if m.kicked {
		soon()
	}
	c.mu.Unlock()
	return wctx, func() {
		c.mu.Lock()
		m.wake = nil
		if timer != nil {
			timer.Stop()
		}
		c.mu.Unlock()
		stop()
		cancel()
	}
}

// checking notes that n is being asked now.
func (c *Cluster[C]) checking(n *node[C]) {
	n.monitor.checked = c.now()
	n.monitor.kicked, n.monitor.hasty = false, false
	for s := c.leases.oldest; s != nil; s = s.after {
		if s.node == n {
			s.received = received(s.conn)
		}
	}
}

// talking reports whether a session has heard from n since its monitor last asked
// it. A node that sends rows is not dead, however late its answer to a check is:
// the machine, or the line, may be busy with those very rows.
func (c *Cluster[C]) talking(n *node[C]) bool {
	for s := c.leases.oldest; s != nil; s = s.after {
		if s.node == n && received(s.conn) > s.received {
			return true
		}
	}
	return false
}

func received[C Conn](conn C) int64 {
	if counter, ok := any(conn).(Receiver); ok {
		return counter.Received()
	}
	return 0
}

// report takes in a failure that n's monitor has seen, in a check that began
// then. If the node has answered somebody since, as one does that has just been
// restarted, the failure is old news; and one that is late with its answer while it
// sends rows is busy. Both are a reason to ask again, and no more.
func (c *Cluster[C]) report(ctx context.Context, n *node[C], sig signal, began instant, err error) {
	if ctx.Err() != nil {
		return // the monitor is being stopped, which says nothing of the node
	}
	c.mu.Lock()
	if (sig == sigTimeout || sig == sigProbeFailed) && (n.answered > began || c.talking(n)) {
		sig = sigError
	}
	switch {
	case c.closed:
	case !n.left:
		c.signal(n, sig, err)
	case sig == sigTimeout || sig == sigProbeFailed:
		c.perform(n, doRetire|doAbort, err)
	}
	c.unlock()
}

// heard takes in a report that n's monitor got.
func (c *Cluster[C]) heard(n *node[C], addr string, rep Report, demotions, drains uint64) {
	c.mu.Lock()
	defer c.unlock()
	if c.closed || n.left {
		return
	}
	if c.identify(n, addr, rep.NodeID) != n {
		// Another member answered: this one's address leads elsewhere.
		if !n.left {
			c.signal(n, sigProbeFailed, errElsewhere)
		}
		return
	}
	if addr != "" {
		n.settle(addr)
	}
	c.observe(n, sigAnswer, rep, demotions, drains)
}

// measured takes in a round trip.
func (c *Cluster[C]) measured(n *node[C], rtt time.Duration) {
	c.mu.Lock()
	defer c.unlock()
	rtt = max(rtt, 1)
	if n.rtt == 0 {
		n.rtt = rtt
	} else {
		n.rtt = max(time.Duration(rttWeight*float64(rtt)+(1-rttWeight)*float64(n.rtt)), 1)
	}
	c.refresh(false)
}
