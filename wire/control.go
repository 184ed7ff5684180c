package wire

// Cancel asks to stop the request with the sequence number. It is not answered:
// the request itself ends, with Error 57014 if the cancel came in time. One that
// comes late names a number that is no more and does nothing.
type Cancel struct{ Target uint64 }

// AppendTo appends the payload.
func (m *Cancel) AppendTo(dst []byte) []byte { return appendU64(dst, m.Target) }

// Decode decodes the payload.
func (m *Cancel) Decode(payload []byte) error {
	c := newCursor("Cancel", payload)
	m.Target = c.u64("target")
	return c.err
}

// Credit allows the server to send more bytes of rows for the request.
type Credit struct {
	Target uint64
	Bytes  uint32
}

// AppendTo appends the payload.
func (m *Credit) AppendTo(dst []byte) []byte { return appendU32(appendU64(dst, m.Target), m.Bytes) }

// Decode decodes the payload.
func (m *Credit) Decode(payload []byte) error {
	c := newCursor("Credit", payload)
	m.Target, m.Bytes = c.u64("target"), c.u32("bytes")
	return c.err
}
