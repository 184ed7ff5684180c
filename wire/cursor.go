package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// cursor reads a payload front to back. Its error is sticky: after the first
// failure every read gives the zero value, so a decoder checks once, at its
// end, and cannot forget a length. What lies past the payload's end counts as
// absent: a read at exactly the end gives the zero value, as does every one
// after it. That is how a payload from an older peer, which lacks the newest
// fields, decodes. Within a list, whose count has promised its elements, and
// where whole is set, nothing may be absent.
type cursor struct {
	b     []byte
	off   int
	what  string // the message, for errors
	whole bool   // a missing field is an error
	err   error
}

// maxElements is the most elements that a list in a session mode payload may
// have: it bounds by how much a decoded message can outgrow its payload.
const maxElements = 1 << 16

func newCursor(what string, payload []byte) cursor { return cursor{b: payload, what: what} }

func (c *cursor) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = malformed(c.what+"."+field, c.off, format, args...)
	}
	c.off = len(c.b)
}

// absent reports whether the field to be read is missing and may be.
func (c *cursor) absent() bool { return c.off == len(c.b) && (!c.whole || c.err != nil) }

// take gives the next n bytes, or nil when there are none.
func (c *cursor) take(field string, n int) []byte {
	if c.absent() {
		return nil
	}
	if len(c.b)-c.off < n {
		c.fail(field, "needs %d bytes, %d are left", n, len(c.b)-c.off)
		return nil
	}
	b := c.b[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

func (c *cursor) u8(field string) uint8 {
	if b := c.take(field, 1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) bool(field string) bool {
	v := c.u8(field)
	if v > 1 {
		c.off--
		c.fail(field, "a bool is 0 or 1, not %d", v)
	}
	return v == 1
}

func (c *cursor) u16(field string) uint16 {
	if b := c.take(field, 2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32(field string) uint32 {
	if b := c.take(field, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64(field string) uint64 {
	if b := c.take(field, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) i64(field string) int64   { return int64(c.u64(field)) }
func (c *cursor) f64(field string) float64 { return math.Float64frombits(c.u64(field)) }

func (c *cursor) uvarint(field string) uint64 {
	if c.absent() {
		return 0
	}
	v, n := binary.Uvarint(c.b[c.off:])
	if n <= 0 {
		c.fail(field, "no whole number of at most 64 bits in the %d bytes left", len(c.b)-c.off)
		return 0
	}
	c.off += n
	return v
}

// bytes gives a window into the payload.
func (c *cursor) bytes(field string) []byte {
	n := c.uvarint(field)
	if n > uint64(len(c.b)-c.off) {
		c.fail(field, "length says %d bytes, %d are left", n, len(c.b)-c.off)
		return nil
	}
	b := c.b[c.off : c.off+int(n) : c.off+int(n)]
	c.off += int(n)
	return b
}

func (c *cursor) string(field string) string {
	start := c.off
	b := c.bytes(field)
	if !validUTF8(b) {
		c.off = start
		c.fail(field, "text is not valid UTF-8")
		return ""
	}
	return string(b)
}

// list reads the number of elements of a list, each of at least size bytes, and
// enters it. A number that the bytes left cannot hold is refused, so that what
// is allocated for the elements is bounded by what was received.
//
//	for n := c.list("settings", 2); c.next(&n); {
func (c *cursor) list(field string, size int) int {
	n := c.uvarint(field)
	if n > uint64(len(c.b)-c.off)/uint64(size) {
		c.fail(field, "count says %d elements, the %d bytes left cannot hold them", n, len(c.b)-c.off)
		return 0
	}
	if n > maxElements {
		c.fail(field, "%d elements are over the limit of %d", n, maxElements)
		return 0
	}
	c.whole = c.whole || n > 0
	return int(n)
}

// next reports whether the list goes on, and counts down; at the list's end, or
// after a failure, it leaves the list.
func (c *cursor) next(left *int) bool {
	if *left == 0 || c.err != nil {
		c.whole = false
		return false
	}
	*left--
	return true
}

func (c *cursor) strings(field string) []string {
	n := c.list(field, 1)
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for c.next(&n) {
		list = append(list, c.string(field))
	}
	return list
}

// array16 reads 16 bytes, such as an identifier.
func (c *cursor) array16(field string) (id [16]byte) {
	copy(id[:], c.take(field, 16))
	return id
}

func validUTF8(b []byte) bool { return utf8.Valid(b) }
