package session

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// Summary is what the statements of one request did.
type Summary struct {
	RowsAffected int64 // by all of them
	LastInsertID int64 // of the last one that inserted
	HasInsertID  bool
}

// Rows reads the results of one request, row by row, value by value, out of the
// batches as they arrive. It belongs to its session.
type Rows struct {
	s        *Session
	st       *statement
	seq      uint64
	guarded  bool // sent so that it could not write
	harmless bool // reads only, as far as anyone knows: it can be cut short
	active   bool // the node owes more messages
	started  bool // the result under way has sent its columns
	done     bool // the result under way is complete
	more     bool // another result follows it

	columns []wire.Column
	batch   []byte // values not yet read
	left    int    // rows in it
	granted int    // bytes read since credit was last given
	summary Summary
	err     error // why the reading ended early
}

// Columns describes the rows of the result under way; none if it has no rows.
func (r *Rows) Columns() []wire.Column { return r.columns }

// Summary is what the statements so far did.
func (r *Rows) Summary() Summary { return r.summary }

// first reads until it is known what the first result looks like.
func (r *Rows) first() error {
	for !r.started && !r.done {
		if err := r.advance(); err != nil {
			return err
		}
	}
	return nil
}

// Next moves to the next row, whose values are then read with Value, all of
// them. At the end of the result the error is io.EOF; any other error comes back
// at each further call.
func (r *Rows) Next() error {
	for r.left == 0 {
		switch {
		case r.err != nil:
			return r.err
		case len(r.batch) > 0:
			return r.fail(fmt.Errorf("%d bytes follow the last row of a batch", len(r.batch)))
		case r.done || !r.active:
			return io.EOF
		}
		if err := r.advance(); err != nil {
			return err
		}
	}
	r.left--
	return nil
}

// Value reads the next value of the row. Its Raw is valid until the next Next.
func (r *Rows) Value() (wire.Value, error) {
	v, rest, ok := wire.ParseValue(r.batch)
	if !ok {
		return v, r.fail(fmt.Errorf("a batch of rows holds a damaged value (%d bytes before its end)", len(r.batch)))
	}
	r.batch = rest
	return v, nil
}

// HasNextResult reports whether another result follows, once Next has reached
// the end of the one under way.
func (r *Rows) HasNextResult() bool { return r.done && r.more }

// NextResult moves to the next result, or gives io.EOF. Rows that are left of
// the one under way are dropped.
func (r *Rows) NextResult() error {
	for !r.done {
		if err := r.advance(); err != nil {
			return err
		}
		r.batch, r.left = nil, 0
	}
	switch {
	case r.err != nil:
		return r.err
	case !r.more:
		return io.EOF
	}
	r.columns, r.done, r.more = nil, false, false
	return r.first()
}

// advance reads one message of the response.
func (r *Rows) advance() error {
	if err := r.grant(); err != nil {
		return r.fail(err)
	}
	msg, err := r.s.receive(r.seq)
	if err != nil {
		return r.fail(err)
	}
	if msg.Type == wire.TypeError {
		return r.end(r.s.refusal(msg))
	}
	if e := r.s.earlyErr; e != nil {
		return r.fail(fmt.Errorf("a statement was carried out though the transaction that it belongs to was refused (%s)", e.Error()))
	}
	switch msg.Type {
	case wire.TypeRows:
		return r.takeRows(msg)
	case wire.TypeComplete:
		return r.takeComplete(msg)
	}
	return r.fail(fmt.Errorf("a %v came in a result", msg.Type))
}

// end ends the response with an error: nothing more comes.
func (r *Rows) end(err error) error {
	r.active, r.done, r.more, r.batch, r.left = false, true, false, nil, 0
	r.s.reading = false
	r.s.disarm()
	r.err = err
	return err
}

// fail gives the session up in the middle of a response.
func (r *Rows) fail(err error) error {
	return r.end(r.s.lost("response", err, r.guarded))
}

// grant gives the node new credit once half of the window has been read and
// nothing is left to read, so that a slow reader is not sent more.
func (r *Rows) grant() error {
	if r.granted < creditWindow/2 || r.s.reader.FrameBuffered() {
		return nil
	}
	m := wire.Credit{Target: r.seq, Bytes: uint32(r.granted)}
	r.granted = 0
	return r.s.sendCredit(m)
}

