package sqlite

import (
	"reflect"
	"strings"
	"testing"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

func TestPrepareTakesOneStatementAndGivesTheRest(t *testing.T) {
	s := inMemory(t)
	for sql, want := range map[string]string{
		"select 1":                   "",
		"select 1;":                  "",
		"select 1; select 2":         " select 2",
		";; /* a */ -- b\n select 1": "",
		"select ';' ; -- end":        " -- end",
	} {
		stmt, tail, err := s.Prepare(sql)
		if err != nil || stmt == nil || tail != want {
			t.Errorf("%q: got %v, %q, %v, want a statement and %q", sql, stmt, tail, err, want)
			continue
		}
		check(t, stmt.Close())
	}
	for _, sql := range []string{"", "  \n", "-- nothing", "/* nothing */ ;;", "/* open"} {
		stmt, tail, err := s.Prepare(sql)
		if stmt != nil || tail != "" || err != nil {
			t.Errorf("%q: got %v, %q, %v, want nothing", sql, stmt, tail, err)
		}
	}
}

func TestPrepareSaysWhereTheFaultIs(t *testing.T) {
	s := inMemory(t)
	for sql, want := range map[string]uint32{
		"selec 1":                      1,
		"  selec 1":                    3,
		"select 1 frm t":               14,
		"select 1, abc":                11,
		"select 'ä', abc":              14, // in bytes
		"select (1":                    10,
		"select 'abc":                  8,
		"select 1 from t\x00 where":    16,
		"select nofunc(1)":             8,
		"select * from t where x in (": 29,
	} {
		_, _, err := s.Prepare(sql)
		if e := wireError(t, err); e.Position != want {
			t.Errorf("%q: got position %d, want %d: %v", sql, e.Position, want, err)
		}
	}
}

func TestStatementsSayWhetherTheyReadOnlyOrControl(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x unique)")
	for sql, want := range map[string][2]bool{ // read-only, control
		"select 1":                             {true, false},
		"with c as (select 1) select * from c": {true, false},
		"values (1)":                           {true, false},
		"insert into t values (1)":             {false, false},
		"with c as (select 1) insert into t select * from c": {false, false},
		"explain insert into t values (1)":                   {true, false},
		"explain query plan delete from t":                   {true, false},
		"create table u(x)":                                  {false, false},
		"begin":                                              {true, true},
		"begin immediate":                                    {false, true},
		"/* so */ commit":                                    {true, true},
		"end transaction":                                    {true, true},
		"rollback":                                           {true, true},
		"savepoint a":                                        {true, true},
		"vacuum":                                             {false, true},
		"pragma foreign_keys":                                {true, false},
		"pragma foreign_keys = off":                          {true, true},
		"pragma case_sensitive_like = 1":                     {true, false},
		"pragma user_version":                                {true, false},
		"pragma user_version = 5":                            {false, false},
		"pragma optimize":                                    {false, false},
		"pragma table_info(t)":                               {true, false},
		"analyze":                                            {false, false},
		"reindex":                                            {false, false},
	} {
		stmt := s.prepare(sql)
		if got := [2]bool{stmt.ReadOnly(), stmt.Control()}; got != want {
			t.Errorf("%q: read-only and control are %v, want %v", sql, got, want)
		}
	}
}

