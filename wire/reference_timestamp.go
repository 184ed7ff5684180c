package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// The range of the reference protocol's timestamps, in years and in seconds of
// Unix time. It is that of the chrono library:
// https://docs.rs/chrono/0.4.45/chrono/struct.DateTime.html.
const (
	referenceMinYear   = -262143
	referenceMaxYear   = 262142
	referenceMinSecond = -8334601228800
	referenceMaxSecond = 8210266876799
)

// leapNanos is where the fraction of a leap second begins.
const leapNanos = 1_000_000_000

// AppendReferenceTimestamp appends a Timestamp as the reference protocol writes
// it, as a String: year to second, a fraction of 3, 6 or 9 digits, as few as
// tell it exactly and none when it is zero, and a Z. Years outside 0 to 9999
// have a sign; a leap second is :60. It fails, and appends nothing, for years
// outside -262143 to 262142, and for a leap second within a minute.
func AppendReferenceTimestamp(dst []byte, v Value) ([]byte, error) {
	if fault := timestampFault(v); fault != "" {
		return dst, malformed("timestamp", -1, "%s", fault)
	}
	var text [48]byte
	return AppendReferenceBytes(dst, appendTimestampText(text[:0], v)), nil
}

func timestampFault(v Value) string {
	if v.Kind != KindTimestamp {
		return "a " + v.Kind.String() + " is not a Timestamp"
	}
	if v.Nanos >= 2*leapNanos || v.Nanos >= leapNanos && (v.Num%60+60)%60 != 59 {
		return fmt.Sprintf("%d nanoseconds are over a second, which only a leap second may be", v.Nanos)
	}
	if v.Num < referenceMinSecond || v.Num > referenceMaxSecond {
		return fmt.Sprintf("second %d is outside the years %d to %d", v.Num, referenceMinYear, referenceMaxYear)
	}
	return ""
}

func appendTimestampText(dst []byte, v Value) []byte {
	t := time.Unix(v.Num, 0).UTC()
	year, second, nanos := t.Year(), t.Second(), v.Nanos
	if nanos >= leapNanos {
		second, nanos = 60, nanos-leapNanos
	}
	switch {
	case year < 0:
		dst = append(dst, '-')
		year = -year
	case year > 9999:
		dst = append(dst, '+')
	}
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(t.Month()), 2)
	dst = appendDigits(append(dst, '-'), t.Day(), 2)
	dst = appendDigits(append(dst, 'T'), t.Hour(), 2)
	dst = appendDigits(append(dst, ':'), t.Minute(), 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	switch {
	case nanos == 0:
	case nanos%1_000_000 == 0:
		dst = appendDigits(append(dst, '.'), int(nanos/1_000_000), 3)
	case nanos%1_000 == 0:
		dst = appendDigits(append(dst, '.'), int(nanos/1_000), 6)
	default:
		dst = appendDigits(append(dst, '.'), int(nanos), 9)
	}
	return append(dst, 'Z')
}

// appendDigits appends a number that is not negative with at least width digits.
func appendDigits(dst []byte, n, width int) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], int64(n), 10)
	for i := len(text); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// ParseReferenceTimestamp reads a timestamp's text as generously as the
// reference client does: what people and other libraries write under the name of
// RFC 3339 is accepted, with any length of fraction (cut after nine digits), any
// offset in hours and minutes, T, t or a blank between date and time, Z, z or
// UTC, blanks around numbers, numbers without leading zeros, and :60. A text
// without offset, without seconds, or with a date that does not exist is
// refused. Blanks are those of ASCII. The error is a *ProtocolError of kind
// ErrMalformed.
func ParseReferenceTimestamp(text []byte) (Value, error) {
	v, fault := parseTimestampText(text)
	if fault != "" {
		return Value{}, malformed("timestamp", -1, "%s", fault)
	}
	return v, nil
}

// parseTimestampText gives a Timestamp, or what is wrong with the text.
func parseTimestampText(text []byte) (v Value, fault string) {
	s := timestampScanner{rest: text}
	year := s.year()
	s.expect('-')
	month := s.number("month", 2, 1, 12)
	s.expect('-')
	day := s.number("day", 2, 1, 31)
	s.separator()
	hour := s.number("hour", 2, 0, 23)
	s.expect(':')
	minute := s.number("minute", 2, 0, 59)
	s.expect(':')
	second := s.number("second", 2, 0, 60)
	nanos := s.fraction()
	offset := s.offset()
	s.end()
	if s.fault == "" {
		v, s.fault = makeTimestamp(year, month, day, hour*3600+minute*60+second-offset, second == 60, nanos)
	}
	if s.fault != "" {
		return Value{}, fmt.Sprintf("%.40q is not a timestamp such as 2024-01-31T12:00:00.123Z: %s", text, s.fault)
	}
	return v, ""
}

