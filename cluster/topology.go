package cluster

import (
	"context"
	"errors"
	"slices"
)

var errElsewhere = errors.New("another node answers under this address")

// addNode makes the node at addr a member and starts its monitor. The caller
// publishes the view.
func (c *Cluster[C]) addNode(addr string) *node[C] {
	c.keys++
	n := &node[C]{key: c.keys, addrs: []string{addr}, position: int(c.keys), since: c.now()}
	if i := slices.Index(c.opt.Seeds, addr); i >= 0 {
		n.position = i
	} else {
		n.position += len(c.opt.Seeds)
	}
	n.late = c.reached && c.now() > easeTime
	n.live.pass.Store(c.lead.Load())
	n.pool = newPool(c.closeSession)
	n.rename()
	ctx, stop := context.WithCancel(c.ctx)
	n.monitor.stop = stop
	n.monitor.checked = -askPause
	c.nodes = append(c.nodes, n)
	slices.SortStableFunc(c.nodes, func(a, b *node[C]) int { return a.position - b.position })
	c.wg.Go(func() {
		defer stop()
		c.watch(ctx, n)
	})
	c.emit(Event{Kind: NodeJoined, Node: n.name()})
	return n
}

// removeNode ends the membership of n: what is idle is closed, what is leased
// may finish. The monitor goes on until then: a node that has left may fall silent
// like any other, and must not hold up those who still wait for its answers.
func (c *Cluster[C]) removeNode(n *node[C], reason string) {
	n.left = true
	n.cancelDials()
	c.owed -= n.grow
	n.grow = 0
	c.nodes = without(c.nodes, n)
	c.leaving[n] = struct{}{}
	c.closeIdle(n, nil)
	c.emit(Event{Kind: NodeLeft, Node: n.name(), From: n.state, To: n.state, Reason: reason})
	c.refresh(true)
	c.retire(n)
}

// retire forgets a node that has left once nothing of it is there any more.
func (c *Cluster[C]) retire(n *node[C]) {
	if !n.left || n.retired || c.closed || n.size()+n.closing > 0 {
		return
	}
	n.retired = true
	n.monitor.stop()
	delete(c.leaving, n)
	c.wg.Go(n.pool.close)
}

func (c *Cluster[C]) byID(id string) *node[C] {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (c *Cluster[C]) byAddress(addr string) *node[C] {
	for _, n := range c.nodes {
		if slices.Contains(n.addrs, addr) {
			return n
		}
	}
	return nil
}

// identify returns the member that answers to id, where n was dialled at addr.
// That is n itself, except when n turns out to be another name for a member
// that is known already, or when the address leads to several nodes in turn.
func (c *Cluster[C]) identify(n *node[C], addr, id string) *node[C] {
	if id == "" || id == n.id {
		return n
	}
	other := c.byID(id)
	switch {
	case other == nil:
		// New, or a node that was set up afresh under its old address.
		n.id = id
		n.rename()
		c.refresh(false)
		return n
	case n.id == "":
		for _, a := range n.addrs {
			c.addAddress(other, a)
		}
		other.position = min(other.position, n.position)
		slices.SortStableFunc(c.nodes, func(a, b *node[C]) int { return a.position - b.position })
		c.removeNode(n, "it is the same node as "+other.name().String())
		return other
	}
	if i := slices.Index(n.addrs, addr); i >= 0 && len(n.addrs) > 1 {
		n.addrs = slices.Delete(n.addrs, i, i+1)
		n.addr = 0
		n.rename()
		c.refresh(false)
	}
	return other
}

// addAddress adds another address for n, seeds before others.
func (c *Cluster[C]) addAddress(n *node[C], addr string) {
	if slices.Contains(n.addrs, addr) {
		return
	}
	if !slices.Contains(c.opt.Seeds, addr) {
		n.addrs = append(n.addrs, addr)
		return
	}
	n.addrs = slices.Insert(n.addrs, 0, addr)
	n.addr = 0
	n.rename()
}

// applyTopology makes the members those that from names, if that is news.
func (c *Cluster[C]) applyTopology(from *node[C], rep Report) {
	if !c.opt.Discover || len(rep.Nodes) == 0 || from.left {
		return
	}
	if rep.TopologyEpoch <= c.epoch && c.epoch > 0 {
		return
	}
	c.epoch = rep.TopologyEpoch
	keep := map[*node[C]]bool{from: true}
	for _, info := range rep.Nodes {
		switch {
		case info.Address == "":
		case info.ID == "":
			// Whoever reports has not heard from that node yet, and only
			// knows that it belongs to the cluster.
			if n := c.byAddress(info.Address); n != nil {
				keep[n] = true
			}
		default:
			n := c.member(info)
			keep[n] = true
			c.hearsay(n, info, rep.TopologyEpoch, n == from)
		}
	}
	for _, n := range slices.Clone(c.nodes) {
		if n.id != "" && !keep[n] {
			c.removeNode(n, "the cluster no longer lists it")
		}
	}
	c.refresh(true)
	c.pumpDue = true
}

// member returns the node that info speaks of, a new one if need be.
func (c *Cluster[C]) member(info NodeInfo) *node[C] {
	n := c.byID(info.ID)
	if n == nil {
		n = c.byAddress(info.Address)
		if n == nil {
			n = c.addNode(info.Address)
		}
		n.id = info.ID
		n.rename()
	}
	c.addAddress(n, info.Address)
	return n
}

// hearsay takes in what one node says about another.
func (c *Cluster[C]) hearsay(n *node[C], info NodeInfo, epoch uint64, itself bool) {
	if info.Role != RoleUnknown && !itself && (epoch > n.roleEpoch || n.role == RoleUnknown) {
		n.roleEpoch = epoch
		if info.Role != n.role {
			c.setRole(n, info.Role)
		}
	}
	doubtful := info.Status == StatusDraining || info.Status == StatusDown
	if doubtful && n.state == StateHealthy && !itself {
		c.kick(n, true)
	}
}

// reseed goes back to the seeds when no member can be reached any more: the
// cluster may have moved on without telling us.
func (c *Cluster[C]) reseed() {
	for _, n := range c.nodes {
		if n.state != StateDown {
			return
		}
	}
	added := false
	for _, addr := range c.opt.Seeds {
		if c.byAddress(addr) == nil {
			c.addNode(addr)
			added = true
		}
	}
	if added {
		c.refresh(true)
	}
}
