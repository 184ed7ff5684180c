package cluster

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// seedFlag repeats one run of the simulation: go test ./cluster -run Simulation -seed 42.
var seedFlag = flag.Uint64("seed", 0, "run the simulation with this seed only")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
