package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// conn is a session's connection. One goroutine uses it at a time, but for
// Interrupt.
type conn struct {
	db   *database
	id   backend.Identity
	intr *interrupter
	// eng is nil before attach and after Close.
	eng *engine
	// generation counts the engines; a statement compiled for an older one is
	// compiled again.
	generation uint64
	// stmts are the open statements, in a list through stmt.next and prev.
	stmts *stmt

	tx       wire.TxState
	readOnly bool // the transaction refuses writes
	ddl      bool // the transaction has changed the schema
	epoch    uint64

	ticket  *ticket // this connection's place in the gate's queue
	holding bool    // the gate is this connection's
	// patience is when the operation stops waiting for locks; zero until it
	// has to wait for the first one.
	patience time.Time
	// broken is set when the engine cannot be trusted any more.
	broken *wire.Error
}

var _ backend.Conn = (*conn)(nil)

// attach gives the connection a clean engine.
func (c *conn) attach(ctx context.Context) error {
	e, err := c.db.acquire(ctx)
	if err != nil {
		return err
	}
	c.eng = e
	c.generation++
	e.identity = c.id
	e.busy = c.busy
	e.db.SetInterrupt(c.intr)
	return nil
}

// detach gives the engine up; no statement of it is compiled any more.
func (c *conn) detach() error {
	for s := c.stmts; s != nil; s = s.next {
		s.discard()
		s.end(stateIdle)
	}
	e := c.eng
	c.eng = nil
	e.identity = backend.Identity{}
	e.waitAtMost(c.db.options.BusyTimeout)
	e.db.SetInterrupt(context.Background())
	return c.db.release(e)
}

// catch turns a panic of the engine into an error. Running out of memory leaves
// the connection as it was, but for the statement; anything else ends it.
func (c *conn) catch(err *error) {
	if p := recover(); p != nil {
		*err = c.panicked(p)
	}
}

func (c *conn) panicked(p any) *wire.Error { return c.suspect(panicError(p)) }

// suspect takes note of the error that a panic was turned into.
func (c *conn) suspect(e *wire.Error) *wire.Error {
	if c.eng != nil {
		c.eng.worn = true
	}
	if e.Severity == wire.SeverityFatal {
		c.broken = e
	}
	return e
}

// usable says why nothing can be done with the connection any more.
func (c *conn) usable() error {
	if c.eng == nil {
		return &wire.Error{Code: "08003", Effect: wire.EffectNone, Severity: wire.SeverityFatal,
			Message: "the connection to the engine is closed"}
	}
	if c.broken != nil {
		e := wire.NewError(*c.broken, nil)
		e.Effect = wire.EffectNone // whatever it was that broke, this has not begun
		return e
	}
	return nil
}

// maxSQL is the longest text, in bytes, that SQLite compiles.
// Source: SQLite, "Implementation Limits", SQLITE_MAX_SQL_LENGTH.
const maxSQL = 1_000_000

// Prepare compiles the first statement of sql. What follows it is compiled by
// another call, once this one has run: it may depend on it.
func (c *conn) Prepare(sql string) (_ backend.Stmt, tail string, err error) {
	if err := c.usable(); err != nil {
		return nil, "", err
	}
	if len(sql) > maxSQL {
		return nil, "", &wire.Error{Code: "54000", Effect: wire.EffectNone,
			Message: fmt.Sprintf("the SQL text of %d bytes is over the limit of %d", len(sql), maxSQL),
			Hint:    "pass large values as arguments, and long scripts in parts"}
	}
	c.operate()
	defer c.intr.finish()
	defer c.catch(&err)
	s := &stmt{c: c}
	tail, err = s.compile(sql)
	if err != nil || s.raw == nil {
		return nil, tail, err
	}
	c.link(s)
	return s, tail, nil
}

// operate begins an operation that is under way for the time of one call.
func (c *conn) operate() {
	c.intr.start()
	c.patience = time.Time{}
	c.epoch = c.db.epoch.Load()
}

func (c *conn) link(s *stmt) {
	s.next = c.stmts
	if s.next != nil {
		s.next.prev = s
	}
	c.stmts = s
}

func (c *conn) unlink(s *stmt) {
	if s.next != nil {
		s.next.prev = s.prev
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.stmts = s.next
	}
	s.next, s.prev = nil, nil
}

// endExecutions ends what the session's statements have under way, but for one.
// Their next Step says so, rather than begin anew.
func (c *conn) endExecutions(but *stmt) {
	for s := c.stmts; s != nil; s = s.next {
		if s != but && s.state == stateRunning {
			quietReset(s.raw)
			s.end(stateAborted)
		}
	}
}

// Tx is the state of the transaction.
func (c *conn) Tx() wire.TxState { return c.tx }

// Dirty reports whether settings or temporary tables were changed.
func (c *conn) Dirty() bool { return c.eng != nil && c.eng.guard.dirty }

// SchemaEpoch is the backend's at the end of this connection's last operation.
func (c *conn) SchemaEpoch() uint64 { return c.epoch }

// Interrupt makes the operation under way fail with 57014. See the package
// comment for what counts as one.
func (c *conn) Interrupt() { c.intr.interrupt() }

// Reset gives the session a fresh state. Its statements stay.
func (c *conn) Reset() (err error) {
	if err := c.usable(); err != nil {
		return err
	}
	defer c.catch(&err)
	if err := c.Rollback(); err != nil {
		return err
	}
	for s := c.stmts; s != nil; s = s.next {
		if err := s.Reset(); err != nil {
			return err
		}
	}
	if !c.eng.guard.dirty {
		c.eng.db.SetLastInsertRowID(0)
		return nil
	}
	return errors.Join(c.detach(), c.attach(context.Background()))
}

// Close rolls back what is open and gives the engine connection back.
func (c *conn) Close() (err error) {
	if c.eng == nil {
		return nil
	}
	defer c.db.inUse.Add(-1)
	defer c.leaveGate()
	defer c.catch(&err)
	defer c.intr.shield()()
	if c.broken != nil {
		e := c.eng
		c.eng = nil
		return e.close()
	}
	err = c.Rollback()
	for c.stmts != nil {
		if e := c.stmts.Close(); err == nil {
			err = e
		}
	}
	if e := c.detach(); err == nil {
		err = e
	}
	return err
}
