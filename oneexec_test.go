package qdb_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

// A statement whose connection is cut anywhere is never done twice, and its error
// tells truly whether it was done.
func TestACutAnywhereNeverDoesAWriteTwice(t *testing.T) {
	db, cluster := open(t, 2, "health_interval=0&pool_min_conns=0&policy=in_order")
	mustExec(t, db, "CREATE TABLE v (i INTEGER)")
	row := 0
	for _, mode := range []testserver.CutMode{testserver.CutFIN, testserver.CutRST, testserver.CutGarbage} {
		for _, received := range []bool{true, false} {
			for after := int64(0); after < 260; after += 7 {
				row++
				name := fmt.Sprintf("%v, received %v, after %d bytes", mode, received, after)
				cluster.Node(0).SetFaults(testserver.Faults{Cut: mode, CutReceived: received, CutAfterBytes: after, Limit: 1, SpareMonitors: true})
				_, err := db.ExecContext(within(t), "INSERT INTO v VALUES (?)", row)
				cluster.Node(0).SetFaults(testserver.Faults{})
				n := scanOne[int](t, db, "SELECT count(*) FROM v WHERE i = ?", row)
				var e *qdb.Error
				switch {
				case n > 1:
					t.Errorf("%s: the row was inserted %d times", name, n)
				case err == nil && n != 1:
					t.Errorf("%s: acknowledged, and %d rows are there", name, n)
				case err == nil:
				case !errors.As(err, &e):
					t.Errorf("%s: an error without type: %v", name, err)
				case e.Effect == qdb.EffectNone && n != 0:
					t.Errorf("%s: done, though the error says that it was not: %v", name, err)
				case e.Effect == qdb.EffectUnknown && !errors.Is(err, qdb.ErrOutcomeUnknown):
					t.Errorf("%s: an unknown effect that is not ErrOutcomeUnknown: %v", name, err)
				}
			}
		}
	}
}

func TestASessionThatTheNodeClosedWhileIdleGoesUnnoticed(t *testing.T) {
	db, cluster := open(t, 1, "pool_min_conns=0&pool_max_conns=2")
	for i := range 100 {
		scanOne[int](t, db, "SELECT 1")
		cluster.Node(0).Kill()
		if err := cluster.Node(0).Restart(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("SELECT 1"); err != nil {
			t.Fatalf("statement %d on a session that had been closed: %v", i, err)
		}
	}
}
