package testserver

import (
	"time"

	"github.com/qdb-go/qdb/wire"
)

// Drain takes the node out of service without an error for anybody. From now on
// it refuses what is new with SQLSTATE 57P01, not started, and says so to the
// monitors at once. Open transactions and running statements may finish within
// Options.DrainGrace; after that they are cut off. Then the sessions are closed
// and the node is down. Drain does not wait for any of it: Drained does. It
// does nothing when the node is not up.
func (n *Node) Drain() {
	n.mu.Lock()
	life := n.life
	if life == nil || n.status != wire.StatusUp {
		n.mu.Unlock()
		return
	}
	n.status = wire.StatusDraining
	life.draining.Store(true)
	n.drained = make(chan struct{})
	drained := n.drained
	n.mu.Unlock()
	n.cluster.log.Info("node draining", "node", n.id)
	n.cluster.topo.changed(change{node: n.id, reason: wire.LeaveDraining})
	go func() {
		defer close(drained)
		life.drain()
	}()
}

// Drained gives a channel that is closed once the node is down: after a drain,
// or because it was killed.
func (n *Node) Drained() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.drained != nil {
		return n.drained
	}
	if n.life != nil {
		return n.life.done
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// drain carries a drain out, step by step. When the life is ended by somebody
// else meanwhile, it waits for that.
func (l *life) drain() {
	n, opts := l.node, &l.node.cluster.opts
	if l.waitQuiet(opts.DrainGrace) && l.linger(opts.DrainLinger) {
		l.sayFarewell()
	}
	n.mu.Lock()
	mine := n.life == l
	n.mu.Unlock()
	if mine && n.stop(endDrain) {
		n.cluster.log.Info("node drained", "node", n.id)
		n.cluster.topo.changed(change{node: n.id, reason: wire.LeaveGone})
	}
	<-l.done
}

// waitQuiet waits until nothing is open any more, or until the grace is over;
// then it cuts off what is left. It reports false when the life ended.
func (l *life) waitQuiet(grace time.Duration) bool {
	timer := time.NewTimer(max(grace, 0))
	defer timer.Stop()
	for l.active.Load() != 0 {
		select {
		case <-l.quiet:
		case <-l.over:
			return false
		case <-timer.C:
			l.node.cluster.log.Warn("drain grace is over: cutting off what is open", "node", l.node.id, "open", l.active.Load())
			l.each(func(s *session) { s.dismiss() })
			return true
		}
	}
	return true
}

// linger leaves the sessions time to go by themselves: a client that has heard
// of the drain returns what it has, and one that has not is still answered that
// its request was not started. It reports false when the life ended.
func (l *life) linger(d time.Duration) bool {
	return l.await(d, func() bool { return l.sessions == 0 })
}

// sayFarewell closes the listener and ends the connections that are left, each
// with a message that nothing it might have sent meanwhile was started, and
// waits for them.
func (l *life) sayFarewell() {
	l.ln.Close()
	l.each(func(s *session) { s.dismiss() })
	l.await(2*lingerTime, func() bool { return len(l.conns) == 0 })
}

// await waits until met, which is called with mu held, holds, for d at most. It
// reports false when the life ended.
func (l *life) await(d time.Duration, met func() bool) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	for {
		l.mu.Lock()
		if met() {
			l.mu.Unlock()
			return true
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return true
		case <-l.over:
			return false
		}
	}
}
