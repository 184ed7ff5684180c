package qdb

import (
	"database/sql/driver"
	"io"
	"math"
	"reflect"
	"time"

	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// rows are the results of a query, read as they arrive.
type rows struct {
	conn   *conn
	cancel func() // of the statement's own timeout; may be nil
	names  []string
	r      session.Rows
}

var (
	_ driver.Rows                           = (*rows)(nil)
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// Columns gives the names of the columns.
func (r *rows) Columns() []string {
	if r.names == nil {
		columns := r.r.Columns()
		r.names = make([]string, len(columns))
		for i := range columns {
			r.names[i] = columns[i].Name
		}
	}
	return r.names
}

// Next fills dest with the next row. A []byte in it is valid until the next call.
func (r *rows) Next(dest []driver.Value) error {
	if err := r.r.Next(); err != nil {
		return r.end(err)
	}
	loc := r.conn.connector.cfg.Location
	for i := range dest {
		v, err := r.r.Value()
		if err != nil {
			return r.end(err)
		}
		dest[i] = fromWire(v, loc)
	}
	return nil
}

// HasNextResultSet reports whether another result follows.
func (r *rows) HasNextResultSet() bool { return r.r.HasNextResult() }

// NextResultSet moves to the next result, or gives io.EOF.
func (r *rows) NextResultSet() error {
	r.names = nil
	if err := r.r.NextResult(); err != nil {
		return r.end(err)
	}
	return nil
}

// Close ends the reading; what the node still had to say is dropped.
func (r *rows) Close() error {
	err := r.r.Close()
	if r.cancel != nil {
		r.cancel()
	}
	return r.end(err)
}

func (r *rows) end(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return r.conn.failed(err, "")
}

// ColumnTypeDatabaseTypeName gives the declared type in upper case without its
// arguments, such as VARCHAR. The columns of expressions have none.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.r.Columns()[i].DeclaredType }

// ColumnTypeNullable reports whether the column may hold NULL, where that is known.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	f := r.r.Columns()[i].Flags
	return f&wire.Nullable != 0, f&wire.NullableKnown != 0
}

// ColumnTypeLength gives the declared length of a text or binary type, and
// math.MaxInt64 where such a type has none.
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	c := &r.r.Columns()[i]
	switch {
	case c.Flags&wire.LengthKnown != 0:
		return c.Length, true
	case c.DeclaredType != "" && c.Flags&wire.DecimalKnown == 0 && (c.Kind == wire.KindString || c.Kind == wire.KindBytes):
		return math.MaxInt64, true
	}
	return 0, false
}

// ColumnTypePrecisionScale gives the declared digits of a decimal type.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	c := &r.r.Columns()[i]
	return c.Precision, c.Scale, c.Flags&wire.DecimalKnown != 0
}

var (
	typeAny    = reflect.TypeFor[any]()
	typeBool   = reflect.TypeFor[bool]()
	typeInt    = reflect.TypeFor[int64]()
	typeFloat  = reflect.TypeFor[float64]()
	typeString = reflect.TypeFor[string]()
	typeBytes  = reflect.TypeFor[[]byte]()
	typeTime   = reflect.TypeFor[time.Time]()
)

// ColumnTypeScanType gives the Go type that the column's values have when they
// are not NULL; any where the column has no declared type.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.r.Columns()[i].Kind {
	case wire.KindFalse, wire.KindTrue:
		return typeBool
	case wire.KindInt:
		return typeInt
	case wire.KindFloat:
		return typeFloat
	case wire.KindString:
		return typeString
	case wire.KindBytes:
		return typeBytes
	case wire.KindTimestamp:
		return typeTime
	}
	return typeAny
}
