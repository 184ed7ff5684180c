package sqlite

import (
	"fmt"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// enterGate waits until this connection may write. It does nothing when it
// holds the gate already.
func (c *conn) enterGate(kind holderKind) error {
	if c.holding {
		return nil
	}
	if c.intr.hit() {
		return c.cancelled()
	}
	c.ticket.kind = kind
	if c.db.gate.enter(c.ticket) {
		c.holding = true
		return nil
	}
	began := time.Now()
	end := c.intr.wait(c.ticket.ready, c.remaining())
	if end == waitReady {
		c.holding = true
		return nil
	}
	holder, since := c.db.gate.holder()
	c.db.gate.abandon(c.ticket)
	if end == waitInterrupted {
		return c.cancelled()
	}
	return &wire.Error{Code: "55P03", Effect: wire.EffectNone,
		Message: fmt.Sprintf("gave up after %v of waiting to write: %v of another session of this process has been writing for %v",
			brief(time.Since(began)), holder, brief(time.Since(since))),
		Hint: hintRepeat}
}

func (c *conn) leaveGate() {
	if c.holding {
		c.holding = false
		c.db.gate.leave()
	}
}

// remaining is how long the operation may go on waiting for locks.
func (c *conn) remaining() time.Duration {
	if c.patience.IsZero() {
		c.patience = time.Now().Add(c.db.options.BusyTimeout)
	}
	return max(0, time.Until(c.patience))
}

// busy is asked by SQLite when another process has a lock: whether to look
// again. It pauses before it says yes.
func (c *conn) busy(attempt int) bool {
	left := c.remaining()
	if left == 0 {
		return false
	}
	return c.intr.wait(nil, min(left, pauseBefore(attempt))) == waitTimeout
}

// outwaited is the error for a lock that SQLite did not get.
func (c *conn) outwaited(cause error) *wire.Error {
	if c.intr.hit() {
		return c.cancelled()
	}
	e := wire.Error{Code: "55P03", Effect: wire.EffectNone, Hint: hintRepeat,
		Message: "another process holds a lock on the database"}
	if !c.patience.IsZero() {
		waited := c.db.options.BusyTimeout - max(0, time.Until(c.patience))
		e.Message = fmt.Sprintf("gave up after %v of waiting for a lock that another process holds", brief(waited))
	}
	return wire.NewError(e, cause)
}

func (c *conn) cancelled() *wire.Error {
	return &wire.Error{Code: "57014", Effect: wire.EffectNone, Message: "the statement was cancelled"}
}

// brief rounds a duration for a message.
func brief(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

const hintRepeat = "nothing was changed; repeat it, or make the transactions that write shorter"
