package sqlite

import (
	"time"

	"github.com/qdb-go/qdb/wire"
)

// timestampLayout is how a Timestamp is stored: in UTC, so that texts sort as
// instants do, and in a form that SQLite's date functions understand.
const timestampLayout = "2006-01-02 15:04:05.999999999+00:00"

// appendTimestampText appends an instant as it is stored.
func appendTimestampText(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, timestampLayout)
}

// millisFrom is the magnitude from which a number is taken for milliseconds of
// Unix time: as seconds it would be the year 5138, as milliseconds it is 1973.
const millisFrom = 100_000_000_000

// unixTime reads a number as an instant: seconds of Unix time, or milliseconds
// when it is over millisFrom. ok is false outside the years 1 to 9999.
func unixTime(v int64) (seconds int64, nanos uint32, ok bool) {
	seconds = v
	if v > millisFrom || v < -millisFrom {
		t := time.UnixMilli(v)
		seconds, nanos = t.Unix(), uint32(t.Nanosecond())
	}
	return seconds, nanos, inRange(seconds)
}

func inRange(seconds int64) bool {
	return seconds >= wire.MinTimestamp && seconds <= wire.MaxTimestamp
}

// parseTimestamp reads an instant from text: SQLite's forms that begin with a
// date (lang_datefunc.html), RFC 3339, and the form of time.Time's String. A
// text without a zone is in UTC. Digits after the ninth of a fraction are cut
// off. ok is false for anything else, and outside the years 1 to 9999.
func parseTimestamp(text []byte) (seconds int64, nanos uint32, ok bool) {
	s := scanner{rest: text, ok: true}
	year := s.digits(4)
	s.byte('-')
	month := s.digits(2)
	s.byte('-')
	day := s.digits(2)
	if !s.ok || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, 0, false
	}
	seconds = daysSinceEpoch(year, month, day) * 86400
	if len(s.rest) > 0 {
		var of, offset int64
		of, nanos = s.clock()
		offset = s.zone()
		seconds += of - offset
	}
	return seconds, nanos, s.ok && len(s.rest) == 0 && inRange(seconds)
}

// scanner takes a text apart from left to right. ok turns false at the first
// thing that does not fit and stays so.
type scanner struct {
	rest []byte
	ok   bool
}

// digits reads a number of exactly n digits.
func (s *scanner) digits(n int) (v int64) {
	if len(s.rest) < n {
		s.ok = false
		return 0
	}
	for _, b := range s.rest[:n] {
		if b < '0' || b > '9' {
			s.ok = false
			return 0
		}
		v = v*10 + int64(b-'0')
	}
	s.rest = s.rest[n:]
	return v
}

// byte reads one of the bytes of set.
func (s *scanner) byte(set ...byte) {
	if len(s.rest) > 0 {
		for _, b := range set {
			if s.rest[0] == b {
				s.rest = s.rest[1:]
				return
			}
		}
	}
	s.ok = false
}

func (s *scanner) at(b byte) bool { return len(s.rest) > 0 && s.rest[0] == b }

// clock reads a T or a space and HH:MM, HH:MM:SS or HH:MM:SS.fraction.
func (s *scanner) clock() (seconds int64, nanos uint32) {
	s.byte('T', 't', ' ')
	hour := s.digits(2)
	s.byte(':')
	minute := s.digits(2)
	var second int64
	if s.at(':') {
		s.byte(':')
		second = s.digits(2)
		if s.at('.') {
			s.byte('.')
			nanos = s.fraction()
		}
	}
	if hour > 23 || minute > 59 || second > 59 {
		s.ok = false
	}
	return hour*3600 + minute*60 + second, nanos
}

func (s *scanner) fraction() (nanos uint32) {
	n := 0
	for ; n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9'; n++ {
		if n < 9 {
			nanos = nanos*10 + uint32(s.rest[n]-'0')
		}
	}
	if n == 0 {
		s.ok = false
	}
	s.rest = s.rest[n:]
	for ; n < 9; n++ {
		nanos *= 10
	}
	return nanos
}

// zone reads an offset from UTC in seconds: nothing, Z, ±HH:MM or ±HHMM, each
// with space before it, and what time.Time's String adds: a name and the
// monotonic clock.
func (s *scanner) zone() (offset int64) {
	s.spaces()
	if len(s.rest) == 0 {
		return 0
	}
	if s.at('Z') || s.at('z') {
		s.rest = s.rest[1:]
		s.spaces()
		return 0
	}
	negative := s.at('-')
	s.byte('+', '-')
	hours := s.digits(2)
	if s.at(':') {
		s.byte(':')
	}
	minutes := s.digits(2)
	if hours > 23 || minutes > 59 {
		s.ok = false
	}
	s.zoneName()
	offset = hours*3600 + minutes*60
	if negative {
		return -offset
	}
	return offset
}

func (s *scanner) spaces() {
	for s.at(' ') {
		s.rest = s.rest[1:]
	}
}

// zoneName reads " UTC" and " m=+0.1", as in "… +0000 UTC m=+0.1". A zone that
// has no name is repeated in digits: "+0330 +0330".
func (s *scanner) zoneName() {
	for s.at(' ') {
		s.spaces()
		n := 0
		for n < len(s.rest) && s.rest[n] > ' ' && s.rest[n] < 0x7f {
			n++
		}
		word := s.rest[:n]
		s.rest = s.rest[n:]
		if !isZoneWord(word) {
			s.ok = false
		}
	}
}

// isZoneWord reports whether a word may follow an offset: a name of letters, an
// offset, the monotonic clock, or nothing.
func isZoneWord(word []byte) bool {
	if len(word) == 0 {
		return true
	}
	if word[0] == 'm' && len(word) > 3 && word[1] == '=' {
		word = word[2:]
	}
	if word[0] == '+' || word[0] == '-' {
		for _, b := range word[1:] {
			if b != '.' && (b < '0' || b > '9') {
				return false
			}
		}
		return len(word) > 1
	}
	for _, b := range word {
		if !isLetter(b) {
			return false
		}
	}
	return true
}

var monthDays = [13]int64{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func daysIn(year, month int64) int64 {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return monthDays[month]
}

// daysSinceEpoch counts the days from 1970-01-01 in the Gregorian calendar. The
// year is taken to begin in March, so that the leap day is its last.
func daysSinceEpoch(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 719469
}
