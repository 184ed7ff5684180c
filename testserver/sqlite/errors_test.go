package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

const errorSchema = `
	create table t(a integer primary key, b text not null, c int check (c > 0), d text, e int constraint small check (e < 10));
	create unique index bc on t(b, c);
	create unique index lowered on t(lower(d));
	create table w(k text primary key, v) without rowid;
	create table pk2(a int, b int, primary key (a, b));
	create table p(id integer primary key); create table f(p int references p);
	create table nokey(v); create table bad(p int references nokey(v));
	create table strict_t(n int) strict;
	create table again(x); create trigger ever after insert on again begin insert into again values (1); end;
	create view v as select * from t;
	create table one(d unique); insert into one values ('d');
	create trigger stop before insert on w when new.k = 'stop' begin select raise(abort, 'Stock is too low'); end;
	create table g(a, b as (a + 1));
	insert into t values (1, 'b', 1, 'd', 1);
	insert into w values ('k', 1);
	insert into pk2 values (1, 2);
	insert into p values (1); insert into f values (1)`

// faults are statements that make SQLite fail, and with what.
var faults = []struct {
	sql  string
	want wire.Error
}{
	{"insert into t values (1, 'x', 2, null, null)", wire.Error{Code: "23505", Constraint: "PRIMARY KEY", Table: "t", Column: "a"}},
	{"insert into w values ('k', 2)", wire.Error{Code: "23505", Constraint: "PRIMARY KEY", Table: "w", Column: "k"}},
	{"insert into pk2 values (1, 2)", wire.Error{Code: "23505", Constraint: "PRIMARY KEY", Table: "pk2", Column: "a, b"}},
	{"insert into p(rowid) values (1)", wire.Error{Code: "23505", Constraint: "PRIMARY KEY", Table: "p", Column: "id"}},
	{"insert into t values (2, 'b', 1, null, null)", wire.Error{Code: "23505", Constraint: "bc", Table: "t", Column: "b, c"}},
	{"insert into one values ('d')", wire.Error{Code: "23505", Constraint: "sqlite_autoindex_one_1", Table: "one", Column: "d"}},
	{"insert into t values (2, 'x', 1, 'D', null)", wire.Error{Code: "23505", Constraint: "lowered"}},
	{"insert into t values (2, null, 1, null, null)", wire.Error{Code: "23502", Table: "t", Column: "b"}},
	{"update t set b = null", wire.Error{Code: "23502", Table: "t", Column: "b"}},
	{"insert into t values (2, 'x', -1, null, null)", wire.Error{Code: "23514", Constraint: "c > 0"}},
	{"insert into t values (2, 'x', 1, null, 11)", wire.Error{Code: "23514", Constraint: "small"}},
	{"insert into f values (99)", wire.Error{Code: "23503"}},
	{"delete from p", wire.Error{Code: "23503"}},
	{"insert into w values ('stop', 1)", wire.Error{Code: "45000"}},
	{"insert into strict_t values ('x')", wire.Error{Code: "22018"}},
	{"insert into p values ('x')", wire.Error{Code: "22018"}},
	{"selec 1", wire.Error{Code: "42601"}},
	{"select 'abc", wire.Error{Code: "42601"}},
	{"select (", wire.Error{Code: "42601"}},
	{"insert into t values (1)", wire.Error{Code: "42601"}},
	{"insert into t(a) values (1, 2)", wire.Error{Code: "42601"}},
	{"values (1), (1, 2)", wire.Error{Code: "42601"}},
	{"select 1 union select 1, 2", wire.Error{Code: "42601"}},
	{"select 1 = (select 1, 2)", wire.Error{Code: "42601"}},
	{"select 1 limit 1 union select 2", wire.Error{Code: "42601"}},
	{"select * from nope", wire.Error{Code: "42P01"}},
	{"drop table nope", wire.Error{Code: "42P01"}},
	{"drop view nope", wire.Error{Code: "42P01"}},
	{"select nope from t", wire.Error{Code: "42703"}},
	{`select "nope"`, wire.Error{Code: "42703"}},
	{"insert into t(nope) values (1)", wire.Error{Code: "42703"}},
	{"select a from t, pk2", wire.Error{Code: "42702"}},
	{"select nope(1)", wire.Error{Code: "42883"}},
	{"select lower()", wire.Error{Code: "42883"}},
	{"select load_extension('x')", wire.Error{Code: "42883"}},
	{"drop index nope", wire.Error{Code: "42704"}},
	{"drop trigger nope", wire.Error{Code: "42704"}},
	{"select 1 order by 1 collate nope", wire.Error{Code: "42704"}},
	{"create virtual table x using nope", wire.Error{Code: "42704"}},
	{"reindex nope", wire.Error{Code: "42704"}},
	{"create table t(x)", wire.Error{Code: "42P07"}},
	{"create view v as select 1", wire.Error{Code: "42P07"}},
	{"create table bc(x)", wire.Error{Code: "42P07"}},
	{"create index t on t(a)", wire.Error{Code: "42P07"}},
	{"create index bc on t(a)", wire.Error{Code: "42710"}},
	{"create trigger stop after delete on t begin select 1; end", wire.Error{Code: "42710"}},
	{"create table x(a, a)", wire.Error{Code: "42701"}},
	{"alter table t add column a", wire.Error{Code: "42701"}},
	{"with x as (select 1), x as (select 2) select * from x", wire.Error{Code: "42712"}},
	{"select count(*) from t where count(*) > 1", wire.Error{Code: "42803"}},
	{"select a from t having a > 1", wire.Error{Code: "42803"}},
	{"select row_number() over () from t where row_number() over () > 1", wire.Error{Code: "42P20"}},
	{"insert into bad values (1)", wire.Error{Code: "42830"}},
	{"create table x(a, foreign key (z) references p)", wire.Error{Code: "42703"}},
	{"commit", wire.Error{Code: "25P01"}},
	{"rollback", wire.Error{Code: "25P01"}},
	{"begin; begin", wire.Error{Code: "25001"}},
	{"begin; vacuum", wire.Error{Code: "25001"}},
	{"select (select 1, 2)", wire.Error{Code: "42601"}},
	{"select 1 order by 1 union all select 2", wire.Error{Code: "42601"}},
	{"create index x on t(a nulls last)", wire.Error{Code: "0A000"}},
	{"pragma recursive_triggers = 1; insert into again values (1)", wire.Error{Code: "54001"}},
	{"select " + strings.Repeat("(", 5000), wire.Error{Code: "54001"}},
	{"release nope", wire.Error{Code: "3B001"}},
	{"select abs(-9223372036854775807 - 1)", wire.Error{Code: "22003"}},
	{"select sum(x) from (select 9223372036854775807 as x union all select 1)", wire.Error{Code: "22003"}},
	{"select json('{')", wire.Error{Code: "22032"}},
	{"select json_extract('{}', 'x')", wire.Error{Code: "22033"}},
	{"select zeroblob(2000000000)", wire.Error{Code: "54000"}},
	{"select 1 where 'a' like '" + strings.Repeat("%a", 30000) + "'", wire.Error{Code: "54001"}},
	{"select 1 + " + strings.Repeat("1 + ", 1100) + "1", wire.Error{Code: "54001"}},
	{"create table x(" + numbered("a%d, ", 2001) + "z)", wire.Error{Code: "54011"}},
	{"select " + strings.Repeat("?, ", 32767) + "1", wire.Error{Code: "54000"}},
	{"select 1" + strings.Repeat(" union all select 1", 501), wire.Error{Code: "54000"}},
	{"select 1 from " + numbered("p as a%d, ", 65) + "p", wire.Error{Code: "54000"}},
	{"insert into v values (1, 2, 3, 4, 5)", wire.Error{Code: "42809"}},
	{"delete from sqlite_master", wire.Error{Code: "42501"}},
	{"drop table sqlite_master", wire.Error{Code: "42501"}},
	{"create table sqlite_x(a)", wire.Error{Code: "42939"}},
	{"insert into g(b) values (1)", wire.Error{Code: "0A000"}},
	{"alter table t drop column a", wire.Error{Code: "0A000"}},
	{"alter table t add column x primary key", wire.Error{Code: "0A000"}},
	{"select nth_value(a, 0) over () from t", wire.Error{Code: "HY000"}},
	{"attach 'x.db' as x", wire.Error{Code: "0A000"}},
}

