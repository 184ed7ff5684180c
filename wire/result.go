package wire

// ColumnFlags say which of a column's properties are known.
type ColumnFlags uint8

// The flags of Column.
const (
	NullableKnown ColumnFlags = 1 << iota // Nullable says something
	Nullable                              // may be NULL
	LengthKnown                           // Length says something
	DecimalKnown                          // Precision and Scale say something
)

// Column describes a column of a result.
type Column struct {
	Name string
	// DeclaredType is the column's type as the schema declares it, without
	// arguments and in upper case, such as VARCHAR; empty for an expression.
	DeclaredType string
	Table        string // of origin; empty for an expression
	Flags        ColumnFlags
	// Kind is that of the values which the declared type promises; KindNull
	// when any may come.
	Kind      Kind
	Length    int64 // of a text or binary type, in characters or bytes
	Precision int64 // of a decimal type, in digits
	Scale     int64 // of a decimal type, in digits after the point
}

func appendColumns(dst []byte, columns []Column) []byte {
	dst = appendUvarint(dst, uint64(len(columns)))
	for i := range columns {
		k := &columns[i]
		dst = appendString(appendString(appendString(dst, k.Name), k.DeclaredType), k.Table)
		dst = append(dst, byte(k.Flags), byte(k.Kind))
		dst = appendI64(appendI64(appendI64(dst, k.Length), k.Precision), k.Scale)
	}
	return dst
}

func (c *cursor) columns() []Column {
	n := c.list("columns", 29)
	if n == 0 {
		return nil
	}
	columns := make([]Column, 0, n)
	for c.next(&n) {
		columns = append(columns, Column{
			Name: c.string("column.name"), DeclaredType: c.string("column.type"), Table: c.string("column.table"),
			Flags: ColumnFlags(c.u8("column.flags")), Kind: Kind(c.u8("column.kind")),
			Length: c.i64("column.length"), Precision: c.i64("column.precision"), Scale: c.i64("column.scale"),
		})
	}
	return columns
}

// RowsHeader is the beginning of a Rows payload; rows follow it to the
// payload's end, each the values of all columns one after the other.
type RowsHeader struct {
	// First marks the first Rows of a result: Description and Width are set.
	First bool
	// HasColumns: Columns is sent. Without it the client knows them by
	// Description.
	HasColumns  bool
	Description uint64
	Width       int // number of columns
	Columns     []Column
	Count       int // of rows in this message
}

const (
	rowsFirst      = 1
	rowsHasColumns = 2
	// RowsCountSize is the size of the count that ends the header, in bytes.
	RowsCountSize = 4
)

// AppendTo appends the header; the count is its last RowsCountSize bytes, so
// that it can be put in place once the rows are there.
func (m *RowsHeader) AppendTo(dst []byte) []byte {
	var flags byte
	if m.First {
		flags |= rowsFirst
	}
	if m.HasColumns {
		flags |= rowsHasColumns
	}
	dst = append(dst, flags)
	if m.First {
		dst = appendU64(dst, m.Description)
		dst = appendUvarint(dst, uint64(m.Width))
	}
	if m.HasColumns {
		dst = appendColumns(dst, m.Columns)
	}
	return appendU32(dst, uint32(m.Count))
}

// Decode decodes the header and gives the bytes of the rows: a window into the
// payload. Columns is newly allocated where it is sent. As rows follow, nothing
// of the header may be missing, and unknown flags are refused.
func (m *RowsHeader) Decode(payload []byte) (rows []byte, err error) {
	c := newCursor("Rows", payload)
	c.whole = true
	flags := c.u8("flags")
	if flags > rowsFirst|rowsHasColumns {
		c.fail("flags", "unknown flags %#02x", flags)
	}
	*m = RowsHeader{First: flags&rowsFirst != 0, HasColumns: flags&rowsHasColumns != 0}
	if m.First {
		m.Description = c.u64("description")
		width := c.uvarint("width")
		if width > maxElements {
			c.fail("width", "%d columns are over the limit of %d", width, maxElements)
		}
		m.Width = int(width)
	}
	if m.HasColumns {
		if m.Columns = c.columns(); c.err == nil && len(m.Columns) != m.Width {
			c.fail("columns", "%d columns are described, %d announced", len(m.Columns), m.Width)
		}
		c.whole = true
	}
	count := c.u32("count")
	if left := len(c.b) - c.off; c.err == nil && uint64(count) > uint64(left) {
		c.fail("count", "count says %d rows, the %d bytes left cannot hold them", count, left)
	}
	m.Count = int(count)
	if c.err != nil {
		return nil, c.err
	}
	return payload[c.off:], nil
}

// TxState is the state of a session's transaction.
type TxState uint8

// The transaction states.
const (
	TxNone   TxState = 0 // autocommit
	TxActive TxState = 1
	TxFailed TxState = 2 // only Rollback is accepted
)

// Complete ends the result of one statement.
type Complete struct {
	RowsAffected int64
	LastInsertID int64
	HasInsertID  bool // LastInsertID was set by this statement
	// More: another result of the same request follows.
	More bool
	// Wrote: the statement was not read-only.
	Wrote bool
	// Dirty: the session's state differs from a fresh one's (settings,
	// temporary tables) and must be Reset before another user gets it.
	Dirty       bool
	Tx          TxState
	SchemaEpoch uint64
	Load        uint32 // requests under way on the node
	// Repeated: the idempotency key was known; this is the first outcome.
	Repeated bool
}

// AppendTo appends the payload.
func (m *Complete) AppendTo(dst []byte) []byte {
	dst = appendI64(appendI64(dst, m.RowsAffected), m.LastInsertID)
	dst = appendBool(appendBool(dst, m.HasInsertID), m.More)
	dst = appendBool(appendBool(dst, m.Wrote), m.Dirty)
	dst = append(dst, byte(m.Tx))
	dst = appendU64(dst, m.SchemaEpoch)
	return appendBool(appendU32(dst, m.Load), m.Repeated)
}

// Decode decodes the payload.
func (m *Complete) Decode(payload []byte) error {
	c := newCursor("Complete", payload)
	*m = Complete{
		RowsAffected: c.i64("rows_affected"), LastInsertID: c.i64("last_insert_id"),
		HasInsertID: c.bool("has_insert_id"), More: c.bool("more"),
		Wrote: c.bool("wrote"), Dirty: c.bool("dirty"),
		Tx: TxState(c.u8("tx")), SchemaEpoch: c.u64("schema_epoch"), Load: c.u32("load"),
		Repeated: c.bool("repeated"),
	}
	return c.err
}
