//go:build race

package qdb_test

// slowness is how much more time things may take: the race detector slows the
// node, which is in this process, down.
const slowness = 4
