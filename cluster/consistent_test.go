package cluster

import (
	"errors"
	"fmt"
)

// consistent checks all the counters against each other and the limits.
func consistent(c *Cluster[*fakeConn]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var idle, leased, dialing, closing, owed int
	all := append([]*node[*fakeConn](nil), c.nodes...)
	for n := range c.leaving {
		all = append(all, n)
	}
	for _, n := range all {
		idle += n.idle
		leased += n.leased
		dialing += len(n.dials)
		closing += n.closing
		owed += n.grow
		if len(n.dials) > c.opt.DialsPerNode {
			return fmt.Errorf("%d dials on %s", len(n.dials), n.name())
		}
		if int(n.live.idle.Load()) != n.idle || int(n.live.leased.Load()) != n.leased {
			return fmt.Errorf("published counters of %s are wrong", n.name())
		}
		if n.left && n.idle > 0 {
			return fmt.Errorf("%s has left and has %d idle sessions", n.name(), n.idle)
		}
		if n.state == StateDraining && n.idle > 0 {
			return fmt.Errorf("%s drains and has %d idle sessions", n.name(), n.idle)
		}
		claims := 0
		for _, d := range n.dials {
			if d.owner != nil {
				claims++
			}
		}
		if int(n.live.claims.Load()) != claims {
			return fmt.Errorf("%d claims on %s, published %d", claims, n.name(), n.live.claims.Load())
		}
	}
	listed := 0
	for s := c.leases.oldest; s != nil; s = s.after {
		listed++
	}
	switch {
	case idle != c.idle, leased != c.leases.len, leased != listed, dialing != c.dialing, closing != c.closing, owed != c.owed:
		return fmt.Errorf("counters: idle %d/%d leased %d/%d/%d dialing %d/%d closing %d/%d owed %d/%d",
			idle, c.idle, leased, c.leases.len, listed, dialing, c.dialing, closing, c.closing, owed, c.owed)
	case c.total != idle+leased+dialing+closing:
		return fmt.Errorf("total is %d, want %d+%d+%d+%d", c.total, idle, leased, dialing, closing)
	case c.total > c.opt.MaxConns:
		return fmt.Errorf("total is %d, over the limit %d", c.total, c.opt.MaxConns)
	}
	return inOrderOfArrival(c)
}

// inOrderOfArrival checks the lists of leases and waiters.
func inOrderOfArrival(c *Cluster[*fakeConn]) error {
	for s := c.leases.oldest; s != nil; s = s.after {
		if !s.leased || s.after != nil && s.after.leasedAt < s.leasedAt {
			return errors.New("the list of leases is wrong or out of order")
		}
	}
	for w := c.queue.head; w != nil; w = w.next {
		if w.next != nil && w.next.ticket < w.ticket {
			return errors.New("the queue is out of order")
		}
		for _, n := range w.plan[:w.peers] {
			if n.idle > 0 && c.accepts(w, n) && !w.patient {
				return fmt.Errorf("a caller waits while %s has %d idle sessions", n.name(), n.idle)
			}
		}
	}
	return nil
}
