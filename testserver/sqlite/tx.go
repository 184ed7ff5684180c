package sqlite

import (
	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// Begin opens a transaction. A read-write one holds the gate, and SQLite's
// write lock, until its end: it cannot fail for a conflict later. A read-only
// one takes its snapshot here.
func (c *conn) Begin(o backend.TxOptions) (err error) {
	if err := c.usable(); err != nil {
		return err
	}
	if c.tx != wire.TxNone {
		return &wire.Error{Code: "25001", Effect: wire.EffectNone,
			Message: "a transaction is open already", Hint: "commit it or roll it back first"}
	}
	c.operate()
	defer c.intr.finish()
	defer c.settle()
	defer c.catch(&err)
	if o.ReadOnly {
		return c.beginReading()
	}
	if err := c.enterGate(holdTransaction); err != nil {
		return err
	}
	if err := c.eng.run(controlBeginImmediate); err != nil {
		return c.failure(err, outcome{})
	}
	c.tx = wire.TxActive
	return nil
}

func (c *conn) beginReading() error {
	if err := c.eng.run(controlBegin); err != nil {
		return c.failure(err, outcome{})
	}
	// BEGIN alone takes no snapshot; the first read does.
	version, err := c.eng.schemaVersion()
	if err != nil {
		err = c.failure(err, outcome{})
		c.undo()
		return err
	}
	c.db.noteSchema(version)
	c.tx, c.readOnly = wire.TxActive, true
	return nil
}

// Commit makes the transaction durable. Rows that are still being read end.
func (c *conn) Commit() (err error) {
	if err := c.usable(); err != nil {
		return err
	}
	switch c.tx {
	case wire.TxNone:
		return &wire.Error{Code: "25P01", Effect: wire.EffectNone, Message: "there is no transaction to commit"}
	case wire.TxFailed:
		c.tx = wire.TxNone
		return errFailedCommit()
	}
	c.operate()
	defer c.intr.finish()
	defer c.settle()
	defer c.catch(&err)
	c.endExecutions(nil)
	if err := c.eng.run(controlCommit); err != nil {
		err = c.failure(err, outcome{commit: true})
		c.undo() // what COMMIT refuses stays open in SQLite
		return err
	}
	c.ended(true)
	return nil
}

// errFailedCommit is the answer to a COMMIT after the transaction was lost.
func errFailedCommit() error {
	return &wire.Error{Code: "25P02", Effect: wire.EffectNone,
		Message: "the transaction had failed and was rolled back; nothing of it was committed",
		Hint:    "repeat the whole transaction"}
}

// Rollback discards the transaction. It cannot be interrupted.
func (c *conn) Rollback() (err error) {
	if c.tx == wire.TxNone {
		return nil
	}
	if err := c.usable(); err != nil {
		return err
	}
	defer c.settle()
	defer c.catch(&err)
	c.endExecutions(nil)
	c.undo()
	return c.usable()
}

// undo rolls back what SQLite has open, whatever it is. A connection that
// cannot even do that is of no use any more.
func (c *conn) undo() {
	defer c.intr.shield()()
	db := c.eng.db
	if c.broken == nil && db.GetAutocommit() && c.eng.writing() {
		_ = c.eng.run(controlBegin) // a commit was cut short; only a transaction can be rolled back
	}
	if c.broken == nil && !db.GetAutocommit() {
		if err := c.eng.run(controlRollback); err != nil && !db.GetAutocommit() {
			e := c.failure(err, outcome{})
			e.Severity = wire.SeverityFatal
			c.broken = e
		}
	}
	c.ended(false)
}

// ended takes note that the transaction is over by somebody's will.
func (c *conn) ended(committed bool) {
	changed := c.ddl && committed
	c.tx, c.readOnly, c.ddl = wire.TxNone, false, false
	if changed {
		c.schemaChanged()
	}
}

// schemaChanged tells the backend about a schema change that is in force.
func (c *conn) schemaChanged() {
	c.eng.aliases = nil
	version, err := c.eng.schemaVersion()
	if err != nil {
		c.db.epoch.Add(1) // better once too often than not at all
		return
	}
	c.db.noteSchema(version)
}

// settle brings the session's state in line with SQLite's after an operation:
// statements begin and end transactions too, and SQLite ends them by itself
// when it cannot go on. The gate is kept only for the time of a write lock.
func (c *conn) settle() {
	c.epoch = c.db.epoch.Load()
	if c.eng == nil || c.broken != nil {
		return
	}
	inTx := !c.eng.db.GetAutocommit()
	switch {
	case inTx && c.tx == wire.TxNone:
		c.tx = wire.TxActive
	case !inTx && c.tx == wire.TxActive:
		c.tx, c.readOnly, c.ddl = wire.TxFailed, false, false
	}
	if c.holding && !c.eng.writing() {
		c.leaveGate()
	}
}

// schemaSeen tells the backend about the schema as this connection sees it.
func (c *conn) schemaSeen() {
	if version, err := c.eng.schemaVersion(); err == nil {
		c.db.noteSchema(version)
	}
}
