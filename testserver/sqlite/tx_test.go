package sqlite

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

var (
	readWrite = backend.TxOptions{}
	readOnly  = backend.TxOptions{ReadOnly: true}
)

func TestTransactionsCommitAndRollBack(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x)")
		for _, isolation := range []wire.Isolation{wire.IsolationDefault, wire.IsolationReadCommitted, wire.IsolationSerializable} {
			check(t, s.Begin(backend.TxOptions{Isolation: isolation}))
			s.exec("insert into t values (1)")
			wantValue(t, other.value("select count(*) from t"), 0)
			check(t, s.Commit())
			wantValue(t, other.value("select count(*) from t"), 1)
			check(t, s.Begin(readWrite))
			s.exec("delete from t")
			wantValue(t, s.value("select count(*) from t"), 0)
			check(t, s.Rollback())
			wantValue(t, s.value("select count(*) from t"), 1)
			s.exec("delete from t")
		}
	})
}

func TestTransactionCallsOutOfPlaceAreErrors(t *testing.T) {
	s := inMemory(t)
	wantState(t, s.Commit(), "25P01")
	check(t, s.Rollback())
	wantState(t, s.fails("commit"), "25P01")
	wantState(t, s.fails("rollback"), "25P01")
	check(t, s.Begin(readWrite))
	wantState(t, s.Begin(readWrite), "25001")
	wantState(t, s.fails("begin"), "25001")
	wantState(t, s.fails("vacuum"), "25001")
	wantState(t, s.fails("release a"), "3B001")
	wantState(t, s.fails("rollback to a"), "3B001")
	if s.Tx() != wire.TxActive {
		t.Errorf("the transaction is %v after errors of statements", s.Tx())
	}
	check(t, s.Commit())
}

func TestTheStateFollowsTransactionsBySQL(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	for _, step := range []struct {
		sql  string
		want wire.TxState
	}{
		{"begin", wire.TxActive}, {"insert into t values (1)", wire.TxActive}, {"commit", wire.TxNone},
		{"begin immediate", wire.TxActive}, {"end", wire.TxNone},
		{"begin exclusive", wire.TxActive}, {"rollback", wire.TxNone},
		{"savepoint a", wire.TxActive}, {"savepoint b", wire.TxActive}, {"release b", wire.TxActive},
		{"rollback to a", wire.TxActive}, {"release a", wire.TxNone},
	} {
		s.exec(step.sql)
		if s.Tx() != step.want {
			t.Errorf("after %s the state is %v, want %v", step.sql, s.Tx(), step.want)
		}
		if holds := s.Conn.(*conn).holding; holds && step.want == wire.TxNone {
			t.Errorf("after %s the gate is still held", step.sql)
		}
	}
	s.exec("begin")
	check(t, s.Commit())
	check(t, s.Begin(readWrite))
	s.exec("commit")
	wantValue(t, s.value("select count(*) from t"), 1)
}

func TestReadOnlyTransactionsKeepTheirSnapshot(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x); insert into t values (1)")
		check(t, s.Begin(readOnly))
		other.exec("insert into t values (2)") // before the first read
		wantValue(t, s.value("select count(*) from t"), 1)
		other.exec("delete from t; create table u(x)")
		wantValue(t, s.value("select count(*) from t"), 1)
		for _, sql := range []string{"insert into t values (3)", "create table v(x)", "delete from t where 0", "pragma user_version = 1"} {
			wantState(t, s.fails(sql), "25006")
		}
		wantValue(t, s.value("select count(*) from t"), 1)
		check(t, s.Commit())
		wantValue(t, s.value("select count(*) from t"), 0)
		s.exec("insert into t values (4)")
	})
}

func TestReadersDoNotWaitForTheWriterNorTheWriterForReaders(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{BusyTimeout: time.Millisecond})
		writer, reader := connect(t, db), connect(t, db)
		writer.exec("create table t(x); insert into t values (1), (2)")
		rows := reader.prepare("select x from t")
		if row, err := rows.Step(); !row || err != nil {
			t.Fatal(row, err)
		}
		check(t, writer.Begin(readWrite))
		writer.exec("update t set x = x + 10")
		wantValue(t, reader.value("select sum(x) from t"), 3)
		check(t, reader.Begin(readOnly))
		check(t, reader.Commit())
		check(t, writer.Commit())
	})
}

func TestAWriterGivesUpAfterTheBusyTimeout(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{BusyTimeout: 30 * time.Millisecond})
		holder, waiter := connect(t, db), connect(t, db)
		holder.exec("create table t(x)")
		check(t, holder.Begin(readWrite))
		e := wantState(t, waiter.Begin(readWrite), "55P03")
		if !strings.Contains(e.Message, "a transaction of another session of this process") {
			t.Errorf("the message does not name the holder: %v", e)
		}
		wantState(t, waiter.fails("insert into t values (1)"), "55P03")
		check(t, waiter.Begin(readOnly)) // reading needs no turn
		check(t, waiter.Rollback())
		holder.exec("insert into t values (1)") // who holds the gate does not wait for itself
		check(t, holder.Commit())
		waiter.exec("insert into t values (2)")
	})
}