// makeTimestamp puts the parts together; seconds are those since the day began,
// in UTC.
func makeTimestamp(year, month, day, seconds int, leap bool, nanos uint32) (Value, string) {
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if date.Day() != day {
		return Value{}, fmt.Sprintf("month %d of %d has no day %d", month, year, day)
	}
	v := Value{Kind: KindTimestamp, Num: date.Unix() + int64(seconds), Nanos: nanos}
	if leap {
		v.Num--
		v.Nanos += leapNanos
	}
	return v, timestampFault(v)
}

// timestampScanner takes a timestamp's text apart. Its first fault sticks.
type timestampScanner struct {
	rest  []byte
	fault string
}

func (s *timestampScanner) fail(format string, args ...any) {
	if s.fault == "" {
		s.fault = fmt.Sprintf(format, args...)
	}
	s.rest = nil
}

// skip passes over blanks.
func (s *timestampScanner) skip() { s.rest = bytes.TrimLeft(s.rest, " \t\r\n\v\f") }

// peek gives the next byte, or 0 at the end.
func (s *timestampScanner) peek() byte {
	if len(s.rest) == 0 {
		return 0
	}
	return s.rest[0]
}

// expect takes a separator, which may stand after blanks.
func (s *timestampScanner) expect(c byte) {
	s.skip()
	if s.peek() != c {
		s.fail("%q is missing", c)
		return
	}
	s.rest = s.rest[1:]
}

// separator takes what stands between date and time.
func (s *timestampScanner) separator() {
	switch s.peek() {
	case 'T', 't', ' ':
		s.rest = s.rest[1:]
	default:
		s.fail("a T is missing between date and time")
	}
}

// number takes up to width digits, which may stand after blanks.
func (s *timestampScanner) number(what string, width, low, high int) int {
	s.skip()
	n := s.digits(what, width)
	if s.fault == "" && (n < low || n > high) {
		s.fail("%s %d is not in %d to %d", what, n, low, high)
	}
	return n
}

// digits takes at least one and at most width digits. A number of more than
// eight digits saturates: it is out of every range.
func (s *timestampScanner) digits(what string, width int) int {
	n, i := 0, 0
	for ; i < width && i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		n = min(n*10+int(s.rest[i]-'0'), 1e8)
	}
	if i == 0 {
		s.fail("%s is missing", what)
		return 0
	}
	s.rest = s.rest[i:]
	return n
}

// year takes four digits at most, or a sign and any number of digits.
func (s *timestampScanner) year() int {
	s.skip()
	sign, width := 1, 4
	switch s.peek() {
	case '-':
		sign, width, s.rest = -1, len(s.rest), s.rest[1:]
	case '+':
		width, s.rest = len(s.rest), s.rest[1:]
	}
	n := sign * s.digits("year", width)
	// A little more than the range: an offset can lead back into it.
	if n < referenceMinYear-1 || n > referenceMaxYear+1 {
		s.fail("year %d is out of range", n)
	}
	return n
}

// fraction takes a fraction of a second, if there is one, in nanoseconds.
func (s *timestampScanner) fraction() uint32 {
	if s.peek() != '.' {
		return 0
	}
	s.rest = s.rest[1:]
	n, i := uint32(0), 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		if i < 9 {
			n = n*10 + uint32(s.rest[i]-'0')
		}
	}
	if i == 0 {
		s.fail("a fraction has at least one digit")
		return 0
	}
	s.rest = s.rest[i:]
	for ; i < 9; i++ {
		n *= 10
	}
	return n
}

// offset takes the distance from UTC, in seconds.
func (s *timestampScanner) offset() int {
	s.skip()
	if len(s.rest) >= 3 && bytes.EqualFold(s.rest[:3], []byte("UTC")) {
		s.rest = s.rest[3:]
		return 0
	}
	sign := 1
	switch s.peek() {
	case 'Z', 'z':
		s.rest = s.rest[1:]
		return 0
	case '-':
		sign = -1
	case '+':
	default:
		s.fail("an offset such as Z is missing")
		return 0
	}
	s.rest = s.rest[1:]
	hours := s.twoDigits(23)
	s.rest = bytes.TrimLeft(s.rest, ": \t\r\n\v\f")
	return sign * (hours*3600 + s.twoDigits(59)*60)
}

func (s *timestampScanner) twoDigits(high int) int {
	before := len(s.rest)
	n := s.digits("a part of the offset", 2)
	if s.fault == "" && (before-len(s.rest) != 2 || n > high) {
		s.fail("an offset has two digits of hours, up to 23, and two of minutes, up to 59")
	}
	return n
}

// end makes sure that only blanks are left.
func (s *timestampScanner) end() {
	s.skip()
	if len(s.rest) > 0 {
		s.fail("%.20q is too much", s.rest)
	}
}
