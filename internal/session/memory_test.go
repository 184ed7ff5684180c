package session

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// memory is a node and the stream to it in one, without sockets or goroutines:
// what is written is answered at once, and waits to be read.
type memory struct {
	net.Conn // nil: what is not overridden is not called

	// answer gives the answers to a message by putting them into out.
	answer func(m wire.Message, out *wire.Encoder)
	out    wire.Encoder
	raw    []byte // written, less than a frame
	unread []byte // out's frames, less what was read

	room    int // bytes of writes that are still taken; negative: any number
	cut     int // bytes of answers that still arrive; negative: any number
	flip    int // the bit of the answers that arrives wrong; negative: none
	garbage []byte
	end     error // of the stream, once nothing is left to be read
	closed  int

	sent int // bytes of answers
}

var errCut = errors.New("the cable was cut")

func (c *memory) Protocol() wire.Protocols         { return wire.ProtocolTCP }
func (c *memory) Alive() error                     { return nil }
func (c *memory) SetDeadline(time.Time) error      { return nil }
func (c *memory) SetReadDeadline(time.Time) error  { return nil }
func (c *memory) SetWriteDeadline(time.Time) error { return nil }
func (c *memory) Close() error                     { c.closed++; return nil }

func (c *memory) Write(b []byte) (int, error) {
	n := len(b)
	if c.room >= 0 {
		n = min(n, c.room)
		c.room -= n
	}
	c.raw = append(c.raw, b[:n]...)
	for len(c.raw) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.raw))
		if len(c.raw) < size {
			break
		}
		m, err := wire.DecodeFrame(c.raw[:size], 0)
		if err != nil {
			return n, err
		}
		c.respond(m)
		c.raw = append(c.raw[:0], c.raw[size:]...)
	}
	if c.room >= 0 && n < len(b) {
		return n, errCut
	}
	return n, nil
}

// respond has the message answered and lets the answers arrive as far as they
// are to.
func (c *memory) respond(m wire.Message) {
	if len(c.unread) == 0 {
		c.out.Reset()
	}
	before := c.out.Len()
	c.answer(m, &c.out)
	answers := c.out.Bytes()[before:]
	if bit := c.flip - 8*c.sent; c.flip >= 0 && bit >= 0 && bit < 8*len(answers) {
		answers[bit/8] ^= 1 << (bit % 8)
	}
	c.sent += len(answers)
	if c.cut >= 0 {
		if len(c.garbage) > 0 && c.cut < len(answers) {
			c.garbage[0] = ^answers[c.cut] // so that it is garbage
		}
		answers = answers[:min(len(answers), c.cut)]
		c.cut -= len(answers)
	}
	left := len(c.unread)
	c.unread = c.out.Bytes()[before-left : before+len(answers)]
}

func (c *memory) Read(b []byte) (int, error) {
	if len(c.unread) == 0 && len(c.garbage) > 0 {
		n := copy(b, c.garbage)
		c.garbage = c.garbage[n:]
		return n, nil
	}
	if len(c.unread) == 0 {
		if c.end == nil {
			panic("the client waits for an answer that will not come")
		}
		return 0, c.end
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// put adds a message to the answers.
func put(out *wire.Encoder, kind wire.Type, seq uint64, m interface{ AppendTo([]byte) []byte }) {
	out.Begin(kind, seq)
	out.Payload = m.AppendTo(out.Payload)
	if err := out.End(); err != nil {
		panic(err)
	}
}

// openMemory opens a session with a node in memory. The faults begin after the
// handshake.
func openMemory(t testing.TB, answer func(wire.Message, *wire.Encoder)) (*Session, *memory) {
	t.Helper()
	c := &memory{room: -1, cut: -1, flip: -1, answer: func(m wire.Message, out *wire.Encoder) {
		put(out, wire.TypeHandshake, m.Sequence, &wire.ServerHandshake{Version: 1, NodeID: "n1"})
	}}
	s, err := Open(t.Context(), c, "memory", testConfig(), false)
	if err != nil {
		t.Fatal(err)
	}
	c.answer, c.sent = answer, 0
	return s, c
}
