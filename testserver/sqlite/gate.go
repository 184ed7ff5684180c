package sqlite

import (
	"sync"
	"time"
)

// holderKind is what somebody holds the gate for.
type holderKind uint8

const (
	holdStatement holderKind = iota
	holdTransaction
)

// String names the holder in an error message.
func (k holderKind) String() string {
	if k == holdTransaction {
		return "a transaction"
	}
	return "a statement"
}

// gate lets one writer of this process in at a time, in the order of arrival.
// It is safe for concurrent use; the zero value is open.
type gate struct {
	mu    sync.Mutex // protects all below
	held  bool
	kind  holderKind
	since time.Time
	queue []*ticket // those who wait, the next one first
}

// ticket is a place in the queue. It belongs to one waiter, who may use it
// again once it has been granted or abandoned.
type ticket struct {
	kind  holderKind
	ready chan struct{} // capacity 1; one signal when the gate is handed over
}

func newTicket() *ticket { return &ticket{ready: make(chan struct{}, 1)} }

// enter takes the gate if it is open, and otherwise puts t into the queue: the
// gate is the caller's when t.ready gives a signal.
func (g *gate) enter(t *ticket) (entered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		g.queue = append(g.queue, t)
		return false
	}
	g.take(t.kind)
	return true
}

func (g *gate) take(kind holderKind) {
	g.held, g.kind, g.since = true, kind, time.Now()
}

// leave gives the gate to the first in the queue, or opens it.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

func (g *gate) pass() {
	if len(g.queue) == 0 {
		g.held = false
		return
	}
	t := g.queue[0]
	n := copy(g.queue, g.queue[1:])
	g.queue[n] = nil
	g.queue = g.queue[:n]
	g.take(t.kind)
	t.ready <- struct{}{}
}

// abandon takes t out of the queue. If the gate was handed to it meanwhile, it
// is passed on.
func (g *gate) abandon(t *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.queue {
		if w == t {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			return
		}
	}
	<-t.ready
	g.pass()
}

// holder says what the gate is held for and since when.
func (g *gate) holder() (kind holderKind, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kind, g.since
}
