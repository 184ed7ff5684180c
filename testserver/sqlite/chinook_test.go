package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qdb-go/qdb/testserver/backend"
)

// TestTheChinookScriptLoads loads a well-known sample database, whose script
// has many statements in an order of its own, with foreign keys enforced.
func TestTheChinookScriptLoads(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "chinook.sql"))
	if err != nil {
		t.Skipf("the sample database's script is not here: %v", err)
	}
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		s := connect(t, open(Options{}))
		check(t, s.Begin(readWrite))
		s.exec(string(script))
		check(t, s.Commit())
		tables := s.rows("select name from sqlite_schema where type = 'table'")
		total := int64(0)
		for _, row := range tables {
			total += s.value(`select count(*) from "` + row[0].(string) + `"`).(int64)
		}
		if len(tables) != 11 || total != 15_607 {
			t.Errorf("got %d tables with %d rows, want 11 with 15,607", len(tables), total)
		}
		if broken := s.rows("pragma foreign_key_check"); len(broken) != 0 {
			t.Errorf("%d rows refer to nothing", len(broken))
		}
	})
}
