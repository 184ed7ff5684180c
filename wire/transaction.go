package wire

// TxOp is what a Transaction message asks for.
type TxOp uint8

// The operations on transactions.
const (
	TxBegin    TxOp = 1
	TxCommit   TxOp = 2
	TxRollback TxOp = 3
	TxStatus   TxOp = 4 // of any transaction, by id, on any node
)

// Isolation is a transaction's isolation level, numbered as database/sql does.
// A server may give a stronger level than asked for, never a weaker one.
type Isolation uint8

// The isolation levels.
const (
	IsolationDefault         Isolation = 0
	IsolationReadUncommitted Isolation = 1
	IsolationReadCommitted   Isolation = 2
	IsolationWriteCommitted  Isolation = 3
	IsolationRepeatableRead  Isolation = 4
	IsolationSnapshot        Isolation = 5
	IsolationSerializable    Isolation = 6
	IsolationLinearizable    Isolation = 7
)

// Transaction begins, ends or asks about a transaction. It is answered with Ack.
type Transaction struct {
	Op        TxOp
	ID        [16]byte // chosen by the client at Begin, at random
	Isolation Isolation
	ReadOnly  bool
}

// AppendTo appends the payload.
func (m *Transaction) AppendTo(dst []byte) []byte {
	dst = append(append(dst, byte(m.Op)), m.ID[:]...)
	return appendBool(append(dst, byte(m.Isolation)), m.ReadOnly)
}

// Decode decodes the payload.
func (m *Transaction) Decode(payload []byte) error {
	c := newCursor("Transaction", payload)
	*m = Transaction{
		Op: TxOp(c.u8("op")), ID: c.array16("id"),
		Isolation: Isolation(c.u8("isolation")), ReadOnly: c.bool("read_only"),
	}
	return c.err
}

// Outcome is what became of a transaction.
type Outcome uint8

// The outcomes.
const (
	OutcomeUnknown    Outcome = 0
	OutcomeInProgress Outcome = 1
	OutcomeCommitted  Outcome = 2
	OutcomeAborted    Outcome = 3
)

// Ack answers Transaction and Reset.
type Ack struct {
	ID          [16]byte
	Outcome     Outcome
	Tx          TxState
	SchemaEpoch uint64
}

// AppendTo appends the payload.
func (m *Ack) AppendTo(dst []byte) []byte {
	dst = append(append(dst, m.ID[:]...), byte(m.Outcome), byte(m.Tx))
	return appendU64(dst, m.SchemaEpoch)
}

// Decode decodes the payload.
func (m *Ack) Decode(payload []byte) error {
	c := newCursor("Ack", payload)
	*m = Ack{ID: c.array16("id"), Outcome: Outcome(c.u8("outcome")), Tx: TxState(c.u8("tx")), SchemaEpoch: c.u64("schema_epoch")}
	return c.err
}
