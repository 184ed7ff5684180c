package testserver

import (
	"errors"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// execute handles Execute.
func (s *session) execute(m ahead) error {
	r := &s.request
	if err := r.Decode(m.Payload); err != nil {
		return err
	}
	if e := s.enter(Request{Type: wire.TypeExecute, SQL: s.textOf(r)}); e != nil {
		return s.fail(e)
	}
	defer s.leave()
	if r.Flags&wire.InTransaction != 0 && s.txState() == wire.TxNone {
		return s.fail(refusal("25P01", "no transaction is open"))
	}
	return s.run(m)
}

// textOf gives the SQL of a request, for Options.OnRequest.
func (s *session) textOf(r *wire.Execute) string {
	if st := s.statements.byID[r.Statement]; st != nil && r.SQL == "" {
		return st.sql
	}
	return r.SQL
}

// run finds the statement and runs it under watch. A statement that is at hand
// is bound first: reading ahead, which only a watch does, would overwrite its
// arguments.
func (s *session) run(m ahead) error {
	r := &s.request
	if st := s.atHand(r); st != nil && !m.cancelled {
		if e := s.bind(st, r.Arguments); e != nil {
			return s.fail(e)
		}
		s.watchRequest(m)
		e, err := s.stream(st)
		s.watch.end()
		return s.conclude(e, err)
	}
	s.keepArguments()
	s.watchRequest(m)
	st, e := s.statements.get(r)
	if e != nil {
		s.watch.end()
		return s.fail(e)
	}
	if st.tail != "" {
		err := s.runScript(st)
		s.watch.end()
		return err
	}
	var err error
	if e = s.bind(st, r.Arguments); e == nil {
		e, err = s.stream(st)
	}
	s.watch.end()
	err = s.conclude(e, err)
	s.statements.done(st)
	return err
}

func (s *session) watchRequest(m ahead) {
	r := &s.request
	s.watch.begin(m.Sequence, time.Duration(r.Timeout)*time.Millisecond, r.Credit, m.stop())
}

// stop is the reason to stop the message's request before it has begun.
func (m *ahead) stop() cause {
	if m.cancelled {
		return causeCancel
	}
	return causeNone
}

// atHand gives the statement if it need not be compiled.
func (s *session) atHand(r *wire.Execute) *statement {
	if r.Flags&wire.KeepStatement != 0 || r.Statement != 0 && r.SQL != "" {
		return nil
	}
	st := s.statements.byID[r.Statement]
	if r.Statement == 0 {
		st = s.statements.byText[r.SQL]
	}
	if st != nil {
		s.statements.recent.MoveToFront(st.element)
	}
	return st
}

// keepArguments copies the request's arguments out of the reader's buffer.
func (s *session) keepArguments() {
	size := 0
	for i := range s.request.Arguments {
		size += len(s.request.Arguments[i].Value.Raw)
	}
	kept := make([]byte, 0, size)
	for i := range s.request.Arguments {
		v := &s.request.Arguments[i].Value
		at := len(kept)
		kept = append(kept, v.Raw...)
		v.Raw = kept[at:len(kept):len(kept)]
	}
}

// bind checks that the statement may run and gives it its arguments. The
// engine has copied them when Bind returns.
func (s *session) bind(st *statement, args []wire.Argument) *wire.Error {
	if st.stmt == nil {
		if len(args) > 0 {
			return refusal("07001", "the text holds no statement, so it takes no arguments")
		}
		return nil
	}
	if s.txState() == wire.TxFailed && !st.stmt.Control() {
		return refusal("25P02", "the transaction has failed: only a rollback is possible")
	}
	if s.request.Flags&wire.ReadOnly != 0 && !st.stmt.ReadOnly() {
		return refusal("25006", "a statement that writes was sent as read-only")
	}
	if err := st.stmt.Bind(args); err != nil {
		st.stmt.Reset()
		e := engineError(err)
		e.Effect = wire.EffectNone
		return e
	}
	return nil
}

// stream runs a bound statement to its end and sends its rows. Its result is
// then in session.complete, which is not yet sent. An error of SQL is the
// answer; the other one ends the session.
func (s *session) stream(st *statement) (*wire.Error, error) {
	s.complete = wire.Complete{}
	if st.stmt == nil {
		return nil, nil
	}
	st.started.Add(1)
	err := s.sendRows(st)
	if err == nil {
		r := st.stmt.Result()
		s.complete.RowsAffected, s.complete.LastInsertID, s.complete.HasInsertID = r.RowsAffected, r.LastInsertID, r.HasInsertID
		s.complete.Wrote = !st.stmt.ReadOnly()
	}
	if reset := st.stmt.Reset(); err == nil {
		err = reset
	}
	s.noteEnd(st, err)
	if err == nil {
		if s.withheld {
			// What it was to do is done, but the caller must not take the
			// rows that it got for all there are.
			return s.stopError(s.watch.why(), wire.EffectDone), nil
		}
		return nil, nil
	}
	e, err := s.judge(err)
	if e != nil && st.stmt.ReadOnly() {
		c := *e
		c.Effect = wire.EffectNone
		e = &c
	}
	return e, err
}

// errStopped: the request is to stop, and the engine is not in it.
var errStopped = errors.New("stopped between two rows")

// sendRows steps through the statement.
func (s *session) sendRows(st *statement) error {
	s.withheld = false
	row, err := s.step(st.stmt)
	if err != nil {
		return err
	}
	columns, number := s.statements.describe(st)
	want := s.request.Flags&wire.WantRows != 0 && len(columns) > 0
	if want {
		s.rows.start(wire.RowsHeader{
			HasColumns: s.request.Known != number, Description: number, Width: len(columns), Columns: columns,
		})
	}
	writes := !st.stmt.ReadOnly()
	if row && writes {
		s.watch.soften(true)
	}
	for ; row && err == nil; row, err = s.step(st.stmt) {
		if !want {
			continue
		}
		if writes && s.watch.dropping() {
			s.withheld = true
			continue
		}
		if !s.rows.open {
			if err := s.watch.awaitCredit(); err != nil {
				return &sessionError{err}
			}
			if s.watch.why() != causeNone {
				continue // step says what follows from it
			}
		}
		if err := s.rows.add(st.stmt, columns); err != nil {
			return s.rowsError(err)
		}
	}
	if err != nil || !want {
		return err
	}
	return s.rowsError(s.rows.end())
}

// step runs the statement to its next row. Others may send what is on its way
// out meanwhile.
func (s *session) step(st backend.Stmt) (bool, error) {
	if s.watch.stopping.Load() {
		return false, errStopped
	}
	s.outMu.Unlock()
	row, err := st.Step()
	s.outMu.Lock()
	return row, err
}

// sessionError is an error that ends the session, among those of statements.
type sessionError struct{ error }

// rowsError tells an error of a row from one of the socket.
func (s *session) rowsError(err error) error {
	var e *wire.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &sessionError{err}
}

// judge makes the answer out of an error of running a statement.
func (s *session) judge(err error) (*wire.Error, error) {
	var lost *sessionError
	if errors.As(err, &lost) {
		return nil, lost.error
	}
	why := s.watch.why()
	if errors.Is(err, errStopped) {
		return s.stopError(why, wire.EffectNone), nil
	}
	e := engineError(err)
	if e.Code == "57014" && why != causeNone {
		return s.stopError(why, e.Effect), nil
	}
	return e, nil
}

// conclude answers a request of one statement.
func (s *session) conclude(e *wire.Error, err error) error {
	switch {
	case err != nil:
		return err
	case e != nil:
		return s.failRunning(e)
	}
	return s.sendComplete(false)
}

// failRunning answers with an error, after the rows that were sent before it.
func (s *session) failRunning(e *wire.Error) error {
	if err := s.rows.finish(); err != nil {
		return err
	}
	if err := s.fail(e); err != nil {
		return err
	}
	if e.Severity != wire.SeverityFatal {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return errLeaving
}

// sendComplete answers with the result of the last statement that ran.
func (s *session) sendComplete(more bool) error {
	c := &s.complete
	c.More, c.Tx, c.SchemaEpoch = more, s.txState(), s.schemaEpoch()
	c.Dirty = s.db != nil && s.db.Dirty()
	c.Load = uint32(max(s.life.load.Load()-1, 0))
	return s.send(wire.TypeComplete, s.sequence, c)
}
