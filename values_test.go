package qdb_test

import (
	"bytes"
	"database/sql"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDeclaredTypesComeBackAsTheirGoTypes(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, `CREATE TABLE v (b BOOLEAN, ts TIMESTAMP, dt DATETIME, d DATE, bl BLOB, tx TEXT, vc VARCHAR(20), i INTEGER, r REAL, dec DECIMAL(10,2))`)
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC)
	mustExec(t, db, "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", true, at, at, "2024-02-29", []byte{0, 1}, "text", "länge", int64(math.MinInt64), 0.5, "12.50")
	want := []any{true, at, at, time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), []byte{0, 1}, "text", "länge", int64(math.MinInt64), 0.5, "12.50"}
	got := make([]any, len(want))
	dest := make([]any, len(want))
	for i := range got {
		dest[i] = &got[i]
	}
	if err := db.QueryRow("SELECT * FROM v").Scan(dest...); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if w, ok := want[i].(time.Time); ok {
			if g, ok := got[i].(time.Time); !ok || !g.Equal(w) || g.Location() != time.UTC {
				t.Errorf("column %d: got %v, want %v", i, got[i], w)
			}
		} else if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("column %d: got %#v, want %#v", i, got[i], want[i])
		}
	}
}

func TestColumnTypesDescribeTheColumns(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, `CREATE TABLE v (i INTEGER NOT NULL, vc VARCHAR(20), dec DECIMAL(10,2), tx TEXT, ts TIMESTAMP, b BOOLEAN, bl BLOB, r REAL)`)
	rows, err := db.Query("SELECT *, 1+1 AS expr FROM v")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"INTEGER", "VARCHAR", "DECIMAL", "TEXT", "TIMESTAMP", "BOOLEAN", "BLOB", "REAL", ""}
	scans := []any{int64(0), "", "", "", time.Time{}, false, []byte(nil), 0.0, nil}
	for i, ct := range types {
		if ct.DatabaseTypeName() != names[i] {
			t.Errorf("%s: type %q, want %q", ct.Name(), ct.DatabaseTypeName(), names[i])
		}
		want := reflect.TypeFor[any]()
		if scans[i] != nil {
			want = reflect.TypeOf(scans[i])
		}
		if ct.ScanType() != want {
			t.Errorf("%s: scan type %v, want %v", ct.Name(), ct.ScanType(), want)
		}
	}
	if n, ok := types[0].Nullable(); !ok || n {
		t.Errorf("a NOT NULL column: nullable %v, known %v", n, ok)
	}
	if n, ok := types[1].Nullable(); !ok || !n {
		t.Errorf("a nullable column: nullable %v, known %v", n, ok)
	}
	if n, ok := types[1].Length(); !ok || n != 20 {
		t.Errorf("VARCHAR(20): length %d, known %v", n, ok)
	}
	if p, s, ok := types[2].DecimalSize(); !ok || p != 10 || s != 2 {
		t.Errorf("DECIMAL(10,2): %d, %d, known %v", p, s, ok)
	}
}

func TestAnyValueSurvivesTheRoundTrip(t *testing.T) {
	db, _ := open(t, 2, "")
	mustExec(t, db, `CREATE TABLE v (id INTEGER PRIMARY KEY, i INTEGER, r REAL, tx TEXT, bl BLOB, b BOOLEAN, ts TIMESTAMP)`)
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.Int64().Draw(rt, "i")
		r := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64})).Draw(rt, "r")
		tx := rapid.String().Draw(rt, "tx")
		bl := rapid.SliceOf(rapid.Byte()).Draw(rt, "bl")
		if bl == nil {
			bl = []byte{}
		}
		b := rapid.Bool().Draw(rt, "b")
		zone := time.FixedZone("", rapid.IntRange(-12*3600, 14*3600).Draw(rt, "zone"))
		ts := time.Unix(rapid.Int64Range(-62135510400, 253402214400).Draw(rt, "s"), rapid.Int64Range(0, 999999999).Draw(rt, "ns")).In(zone)
		res, err := db.Exec("INSERT INTO v (i, r, tx, bl, b, ts) VALUES (?, ?, ?, ?, ?, ?)", i, r, tx, bl, b, ts)
		if err != nil {
			rt.Fatal(err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			rt.Fatal(err)
		}
		var gi int64
		var gr float64
		var gtx string
		var gbl []byte
		var gb bool
		var gts time.Time
		if err := db.QueryRow("SELECT i, r, tx, bl, b, ts FROM v WHERE id = ?", id).Scan(&gi, &gr, &gtx, &gbl, &gb, &gts); err != nil {
			rt.Fatal(err)
		}
		sameFloat := gr == r || math.IsNaN(gr) && math.IsNaN(r)
		if gi != i || !sameFloat || gtx != tx || !bytes.Equal(gbl, bl) || gbl == nil || gb != b || !gts.Equal(ts) {
			rt.Fatalf("sent %v %v %q %x %v %v, got %v %v %q %x %v %v", i, r, tx, bl, b, ts, gi, gr, gtx, gbl, gb, gts)
		}
	})
}

func TestNullIsNotTheEmptyValue(t *testing.T) {
	db, _ := open(t, 1, "")
	var s sql.NullString
	var b []byte
	if err := db.QueryRow("SELECT ?, ?", "", []byte{}).Scan(&s, &b); err != nil {
		t.Fatal(err)
	}
	if !s.Valid || b == nil {
		t.Errorf("empty values came back as NULL: %v %v", s, b)
	}
	if err := db.QueryRow("SELECT ?, ?", nil, []byte(nil)).Scan(&s, &b); err != nil {
		t.Fatal(err)
	}
	if s.Valid || b != nil {
		t.Errorf("NULL came back as %v %v", s, b)
	}
}

func TestTimesComeBackInTheLocationOfTheDSN(t *testing.T) {
	db, _ := open(t, 1, "loc=Europe%2FBerlin")
	mustExec(t, db, "CREATE TABLE v (ts TIMESTAMP)")
	last := time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	mustExec(t, db, "INSERT INTO v VALUES (?)", last)
	got := scanOne[time.Time](t, db, "SELECT ts FROM v")
	if !got.Equal(last) || got.Location().String() != "Europe/Berlin" {
		t.Errorf("got %v in %v", got, got.Location())
	}
}