func TestWritersTakeTurnsInTheOrderOfArrival(t *testing.T) {
	db := openMemory(t, Options{})
	holder := connect(t, db)
	holder.exec("create table t(x)")
	check(t, holder.Begin(readWrite))
	var wg sync.WaitGroup
	g := &db.(*database).gate
	for i := range 8 {
		s := connect(t, db)
		wg.Go(func() { s.exec("insert into t values (?)", i) })
		waitUntil(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.queue) == i+1 })
	}
	check(t, holder.Commit())
	wg.Wait()
	wantValue(t, holder.value("select group_concat(x, '') from (select x from t order by rowid)"), "01234567")
}

// waitUntil waits for something that gives no signal.
func waitUntil(t testing.TB, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !happened(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
		time.Sleep(100 * time.Microsecond) // there is no event to wait for
	}
}

func TestAStaleSnapshotCannotBeWrittenTo(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{BusyTimeout: 10 * time.Second})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x)")
		s.exec("begin")
		wantValue(t, s.value("select count(*) from t"), 0)
		other.exec("insert into t values (1)")
		e := wantState(t, s.fails("insert into t values (2)"), "40001")
		if e.Hint == "" {
			t.Error("the error has no hint")
		}
		other.exec("insert into t values (3)") // the gate is open
		wantValue(t, s.value("select count(*) from t"), 0)
		check(t, s.Rollback())
		s.exec("insert into t values (2)")
	})
}

func TestADeferredTransactionThatWritesHoldsTheGateToItsEnd(t *testing.T) {
	db := openMemory(t, Options{BusyTimeout: 10 * time.Millisecond})
	s, other := connect(t, db), connect(t, db)
	s.exec("create table t(x)")
	s.exec("begin")
	other.exec("insert into t values (0)") // it has not written yet
	s.exec("insert into t values (1)")
	e := wantState(t, other.fails("insert into t values (2)"), "55P03")
	if !strings.Contains(e.Message, "a transaction of another session") {
		t.Errorf("the message does not name the holder: %v", e)
	}
	s.exec("commit")
	other.exec("insert into t values (2)")
}

// TestATransactionThatSQLiteRolledBackAcceptsNothing makes SQLite roll back a
// whole transaction by itself: nothing may run outside it unnoticed.
func TestATransactionThatSQLiteRolledBackAcceptsNothing(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x unique); insert into t values (1)")
	lose := func() {
		t.Helper()
		check(t, s.Begin(readWrite))
		s.exec("insert into t values (2)")
		e := wantState(t, s.fails("insert or rollback into t values (1)"), "23505")
		if s.Tx() != wire.TxFailed || e.Detail == "" {
			t.Fatalf("the state is %v, the error %v", s.Tx(), e)
		}
		for _, sql := range []string{"insert into t values (3)", "select 1", "begin", "release a", "rollback to a"} {
			wantState(t, s.fails(sql), "25P02")
		}
		wantState(t, s.Begin(readWrite), "25001")
	}
	gone := func() {
		t.Helper()
		if s.Tx() != wire.TxNone {
			t.Fatalf("the state is %v", s.Tx())
		}
		wantValue(t, s.value("select count(*) from t"), 1)
	}
	lose()
	check(t, s.Rollback())
	gone()
	lose()
	s.exec("rollback")
	gone()
	lose()
	wantState(t, s.Commit(), "25P02")
	gone()
	lose()
	wantState(t, s.fails("commit"), "25P02")
	gone()
	lose()
	check(t, s.Reset())
	gone()
}

func TestACommitThatIsRefusedRollsBack(t *testing.T) {
	s := inMemory(t)
	s.exec("create table p(id integer primary key); create table c(p references p deferrable initially deferred)")
	check(t, s.Begin(readWrite))
	s.exec("insert into c values (1)")
	wantState(t, s.Commit(), "23503")
	if s.Tx() != wire.TxNone {
		t.Errorf("the state is %v", s.Tx())
	}
	wantValue(t, s.value("select count(*) from c"), 0)

	// As SQL, it stays open, so that the fault can be mended.
	s.exec("begin; insert into c values (1)")
	wantState(t, s.fails("commit"), "23503")
	if s.Tx() != wire.TxActive {
		t.Errorf("the state is %v", s.Tx())
	}
	s.exec("insert into p values (1); commit")
	wantValue(t, s.value("select count(*) from c"), 1)
}

func TestTheEndOfATransactionEndsItsRows(t *testing.T) {
	for name, end := range map[string]func(session) error{
		"Commit":   func(s session) error { return s.Commit() },
		"Rollback": func(s session) error { return s.Rollback() },
		"commit":   func(s session) error { s.exec("commit"); return nil },
		"rollback": func(s session) error { s.exec("rollback"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := inMemory(t)
			s.exec("create table t(x); insert into t values (1), (2)")
			check(t, s.Begin(readWrite))
			rows := s.prepare("select x from t")
			if row, err := rows.Step(); !row || err != nil {
				t.Fatal(row, err)
			}
			check(t, end(s))
			_, err := rows.Step()
			wantState(t, err, "24000")
			if got, _, err := s.run(rows); err != nil || len(got) != 2 {
				t.Errorf("bound again it gave %v, %v", got, err)
			}
		})
	}
}

