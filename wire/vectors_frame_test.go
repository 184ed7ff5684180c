package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// errEndOfStream stands for the plain io.EOF in the list of differences.
var errEndOfStream = io.EOF

// messageFields are the fields of a vector that is a message.
type messageFields struct {
	Sender      string  `json:"sender"`
	Recipient   string  `json:"recipient"`
	Sequence    string  `json:"sequence_number"`
	Timestamp   string  `json:"timestamp"`
	Type        string  `json:"message_type"`
	TypeIndex   uint8   `json:"message_type_index"`
	Checksum    uint32  `json:"checksum"`
	PayloadHex  *string `json:"payload_hex"`
	PayloadDesc string  `json:"payload_desc"`
	PayloadLen  int     `json:"payload_len"`
	Codec       struct {
		Max int `json:"max_message_size"`
	} `json:"codec"`
}

// message gives the message that the fields describe.
func (f *messageFields) message(t *testing.T) Message {
	t.Helper()
	payload := f.payload(t)
	if len(payload) != f.PayloadLen {
		t.Fatalf("%q has %d bytes, not %d", f.PayloadDesc, len(payload), f.PayloadLen)
	}
	return Message{Envelope{
		Sender: number[uint64](t, f.Sender), Recipient: number[uint64](t, f.Recipient),
		Sequence: number[uint64](t, f.Sequence), Timestamp: number[int64](t, f.Timestamp), Type: Type(f.TypeIndex),
	}, payload}
}

func (f *messageFields) payload(t *testing.T) []byte {
	t.Helper()
	if f.PayloadHex != nil {
		b, err := hex.DecodeString(*f.PayloadHex)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	switch {
	case strings.Contains(f.PayloadDesc, "mod 251"):
		b := make([]byte, f.PayloadLen)
		for i := range b {
			b[i] = byte(i % 251)
		}
		return b
	case strings.Contains(f.PayloadDesc, "zero"):
		return make([]byte, f.PayloadLen)
	case strings.Contains(f.PayloadDesc, "xorshift"):
		return pseudoRandom(f.PayloadLen)
	case f.PayloadDesc == "60 JSON records":
		return jsonRecords(60)
	}
	t.Fatalf("how to make %q is not known", f.PayloadDesc)
	return nil
}

func jsonRecords(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, `{"id":%d,"name":"user%d","active":true},`, i, i)
	}
	return b
}

// checkMessage compares a decoded message with a vector's fields.
func checkMessage(t *testing.T, f *messageFields, got Message) {
	t.Helper()
	want := f.message(t)
	if got.Envelope != want.Envelope {
		t.Errorf("envelope %+v, want %+v", got.Envelope, want.Envelope)
	}
	if got.Type.String() != f.Type {
		t.Errorf("type %v, want %v", got.Type, f.Type)
	}
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("a payload of %d bytes differs from the %d wanted", len(got.Payload), len(want.Payload))
	}
}

// decodeBothWays decodes a frame by itself and from a stream, and makes sure
// that both say the same.
func decodeBothWays(t *testing.T, frame []byte, limit int) (Message, error) {
	t.Helper()
	s := byteByByte(frame)
	if len(frame) > 10000 {
		s.piece = func() int { return 4096 } // else it takes long
	}
	r := NewReader(s)
	r.MaxMessageSize = limit
	all, _, streamErr := readAll(r)
	m, err := DecodeFrame(frame, limit)
	if err != nil {
		if len(all) > 0 {
			t.Errorf("the stream gave %+v, at once %v", all, err)
		}
		return m, streamErr
	}
	if len(all) != 1 || streamErr != io.EOF || all[0].Envelope != m.Envelope || !bytes.Equal(all[0].Payload, m.Payload) {
		t.Errorf("the stream gave %+v and %v, at once %+v", all, streamErr, m)
	}
	return m, nil
}

func testFrameVector(t *testing.T, v *vector) {
	var f messageFields
	v.fields(t, &f)
	b := v.bytes(t)
	m, err := decodeBothWays(t, b, f.Codec.Max)
	if err != nil {
		t.Fatal(err)
	}
	checkMessage(t, &f, m)
	if again := plainFrame(f.message(t)); !bytes.Equal(again, b) {
		t.Errorf("encoded again:\n%.500x\nwant\n%.500x", again, b)
	}
	e := Encoder{Sender: m.Sender, Recipient: m.Recipient}
	e.Begin(m.Type, m.Sequence)
	// The clock is not what it was: put the vector's timestamp in place.
	copy(e.Payload[frameHeader+24:], b[frameHeader+24:frameHeader+32])
	e.Payload = append(e.Payload, m.Payload...)
	if err := e.End(); err != nil || !bytes.Equal(e.Bytes(), b) {
		t.Errorf("the Encoder made %.500x, %v", e.Bytes(), err)
	}
	if got := binary.LittleEndian.Uint32(b[len(b)-checksumSize:]); got != f.Checksum {
		t.Errorf("the vector contradicts itself: checksum %#x and %#x", got, f.Checksum)
	}
}

