package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

func TestOpenRefusesOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{{BusyTimeout: -1}, {MaxIdle: -1}, {Sync: 3}, {MaxMemory: 1}, {MaxMemory: 5 << 30}} {
		if db, err := Open(o); err == nil {
			t.Errorf("%+v was accepted", o)
			_ = db.Close()
		}
	}
}

func TestOpenSaysWhichFileItCannotOpen(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no such folder", "x.db")
	if _, err := Open(Options{Path: missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v, want an error that names the file", err)
	}
	noDatabase := filepath.Join(t.TempDir(), "text.db")
	check(t, os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database\n", 100)), 0o600))
	if _, err := Open(Options{Path: noDatabase}); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("got %v, want an error that says it is not a database", err)
	}
}

func TestOpenTakesAPathThatLooksLikeAURI(t *testing.T) {
	t.Chdir(t.TempDir())
	db := openMemory(t, Options{Path: "file:odd?mode=ro&name"})
	connect(t, db).exec("create table t(x)")
	if _, err := os.Stat("file:odd?mode=ro&name"); err != nil {
		t.Error(err)
	}
}

func TestSyncReachesTheEngine(t *testing.T) {
	for level, want := range map[Sync]int{SyncNormal: 1, SyncFull: 2, SyncOff: 0} {
		s := connect(t, openFile(t, Options{Sync: level}))
		wantValue(t, s.value("PRAGMA synchronous"), want)
		wantValue(t, s.value("PRAGMA journal_mode"), "wal")
	}
}

func TestConnectHeedsTheContextAndClose(t *testing.T) {
	db, err := Open(Options{})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Connect(ctx, backend.Identity{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	check(t, db.Close())
	if _, err := db.Connect(t.Context(), backend.Identity{}); !errors.Is(err, errClosed) {
		t.Errorf("got %v, want %v", err, errClosed)
	}
}

func TestCloseReportsOpenConnections(t *testing.T) {
	db, err := Open(Options{})
	check(t, err)
	c, err := db.Connect(t.Context(), backend.Identity{})
	check(t, err)
	if err := db.Close(); err == nil || !strings.Contains(err.Error(), "1 connections are still open") {
		t.Errorf("got %v, want the number of open connections", err)
	}
	check(t, c.Close())
	check(t, c.Close())
	_, _, err = c.Prepare("select 1")
	wantState(t, err, "08003")
}

func TestMemoryIsSharedByTheConnectionsOfOneOpen(t *testing.T) {
	one, other := openMemory(t, Options{MaxIdle: 1}), openMemory(t, Options{})
	func() {
		// Temporary tables keep the engine out of the pool: no connection is
		// left then but the anchor.
		c, err := one.Connect(t.Context(), backend.Identity{})
		check(t, err)
		session{c, t}.exec("create table t(x); insert into t values (1); create temp table tt(x)")
		check(t, c.Close())
	}()
	wantValue(t, connect(t, one).value("select count(*) from t"), 1)
	wantState(t, connect(t, other).fails("select * from t"), "42P01")
}

func TestPooledEnginesTellTheSessionTheyServe(t *testing.T) {
	db := openMemory(t, Options{})
	for _, id := range []backend.Identity{{NodeID: "n1", SessionID: "s1", Version: "v1"}, {NodeID: "n2", SessionID: "s2", Version: "v2"}} {
		c, err := db.Connect(t.Context(), id)
		check(t, err)
		row := session{c, t}.rows("select qdb_node_id(), qdb_session_id(), qdb_version()")[0]
		if row[0] != id.NodeID || row[1] != id.SessionID || row[2] != id.Version {
			t.Errorf("got %v, want %+v", row, id)
		}
		check(t, c.Close())
	}
}

func TestTheServersFunctionsWorkInDefaultsAndViews(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x, node text default (qdb_node_id())); create view v as select qdb_session_id() as id")
	s.exec("insert into t(x) values (1)")
	wantValue(t, s.value("select node from t"), "node-1")
	wantValue(t, s.value("select id from v"), "session-1")
}

func TestCleanEnginesAreReusedAndDirtyOnesAreNot(t *testing.T) {
	for name, test := range map[string]struct {
		sql   string
		reuse bool
	}{
		"reading":          {"select 1", true},
		"writing":          {"create table if not exists t(x); insert into t values (1)", true},
		"open transaction": {"begin; create table if not exists u(x)", true},
		"setting":          {"pragma foreign_keys = off", false},
		"temporary table":  {"create temp table tt(x)", false},
		"temporary view":   {"create temporary view tv as select 1", false},
		"memory ran out":   {"select hex(zeroblob(400000000))", false},
	} {
		t.Run(name, func(t *testing.T) {
			db := openMemory(t, Options{})
			c, err := db.Connect(t.Context(), backend.Identity{})
			check(t, err)
			used := c.(*conn).eng
			_, _, _ = session{c, t}.try(test.sql)
			if dirty := c.Dirty(); dirty != (!test.reuse && name != "memory ran out") {
				t.Errorf("Dirty is %v", dirty)
			}
			check(t, c.Close())
			again := connect(t, db)
			if got := again.Conn.(*conn).eng == used; got != test.reuse {
				t.Errorf("the engine was reused: %v, want %v", got, test.reuse)
			}
			wantValue(t, again.value("pragma foreign_keys"), 1)
			wantValue(t, again.value("select last_insert_rowid()"), 0)
			wantValue(t, again.value("select count(*) from sqlite_temp_schema"), 0)
		})
	}
}

func TestThePoolKeepsNoMoreThanItsLimit(t *testing.T) {
	db := openMemory(t, Options{MaxIdle: 2})
	var conns []backend.Conn
	for range 4 {
		c, err := db.Connect(t.Context(), backend.Identity{})
		check(t, err)
		conns = append(conns, c)
	}
	for _, c := range conns {
		check(t, c.Close())
	}
	if n := len(db.(*database).pool.idle); n != 2 {
		t.Errorf("%d engines are idle, want 2", n)
	}
}

func TestResetRestoresAFreshSession(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		s := connect(t, open(Options{}))
		s.exec("create table t(x); insert into t values (1)")
		kept := s.prepare("select x from t")
		if _, _, err := s.run(kept); err != nil {
			t.Fatal(err)
		}
		s.exec("pragma foreign_keys = off; pragma case_sensitive_like = on; create temp table tt as select 7 as y")
		onTemporary := s.prepare("select y from tt")
		s.exec("begin; insert into t values (2)")
		if !s.Dirty() {
			t.Error("the session is not dirty")
		}
		check(t, s.Reset())
		if s.Dirty() || s.Tx() != wire.TxNone {
			t.Errorf("after Reset dirty is %v and the transaction %v", s.Dirty(), s.Tx())
		}
		wantValue(t, s.value("pragma foreign_keys"), 1)
		wantValue(t, s.value("select 'A' like 'a'"), 1)
		wantState(t, s.fails("select * from tt"), "42P01")
		rows, _, err := s.run(kept)
		if err != nil || len(rows) != 1 {
			t.Errorf("the statement from before gave %v, %v", rows, err)
		}
		wantState(t, onTemporary.Bind(nil), "42P01")
	})
}

