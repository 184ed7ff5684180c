package sqlite

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestParametersAreListedByNumberAndName(t *testing.T) {
	s := inMemory(t)
	for sql, want := range map[string][]wire.Parameter{
		"select 1":                    nil,
		"select ?, ?":                 {{}, {}},
		"select ?3":                   {{}, {}, {}},
		"select :a, @b, $c, :a":       {{Name: "a"}, {Name: "b"}, {Name: "c"}},
		"select :a, @a":               {{Name: "a"}, {Name: "a"}},
		"select ?, :a, ?":             {{}, {Name: "a"}, {}},
		"insert into t values (:x)":   {{Name: "x"}},
		"select $ns::name(suffix), 1": {{Name: "ns::name(suffix)"}},
	} {
		if strings.Contains(sql, "into t") {
			s.exec("create table t(x)")
		}
		if got := s.prepare(sql).Parameters(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", sql, got, want)
		}
	}
}

func TestArgumentsFindTheirParameters(t *testing.T) {
	s := inMemory(t)
	a, b := named{"a", "A"}, named{"b", "B"}
	for _, test := range []struct {
		sql  string
		args []any
		want []any
	}{
		{"select ?, ?", []any{1, 2}, []any{int64(1), int64(2)}},
		{"select ?2, ?1", []any{1, 2}, []any{int64(2), int64(1)}},
		{"select ?1, ?1", []any{1}, []any{int64(1), int64(1)}},
		{"select :a, :b, :a", []any{1, 2}, []any{int64(1), int64(2), int64(1)}},
		{"select :a, @b, $a", []any{b, a}, []any{"A", "B", "A"}},
		{"select ?, :a, ?", []any{1, a, 2}, []any{int64(1), "A", int64(2)}},
		{"select ?, :a, ?", []any{a, 1, 2}, []any{int64(1), "A", int64(2)}},
		{"select :a, ?, :b", []any{b, 1, a}, []any{"A", int64(1), "B"}},
		{"select :a, ?", []any{1, 2}, []any{int64(1), int64(2)}},
	} {
		if got := s.rows(test.sql, test.args...)[0]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s with %v: got %v, want %v", test.sql, test.args, got, test.want)
		}
	}
}

func TestArgumentsThatDoNotFitAreNamed(t *testing.T) {
	s := inMemory(t)
	a, b := named{"a", 1}, named{"b", 2}
	for _, test := range []struct {
		sql  string
		args []any
		want string
	}{
		{"select ?", nil, "the statement has 1 parameter, but 0 arguments were given"},
		{"select 1", []any{1}, "the statement has 0 parameters, but 1 argument was given"},
		{"select ?3", []any{1, 2}, "the statement has 3 parameters, but 2 arguments were given"},
		{"select :a", []any{b}, `the statement has no parameter "b"`},
		{"select :a", []any{a, b}, `the statement has no parameter "b"`},
		{"select :a", []any{a, a}, `the argument "a" is given twice`},
		{"select :a, :b", []any{b}, "parameter 1 (a) has no argument"},
		{"select ?, :a", []any{a}, "parameter 1 has no argument"},
		{"select :a, :b", []any{b, 1, 2}, "argument 3 is surplus: the statement has 2 parameters"},
		{"select ?", []any{a}, `the statement has no parameter "a"`},
	} {
		if e := wantState(t, s.fails(test.sql, test.args...), "07001"); e.Message != test.want {
			t.Errorf("%s with %v: got %q, want %q", test.sql, test.args, e.Message, test.want)
		}
	}
	stmt := s.prepare("select ?")
	_, err := stmt.Step()
	wantState(t, err, "07001")
}

func TestValuesThatCannotBeStoredAreRefused(t *testing.T) {
	s := inMemory(t)
	for state, v := range map[string]wire.Value{
		"22008": {Kind: wire.KindTimestamp, Num: wire.MaxTimestamp + 1},
		"07006": {Kind: 99},
	} {
		err := s.prepare("select ?").Bind([]wire.Argument{{Value: v}})
		wantState(t, err, state)
	}
}

func TestEmptyIsNotNull(t *testing.T) {
	s := inMemory(t)
	for _, v := range []wire.Value{{Kind: wire.KindString}, {Kind: wire.KindBytes}, wire.String(""), wire.Bytes([]byte{})} {
		stmt := s.prepare("select typeof(?), length(?1)")
		check(t, stmt.Bind([]wire.Argument{{Value: v}}))
		if row, err := stmt.Step(); !row || err != nil {
			t.Fatal(row, err)
		}
		want := map[wire.Kind]string{wire.KindString: "text", wire.KindBytes: "blob"}[v.Kind]
		if got := parseRow(t, stmt.AppendRow(nil)); got[0] != want || got[1] != int64(0) {
			t.Errorf("an empty %v is stored as %v", v.Kind, got)
		}
	}
}

func TestBindKeepsNothingOfTheArguments(t *testing.T) {
	s := inMemory(t)
	stmt := s.prepare("select ?, ?")
	text, blob := []byte("text"), []byte("blob")
	check(t, stmt.Bind([]wire.Argument{{Value: wire.Value{Kind: wire.KindString, Raw: text}}, {Value: wire.Bytes(blob)}}))
	clear(text)
	clear(blob)
	if row, err := stmt.Step(); !row || err != nil {
		t.Fatal(row, err)
	}
	if got := parseRow(t, stmt.AppendRow(nil)); got[0] != "text" || string(got[1].([]byte)) != "blob" {
		t.Errorf("got %q", got)
	}
}

func TestTimestampsAreStoredAsText(t *testing.T) {
	s := inMemory(t)
	zone := time.FixedZone("", 2*3600)
	for want, at := range map[string]time.Time{
		"2024-02-29 13:14:15+00:00":           time.Date(2024, 2, 29, 15, 14, 15, 0, zone),
		"2024-02-29 13:14:15.5+00:00":         time.Date(2024, 2, 29, 13, 14, 15, 5e8, time.UTC),
		"9999-12-31 23:59:59.999999999+00:00": time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		"0001-01-01 00:00:00+00:00":           {},
	} {
		wantValue(t, s.value("select ?", at), want)
	}
}
