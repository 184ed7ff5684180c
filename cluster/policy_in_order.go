package cluster

import "math/rand/v2"

type inOrder struct{}

// InOrder returns the policy that takes the first usable node in the order of
// Options.Seeds, and the others only when it fails.
func InOrder() Policy { return inOrder{} }

func (inOrder) Name() string { return "in_order" }

// Order has nothing to do: the nodes arrive in this order.
func (inOrder) Order([]*NodeView, *rand.Rand) int { return 1 }
