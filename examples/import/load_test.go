package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

// onBoth runs a test through the driver under test and, as what scripts in its
// dialect expect, on SQLite itself.
func onBoth(t *testing.T, f func(t *testing.T, db *sql.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, openSQLite(t)) })
	t.Run("qdb", func(t *testing.T) { f(t, openCluster(t, testserver.Options{Nodes: 3})) })
}

// openSQLite opens a new database of SQLite itself, with foreign keys checked as
// the nodes do.
func openSQLite(t *testing.T) *sql.DB {
	t.Helper()
	db, err := driver.Open("file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "data.db")) + "?_pragma=foreign_keys(on)")
	return opened(t, db, err)
}

func openCluster(t *testing.T, o testserver.Options) *sql.DB {
	t.Helper()
	db, err := sql.Open(qdb.DriverName, testserver.Start(t, o).DSN())
	return opened(t, db, err)
}

func opened(t *testing.T, db *sql.DB, err error) *sql.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// loadText loads a script under the name of test.sql.
func loadText(t *testing.T, db *sql.DB, group int, script string) (statements int, err error) {
	t.Helper()
	o := options{script: "test.sql", group: group, foreignKeys: true}
	return loadScript(t.Context(), db, o, strings.NewReader(script), &progress{})
}

// values gives the values of a query's only column.
func values(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func expectValues(t *testing.T, db *sql.DB, query string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, values(t, db, query)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

// expectFailure wants an error whose text has all those parts.
func expectFailure(t *testing.T, err error, line int, parts ...string) {
	t.Helper()
	f, ok := errors.AsType[*failure](err)
	if !ok || f.line != line || f.file != "test.sql" {
		t.Fatalf("error %v, want a failure in line %d of test.sql", err, line)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want %q in it", err, part)
		}
	}
}

func TestAScriptIsLoaded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		n, err := loadText(t, db, 2, "\ufeffCREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);\r\n"+
			"CREATE TABLE log (n, s);\r\n"+trigger+";\r\n"+
			"INSERT INTO t VALUES (1, 'it''s; so'), (2, NULL);\r\nSELECT * FROM t;\r\nDELETE FROM t WHERE a = 2")
		if err != nil || n != 6 {
			t.Fatalf("%d statements, %v; want 6", n, err)
		}
		expectValues(t, db, "SELECT b FROM t", "it's; so")
		expectValues(t, db, "SELECT s FROM log ORDER BY rowid", "one", "many; really")
	})
}

func TestAFailingStatementRollsItsGroupBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		n, err := loadText(t, db, 2, "CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n\nINSERT INTO t\n  VALUES (1); INSERT INTO t VALUES (3)")
		expectFailure(t, err, 5, "test.sql:5: INSERT INTO t VALUES (1): ", "constraint failed", "; everything from line 3 on is rolled back")
		if n != 3 {
			t.Errorf("%d statements were carried out, want 3", n)
		}
		expectValues(t, db, "SELECT a FROM t", "1")
	})
}

func TestTheScriptsOwnTransactionsAreCarriedOutAsWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 2, `CREATE TABLE t (a);
			begin immediate; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); INSERT INTO t VALUES (3); end transaction;
			BEGIN; INSERT INTO t VALUES (4); INSERT INTO t VALUES (5); INSERT INTO t VALUES (6); ROLLBACK;
			INSERT INTO t VALUES (7);
			SAVEPOINT "A"; INSERT INTO t VALUES (8);
			SAVEPOINT b; INSERT INTO t VALUES (9); ROLLBACK TO SAVEPOINT b; RELEASE a;
			INSERT INTO t VALUES (10)`)
		if err != nil {
			t.Fatal(err)
		}
		expectValues(t, db, "SELECT a FROM t", "1", "2", "3", "7", "8", "10")
	})
}

func TestAFailureRollsTheScriptsOwnTransactionBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 500, "CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES (1);\nBEGIN;\nINSERT INTO t VALUES (2);\nINSERT INTO t VALUES (1);\nCOMMIT;")
		expectFailure(t, err, 5, "constraint failed", "; everything from line 3 on is rolled back")
		expectValues(t, db, "SELECT a FROM t", "1")
	})
}