func TestColumnsAreDescribed(t *testing.T) {
	s := inMemory(t)
	s.exec(`create table t(id integer primary key, name varchar(20) not null, price decimal(10,2), at timestamp, ok boolean not null, raw);
		create table p(a text primary key, b int, c int) ;
		create table q(a text, b int, primary key (a, b)) without rowid;
		create view v as select name from t left join p on a = name`)
	const known, null = wire.NullableKnown, wire.NullableKnown | wire.Nullable
	id := wire.Column{Name: "id", DeclaredType: "INTEGER", Table: "t", Flags: known, Kind: wire.KindInt}
	name := wire.Column{Name: "name", DeclaredType: "VARCHAR", Table: "t", Flags: known | wire.LengthKnown, Kind: wire.KindString, Length: 20}
	price := wire.Column{Name: "price", DeclaredType: "DECIMAL", Table: "t", Flags: null | wire.DecimalKnown, Kind: wire.KindString, Precision: 10, Scale: 2}
	at := wire.Column{Name: "at", DeclaredType: "TIMESTAMP", Table: "t", Flags: null, Kind: wire.KindTimestamp}
	ok := wire.Column{Name: "ok", DeclaredType: "BOOLEAN", Table: "t", Flags: known, Kind: wire.KindFalse}
	raw := wire.Column{Name: "raw", Table: "t", Flags: null}
	unsure := func(c wire.Column) wire.Column { c.Flags &^= known; return c }
	as := func(name string, c wire.Column) wire.Column { c.Name = name; return c }
	for sql, want := range map[string][]wire.Column{
		"select * from t":                    {id, name, price, at, ok, raw},
		"select rowid, oid from t":           {id, id},
		"select id as n, id + 1, 'x' from t": {as("n", id), {Name: "id + 1"}, {Name: "'x'"}},
		"insert into t(name, ok) values ('a', 1) returning id, name, 1": {id, name, {Name: "1"}},
		"update t set name = 'a' returning name":                        {name},
		"insert into t(name, ok) values ('a', 1)":                       nil,
		"create table u(x)":                                             nil,
		"begin":                                                         nil,
		// A primary key alone does not keep NULL out, but for the rowid's.
		"select a from p": {{Name: "a", DeclaredType: "TEXT", Table: "p", Flags: null, Kind: wire.KindString}},
		"select a from q": {{Name: "a", DeclaredType: "TEXT", Table: "q", Flags: known, Kind: wire.KindString}},
		// Where NULL may come in from elsewhere, nothing is claimed.
		"select name from p left join t on a = name": {unsure(name)},
		"select name from t full join p on a = name": {unsure(name)},
		"select (select name from t where 0)":        {as("(select name from t where 0)", unsure(name))},
		"select name, count(*) from t where 0":       {unsure(name), {Name: "count(*)"}},
		"select name from v":                         {unsure(name)},
	} {
		if got := s.prepare(sql).Columns(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", sql, got, want)
		}
	}
}

func TestResultCountsWhatTheStatementChanged(t *testing.T) {
	s := inMemory(t)
	s.exec(`create table t(id integer primary key, k text unique, n int default 0);
		create table log(x);
		create table w(k text primary key) without rowid;
		create view v as select k from t;
		create trigger tt after insert on t begin insert into log values (new.id), (new.id); end;
		create trigger vt instead of insert on v begin insert into t(k) values (new.k); end;
		create table parent(id integer primary key); create table child(id integer primary key, p int references parent on delete cascade)`)
	none := backend.Result{}
	rows := func(n int64) backend.Result { return backend.Result{RowsAffected: n} }
	id := func(n, id int64) backend.Result {
		return backend.Result{RowsAffected: n, LastInsertID: id, HasInsertID: true}
	}
	for _, step := range []struct {
		sql  string
		want backend.Result
	}{
		{"insert into t(k) values ('a')", id(1, 1)},
		{"insert into t(k) values ('b'), ('c')", id(2, 3)},
		{"select * from t", none},
		{"create table c as select * from t", none},
		{"create temp table d as select * from t", none},
		{"update t set n = 1 where k > 'a'", rows(2)},
		{"update t set n = 1 where 0", rows(0)},
		{"insert into t(id, k) values (3, 'z') on conflict do nothing", rows(0)},
		{"insert or ignore into t(k) values ('a')", rows(0)},
		{"insert into t(k) values ('a') on conflict (k) do update set n = n + 1", rows(1)},
		{"insert into t(k) values ('d') on conflict (k) do update set n = n + 1", id(1, 4)},
		{"insert into t(k) values ('e') returning id", id(1, 5)},
		{"replace into t(id, k) values (5, 'f')", id(1, 5)},
		{"insert into w values ('a')", rows(1)},
		{"explain insert into t(k) values ('q')", none},
		{"insert into v values ('g')", rows(0)}, // the trigger's rows are not the statement's
		{"insert into parent values (7)", id(1, 7)},
		{"insert into child(p) values (last_insert_rowid())", id(1, 1)},
		{"insert into child(id, p) values (9, 7)", id(1, 9)},
		{"insert into child(id, p) values (9, last_insert_rowid()) on conflict do update set p = 7", rows(1)},
		{"delete from parent", rows(1)}, // and not those that cascade
		{"delete from log", rows(14)},
		{"with c as (select 'h' as k) insert into t(k) select k from c", id(1, 7)},
		{"drop table c", none},
		{"pragma user_version = 3", none},
		{"begin", none},
		{"rollback", none},
	} {
		if got := s.exec(step.sql); got != step.want {
			t.Errorf("%s: got %+v, want %+v", step.sql, got, step.want)
		}
	}
	if got := s.value("select group_concat(p) from child"); got != nil {
		t.Errorf("the children are %v", got)
	}
}

