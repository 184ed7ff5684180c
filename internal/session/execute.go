package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/qdb-go/qdb/wire"
)

// Request is a statement, or several, to be run.
type Request struct {
	SQL         string
	Arguments   []wire.Argument
	Consistency wire.Consistency
}

// maxAttempts bounds how often a request is sent: once, again because the node
// has forgotten the statement, and again because it turned out to write.
const maxAttempts = 3

// Query runs the request and makes rows ready to be read. rows may be a used
// one; it must be closed, after an error not. Errors are *wire.Error as the node
// sent it, or *LostError.
func (s *Session) Query(ctx context.Context, rows *Rows, req *Request) error {
	return s.run(ctx, rows, req, true)
}

func (s *Session) run(ctx context.Context, rows *Rows, req *Request, wantRows bool) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	st := s.stmts.get(req.SQL)
	for attempt := 1; ; attempt++ {
		s.prepareRows(rows, st, req.SQL)
		err := s.query(ctx, rows, req, wantRows)
		if err == nil || attempt == maxAttempts || !s.learn(st, rows.guarded, err) {
			return err
		}
	}
}

// prepareRows makes rows ready for a request, and decides what the request may
// do. Outside a transaction one that seems to read only is guarded: the node is
// told to refuse a write. Inside, where a refusal could cost the transaction, it
// is not; and a script may have begun to act before its first write is refused.
func (s *Session) prepareRows(rows *Rows, st *statement, sql string) {
	free := !s.inTx && s.Tx() == wire.TxNone
	mayRead := !st.writes && (st.id != 0 || isSingle(sql))
	known := mayRead && st.readOnly
	*rows = Rows{s: s, st: st,
		guarded:  free && (known || mayRead && looksReadOnly(sql)),
		harmless: known || mayRead && reads(sql)}
	rows.harmless = rows.harmless || rows.guarded
}

// learn takes from a refusal what the session did not know of the statement, and
// reports whether the statement should be sent again for it. Both refusals come
// before anything was done.
func (s *Session) learn(st *statement, guarded bool, err error) bool {
	var se *wire.Error
	if s.broken != nil || !errors.As(err, &se) {
		return false
	}
	switch {
	case se.Code == "26000" && st.prepared:
		st.prepared, st.kept, st.description, st.columns = false, false, 0, nil
		return true
	case se.Code == "25006" && guarded:
		st.writes, st.readOnly = true, false
		return true
	}
	return false
}

func (s *Session) query(ctx context.Context, rows *Rows, req *Request, wantRows bool) error {
	if s.rested && !rows.guarded {
		// The node may have closed the session while nobody used it. Of a
		// request that could write it would be too late to find out afterwards.
		if err := s.Alive(); err != nil {
			return &LostError{Node: s.addr, Err: s.fail("execute", err)}
		}
	}
	if err := s.sendExecute(ctx, rows, req, wantRows); err != nil {
		s.disarm()
		return err
	}
	rows.active, s.reading = true, true
	return rows.first()
}

