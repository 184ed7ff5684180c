package qdb_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/qdb-go/qdb"
)

func TestACommittedTransactionIsSeenAndARolledBackOneIsNot(t *testing.T) {
	db, _ := open(t, 3, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	for i, commit := range []bool{true, false} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, tx, "INSERT INTO v VALUES (?)", i)
		if n := scanOne[int](t, tx, "SELECT count(*) FROM v WHERE i = ?", i); n != 1 {
			t.Errorf("the transaction does not see its own row")
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := scanOne[int](t, db, "SELECT sum(i+10) FROM v"); n != 10 {
		t.Errorf("sum %d, want 10: one row, the committed one", n)
	}
}

func TestATransactionKeepsItsSession(t *testing.T) {
	db, _ := open(t, 3, "")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	first := scanOne[string](t, tx, "SELECT qdb_session_id()")
	for range 10 {
		if id := scanOne[string](t, tx, "SELECT qdb_session_id()"); id != first {
			t.Fatalf("session %s after %s", id, first)
		}
	}
}

func TestAReadOnlyTransactionRefusesWrites(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	tx, err := db.BeginTx(within(t), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = tx.Exec("INSERT INTO v VALUES (1)")
	wantError(t, err, "25006", qdb.EffectNone)
}

func TestEveryIsolationLevelIsAcceptedOrStronger(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
		tx, err := db.BeginTx(within(t), &sql.TxOptions{Isolation: level})
		if err != nil {
			t.Fatalf("%v: %v", level, err)
		}
		mustExec(t, tx, "INSERT INTO v VALUES (1)")
		if err := tx.Commit(); err != nil {
			t.Fatalf("%v: %v", level, err)
		}
	}
	if _, err := db.BeginTx(within(t), &sql.TxOptions{Isolation: 99}); err == nil {
		t.Error("an isolation level that does not exist is accepted")
	}
}

func TestSavepointsWorkAsSQL(t *testing.T) {
	db, _ := open(t, 2, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"INSERT INTO v VALUES (1)", "SAVEPOINT a", "INSERT INTO v VALUES (2)", "ROLLBACK TO a", "RELEASE a"} {
		mustExec(t, tx, q)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAnErrorInATransactionLeavesItUsable(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER PRIMARY KEY)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO v VALUES (1)")
	_, err = tx.Exec("INSERT INTO v VALUES (1)")
	wantError(t, err, "23505", qdb.EffectNone)
	mustExec(t, tx, "INSERT INTO v VALUES (2)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAContextThatEndsRollsTheTransactionBack(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	ctx, cancel := context.WithCancel(within(t))
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO v VALUES (1)")
	cancel()
	// The only session comes back once the transaction has been rolled back.
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	if err := tx.Commit(); !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("commit after the context ended: %v", err)
	}
}

func TestATransactionOnAKilledNodeLeavesNothingAndSaysSo(t *testing.T) {
	db, cluster := open(t, 3, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO v VALUES (1)")
	id := scanOne[string](t, tx, "SELECT qdb_node_id()")
	for _, n := range cluster.Nodes() {
		if n.ID() == id {
			n.Kill()
		}
	}
	_, err = tx.Exec("INSERT INTO v VALUES (2)")
	if e := wantError(t, err, "08006", qdb.EffectNone); !qdb.IsRetryable(e) {
		t.Error("a transaction that is gone for certain is not called retryable")
	}
	if err := tx.Commit(); err == nil {
		t.Error("the commit of a lost transaction succeeds")
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestRunTxRepeatsWhatADyingNodeUndid(t *testing.T) {
	db, cluster := open(t, 3, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	runs := 0
	err := qdb.RunTx(within(t), db, nil, func(tx *sql.Tx) error {
		runs++
		if _, err := tx.Exec("INSERT INTO v VALUES (1)"); err != nil {
			return err
		}
		if runs == 1 {
			id := scanOne[string](t, tx, "SELECT qdb_node_id()")
			for _, n := range cluster.Nodes() {
				if n.ID() == id {
					n.Kill()
				}
			}
		}
		_, err := tx.Exec("INSERT INTO v VALUES (2)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 2 || runs != 2 {
		t.Errorf("%d rows after %d runs, want 2 after 2", n, runs)
	}
}

func TestRunTxRollsBackOnErrorAndOnPanic(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	mine := errors.New("mine")
	if err := qdb.RunTx(within(t), db, nil, func(tx *sql.Tx) error {
		mustExec(t, tx, "INSERT INTO v VALUES (1)")
		return mine
	}); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		_ = qdb.RunTx(within(t), db, nil, func(tx *sql.Tx) error {
			mustExec(t, tx, "INSERT INTO v VALUES (1)")
			panic("mine")
		})
	}()
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestConcurrentTransfersKeepTheSum(t *testing.T) {
	db, _ := open(t, 3, "")
	mustExec(t, db, "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")
	for i := range 4 {
		mustExec(t, db, "INSERT INTO account VALUES (?, 100)", i)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				from, to := (w+i)%4, (w+i+1)%4
				if err := qdb.RunTx(within(t), db, nil, func(tx *sql.Tx) error {
					if _, err := tx.Exec("UPDATE account SET balance = balance - 1 WHERE id = ?", from); err != nil {
						return err
					}
					_, err := tx.Exec("UPDATE account SET balance = balance + 1 WHERE id = ?", to)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if sum := scanOne[int](t, db, "SELECT sum(balance) FROM account"); sum != 400 {
		t.Errorf("sum %d, want 400", sum)
	}
}
