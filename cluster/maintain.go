package cluster

import (
	"slices"
	"time"
)

// maintain closes sessions that are too old or were idle for too long, keeps
// the minimum open, and ends the easing-in of recovered nodes, until the
// cluster closes.
func (c *Cluster[C]) maintain() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		case <-c.tend:
		}
		c.mu.Lock()
		if !c.closed {
			c.endEasing()
			c.expire()
			c.warm()
		}
		c.unlock()
		timer.Reset(c.tendEvery())
	}
}

// wakeMaintenance has maintain look at things now.
func (c *Cluster[C]) wakeMaintenance() {
	select {
	case c.tend <- struct{}{}:
	default:
	}
}

// tendEvery is the time between two rounds: often enough that a limit is
// exceeded by a quarter at most, and at least once per second.
func (c *Cluster[C]) tendEvery() time.Duration {
	every := time.Second
	for _, limit := range []time.Duration{c.opt.IdleTimeout, c.opt.MaxLifetime} {
		if limit > 0 {
			every = min(every, limit/4)
		}
	}
	return max(every, 5*time.Millisecond)
}

func (c *Cluster[C]) endEasing() {
	now := c.now()
	ended := false
	for _, n := range c.nodes {
		if n.easing && now >= n.easeFrom+easeTime {
			n.easing = false
			ended = true
		}
	}
	if ended {
		c.refresh(true)
	}
}

// expire closes idle sessions past their lifetime, and those past the idle
// timeout as long as more than the minimum are open: on the nodes with most
// sessions first, so that what remains is spread evenly.
func (c *Cluster[C]) expire() {
	now := c.now()
	idle := make(map[*node[C]][]*session[C], len(c.nodes))
	for _, n := range c.nodes {
		if n.idle == 0 {
			continue
		}
		all := n.pool.takeAll()
		keep := all[:0]
		for _, s := range all {
			if s.expires > 0 && now >= s.expires {
				c.dropIdle(s)
			} else {
				keep = append(keep, s)
			}
		}
		idle[n] = keep
	}
	for c.opt.IdleTimeout > 0 && c.total-c.closing > c.opt.MinConns {
		var from *node[C]
		for _, n := range c.nodes {
			if s := idle[n]; len(s) > 0 && now-oldest(s).idleSince >= c.opt.IdleTimeout &&
				(from == nil || n.size() > from.size()) {
				from = n
			}
		}
		if from == nil {
			break
		}
		c.dropIdle(oldest(idle[from]))
		idle[from] = idle[from][:len(idle[from])-1]
	}
	for n, sessions := range idle {
		for _, s := range slices.Backward(sessions) {
			n.pool.put(s)
		}
		n.publish()
	}
}

// oldest returns the session that was not used for longest.
func oldest[C Conn](s []*session[C]) *session[C] { return s[len(s)-1] }

// dropIdle closes a session that counts as idle but was taken.
func (c *Cluster[C]) dropIdle(s *session[C]) {
	s.node.idle--
	c.idle--
	c.destroy(s)
}

// warm opens sessions up to the minimum, on the healthy nodes with fewest. As
// long as some nodes have not been heard of, the others get no more than their
// share, rounded down, so that each of those can still get its own.
func (c *Cluster[C]) warm() {
	hoped, unheard := 0, 0
	for _, n := range c.nodes {
		switch n.state {
		case StateUnknown:
			hoped++
			unheard++
		case StateHealthy:
			hoped++
		}
	}
	most := c.opt.MinConns
	if unheard > 0 {
		most /= hoped
	}
	now := c.now()
	for c.total-c.closing < c.opt.MinConns && c.total < c.opt.MaxConns {
		var best *node[C]
		for _, n := range c.nodes {
			if n.state != StateHealthy || len(n.dials) >= c.opt.DialsPerNode || n.easing && len(n.dials) > 0 {
				continue
			}
			if best == nil || c.share(n, now) < c.share(best, now) {
				best = n
			}
		}
		if best == nil || best.size() >= most {
			return
		}
		c.startDial(best, nil)
	}
}