func TestAScriptThatEndsWithinItsTransactionFails(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 500, "CREATE TABLE t (a);\nBEGIN;\nINSERT INTO t VALUES (2);\n")
		expectFailure(t, err, 4, "begins in line 2: COMMIT is missing; everything from line 2 on is rolled back")
		expectValues(t, db, "SELECT a FROM t")
	})
}

func TestAFaultOfTheScriptRollsTheGroupBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 2, "CREATE TABLE t (a); INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nINSERT INTO t VALUES ('3);\n")
		expectFailure(t, err, 3, "never closed", "; everything from line 2 on is rolled back")
		expectValues(t, db, "SELECT a FROM t", "1")
	})
}

func TestACommitThatFailsUndoesItsGroup(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 2, `CREATE TABLE t (a PRIMARY KEY); CREATE TABLE u (a REFERENCES t DEFERRABLE INITIALLY DEFERRED);
			INSERT INTO t VALUES (1);
			INSERT INTO u VALUES (2);
			INSERT INTO t VALUES (3)`)
		expectFailure(t, err, 3, "commit the statements from line 2 on", "constraint failed", "; everything from line 2 on is rolled back")
	})
}

func TestPragmasAndVacuumAreKeptOutOfTheGroups(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		// Within a transaction the first pragma would have no effect, and VACUUM fail.
		_, err := loadText(t, db, 500, `CREATE TABLE t (a PRIMARY KEY); CREATE TABLE u (a REFERENCES t);
			PRAGMA foreign_keys = off;
			INSERT INTO u VALUES (1);
			VACUUM;
			INSERT INTO t VALUES (1);
			PRAGMA foreign_keys = on;
			INSERT INTO u VALUES (2)`)
		expectFailure(t, err, 7, "constraint failed")
		expectValues(t, db, "SELECT a FROM u", "1")
	})
}

func TestForeignKeysCanBeCheckedAtTheEnd(t *testing.T) {
	const script = `DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u;
		CREATE TABLE u (a REFERENCES t); CREATE TABLE t (a PRIMARY KEY);
		INSERT INTO u VALUES (1); INSERT INTO t VALUES (1);`
	onBoth(t, func(t *testing.T, db *sql.DB) {
		o := options{script: "test.sql", group: 500}
		for range 2 {
			if _, err := loadScript(t.Context(), db, o, strings.NewReader(script), &progress{}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := loadScript(t.Context(), db, o, strings.NewReader(script+"INSERT INTO u VALUES (7), (8)"), &progress{})
		if want := "2 rows refer to rows that do not exist; one is u row 2 refers to t"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	})
}

func TestLoadingEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		if _, err := loadText(t, db, 500, "CREATE TABLE t (a)"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		// So long that the second one is read only after the first one was run.
		first := strings.NewReader("INSERT INTO t VALUES (1);" + strings.Repeat(" ", 100<<10))
		second := readerFunc(func(p []byte) (int, error) {
			cancel()
			return copy(p, "INSERT INTO t VALUES (2);"), io.EOF
		})
		o := options{script: "test.sql", group: 500, foreignKeys: true}
		_, err := loadScript(ctx, db, o, io.MultiReader(first, second), &progress{})
		expectFailure(t, err, 1, "everything from line 1 on is rolled back")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		expectValues(t, db, "SELECT a FROM t")
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTheBeginningOfAStatementFitsOnALine(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                  "SELECT 1",
		"SELECT\r\n\t 1 ":           "SELECT 1",
		"SELECT '\x1b[2J\x00ü\xff'": "SELECT '\ufffd[2J\ufffdü\ufffd'",
		strings.Repeat("ü", 60):     strings.Repeat("ü", 60),
		strings.Repeat("ü ", 30):    strings.TrimSpace(strings.Repeat("ü ", 30)),
		strings.Repeat("ü", 61):     strings.Repeat("ü", 60) + "…",
		strings.Repeat("a\n", 100):  strings.Repeat("a ", 30) + "…",
	} {
		if got := beginning(text); got != want {
			t.Errorf("%q begins with %q, want %q", text, got, want)
		}
	}
}
