package qdb_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/qdb-go/qdb"
)

func TestASQLConnKeepsItsSession(t *testing.T) {
	db, _ := open(t, 3, "")
	c, err := db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := scanOne[string](t, c, "SELECT qdb_session_id()")
	mustExec(t, c, "CREATE TEMP TABLE mine (i INTEGER)")
	mustExec(t, c, "INSERT INTO mine VALUES (7)")
	for range 10 {
		if id := scanOne[string](t, c, "SELECT qdb_session_id()"); id != first {
			t.Fatalf("session %s after %s", id, first)
		}
	}
	if i := scanOne[int](t, c, "SELECT i FROM mine"); i != 7 {
		t.Errorf("got %d", i)
	}
}

func TestWhatASessionLeftBehindIsGoneForTheNextUser(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	c, err := db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, c, "CREATE TEMP TABLE mine (i INTEGER)")
	mustExec(t, c, "BEGIN")
	mustExec(t, c, "INSERT INTO v VALUES (1)")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("SELECT * FROM mine")
	wantError(t, err, "42P01", qdb.EffectNone)
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 0 {
		t.Errorf("%d rows of a transaction nobody committed", n)
	}
}

func TestCheckoutsSpreadOverAllNodes(t *testing.T) {
	db, _ := open(t, 3, "health_interval=50ms")
	scanOne[int](t, db, "SELECT 1")
	awaitHealthy(t, db, 3)
	served := map[string]int{}
	for range 1000 {
		served[scanOne[string](t, db, "SELECT qdb_node_id()")]++
	}
	lowest, highest := 1000, 0
	for _, n := range served {
		lowest, highest = min(lowest, n), max(highest, n)
	}
	if len(served) != 3 || float64(highest) > 1.2*float64(lowest) {
		t.Errorf("1,000 statements fell on the nodes as %v", served)
	}
}

func TestAKilledNodeGoesUnnoticed(t *testing.T) {
	db, cluster := open(t, 3, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	for i := range 300 {
		if i == 100 {
			cluster.Node(1).Kill()
		}
		mustExec(t, db, "INSERT INTO v VALUES (?)", i)
		scanOne[int](t, db, "SELECT count(*) FROM v")
	}
	if n := scanOne[int](t, db, "SELECT count(DISTINCT i) FROM v"); n != 300 {
		t.Errorf("%d rows, want 300", n)
	}
}

func TestPreparedStatementsOutliveTheirNode(t *testing.T) {
	db, cluster := open(t, 2, "")
	st, err := db.Prepare("SELECT ? + 1")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i := range 20 {
		if i == 10 {
			cluster.Node(0).Kill()
		}
		var got int
		if err := st.QueryRow(i).Scan(&got); err != nil || got != i+1 {
			t.Fatalf("execution %d: got %d, %v", i, got, err)
		}
	}
	if _, err := db.Prepare("SELEC 1"); err == nil {
		t.Error("a statement that is none is prepared")
	}
}

func TestACancelledStatementStopsAndItsSessionLivesOn(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0")
	before := scanOne[string](t, db, "SELECT qdb_session_id()")
	for name, end := range map[string]func() (context.Context, context.CancelFunc, error){
		"cancelled": func() (context.Context, context.CancelFunc, error) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel, context.Canceled
		},
		"deadline": func() (context.Context, context.CancelFunc, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			return ctx, cancel, context.DeadlineExceeded
		},
	} {
		ctx, cancel, want := end()
		_, err := db.ExecContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n")
		cancel()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v", name, err)
		}
		if after := scanOne[string](t, db, "SELECT qdb_session_id()"); after != before {
			t.Errorf("%s: session %s after %s", name, after, before)
		}
	}
}

func TestRowsClosedEarlyLeaveTheSessionUsable(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0")
	before := scanOne[string](t, db, "SELECT qdb_session_id()")
	rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if after := scanOne[string](t, db, "SELECT qdb_session_id()"); after != before {
		t.Errorf("session %s after %s", after, before)
	}
}

