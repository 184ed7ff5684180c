package session

import (
	"context"
	"time"

	"github.com/qdb-go/qdb/wire"
)

const (
	// cancelGrace is how long an operation whose context has ended waits for
	// the node to confirm, before the session is given up.
	cancelGrace = 400 * time.Millisecond
	// writeGrace is how long it waits for a write to be taken: a stream that
	// takes nothing has no room for a Cancel either.
	writeGrace = 10 * time.Millisecond
	// deadlineSlack is by how much a node's clock may run ahead: a request that
	// it stops so shortly before the context's deadline has met that deadline.
	deadlineSlack = 20 * time.Millisecond
)

// watch ends the operation under way when its context ends. Where the context
// cannot end it costs nothing.
type watch struct {
	ctx  context.Context
	stop func() bool
	done chan struct{} // closed when the callback has run
}

// arm begins to watch ctx for the operation with the sequence number, whose
// train is about to be written. The write lock is held.
func (s *Session) arm(ctx context.Context, seq uint64) {
	s.watch = watch{ctx: ctx}
	if ctx.Done() == nil {
		return
	}
	var begin uint64 // it travels ahead, and may wait for a lock
	if n := len(s.early); n > 0 && s.early[n-1].kind == wire.TypeTransaction {
		begin = s.early[n-1].seq
	}
	done := make(chan struct{})
	s.watch.done = done
	s.watch.stop = context.AfterFunc(ctx, func() {
		defer close(done)
		s.sendCancel(begin, seq)
	})
}

// armShort begins to watch ctx for an operation that there is nothing to stop
// about on the node: when the context ends, so does the wait, without grace.
func (s *Session) armShort(ctx context.Context) {
	s.watch = watch{ctx: ctx}
	if ctx.Done() == nil {
		return
	}
	done := make(chan struct{})
	s.watch.done = done
	s.watch.stop = context.AfterFunc(ctx, func() {
		defer close(done)
		_ = s.conn.SetDeadline(time.Unix(1, 0)) // fails only on a closed stream, which the operation finds
	})
}

// sendCancel runs beside the operation. It bounds what the operation may still
// wait, and asks the node to stop. It waits for the end of a write under way,
// which writeGrace bounds: the write may just have begun, and its request would
// otherwise run on with nobody to cancel it.
func (s *Session) sendCancel(begin, seq uint64) {
	now := time.Now()
	if s.conn.SetReadDeadline(now.Add(cancelGrace)) != nil {
		return // closed: the operation knows already
	}
	_ = s.conn.SetWriteDeadline(now.Add(writeGrace)) // fails like the one above
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.conn.SetWriteDeadline(now.Add(cancelGrace)) == nil {
		_ = s.writeCancel(begin, seq) // a failure is the operation's to find: it reads
	}
}

// writeCancel writes a Cancel for each target but 0, with an encoder of its own:
// the session's may hold what the operation is about to send. The write lock is
// held.
func (s *Session) writeCancel(targets ...uint64) error {
	var enc wire.Encoder
	for _, target := range targets {
		if target == 0 {
			continue
		}
		enc.Begin(wire.TypeCancel, 0)
		m := wire.Cancel{Target: target}
		enc.Payload = m.AppendTo(enc.Payload)
		if err := enc.End(); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(enc.Bytes())
	return err
}

// disarm ends the watch and takes its deadline back. The write lock must not be
// held: a callback that is running may need it.
func (s *Session) disarm() {
	if s.unwatch() && s.broken == nil {
		_ = s.conn.SetDeadline(time.Time{}) // fails only on a closed stream, which the next use finds
	}
	s.watch.ctx = nil
}

// unwatch ends the watch but for what it knows of the context. It waits for a
// callback that is running, so that none can touch the next operation, and
// reports whether there was one.
func (s *Session) unwatch() (ended bool) {
	if s.watch.stop == nil {
		return false
	}
	if ended = !s.watch.stop(); ended {
		<-s.watch.done
	}
	s.watch.stop, s.watch.done = nil, nil
	return ended
}

// contextError gives the error of the watched context if it has ended. A
// deadline that the node (byServer) noticed a moment earlier counts as passed.
func (w *watch) contextError(byServer bool) error {
	if w.ctx == nil {
		return nil
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if d, ok := w.ctx.Deadline(); ok && byServer && time.Until(d) <= deadlineSlack {
		return context.DeadlineExceeded
	}
	return nil
}
