package sqlite

import (
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// forever gives rows until it is interrupted. It needs the function of begins.
const forever = "with recursive n(i) as (select test_began() union all select i + 1 from n)"

// begins gives a channel on which SQL signals by test_began() that it runs.
func begins(t *testing.T, s session) <-chan struct{} {
	t.Helper()
	began := make(chan struct{}, 1)
	check(t, s.Conn.(*conn).eng.db.CreateFunction("test_began", 0, 0, func(ctx sqlite3.Context, _ ...sqlite3.Value) {
		began <- struct{}{}
		ctx.ResultInt(1)
	}))
	return began
}

// interruptWhile runs work, interrupts it when it has begun, and gives how
// long it went on after the interrupt, and its error.
func interruptWhile(t *testing.T, s session, begun func(), work func() error) (after time.Duration, err error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- work() }()
	begun()
	at := time.Now()
	s.Interrupt()
	err = <-done
	return time.Since(at), err
}

// A machine that is busy with other things may leave this process alone for a
// while, so the limit, 50 ms, is that of the best of several rounds;
// no round may take as long as the wait that it ends would.
const (
	bestStop  = 50 * time.Millisecond
	worstStop = 30 * time.Second
)

func wantCancelled(t *testing.T, err error, after time.Duration) {
	t.Helper()
	wantState(t, err, "57014")
	if after > worstStop {
		t.Errorf("it went on for %v", after)
	}
}

func TestInterruptStopsAStatement(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		s := connect(t, open(Options{}))
		began, best := begins(t, s), worstStop
		for range 20 {
			after, err := interruptWhile(t, s, func() { <-began }, func() error {
				_, _, err := s.try(forever + " select count(*) from n")
				return err
			})
			wantCancelled(t, err, after)
			best = min(best, after)
		}
		if best > bestStop {
			t.Errorf("the quickest of 20 stops took %v, more than %v", best, bestStop)
		}
		wantValue(t, s.value("select 1"), 1)
	})
}

func TestInterruptBetweenTwoRowsFailsTheNextStep(t *testing.T) {
	s := inMemory(t)
	stmt := s.prepare("values (1), (2), (3)")
	check(t, stmt.Bind(nil))
	if row, err := stmt.Step(); !row || err != nil {
		t.Fatal(row, err)
	}
	s.Interrupt()
	_, err := stmt.Step()
	wantState(t, err, "57014")
	if rows, _, err := s.run(stmt); err != nil || len(rows) != 3 {
		t.Errorf("bound again it gave %v, %v", rows, err)
	}
}

func TestInterruptBetweenBindAndStepIsNotLost(t *testing.T) {
	s := inMemory(t)
	stmt := s.prepare("select ?")
	check(t, stmt.Bind(arguments([]any{1})))
	s.Interrupt()
	_, err := stmt.Step()
	wantState(t, err, "57014")
}

func TestInterruptOfNothingHitsNothing(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	stmt := s.prepare("select 1")
	s.Interrupt()
	if _, _, err := s.run(stmt); err != nil {
		t.Error(err)
	}
	s.Interrupt()
	check(t, s.Begin(readWrite))
	s.Interrupt()
	s.exec("insert into t values (1)")
	s.Interrupt()
	check(t, s.Commit())
	s.Interrupt()
	check(t, stmt.Bind(nil))
	check(t, stmt.Reset())
	s.Interrupt()
	if _, _, err := s.Prepare("select 1"); err != nil {
		t.Error(err)
	}
	wantValue(t, s.value("select count(*) from t"), 1)
}

func TestInterruptEndsTheWaitForTheGate(t *testing.T) {
	db := openMemory(t, Options{BusyTimeout: time.Hour})
	holder, s := connect(t, db), connect(t, db)
	holder.exec("create table t(x)")
	check(t, holder.Begin(readWrite))
	g := &db.(*database).gate
	queued := func() {
		waitUntil(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.queue) == 1 })
	}
	after, err := interruptWhile(t, s, queued, func() error { return s.Begin(readWrite) })
	wantCancelled(t, err, after)
	after, err = interruptWhile(t, s, queued, func() error { _, _, err := s.try("insert into t values (1)"); return err })
	wantCancelled(t, err, after)
	if s.Tx() != wire.TxNone {
		t.Errorf("the state is %v", s.Tx())
	}
	check(t, holder.Commit())
	s.exec("insert into t values (1)")
}

func TestInterruptOfAWriteLosesTheTransactionNotTheConnection(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x); insert into t values (1)")
	check(t, s.Begin(readWrite))
	s.exec("insert into t values (2)")
	began := begins(t, s)
	after, err := interruptWhile(t, s, func() { <-began }, func() error {
		_, _, err := s.try(forever + " insert into t select * from n")
		return err
	})
	wantCancelled(t, err, after)
	if s.Tx() != wire.TxFailed {
		t.Errorf("the state is %v", s.Tx())
	}
	check(t, s.Rollback())
	wantValue(t, s.value("select count(*) from t"), 1)
	s.exec("insert into t values (3)")
}

func TestInterruptOfAReadKeepsTheTransaction(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	check(t, s.Begin(readWrite))
	s.exec("insert into t values (1)")
	began := begins(t, s)
	after, err := interruptWhile(t, s, func() { <-began }, func() error {
		_, _, err := s.try(forever + " select count(*) from n")
		return err
	})
	wantCancelled(t, err, after)
	if s.Tx() != wire.TxActive {
		t.Errorf("the state is %v", s.Tx())
	}
	check(t, s.Commit())
	wantValue(t, s.value("select count(*) from t"), 1)
}

// TestLateInterruptsHitNothingElse fires interrupts at statements that end by
// themselves at about the same time. What is hit must be the statement that was
// under way: the one after each is never.
func TestLateInterruptsHitNothingElse(t *testing.T) {
	s := inMemory(t)
	s.exec("create table t(x)")
	quick, next := s.prepare("select 1"), s.prepare("insert into t values (1)")
	fire, fired := make(chan struct{}), make(chan struct{})
	go func() {
		for range fire {
			s.Interrupt()
			fired <- struct{}{}
		}
		close(fired)
	}()
	const rounds = 10_000
	hits := 0
	for range rounds {
		check(t, quick.Bind(nil))
		fire <- struct{}{}
		_, err := quick.Step()
		if err != nil {
			wantState(t, err, "57014")
			hits++
		}
		check(t, quick.Reset())
		<-fired
		if _, _, err := s.run(next); err != nil {
			t.Fatalf("the next statement was hit: %v", err)
		}
	}
	close(fire)
	<-fired
	t.Logf("%d of %d were hit", hits, rounds)
	wantValue(t, s.value("select count(*) from t"), rounds)
}