// numbered repeats format with the numbers from 0 on, n times.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestErrorsOfSQLiteAreTranslated provokes each of the faults, and with them
// each of the phrases.
func TestErrorsOfSQLiteAreTranslated(t *testing.T) {
	s := inMemory(t)
	s.exec(errorSchema)
	provoked := make([]bool, len(phrases))
	for _, test := range faults {
		_, _, err := s.try(test.sql)
		check(t, s.Rollback())
		if err == nil {
			t.Errorf("%.80s succeeded", test.sql)
			continue
		}
		e := wireError(t, err)
		for i, p := range phrases {
			if strings.HasPrefix(e.Message, lowerFirst(p.begins)) && strings.Contains(e.Message, p.holds) {
				provoked[i] = true
				break
			}
		}
		got := wire.Error{Code: e.Code, Constraint: e.Constraint, Table: e.Table, Column: e.Column}
		if fmt.Sprint(got) != fmt.Sprint(test.want) || got != test.want || e.Effect != wire.EffectNone {
			t.Errorf("%.80s:\n got %+v with effect %v\nwant %+v", test.sql, e, e.Effect, test.want)
		}
		if r := []rune(e.Message)[0]; unicode.IsUpper(r) && e.Code != "45000" {
			t.Errorf("%.80s: the message begins in upper case: %s", test.sql, e.Message)
		}
	}
	for i, p := range phrases {
		if !provoked[i] && p.begins != "cannot VACUUM - " { // TestObjectsInUseAreNotDropped has it
			t.Errorf("no statement here makes SQLite say %q … %q", p.begins, p.holds)
		}
	}
	wantValue(t, s.fails("insert into w values ('stop', 1)").Message, "Stock is too low")
	wantValue(t, s.value("select (select count(*) from t) + (select count(*) from w) + (select count(*) from p)"), 3)
}

