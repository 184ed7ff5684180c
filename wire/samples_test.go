package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// codec is what all payloads have in common.
type codec interface {
	AppendTo(dst []byte) []byte
	Decode(payload []byte) error
}

// rowsPayload is a whole Rows payload: the header, and rows that are valid
// values or not.
type rowsPayload struct {
	RowsHeader
	Rows []byte
}

func (m *rowsPayload) AppendTo(dst []byte) []byte {
	return append(m.RowsHeader.AppendTo(dst), m.Rows...)
}

func (m *rowsPayload) Decode(payload []byte) (err error) {
	m.Rows, err = m.RowsHeader.Decode(payload)
	return err
}

// topologyField is a Topology by itself, which travels as a field only.
type topologyField struct{ Topology }

func (m *topologyField) Decode(payload []byte) error {
	c := newCursor("Topology", payload)
	m.Topology.decode(&c)
	return c.err
}

// sample is a payload with every field set, so that no field can be forgotten
// by a codec without a test noticing.
type sample struct {
	name   string // of the payload's Go type
	kind   Type   // of the message that carries it
	fields int    // on the outermost level of the payload
	full   codec
	fresh  func() codec
	random *rapid.Generator[codec]
}

func newSample[T any, P interface {
	*T
	codec
}](name string, kind Type, fields int, full P, random *rapid.Generator[T]) sample {
	return sample{name, kind, fields, full, func() codec { return P(new(T)) },
		rapid.Map(random, func(m T) codec { return P(&m) })}
}

// payload is the encoding of the full message.
func (s *sample) payload() []byte { return s.full.AppendTo(nil) }

var (
	sampleID    = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	sampleNonce = [16]byte{0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff}

	sampleTopology = Topology{Epoch: 7, Nodes: []Node{
		{ID: "1", Address: "127.0.0.1:7000", Role: RolePrimary, Status: StatusUp},
		{ID: "2", Address: "[::1]:7001", Role: RoleReplica, Status: StatusDraining},
	}}

	sampleColumns = []Column{
		{Name: "id", DeclaredType: "INTEGER", Table: "user", Flags: NullableKnown, Kind: KindInt},
		{Name: "größe", DeclaredType: "DECIMAL", Table: "user", Flags: NullableKnown | Nullable | LengthKnown | DecimalKnown,
			Kind: KindFloat, Length: 12, Precision: 10, Scale: 2},
	}

	sampleValues = []Value{
		Null(), Bool(false), Bool(true), Int(-1), Int(1 << 62), Float(-0.5), String(""), String("größe"),
		Bytes([]byte{0, 0xff}), Timestamp(time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC)),
	}
)

// samples gives one of every payload of session mode.
func samples() []sample {
	return append(sessionSamples(), requestSamples()...)
}

// sessionSamples are the payloads that are about the session.
func sessionSamples() []sample {
	return []sample{
		newSample("ClientHandshake", TypeHandshake, 15, &ClientHandshake{
			VersionMin: 1, VersionMax: 2, ClientName: "qdb-go 1.0", Offered: ProtocolTLS | ProtocolTCP, InUse: ProtocolTLS,
			Features: FeatureLZ4 | FeatureTopology, Database: "main", User: "alice", ApplicationName: "shop",
			MaxMessageSize: SessionMaxMessageSize, Settings: []Setting{{"time_zone", "UTC"}, {"cache", "on"}},
			Nonce: sampleNonce, Mechanism: "SCRAM-SHA-256", AuthData: []byte("n,,n=,r=abc"), Monitor: true,
		}, randomOf[ClientHandshake]()),
		newSample("ServerHandshake", TypeHandshake, 17, &ServerHandshake{
			Version: 1, ServerName: "qdb-server 1.0", Dialect: "sqlite", NodeID: "1", SessionID: "1-42",
			Served: ProtocolTLS | ProtocolTCP | ProtocolUDP, Features: FeatureLZ4 | FeatureIdempotency,
			MaxMessageSize: 1 << 20, SchemaEpoch: 3, KeyRetention: 3600, KeyCapacity: 100000, Topology: sampleTopology,
			Nonce: sampleNonce, Auth: AuthContinue, Mechanisms: []string{"SCRAM-SHA-256", "PLAIN"}, AuthData: []byte("r=abc"),
		}, randomOf[ServerHandshake]()),
		newSample("Auth", TypeAuth, 5, &Auth{
			Status: AuthContinue, Mechanism: "SCRAM-SHA-256", Data: []byte("c=biws"), Token: []byte{1, 2, 3}, Expires: 1704067200,
		}, randomOf[Auth]()),
		newSample("Topology", TypeClusterJoin, 2, &topologyField{sampleTopology}, randomOf[topologyField]()),
		newSample("TopologyChange", TypeClusterLeave, 4, &TopologyChange{
			NodeID: "2", Reason: LeaveDraining, Topology: sampleTopology,
		}, randomOf[TopologyChange]()),
		newSample("Pong", TypePong, 5, &Pong{
			Status: StatusDraining, Role: RoleReplica, Load: 17, TopologyEpoch: 7, SchemaEpoch: 3,
		}, randomOf[Pong]()),
		newSample("Error", TypeError, 13, &Error{
			Code: "23505", Severity: SeverityFatal, Effect: EffectNone, Elsewhere: true, Tx: TxFailed, Position: 14,
			Message: "duplicate key", Detail: "id 7 exists", Hint: "use another id",
			Constraint: "user_pkey", Table: "user", Column: "id", Node: "1",
		}, randomError()),
	}
}

