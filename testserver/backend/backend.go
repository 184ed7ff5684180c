// Package backend is the seam between a node and the engine that executes its
// SQL. A node knows sessions, messages and transactions by name; an engine knows
// SQL. The engine that comes with the test server is package sqlite beside this
// one; another one implements the three interfaces here.
//
//	node ── Backend ── one per cluster and process: the data
//	session ── Conn ── one per session that has run a statement: its state
//	request ── Stmt ── one per statement text in use
//
// Errors that a statement's author can act on are *wire.Error with an SQLSTATE
// and the effect; the node fills in its own name and the transaction's state.
package backend

import (
	"context"

	"github.com/qdb-go/qdb/wire"
)

// Backend is a database engine with its data. All nodes of a cluster that run
// in one process share one. It is safe for concurrent use.
type Backend interface {
	// Dialect names the engine's SQL, such as "sqlite".
	Dialect() string
	// Connect opens a connection for a session. It waits for ctx at most.
	Connect(ctx context.Context, id Identity) (Conn, error)
	// SchemaEpoch is a number that grows with every schema change that this
	// process knows of.
	SchemaEpoch() uint64
	// Close closes the data. All connections must have been closed before.
	Close() error
}

// Identity is what the SQL functions qdb_node_id(), qdb_session_id() and
// qdb_version() give.
type Identity struct {
	NodeID, SessionID, Version string
}

// TxOptions are the properties of a transaction at Begin.
type TxOptions struct {
	// ID is chosen by the client at random. All zero: none.
	ID        [16]byte
	Isolation wire.Isolation
	ReadOnly  bool
}

// Conn is a session's connection to the engine, with the session's state:
// transaction, settings, temporary tables. One goroutine uses it at a time,
// but for Interrupt.
type Conn interface {
	// Prepare compiles the first statement of sql and gives the text after
	// it. The statement is nil when the text holds only space and comments.
	Prepare(sql string) (s Stmt, tail string, err error)
	// Begin opens a transaction; it waits until the engine lets it write
	// unless it is read-only.
	Begin(o TxOptions) error
	// Commit makes the transaction's effects durable. After an error with
	// EffectNone the transaction is rolled back.
	Commit() error
	// Rollback discards the transaction. It does nothing when there is none.
	Rollback() error
	// Tx is the state of the transaction, opened by Begin or by SQL.
	Tx() wire.TxState
	// Dirty reports whether the session's state differs from a fresh one's.
	Dirty() bool
	// Reset brings the session's state back to a fresh one's: transaction
	// rolled back, settings and temporary tables gone.
	Reset() error
	// Interrupt makes the operation under way fail with SQLSTATE 57014,
	// waits included. It may be called from any goroutine, and does nothing
	// when no operation is under way. The caller sees to it that the
	// operation it means is still the one under way.
	Interrupt()
	// SchemaEpoch is the backend's as this connection has last seen it.
	SchemaEpoch() uint64
	// Close rolls back what is open and gives the connection up.
	Close() error
}

// Stmt is a compiled statement. It belongs to its Conn and is used like it. It
// is recompiled unseen after a schema change; Columns may differ then, so ask
// after the first Step.
type Stmt interface {
	// Parameters describes the parameters, as many as must be bound.
	Parameters() []wire.Parameter
	// ReadOnly reports whether the statement has no effect on the database.
	ReadOnly() bool
	// Control reports whether it is a statement that begins or ends a
	// transaction, or that cannot run within one.
	Control() bool
	// Columns describes the rows; empty when the statement returns none. The
	// slice must not be changed, and is the same one until the columns change.
	Columns() []wire.Column
	// Bind sets all parameters, and has copied the arguments when it returns.
	// A wrong number is 07001.
	Bind(args []wire.Argument) error
	// Step runs to the next row or to the end. An autocommit statement's
	// effect is durable when Step has reported the end. Outside a transaction
	// a writing statement waits for its turn here.
	Step() (row bool, err error)
	// AppendRow appends the row's values in session mode's form.
	AppendRow(dst []byte) []byte
	// Result gives the rows affected and the last insert id, after the end.
	Result() Result
	// Reset ends the execution, at whatever row it is, and keeps the
	// statement. A statement that writes and has given a row has made all its
	// changes: Reset keeps them, and outside a transaction it completes and
	// commits what is not committed yet, so that an effect is never half. The
	// error is that of the completion: with it, nothing was changed. After
	// the first row such a statement is not interrupted any more.
	Reset() error
	// Close gives the statement up.
	Close() error
}

// Result is what a statement did.
type Result struct {
	RowsAffected int64
	LastInsertID int64
	HasInsertID  bool
}