func TestObjectsInUseAreNotDropped(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x); insert into t values (1), (2)")
	rows := s.prepare("select x from t")
	if row, err := rows.Step(); !row || err != nil {
		t.Fatal(row, err)
	}
	wantState(t, s.fails("drop table t"), "55006")
	wantState(t, s.fails("vacuum"), "55006")
}

func TestAReadOnlySettingRefusesWrites(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x); pragma query_only = 1")
	wantState(t, s.fails("insert into t values (1)"), "25006")
}

func TestAFullDatabaseIsSaidToBeFull(t *testing.T) {
	s := connect(t, openFile(t, Options{}))
	s.exec("create table t(x); pragma max_page_count = 10")
	e := wantState(t, s.fails("insert into t values (zeroblob(1000000))"), "53100")
	if e.Hint == "" {
		t.Error("there is no hint")
	}
	wantValue(t, s.value("select count(*) from t"), 0)
	check(t, s.Begin(readWrite))
	s.exec("insert into t values (1)")
	wantState(t, s.fails("insert into t values (zeroblob(1000000))"), "53100")
	check(t, s.Rollback())
	wantValue(t, s.value("select count(*) from t"), 0)
}

func TestDamageIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "damaged.db")
	db, err := Open(Options{Path: path})
	check(t, err)
	c, err := db.Connect(t.Context(), backend.Identity{})
	check(t, err)
	session{c, t}.exec("create table t(x); insert into t values (zeroblob(100000)); create table u(x); insert into u values (1)")
	check(t, c.Close())
	check(t, db.Close())
	data, err := os.ReadFile(path)
	check(t, err)
	for i := 4096; i < len(data); i++ { // all but the schema
		data[i] = 0xaa
	}
	check(t, os.WriteFile(path, data, 0o600))
	s := connect(t, openMemory(t, Options{Path: path}))
	wantState(t, s.fails("select * from t"), "XX001")
}