// requestSamples are the payloads that are about statements.
func requestSamples() []sample {
	return []sample{
		newSample("Prepare", TypePrepare, 2, &Prepare{Statement: 5, SQL: "select * from user where id = ?"}, randomOf[Prepare]()),
		newSample("StatementDescription", TypePrepare, 7, &StatementDescription{
			Statement: 5, ReadOnly: true, ReturnsRows: true, Parameters: []Parameter{{"id"}, {""}},
			Description: 9, Columns: sampleColumns, SchemaEpoch: 3,
		}, randomOf[StatementDescription]()),
		newSample("Execute", TypeExecute, 11, &Execute{
			Statement: 5, SQL: "select 1", Flags: WantRows | InTransaction | KeepStatement | ReadOnly, Timeout: 5000,
			Credit: 1 << 18, Known: 9, Consistency: ConsistencyEventual, Key: sampleID, Attempt: 2,
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			Arguments:   []Argument{{"id", Int(7)}, {"", String("größe")}, {"at", sampleValues[9]}},
		}, randomOf[Execute]()),
		newSample("RowsHeader", TypeRows, 5, &rowsPayload{
			RowsHeader: RowsHeader{First: true, HasColumns: true, Description: 9, Width: 2, Columns: sampleColumns, Count: 2},
			Rows:       Null().AppendTo(Int(2).AppendTo(Float(1.5).AppendTo(Int(1).AppendTo(nil)))),
		}, randomRows()),
		newSample("Complete", TypeComplete, 10, &Complete{
			RowsAffected: 3, LastInsertID: -4, HasInsertID: true, More: true, Wrote: true, Dirty: true,
			Tx: TxActive, SchemaEpoch: 3, Load: 17, Repeated: true,
		}, randomOf[Complete]()),
		newSample("Cancel", TypeCancel, 1, &Cancel{Target: 42}, randomOf[Cancel]()),
		newSample("Credit", TypeCredit, 2, &Credit{Target: 42, Bytes: 65536}, randomOf[Credit]()),
		newSample("CloseStatement", TypeCloseStatement, 1, &CloseStatement{Statements: []uint32{5, 6}}, randomOf[CloseStatement]()),
		newSample("Transaction", TypeTransaction, 4, &Transaction{
			Op: TxBegin, ID: sampleID, Isolation: IsolationSerializable, ReadOnly: true,
		}, randomOf[Transaction]()),
		newSample("Ack", TypeAck, 4, &Ack{ID: sampleID, Outcome: OutcomeCommitted, Tx: TxActive, SchemaEpoch: 3}, randomOf[Ack]()),
	}
}

// difference compares decoded payloads. An empty slice equals none: the wire
// does not tell them apart.
func difference(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Error{}))
}

// eachSample runs a test for every payload.
func eachSample(t *testing.T, test func(t *testing.T, s sample)) {
	t.Helper()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

// plainFrame is a frame without compression, built by other means than the
// Encoder, whose timestamp is the clock's.
func plainFrame(m Message) []byte {
	msg := AppendMessage(nil, m)
	size := len(msg) + flagSize
	return append([]byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), flagPlain}, msg...)
}

// frameOf is a sample in a frame with a fixed envelope.
func (s *sample) frameOf() []byte {
	return plainFrame(Message{Envelope{Recipient: 1, Sequence: 7, Timestamp: 1704067200123, Type: s.kind}, s.payload()})
}
