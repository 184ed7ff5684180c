package sqlite

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qdb-go/qdb/wire"
)

func TestValuesAreReadByTheirColumnsType(t *testing.T) {
	s := inMemory(t)
	at := time.Date(2024, 2, 29, 13, 14, 15, 0, time.UTC)
	for _, test := range []struct {
		declared, literal string
		want              any
	}{
		{"boolean", "1", true}, {"bool", "0", false}, {"boolean", "2", int64(2)}, {"boolean", "'yes'", "yes"}, {"boolean", "null", nil},
		{"timestamp", "'2024-02-29 13:14:15'", at}, {"datetime", "'2024-02-29T13:14:15Z'", at},
		{"timestamptz", "'2024-02-29 15:14:15+02:00'", at}, {"date", "'2024-02-29'", at.Truncate(24 * time.Hour)},
		{"timestamp", "1709212455", at}, {"timestamp", "1709212455000", at}, {"timestamp", "-1", time.Unix(-1, 0).UTC()},
		{"timestamp", "9223372036854775807", int64(math.MaxInt64)}, {"timestamp", "'someday'", "someday"},
		{"timestamp", "1.5", 1.5}, {"timestamp", "x'00'", []byte{0}}, {"timestamp", "''", ""},
		{"time", "'13:14:15'", "13:14:15"},
		{"decimal(10,2)", "1.5", "1.50"}, {"decimal(10,2)", "7", "7.00"}, {"decimal(10,2)", "1.005", "1.005"},
		{"decimal(10,2)", "-0.1", "-0.10"}, {"decimal(10,2)", "'twelve'", "twelve"}, {"numeric", "7", "7"}, {"numeric(5)", "7.5", "7.5"},
		{"money", "1e21", "1000000000000000000000"}, {"decimal", "1e-7", "0.0000001"}, {"decimal(10,2)", "9e999", math.Inf(1)},
		{"decimal", "9223372036854775807", "9223372036854775807"}, {"decimal(4,1)", "x'01'", []byte{1}},
		{"real", "1", 1.0}, {"double", "1.5", 1.5}, {"float", "9e999", math.Inf(1)}, {"real", "-9e999", math.Inf(-1)}, {"real", "'abc'", "abc"},
		{"integer", "9223372036854775807", int64(math.MaxInt64)}, {"bigint", "1.5", 1.5}, {"integer", "'abc'", "abc"},
		{"text", "12", "12"}, {"varchar(5)", "'longer than five'", "longer than five"}, {"text", "''", ""}, {"text", "'a' || char(0) || 'b'", "a\x00b"},
		{"text", "cast(x'ff41' as text)", []byte{0xff, 'A'}}, {"timestamp", "cast(x'ff' as text)", []byte{0xff}},
		{"blob", "x'00ff'", []byte{0, 0xff}}, {"blob", "x''", []byte{}}, {"blob", "zeroblob(3)", []byte{0, 0, 0}},
		{"", "1", int64(1)}, {"", "1.0", 1.0}, {"", "'2024-02-29'", "2024-02-29"}, {"", "null", nil},
	} {
		s.exec("create table t(x " + test.declared + "); insert into t values (" + test.literal + ")")
		if got := s.value("select x from t"); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s in a column %s: got %#v, want %#v", test.literal, test.declared, got, test.want)
		}
		s.exec("drop table t")
	}
}

func TestExpressionsAreReadByTheirStorage(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(b boolean, d decimal(5,2)); insert into t values (1, 2)")
	want := []any{int64(1), int64(2), 1.5, "a", []byte("a"), nil, true, "2.00"}
	if got := s.rows("select b + 0, max(d), 1.5, 'a', cast('a' as blob), null, (select b from t), d from t")[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestBoundValuesComeBackAsTheyWere(t *testing.T) {
	kindsOf := map[string]*rapid.Generator[any]{
		"integer":   rapid.Int64().AsAny(),
		"real":      rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64})).AsAny(),
		"text":      rapid.String().AsAny(),
		"blob":      rapid.SliceOf(rapid.Byte()).AsAny(),
		"boolean":   rapid.Bool().AsAny(),
		"timestamp": instants().AsAny(),
	}
	for declared, values := range kindsOf {
		t.Run(declared, func(t *testing.T) {
			s := inMemory(t)
			s.exec("create table t(x " + declared + ")")
			put, get := s.prepare("insert into t values (?)"), s.prepare("select x, x is null from t where rowid = ?")
			rapid.Check(t, func(t *rapid.T) {
				want := rapid.OneOf(values, rapid.Just[any](nil)).Draw(t, "value")
				_, r, err := s.run(put, want)
				if err != nil {
					t.Fatal(err)
				}
				rows, _, err := s.run(get, r.LastInsertID)
				if err != nil {
					t.Fatal(err)
				}
				if got := rows[0][0]; !same(got, want) || (rows[0][1] == int64(1)) != (want == nil) {
					t.Fatalf("got %#v, want %#v", rows[0], want)
				}
			})
		})
	}
}

