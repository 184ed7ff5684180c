package sqlite

import (
	"context"
	"sync/atomic"
	"time"
)

// The states of an interrupter.
const (
	nothingUnderWay uint32 = iota
	underWay
	interrupted
)

// interrupter carries an interrupt from any goroutine to the one that runs an
// operation. It is the context that SQLite's progress handler looks at, so one
// serves all operations of a connection without an allocation.
type interrupter struct {
	state atomic.Uint32
	wake  chan struct{} // capacity 1; wakes a wait, which then looks at state
	depth int           // operations under way; the owner's alone
}

func newInterrupter() *interrupter { return &interrupter{wake: make(chan struct{}, 1)} }

// interrupt hits what is under way. Any goroutine may call it.
func (i *interrupter) interrupt() {
	if !i.state.CompareAndSwap(underWay, interrupted) {
		return
	}
	select {
	case i.wake <- struct{}{}:
	default: // a signal of an earlier interrupt is there, it does as well
	}
}

// start begins an operation; operations nest.
func (i *interrupter) start() {
	if i.depth == 0 {
		i.state.Store(underWay)
	}
	i.depth++
}

// finish ends the operation. An interrupt that hit it ends with it.
func (i *interrupter) finish() {
	i.depth--
	if i.depth == 0 {
		i.state.Store(nothingUnderWay)
		return
	}
	i.state.CompareAndSwap(interrupted, underWay)
}

// hit reports whether the operation under way has been interrupted.
func (i *interrupter) hit() bool { return i.state.Load() == interrupted }

// shield forgets an interrupt and lets none in until the returned function is
// called: for what must not be left half done.
func (i *interrupter) shield() (restore func()) {
	i.state.Store(nothingUnderWay)
	return func() {
		if i.depth > 0 {
			i.state.Store(underWay)
		}
	}
}

// The ends of a wait.
type waitEnd uint8

const (
	waitReady waitEnd = iota
	waitInterrupted
	waitTimeout
)

// wait blocks until ready gives a signal, an interrupt comes, or d is over. A
// nil ready is never ready.
func (i *interrupter) wait(ready <-chan struct{}, d time.Duration) waitEnd {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		if i.hit() {
			return waitInterrupted
		}
		select {
		case <-ready:
			return waitReady
		case <-i.wake: // of this operation or a stale one: the state tells
		case <-timer.C:
			return waitTimeout
		}
	}
}

// Err is what SQLite asks for while it works.
func (i *interrupter) Err() error {
	if i.hit() {
		return context.Canceled
	}
	return nil
}

// Done is nil: SQLite polls Err and never waits for a channel.
func (i *interrupter) Done() <-chan struct{} { return nil }

// Deadline says that there is none.
func (i *interrupter) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Value has none.
func (i *interrupter) Value(any) any { return nil }

var _ context.Context = (*interrupter)(nil)
