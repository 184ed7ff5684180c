package cluster

import (
	"runtime"
	"strconv"
	"strings"
)

// Lease is the right to use one session. It is a small value: copies stand for
// the same lease, which ends with the first call of Release, Fail or Discard
// on any of them; further calls do nothing. The zero Lease has ended.
//
// The methods may be called from any goroutine, the session may not: see
// [Conn].
type Lease[C Conn] struct {
	s      *session[C]
	serial uint64
}

// Valid says whether the lease came from an Acquire that succeeded. It stays
// true when the lease has ended.
func (l Lease[C]) Valid() bool { return l.s != nil }

// Conn returns the session. It must not be used once the lease has ended. The
// zero Lease returns the zero C.
func (l Lease[C]) Conn() C {
	if l.s == nil {
		var none C
		return none
	}
	return l.s.conn
}

// Node returns the node on which the session is.
func (l Lease[C]) Node() NodeRef {
	if l.s == nil {
		return NodeRef{}
	}
	return l.s.node.name()
}

// SetHolder says what the session is being used for from now on.
func (l Lease[C]) SetHolder(h Holder) {
	if l.s == nil {
		return
	}
	c := l.s.c
	c.mu.Lock()
	if l.current() && h < numHolders {
		l.s.holder = h
	}
	c.mu.Unlock()
}

// begin takes the lock to end the lease, and gives the cluster. It gives nil, and
// the lock back, when there is nothing to end: no lease, one that has ended, or one
// that a Close has abandoned meanwhile, whose session is closed here.
func (l Lease[C]) begin() *Cluster[C] {
	if l.s == nil {
		return nil
	}
	c := l.s.c
	c.mu.Lock()
	if !l.current() {
		c.mu.Unlock()
		return nil
	}
	if l.s.orphaned {
		c.reclaim(l.s)
		return nil
	}
	return c
}

// Release gives the session back for others to use.
func (l Lease[C]) Release() {
	c := l.begin()
	if c == nil {
		return
	}
	c.budget.succeeded()
	c.giveBack(l.s)
	c.unlock()
}

// Fail destroys the session and tells its node's health that the network
// failed with err: the node becomes suspect and is asked at once. An error on
// a session that was opened before the node was last declared down says
// nothing about the node as it is now, and only destroys the session.
func (l Lease[C]) Fail(err error) {
	c := l.begin()
	if c == nil {
		return
	}
	s := l.s
	if s.gen == s.node.gen && !s.node.left && !c.closed {
		c.signal(s.node, sigError, err)
	}
	s.cause = err
	c.unlease(s)
	c.destroy(s)
	c.unlock()
}

// Discard destroys the session without blaming the node.
func (l Lease[C]) Discard() {
	c := l.begin()
	if c == nil {
		return
	}
	c.unlease(l.s)
	c.destroy(l.s)
	c.unlock()
}

// NotPrimary tells the cluster that the node refused because it is not the
// primary. No request with [TargetPrimary] goes there until the node, or a
// newer topology, says again that it is; all nodes are asked at once who the
// primary is. The lease does not end.
func (l Lease[C]) NotPrimary() {
	if l.s != nil {
		l.s.c.demote(l.s.node)
	}
}

// Draining tells the cluster that the node refused because it drains. It gets
// no new request until it says that it is in service again. The lease does not
// end.
func (l Lease[C]) Draining() {
	if l.s != nil {
		l.s.c.drained(l.s.node)
	}
}

// current says whether the lease has not ended. Cluster.mu is held.
func (l Lease[C]) current() bool { return l.s.leased && l.s.serial == l.serial }

// lease hands an idle session of n out. There must be one.
func (c *Cluster[C]) lease(n *node[C], h Holder, now instant) Lease[C] {
	s := n.pool.take()
	n.idle--
	c.idle--
	n.leased++
	n.served++
	c.acquired++
	s.serial++
	s.leased, s.holder, s.leasedAt = true, h, now
	c.leases.add(s)
	n.charge(c, now)
	n.publish()
	return Lease[C]{s, s.serial}
}

// unlease ends the current lease of s. The session is then in nobody's hands.
func (c *Cluster[C]) unlease(s *session[C]) {
	s.leased = false
	s.stack = nil
	s.node.leased--
	c.leases.remove(s)
	s.node.publish()
	if c.closed {
		c.wakeCloser()
	}
}

// giveBack ends the lease of s and finds the session its next place: in the
// hands of the caller who waits longest for one like it, idle, or nowhere.
func (c *Cluster[C]) giveBack(s *session[C]) {
	n := s.node
	now := c.now()
	c.unlease(s)
	s.idleSince = now
	switch {
	case c.closed, n.left, s.gen != n.gen, !n.state.usable(), s.expires > 0 && now >= s.expires:
		c.destroy(s)
		return
	case n.shed > 0:
		n.shed--
		c.destroy(s)
		return
	}
	n.pool.put(s)
	n.idle++
	c.idle++
	n.publish()
	if c.queue.len > 0 {
		c.deliver(n, now)
	}
}

// charge counts a lease on n against its share.
func (n *node[C]) charge(c *Cluster[C], now instant) {
	lead := c.lead.Load()
	step := int64(passUnit)
	if n.easing {
		step = int64(passUnit / n.weight(now))
	}
	pass := max(n.live.pass.Load(), lead-passLag*passUnit) + step
	n.live.pass.Store(pass)
	if !n.easing && pass > lead {
		c.lead.Store(pass)
	}
}

// leaseList links the leased sessions, the oldest lease first.
type leaseList[C Conn] struct {
	oldest, newest *session[C]
	len            int
}

func (l *leaseList[C]) add(s *session[C]) {
	s.before, s.after = l.newest, nil
	if l.newest == nil {
		l.oldest = s
	} else {
		l.newest.after = s
	}
	l.newest = s
	l.len++
}

func (l *leaseList[C]) remove(s *session[C]) {
	if s.before == nil {
		l.oldest = s.after
	} else {
		s.before.after = s.after
	}
	if s.after == nil {
		l.newest = s.before
	} else {
		s.after.before = s.before
	}
	s.before, s.after = nil, nil
	l.len--
}

// callers records who asked for a lease.
func callers() []uintptr {
	pcs := make([]uintptr, 24)
	return pcs[:runtime.Callers(4, pcs)]
}

func formatStack(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	var b strings.Builder
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		b.WriteString(f.Function)
		b.WriteString("\n\t")
		b.WriteString(f.File)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(f.Line))
		b.WriteByte('\n')
		if !more {
			return b.String()
		}
	}
}