// same is equality in which a NaN equals a NaN and 0 equals -0, which SQLite
// does not keep apart.
func same(got, want any) bool {
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		return ok && (g == w || math.IsNaN(g) && math.IsNaN(w))
	case []byte:
		g, ok := got.([]byte)
		return ok && bytes.Equal(g, w)
	case time.Time:
		g, ok := got.(time.Time)
		return ok && g.Equal(w)
	}
	return got == want
}

// TestDecimalsAreReadWithoutLoss compares with what SQLite itself makes of the
// same number.
func TestDecimalsAreReadWithoutLoss(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x decimal(20,4))")
	put, get := s.prepare("insert into t values (?)"), s.prepare("select x, x = ? from t where rowid = ?")
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64Range(-1e300, 1e300).Draw(t, "number")
		_, r, err := s.run(put, want)
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := s.run(get, want, r.LastInsertID)
		if err != nil {
			t.Fatal(err)
		}
		text := rows[0][0].(string)
		_, digits, found := strings.Cut(text, ".")
		if !found || len(digits) < 4 || strings.ContainsAny(text, "eE") || rows[0][1] != int64(1) {
			t.Fatalf("%v came back as %v", want, rows[0])
		}
		if back := s.value("select ? + 0.0", text); !same(back, want) {
			t.Fatalf("%v came back as %q, which is %v", want, text, back)
		}
	})
}

func TestRowsCostNoAllocation(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(i integer, f real, s text, b blob, n, ok boolean, at timestamp, d decimal(10,2))")
	s.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
		insert into t select i, i / 3.0, 'some text of some length, longer than 32 bytes', x'0011', null, 1, '2024-02-29 13:14:15.5', i + 0.5 from n`)
	stmt := s.prepare("select * from t")
	check(t, stmt.Bind(nil))
	buffer := make([]byte, 0, 4096)
	allocations := testing.AllocsPerRun(4000, func() {
		row, err := stmt.Step()
		if !row || err != nil {
			t.Fatal(row, err)
		}
		buffer = stmt.AppendRow(buffer[:0])
	})
	if allocations != 0 {
		t.Errorf("%v allocations a row, want none", allocations)
	}
}

func TestBindingAndRunningAnInsertCostsFewAllocations(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(i integer, f real, s text, b blob, at timestamp)")
	stmt := s.prepare("insert into t values (?, ?, ?, ?, ?)")
	args := arguments([]any{1, 1.5, strings.Repeat("text", 100), make([]byte, 100), time.Unix(1, 5)})
	allocations := testing.AllocsPerRun(1000, func() {
		if err := stmt.Bind(args); err != nil {
			t.Fatal(err)
		}
		if _, err := stmt.Step(); err != nil {
			t.Fatal(err)
		}
	})
	// The memory that the data is in allocates for itself: measure in a file.
	t.Logf("%v allocations an insert, in memory", allocations)
	f := connect(t, openFile(t, Options{Sync: SyncOff}))
	f.exec("create table t(i integer, f real, s text, b blob, at timestamp)")
	stmt = f.prepare("insert into t values (?, ?, ?, ?, ?)")
	check(t, f.Begin(readWrite))
	allocations = testing.AllocsPerRun(1000, func() {
		_ = stmt.Bind(args)
		if _, err := stmt.Step(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 2 {
		t.Errorf("%v allocations an insert, want 2 at most", allocations)
	}
	check(t, f.Commit())
}

func TestTheKindOfAColumnIsThatOfItsValues(t *testing.T) {
	s := inMemory(t)
	s.exec(`create table t(a integer, b real, c text, d blob, e boolean, f timestamp, g decimal(5,2));
		insert into t values (1, 2, 3, x'04', 1, '2024-02-29', 7)`)
	stmt := s.prepare("select * from t")
	if row, err := stmt.Step(); !row || err != nil {
		t.Fatal(row, err)
	}
	row := stmt.AppendRow(nil)
	for _, column := range stmt.Columns() {
		v, rest, ok := wire.ParseValue(row)
		kind := v.Kind
		if kind == wire.KindTrue {
			kind = wire.KindFalse // they are one
		}
		if !ok || kind != column.Kind {
			t.Errorf("column %s promises %v and gives %v", column.Name, column.Kind, v.Kind)
		}
		row = rest
	}
}
