package cluster

import (
	"math/rand/v2"
	"time"
)

const (
	// nearWindow is how much longer than the nearest node's a round trip may
	// be for a node to count as equally near.
	nearWindow = 15 * time.Millisecond
	// idleWorth is how many recent leases an idle session makes up for: less
	// than that, and a node is not preferred to one where a session would
	// have to be opened first.
	idleWorth = 8
)

type leastLoaded struct{}

// LeastLoaded returns the policy that takes two nodes at random among those
// whose round trip is within 15 ms of the shortest, and of the two the one with
// fewer leases and waiters; of two with equal load the one that was used less
// lately. Two random choices keep many clients from running to the same node,
// as a global minimum would make them do, and are nearly as even (Mitzenmacher,
// The Power of Two Choices in Randomized Load Balancing, 2001).
func LeastLoaded() Policy { return leastLoaded{} }

func (leastLoaded) Name() string { return "least_loaded" }

func (leastLoaded) Order(nodes []*NodeView, rng *rand.Rand) int {
	near := partitionNear(nodes)
	if near == 1 {
		return 1
	}
	i, j := rng.IntN(near), rng.IntN(near-1)
	if j >= i {
		j++
	}
	if better(nodes[j], nodes[i]) {
		i, j = j, i
	}
	// The loser is the one to go to when the winner fails.
	nodes[0], nodes[i] = nodes[i], nodes[0]
	if j == 0 {
		j = i
	}
	nodes[1], nodes[j] = nodes[j], nodes[1]
	return near
}

// partitionNear moves the near nodes to the front and returns their number. A
// node that was not measured yet counts as near.
func partitionNear(nodes []*NodeView) int {
	best := time.Duration(0)
	for _, v := range nodes {
		if v.RTT > 0 && (best == 0 || v.RTT < best) {
			best = v.RTT
		}
	}
	near := 0
	for i, v := range nodes {
		if v.RTT <= best+nearWindow {
			nodes[near], nodes[i] = nodes[i], nodes[near]
			near++
		}
	}
	return near
}

// better says whether a is to be preferred to b.
func better(a, b *NodeView) bool {
	la, lb := a.Load(), b.Load()
	ra, rb := a.Recent(), b.Recent()
	ia, ib := a.Idle() > 0, b.Idle() > 0
	if ia != ib && la-lb <= 1 && lb-la <= 1 {
		// A session at hand is worth a little unevenness.
		if ia && ra-rb < idleWorth {
			return true
		}
		if ib && rb-ra < idleWorth {
			return false
		}
	}
	if la != lb {
		return la < lb
	}
	return ra < rb
}