func TestTheLastInsertIDStaysWhatItWasWhenNothingIsInserted(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(id integer primary key, k text unique)")
	s.exec("insert into t values (41, 'a')")
	s.exec("insert or ignore into t(k) values ('a')")
	wantValue(t, s.value("select last_insert_rowid()"), 41)
	s.fails("insert into t(k) values ('a')")
	wantValue(t, s.value("select last_insert_rowid()"), 41)
}

func TestAnEndedStatementIsNotRunAgainByStep(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	stmt := s.prepare("insert into t values (1)")
	for range 3 {
		if row, err := stmt.Step(); row || err != nil {
			t.Fatal(row, err)
		}
	}
	wantValue(t, s.value("select count(*) from t"), 1)
	check(t, stmt.Reset())
	if _, err := stmt.Step(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s.value("select count(*) from t"), 2)
	check(t, stmt.Close())
	check(t, stmt.Close())
}

func TestAFailedStatementIsNotRunAgainByStep(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x unique); insert into t values (1)")
	stmt := s.prepare("insert into t values (1)")
	_, err := stmt.Step()
	wantState(t, err, "23505")
	s.exec("delete from t")
	_, err = stmt.Step()
	wantState(t, err, "24000")
	wantValue(t, s.value("select count(*) from t"), 0)
	check(t, stmt.Bind(nil))
	_, err = stmt.Step()
	check(t, err)
}

// TestReturningIsCommittedBeforeItsFirstRow looks at the data through another
// connection while the first row is held.
func TestReturningIsCommittedBeforeItsFirstRow(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x)")
		stmt := s.prepare("insert into t values (1), (2), (3) returning x")
		row, err := stmt.Step()
		if !row || err != nil {
			t.Fatal(row, err)
		}
		wantValue(t, other.value("select count(*) from t"), 3)
		other.exec("insert into t values (4)") // the gate is open
		got := parseRow(t, stmt.AppendRow(nil))
		for range 2 {
			if row, err := stmt.Step(); !row || err != nil {
				t.Fatal(row, err)
			}
			got = append(got, parseRow(t, stmt.AppendRow(nil))...)
		}
		if row, err := stmt.Step(); row || err != nil {
			t.Fatal(row, err)
		}
		if want := []any{int64(1), int64(2), int64(3)}; !reflect.DeepEqual(got, want) || stmt.Result().RowsAffected != 3 {
			t.Errorf("got %v and %+v, want %v", got, stmt.Result(), want)
		}
	})
}

// longReturning gives more bytes of rows than are kept.
const longReturning = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 60)
	insert into t select i, zeroblob(100000) from n returning x, pad`

func TestALongReturningGivesAllRows(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x, pad)")
	rows, result, err := s.run(s.prepare(longReturning))
	check(t, err)
	for i, row := range rows {
		if row[0] != int64(i+1) || len(row[1].([]byte)) != 100_000 {
			t.Fatalf("row %d is %v", i, row[0])
		}
	}
	if len(rows) != 60 || result.RowsAffected != 60 {
		t.Errorf("got %d rows and %+v", len(rows), result)
	}
}

// TestResetCompletesALongReturning stops reading where the rows are too many to
// be kept: the effect is whole all the same, even after an interrupt.
func TestResetCompletesALongReturning(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x, pad)")
		stmt := s.prepare(longReturning)
		for range 50 { // of 60, beyond those kept
			if row, err := stmt.Step(); !row || err != nil {
				t.Fatal(row, err)
			}
		}
		wantValue(t, other.value("select count(*) from t"), 0)
		s.Interrupt()
		check(t, stmt.Reset())
		wantValue(t, other.value("select count(*) from t"), 60)
		other.exec("insert into t values (0, 0)") // the gate is open
		wantValue(t, s.value("select 1"), 1)      // and the interrupt gone
	})
}

func TestResetWithinATransactionKeepsWhatWasWritten(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	check(t, s.Begin(backend.TxOptions{}))
	stmt := s.prepare("insert into t values (1), (2) returning x")
	if row, err := stmt.Step(); !row || err != nil {
		t.Fatal(row, err)
	}
	check(t, stmt.Reset())
	wantValue(t, s.value("select count(*) from t"), 2)
	check(t, s.Rollback())
	wantValue(t, s.value("select count(*) from t"), 0)
}

func TestTextThatIsNotSQLIsAnError(t *testing.T) {
	s := inMemory(t)
	wantState(t, s.fails(strings.Repeat("(", 500)), "42601")
	wantState(t, s.fails("select "+strings.Repeat("1+", 2000)+"1"), "54001")
}
