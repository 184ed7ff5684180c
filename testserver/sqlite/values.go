package sqlite

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// What a stored value is read as, by the meaning of its column's declared type:
//
//	            INTEGER              REAL        TEXT                BLOB
//	itself      Int                  Float       String              Bytes
//	bool        0, 1: Bool; or Int   Float       String              Bytes
//	timestamp   Timestamp; or Int    Float       Timestamp; or String  Bytes
//	decimal     String               String      String              Bytes
//	float       Float                Float       "NaN": NaN; String  Bytes
//
// Text that is not UTF-8 is Bytes everywhere.

// AppendRow appends the current row's values. When a value cannot be had (it
// does not fit into the memory), NULLs stand for the row and the next Step
// fails.
func (s *stmt) AppendRow(dst []byte) []byte {
	if s.stored.row != nil {
		return append(dst, s.stored.row...)
	}
	if s.state != stateRunning {
		return dst
	}
	return s.appendColumns(dst)
}

func (s *stmt) appendColumns(dst []byte) (out []byte) {
	start := dst
	defer func() {
		if p := recover(); p != nil {
			s.spoilt = s.c.panicked(p)
			out = append(start, make([]byte, len(s.meanings))...) // KindNull is 0
		}
	}()
	for i, m := range s.meanings {
		switch s.raw.ColumnType(i) {
		case sqlite3.INTEGER:
			dst = s.appendInteger(dst, s.raw.ColumnInt64(i), m)
		case sqlite3.FLOAT:
			dst = s.appendReal(dst, s.raw.ColumnFloat(i), m)
		case sqlite3.TEXT:
			dst = appendText(dst, s.raw.ColumnRawText(i), m)
		case sqlite3.BLOB:
			dst = appendRaw(dst, wire.KindBytes, s.raw.ColumnRawBlob(i))
		default:
			dst = append(dst, byte(wire.KindNull))
		}
	}
	return dst
}

func (s *stmt) appendInteger(dst []byte, v int64, m meaning) []byte {
	switch m.kind {
	case meansBool:
		if v == 0 || v == 1 {
			return wire.Bool(v == 1).AppendTo(dst)
		}
	case meansTimestamp:
		if seconds, nanos, ok := unixTime(v); ok {
			return appendTimestamp(dst, seconds, nanos)
		}
	case meansDecimal:
		s.scratch = strconv.AppendInt(s.scratch[:0], v, 10)
		return s.appendDecimal(dst, m.scale)
	case meansFloat:
		return appendFloat(dst, float64(v))
	}
	return appendWord(dst, wire.KindInt, uint64(v))
}

func (s *stmt) appendReal(dst []byte, v float64, m meaning) []byte {
	if m.kind == meansDecimal && !math.IsInf(v, 0) && !math.IsNaN(v) {
		s.scratch = strconv.AppendFloat(s.scratch[:0], v, 'f', -1, 64)
		return s.appendDecimal(dst, m.scale)
	}
	return appendFloat(dst, v)
}

// appendDecimal appends the number in scratch, with zeros added up to the scale.
func (s *stmt) appendDecimal(dst []byte, scale int) []byte {
	have := -1 // digits after the point; -1 without a point
	for i, b := range s.scratch {
		if b == '.' {
			have = len(s.scratch) - i - 1
			break
		}
	}
	if have < 0 && scale > 0 {
		s.scratch = append(s.scratch, '.')
		have = 0
	}
	for ; have < scale; have++ {
		s.scratch = append(s.scratch, '0')
	}
	return appendRaw(dst, wire.KindString, s.scratch)
}

func appendText(dst, text []byte, m meaning) []byte {
	switch m.kind {
	case meansTimestamp:
		if seconds, nanos, ok := parseTimestamp(text); ok {
			return appendTimestamp(dst, seconds, nanos)
		}
	case meansFloat:
		if string(text) == textNaN {
			return appendFloat(dst, math.NaN())
		}
	}
	if !utf8.Valid(text) {
		return appendRaw(dst, wire.KindBytes, text)
	}
	return appendRaw(dst, wire.KindString, text)
}

// textNaN is how a NaN is stored, which SQLite would turn into NULL.
const textNaN = "NaN"

func appendFloat(dst []byte, v float64) []byte {
	return appendWord(dst, wire.KindFloat, math.Float64bits(v))
}

func appendWord(dst []byte, kind wire.Kind, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(kind)), v)
}

func appendRaw(dst []byte, kind wire.Kind, raw []byte) []byte {
	return append(binary.AppendUvarint(append(dst, byte(kind)), uint64(len(raw))), raw...)
}

func appendTimestamp(dst []byte, seconds int64, nanos uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendWord(dst, wire.KindTimestamp, uint64(seconds)), nanos)
}
