package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/mvcc" // the shared database in memory

	"github.com/qdb-go/qdb/testserver/backend"
)

// control is a statement of the package's own that each engine keeps compiled.
type control uint8

const (
	controlBegin control = iota
	controlBeginImmediate
	controlCommit
	controlRollback
	controlSchemaVersion
	controlRowidAlias
	controls
)

var controlSQL = [controls]string{
	controlBegin:          "BEGIN",
	controlBeginImmediate: "BEGIN IMMEDIATE",
	controlCommit:         "COMMIT",
	controlRollback:       "ROLLBACK",
	controlSchemaVersion:  "PRAGMA schema_version",
	// A primary key without an index of its own is the rowid.
	controlRowidAlias: "SELECT count(*) FROM pragma_index_list(?1, ?2) WHERE origin = 'pk'",
}

// Pauses between two looks at a lock that another process holds.
const (
	minPause = 50 * time.Microsecond
	maxPause = 10 * time.Millisecond
)

// engine is a connection to SQLite. It belongs to one session at a time, or to
// the pool, and is not safe for concurrent use.
type engine struct {
	db       *sqlite3.Conn
	guard    guard
	identity backend.Identity
	compiled [controls]*sqlite3.Stmt
	// busy decides whether a lock that is held elsewhere is waited for.
	busy func(attempt int) bool
	// aliases remembers which tables' primary key is the rowid. It is dropped
	// when the schema has changed.
	aliases map[tableName]bool
	// worn engines have run out of memory once, which they never give back.
	worn bool
}

type tableName struct{ schema, table string }

// openEngine opens a connection with the settings that all have.
func (db *database) openEngine(ctx context.Context) (_ *engine, err error) {
	ctx = sqlite3.WithMaxMemory(ctx, db.options.MaxMemory)
	defer catch(&err)
	raw, err := sqlite3.OpenContext(ctx, db.name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", db.describe(), err)
	}
	e := &engine{db: raw}
	if err := e.configure(db.options); err != nil {
		_ = e.close()
		return nil, fmt.Errorf("sqlite: open %s: %w", db.describe(), err)
	}
	return e, nil
}

func (e *engine) configure(o Options) error {
	e.waitAtMost(o.BusyTimeout)
	return errors.Join(
		e.db.BusyHandler(func(_ context.Context, attempt int) bool { return e.busy(attempt) }),
		e.defend(),
		e.db.Exec(fmt.Sprintf("PRAGMA foreign_keys=on; PRAGMA synchronous=%v; PRAGMA cache_size=-%d", o.Sync, cacheSize(o)>>10)),
		e.register(),
		e.db.SetAuthorizer(e.guard.authorize),
	)
}

// cacheSize is how much of the data a connection keeps in memory, in bytes.
func cacheSize(o Options) int64 { return min(8<<20, o.MaxMemory/4) }

// defend closes the ways by which SQL could damage the file.
func (e *engine) defend() error {
	_, err := e.db.Config(sqlite3.DBCONFIG_DEFENSIVE, true)
	return err
}

// waitAtMost makes locks that others hold be waited for d long, for the times
// when the engine belongs to no session.
func (e *engine) waitAtMost(d time.Duration) {
	var until time.Time
	e.busy = func(attempt int) bool {
		if attempt == 0 {
			until = time.Now().Add(d)
		}
		if time.Now().After(until) {
			return false
		}
		time.Sleep(pauseBefore(attempt))
		return true
	}
}

// pauseBefore is the pause before the next look at a lock: doubling, so that a
// short hold costs little and a long one no processor.
func pauseBefore(attempt int) time.Duration {
	if attempt >= 8 {
		return maxPause
	}
	return minPause << attempt
}

// statement gives one of the engine's own statements, compiled at first use.
func (e *engine) statement(k control) (*sqlite3.Stmt, error) {
	if e.compiled[k] == nil {
		s, _, err := e.db.PrepareFlags(controlSQL[k], sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return nil, err
		}
		e.compiled[k] = s
	}
	return e.compiled[k], nil
}

// run carries out one of the engine's own statements that gives no rows. A panic
// of the engine is an error, so that the caller can go on to undo things.
func (e *engine) run(k control) (err error) {
	defer func() {
		if p := recover(); p != nil {
			quietReset(e.compiled[k])
			err = panicError(p)
		}
	}()
	s, err := e.statement(k)
	if err != nil {
		return err
	}
	s.Step()
	return finish(s)
}

// finish resets a statement of the engine's own and gives the error of its
// step: Reset alone does not report a step that was refused unstarted because
// of an interrupt.
func finish(s *sqlite3.Stmt) error {
	err := s.Err()
	if e := s.Reset(); err == nil {
		err = e
	}
	return err
}

// number carries out one that gives a number.
func (e *engine) number(k control, args ...string) (int64, error) {
	s, err := e.statement(k)
	if err != nil {
		return 0, err
	}
	for i, arg := range args {
		if err := s.BindText(i+1, arg); err != nil {
			return 0, err
		}
	}
	var n int64
	if s.Step() {
		n = s.ColumnInt64(0)
	}
	return n, finish(s)
}

// schemaVersion reads the number that grows with each change of the schema.
func (e *engine) schemaVersion() (int64, error) { return e.number(controlSchemaVersion) }

// text runs a statement that is not kept and gives the first value.
func (e *engine) text(sql string) (value string, err error) {
	s, _, err := e.db.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if s.Step() {
		value = s.ColumnText(0)
	}
	return value, finish(s)
}

// writing reports whether SQLite holds the write lock for this engine.
func (e *engine) writing() bool { return e.db.TxnState("main") == sqlite3.TXN_WRITE }

// reusable reports whether nothing of a session is left in the engine.
func (e *engine) reusable() bool {
	if e.worn || e.guard.dirty || !e.db.GetAutocommit() {
		return false
	}
	for s := range e.db.Stmts() {
		if !e.owns(s) {
			return false
		}
	}
	e.db.SetLastInsertRowID(0)
	return true
}

func (e *engine) owns(s *sqlite3.Stmt) bool {
	for _, own := range e.compiled {
		if own == s {
			return true
		}
	}
	return false
}

// close closes the connection with all its statements. What was open is rolled
// back.
func (e *engine) close() (err error) {
	defer catch(&err)
	for _, s := range slices.Collect(e.db.Stmts()) {
		quietReset(s)
		_ = s.Close() // without an error after a reset
	}
	return e.db.Close()
}
