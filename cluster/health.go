package cluster

// signal takes in what was learnt about n and does what follows from it.
func (c *Cluster[C]) signal(n *node[C], sig signal, err error) {
	now := c.now()
	before := n.state
	after, eff := next(before, sig)
	switch sig {
	case sigAnswer, sigDraining, sigDialed:
		n.reached, n.refused, c.reached = true, false, true
		n.answered = now
	default:
		n.failures++
		n.lastErr, n.lastAt = err, now
		n.refused = sig == sigDialRefused || sig == sigProbeRefused
	}
	if eff&doEase != 0 || after == StateHealthy && before == StateUnknown && n.late {
		n.easing, n.easeFrom = true, now
		n.live.pass.Store(c.lead.Load())
	}
	if after != before {
		n.state, n.since = after, now
		if after == StateHealthy {
			n.arisen++
			n.reason = ""
		}
		c.emit(Event{Kind: StateChanged, Node: n.name(), From: before, To: after, Err: err, Reason: n.reason})
		c.refresh(true)
	}
	c.perform(n, eff, err)
	switch {
	case after == before:
	case after == StateHealthy:
		c.deliver(n, now)
		c.pumpDue = true
		c.wakeMaintenance()
	case after == StateDown:
		c.reseed()
		c.pumpDue = true
		c.wakeMaintenance() // the others may take its share of the minimum
	}
}

// perform carries out the effects of a transition.
func (c *Cluster[C]) perform(n *node[C], eff effect, err error) {
	if eff&doProbe != 0 {
		c.kick(n, true)
	}
	if eff&doCloseIdle != 0 {
		c.closeIdle(n, nil)
	}
	if eff&doRetire == 0 {
		return
	}
	n.gen++
	n.cancelDials()
	cause := &NodeError{n.name(), errNodeGone}
	if err != nil {
		cause.Err = err
	}
	c.closeIdle(n, cause)
	if eff&doAbort == 0 {
		return
	}
	var conns []C
	for s := c.leases.oldest; s != nil; s = s.after {
		if s.node == n {
			s.cause = cause
			conns = append(conns, s.conn)
		}
	}
	c.after = append(c.after, func() {
		for _, conn := range conns {
			conn.Abort(cause)
		}
	})
}

// observe takes in a report. demotions and drains are n's when the exchange
// began that led to the report: what the node said of itself before it refused
// something does not undo the refusal.
func (c *Cluster[C]) observe(n *node[C], sig signal, rep Report, demotions, drains uint64) {
	changed := false
	if n.serverLoad != rep.Load {
		n.serverLoad, changed = rep.Load, true
	}
	n.reason = rep.Reason
	current := rep.TopologyEpoch == 0 || rep.TopologyEpoch >= n.roleEpoch
	if rep.Role != RoleUnknown && demotions == n.demotions && current {
		n.roleEpoch = max(n.roleEpoch, rep.TopologyEpoch)
		if rep.Role != n.role {
			c.setRole(n, rep.Role)
		}
	}
	switch {
	case rep.Draining:
		c.signal(n, sigDraining, nil)
	case drains == n.drains:
		c.signal(n, sig, nil)
	}
	c.applyTopology(n, rep)
	if changed {
		c.refresh(false)
	}
}

func (c *Cluster[C]) setRole(n *node[C], r Role) {
	n.role = r
	c.emit(Event{Kind: RoleChanged, Node: n.name(), From: n.state, To: n.state, Role: r})
	c.refresh(true)
	if n.idle > 0 {
		c.deliver(n, c.now())
	}
	c.pumpDue = true
}

// demote notes that n refused because it is not the primary.
func (c *Cluster[C]) demote(n *node[C]) {
	c.mu.Lock()
	defer c.unlock()
	if c.closed || n.left {
		return
	}
	n.demotions++
	n.roleEpoch = max(n.roleEpoch, c.epoch)
	if n.role != RoleReplica {
		c.setRole(n, RoleReplica)
	}
	for _, m := range c.nodes {
		c.kick(m, true)
	}
}

// drained notes that n refused because it drains.
func (c *Cluster[C]) drained(n *node[C]) {
	c.mu.Lock()
	defer c.unlock()
	if c.closed || n.left || !n.state.usable() {
		return
	}
	n.drains++
	n.reason = "it refused a request"
	c.signal(n, sigDraining, nil)
	c.kick(n, true)
}
