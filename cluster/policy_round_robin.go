package cluster

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

type roundRobin struct{}

// RoundRobin returns the policy that takes the nodes in turn: always the one
// that was used least lately. Unlike a counter modulo the number of nodes this
// stays even when requests for different roles alternate, or nodes come and go.
func RoundRobin() Policy { return roundRobin{} }

func (roundRobin) Name() string { return "round_robin" }

func (roundRobin) Order(nodes []*NodeView, _ *rand.Rand) int {
	slices.SortStableFunc(nodes, func(a, b *NodeView) int { return cmp.Compare(a.Recent(), b.Recent()) })
	return len(nodes)
}
