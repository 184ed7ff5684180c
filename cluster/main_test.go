package cluster

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// seedFlag repeats one run of the simulation: go test ./cluster -run Simulation -seed 42.
var seedFlag = flag.Uint64("seed", 0, "run the simulation with this seed only")

// Nearly all tests of this package run in a bubble of testing/synctest. Time is
// fake there: a Sleep moves the clock once everything waits, and hopes for nothing.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