func (s *Session) sendExecute(ctx context.Context, rows *Rows, req *Request, wantRows bool) error {
	st := rows.st
	m := wire.Execute{Statement: st.id, Timeout: timeout(ctx), Credit: creditWindow,
		Known: st.description, Consistency: req.Consistency}
	m.Flags = executeFlags(rows.guarded, wantRows, s.inTx || s.tx != wire.TxNone)
	if !st.prepared {
		m.SQL = req.SQL
		if st.id != 0 {
			m.Flags |= wire.KeepStatement
			st.kept = true
		}
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := s.openTrain(); err != nil {
		return s.encodeError(err)
	}
	if err := s.addBegin(); err != nil {
		return s.encodeError(err)
	}
	rows.seq = s.nextSeq()
	s.enc.Begin(wire.TypeExecute, rows.seq)
	s.enc.Payload = m.AppendHead(s.enc.Payload, len(req.Arguments))
	for i := range req.Arguments {
		a := &req.Arguments[i]
		s.enc.Payload = wire.AppendArgument(s.enc.Payload, a.Name, a.Value)
	}
	if err := s.enc.End(); err != nil {
		return s.encodeError(err)
	}
	s.arm(ctx, rows.seq)
	err := s.send("execute", rows.guarded)
	if err == nil {
		s.begin = nil
	}
	return err
}

func executeFlags(guarded, wantRows, inTx bool) (f wire.ExecuteFlags) {
	if wantRows {
		f |= wire.WantRows
	}
	if inTx {
		f |= wire.InTransaction
	}
	if guarded {
		f |= wire.ReadOnly
	}
	return f
}

// Exec runs the request to its end and sums up what its statements did. Rows are
// dropped by the node.
func (s *Session) Exec(ctx context.Context, req *Request) (Summary, error) {
	var rows Rows
	err := s.run(ctx, &rows, req, false)
	for err == nil {
		err = rows.NextResult()
	}
	if err != io.EOF {
		return Summary{}, err
	}
	return rows.summary, nil
}

// Description is what a node says of a statement that it prepared.
type Description struct {
	Parameters []wire.Parameter
	Columns    []wire.Column
	ReadOnly   bool
}

// Prepare compiles sql on the node, unless the session knows it already, and
// describes it.
func (s *Session) Prepare(ctx context.Context, sql string) (Description, error) {
	if err := s.ready(ctx); err != nil {
		return Description{}, err
	}
	st := s.stmts.get(sql)
	if !st.prepared || !st.described {
		if err := s.prepare(ctx, st, sql); err != nil {
			s.stmts.forget(sql)
			return Description{}, err
		}
	}
	return Description{Parameters: st.params, Columns: st.columns, ReadOnly: st.readOnly}, nil
}

func (s *Session) prepare(ctx context.Context, st *statement, sql string) error {
	id := st.id
	if id == 0 { // not kept: closed with the next request
		s.stmts.next++
		id = s.stmts.next
	}
	seq, err := s.sendPrepare(ctx, id, sql)
	if err != nil {
		s.disarm()
		return err
	}
	msg, err := s.receive(seq)
	if err != nil {
		return s.lost("prepare", err, true)
	}
	defer s.disarm()
	switch {
	case msg.Type == wire.TypeError:
		return s.refusal(msg)
	case msg.Type != wire.TypePrepare:
		return s.lost("prepare", fmt.Errorf("a %v came as the answer to Prepare", msg.Type), true)
	}
	var d wire.StatementDescription
	if err := d.Decode(msg.Payload); err != nil {
		return s.lost("prepare", err, true)
	}
	st.prepared, st.described = st.id != 0, true
	if st.id == 0 {
		s.stmts.closed = append(s.stmts.closed, id)
	}
	st.noteWrites(!d.ReadOnly)
	st.params, st.columns, st.description = d.Parameters, d.Columns, d.Description
	s.epoch = d.SchemaEpoch
	return nil
}

func (s *Session) sendPrepare(ctx context.Context, id uint32, sql string) (uint64, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := s.openTrain(); err != nil {
		return 0, s.encodeError(err)
	}
	seq := s.nextSeq()
	m := wire.Prepare{Statement: id, SQL: sql}
	s.enc.Begin(wire.TypePrepare, seq)
	s.enc.Payload = m.AppendTo(s.enc.Payload)
	if err := s.enc.End(); err != nil {
		return 0, s.encodeError(err)
	}
	s.arm(ctx, seq)
	return seq, s.send("prepare", true)
}

// refusal gives the error of the request under way as the node sent it. If the
// request was stopped because its context had ended, that is the cause.
func (s *Session) refusal(msg wire.Message) error {
	var e wire.Error
	if err := e.Decode(msg.Payload); err != nil {
		return s.lost("response", err, false)
	}
	s.tx = e.Tx
	if e.Severity == wire.SeverityFatal {
		s.broken = fmt.Errorf("node %s ended the session: %s", s.addr, e.Message)
		s.shut()
	}
	if s.earlyErr != nil { // Begin's refusal is why the statement was refused
		e = *s.earlyErr
	}
	var cause error
	if e.Code == "57014" {
		cause = s.watch.contextError(true)
	}
	return wire.NewError(e, cause)
}

// lost gives up the session for want of an answer to the request under way. The
// request is known not to have been carried out when the node had refused the
// Begin ahead of it, or said farewell instead of beginning to answer.
func (s *Session) lost(op string, err error, readOnly bool) error {
	ctxErr := s.watch.contextError(false)
	reason := s.fail(op, err)
	s.disarm()
	var f *farewell
	switch {
	case s.earlyErr != nil && !s.answered:
		return wire.NewError(*s.earlyErr, ctxErr)
	case errors.As(err, &f) && !s.answered && f.said.Effect == wire.EffectNone:
		return wire.NewError(f.said, ctxErr)
	}
	return &LostError{Sent: true, ReadOnly: readOnly, Node: s.addr, Context: ctxErr, Err: reason}
}