func TestResetOfACleanSessionKeepsItsEngine(t *testing.T) {
	s := inMemory(t)
	before := s.Conn.(*conn).eng
	s.exec("create table t(x); insert into t values (1)")
	check(t, s.Reset())
	if s.Conn.(*conn).eng != before {
		t.Error("the engine was replaced")
	}
	wantValue(t, s.value("select last_insert_rowid()"), 0)
}

func TestPrepareHasNoEffect(t *testing.T) {
	s := inMemory(t)
	off := s.prepare("pragma foreign_keys = off")
	s.prepare("explain pragma foreign_keys = off")
	empty := s.prepare("pragma foreign_keys = ''")
	if s.Dirty() {
		t.Error("preparing made the session dirty")
	}
	wantValue(t, s.value("pragma foreign_keys"), 1)
	for range 2 {
		for _, stmt := range []backend.Stmt{off, empty} {
			if _, _, err := s.run(stmt); err != nil {
				t.Fatal(err)
			}
			wantValue(t, s.value("pragma foreign_keys"), 0)
			if !s.Dirty() {
				t.Error("running it did not make the session dirty")
			}
			s.exec("pragma foreign_keys = on")
		}
		check(t, s.Reset())
	}
}

func TestTheSchemaEpochGrowsWithCommittedChanges(t *testing.T) {
	db := openMemory(t, Options{})
	s := connect(t, db)
	grew := func(want bool, what string, do func()) {
		t.Helper()
		before := db.SchemaEpoch()
		do()
		if got := db.SchemaEpoch() > before; got != want {
			t.Errorf("%s: the epoch grew: %v, want %v", what, got, want)
		}
		if s.SchemaEpoch() != db.SchemaEpoch() && want {
			t.Errorf("%s: the session has epoch %d, the backend %d", what, s.SchemaEpoch(), db.SchemaEpoch())
		}
	}
	grew(true, "create", func() { s.exec("create table t(x)") })
	grew(false, "insert", func() { s.exec("insert into t values (1)") })
	grew(false, "temporary table", func() { s.exec("create temp table tt(x)") })
	grew(false, "failed create", func() { s.fails("create table t(x)") })
	grew(false, "rolled back", func() { s.exec("begin; create table u(x); rollback") })
	grew(false, "open transaction", func() { s.exec("begin; create table u(x); insert into u values (1)") })
	grew(true, "commit by SQL", func() { s.exec("commit") })
	grew(true, "commit by name", func() {
		check(t, s.Begin(backend.TxOptions{}))
		s.exec("create index ux on u(x)")
		check(t, s.Commit())
	})
	grew(true, "release", func() { s.exec("savepoint a; alter table u add column y; release a") })
	grew(true, "drop", func() { s.exec("drop table u") })
}

