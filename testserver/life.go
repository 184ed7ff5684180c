package testserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ending is how a node's life ends.
type ending uint8

const (
	endClose ending = iota // for good: connections are closed in order
	endDrain               // the same after a drain, from which the node may come back
	endKill                // connections are reset
)

// life is a node from a start to the next end: a listener and its sessions. A
// restart begins a new one, so nothing of the old can reach into it.
type life struct {
	node *Node
	ln   listener
	wg   sync.WaitGroup  // the acceptor, the sessions, the drain
	over <-chan struct{} // closed when the end begins
	done chan struct{}   // closed when everything has stopped

	ctx      context.Context // done when the end begins
	cancel   context.CancelFunc
	draining atomic.Bool
	// active counts requests under way and open transactions: what a drain
	// waits for.
	active atomic.Int64
	quiet  chan struct{} // signalled when active falls to 0 during a drain
	// load counts requests under way.
	load atomic.Int32

	mu         sync.Mutex // protects what follows
	ended      bool
	conns      map[*session]struct{} // all connections
	sessions   int                   // those that have shaken hands, without monitors
	monitors   map[*session]struct{}
	handshakes int           // connections that have not
	changed    chan struct{} // closed at the next removal; nil when nobody waits
}

func newLife(n *Node, ln listener) *life {
	ctx, cancel := context.WithCancel(context.Background())
	return &life{
		node: n, ln: ln, ctx: ctx, cancel: cancel, over: ctx.Done(),
		done: make(chan struct{}), quiet: make(chan struct{}, 1),
		conns: map[*session]struct{}{}, monitors: map[*session]struct{}{},
	}
}

// serve starts to accept connections.
func (l *life) serve() { l.wg.Go(l.accept) }

func (l *life) accept() {
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, or a connection that was reset before
			// it was accepted: neither is the end of the listener.
			l.node.cluster.log.Warn("accept failed", "node", l.node.id, "error", err)
			if !l.pauseAccepting() {
				return
			}
			continue
		}
		l.node.dials.Add(1)
		s := newSession(l, newConn(nc, l.node), l.ln.Protocol())
		if !l.add(s) {
			s.conn.Close()
		}
	}
}

// pauseAccepting waits a moment. It reports false when the life ended.
func (l *life) pauseAccepting() bool {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.over:
		return false
	}
}

// add registers a connection and starts its goroutine, unless there are too
// many that have not shaken hands, or the life has ended.
func (l *life) add(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	if l.handshakes >= l.node.cluster.opts.MaxHandshakes {
		l.node.cluster.log.Warn("connection refused: too many handshakes under way", "node", l.node.id,
			"limit", l.node.cluster.opts.MaxHandshakes, "client", s.conn.RemoteAddr())
		return false
	}
	l.handshakes++
	l.conns[s] = struct{}{}
	l.wg.Go(func() {
		s.serve()
		l.remove(s)
	})
	return true
}

// admit makes a connection a session. It reports false when the node has as
// many as it may have.
func (l *life) admit(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions+len(l.monitors) >= l.node.cluster.opts.MaxSessions {
		return false
	}
	l.handshakes--
	s.admitted = true
	if s.monitor {
		l.monitors[s] = struct{}{}
	} else {
		l.sessions++
		l.node.opened.Add(1)
	}
	return true
}

func (l *life) remove(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, s)
	switch {
	case !s.admitted:
		l.handshakes--
	case s.monitor:
		delete(l.monitors, s)
	default:
		l.sessions--
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *life) count(monitors bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if monitors {
		return len(l.monitors)
	}
	return l.sessions
}

// each calls f for all connections of the moment.
func (l *life) each(f func(*session)) {
	l.mu.Lock()
	all := make([]*session, 0, len(l.conns))
	for s := range l.conns {
		all = append(all, s)
	}
	l.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// end stops everything and waits for it. Later calls only wait.
func (l *life) end(how ending) {
	l.mu.Lock()
	first := !l.ended
	l.ended = true
	l.mu.Unlock()
	if !first {
		<-l.done
		return
	}
	l.cancel()
	l.ln.Close()
	l.each(func(s *session) {
		if how == endKill {
			s.conn.abort()
		} else {
			s.conn.Close()
		}
	})
	l.each(func(s *session) { s.watch.stop(causeShutdown) })
	l.wg.Wait()
	close(l.done)
}

// context gives a context that ends after d, or with the life.
func (l *life) context(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.ctx, d)
}

// begin counts a request in. It reports false, and counts nothing, when the
// node is draining and the session holds nothing that it lets finish.
func (l *life) begin(holds bool) bool {
	l.active.Add(1)
	if l.draining.Load() && !holds {
		l.release()
		return false
	}
	l.load.Add(1)
	return true
}

// finish counts a request out.
func (l *life) finish() {
	l.load.Add(-1)
	l.release()
}

// release counts a request or a transaction out of what a drain waits for. The
// order of the two reads matters: a drain sets draining first and then looks at
// active, so either it sees 0 itself or it is signalled.
func (l *life) release() {
	if l.active.Add(-1) == 0 && l.draining.Load() {
		select {
		case l.quiet <- struct{}{}:
		default:
		}
	}
}
