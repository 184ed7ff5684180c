// Package wire is the qdb protocol as bytes: frames, the envelope, the payloads
// of session mode, values, and the value forms of the reference protocol. It
// knows no sockets beyond io.Reader, no pools and no database/sql; both ends of
// a connection use it. PROTOCOL.md beside it is normative.
//
// The way of the data:
//
//	message ─AppendTo─► payload ─Encoder─► envelope + checksum ─(LZ4)─► frame ─► stream
//	stream ─► Reader: frame ─(LZ4)─► envelope + checksum checked ─► payload ─Decode─► message
//
// An Encoder builds a train of frames in one buffer, each header put in place
// around its payload, so that a train is one write. A Reader hands out windows
// into its buffer, valid until the next read. Rows are never decoded as a whole:
// a batch is a window, from which ParseValue takes one value after the other.
//
// Input is never trusted: memory is set aside for bytes that have arrived, not
// for lengths that are claimed, counts are checked against the bytes left, and
// a decoder returns a *ProtocolError for whatever it is given, never a panic.
package wire
