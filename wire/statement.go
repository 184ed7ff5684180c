package wire

// Prepare asks to compile a statement under an id chosen by the client. It is
// answered with StatementDescription.
type Prepare struct {
	Statement uint32 // not 0
	SQL       string
}

// AppendTo appends the payload.
func (m *Prepare) AppendTo(dst []byte) []byte {
	return appendString(appendU32(dst, m.Statement), m.SQL)
}

// Decode decodes the payload.
func (m *Prepare) Decode(payload []byte) error {
	c := newCursor("Prepare", payload)
	m.Statement = c.u32("statement")
	m.SQL = c.string("sql")
	return c.err
}

// Parameter describes a parameter of a statement.
type Parameter struct {
	Name string // without its prefix; empty for a positional one
}

// StatementDescription answers Prepare.
type StatementDescription struct {
	Statement   uint32
	ReadOnly    bool // has no effect on the database
	ReturnsRows bool
	Parameters  []Parameter // as many as must be given
	// Description numbers the list of columns within the session. A client
	// that names it in Execute is not sent the columns again.
	Description uint64
	Columns     []Column
	SchemaEpoch uint64
}

// AppendTo appends the payload.
func (m *StatementDescription) AppendTo(dst []byte) []byte {
	dst = appendU32(dst, m.Statement)
	dst = appendBool(appendBool(dst, m.ReadOnly), m.ReturnsRows)
	dst = appendUvarint(dst, uint64(len(m.Parameters)))
	for _, p := range m.Parameters {
		dst = appendString(dst, p.Name)
	}
	dst = appendU64(dst, m.Description)
	dst = appendColumns(dst, m.Columns)
	return appendU64(dst, m.SchemaEpoch)
}

// Decode decodes the payload.
func (m *StatementDescription) Decode(payload []byte) error {
	c := newCursor("StatementDescription", payload)
	*m = StatementDescription{
		Statement: c.u32("statement"), ReadOnly: c.bool("read_only"), ReturnsRows: c.bool("returns_rows"),
	}
	n := c.list("parameters", 1)
	m.Parameters = make([]Parameter, 0, n)
	for c.next(&n) {
		m.Parameters = append(m.Parameters, Parameter{c.string("parameter.name")})
	}
	m.Description = c.u64("description")
	m.Columns = c.columns()
	m.SchemaEpoch = c.u64("schema_epoch")
	return c.err
}

// ExecuteFlags are yes-no properties of an Execute.
type ExecuteFlags uint16

// The flags of Execute.
const (
	// WantRows: the caller reads the rows. Without it they are counted and
	// dropped by the server.
	WantRows ExecuteFlags = 1 << iota
	// InTransaction: only run inside the session's open transaction, else fail
	// with 25P01 and no effect. It makes Begin and Execute safe in one train.
	InTransaction
	// KeepStatement: SQL is given together with a statement id, under which it
	// is prepared first.
	KeepStatement
	// ReadOnly: refuse a statement that would write, with 25006.
	ReadOnly
)

// Consistency is how fresh the data of a read must be.
type Consistency uint8

// The levels of consistency.
const (
	ConsistencyStrong   Consistency = 0
	ConsistencyEventual Consistency = 1
)

// Argument is a value for a parameter: by position when Name is empty.
type Argument struct {
	Name  string
	Value Value
}

// Execute runs a statement: the prepared one with the id, or SQL.
type Execute struct {
	Statement uint32 // 0: SQL is given and not kept
	SQL       string
	Flags     ExecuteFlags
	Timeout   uint32 // milliseconds until the server gives up; 0: none
	Credit    uint32 // bytes of rows that may be sent ahead; 0: no limit
	// Known is the description whose columns the client has.
	Known       uint64
	Consistency Consistency
	// Key is the idempotency key; all zero: none. Attempt counts from 1.
	Key         [16]byte
	Attempt     uint8
	TraceParent string // W3C Trace Context
	Arguments   []Argument
}

// AppendTo appends the payload.
func (m *Execute) AppendTo(dst []byte) []byte {
	dst = m.AppendHead(dst, len(m.Arguments))
	for i := range m.Arguments {
		dst = AppendArgument(dst, m.Arguments[i].Name, m.Arguments[i].Value)
	}
	return dst
}

// AppendHead appends everything but the arguments, whose number is n; each then
// follows by AppendArgument, so that they need no slice of their own.
func (m *Execute) AppendHead(dst []byte, n int) []byte {
	dst = appendU32(dst, m.Statement)
	dst = appendString(dst, m.SQL)
	dst = appendU16(dst, uint16(m.Flags))
	dst = appendU32(appendU32(dst, m.Timeout), m.Credit)
	dst = appendU64(dst, m.Known)
	dst = append(dst, byte(m.Consistency))
	dst = append(dst, m.Key[:]...)
	dst = append(dst, m.Attempt)
	dst = appendString(dst, m.TraceParent)
	return appendUvarint(dst, uint64(n))
}

// AppendArgument appends one argument of an Execute.
func AppendArgument(dst []byte, name string, v Value) []byte {
	return v.AppendTo(appendString(dst, name))
}

// Decode decodes the payload. The arguments' Raw are windows into it; the slice
// of Arguments is reused from the last use of m.
func (m *Execute) Decode(payload []byte) error {
	c := newCursor("Execute", payload)
	args := m.Arguments[:0]
	*m = Execute{
		Statement: c.u32("statement"), SQL: c.string("sql"), Flags: ExecuteFlags(c.u16("flags")),
		Timeout: c.u32("timeout"), Credit: c.u32("credit"), Known: c.u64("known"),
		Consistency: Consistency(c.u8("consistency")),
		Key:         c.array16("key"), Attempt: c.u8("attempt"),
		TraceParent: c.string("trace_parent"),
	}
	n := c.list("arguments", 2)
	if cap(args) < n {
		args = make([]Argument, 0, n)
	}
	for c.next(&n) {
		args = append(args, Argument{Name: c.string("argument.name"), Value: c.value("argument.value")})
	}
	m.Arguments = args
	return c.err
}

// CloseStatement forgets prepared statements. It is not answered.
type CloseStatement struct{ Statements []uint32 }

// AppendTo appends the payload.
func (m *CloseStatement) AppendTo(dst []byte) []byte {
	dst = appendUvarint(dst, uint64(len(m.Statements)))
	for _, id := range m.Statements {
		dst = appendU32(dst, id)
	}
	return dst
}

// Decode decodes the payload.
func (m *CloseStatement) Decode(payload []byte) error {
	c := newCursor("CloseStatement", payload)
	n := c.list("statements", 4)
	if m.Statements = m.Statements[:0]; cap(m.Statements) < n {
		m.Statements = make([]uint32, 0, n)
	}
	for c.next(&n) {
		m.Statements = append(m.Statements, c.u32("statement"))
	}
	return c.err
}