func TestWhatFailHasKeptIsReported(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x unique); insert into t values (1)")
	_, _, err := s.try("insert or fail into t values (2), (1), (3)")
	if e := wireError(t, err); e.Code != "23505" || e.Effect != wire.EffectUnknown || !strings.HasPrefix(e.Detail, "1 change ") {
		t.Errorf("got %v with effect %v, want 23505 with effect unknown and 1 change", e, e.Effect)
	}
	wantValue(t, s.value("select count(*) from t"), 2)
	wantState(t, s.fails("insert into t values (4), (1)"), "23505")
	wantValue(t, s.value("select count(*) from t"), 2)
}

func TestVacuumTakesItsTurn(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{BusyTimeout: 20 * time.Millisecond})
		s, other := connect(t, db), connect(t, db)
		s.exec("create table t(x); insert into t values (1)")
		check(t, other.Begin(readWrite))
		wantState(t, s.fails("vacuum"), "55P03")
		check(t, other.Commit())
		s.exec("vacuum")
		wantValue(t, other.value("select x from t"), 1)
		other.exec("insert into t values (2)")
	})
}

func TestTemporaryTablesWaitForNobody(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{BusyTimeout: time.Millisecond})
		s, other := connect(t, db), connect(t, db)
		other.exec("create table t(x); insert into t values (1)")
		check(t, other.Begin(readWrite))
		other.exec("insert into t values (2)")
		s.exec("create temp table tt as select * from t; insert into tt values (3); update tt set x = x + 1; create index temp.ttx on tt(x)")
		wantValue(t, s.value("select sum(x) from tt"), 6)
		check(t, s.Begin(readOnly))
		s.exec("delete from tt where x = 2")
		wantState(t, s.fails("insert into t select x from tt"), "25006")
		check(t, s.Commit())
		s.exec("create temp trigger shared after insert on tt begin insert into t values (new.x); end")
		wantState(t, s.fails("insert into tt values (5)"), "55P03")
		check(t, other.Commit())
		s.exec("insert into tt values (5)")
		wantValue(t, other.value("select group_concat(x) from t"), "1,2,5")
		s.exec("drop table tt")
	})
}

// TestACommitThatAPanicCutsShortHasAnUnknownOutcome: whether it happened cannot
// be told, but the session goes on.
func TestACommitThatAPanicCutsShortHasAnUnknownOutcome(t *testing.T) {
	db := openMemory(t, Options{})
	s := connect(t, db)
	s.exec("create table t(x)")
	check(t, s.Begin(readWrite))
	s.exec("insert into t values (1)")
	e := s.Conn.(*conn).eng
	e.db.CommitHook(func() bool { panic(errors.New(outOfMemory)) })
	if e := wireError(t, s.Commit()); e.Code != "53200" || e.Effect != wire.EffectUnknown {
		t.Errorf("got %v with effect %v", e, e.Effect)
	}
	e.db.CommitHook(nil)
	if s.Tx() != wire.TxNone {
		t.Errorf("the state is %v", s.Tx())
	}
	wantValue(t, s.value("select 1"), 1)
	connect(t, db).exec("insert into t values (2)") // the gate is open
}

// TestAWriteThatAPanicCutsShortLeavesNothing lets the panic come half way
// through a statement, when SQLite believes that all is well.
func TestAWriteThatAPanicCutsShortLeavesNothing(t *testing.T) {
	for name, cause := range map[string]any{"memory": errors.New(outOfMemory), "anything else": "broken"} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
				db := open(Options{})
				c, err := db.Connect(t.Context(), backend.Identity{})
				check(t, err)
				s, other := session{c, t}, connect(t, db)
				s.exec("create table t(x); create table n(i); insert into n values (1), (2), (3), (4)")
				check(t, c.(*conn).eng.db.CreateFunction("test_panic", 1, 0, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
					if arg[0].Int() == 3 {
						panic(cause)
					}
					ctx.ResultInt(1)
				}))
				_, _, err = s.try("insert into t select test_panic(i) from n")
				if e := wireError(t, err); (e.Severity == wire.SeverityFatal) != (name != "memory") {
					t.Errorf("got %+v", e)
				}
				if name == "memory" {
					check(t, s.Begin(readWrite))
					s.exec("insert into t values (1)")
					e := wantState(t, s.fails("insert into t select test_panic(i) from n"), "53200")
					if s.Tx() != wire.TxFailed || e.Detail == "" {
						t.Errorf("the state is %v, the error %v", s.Tx(), e)
					}
					check(t, s.Rollback())
				}
				_ = c.Close() // it may be beyond closing cleanly
				wantValue(t, other.value("select count(*) from t"), 0)
				other.exec("insert into t values (2)") // the gate and the lock are free
			})
		})
	}
}
