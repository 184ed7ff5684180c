package cluster

// view is an immutable picture of the members, from which requests are
// planned without a lock.
type view[C Conn] struct {
	nodes []*node[C]
	// prime holds for each target the nodes of the best rank that there is.
	prime [numTargets][]*NodeView
	// rest holds the other usable nodes, the better ranks first.
	rest [numTargets][]*NodeView
	// best is the rank of prime, -1 when no node can be used.
	best [numTargets]int
	// easing is set while any node is being eased in.
	easing bool
}

// refresh publishes a new view; wake also makes those who wait plan anew.
func (c *Cluster[C]) refresh(wake bool) {
	v := &view[C]{nodes: append([]*node[C](nil), c.nodes...)}
	views := make([]NodeView, len(c.nodes))
	for i, n := range c.nodes {
		ref := n.name()
		views[i] = NodeView{
			Key: n.key, ID: n.id, Address: ref.Address, Position: n.position,
			Role: n.role, State: n.state, RTT: n.rtt, ServerLoad: n.serverLoad,
			live: &n.live, slot: i, ease: n.easing,
		}
		v.easing = v.easing || n.easing
	}
	for t := range Target(numTargets) {
		var ranks [numRanks][]*NodeView
		for i, n := range c.nodes {
			if r := n.rank(t); r >= 0 {
				ranks[r] = append(ranks[r], &views[i])
			}
		}
		v.best[t] = -1
		for r, nodes := range ranks {
			switch {
			case len(nodes) == 0:
			case v.best[t] < 0:
				v.best[t], v.prime[t] = r, nodes
			default:
				v.rest[t] = append(v.rest[t], nodes...)
			}
		}
	}
	c.view.Store(v)
	if wake {
		for w := c.queue.head; w != nil; w = w.next {
			w.nudge()
		}
	}
}
