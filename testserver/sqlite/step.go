package sqlite

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// Step runs to the next row or to the end.
func (s *stmt) Step() (row bool, err error) {
	if s.stored.advance() {
		return true, nil
	}
	switch s.state {
	case stateRunning:
		if s.spoilt != nil {
			return false, s.failSpoilt()
		}
		return s.proceed()
	case stateEnded:
		return false, nil
	case stateAborted:
		return false, &wire.Error{Code: "24000", Effect: wire.EffectNone,
			Message: "the statement's execution is over: it failed, or its transaction ended", Hint: "bind it or reset it to run it again"}
	}
	return s.begin()
}

// proceed makes the next step of a statement that is running. One that writes
// has made its changes by now and is not interrupted any more: they could
// neither be undone nor be reported as undone.
func (s *stmt) proceed() (row bool, err error) {
	defer s.catch(&err)
	if s.plan.writes() {
		defer s.c.intr.shield()()
	}
	if s.raw.Step() {
		return true, nil
	}
	if err := s.raw.Err(); err != nil {
		return false, s.fail(err)
	}
	s.complete()
	return false, nil
}

// begin makes the first step.
func (s *stmt) begin() (row bool, err error) {
	if err := s.c.usable(); err != nil {
		return false, err
	}
	if !s.underWay {
		s.underWay = true
		s.c.operate()
	}
	defer s.catch(&err)
	if s.c.tx == wire.TxFailed {
		return false, s.afterFailure()
	}
	if err := s.admit(); err != nil {
		s.end(stateAborted)
		return false, err
	}
	s.result = noResult
	s.before()
	row, err = s.firstStep()
	s.after()
	s.noticeRecompilation()
	switch {
	case err != nil:
		return false, s.fail(err)
	case !row:
		s.complete()
		return false, nil
	}
	s.state = stateRunning
	if s.plan.writes() && s.c.tx == wire.TxNone {
		return s.storeRows()
	}
	return true, nil
}

// admit sees to it that the statement may start.
func (s *stmt) admit() error {
	c := s.c
	if s.state != stateBound && len(s.params) > 0 {
		return &wire.Error{Code: "07001", Effect: wire.EffectNone, Message: "the statement's parameters are not bound"}
	}
	if s.plan.queues() && c.readOnly {
		return &wire.Error{Code: "25006", Effect: wire.EffectNone,
			Message: "a read-only transaction cannot run a statement that writes", Hint: "begin a read-write transaction"}
	}
	prepare := s.fresh
	if s.plan.pragma {
		prepare = s.apply
	}
	if err := prepare(); err != nil {
		return err
	}
	switch s.plan.tx {
	case txCommit, txRollback:
		c.endExecutions(s)
	}
	if !s.plan.queues() {
		return nil
	}
	kind := holdStatement
	if c.tx != wire.TxNone || s.plan.tx == txBegin {
		kind = holdTransaction
	}
	return c.enterGate(kind)
}

// afterFailure is what a statement does in a transaction that SQLite has rolled
// back: only the statement that ends it is heard.
func (s *stmt) afterFailure() error {
	switch s.plan.tx {
	case txRollback:
		s.c.tx = wire.TxNone
		s.result = noResult
		s.end(stateEnded)
		return nil
	case txCommit:
		s.c.tx = wire.TxNone
		s.end(stateAborted)
		return errFailedCommit()
	}
	s.end(stateAborted)
	return &wire.Error{Code: "25P02", Effect: wire.EffectNone,
		Message: "the transaction has failed and accepts nothing but a rollback", Hint: "roll back and repeat the whole transaction"}
}

// firstStep starts the statement. When another process writes, SQLite does not
// always ask the busy handler: a transaction that has read already is refused
// at once. Nothing has happened then, so it is tried again.
func (s *stmt) firstStep() (row bool, err error) {
	for attempt := 0; ; attempt++ {
		if s.raw.Step() {
			return true, nil
		}
		err := s.raw.Err()
		if err == nil {
			return false, nil
		}
		code := errorCode(err)
		if code.Code() != sqlite3.BUSY || code == sqlite3.BUSY_SNAPSHOT || !s.plan.writes() {
			return false, err
		}
		quietReset(s.raw)
		if !s.c.busy(attempt) {
			return false, err
		}
	}
}

