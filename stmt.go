package qdb

import (
	"context"
	"database/sql/driver"
	"errors"
)

// stmt is a prepared statement: its text and what a node said of it. Where it
// runs, the session has it prepared or prepares it in the same round trip.
type stmt struct {
	conn *conn
	sql  string
	desc *description
}

// description is what is remembered of a prepared statement for all handles.
type description struct {
	params int
}

var (
	_ driver.Stmt              = (*stmt)(nil)
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// Close forgets the statement. It may come when the handle is not checked out,
// and costs nothing.
func (s *stmt) Close() error { return nil }

// NumInput is the number of arguments that the statement takes.
func (s *stmt) NumInput() int { return s.desc.params }

// CheckNamedValue converts an argument; see conn.
func (s *stmt) CheckNamedValue(nv *driver.NamedValue) error { return s.conn.CheckNamedValue(nv) }

// ExecContext runs the statement.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.sql, args)
}

// QueryContext runs the statement and reads its rows.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.sql, args)
}

var errUseContext = errors.New("use the method with a context")

// Exec is not used by database/sql, which calls ExecContext.
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errUseContext }

// Query is not used by database/sql, which calls QueryContext.
func (s *stmt) Query([]driver.Value) (driver.Rows, error) { return nil, errUseContext }
