package sqlite

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qdb-go/qdb/wire"
)

func TestParseTimestampReadsAllForms(t *testing.T) {
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	clock := func(h, m, s, n int) time.Time { return time.Date(2024, 2, 29, h, m, s, n, time.UTC) }
	for text, want := range map[string]time.Time{
		"2024-02-29":                                day,
		"2024-02-29 13:14":                          clock(13, 14, 0, 0),
		"2024-02-29T13:14":                          clock(13, 14, 0, 0),
		"2024-02-29 13:14:15":                       clock(13, 14, 15, 0),
		"2024-02-29t13:14:15":                       clock(13, 14, 15, 0),
		"2024-02-29 13:14:15.5":                     clock(13, 14, 15, 500_000_000),
		"2024-02-29 13:14:15.123456789":             clock(13, 14, 15, 123_456_789),
		"2024-02-29 13:14:15.1234567899":            clock(13, 14, 15, 123_456_789),
		"2024-02-29 13:14:15Z":                      clock(13, 14, 15, 0),
		"2024-02-29T13:14:15z":                      clock(13, 14, 15, 0),
		"2024-02-29 13:14Z":                         clock(13, 14, 0, 0),
		"2024-02-29 13:14:15+00:00":                 clock(13, 14, 15, 0),
		"2024-02-29 13:14:15 +02:00":                clock(11, 14, 15, 0),
		"2024-02-29T13:14:15.25-05:30":              clock(18, 44, 15, 250_000_000),
		"2024-02-29 13:14:15 +0000 UTC":             clock(13, 14, 15, 0),
		"2024-02-29 13:14:15.5 +0100 CET":           clock(12, 14, 15, 500_000_000),
		"2024-02-29 13:14:15 +0330 +0330":           clock(9, 44, 15, 0),
		"2024-02-29 13:14:15 +0000 UTC m=+0.000123": clock(13, 14, 15, 0),
		"0001-01-01 00:00:00":                       time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999999999Z":            time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		"1900-03-01":                                time.Date(1900, 3, 1, 0, 0, 0, 0, time.UTC),
		"2000-12-31":                                time.Date(2000, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		seconds, nanos, ok := parseTimestamp([]byte(text))
		if got := time.Unix(seconds, int64(nanos)).UTC(); !ok || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, ok, want)
		}
	}
}

func TestParseTimestampLeavesOtherTextAlone(t *testing.T) {
	for _, text := range []string{
		"", "now", "2024", "2024-02", "2024-2-9", "2023-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-04-31",
		"24-02-29", "2024-02-29 ", "2024-02-29 1:02", "2024-02-29 24:00", "2024-02-29 13:60", "2024-02-29 13:14:60",
		"2024-02-29 13:14:15.", "2024-02-29 13:14:15,5", "2024-02-29 13:14:15 CET", "2024-02-29 13:14:15+2",
		"2024-02-29 13:14:15+24:00", "2024-02-29 13:14:15+00:60", "2024-02-29 13:14:15Zulu", "2024-02-29X13:14",
		"2024-02-29 13:14:15 +0000 U2C", "2024-02-29 13:14:15 +0000 m=", "2024-02-29Z", "13:14:15", "2460000.5",
		"0000-12-31 23:59:59", "0001-01-01 00:00:00+00:01", "9999-12-31 23:59:59-00:01", "-001-01-01",
	} {
		if seconds, nanos, ok := parseTimestamp([]byte(text)); ok {
			t.Errorf("%q was taken for %v", text, time.Unix(seconds, int64(nanos)).UTC())
		}
	}
}

func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.Int64Range(wire.MinTimestamp, wire.MaxTimestamp).Draw(t, "seconds")
		nanos := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 999)).Draw(t, "part")
		nanos *= rapid.SampledFrom([]int64{1, 1000, 1_000_000}).Draw(t, "unit")
		return time.Unix(seconds, nanos).UTC()
	})
}

func TestStoredTimestampsReadBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := instants().Draw(t, "instant")
		text := appendTimestampText(nil, want)
		seconds, nanos, ok := parseTimestamp(text)
		if got := time.Unix(seconds, int64(nanos)); !ok || !got.Equal(want) {
			t.Fatalf("%v was stored as %q and read as %v, %v", want, text, got.UTC(), ok)
		}
	})
}

func TestParseTimestampAgreesWithPackageTime(t *testing.T) {
	layouts := []string{time.RFC3339Nano, time.RFC3339, "2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02 15:04:05 -0700"}
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("ABC", rapid.IntRange(-14*60, 14*60).Draw(t, "zone")*60)
		layout := rapid.SampledFrom(layouts).Draw(t, "layout")
		text := instants().Draw(t, "instant").In(zone).Format(layout)
		want, err := time.Parse(layout, text)
		if err != nil || !wire.InRange(want) || text[4] != '-' {
			t.Skip("outside the range")
		}
		seconds, nanos, ok := parseTimestamp([]byte(text))
		if !ok || !time.Unix(seconds, int64(nanos)).Equal(want) {
			t.Fatalf("%q: got %v, %v, want %v", text, time.Unix(seconds, int64(nanos)).UTC(), ok, want)
		}
	})
}

func FuzzParseTimestamp(f *testing.F) {
	for _, text := range []string{"2024-02-29", "2024-02-29 13:14:15.5 +0100 CET m=+0.1", "0001-01-01T00:00:00Z", "9999-12-31 23:59:59.999999999-00:00"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		seconds, nanos, ok := parseTimestamp(text)
		if !ok {
			return
		}
		at := time.Unix(seconds, int64(nanos))
		if !wire.InRange(at) || nanos > 999_999_999 {
			t.Fatalf("%q gave %v, out of range", text, at.UTC())
		}
		again, more, ok := parseTimestamp(appendTimestampText(nil, at))
		if !ok || again != seconds || more != nanos {
			t.Fatalf("%q gave %v, which does not read back", text, at.UTC())
		}
	})
}

// TestSQLiteUnderstandsAndSortsStoredTimestamps lets SQLite itself compute with
// the stored text and compare it.
func TestSQLiteUnderstandsAndSortsStoredTimestamps(t *testing.T) {
	s := inMemory(t)
	stmt := s.prepare("SELECT unixepoch(?1), CAST(strftime('%f', ?1) * 1000 + 0.5 AS INTEGER), ?1 < ?2, ?1 = ?2")
	rapid.Check(t, func(t *rapid.T) {
		a, b := instants().Draw(t, "a"), instants().Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = time.Unix(a.Unix(), int64(b.Nanosecond())).UTC()
		}
		rows, _, err := s.run(stmt, a, b)
		if err != nil {
			t.Fatal(err)
		}
		row := rows[0]
		// SQLite counts in milliseconds and rounds to them.
		rounded := a.Round(time.Millisecond)
		if row[0] != a.Unix() && row[0] != rounded.Unix() {
			t.Fatalf("SQLite takes %v for the second %v", a, row[0])
		}
		if ms := row[1].(int64); ms%1000 != int64(rounded.Nanosecond()/1e6) && ms%1000 != int64(a.Nanosecond()/1e6) {
			t.Fatalf("SQLite takes %v for %d ms", a, ms)
		}
		if less := row[2] == int64(1); less != a.Before(b) {
			t.Fatalf("SQLite says that %v < %v is %v", a, b, less)
		}
		if same := row[3] == int64(1); same != a.Equal(b) {
			t.Fatalf("SQLite says that %v = %v is %v", a, b, same)
		}
	})
}
