package wire

import "slices"

// referenceMinValue is the size of the smallest value, Null, in bytes.
const referenceMinValue = 4

// AppendReferenceRow appends a Vec of values in the reference protocol's form:
// a row, or a statement's parameters. It fails as AppendReference does, and
// appends nothing then.
func AppendReferenceRow(dst []byte, row []Value) ([]byte, error) {
	start := len(dst)
	dst = appendU64(dst, uint64(len(row)))
	for _, v := range row {
		var err error
		if dst, err = v.AppendReference(dst); err != nil {
			return dst[:start], err
		}
	}
	return dst, nil
}

// ParseReferenceRow decodes a payload that is one row, strictly: nothing may
// follow. The values' Raw are windows into b.
func ParseReferenceRow(b []byte) ([]Value, error) {
	d := NewReferenceDecoder("row", b)
	row := d.Row(nil, "row")
	if err := d.Finish(); err != nil {
		return nil, err
	}
	return row, nil
}

// Row reads a Vec of values and appends them to dst. Their Raw are windows into
// the payload.
func (d *ReferenceDecoder) Row(dst []Value, field string) []Value {
	n := d.Count(field, referenceMinValue)
	dst = slices.Grow(dst, n)
	for range n {
		if d.c.err != nil {
			break
		}
		dst = append(dst, d.Value(field))
	}
	return dst
}
