package wire

// The tags of the reference protocol's values. They are not those of session
// mode.
const (
	referenceNull      = 0
	referenceBool      = 1
	referenceInt       = 2
	referenceFloat     = 3
	referenceString    = 4
	referenceBytes     = 5
	referenceTimestamp = 6
	referenceKinds     = 7
)

// AppendReference appends the value in the reference protocol's form: a u32 tag
// and the content. It fails with a *ProtocolError of kind ErrMalformed, and
// appends nothing, for what a peer would refuse: text that is not UTF-8, a
// timestamp outside the years -262143 to 262142, an unknown kind.
func (v Value) AppendReference(dst []byte) ([]byte, error) {
	switch v.Kind {
	case KindNull:
		return appendU32(dst, referenceNull), nil
	case KindFalse, KindTrue:
		return appendBool(appendU32(dst, referenceBool), v.Kind == KindTrue), nil
	case KindInt:
		return appendI64(appendU32(dst, referenceInt), v.Num), nil
	case KindFloat:
		return appendI64(appendU32(dst, referenceFloat), v.Num), nil
	case KindString:
		if !validUTF8(v.Raw) {
			return dst, malformed("value", -1, "text is not valid UTF-8")
		}
		return AppendReferenceBytes(appendU32(dst, referenceString), v.Raw), nil
	case KindBytes:
		return AppendReferenceBytes(appendU32(dst, referenceBytes), v.Raw), nil
	case KindTimestamp:
		start := len(dst)
		out, err := AppendReferenceTimestamp(appendU32(dst, referenceTimestamp), v)
		if err != nil {
			return out[:start], err
		}
		return out, nil
	}
	return dst, malformed("value", -1, "%v is not a kind of value", v.Kind)
}

// ParseReferenceValue decodes a payload that is one value, strictly: nothing may
// follow. Raw is a window into b.
func ParseReferenceValue(b []byte) (Value, error) {
	d := NewReferenceDecoder("Value", b)
	v := d.Value("value")
	if err := d.Finish(); err != nil {
		return Value{}, err
	}
	return v, nil
}

// Value reads a value. Raw is a window into the payload. A Timestamp may lie
// outside the range of session mode.
func (d *ReferenceDecoder) Value(field string) Value {
	switch d.Variant(field, referenceKinds) {
	case referenceBool:
		return Bool(d.Bool(field))
	case referenceInt:
		return Value{Kind: KindInt, Num: d.I64(field)}
	case referenceFloat:
		return Value{Kind: KindFloat, Num: d.I64(field)}
	case referenceString:
		return Value{Kind: KindString, Raw: d.text(field)}
	case referenceBytes:
		return Value{Kind: KindBytes, Raw: d.Bytes(field)}
	case referenceTimestamp:
		return d.Timestamp(field)
	}
	return Value{}
}
