//go:build !linux

package testserver

// reserve does nothing: that a bound socket stays out of the way of a listener
// on the same port is particular to Linux.
func reserve(string) (release func()) { return func() {} }
