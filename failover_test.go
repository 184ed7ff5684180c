//go:build unix

// Signals stop and drain the processes of these tests.

package qdb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb"
)

func TestWhatOneProcessAcknowledgesTheOthersReturn(t *testing.T) {
	nodes, _ := startProcesses(t, 3)
	dbs := make([]*sql.DB, len(nodes))
	for i, n := range nodes {
		dbs[i] = openDSN(t, "qdb://"+n.addr+"/?discover=false")
	}
	mustExec(t, dbs[0], "CREATE TABLE v (i INTEGER)")
	for i := range 30 {
		mustExec(t, dbs[i%3], "INSERT INTO v VALUES (?)", i)
		for _, db := range dbs {
			if n := scanOne[int](t, db, "SELECT count(*) FROM v"); n != i+1 {
				t.Fatalf("after %d acknowledged rows a node returns %d", i+1, n)
			}
		}
	}
}

func TestKill9LosesNoAcknowledgedRow(t *testing.T) {
	nodes, dsn := startProcesses(t, 3)
	db := openDSN(t, dsn)
	mustExec(t, db, "CREATE TABLE v (i INTEGER PRIMARY KEY)")
	var acknowledged []int
	var killing sync.WaitGroup
	defer killing.Wait()
	for i := range 1000 {
		switch i {
		case 250, 500, 750:
			killing.Go(nodes[i/250-1].kill) // beside the inserts, so that one may be in flight
		case 350, 600:
			killing.Wait()
			nodes[i/250-1].start()
		}
		_, err := db.ExecContext(within(t), "INSERT INTO v VALUES (?)", i)
		var e *qdb.Error
		switch {
		case err == nil:
			acknowledged = append(acknowledged, i)
		case errors.As(err, &e) && e.Effect == qdb.EffectUnknown:
			// It was in flight on the node that died, and says so.
		default:
			t.Fatalf("insert %d: %v", i, err)
		}
	}
	rows, err := db.Query("SELECT i FROM v ORDER BY i")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	present := map[int]bool{}
	for rows.Next() {
		var i int
		if err := rows.Scan(&i); err != nil {
			t.Fatal(err)
		}
		present[i] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, i := range acknowledged {
		if !present[i] {
			t.Errorf("row %d was acknowledged and is lost", i)
		}
	}
	if len(acknowledged) < 997 {
		t.Errorf("only %d of 1,000 inserts were acknowledged", len(acknowledged))
	}
}

// load is a number of workers that do queries, writes and transactions until they
// are stopped.
type load struct {
	db        *sql.DB
	stop      chan struct{}
	wg        sync.WaitGroup
	ops       atomic.Int64
	incidents chan incident // errors, with what came of the next attempts
}

// incident is an error that a worker got.
type incident struct {
	op     string
	err    error
	at     time.Time
	healed time.Duration // until the worker's next success
}

func startLoad(t testing.TB, db *sql.DB, workers int) *load {
	t.Helper()
	mustExec(t, db, "CREATE TABLE IF NOT EXISTS load (id INTEGER PRIMARY KEY, worker INTEGER, n INTEGER)")
	l := &load{db: db, stop: make(chan struct{}), incidents: make(chan incident, 10000)}
	for w := range workers {
		l.wg.Go(func() { l.work(w) })
	}
	return l
}

func (l *load) work(worker int) {
	var open *incident
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		op, err := l.step(worker, n)
		l.ops.Add(1)
		switch {
		case err != nil && open == nil:
			open = &incident{op: op, err: err, at: time.Now()}
		case err == nil && open != nil:
			open.healed = time.Since(open.at)
			l.incidents <- *open
			open = nil
		case err != nil:
			l.incidents <- incident{op: op, err: err, at: time.Now()}
		}
	}
}

func (l *load) step(worker, n int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch n % 4 {
	case 0:
		_, err := l.db.ExecContext(ctx, "INSERT INTO load (worker, n) VALUES (?, ?)", worker, n)
		return "exec", err
	case 1:
		tx, err := l.db.BeginTx(ctx, nil)
		if err != nil {
			return "begin", err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "UPDATE load SET n = n + 1 WHERE id = ?", worker+1); err != nil {
			return "tx", err
		}
		return "commit", tx.Commit()
	default:
		var got int
		return "query", l.db.QueryRowContext(ctx, "SELECT count(*) FROM load WHERE id < 10").Scan(&got)
	}
}

// end stops the workers and gives their incidents.
func (l *load) end() []incident {
	close(l.stop)
	l.wg.Wait()
	close(l.incidents)
	var list []incident
	for i := range l.incidents {
		list = append(list, i)
	}
	return list
}

// passed waits until the workers have done n more operations.
func (l *load) passed(t testing.TB, n int64) {
	t.Helper()
	from := l.ops.Load()
	waitFor(t, 60*time.Second, fmt.Sprintf("%d operations", n), func() bool { return l.ops.Load() >= from+n })
}

// checkouts gives the number of checkouts that each node has served, by its id.
func checkouts(db *sql.DB) map[string]float64 {
	counts := map[string]float64{}
	for _, n := range qdb.Stats(db).Nodes {
		counts[n.ID] += float64(n.Checkouts)
	}
	return counts
}

// shareOf gives a node's part of the next 600 or more checkouts of a database
// under load, 1 being a fair one.
func shareOf(t testing.TB, db *sql.DB, id string) float64 {
	t.Helper()
	before := checkouts(db)
	var part, all float64
	waitFor(t, 10*time.Second, "600 checkouts", func() bool {
		after := checkouts(db)
		part, all = after[id]-before[id], 0
		for node, n := range after {
			all += n - before[node]
		}
		return all >= 600
	})
	return part / all * float64(len(before))
}