// TestCodesThatNeedARealAccident checks what cannot be provoked here.
func TestCodesThatNeedARealAccident(t *testing.T) {
	for code, want := range map[sqlite3.ExtendedErrorCode]string{
		sqlite3.IOERR_FSYNC:       "58030",
		sqlite3.IOERR_DATA:        "XX001",
		sqlite3.CORRUPT_INDEX:     "XX001",
		sqlite3.READONLY_DBMOVED:  "58030",
		sqlite3.READONLY_ROLLBACK: "25006",
		sqlite3.CANTOPEN_ISDIR:    "58030",
		sqlite3.LOCKED_VTAB:       "55006",
		sqlite3.ABORT_ROLLBACK:    "40000",
		sqlite3.CONSTRAINT_VTAB:   "23000",
		sqlite3.CONSTRAINT_ROWID:  "23505",
		sqlite3.AUTH_USER:         "42501",
		primary(sqlite3.SCHEMA):   "40001",
		primary(sqlite3.PROTOCOL): "55P03",
		primary(sqlite3.NOTADB):   "XX001",
		primary(sqlite3.PERM):     "42501",
		primary(sqlite3.MISUSE):   "XX000",
		primary(sqlite3.RANGE):    "07009",
		primary(sqlite3.ERROR):    "HY000",
		sqlite3.ERROR_SNAPSHOT:    "HY000",
	} {
		if got := translate(code, "some words").Code; got != want {
			t.Errorf("%v (%d): got %s, want %s", code, code, got, want)
		}
	}
}

func TestOnlyADoubtfulCommitHasAnUnknownEffect(t *testing.T) {
	c := inMemory(t).Conn.(*conn)
	for _, test := range []struct {
		code sqlite3.ExtendedErrorCode
		o    outcome
		want wire.Effect
	}{
		{sqlite3.IOERR_FSYNC, outcome{write: true}, wire.EffectUnknown},
		{sqlite3.IOERR_WRITE, outcome{commit: true}, wire.EffectUnknown},
		{sqlite3.IOERR_READ, outcome{}, wire.EffectNone},
		{primary(sqlite3.FULL), outcome{write: true}, wire.EffectNone},
		{sqlite3.CONSTRAINT_UNIQUE, outcome{write: true}, wire.EffectNone},
		{sqlite3.CONSTRAINT_UNIQUE, outcome{write: true, kept: 2}, wire.EffectUnknown},
	} {
		if e := c.failure(test.code, test.o); e.Effect != test.want {
			t.Errorf("%v in %+v: got %v, want %v", test.code, test.o, e.Effect, test.want)
		}
	}
}

func TestAPanicOfTheEngineEndsTheSession(t *testing.T) {
	db := openMemory(t, Options{BusyTimeout: 0})
	c, err := db.Connect(t.Context(), backend.Identity{})
	check(t, err)
	s := session{c, t}
	s.exec("create table t(x); insert into t values (1)")
	check(t, c.(*conn).eng.db.CreateFunction("test_panic", 0, 0, func(sqlite3.Context, ...sqlite3.Value) { panic("broken") }))
	check(t, s.Begin(readWrite))
	s.exec("insert into t values (2)")
	_, _, err = s.try("select test_panic()")
	if e := wireError(t, err); e.Code != "XX000" || e.Severity != wire.SeverityFatal || !strings.Contains(e.Message, "broken") {
		t.Errorf("got %+v", e)
	}
	_, _, err = s.Prepare("select 1")
	if e := wireError(t, err); e.Severity != wire.SeverityFatal {
		t.Errorf("the session goes on: %v", e)
	}
	if err := c.Commit(); err == nil {
		t.Error("the transaction was committed")
	}
	_ = c.Close() // it may be beyond closing cleanly
	other := connect(t, db)
	wantValue(t, other.value("select count(*) from t"), 1)
	other.exec("insert into t values (3)") // the gate is open
}

func TestMessagesDropTheEnginesPrefix(t *testing.T) {
	s := inMemory(t)
	_, _, err := s.Conn.(*conn).eng.db.Prepare("select * from nope")
	if got := message(err); got != "no such table: nope" {
		t.Errorf("got %q", got)
	}
	if got := message(primary(sqlite3.MISMATCH)); got != "datatype mismatch" {
		t.Errorf("got %q", got)
	}
	if got := errorCode(errors.New("another error")); got != primary(sqlite3.ERROR) {
		t.Errorf("got %v", got)
	}
}
