package cluster

import (
	"context"
	"time"
)

// abortWait is how long holders get to notice that their sessions were
// aborted, before the cluster goes on without them.
const abortWait = 250 * time.Millisecond

// Close ends the cluster: callers who wait get [ErrClosed], as do later ones;
// monitors and dials are stopped and idle sessions closed; leased sessions may
// finish for Options.ShutdownGrace, or until ctx ends if that is sooner, and
// are then aborted. It returns when every goroutine has ended and every session
// is closed. Sessions that are still not given back after an abort are left to
// their holders; their transport is closed, and giving them back later does no
// harm.
//
// It may be called more than once and by several goroutines; all calls return
// when the first is done, or when their ctx ends with its error. Otherwise it
// returns nil.
func (c *Cluster[C]) Close(ctx context.Context) error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		select {
		case <-c.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.stop()
	grace := c.opt.ShutdownGrace
	if !c.drain(ctx, grace) {
		c.abortLeases()
		// The holders' sessions have failed: this is only the time that it
		// takes to say so, whatever ctx is.
		bounded, cancel := context.WithTimeout(context.Background(), abortWait)
		c.drain(bounded, abortWait)
		cancel()
		c.orphan()
	}
	c.finish()
	close(c.ended)
	return nil
}

// stop refuses everything new.
func (c *Cluster[C]) stop() {
	c.mu.Lock()
	c.cancel()
	for w := c.queue.head; w != nil; w = c.queue.head {
		c.serve(w, outcome[C]{err: ErrClosed})
	}
	for _, n := range c.nodes {
		c.closeIdle(n, nil)
	}
	c.unlock()
}

// drain waits until no session is leased, and says whether that came true.
func (c *Cluster[C]) drain(ctx context.Context, grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for {
		c.mu.Lock()
		left := c.leases.len
		c.mu.Unlock()
		if left == 0 {
			return true
		}
		select {
		case <-c.quiet:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// wakeCloser has Close look again at what is left.
func (c *Cluster[C]) wakeCloser() {
	if !c.closed {
		return
	}
	select {
	case c.quiet <- struct{}{}:
	default:
	}
}

// abortLeases makes everything fail that is still under way.
func (c *Cluster[C]) abortLeases() {
	c.mu.Lock()
	var conns []C
	for s := c.leases.oldest; s != nil; s = s.after {
		s.cause = ErrClosed
		conns = append(conns, s.conn)
	}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Abort(ErrClosed)
	}
}

// orphan leaves the sessions that are still leased to their holders.
func (c *Cluster[C]) orphan() {
	c.mu.Lock()
	for s := c.leases.oldest; s != nil; s = c.leases.oldest {
		s.orphaned = true
		c.leases.remove(s)
		s.node.leased--
		s.node.closed++
		s.node.publish()
		s.node.pool.forget(s)
		c.total--
	}
	c.mu.Unlock()
}

// reclaim closes an orphaned session that its holder gives back after all.
// It is called with the lock held and releases it.
func (c *Cluster[C]) reclaim(s *session[C]) {
	s.leased = false
	c.mu.Unlock()
	_ = s.conn.Close() // it was aborted long ago
}

// finish waits for all that is still going on.
func (c *Cluster[C]) finish() {
	c.mu.Lock()
	all := make([]*node[C], 0, len(c.nodes)+len(c.leaving))
	all = append(all, c.nodes...)
	for n := range c.leaving {
		all = append(all, n)
	}
	c.mu.Unlock()
	c.wg.Wait()
	for _, n := range all {
		n.pool.close()
	}
	c.mu.Lock()
	for _, w := range c.watchers {
		w.end()
	}
	c.watchers = nil
	c.mu.Unlock()
}
