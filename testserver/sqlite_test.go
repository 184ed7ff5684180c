package testserver

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// The tests here run over SQLite, the engine that a cluster has by default.

func TestNodesOfAClusterShareTheirData(t *testing.T) {
	c := Start(t, Options{Nodes: 3})
	a, b := dial(t, c.Node(0)), dial(t, c.Node(2))
	a.must("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
	if k := a.must("INSERT INTO t (name) VALUES (?), (?)", wire.String("one"), wire.String("two")).completes[0]; k.RowsAffected != 2 || k.LastInsertID != 2 {
		t.Fatalf("got %+v", k)
	}
	r := b.must("SELECT id, name FROM t ORDER BY id")
	if len(r.rows) != 2 || string(r.rows[1][1].Raw) != "two" || r.headers[0].Columns[1].DeclaredType != "TEXT" {
		t.Fatalf("got %+v", r)
	}
	ids := b.must("SELECT qdb_node_id(), qdb_session_id(), qdb_version()").rows[0]
	if string(ids[0].Raw) != "3" || string(ids[1].Raw) != b.welcome.SessionID || string(ids[2].Raw) == "" {
		t.Fatalf("got %s, %s, %s", ids[0].Raw, ids[1].Raw, ids[2].Raw)
	}
}

func TestAFileSurvivesTheCluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	for round := range 3 {
		c, err := New(Options{Data: path})
		if err != nil {
			t.Fatal(err)
		}
		s := dial(t, c.Node(0))
		s.must("CREATE TABLE IF NOT EXISTS t (n INT)")
		s.must("INSERT INTO t VALUES (?)", wire.Int(int64(round)))
		if n := s.must("SELECT count(*) FROM t").rows[0][0].Num; n != int64(round+1) {
			t.Fatalf("round %d: %d rows", round, n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALongRunningQueryStopsWhenItIsCancelled(t *testing.T) {
	c := Start(t, Options{})
	s := dial(t, c.Node(0))
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
	for range 5 {
		seq := s.send(wire.TypeExecute, query(endless))
		start := time.Now()
		s.cancel(seq)
		s.expectError(seq, "57014")
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("stopped after %v", d)
		}
	}
	seq := s.send(wire.TypeExecute, &wire.Execute{SQL: endless, Timeout: 20})
	s.expectError(seq, "57014")
	// One that returns rows is stopped between them too.
	e := query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n")
	seq = s.send(wire.TypeExecute, e)
	s.expect(wire.TypeRows, seq)
	s.cancel(seq)
	if r := s.collectAfterFirst(seq); r.err == nil || r.err.Code != "57014" {
		t.Fatalf("got %+v", r.err)
	}
	s.must("SELECT 1")
}

func TestAnEndlessResultIsNeverCollected(t *testing.T) {
	c := Start(t, Options{})
	s := dial(t, c.Node(0))
	sent := c.Node(0).BytesSent()
	e := query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i, hex(zeroblob(500)) FROM n")
	e.Credit = 100_000
	seq := s.send(wire.TypeExecute, e)
	eventually(t, "rows up to the credit", func() bool { return c.Node(0).BytesSent()-sent >= 100_000 })
	time.Sleep(50 * time.Millisecond) // in which nothing more may come
	if n := c.Node(0).BytesSent() - sent; n > 110_000 {
		t.Fatalf("%d bytes were sent for a credit of 100,000", n)
	}
	s.cancel(seq)
	if r := s.collectAfterFirst(seq); r.err == nil || r.err.Code != "57014" {
		t.Fatalf("got %+v", r.err)
	}
}

func TestReturningGivesRowsAndStaysDone(t *testing.T) {
	c := Start(t, Options{})
	s := dial(t, c.Node(0))
	s.must("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	r := s.must("INSERT INTO t VALUES (5), (6) RETURNING id * 10")
	if len(r.rows) != 2 || r.rows[1][0].Num != 60 || r.completes[0].RowsAffected != 2 {
		t.Fatalf("got %+v", r)
	}
	if n := s.must("SELECT count(*) FROM t").rows[0][0].Num; n != 2 {
		t.Fatalf("%d rows, want 2", n)
	}
}

func TestAScriptThatFailsLeavesNothingBehind(t *testing.T) {
	c := Start(t, Options{})
	s := dial(t, c.Node(0))
	r := s.exec("CREATE TABLE a (x INT UNIQUE); INSERT INTO a VALUES (1); INSERT INTO a VALUES (1)")
	if r.err == nil || r.err.Code != "23505" || r.err.Effect != wire.EffectNone {
		t.Fatalf("got %v", r.err)
	}
	if e := s.exec("SELECT * FROM a").err; e == nil || e.Code != "42P01" {
		t.Fatalf("got %v: the table is there", e)
	}
	s.must("CREATE TABLE b (x INT); -- a comment\n INSERT INTO b VALUES (1); /* end */")
	if n := s.must("SELECT count(*) FROM b").rows[0][0].Num; n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
	s.must("BEGIN; INSERT INTO b VALUES (2); COMMIT")
}

func TestWritersOnAllNodesTakeTurns(t *testing.T) {
	c := Start(t, Options{Nodes: 2})
	dial(t, c.Node(0)).must("CREATE TABLE t (n INT)")
	var wg sync.WaitGroup
	const workers, each = 8, 25
	for w := range workers {
		s := dial(t, c.Node(w%2))
		wg.Go(func() {
			for i := range each {
				seq := s.put(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin, ID: [16]byte{byte(w), byte(i)}})
				exec := s.put(wire.TypeExecute, &wire.Execute{SQL: "INSERT INTO t VALUES (1)", Flags: wire.InTransaction})
				commit := s.put(wire.TypeTransaction, &wire.Transaction{Op: wire.TxCommit})
				s.conn.Write(s.out.Bytes())
				s.out.Reset()
				for _, want := range []struct {
					kind wire.Type
					seq  uint64
				}{{wire.TypeAck, seq}, {wire.TypeComplete, exec}, {wire.TypeAck, commit}} {
					if m, err := s.receive(); err != nil || m.Type != want.kind || m.Sequence != want.seq {
						t.Errorf("got %v for %d, %v; want %v for %d", m.Type, m.Sequence, err, want.kind, want.seq)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if n := dial(t, c.Node(1)).must("SELECT count(*) FROM t").rows[0][0].Num; n != workers*each {
		t.Fatalf("%d rows, want %d", n, workers*each)
	}
}

func TestAKilledNodeRollsBackAndKeepsWhatWasAcknowledged(t *testing.T) {
	c := Start(t, Options{Nodes: 2, Data: filepath.Join(t.TempDir(), "data.db")})
	s, other := dial(t, c.Node(0)), dial(t, c.Node(1))
	s.must("CREATE TABLE t (n INT)")
	s.must("INSERT INTO t VALUES (1)")
	s.tx(wire.TxBegin, 1)
	s.must("INSERT INTO t VALUES (2)")
	c.Node(0).Kill()
	other.must("INSERT INTO t VALUES (3)") // its turn has come back
	if n := other.must("SELECT sum(n) FROM t").rows[0][0].Num; n != 4 {
		t.Fatalf("the sum is %d, want 4", n)
	}
	if got := other.tx(wire.TxStatus, 1).Outcome; got != wire.OutcomeAborted {
		t.Fatalf("the outcome is %d, want aborted", got)
	}
}

func TestDataThatCannotBeOpenedIsAClearError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "data.db")
	if _, err := New(Options{Data: path}); err == nil || !strings.Contains(err.Error(), "open the data") {
		t.Fatalf("got %v", err)
	}
}

// collectAfterFirst takes the rest of an answer that ends in an error, whose first
// message may be gone.
func (c *client) collectAfterFirst(seq uint64) (r result) {
	c.t.Helper()
	for {
		m := c.next()
		if m.Sequence != seq {
			c.t.Fatalf("got %v for %d, want the answer to %d", m.Type, m.Sequence, seq)
		}
		switch m.Type {
		case wire.TypeError:
			r.err = c.errorOf(m)
			return r
		case wire.TypeRows:
			r.batches++
		default:
			c.t.Fatalf("got %v", m.Type)
		}
	}
}