func (s *Session) sendCredit(m wire.Credit) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.enc.Reset()
	defer s.enc.Reset()
	s.enc.Begin(wire.TypeCredit, 0)
	s.enc.Payload = m.AppendTo(s.enc.Payload)
	if err := s.enc.End(); err != nil {
		return err
	}
	_, err := s.conn.Write(s.enc.Bytes())
	return err
}

func (r *Rows) takeRows(msg wire.Message) error {
	var h wire.RowsHeader
	batch, err := h.Decode(msg.Payload)
	if err != nil {
		return r.fail(err)
	}
	if h.First == r.started {
		return r.fail(errors.New("a result that begins twice, or not at all"))
	}
	if h.First {
		if err := r.takeColumns(&h); err != nil {
			return err
		}
	}
	if len(r.columns)*h.Count > len(batch) {
		return r.fail(fmt.Errorf("%d rows of %d columns are announced in %d bytes", h.Count, len(r.columns), len(batch)))
	}
	r.batch, r.left = batch, h.Count
	r.granted += len(msg.Payload)
	return nil
}

func (r *Rows) takeColumns(h *wire.RowsHeader) error {
	r.started = true
	st := r.st
	switch {
	case h.HasColumns:
		r.columns = h.Columns
		if st.id != 0 {
			// A statement that has begun to answer is prepared, however it ends.
			st.columns, st.description, st.prepared = h.Columns, h.Description, true
		}
	case h.Description != 0 && h.Description == st.description && len(st.columns) == h.Width:
		r.columns = st.columns
	default:
		return r.fail(fmt.Errorf("the node left out columns that this session does not have (description %d)", h.Description))
	}
	return nil
}

func (r *Rows) takeComplete(msg wire.Message) error {
	var c wire.Complete
	if err := c.Decode(msg.Payload); err != nil {
		return r.fail(err)
	}
	s, st := r.s, r.st
	s.tx, s.epoch = c.Tx, c.SchemaEpoch
	s.dirty = s.dirty || c.Dirty
	r.summary.RowsAffected += c.RowsAffected
	if c.HasInsertID {
		r.summary.LastInsertID, r.summary.HasInsertID = c.LastInsertID, true
	}
	if st.id != 0 && !c.More {
		st.prepared = true
		st.noteWrites(c.Wrote)
	}
	r.started, r.done, r.more, r.active = false, true, c.More, c.More
	if !r.active {
		s.reading = false
		s.disarm()
	}
	return nil
}

// Close ends the reading; rows that the node has yet to send are dropped. A
// request that only reads is cancelled if the node owes more, and at most the
// credit is read; the error is nil, and the session lives on unless the node does
// not answer within the grace period. Any other request is brought to its end: a
// write that has returned its first row must not be undone because the caller
// wanted no more of them. The error is then that of the request.
func (r *Rows) Close() error {
	if r.s == nil {
		return nil
	}
	defer func() { r.batch, r.left = nil, 0 }()
	if !r.harmless {
		return r.finish()
	}
	for r.active && r.s.reader.FrameBuffered() {
		r.discard()
	}
	if r.active {
		r.cancelRest()
	}
	return nil
}

// finish reads the response to its end.
func (r *Rows) finish() error {
	for r.active {
		if err := r.advance(); err != nil {
			return err
		}
	}
	return nil
}

// cancelRest asks the node to stop, and waits until it has.
func (r *Rows) cancelRest() {
	s := r.s
	s.unwatch()
	if err := s.conn.SetDeadline(time.Now().Add(cancelGrace)); err != nil {
		_ = r.fail(err) // the session is broken, as the next request will find
		return
	}
	s.wmu.Lock()
	err := s.writeCancel(r.seq)
	s.wmu.Unlock()
	if err != nil {
		_ = r.fail(err)
		return
	}
	for r.active {
		r.discard()
	}
	if s.broken == nil {
		_ = s.conn.SetDeadline(time.Time{}) // fails only on a closed stream, which the next use finds
	}
}

// discard reads one message and drops it, and whatever error it brings: nobody
// asks for these rows any more, and they can have had no effect.
func (r *Rows) discard() {
	r.granted = 0
	_ = r.advance()
}
