package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// session is a connection with the test's shorthand.
type session struct {
	backend.Conn
	t testing.TB
}

func openMemory(t testing.TB, o Options) backend.Backend {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func openFile(t testing.TB, o Options) backend.Backend {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "test.db")
	return openMemory(t, o)
}

// kinds runs a test with the data in memory and in a file.
func kinds(t *testing.T, test func(t *testing.T, open func(o Options) backend.Backend)) {
	t.Run("memory", func(t *testing.T) {
		test(t, func(o Options) backend.Backend { return openMemory(t, o) })
	})
	t.Run("file", func(t *testing.T) {
		test(t, func(o Options) backend.Backend { return openFile(t, o) })
	})
}

func connect(t testing.TB, db backend.Backend) session {
	t.Helper()
	c, err := db.Connect(context.Background(), backend.Identity{NodeID: "node-1", SessionID: "session-1", Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return session{c, t}
}

// inMemory is a session on a database of its own.
func inMemory(t testing.TB) session {
	t.Helper()
	return connect(t, openMemory(t, Options{}))
}

// named is an argument with a name.
type named struct {
	name  string
	value any
}

func arguments(args []any) []wire.Argument {
	list := make([]wire.Argument, len(args))
	for i, a := range args {
		if n, ok := a.(named); ok {
			list[i].Name, a = n.name, n.value
		}
		list[i].Value = toValue(a)
	}
	return list
}

func toValue(a any) wire.Value {
	switch v := a.(type) {
	case nil:
		return wire.Null()
	case bool:
		return wire.Bool(v)
	case int:
		return wire.Int(int64(v))
	case int64:
		return wire.Int(v)
	case float64:
		return wire.Float(v)
	case string:
		return wire.String(v)
	case []byte:
		return wire.Bytes(v)
	case time.Time:
		return wire.Timestamp(v)
	}
	panic(fmt.Sprintf("no value for a %T", a))
}

func fromValue(v wire.Value) any {
	switch v.Kind {
	case wire.KindNull:
		return nil
	case wire.KindFalse, wire.KindTrue:
		return v.Kind == wire.KindTrue
	case wire.KindInt:
		return v.Num
	case wire.KindFloat:
		return v.Float()
	case wire.KindString:
		return string(v.Raw)
	case wire.KindBytes:
		return append([]byte{}, v.Raw...)
	}
	return v.Time()
}

// parseRow decodes what AppendRow appended.
func parseRow(t testing.TB, row []byte) (values []any) {
	t.Helper()
	for len(row) > 0 {
		v, rest, ok := wire.ParseValue(row)
		if !ok {
			t.Fatalf("AppendRow gave %x, which is no row", row)
		}
		values = append(values, fromValue(v))
		row = rest
	}
	return values
}

// try runs all statements of sql, the arguments going to the last one, and
// gives the last one's rows and result.
func (s session) try(sql string, args ...any) (rows [][]any, result backend.Result, err error) {
	s.t.Helper()
	for {
		stmt, tail, err := s.Prepare(sql)
		if err != nil || stmt == nil {
			return rows, result, err
		}
		rows, result, err = s.runOne(stmt, args, tail)
		if e := stmt.Close(); err == nil {
			err = e
		}
		if err != nil || tail == "" {
			return rows, result, err
		}
		sql = tail
	}
}

func (s session) runOne(stmt backend.Stmt, args []any, tail string) (rows [][]any, result backend.Result, err error) {
	s.t.Helper()
	if tail != "" {
		args = nil
	}
	return s.run(stmt, args...)
}

// run carries out a prepared statement.
func (s session) run(stmt backend.Stmt, args ...any) (rows [][]any, result backend.Result, err error) {
	s.t.Helper()
	if err := stmt.Bind(arguments(args)); err != nil {
		return nil, result, err
	}
	for {
		row, err := stmt.Step()
		if err != nil {
			return rows, result, err
		}
		if !row {
			return rows, stmt.Result(), nil
		}
		rows = append(rows, parseRow(s.t, stmt.AppendRow(nil)))
	}
}

// exec runs statements that must succeed.
func (s session) exec(sql string, args ...any) backend.Result {
	s.t.Helper()
	_, result, err := s.try(sql, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return result
}

// rows gives the rows of a statement that must succeed.
func (s session) rows(sql string, args ...any) [][]any {
	s.t.Helper()
	rows, _, err := s.try(sql, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// value gives the only value of the only row.
func (s session) value(sql string, args ...any) any {
	s.t.Helper()
	rows := s.rows(sql, args...)
	if len(rows) != 1 || len(rows[0]) != 1 {
		s.t.Fatalf("%s: %v, want one value", sql, rows)
	}
	return rows[0][0]
}

// prepare compiles a statement that is closed with the test.
func (s session) prepare(sql string) backend.Stmt {
	s.t.Helper()
	stmt, _, err := s.Prepare(sql)
	if err != nil || stmt == nil {
		s.t.Fatalf("%s: %v, %v", sql, stmt, err)
	}
	s.t.Cleanup(func() { _ = stmt.Close() })
	return stmt
}

// fails runs a statement that must fail, and gives the error.
func (s session) fails(sql string, args ...any) *wire.Error {
	s.t.Helper()
	_, _, err := s.try(sql, args...)
	return wireError(s.t, err)
}

func wireError(t testing.TB, err error) *wire.Error {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *wire.Error", err)
	}
	return e
}

// wantState checks an error's SQLSTATE and that nothing was changed.
func wantState(t testing.TB, err error, state string) *wire.Error {
	t.Helper()
	e := wireError(t, err)
	if e.Code != state || e.Effect != wire.EffectNone {
		t.Fatalf("got %v with effect %v, want SQLSTATE %s with effect none", e, e.Effect, state)
	}
	return e
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantValue(t testing.TB, got, want any) {
	t.Helper()
	if n, ok := want.(int); ok {
		want = int64(n)
	}
	if got != want {
		t.Fatalf("got %#v, want %#v", got, want)
	}
}
