package cluster

import "time"

// Stats is a picture of a cluster at one moment.
type Stats struct {
	// Nodes describes the members in order of their position, then nodes
	// that have left but still have sessions in use.
	Nodes []NodeStats
	// Policy is the name of the policy.
	Policy string
	// MinConns and MaxConns are the limits.
	MinConns, MaxConns int
	// Open is the number of sessions in use or idle; InUse, Idle, Dialing
	// and Closing are those leased, free, being opened and being closed.
	Open, InUse, Idle, Dialing, Closing int
	// Waiting is the number of callers that wait for a session.
	Waiting int
	// Acquired counts leases given out; Waits counts the callers that had to
	// wait for one.
	Acquired, Waits uint64
	// Opened and Closed count sessions on the nodes listed.
	Opened, Closed uint64
	// EventsDropped counts the events lost by all watchers together.
	EventsDropped uint64
	// Epoch is the TopologyEpoch of the latest news, 0 before any.
	Epoch uint64
}

// NodeStats describes one node.
type NodeStats struct {
	// Node is its name.
	Node NodeRef
	// State is what the cluster thinks of it, since when.
	State State
	// Since is when the node came into this state.
	Since time.Time
	// Role is what it may be used for.
	Role Role
	// Left is set for a node that is no longer a member.
	Left bool
	// InUse, Idle, Dialing and Closing count its sessions.
	InUse, Idle, Dialing, Closing int
	// Waiters is the number of callers for whom a session is being opened
	// on it.
	Waiters int
	// RTT is the moving average of its round trips, 0 when not measured.
	RTT time.Duration
	// ServerLoad is the load that it reported.
	ServerLoad uint32
	// Weight is the part of its fair share that it may get now: below 1
	// while it is eased in after a failure.
	Weight float64
	// Failures counts failed sessions, dials, checks and timeouts.
	Failures uint64
	// LastError is the last of them, nil when there was none.
	LastError error
	// LastErrorAt is when that was, zero when there was none.
	LastErrorAt time.Time
	// Opened and Closed count its sessions since it became a member.
	Opened, Closed uint64
	// Leases counts the leases given out on it.
	Leases uint64
	// Generation counts how often its sessions were all given up.
	Generation uint64
}

// Stats describes the cluster. It takes the lock of the pool for a moment that
// grows with the number of nodes.
func (c *Cluster[C]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Policy: c.opt.Policy.Name(), MinConns: c.opt.MinConns, MaxConns: c.opt.MaxConns,
		Open: c.idle + c.leases.len, InUse: c.leases.len, Idle: c.idle, Dialing: c.dialing, Closing: c.closing,
		Waiting: c.queue.len, Acquired: c.acquired, Waits: c.waits, EventsDropped: c.dropped, Epoch: c.epoch,
	}
	for _, n := range c.nodes {
		s.Nodes = append(s.Nodes, c.nodeStats(n))
	}
	for n := range c.leaving {
		s.Nodes = append(s.Nodes, c.nodeStats(n))
	}
	for _, n := range s.Nodes {
		s.Opened += n.Opened
		s.Closed += n.Closed
	}
	return s
}

func (c *Cluster[C]) nodeStats(n *node[C]) NodeStats {
	s := NodeStats{
		Node: n.name(), State: n.state, Since: c.start.Add(n.since), Role: n.role, Left: n.left,
		InUse: n.leased, Idle: n.idle, Dialing: len(n.dials), Closing: n.closing,
		Waiters: int(n.live.claims.Load()), RTT: n.rtt, ServerLoad: n.serverLoad, Weight: n.weight(c.now()),
		Failures: n.failures, LastError: n.lastErr, Opened: n.opened, Closed: n.closed,
		Leases: n.served, Generation: n.gen,
	}
	if n.lastErr != nil {
		s.LastErrorAt = c.start.Add(n.lastAt)
	}
	return s
}

// conditions describes the members for an error.
func (c *Cluster[C]) conditions() []NodeCondition {
	now := c.now()
	out := make([]NodeCondition, 0, len(c.nodes))
	for _, n := range c.nodes {
		nc := NodeCondition{
			Node: n.name(), State: n.state, Since: now - n.since, Role: n.role,
			InUse: n.leased, Idle: n.idle, Dialing: len(n.dials), Reason: n.reason, LastError: n.lastErr,
		}
		if n.lastErr != nil {
			nc.LastErrorAge = now - n.lastAt
		}
		out = append(out, nc)
	}
	return out
}

// waitError says why w got no session: no node for it, or no session free.
func (c *Cluster[C]) waitError(w *waiter[C], cause error) error {
	usable := false
	for _, n := range c.nodes {
		usable = usable || n.rank(w.req.Target) >= 0 && !w.gaveUpOn(n)
	}
	if !usable {
		return c.noNode(w, cause)
	}
	now := c.now()
	e := &AcquireError{
		Limit: c.opt.MaxConns, Idle: c.idle, Dialing: c.dialing, Closing: c.closing, Waiting: c.queue.len,
		Waited: now - w.since, Nodes: c.conditions(), Err: cause,
	}
	if w.queued {
		e.Waiting--
	}
	for s := c.leases.oldest; s != nil; s = s.after {
		e.InUse[s.holder]++
	}
	if s := c.leases.oldest; s != nil {
		e.OldestAge, e.OldestHolder, e.OldestNode = now-s.leasedAt, s.holder, s.node.name()
		e.OldestStack = formatStack(s.stack)
	}
	for _, f := range w.failed {
		e.Failures = append(e.Failures, f.err)
	}
	return e
}

func (c *Cluster[C]) noNode(w *waiter[C], cause error) error {
	return &NoNodeError{Target: w.req.Target, Waited: c.now() - w.since, Nodes: c.conditions(), Err: cause}
}
