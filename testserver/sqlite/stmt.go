package sqlite

import (
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// stmtState is how far a statement's execution is.
type stmtState uint8

const (
	stateIdle    stmtState = iota
	stateBound             // all parameters are set
	stateRunning           // SQLite has a row, and more to do
	stateEnded             // it came to its end
	stateAborted           // it failed, or its transaction ended under it
)

// stmt is a compiled statement of a session.
type stmt struct {
	c          *conn
	next, prev *stmt // in the connection's list
	closed     bool

	sql        string // the text of this statement alone
	raw        *sqlite3.Stmt
	generation uint64 // of the engine that raw belongs to
	plan       plan
	params     []wire.Parameter

	columns    []wire.Column
	meanings   []meaning // of the columns, for decoding
	recompiled int       // times that SQLite had to compile raw anew
	scratch    []byte    // for the digits of a decimal

	state stmtState
	// underWay: an operation of the interrupter is open for this execution.
	underWay bool
	heavy    bool // a bound value is so long that it is worth letting go of
	stored   rowStore
	count    counter
	result   backend.Result
	// spoilt is the failure of an AppendRow, which the next Step reports.
	spoilt *wire.Error
}

var _ backend.Stmt = (*stmt)(nil)

// compile compiles the first statement of sql and describes it. raw stays nil
// when there is none.
func (s *stmt) compile(sql string) (tail string, err error) {
	if i := strings.IndexByte(sql, 0); i >= 0 {
		return "", &wire.Error{Code: "42601", Effect: wire.EffectNone, Position: uint32(i) + 1,
			Message: "a NUL character in the text of a statement"}
	}
	g := &s.c.eng.guard
	p := plan{pragma: firstWord(sql) == "PRAGMA" && givesValue(sql)}
	g.watch(&p)
	raw, tail, err := s.c.eng.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	g.unwatch()
	if err != nil {
		return "", s.c.failure(err, outcome{sql: sql})
	}
	if raw == nil {
		return tail, nil
	}
	s.sql = sql[:len(sql)-len(tail)]
	s.raw, s.generation, s.recompiled = raw, s.c.generation, 0
	p.complete(s.sql, raw.ReadOnly())
	s.plan = p
	s.params = describeParameters(raw)
	s.describeColumns()
	return tail, nil
}

// fresh compiles the statement again if it was compiled for another engine.
func (s *stmt) fresh() error {
	if s.raw != nil && s.generation == s.c.generation {
		return nil
	}
	return s.recompile()
}

func (s *stmt) recompile() error {
	s.discard()
	_, err := s.compile(s.sql)
	return err
}

// apply compiles a PRAGMA anew, by which it takes effect.
func (s *stmt) apply() error {
	g := &s.c.eng.guard
	g.applying = true
	defer func() { g.applying = false }()
	return s.recompile()
}

// discard lets go of what SQLite has of the statement.
func (s *stmt) discard() {
	if s.raw == nil {
		return
	}
	quietReset(s.raw)
	_ = s.raw.Close() // without an error after a reset
	s.raw = nil
}

// quietReset resets a statement whose error, if it has one, was reported by its
// step: SQLite repeats it here, and running out of memory as a panic.
func quietReset(raw *sqlite3.Stmt) {
	defer func() { _ = recover() }()
	_ = raw.Reset()
}

// end ends the execution, if one is under way.
func (s *stmt) end(state stmtState) {
	s.state = state
	if s.underWay {
		s.underWay = false
		s.c.intr.finish()
	}
}

// Parameters describes the parameters.
func (s *stmt) Parameters() []wire.Parameter { return s.params }

// ReadOnly reports whether the statement changes nothing in the database.
func (s *stmt) ReadOnly() bool { return s.plan.readOnly }

// Control reports whether it begins or ends a transaction or a savepoint, or
// cannot run within a transaction.
func (s *stmt) Control() bool { return s.plan.control() }

// Columns describes the rows.
func (s *stmt) Columns() []wire.Column { return s.columns }

// Result is what the statement did, once it has ended.
func (s *stmt) Result() backend.Result { return s.result }

// Reset ends the execution. What a writing statement outside a transaction has
// begun, it completes; see the package comment.
func (s *stmt) Reset() (err error) {
	s.stored.clear()
	s.spoilt = nil
	if s.closed || s.raw == nil || s.c.broken != nil {
		s.end(stateIdle)
		return nil
	}
	if s.state == stateRunning {
		if s.plan.writes() && s.c.tx == wire.TxNone {
			err = s.drain()
		} else {
			quietReset(s.raw)
			s.c.settle()
		}
	}
	if s.heavy {
		s.heavy = false
		_ = s.raw.ClearBindings() // never fails
	}
	s.end(stateIdle)
	return err
}

// Close gives the statement up.
func (s *stmt) Close() error {
	if s.closed {
		return nil
	}
	err := s.Reset()
	s.closed = true
	if s.c.broken == nil {
		s.discard()
	}
	s.raw = nil
	s.c.unlink(s)
	return err
}
