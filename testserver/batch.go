package testserver

import (
	"encoding/binary"
	"fmt"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// Sizes of messages of rows, in bytes. The first is small, so that the client
// has something to do soon; each is twice the one before it, up to the most.
const (
	firstBatch = 8 << 10
	largeBatch = 64 << 10
)

// batch sends the rows of a result in messages of a good size, within the
// client's credit. It appends each row where it leaves, and holds one message
// at most. What it holds is guarded by session.outMu.
//
// The credit counts the bytes of the payloads of Rows, before compression.
type batch struct {
	s      *session
	header wire.RowsHeader
	target int  // size at which a message is sent
	limit  int  // the same for the message under way, by the credit for it
	open   bool // a message is under way
	first  bool // the next message is the result's first
	count  int  // rows in the message
	at     int  // where in the encoder's buffer the count goes
}

// start begins a result with the columns that the header describes.
func (b *batch) start(h wire.RowsHeader) {
	b.header, b.target, b.first = h, firstBatch, true
}

// add appends the row at which st stands. A *wire.Error says that it is too
// long; another error ends the session.
func (b *batch) add(st backend.Stmt, columns []wire.Column) error {
	out := &b.s.out
	if !b.open {
		if err := b.begin(); err != nil {
			return err
		}
	}
	row := len(out.Payload)
	out.Payload = st.AppendRow(out.Payload)
	if out.Size() > out.MaxMessageSize {
		if err := b.addAlone(row, columns); err != nil {
			return err
		}
	}
	b.count++
	if out.Size() < b.limit {
		return nil
	}
	b.target = min(2*b.target, largeBatch)
	if err := b.finish(); err != nil {
		return err
	}
	return b.s.flush()
}

// addAlone moves the row that begins at the given place, and is too much for
// the message under way, to a message of its own.
func (b *batch) addAlone(at int, columns []wire.Column) error {
	out := &b.s.out
	row := append([]byte(nil), out.Payload[at:]...)
	out.Payload = out.Payload[:at]
	if err := b.finish(); err != nil {
		return err
	}
	if err := b.s.flush(); err != nil {
		return err
	}
	if err := b.begin(); err != nil {
		return err
	}
	out.Payload = append(out.Payload, row...)
	if out.Size() <= out.MaxMessageSize {
		return nil
	}
	out.Abort()
	b.open = false
	return tooLongError(row, columns, out.MaxMessageSize)
}

// begin opens a message.
func (b *batch) begin() error {
	h := &b.header
	h.First, h.Count = b.first, 0
	if !h.First {
		h.HasColumns = false
	}
	out := &b.s.out
	out.Begin(wire.TypeRows, b.s.sequence)
	out.Payload = h.AppendTo(out.Payload)
	b.at = len(out.Payload) - wire.RowsCountSize
	b.open, b.first, b.count = true, false, 0
	b.limit = b.s.watch.room(b.target) + wire.MessageOverhead
	if size := out.Size(); size > out.MaxMessageSize {
		out.Abort()
		b.open = false
		return &wire.Error{Code: "54000", Message: fmt.Sprintf(
			"the description of %d columns takes %d bytes, over the limit of %d for a message", h.Width, size, out.MaxMessageSize)}
	}
	return nil
}

// finish completes the message under way, if there is one.
func (b *batch) finish() error {
	if !b.open {
		return nil
	}
	b.open = false
	out := &b.s.out
	binary.LittleEndian.PutUint32(out.Payload[b.at:], uint32(b.count))
	b.s.watch.spend(out.Size() - wire.MessageOverhead)
	return out.End()
}

// end completes the result. One without rows has its columns sent all the same.
func (b *batch) end() error {
	if b.first {
		if err := b.begin(); err != nil {
			return err
		}
	}
	return b.finish()
}

// pushRows sends what is held back, if the session's goroutine is waiting for
// the engine or the socket, and otherwise leaves it to that.
func (s *session) pushRows() {
	if !s.outMu.TryLock() {
		return
	}
	defer s.outMu.Unlock()
	if s.rows.finish() == nil {
		s.flush()
	}
}

// tooLongError says which column makes a row too long.
func tooLongError(row []byte, columns []wire.Column, limit int) *wire.Error {
	size, longest, name := len(row), -1, ""
	for i := 0; len(row) > 0 && i < len(columns); i++ {
		_, rest, ok := wire.ParseValue(row)
		if !ok {
			break
		}
		if n := len(row) - len(rest); n > longest {
			longest, name = n, columns[i].Name
		}
		row = rest
	}
	return &wire.Error{
		Code: "54000", Column: name,
		Message: fmt.Sprintf("a row of %d bytes is over the limit of %d for a message", size, limit),
		Detail:  fmt.Sprintf("its longest column is %q with %d bytes", name, longest),
		Hint:    "raise max_message_size, or read the value in parts",
	}
}