// Compressed bytes are not canonical: ours are compared by what they hold.
func testCompressedVector(t *testing.T, v *vector) {
	var f messageFields
	v.fields(t, &f)
	m, err := decodeBothWays(t, v.bytes(t), f.Codec.Max)
	if err != nil {
		t.Fatal(err)
	}
	checkMessage(t, &f, m)
	msg := AppendMessage(nil, m)
	if data, ok := appendLZ4(nil, msg); ok {
		if back, err := decompress(nil, data, f.Codec.Max); err != nil || !bytes.Equal(back, msg) {
			t.Errorf("compressed by us it came back otherwise, %v", err)
		}
	}
}

func testMessageVector(t *testing.T, v *vector) {
	var f messageFields
	v.fields(t, &f)
	m, err := DecodeMessage(v.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	checkMessage(t, &f, m)
	if again := AppendMessage(nil, f.message(t)); !bytes.Equal(again, v.bytes(t)) {
		t.Errorf("encoded again: %.500x", again)
	}
}

func testFlaggedVector(t *testing.T, v *vector) {
	var f messageFields
	v.fields(t, &f)
	b := v.bytes(t)
	m, _, err := decodeBody(nil, b, f.Codec.Max)
	if err != nil {
		t.Fatal(err)
	}
	checkMessage(t, &f, m)
	if again := plainFrame(f.message(t))[lengthSize:]; !bytes.Equal(again, b) {
		t.Errorf("encoded again: %.500x", again)
	}
}

func testLimitVector(t *testing.T, v *vector) {
	var f messageFields
	v.fields(t, &f)
	frame := v.bytes(t)
	if len(frame) == 0 {
		frame = plainFrame(f.message(t))
		if got := binary.BigEndian.Uint32(frame); got != v.Length {
			t.Fatalf("the frame's length is %d, want %d", got, v.Length)
		}
	}
	if v.Encode != "" {
		e := Encoder{MaxMessageSize: f.Codec.Max}
		e.Begin(Type(f.TypeIndex), 1)
		e.Payload = append(e.Payload, f.payload(t)...)
		checkKind(t, v.Encode, e.End())
	}
	_, err := decodeBothWays(t, frame, f.Codec.Max)
	want := v.ReadMessage
	if want == "n/a" {
		want = v.Encode // it was never made: a reader refuses it for the same reason
	}
	if d, ok := stricter[v.Name]; ok {
		checkDifference(t, want, d.kind, err)
		return
	}
	checkKind(t, want, err)
}

// kinds are the reference client's kinds of errors in terms of this package.
var kinds = map[string]error{
	"Ok":                 nil,
	"MessageTooLarge":    ErrTooLarge,
	"SerializationError": ErrMalformed,
	"ChecksumMismatch":   ErrChecksum,
	"NetworkError":       ErrTruncated,
}

// checkKind makes sure that err is of the kind that the reference client gives.
func checkKind(t *testing.T, want string, err error) {
	t.Helper()
	kind, ok := kinds[want]
	if !ok {
		t.Fatalf("what %q means is not known", want)
	}
	if !errors.Is(err, kind) {
		t.Errorf("got %v, the reference client gives %s", err, want)
	}
}

// checkDifference makes sure that a listed difference is one, and as listed.
func checkDifference(t *testing.T, reference string, want, err error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, listed is %v", err, want)
	}
	if errors.Is(err, kinds[reference]) {
		t.Errorf("no difference: the reference client gives %s, too", reference)
	}
}

func testCorruptVector(t *testing.T, v *vector) {
	_, err := decodeBothWays(t, v.bytes(t), 0)
	if d, ok := stricter[v.Name]; ok {
		checkDifference(t, v.Expect, d.kind, err)
		return
	}
	checkKind(t, v.Expect, err)
}

func testLenientVector(t *testing.T, v *vector) {
	m, err := decodeBothWays(t, v.bytes(t), 0)
	if d, ok := stricter[v.Name]; ok {
		checkDifference(t, v.Expect, d.kind, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var change struct {
		Decoded messageFields `json:"decoded_or_error"`
	}
	v.fields(t, &change)
	if change.Decoded.PayloadHex == nil {
		t.Fatal("the vector has no payload to compare")
	}
	checkMessage(t, &change.Decoded, m)
}

func testTypeVector(t *testing.T, v *vector) {
	var f struct {
		Index   uint8  `json:"index"`
		Variant string `json:"variant"`
	}
	v.fields(t, &f)
	if got := Type(f.Index).String(); got != f.Variant {
		t.Errorf("type %d is %s, want %s", f.Index, got, f.Variant)
	}
	if got := appendEnvelope(nil, Envelope{Type: Type(f.Index)}, 0)[32:36]; !bytes.Equal(got, v.bytes(t)) {
		t.Errorf("type %d is written as %x", f.Index, got)
	}
}
