package qdb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/testserver"
)

func openConnector(t *testing.T, dsn string, options ...qdb.Option) *sql.DB {
	t.Helper()
	cfg, err := qdb.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	connector, err := qdb.NewConnector(cfg, options...)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// awaitHealthy waits until n nodes are healthy and equally near: on a busy machine
// the first round trip to a node may take so long that it counts as a far one.
func awaitHealthy(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	waitFor(t, 20*time.Second, "all nodes are healthy and near", func() bool {
		healthy, lowest, highest := 0, time.Hour, time.Duration(0)
		for _, s := range qdb.Stats(db).Nodes {
			if s.State == "healthy" && s.RTT > 0 {
				healthy++
				lowest, highest = min(lowest, s.RTT), max(highest, s.RTT)
			}
		}
		return healthy == n && highest-lowest < 5*time.Millisecond
	})
}

// lastFirst sends everything to the last node of the DSN.
type lastFirst struct{}

func (lastFirst) Name() string { return "last_first" }

func (lastFirst) Order(nodes []*cluster.NodeView, _ *rand.Rand) int {
	slices.Reverse(nodes)
	return 1
}

func TestAPolicyOfOnesOwnIsFollowed(t *testing.T) {
	c := testserver.Start(t, testserver.Options{Nodes: 3})
	db := openConnector(t, c.DSN()+"?health_interval=50ms", qdb.WithPolicy(lastFirst{}))
	scanOne[int](t, db, "SELECT 1")
	awaitHealthy(t, db, 3)
	for range 20 {
		if id := scanOne[string](t, db, "SELECT qdb_node_id()"); id != "3" {
			t.Fatalf("node %s", id)
		}
	}
	c.Node(2).Kill()
	if id := scanOne[string](t, db, "SELECT qdb_node_id()"); id != "2" {
		t.Errorf("node %s after the last one died", id)
	}
}

func TestThePoliciesOfTheDSNAreFollowed(t *testing.T) {
	for policy, most := range map[string]int{"in_order": 60, "round_robin": 21, "random": 45, "least_loaded": 24} {
		db, _ := open(t, 3, "health_interval=50ms&policy="+policy)
		scanOne[int](t, db, "SELECT 1")
		awaitHealthy(t, db, 3)
		served := map[string]int{}
		for range 60 {
			served[scanOne[string](t, db, "SELECT qdb_node_id()")]++
		}
		highest := 0
		for _, n := range served {
			highest = max(highest, n)
		}
		if policy == "in_order" && (len(served) != 1 || served["1"] != 60) {
			t.Errorf("%s: %v", policy, served)
		}
		if highest > most || policy != "in_order" && len(served) != 3 {
			t.Errorf("%s: %v", policy, served)
		}
	}
}

func TestChangesOfANodesStateAreEvents(t *testing.T) {
	c := testserver.Start(t, testserver.Options{Nodes: 2})
	events := make(chan cluster.Event, 100)
	db := openConnector(t, c.DSN(), qdb.WithEvents(func(e cluster.Event) { events <- e }))
	scanOne[int](t, db, "SELECT 1")
	await := func(address string, to cluster.State) {
		t.Helper()
		limit := time.After(10 * time.Second)
		for {
			select {
			case e := <-events:
				if e.Kind == cluster.StateChanged && e.Node.Address == address && e.To == to {
					return
				}
			case <-limit:
				t.Fatalf("no event that node %s is %v", address, to)
			}
		}
	}
	await(c.Node(1).Addr(), cluster.StateHealthy)
	c.Node(1).Kill()
	await(c.Node(1).Addr(), cluster.StateDown)
	if err := c.Node(1).Restart(); err != nil {
		t.Fatal(err)
	}
	await(c.Node(1).Addr(), cluster.StateHealthy)
	other := openDSN(t, "qdb://"+c.Node(1).Addr()+"/?discover=false")
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	scanOne[int](t, tx, "SELECT 1") // the transaction holds the drain up
	c.Node(1).Drain()
	await(c.Node(1).Addr(), cluster.StateDraining)
}

func TestATargetThatNoNodeHasIsAnErrorThatSaysSo(t *testing.T) {
	db, _ := open(t, 2, "pool_acquire_timeout=200ms")
	scanOne[int](t, db, "SELECT 1")
	err := db.QueryRowContext(qdb.WithTarget(within(t), qdb.TargetReplica), "SELECT 1").Scan(new(int))
	e := wantError(t, err, "08001", qdb.EffectNone)
	var none *cluster.NoNodeError
	if !errors.As(e, &none) || none.Target != cluster.TargetReplica {
		t.Errorf("got %v", err)
	}
	if n := scanOne[int](t, db, "SELECT 1"); n != 1 {
		t.Error("the database does not go on")
	}
}

func TestCloseWaitsForWhatIsInUseAndCutsItOffAfterItsGrace(t *testing.T) {
	t.Parallel()
	c := testserver.Start(t, testserver.Options{Nodes: 2})
	db, err := sql.Open("qdb", c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	start := time.Now()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("Close took %v with rows left open", d)
	}
	for rows.Next() {
	}
	if rows.Err() == nil {
		t.Error("endless rows end without an error when the database is closed")
	}
	for i, n := range c.Nodes() {
		waitFor(t, 5*time.Second, "no session is left", func() bool { return n.Sessions()+n.Monitors() == 0 })
		if t.Failed() {
			t.Logf("node %d", i)
		}
	}
}

func TestCloseReturnsAtOnceWhenNothingIsInUse(t *testing.T) {
	c := testserver.Start(t, testserver.Options{Nodes: 3})
	db, err := sql.Open("qdb", c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	scanOne[int](t, db, "SELECT 1")
	done := make(chan error, 1)
	go func() { done <- db.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(3 * time.Second):
		t.Error("Close waits though nothing is in use")
		<-done
	}
	if err := db.PingContext(context.Background()); err == nil {
		t.Error("a closed database answers")
	}
}

func TestSettingsThatThisVersionCannotHonourAreRefused(t *testing.T) {
	for _, dsn := range []string{"qdb://h/?protocols=tls", "qdb://h/?tls=skip-verify", "qdb://h/?tls_ca=ca.pem"} {
		if _, err := sql.Open("qdb", dsn); err == nil {
			t.Errorf("%s is accepted", dsn)
		}
	}
}

func TestAHandleOpenedByItselfTakesItsClusterWithIt(t *testing.T) {
	c := testserver.Start(t, testserver.Options{})
	handle, err := (&qdb.Driver{}).Open(c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	if err := handle.(driver.Pinger).Ping(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := handle.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 5*time.Second, "no session is left", func() bool { return c.Node(0).Sessions()+c.Node(0).Monitors() == 0 })
}
