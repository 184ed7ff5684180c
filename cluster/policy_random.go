package cluster

import "math/rand/v2"

type randomly struct{}

// Random returns the policy that takes any node, all with equal probability.
func Random() Policy { return randomly{} }

func (randomly) Name() string { return "random" }

func (randomly) Order(nodes []*NodeView, rng *rand.Rand) int {
	for i := len(nodes) - 1; i > 0; i-- {
		j := rng.IntN(i + 1)
		nodes[i], nodes[j] = nodes[j], nodes[i]
	}
	return len(nodes)
}
