package qdb_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a cluster of n nodes and opens it. Both end with the test.
func open(t testing.TB, n int, params string) (*sql.DB, *testserver.Cluster) {
	t.Helper()
	cluster := testserver.Start(t, testserver.Options{Nodes: n})
	dsn := cluster.DSN()
	if params != "" {
		dsn += "?" + params
	}
	return openDSN(t, dsn), cluster
}

func openDSN(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("qdb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

// within gives a context that ends long after a working test has.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustExec(t testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) sql.Result {
	t.Helper()
	res, err := db.ExecContext(within(t), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return res
}

func scanOne[T any](t testing.TB, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(within(t), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// wantError asserts an error with the SQLSTATE and effect, and gives it.
func wantError(t testing.TB, err error, code string, effect qdb.Effect) *qdb.Error {
	t.Helper()
	var e *qdb.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want a *qdb.Error with SQLSTATE %s", err, err, code)
	}
	if e.Code != code || e.Effect != effect {
		t.Fatalf("got SQLSTATE %s and effect %v in %q, want %s and %v", e.Code, e.Effect, e, code, effect)
	}
	return e
}

// waitFor polls a condition that another goroutine or process brings about.
func waitFor(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond) // what is waited for raises no event here
	}
}