func TestStatementsFollowASchemaChangeOfAnotherConnection(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		a, b := connect(t, db), connect(t, db)
		a.exec("create table t(x integer primary key); insert into t values (1)")
		stmt := b.prepare("select * from t")
		columns := stmt.Columns()
		run := func(want int) {
			t.Helper()
			rows, _, err := b.run(stmt)
			if err != nil || len(rows) != 1 || len(rows[0]) != want || len(stmt.Columns()) != want {
				t.Fatalf("got %v, %v and columns %+v, want one row of %d", rows, err, stmt.Columns(), want)
			}
		}
		run(1)
		if &columns[0] != &stmt.Columns()[0] {
			t.Error("the description was replaced without a change")
		}
		a.exec("create table other(y)")
		run(1)
		if &columns[0] != &stmt.Columns()[0] {
			t.Error("the description was replaced though the columns are the same")
		}
		a.exec("alter table t add column y text not null default 'z'")
		run(2)
		if c := stmt.Columns()[1]; c.Name != "y" || c.Flags&wire.Nullable != 0 {
			t.Errorf("the new column is described as %+v", c)
		}
		a.exec("drop table t; create table t(x integer primary key desc); insert into t values (1)")
		run(1)
		if c := stmt.Columns()[0]; c.Flags&wire.Nullable == 0 {
			t.Errorf("the column of the new table is described as %+v", c)
		}
		a.exec("drop table t")
		_, _, err := b.run(stmt)
		wantState(t, err, "42P01")
	})
}

func TestRunningOutOfMemoryEndsTheStatementOnly(t *testing.T) {
	s := connect(t, openMemory(t, Options{MaxMemory: 16 << 20}))
	s.exec("create table t(x); insert into t values (1)")
	wantState(t, s.fails("select hex(zeroblob(30000000))"), "53200")
	check(t, s.Begin(backend.TxOptions{}))
	s.exec("insert into t values (2)")
	wantState(t, s.fails("select hex(zeroblob(30000000))"), "53200")
	wantState(t, s.fails("select ?", make([]byte, 30<<20)), "53200")
	if s.Tx() == wire.TxActive {
		check(t, s.Commit())
		wantValue(t, s.value("select count(*) from t"), 2)
	} else {
		check(t, s.Rollback())
		wantValue(t, s.value("select count(*) from t"), 1)
	}
}

func TestARowThatDoesNotFitIntoMemoryFailsTheNextStep(t *testing.T) {
	s := connect(t, openMemory(t, Options{MaxMemory: 16 << 20}))
	// Text in UTF-16 is turned into UTF-8 when it is read, and each column keeps
	// a copy of its own.
	s.exec("pragma encoding = 'UTF-16'; create table t(x); insert into t values (hex(zeroblob(500000)))")
	stmt := s.prepare("select 1, x, x, x, x, x from t")
	row, err := stmt.Step()
	if !row || err != nil {
		t.Fatal(row, err)
	}
	if got := parseRow(t, stmt.AppendRow(nil)); len(got) != 6 || got[0] != nil {
		t.Errorf("got %v, want six NULLs", got)
	}
	_, err = stmt.Step()
	wantState(t, err, "53200")
	wantValue(t, s.value("select 1"), 1)

	// What a statement has written is rolled back with it.
	s.exec("update t set x = hex(zeroblob(200000))")
	wantState(t, s.fails("insert into t select x from t returning x, x, x"), "53200")
	wantValue(t, s.value("select count(*) from t"), 1)
}
