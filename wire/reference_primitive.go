package wire

// The reference protocol's payloads are in the form of Rust's bincode 1.3 with
// its default options: fixed width integers little-endian, lengths and counts
// as u64, an enum as its u32 index, an Option as a byte 0 or 1 before its value.
// Source: https://docs.rs/bincode/1.3.3/bincode/.

// AppendReferenceBool appends a bool: one byte, 0 or 1.
func AppendReferenceBool(dst []byte, v bool) []byte { return appendBool(dst, v) }

// AppendReferenceU16 appends a u16.
func AppendReferenceU16(dst []byte, v uint16) []byte { return appendU16(dst, v) }

// AppendReferenceU32 appends a u32, or the index of an enum's variant.
func AppendReferenceU32(dst []byte, v uint32) []byte { return appendU32(dst, v) }

// AppendReferenceU64 appends a u64, a usize, or the count before a Vec.
func AppendReferenceU64(dst []byte, v uint64) []byte { return appendU64(dst, v) }

// AppendReferenceI64 appends an i64.
func AppendReferenceI64(dst []byte, v int64) []byte { return appendI64(dst, v) }

// AppendReferenceF64 appends an f64 with every bit of it kept.
func AppendReferenceF64(dst []byte, v float64) []byte { return appendF64(dst, v) }

// AppendReferenceString appends a String. The text must be valid UTF-8: a peer
// refuses the whole payload otherwise.
func AppendReferenceString(dst []byte, s string) []byte {
	return append(appendU64(dst, uint64(len(s))), s...)
}

// AppendReferenceBytes appends a Vec<u8>.
func AppendReferenceBytes(dst []byte, b []byte) []byte {
	return append(appendU64(dst, uint64(len(b))), b...)
}

// AppendReferenceOption appends the tag of an Option: its value follows where
// some is true.
func AppendReferenceOption(dst []byte, some bool) []byte { return appendBool(dst, some) }

// ReferenceDecoder reads a payload of the reference protocol front to back, and
// strictly: every tag valid, every text UTF-8, nothing missing, and by Finish
// nothing left over. Untagged payloads can be told apart in no other way. Its
// error is sticky: after the first failure every read gives the zero value, so
// that one look at Finish is enough. It is not safe for concurrent use.
type ReferenceDecoder struct{ c cursor }

// NewReferenceDecoder gives a decoder of the payload; what names it in errors.
func NewReferenceDecoder(what string, payload []byte) *ReferenceDecoder {
	return &ReferenceDecoder{cursor{b: payload, what: what, whole: true}}
}

// Err is the first failure so far: nil or a *ProtocolError of kind ErrMalformed.
func (d *ReferenceDecoder) Err() error { return d.c.err }

// Left is the number of bytes that have not been read; 0 after a failure.
func (d *ReferenceDecoder) Left() int { return len(d.c.b) - d.c.off }

// Finish is Err, or an error when bytes are left over.
func (d *ReferenceDecoder) Finish() error {
	if left := d.Left(); left > 0 {
		d.c.fail("end", "%d bytes are left over", left)
	}
	return d.c.err
}

// Bool reads a bool.
func (d *ReferenceDecoder) Bool(field string) bool { return d.c.bool(field) }

// U16 reads a u16.
func (d *ReferenceDecoder) U16(field string) uint16 { return d.c.u16(field) }

// U32 reads a u32.
func (d *ReferenceDecoder) U32(field string) uint32 { return d.c.u32(field) }

// U64 reads a u64 or a usize.
func (d *ReferenceDecoder) U64(field string) uint64 { return d.c.u64(field) }

// I64 reads an i64.
func (d *ReferenceDecoder) I64(field string) int64 { return d.c.i64(field) }

// F64 reads an f64.
func (d *ReferenceDecoder) F64(field string) float64 { return d.c.f64(field) }

// Variant reads the index of an enum that has n variants.
func (d *ReferenceDecoder) Variant(field string, n uint32) uint32 {
	v := d.c.u32(field)
	if v >= n && d.c.err == nil {
		d.c.off -= 4
		d.c.fail(field, "no variant has index %d, the highest is %d", v, n-1)
		return 0
	}
	return v
}

// Option reads the tag of an Option, and reports whether its value follows.
func (d *ReferenceDecoder) Option(field string) bool { return d.c.bool(field) }

// Count reads the number of elements of a Vec, each of at least size bytes, and
// refuses one that the bytes left cannot hold.
func (d *ReferenceDecoder) Count(field string, size int) int {
	n := d.c.u64(field)
	if left := d.Left(); n > uint64(left)/uint64(max(size, 1)) {
		d.c.fail(field, "count says %d elements, the %d bytes left cannot hold them", n, left)
		return 0
	}
	return int(n)
}

// Bytes reads a Vec<u8>: a window into the payload.
func (d *ReferenceDecoder) Bytes(field string) []byte {
	n := d.Count(field, 1)
	b := d.c.b[d.c.off : d.c.off+n : d.c.off+n]
	d.c.off += n
	return b
}

// String reads a String.
func (d *ReferenceDecoder) String(field string) string { return string(d.text(field)) }

// text reads a String as a window into the payload.
func (d *ReferenceDecoder) text(field string) []byte {
	b := d.Bytes(field)
	if !validUTF8(b) {
		d.c.off -= len(b)
		d.c.fail(field, "text is not valid UTF-8")
		return nil
	}
	return b
}

// Timestamp reads a DateTime<Utc>, as a Value of KindTimestamp.
func (d *ReferenceDecoder) Timestamp(field string) Value {
	text := d.text(field)
	if d.c.err != nil {
		return Value{}
	}
	v, fault := parseTimestampText(text)
	if fault != "" {
		d.c.off -= len(text)
		d.c.fail(field, "%s", fault)
		return Value{}
	}
	return v
}
