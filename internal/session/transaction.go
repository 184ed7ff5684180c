package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/qdb-go/qdb/wire"
)

// Begin notes that a transaction is to begin; it travels with the first
// statement. It gives the transaction's id, by which its outcome can be asked.
// From here to Commit or Rollback every statement runs inside the transaction or
// not at all, though the node may have refused Begin or given the transaction up.
func (s *Session) Begin(isolation wire.Isolation, readOnly bool) [16]byte {
	m := wire.Transaction{Op: wire.TxBegin, Isolation: isolation, ReadOnly: readOnly}
	_, _ = rand.Read(m.ID[:]) // never fails
	s.begin, s.txID, s.inTx = &m, m.ID, true
	return m.ID
}

// Commit makes the transaction's effects durable. One in which nothing was ever
// sent costs nothing. After an error other than LostError nothing was committed.
func (s *Session) Commit(ctx context.Context) error { return s.end(ctx, wire.TxCommit) }

// Rollback discards the transaction.
func (s *Session) Rollback(ctx context.Context) error { return s.end(ctx, wire.TxRollback) }

func (s *Session) end(ctx context.Context, op wire.TxOp) error {
	s.inTx = false
	if s.begin != nil {
		s.begin = nil
		return nil
	}
	ack, err := s.transact(ctx, wire.Transaction{Op: op, ID: s.txID})
	if err != nil {
		return err
	}
	s.tx = ack.Tx
	if op == wire.TxCommit && ack.Outcome == wire.OutcomeAborted {
		return wire.NewError(wire.Error{Code: "40000", Effect: wire.EffectNone, Tx: ack.Tx, Node: s.addr,
			Message: "the node rolled the transaction back instead of committing it"}, nil)
	}
	return nil
}

// Status asks what became of a transaction, of whatever session.
func (s *Session) Status(ctx context.Context, id [16]byte) (wire.Outcome, error) {
	ack, err := s.transact(ctx, wire.Transaction{Op: wire.TxStatus, ID: id})
	return ack.Outcome, err
}

func (s *Session) transact(ctx context.Context, m wire.Transaction) (wire.Ack, error) {
	var ack wire.Ack
	if err := s.ready(ctx); err != nil {
		return ack, err
	}
	reading := m.Op == wire.TxStatus || m.Op == wire.TxRollback
	seq, err := s.sendTransaction(ctx, m)
	if err != nil {
		s.disarm()
		return ack, err
	}
	msg, err := s.receive(seq)
	if err != nil {
		return ack, s.lost("transaction", err, reading)
	}
	defer s.disarm()
	switch {
	case msg.Type == wire.TypeError:
		return ack, s.refusal(msg)
	case msg.Type != wire.TypeAck:
		return ack, s.lost("transaction", fmt.Errorf("a %v came as the answer to Transaction", msg.Type), reading)
	}
	if err := ack.Decode(msg.Payload); err != nil {
		return ack, s.lost("transaction", err, reading)
	}
	s.epoch = ack.SchemaEpoch
	return ack, nil
}

func (s *Session) sendTransaction(ctx context.Context, m wire.Transaction) (uint64, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := s.openTrain(); err != nil {
		return 0, s.encodeError(err)
	}
	seq := s.nextSeq()
	s.enc.Begin(wire.TypeTransaction, seq)
	s.enc.Payload = m.AppendTo(s.enc.Payload)
	if err := s.enc.End(); err != nil {
		return 0, s.encodeError(err)
	}
	s.arm(ctx, seq)
	return seq, s.send("transaction", m.Op != wire.TxCommit)
}

// Recycle makes the session ready for another user: what it left behind is reset
// with the next request. It reports whether the session may be used again.
func (s *Session) Recycle() bool {
	if s.reading {
		_ = s.fail("recycle", errors.New("rows were left unread"))
	}
	if s.Broken() != nil {
		return false
	}
	s.begin, s.inTx, s.rested = nil, false, true
	if s.tx != wire.TxNone || s.dirty {
		s.reset, s.tx = true, wire.TxNone
	}
	return true
}