func TestManyRowsAreStreamed(t *testing.T) {
	db, _ := open(t, 1, "compression=lz4")
	rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100000) SELECT i, 'row ' || i FROM n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	sum := 0
	for rows.Next() {
		var i int
		var s string
		if err := rows.Scan(&i, &s); err != nil {
			t.Fatal(err)
		}
		sum += i
	}
	if err := rows.Err(); err != nil || sum != 100000*100001/2 {
		t.Errorf("sum %d, error %v", sum, err)
	}
}

func TestATextOfSeveralStatementsGivesSeveralResults(t *testing.T) {
	db, _ := open(t, 2, "")
	rows, err := db.Query("SELECT 1 AS a; SELECT 2 AS b, 3 AS c WHERE 0; SELECT ? AS d", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []int
	for {
		for rows.Next() {
			var i int
			if err := rows.Scan(&i); err != nil {
				t.Fatal(err)
			}
			got = append(got, i)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil || len(got) != 2 || got[0] != 1 || got[1] != 4 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = db.Exec("CREATE TABLE v (i INTEGER); INSERT INTO v VALUES (1); INSERT INTO nowhere VALUES (1)")
	wantError(t, err, "42P01", qdb.EffectNone)
	_, err = db.Exec("SELECT * FROM v")
	wantError(t, err, "42P01", qdb.EffectNone)
}

func TestStatsTellOfNodesAndSessions(t *testing.T) {
	db, cluster := open(t, 3, "")
	if s := qdb.Stats(db); len(s.Nodes) != 0 {
		t.Errorf("a database that was never used: %+v", s)
	}
	rows, err := db.Query("SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	s := qdb.Stats(db)
	if s.Limit != 20 || s.InUse != 1 || len(s.Nodes) != 3 || s.Nodes[0].Address != cluster.Node(0).Addr() {
		t.Errorf("%+v", s)
	}
	rows.Close()
	other := sql.OpenDB(nil2{})
	defer other.Close()
	if s := qdb.Stats(other); s.Limit != 0 {
		t.Errorf("a database of another driver: %+v", s)
	}
}

func TestAnExhaustedPoolSaysWhoHoldsIt(t *testing.T) {
	db, _ := open(t, 1, "pool_max_conns=1&pool_min_conns=0&pool_acquire_timeout=50ms")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	_, err = db.Exec("SELECT 1")
	e := wantError(t, err, "08001", qdb.EffectNone)
	if !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("not a deadline: %v", e)
	}
	for _, part := range []string{"limit 1, 1 in use", "transaction", "127.0.0.1"} {
		if !contains(e.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, e)
		}
	}
}

func TestStatementsAfterALostSQLTransactionDoNotRunOutsideIt(t *testing.T) {
	db, cluster := open(t, 2, "")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	c, err := db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustExec(t, c, "BEGIN")
	mustExec(t, c, "INSERT INTO v VALUES (300)")
	id := scanOne[string](t, c, "SELECT qdb_node_id()")
	for _, n := range cluster.Nodes() {
		if n.ID() == id {
			n.Kill()
		}
	}
	for i := range 3 {
		if _, err := c.ExecContext(within(t), "INSERT INTO v VALUES (?)", 301+i); err == nil {
			t.Errorf("statement %d runs outside the transaction that was lost", i)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}

func TestARowOfAWriteIsNeverLeftOutInSilence(t *testing.T) {
	db, _ := open(t, 1, "query_timeout=300ms")
	mustExec(t, db, "CREATE TABLE v (i INTEGER, x TEXT)")
	rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000) INSERT INTO v SELECT i, hex(randomblob(50)) FROM n RETURNING i, x")
	if err != nil {
		wantError(t, err, "57014", qdb.EffectNone) // a slow machine: it had not written yet
		return
	}
	defer rows.Close()
	got := 0
	for rows.Next() {
		if got++; got == 1 {
			time.Sleep(500 * time.Millisecond) // a reader so slow that the statement's time is over
		}
	}
	if rows.Err() == nil && got < 20000 {
		t.Fatalf("%d of 20,000 rows came, and no error", got)
	}
	if rows.Err() != nil {
		wantError(t, rows.Err(), "57014", qdb.EffectDone)
	}
}
