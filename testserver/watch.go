package testserver

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// Times of a watch.
const (
	// watchAfter is how long a request runs before it is watched. Most are
	// done by then and never pay for it.
	watchAfter = 3 * time.Millisecond
	// watchEvery is how often rows that are held back are sent while the
	// engine takes its time for the next one.
	watchEvery = 10 * time.Millisecond
	// interruptEvery is how often an interrupt is repeated. The engine ignores
	// one that comes between two operations of the same request.
	interruptEvery = 2 * time.Millisecond
)

// aheadBytes and aheadMessages bound what is read from a client ahead of a
// request that is under way, in search of a Cancel for it.
const (
	aheadBytes    = 4 << 20
	aheadMessages = 4096
)

// cause is why a request is to stop.
type cause uint8

const (
	causeNone     cause = iota
	causeCancel         // the client asked for it
	causeTimeout        // its time is over
	causeGone           // nobody waits for the answer
	causeShutdown       // the node ends, or its drain's grace is over
)

// errAhead: a client has sent too much ahead of a request that waits for it.
var errAhead = errors.New("too many requests are waiting behind one that needs credit")

// ahead is a message that was read while another request was under way.
type ahead struct {
	wire.Message
	cancelled bool
}

// watch looks after the request under way: it hears the client's Cancel and
// Credit, notices that the client is gone, keeps the statement's deadline, and
// sends rows that are held back. All of it begins only when the request has run
// for watchAfter: then a timer starts a goroutine that reads the socket ahead,
// until the request ends.
//
// The session's goroutine calls begin, end, pause and unpause; the timer calls
// tick; anyone may call stop.
type watch struct {
	s     *session
	timer *time.Timer
	// stopping mirrors cause != none and not soft, to be asked before every row.
	stopping atomic.Bool

	mu       sync.Mutex   // protects what follows
	db       backend.Conn // nil until the session has one
	running  bool
	sequence uint64
	cause    cause
	shutdown bool // for good: later requests stop at once
	// soft: the statement has written, and returned the first of its rows.
	// It is brought to its end for Cancel and a deadline; only its remaining
	// rows are dropped.
	soft     bool
	deadline time.Time // zero: none
	credit   int64     // bytes of rows that may be sent; negative: overshot
	limited  bool      // by credit
	inline   bool      // the session's goroutine reads itself
	reading  chan struct{}
	full     bool // enough is read ahead
	gone     error
	queue    []ahead
	queued   int // bytes in queue
}

// begin takes a request under watch.
func (w *watch) begin(sequence uint64, timeout time.Duration, credit uint32, stop cause) {
	w.mu.Lock()
	w.running, w.sequence, w.soft, w.full = true, sequence, false, false
	w.credit, w.limited = int64(credit), credit > 0
	w.deadline = time.Time{}
	delay := watchAfter
	if timeout > 0 {
		w.deadline = time.Now().Add(timeout)
		delay = min(delay, timeout)
	}
	w.cause = stop
	if w.shutdown {
		w.cause = causeShutdown
	}
	w.update()
	w.mu.Unlock()
	w.timer.Reset(delay)
}

// update sets stopping. It is called with mu held.
func (w *watch) update() {
	w.stopping.Store(w.cause != causeNone && (!w.soft || w.cause >= causeGone))
}

// end ends the watch. Nothing reads the socket and no interrupt comes after it.
func (w *watch) end() {
	w.mu.Lock()
	w.running = false
	w.mu.Unlock()
	w.timer.Stop()
	w.stopReading()
}

// why gives the reason why the request under way is to stop, if there is one.
func (w *watch) why() cause {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// stop asks the request under way to stop. For causeShutdown, later ones too.
func (w *watch) stop(why cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why == causeShutdown {
		w.shutdown = true
	}
	w.halt(why)
}

// halt notes the first reason to stop, and interrupts. It is called with mu held.
func (w *watch) halt(why cause) {
	if !w.running {
		return
	}
	if w.cause == causeNone || w.soft && why >= causeGone {
		w.cause = why
	}
	w.update()
	w.interrupt()
}

// interrupt interrupts what the request is doing, if it is to stop. It is
// called with mu held.
func (w *watch) interrupt() {
	if w.stopping.Load() && w.db != nil {
		w.db.Interrupt()
	}
	if w.inline && w.cause != causeNone {
		w.s.conn.SetReadDeadline(past)
	}
}

// connected notes the connection to the engine that an interrupt is for.
func (w *watch) connected(db backend.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.db = db
}

// soften notes whether the statement has written and returned a row.
func (w *watch) soften(soft bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.soft = soft
	w.update()
}

// dropping reports whether the remaining rows of a softened statement are not
// wanted any more.
func (w *watch) dropping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.soft && w.cause != causeNone
}

