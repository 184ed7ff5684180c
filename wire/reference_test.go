package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryReferenceValueDecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := randomReferenceValue().Draw(t, "value")
		b, err := want.AppendReference([]byte("before"))
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%x, %v", b, err)
		}
		got, err := ParseReferenceValue(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEveryReferenceRowDecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(randomReferenceValue()).Draw(t, "row")
		b, err := AppendReferenceRow(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseReferenceRow(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestAReferencePayloadIsDecodedWholeOrNotAtAll(t *testing.T) {
	row, err := AppendReferenceRow(nil, sampleValues)
	if err != nil {
		t.Fatal(err)
	}
	for n := range row {
		if got, err := ParseReferenceRow(row[:n:n]); err == nil || got != nil {
			t.Errorf("%d of %d bytes gave %v, %v", n, len(row), got, err)
		} else {
			checkMalformed(t, err)
		}
	}
	if got, err := ParseReferenceRow(append(row, 0)); err == nil || got != nil {
		t.Errorf("a byte too many gave %v, %v", got, err)
	}
	for _, v := range sampleValues {
		b, err := v.AppendReference(nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			got, err := ParseReferenceValue(b[:n:n])
			if err == nil || difference(got, Value{}) != "" {
				t.Errorf("%d of %d bytes of a %v gave %v, %v", n, len(b), v.Kind, got, err)
			}
		}
		if got, err := ParseReferenceValue(append(b, 0)); err == nil {
			t.Errorf("a byte too many after a %v gave %v", v.Kind, got)
		}
	}
}

func TestWhatAReferencePeerWouldRefuseIsNotEncoded(t *testing.T) {
	for name, v := range map[string]Value{
		"text that is not UTF-8":     {Kind: KindString, Raw: []byte{0xff}},
		"an unknown kind":            {Kind: 8},
		"the year -262144":           {Kind: KindTimestamp, Num: referenceMinSecond - 1},
		"the year 262143":            {Kind: KindTimestamp, Num: referenceMaxSecond + 1},
		"the beginning of time":      {Kind: KindTimestamp, Num: math.MinInt64},
		"two seconds of nanoseconds": {Kind: KindTimestamp, Num: 59, Nanos: 2_000_000_000},
		"a leap second at :58":       {Kind: KindTimestamp, Num: 58, Nanos: 1_000_000_000},
		"a leap second before 1970":  {Kind: KindTimestamp, Num: -2, Nanos: 1_000_000_000},
	} {
		if b, err := v.AppendReference([]byte("before")); !errors.Is(err, ErrMalformed) || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if b, err := AppendReferenceRow([]byte("before"), []Value{Int(1), v}); !errors.Is(err, ErrMalformed) || string(b) != "before" {
			t.Errorf("%s in a row: %q, %v", name, b, err)
		}
	}
	if b, err := AppendReferenceTimestamp(nil, Int(1)); !errors.Is(err, ErrMalformed) || len(b) > 0 {
		t.Errorf("an Int as a timestamp: %x, %v", b, err)
	}
}

func TestTheRangeOfReferenceTimestampsIsThatOfItsYears(t *testing.T) {
	first := time.Date(referenceMinYear, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last := time.Date(referenceMaxYear, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	if first != referenceMinSecond || last != referenceMaxSecond {
		t.Errorf("%d to %d, the constants say %d to %d", first, last, int64(referenceMinSecond), int64(referenceMaxSecond))
	}
}

func TestReferencePrimitivesDecodeToWhatWasEncoded(t *testing.T) {
	b := AppendReferenceBool(nil, true)
	b = AppendReferenceU16(b, 0xfffe)
	b = AppendReferenceU32(b, 0xfffffffe)
	b = AppendReferenceU32(b, 6)
	b = AppendReferenceU64(b, math.MaxUint64)
	b = AppendReferenceI64(b, math.MinInt64)
	b = AppendReferenceF64(b, -0.5)
	b = AppendReferenceString(b, "größe")
	b = AppendReferenceBytes(b, []byte{0xff})
	b = AppendReferenceOption(b, true)
	b = AppendReferenceU64(b, 0)
	b, err := AppendReferenceTimestamp(b, sampleValues[9])
	if err != nil {
		t.Fatal(err)
	}
	read := func(d *ReferenceDecoder) (ok bool) {
		return d.Bool("bool") && d.U16("u16") == 0xfffe && d.U32("u32") == 0xfffffffe && d.Variant("variant", 7) == 6 && d.U64("u64") == math.MaxUint64 &&
			d.I64("i64") == math.MinInt64 && d.F64("f64") == -0.5 && d.String("string") == "größe" &&
			bytes.Equal(d.Bytes("bytes"), []byte{0xff}) && d.Option("option") && d.Count("count", 1) == 0 &&
			d.Timestamp("at").Time().Equal(sampleValues[9].Time())
	}
	d := NewReferenceDecoder("all", b)
	if !read(d) || d.Left() != 0 || d.Err() != nil || d.Finish() != nil {
		t.Fatalf("%d bytes are left, %v", d.Left(), d.Finish())
	}
	for n := range b {
		d := NewReferenceDecoder("all", b[:n:n])
		read(d)
		checkMalformed(t, d.Finish())
	}
}

func TestAReferenceDecoderRefusesWhatBreaksTheRules(t *testing.T) {
	for where, read := range map[string]func(*ReferenceDecoder){
		"a.bool":    func(d *ReferenceDecoder) { d.Bool("bool") },
		"a.option":  func(d *ReferenceDecoder) { d.Option("option") },
		"a.variant": func(d *ReferenceDecoder) { d.Variant("variant", 2) },
		"a.count":   func(d *ReferenceDecoder) { d.Count("count", 0) },
		"a.bytes":   func(d *ReferenceDecoder) { d.Bytes("bytes") },
		"a.string":  func(d *ReferenceDecoder) { _ = d.String("string") },
		"a.at":      func(d *ReferenceDecoder) { d.Timestamp("at") },
		"a.value":   func(d *ReferenceDecoder) { d.Value("value") },
		"a.row":     func(d *ReferenceDecoder) { d.Row(nil, "row") },
		"a.end":     func(*ReferenceDecoder) {},
	} {
		d := NewReferenceDecoder("a", bytes.Repeat([]byte{9}, 16))
		read(d)
		checkMalformedAt(t, d.Finish(), where)
		// After a failure nothing is read any more.
		if d.U64("more") != 0 || d.Left() != 0 || d.Variant("more", 1) != 0 || d.Err() == nil {
			t.Errorf("%s: reading went on", where)
		}
	}
}

// timestampTexts says which texts are read, and as what; the reference client
// was asked (chrono 0.4.45).
var timestampTexts = []struct {
	text    string
	seconds int64 // of Unix time
	nanos   uint32
	refused string // part of the error
}{
	{"2024-01-01T12:00:00Z", 1704110400, 0, ""},
	{"2024-01-01T12:00:00.5Z", 1704110400, 500000000, ""},
	{"2024-01-01T12:00:00.50Z", 1704110400, 500000000, ""},
	{"2024-01-01T12:00:00.1234567Z", 1704110400, 123456700, ""},
	{"2024-01-01T12:00:00.123456789Z", 1704110400, 123456789, ""},
	{"2024-01-01T12:00:00.1234567891Z", 1704110400, 123456789, ""},
	{"2024-01-01T12:00:00+00:00", 1704110400, 0, ""},
	{"2024-01-01T12:00:00-00:00", 1704110400, 0, ""},
	{"2024-01-01T14:00:00+02:00", 1704110400, 0, ""},
	{"2024-01-01T14:00:00+0200", 1704110400, 0, ""},
	{"2024-01-01 12:00:00Z", 1704110400, 0, ""},
	{"2024-01-01 12:00:00 UTC", 1704110400, 0, ""},
	{"2024-01-01t12:00:00z", 1704110400, 0, ""},
	{"2024-01-01T12:00:00z", 1704110400, 0, ""},
	{"2024-01-01T23:59:60Z", 1704153599, 1000000000, ""},
	{" 2024-01-01T12:00:00Z", 1704110400, 0, ""},
	{"2024-01-01T12:00:00Z ", 1704110400, 0, ""},
	{"2024-1-1T1:2:3Z", 1704070923, 0, ""},
	{"+12024-01-01T00:00:00Z", 317273587200, 0, ""},
	{"-0001-01-01T00:00:00Z", -62198755200, 0, ""},
	{"2024-01-01T14:00:00+02", 0, 0, "part of the offset is missing"},
	{"2024-01-01T12:00:00", 0, 0, "offset such as Z is missing"},
	{"2024-01-01", 0, 0, "T is missing"},
	{"2024-01-01T12:00Z", 0, 0, "':' is missing"},
	{"1704110400", 0, 0, "'-' is missing"},
	{"2024-01-01T24:00:00Z", 0, 0, "hour 24"},
	{"2024-02-30T00:00:00Z", 0, 0, "no day 30"},
	{"", 0, 0, "year is missing"},
	{"12024-01-01T00:00:00Z", 0, 0, "'-' is missing"},

	// Not asked, but of the same rules.
	{"2024 - 01 - 01T 12 : 00 : 00 Z", 1704110400, 0, ""},
	{"2024-01-01T09:30:00-02 30", 1704110400, 0, ""},
	{"2024-01-01T12:00:00utc", 1704110400, 0, ""},
	{"+262142-12-31T23:59:59Z", referenceMaxSecond, 0, ""},
	{"-262143-01-01T00:00:00Z", referenceMinSecond, 0, ""},
	{"+262143-01-01T00:00:00+00:01", referenceMaxSecond + 1 - 60, 0, ""},
	{"+262143-01-01T00:00:00Z", 0, 0, "outside the years"},
	{"+99999999999999999999-01-01T00:00:00Z", 0, 0, "year"},
	{"2024-13-01T00:00:00Z", 0, 0, "month 13"},
	{"2024-00-01T00:00:00Z", 0, 0, "month 0"},
	{"2023-02-29T00:00:00Z", 0, 0, "no day 29"},
	{"2024-01-00T00:00:00Z", 0, 0, "day 0"},
	{"2024-01-01T00:60:00Z", 0, 0, "minute 60"},
	{"2024-01-01T00:00:61Z", 0, 0, "second 61"},
	{"2024-01-01T00:00:00.Z", 0, 0, "fraction"},
	{"2024-01-01T00:00:00,5Z", 0, 0, "offset"},
	{"2024-01-01T00:00:00+24:00", 0, 0, "offset"},
	{"2024-01-01T00:00:00+1:00", 0, 0, "offset"},
	{"2024-01-01T00:00:00+01:60", 0, 0, "offset"},
	{"2024-01-01T00:00:00Zx", 0, 0, "too much"},
	{"2024-01-01T00:00:00 CET", 0, 0, "offset"},
}

func TestTimestampTextsAreReadAsTheReferenceClientDoes(t *testing.T) {
	for _, c := range timestampTexts {
		v, err := ParseReferenceTimestamp([]byte(c.text))
		if c.refused != "" {
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q gave %+v, %v; want an error with %q", c.text, v, err, c.refused)
			}
			continue
		}
		if want := (Value{Kind: KindTimestamp, Num: c.seconds, Nanos: c.nanos}); err != nil || difference(want, v) != "" {
			t.Errorf("%q gave %+v, %v", c.text, v, err)
		}
	}
}

func TestALongTextIsNotRepeatedInTheError(t *testing.T) {
	_, err := ParseReferenceTimestamp(bytes.Repeat([]byte("2024-01-01T00:00:00"), 1000))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("an error of %d characters", len(err.Error()))
	}
}

func TestALeapSecondIsInTheSecondAfterItForGo(t *testing.T) {
	v := Value{Kind: KindTimestamp, Num: 1483228799, Nanos: 1_500_000_000}
	if want := time.Date(2017, 1, 1, 0, 0, 0, 500_000_000, time.UTC); !v.Time().Equal(want) {
		t.Errorf("got %v, want %v", v.Time(), want)
	}
}
