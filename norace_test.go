//go:build !race

package qdb_test

// slowness is how much more time things may take than without the race detector.
const slowness = 1
