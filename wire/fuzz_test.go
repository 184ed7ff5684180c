package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime/metrics"
	"testing"
)

// What every decoder is held to: whatever it is given, it returns, with a value
// or with a *ProtocolError; a value that it accepted is encoded to bytes that
// decode to the same value; and what it sets aside is bounded by what it was
// given.
func fuzzPayload(f *testing.F, name string) {
	var s sample
	for _, candidate := range samples() {
		if candidate.name == name {
			s = candidate
		}
	}
	payload := s.payload()
	f.Add(payload)
	f.Add(payload[:len(payload)/2])
	f.Add(append(payload, 1, 2, 3))
	f.Add(s.fresh().AppendTo(nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := s.fresh()
		var err error
		checkMemory(t, decodedBound(len(payload)), func() { m = s.fresh(); err = m.Decode(payload) })
		if err != nil {
			checkMalformed(t, err)
			return
		}
		again := s.fresh()
		if err := again.Decode(m.AppendTo(nil)); err != nil {
			t.Fatalf("encoded again it is refused: %v\n%+v", err, m)
		}
		if d := difference(m, again); d != "" {
			t.Fatalf("encoded again it differs:\n%s", d)
		}
	})
}

// decodedBound is the most memory that a payload may become: the greatest ratio
// is that of an argument, two bytes for a struct of 56.
func decodedBound(payload int) uint64 { return 30*uint64(payload) + slackBytes }

// slackBytes is what the measurement itself and the runtime may add, in bytes:
// the heap is counted in spans.
const slackBytes = 256 << 10

// checkMemory makes sure that f, which gives the same each time, allocates no
// more than so many bytes. Whatever else runs in the process is counted too, so
// that only what is over the bound again and again is f's own.
func checkMemory(t testing.TB, bound uint64, f func()) {
	t.Helper()
	var got uint64
	for range 5 {
		before := allocated()
		f()
		if got = allocated() - before; got <= bound {
			return
		}
	}
	t.Errorf("%d bytes were allocated, the bound is %d", got, bound)
}

// allocated is the number of bytes allocated on the heap so far.
func allocated() uint64 {
	s := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s[:])
	return s[0].Value.Uint64()
}

func FuzzClientHandshake(f *testing.F)      { fuzzPayload(f, "ClientHandshake") }
func FuzzServerHandshake(f *testing.F)      { fuzzPayload(f, "ServerHandshake") }
func FuzzAuth(f *testing.F)                 { fuzzPayload(f, "Auth") }
func FuzzTopology(f *testing.F)             { fuzzPayload(f, "Topology") }
func FuzzTopologyChange(f *testing.F)       { fuzzPayload(f, "TopologyChange") }
func FuzzPong(f *testing.F)                 { fuzzPayload(f, "Pong") }
func FuzzError(f *testing.F)                { fuzzPayload(f, "Error") }
func FuzzPrepare(f *testing.F)              { fuzzPayload(f, "Prepare") }
func FuzzStatementDescription(f *testing.F) { fuzzPayload(f, "StatementDescription") }
func FuzzExecute(f *testing.F)              { fuzzPayload(f, "Execute") }
func FuzzRowsHeader(f *testing.F)           { fuzzPayload(f, "RowsHeader") }
func FuzzComplete(f *testing.F)             { fuzzPayload(f, "Complete") }
func FuzzCancel(f *testing.F)               { fuzzPayload(f, "Cancel") }
func FuzzCredit(f *testing.F)               { fuzzPayload(f, "Credit") }
func FuzzCloseStatement(f *testing.F)       { fuzzPayload(f, "CloseStatement") }
func FuzzTransaction(f *testing.F)          { fuzzPayload(f, "Transaction") }
func FuzzAck(f *testing.F)                  { fuzzPayload(f, "Ack") }

func FuzzParseValue(f *testing.F) {
	for _, v := range sampleValues {
		f.Add(v.AppendTo(nil))
	}
	f.Add([]byte{byte(KindString), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			v, next, ok := ParseValue(rest)
			if !ok {
				if len(next) != len(rest) {
					t.Fatalf("a value was refused, and %d bytes taken", len(rest)-len(next))
				}
				return
			}
			if len(next) >= len(rest) {
				t.Fatalf("a %v took no byte", v.Kind)
			}
			again, tail, ok := ParseValue(v.AppendTo(nil))
			if !ok || len(tail) > 0 || difference(v, again) != "" {
				t.Fatalf("%+v came back as %+v, %v", v, again, ok)
			}
			rest = next
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.frameOf()[frameHeader:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			b = repairMessage(bytes.Clone(b))
			if m, err = DecodeMessage(b); err != nil {
				return
			}
		}
		if again := AppendMessage(nil, m); !bytes.Equal(again, b) {
			t.Fatalf("%x was encoded again as %x", b, again)
		}
	})
}

// repairMessage puts payload length and checksum of a message right, so that
// what is behind these checks is reached.
func repairMessage(msg []byte) []byte {
	if len(msg) < MessageOverhead {
		return msg
	}
	end := len(msg) - checksumSize
	binary.LittleEndian.PutUint32(msg[32:], binary.LittleEndian.Uint32(msg[32:])%typeCount)
	binary.LittleEndian.PutUint64(msg[36:], uint64(end-envelopeSize))
	binary.LittleEndian.PutUint32(msg[end:], checksum(msg[:end]))
	return msg
}