// before prepares for the first step.
func (s *stmt) before() {
	s.c.eng.guard.vacuuming = s.plan.verb == "VACUUM"
	s.count.before(s.c.eng.db, &s.plan)
}

// after follows the first step, however it ended.
func (s *stmt) after() {
	s.c.eng.guard.vacuuming = false
	s.count.after(s.c.eng.db, &s.plan)
}

// complete takes note of the end.
func (s *stmt) complete() {
	c := s.c
	s.result = s.count.result(c.eng.db, &s.plan)
	quietReset(s.raw)
	s.end(stateEnded)
	auto := c.eng.db.GetAutocommit()
	switch {
	case auto && c.tx == wire.TxActive:
		switch s.plan.tx {
		case txCommit, txRelease:
			c.ended(true)
		case txRollback:
			c.ended(false)
		}
	case auto && s.plan.alters():
		c.schemaChanged()
	case s.plan.alters():
		c.ddl = true
	}
	c.settle()
}

// fail ends the execution with an error of SQLite.
func (s *stmt) fail(err error) error {
	c := s.c
	e := c.failure(err, outcome{
		write:  s.plan.writes() && c.tx == wire.TxNone,
		commit: s.plan.tx == txCommit || s.plan.tx == txRelease,
		kept:   s.count.kept(c.eng.db, &s.plan),
	})
	s.drop()
	if s.plan.tx == txCommit && c.eng.db.GetAutocommit() {
		c.ended(false) // COMMIT has ended the transaction, though not well
	}
	c.settle()
	return e
}

// failSpoilt ends the execution because a row could not be read. SQLite then
// rolls back what the statement has written.
func (s *stmt) failSpoilt() error {
	e := s.spoilt
	s.drop()
	if s.count.kept(s.c.eng.db, &s.plan) > 0 {
		e.Effect = wire.EffectDone
	}
	s.c.settle()
	return e
}

// drop ends an execution that has failed.
func (s *stmt) drop() {
	quietReset(s.raw)
	s.stored.clear()
	s.spoilt = nil
	s.end(stateAborted)
}

// catch turns a panic of the engine into the end of the execution.
func (s *stmt) catch(err *error) {
	p := recover()
	if p == nil {
		return
	}
	e := s.c.panicked(p)
	*err = e
	if s.plan.writes() {
		s.retract()
	}
	s.drop()
	s.c.eng.guard.vacuuming = false
	s.c.settle()
	if s.c.tx == wire.TxFailed {
		e.Detail = lostTransaction
	}
}

// retract undoes what a statement has written when a panic has cut it short:
// its reset alone would commit the half of it. A transaction is lost as a whole.
func (s *stmt) retract() {
	defer s.c.intr.shield()()
	_ = s.c.eng.run(controlBegin) // fails when a transaction is open, as it should be
	quietReset(s.raw)
	_ = s.c.eng.run(controlRollback) // fails when SQLite has rolled back already
}

// drain runs a writing statement to its end, without its rows: its effect is
// made already and must not be lost half way.
func (s *stmt) drain() error {
	for s.state == stateRunning {
		if _, err := s.proceed(); err != nil {
			return err
		}
	}
	return nil
}

// noticeRecompilation brings the description up to date when SQLite found the
// schema changed and compiled the statement anew.
func (s *stmt) noticeRecompilation() {
	n := s.raw.Status(sqlite3.STMTSTATUS_REPREPARE, false)
	if n == s.recompiled {
		return
	}
	s.recompiled = n
	c := s.c
	c.eng.aliases = nil
	if !c.ddl {
		c.schemaSeen()
	}
	s.describeColumns()
}
