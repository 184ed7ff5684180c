package testserver

import (
	"fmt"
	"strings"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// transaction handles Transaction.
func (s *session) transaction(m ahead) error {
	var t wire.Transaction
	if err := t.Decode(m.Payload); err != nil {
		return err
	}
	if t.Op == wire.TxStatus {
		return s.status(&t)
	}
	if e := s.enter(Request{Type: wire.TypeTransaction, Op: t.Op}); e != nil {
		return s.fail(e)
	}
	defer s.leave()
	switch t.Op {
	case wire.TxBegin:
		return s.beginTx(m, &t)
	case wire.TxCommit:
		return s.commitTx()
	case wire.TxRollback:
		return s.rollbackTx()
	}
	return s.fail(refusal("0A000", fmt.Sprintf("transaction operation %d is unknown", t.Op)))
}

// status answers for any transaction that this process has run lately.
func (s *session) status(t *wire.Transaction) error {
	if e := s.ask(Request{Type: wire.TypeTransaction, Op: t.Op}); e != nil {
		return s.fail(e)
	}
	return s.acknowledge(t.ID, s.cluster.txs.outcome(t.ID))
}

func (s *session) beginTx(m ahead, t *wire.Transaction) error {
	if s.txState() != wire.TxNone {
		return s.fail(refusal("25001", "a transaction is already open"))
	}
	s.request.Timeout = 0
	s.watch.begin(m.Sequence, 0, 0, m.stop())
	e := s.begin(t)
	s.watch.end()
	if e != nil {
		return s.fail(e)
	}
	s.tx = t.ID
	s.cluster.txs.begin(t.ID)
	return s.acknowledge(t.ID, wire.OutcomeInProgress)
}

func (s *session) begin(t *wire.Transaction) *wire.Error {
	if e := s.connect(); e != nil {
		return e
	}
	if why := s.watch.why(); why != causeNone {
		return s.stopError(why, wire.EffectNone)
	}
	s.outMu.Unlock()
	err := s.db.Begin(backend.TxOptions{ID: t.ID, Isolation: t.Isolation, ReadOnly: t.ReadOnly})
	s.outMu.Lock()
	if err == nil {
		return nil
	}
	e, _ := s.judge(err)
	e.Effect = wire.EffectNone
	return e
}

// commitTx commits. It is not watched: a commit that has begun is brought to
// its end, whoever has gone meanwhile.
func (s *session) commitTx() error {
	switch s.txState() {
	case wire.TxNone:
		return s.fail(refusal("25P01", "no transaction is open"))
	case wire.TxFailed:
		s.db.Rollback()
		s.txEnded(wire.OutcomeAborted)
		e := refusal("25P02", "the transaction had failed and was rolled back; nothing of it was committed")
		e.Hint = "repeat the whole transaction"
		return s.fail(e)
	}
	id := s.tx
	if err := s.commit(); err != nil {
		e := engineError(err)
		switch {
		case s.txState() != wire.TxNone:
			// Still open: the client may try again or roll back.
		case e.Effect == wire.EffectNone:
			s.txEnded(wire.OutcomeAborted)
		default:
			s.txEnded(wire.OutcomeUnknown)
		}
		return s.fail(e)
	}
	s.txEnded(wire.OutcomeCommitted)
	return s.acknowledge(id, wire.OutcomeCommitted)
}

func (s *session) commit() error {
	s.outMu.Unlock()
	defer s.outMu.Lock()
	return s.db.Commit()
}

// rollbackTx rolls back. It succeeds when there is nothing to roll back: an
// engine may have done so by itself.
func (s *session) rollbackTx() error {
	id := s.tx
	if s.db != nil {
		if err := s.db.Rollback(); err != nil {
			return s.fail(engineError(err))
		}
	}
	s.txEnded(wire.OutcomeAborted)
	return s.acknowledge(id, wire.OutcomeAborted)
}

func (s *session) acknowledge(id txID, outcome wire.Outcome) error {
	s.ack = wire.Ack{ID: id, Outcome: outcome, Tx: s.txState(), SchemaEpoch: s.schemaEpoch()}
	return s.send(wire.TypeAck, s.sequence, &s.ack)
}

// txEnded notes what became of the session's transaction. Where that is noted
// already, it does nothing.
func (s *session) txEnded(outcome wire.Outcome) {
	s.cluster.txs.end(s.tx, outcome)
	s.tx = txID{}
}

// noteEnd notes what became of the transaction if the statement, which has just
// run, has ended it: by what it says, or because the engine gave up.
func (s *session) noteEnd(st *statement, err error) {
	if s.tx == (txID{}) || s.txState() != wire.TxNone {
		return
	}
	first, _, _ := strings.Cut(strings.TrimLeft(st.sql, " \t\r\n;"), " ")
	first, _, _ = strings.Cut(first, ";")
	switch word := strings.ToUpper(strings.TrimSpace(first)); {
	case err != nil, word == "ROLLBACK":
		s.txEnded(wire.OutcomeAborted)
	case word == "COMMIT", word == "END":
		s.txEnded(wire.OutcomeCommitted)
	}
}

// settle brings the accounts in line with the transaction's state, after every
// request: SQL can begin and end transactions too.
func (s *session) settle() {
	open := s.txState() != wire.TxNone
	switch {
	case open && !s.holds:
		s.holds = true
		s.life.active.Add(1)
	case !open && s.holds:
		s.holds = false
		s.txEnded(wire.OutcomeUnknown)
		s.life.release()
	}
}