// repairStream does so for all frames of a stream. The last frame's length is
// put right, too, if it is beyond the end.
func repairStream(b []byte) []byte {
	for rest := b; len(rest) >= frameHeader; {
		n := uint64(binary.BigEndian.Uint32(rest))
		if have := uint64(len(rest) - lengthSize); n > have || n == 0 {
			n = have
			binary.BigEndian.PutUint32(rest, uint32(n))
		}
		if rest[lengthSize] == flagPlain {
			repairMessage(rest[frameHeader : lengthSize+n])
		}
		rest = rest[lengthSize+n:]
	}
	return b
}

func FuzzDecodeFrame(f *testing.F) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repairStream(bytes.Clone(b))
		var m Message
		var err error
		bound := min(255*uint64(len(b)), DefaultMaxMessageSize) + slackBytes
		checkMemory(t, bound, func() { m, err = DecodeFrame(b, 0) })
		if err != nil {
			var pe *ProtocolError
			if !errors.As(err, &pe) {
				t.Fatalf("not a *ProtocolError: %v", err)
			}
			return
		}
		again, err := DecodeFrame(plainFrame(m), 0)
		if err != nil || again.Envelope != m.Envelope || !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func addFrames(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.frameOf())
	}
	f.Add((&Encoder{CompressThreshold: 1}).frames(f, bytes.Repeat([]byte("compressible "), 50)))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add([]byte{0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0})
}

// A stream is read the same whether it arrives at once or byte by byte with
// interruptions.
func FuzzReader(f *testing.F) {
	addFrames(f)
	for _, threshold := range []int{0, 1} {
		e := Encoder{CompressThreshold: threshold}
		f.Add(e.frames(f, nil, []byte("one"), bytes.Repeat([]byte("two"), 100), nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repairStream(bytes.Clone(b))
		var whole []Message
		var wholeErr error
		bound := 4*uint64(len(b)) + DefaultMaxMessageSize + 2*trustedSize + slackBytes
		checkMemory(t, bound, func() { whole, _, wholeErr = readAll(NewReader(&stream{b: b})) })
		var pe *ProtocolError
		if wholeErr != io.EOF && !errors.As(wholeErr, &pe) {
			t.Fatalf("not a *ProtocolError: %v", wholeErr)
		}
		single, _, singleErr := readAll(NewReader(byteByByte(b)))
		if wholeErr.Error() != singleErr.Error() || len(whole) != len(single) {
			t.Fatalf("at once: %d messages and %v; byte by byte: %d and %v", len(whole), wholeErr, len(single), singleErr)
		}
		for i := range whole {
			if whole[i].Envelope != single[i].Envelope || !bytes.Equal(whole[i].Payload, single[i].Payload) {
				t.Fatalf("message %d: %+v at once, %+v byte by byte", i, whole[i], single[i])
			}
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, msg := range [][]byte{make([]byte, 1000), bytes.Repeat([]byte("0123456789"), 30), append(pseudoRandom(100), make([]byte, 100)...)} {
		data, _ := appendLZ4(nil, msg)
		f.Add(data)
	}
	f.Add(lz4Data(64, []byte{0x10, 'A', 1, 0, 0x50, 1, 2, 3, 4, 5}))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		// The output's surroundings show a write out of bounds.
		guard := bytes.Repeat([]byte{0xa5}, 4096)
		room := append(bytes.Clone(guard), make([]byte, 2*len(guard))...)
		out, err := decompress(room[len(guard):2*len(guard):2*len(guard)], data, limit)
		if !bytes.Equal(room[:len(guard)], guard) || bytes.ContainsFunc(room[2*len(guard):], func(r rune) bool { return r != 0 }) {
			t.Fatal("the decoder wrote out of bounds")
		}
		if err != nil {
			var pe *ProtocolError
			if !errors.As(err, &pe) {
				t.Fatalf("not a *ProtocolError: %v", err)
			}
			return
		}
		again, ok := appendLZ4(nil, out)
		if !ok {
			return
		}
		if back, err := decompress(nil, again, limit); err != nil || !bytes.Equal(back, out) {
			t.Fatalf("%d bytes came back otherwise, %v", len(out), err)
		}
	})
}

func FuzzReferenceValue(f *testing.F) {
	for _, n := range referenceSeeds(f) {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseReferenceValue(b)
		if err != nil {
			checkMalformed(t, err)
			return
		}
		encoded, err := v.AppendReference(nil)
		if err != nil {
			t.Fatalf("%+v is not encoded: %v", v, err)
		}
		again, err := ParseReferenceValue(encoded)
		if err != nil || difference(v, again) != "" {
			t.Fatalf("%+v came back as %+v, %v", v, again, err)
		}
	})
}

func referenceSeeds(f *testing.F) (seeds [][]byte) {
	for _, v := range sampleValues {
		b, err := v.AppendReference(nil)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}

func FuzzReferenceRow(f *testing.F) {
	row, err := AppendReferenceRow(nil, sampleValues)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add(bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		var row []Value
		var err error
		checkMemory(t, decodedBound(len(b)), func() { row, err = ParseReferenceRow(b) })
		if err != nil {
			checkMalformed(t, err)
			return
		}
		encoded, err := AppendReferenceRow(nil, row)
		if err != nil {
			t.Fatalf("%+v is not encoded: %v", row, err)
		}
		again, err := ParseReferenceRow(encoded)
		if err != nil || difference(row, again) != "" {
			t.Fatalf("%+v came back as %+v, %v", row, again, err)
		}
	})
}

func FuzzReferenceTimestamp(f *testing.F) {
	for _, c := range timestampTexts {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseReferenceTimestamp(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		canonical := appendTimestampText(nil, v)
		again, err := ParseReferenceTimestamp(canonical)
		if err != nil || difference(v, again) != "" {
			t.Fatalf("%q was written as %q, which is %+v, %v; not %+v", text, canonical, again, err, v)
		}
	})
}
