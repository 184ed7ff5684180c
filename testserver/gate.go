package testserver

import (
	"net"
	"sync/atomic"
)

// gate is what a paused node's sockets wait at. The zero value is open. It is
// safe for concurrent use.
type gate struct{ shut atomic.Pointer[chan struct{}] }

// pause shuts the gate. It reports false when it was shut.
func (g *gate) pause() bool {
	c := make(chan struct{})
	return g.shut.CompareAndSwap(nil, &c)
}

// resume opens the gate and lets everyone pass who waits at it.
func (g *gate) resume() {
	if c := g.shut.Swap(nil); c != nil {
		close(*c)
	}
}

// wait returns once the gate is open, or with net.ErrClosed when closed is.
func (g *gate) wait(closed <-chan struct{}) error {
	for {
		c := g.shut.Load()
		if c == nil {
			return nil
		}
		select {
		case <-*c:
		case <-closed:
			return net.ErrClosed
		}
	}
}