// tick is the timer's function. One that comes late, after its request, finds
// nothing to do, or does for the next request what is due a little later.
func (w *watch) tick() {
	w.mu.Lock()
	if !w.running {
		w.mu.Unlock()
		return
	}
	if w.reading == nil && !w.inline && !w.full && w.gone == nil {
		w.reading = make(chan struct{})
		w.s.background = true
		go w.read(w.reading)
	}
	if !w.deadline.IsZero() && !time.Now().Before(w.deadline) && w.cause == causeNone {
		w.halt(causeTimeout)
	} else {
		w.interrupt()
	}
	if d := w.next(); d > 0 {
		w.timer.Reset(d)
	}
	w.mu.Unlock()
	w.s.pushRows()
}

// next is in how long the next tick is due; 0: not before somebody acts. It is
// called with mu held.
func (w *watch) next() time.Duration {
	var toDeadline time.Duration
	if !w.deadline.IsZero() && w.cause == causeNone {
		toDeadline = max(time.Until(w.deadline), time.Microsecond)
	}
	switch {
	case w.stopping.Load():
		return interruptEvery
	case w.inline:
		return toDeadline
	case toDeadline > 0:
		return min(watchEvery, toDeadline)
	}
	return watchEvery
}

// read is the goroutine that reads ahead.
func (w *watch) read(done chan struct{}) {
	defer close(done)
	for {
		m, err := w.s.in.Next()
		if err != nil {
			w.lost(err)
			return
		}
		if !w.take(m) {
			return
		}
	}
}

// lost handles the end of the stream, or a deadline that says to stop reading.
func (w *watch) lost(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = err
	w.halt(causeGone)
}

// take handles a message that came while a request is under way. It reports
// whether more may be read.
func (w *watch) take(m wire.Message) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.Type {
	case wire.TypeCancel:
		var c wire.Cancel
		if c.Decode(m.Payload) == nil {
			w.cancel(c.Target)
			return true
		}
	case wire.TypeCredit:
		var c wire.Credit
		if c.Decode(m.Payload) == nil {
			if c.Target == w.sequence {
				w.credit += int64(c.Bytes)
			}
			return true
		}
	}
	m.Payload = append([]byte(nil), m.Payload...)
	w.queue = append(w.queue, ahead{Message: m})
	w.queued += len(m.Payload)
	w.full = w.queued >= aheadBytes || len(w.queue) >= aheadMessages
	return !w.full
}

// cancel stops the request with the sequence number, be it under way or still
// to come. One that has ended is not found. It is called with mu held.
func (w *watch) cancel(target uint64) {
	if w.running && target == w.sequence {
		w.halt(causeCancel)
		return
	}
	for i := range w.queue {
		if w.queue[i].Sequence == target {
			w.queue[i].cancelled = true
		}
	}
}

// pop gives the next message that was read ahead.
func (w *watch) pop() (m ahead, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return m, false
	}
	m = w.queue[0]
	w.queue[0] = ahead{}
	w.queue = w.queue[1:]
	w.queued -= len(m.Payload)
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return m, true
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// stopReading makes the reading goroutine end, if there is one, and waits for
// it. Half a frame that it has read stays in the reader.
func (w *watch) stopReading() {
	w.mu.Lock()
	reading := w.reading
	w.mu.Unlock()
	if reading == nil {
		return
	}
	w.s.conn.SetReadDeadline(past)
	<-reading
	w.s.conn.SetReadDeadline(time.Time{})
	w.mu.Lock()
	w.reading, w.s.background = nil, false
	w.mu.Unlock()
}

// lacksCredit reports whether rows must wait for the client's leave.
func (w *watch) lacksCredit() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.limited && w.credit <= 0 && w.cause == causeNone
}

// room is how many bytes of rows may still be sent, at most most.
func (w *watch) room(most int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.limited {
		return most
	}
	return int(min(int64(most), w.credit))
}

// spend takes the bytes of a message of rows off the credit.
func (w *watch) spend(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.credit -= int64(n)
}

// awaitCredit returns when a message of rows may be sent, or the request is to
// stop. Meanwhile it reads the socket itself. An error ends the session.
func (w *watch) awaitCredit() error {
	if !w.lacksCredit() {
		return nil
	}
	w.mu.Lock()
	w.inline = true
	w.mu.Unlock()
	w.stopReading()
	defer w.readAgain()
	for w.lacksCredit() {
		m, err := w.s.in.Next()
		switch {
		case errors.Is(err, errLeaving):
			w.stop(causeShutdown)
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && w.why() != causeNone:
			return nil
		case err != nil:
			w.lost(err)
			return err
		case !w.take(m):
			return errAhead
		}
	}
	return nil
}

// readAgain leaves reading to the watch again.
func (w *watch) readAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inline = false
	w.s.conn.SetReadDeadline(time.Time{})
	w.timer.Reset(watchEvery)
}