func TestKill9UnderLoadFailsOnlyWhatWasInFlight(t *testing.T) {
	nodes, dsn := startProcesses(t, 3)
	db := openDSN(t, dsn+"/?health_interval=200ms")
	db.SetMaxIdleConns(32)
	l := startLoad(t, db, 32)
	l.passed(t, 2000)
	nodes[1].kill()
	l.passed(t, 2000)
	nodes[1].start()
	restarted := time.Now()
	l.passed(t, 1000)
	waitFor(t, 5*time.Second, "the restarted node has its share of the checkouts back", func() bool {
		s := shareOf(t, db, "2")
		return s > 0.8 && s < 1.2
	})
	t.Logf("the share was back %v after the restart", time.Since(restarted).Round(time.Millisecond))
	var healed []time.Duration
	for _, i := range l.end() {
		var e *qdb.Error
		if !errors.As(i.err, &e) {
			t.Errorf("%s: an error without SQLSTATE: %v", i.op, i.err)
			continue
		}
		switch {
		case i.op == "query" || i.op == "begin":
			t.Errorf("%s: failed though it can be repeated: %v", i.op, i.err)
		case !strings.HasPrefix(e.Code, "08"):
			t.Errorf("%s: %v", i.op, i.err)
		}
		healed = append(healed, i.healed)
	}
	if len(healed) > 20 {
		t.Errorf("%d errors, more than sessions could be in flight", len(healed))
	}
	slices.Sort(healed)
	t.Logf("%d errors in flight; time to the next success: %v", len(healed), healed)
	if n := len(healed); n > 0 && healed[n-1] > time.Second {
		t.Errorf("a worker needed %v to its next success", healed[n-1])
	}
}

func TestABlackHoleHoldsNobodyUpForLong(t *testing.T) {
	nodes, dsn := startProcesses(t, 3)
	db := openDSN(t, dsn+"/?health_interval=500ms&health_timeout=500ms")
	db.SetMaxIdleConns(32)
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	const limit = 500*time.Millisecond + 500*time.Millisecond + time.Second
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var longest atomic.Int64
	var done atomic.Int64
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				var n int
				if err := db.QueryRow("SELECT count(*) FROM v").Scan(&n); err != nil {
					t.Errorf("a read fails: %v", err)
				}
				done.Add(1)
				if d := time.Since(start); d > limit/2 {
					t.Logf("a read took %v, from %v to %v", d.Round(time.Millisecond), start.Format("05.000"), time.Now().Format("05.000"))
				}
				for d := int64(time.Since(start)); ; {
					if old := longest.Load(); d <= old || longest.CompareAndSwap(old, d) {
						break
					}
				}
			}
		})
	}
	waitFor(t, 30*time.Second, "load", func() bool { return done.Load() > 500 })
	nodes[1].signal(syscall.SIGSTOP)
	t.Logf("stopped at %v", time.Now().Format("05.000"))
	waitFor(t, 10*time.Second, "the node is found out", func() bool { return stateOf(db, nodes[1].addr) == "down" })
	from := done.Load()
	waitFor(t, 30*time.Second, "load without the node", func() bool { return done.Load() > from+500 })
	t.Logf("continued at %v", time.Now().Format("05.000"))
	nodes[1].signal(syscall.SIGCONT)
	waitFor(t, 10*time.Second, "the node is healthy again", func() bool { return stateOf(db, nodes[1].addr) == "healthy" })
	waitFor(t, 10*time.Second, "load returns to it", func() bool { return shareOf(t, db, "2") > 0.5 })
	close(stop)
	wg.Wait()
	if d := time.Duration(longest.Load()); d > limit {
		t.Errorf("a call took %v, longer than %v", d, limit)
	} else {
		t.Logf("the longest call took %v", d.Round(time.Millisecond))
	}
}

func stateOf(db *sql.DB, addr string) string {
	for _, n := range qdb.Stats(db).Nodes {
		if n.Address == addr {
			return n.State
		}
	}
	return ""
}

func TestARollingRestartByDrainGoesUnnoticed(t *testing.T) {
	nodes, dsn := startProcesses(t, 3)
	db := openDSN(t, dsn)
	db.SetMaxIdleConns(32)
	l := startLoad(t, db, 16)
	l.passed(t, 500)
	for _, n := range nodes {
		n.drain(within(t))
		l.passed(t, 300)
		n.start()
		waitFor(t, 10*time.Second, "the node is healthy again", func() bool { return stateOf(db, n.addr) == "healthy" })
		l.passed(t, 300)
	}
	for _, i := range l.end() {
		t.Errorf("%s: %v", i.op, i.err)
	}
}

func TestWithAllNodesDownACallSaysWhyAndTheNextOneAfterSucceeds(t *testing.T) {
	db, cluster := open(t, 3, "")
	scanOne[int](t, db, "SELECT 1")
	for _, n := range cluster.Nodes() {
		n.Kill()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := db.QueryRowContext(ctx, "SELECT 1").Scan(new(int))
	if d := time.Since(start); d > 300*time.Millisecond+200*time.Millisecond {
		t.Errorf("the call took %v, its deadline was 300 ms", d)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not a deadline: %v", err)
	}
	wantError(t, err, "08001", qdb.EffectNone)
	for _, n := range cluster.Nodes() {
		if !strings.Contains(err.Error(), n.Addr()) {
			t.Errorf("the error does not list node %s: %v", n.Addr(), err)
		}
	}
	if err := cluster.Node(2).Restart(); err != nil {
		t.Fatal(err)
	}
	if n := scanOne[int](t, db, "SELECT 7"); n != 7 {
		t.Errorf("got %d", n)
	}
}
