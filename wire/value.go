package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Kind is the kind of a value in session mode, and its tag byte on the wire.
type Kind uint8

// The kinds of values. The numbers are the tags. A Bool has two, so that it
// takes one byte.
const (
	KindNull      Kind = 0
	KindFalse     Kind = 1 // a Bool that is false
	KindTrue      Kind = 2 // a Bool that is true
	KindInt       Kind = 3 // i64
	KindFloat     Kind = 4 // IEEE 754 binary64, every bit pattern kept
	KindString    Kind = 5 // UTF-8
	KindBytes     Kind = 6
	KindTimestamp Kind = 7 // an instant
)

var kindNames = [...]string{"Null", "Bool", "Bool", "Int", "Float", "String", "Bytes", "Timestamp"}

// String gives the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// The range of a Timestamp: the years 1 to 9999, in seconds of Unix time.
const (
	MinTimestamp = -62135596800
	MaxTimestamp = 253402300799
)

// Value is one value without boxing. Its Raw may be a window into the buffer
// of the message that it came from: copy what is kept.
type Value struct {
	Kind Kind
	// Nanos is the fraction of a Timestamp's second, 0 to 999,999,999. In
	// reference mode it goes up to 1,999,999,999: the upper half is a leap
	// second, :60, which follows the second that Num gives.
	Nanos uint32
	// Num is an Int, a Float's bits, or a Timestamp's Unix seconds.
	Num int64
	// Raw is the content of a String or Bytes.
	Raw []byte
}

// Null is the SQL NULL.
func Null() Value { return Value{} }

// Bool makes a boolean value.
func Bool(v bool) Value {
	if v {
		return Value{Kind: KindTrue}
	}
	return Value{Kind: KindFalse}
}

// Int makes a 64-bit integer value.
func Int(v int64) Value { return Value{Kind: KindInt, Num: v} }

// Float makes a floating point value.
func Float(v float64) Value { return Value{Kind: KindFloat, Num: int64(math.Float64bits(v))} }

// String makes a text value. The text must be valid UTF-8.
func String(s string) Value { return Value{Kind: KindString, Raw: []byte(s)} }

// Bytes makes a binary value. It keeps b.
func Bytes(b []byte) Value { return Value{Kind: KindBytes, Raw: b} }

// Timestamp makes an instant. Years outside 1 to 9999 cannot be encoded; see
// InRange.
func Timestamp(t time.Time) Value {
	return Value{Kind: KindTimestamp, Num: t.Unix(), Nanos: uint32(t.Nanosecond())}
}

// InRange reports whether t can travel as a Timestamp: years 1 to 9999 in UTC.
func InRange(t time.Time) bool {
	s := t.Unix()
	return s >= MinTimestamp && s <= MaxTimestamp
}

// Float gives a Float's number.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.Num)) }

// Time gives a Timestamp's instant in UTC. Within a leap second, which Go's clock
// does not have, it is in the second after it.
func (v Value) Time() time.Time { return time.Unix(v.Num, int64(v.Nanos)).UTC() }

// AppendTo appends the value in session mode's form: a tag byte and the content.
func (v Value) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case KindInt, KindFloat:
		dst = appendI64(dst, v.Num)
	case KindString, KindBytes:
		dst = appendBytes(dst, v.Raw)
	case KindTimestamp:
		dst = appendU32(appendI64(dst, v.Num), v.Nanos)
	}
	return dst
}

// ParseValue decodes the value at the start of b and gives what follows it. Raw
// is a window into b. It does not check a String for UTF-8. ok is false when b
// does not begin with a whole valid value.
func ParseValue(b []byte) (v Value, rest []byte, ok bool) {
	if len(b) == 0 {
		return v, b, false
	}
	v.Kind = Kind(b[0])
	switch v.Kind {
	case KindNull, KindFalse, KindTrue:
		return v, b[1:], true
	case KindInt, KindFloat:
		if len(b) < 9 {
			return v, b, false
		}
		v.Num = int64(binary.LittleEndian.Uint64(b[1:]))
		return v, b[9:], true
	case KindString, KindBytes:
		return parseRaw(v, b)
	case KindTimestamp:
		return parseTimestamp(v, b)
	}
	return v, b, false
}

func parseRaw(v Value, b []byte) (Value, []byte, bool) {
	if len(b) < 2 {
		return v, b, false
	}
	n, at := uint64(b[1]), 2
	if n >= 0x80 {
		var size int
		if n, size = binary.Uvarint(b[1:]); size <= 0 {
			return v, b, false
		}
		at = 1 + size
	}
	if n > uint64(len(b)-at) {
		return v, b, false
	}
	end := at + int(n)
	v.Raw = b[at:end:end]
	return v, b[end:], true
}

func parseTimestamp(v Value, b []byte) (Value, []byte, bool) {
	if len(b) < 13 {
		return v, b, false
	}
	v.Num = int64(binary.LittleEndian.Uint64(b[1:]))
	v.Nanos = binary.LittleEndian.Uint32(b[9:])
	if v.Num < MinTimestamp || v.Num > MaxTimestamp || v.Nanos > 999_999_999 {
		return v, b, false
	}
	return v, b[13:], true
}

// value reads a value and, unlike ParseValue, checks a String for UTF-8.
func (c *cursor) value(field string) Value {
	v, rest, ok := ParseValue(c.b[c.off:])
	if !ok {
		if c.off < len(c.b) {
			c.fail(field, "not a whole value with a known tag (tag %d)", c.b[c.off])
		} else {
			c.fail(field, "a value is missing")
		}
		return Value{}
	}
	if v.Kind == KindString && !validUTF8(v.Raw) {
		c.fail(field, "text is not valid UTF-8")
		return Value{}
	}
	c.off = len(c.b) - len(rest)
	return v
}
