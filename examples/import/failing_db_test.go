package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/wire"
)

// failingDB is a database that carries out everything but what has an error here:
// statements by their text, and COMMIT and ROLLBACK of database/sql.
type failingDB map[string]error

func (d failingDB) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d failingDB) Driver() driver.Driver                        { return nil }
func (d failingDB) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (d failingDB) Close() error                                 { return nil }
func (d failingDB) Begin() (driver.Tx, error)                    { return d, d["BEGIN"] }
func (d failingDB) Commit() error                                { return d["COMMIT"] }
func (d failingDB) Rollback() error                              { return d["ROLLBACK"] }

func (d failingDB) ExecContext(_ context.Context, sql string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, d[sql]
}

func TestFailuresSayNoMoreThanIsKnown(t *testing.T) {
	unknown := wire.NewError(wire.Error{Code: "08007", Effect: qdb.EffectUnknown, Message: "no answer"}, qdb.ErrOutcomeUnknown)
	wrong := &qdb.Error{Code: "42601", Effect: qdb.EffectNone, Message: "syntax error"}
	lost := &qdb.Error{Code: "08006", Effect: qdb.EffectNone, Message: "lost"}
	for _, c := range []struct {
		name         string
		db           failingDB
		script, want string
	}{
		{"a group that cannot begin", failingDB{"BEGIN": lost}, "a; b", "test.sql:1: a: begin a transaction: lost (SQLSTATE 08006)"},
		{"a failed statement of a group", failingDB{"b": wrong}, "a;\nb",
			"test.sql:2: b: syntax error (SQLSTATE 42601); everything from line 1 on is rolled back"},
		{"a rollback that fails too", failingDB{"b": wrong, "ROLLBACK": lost}, "a;\nb",
			"test.sql:2: b: syntax error (SQLSTATE 42601) (and the rollback failed: lost (SQLSTATE 08006))"},
		{"the script's transaction, gone with its connection", failingDB{"b": lost, "ROLLBACK": &qdb.Error{Code: noTransaction}}, "BEGIN;\nb",
			"test.sql:2: b: lost (SQLSTATE 08006); everything from line 1 on is rolled back"},
		{"a group's commit that failed", failingDB{"COMMIT": lost}, "a;\nb",
			"test.sql:2: commit the statements from line 1 on: lost (SQLSTATE 08006); everything from line 1 on is rolled back"},
		{"a group's commit without an answer", failingDB{"COMMIT": unknown}, "a;\nb",
			"test.sql:2: commit the statements from line 1 on: no answer: the outcome is unknown (SQLSTATE 08007); look at the data before you load anything again"},
		{"the script's commit without an answer", failingDB{"COMMIT": unknown, "ROLLBACK": &qdb.Error{Code: noTransaction}}, "BEGIN;\na;\nCOMMIT",
			"test.sql:3: COMMIT: no answer: the outcome is unknown (SQLSTATE 08007); look at the data before you load anything again"},
		{"a lone statement that failed", failingDB{"VACUUM": wrong}, "a;\nVACUUM", "test.sql:2: VACUUM: syntax error (SQLSTATE 42601)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := opened(t, sql.OpenDB(c.db), nil)
			_, err := loadScript(t.Context(), db, options{script: "test.sql", group: 2, foreignKeys: true}, strings.NewReader(c.script), &progress{})
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
