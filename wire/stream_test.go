package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// stream is a transport that delivers its bytes in the pieces it is told to, and
// is interrupted where it is told to.
type stream struct {
	b     []byte
	piece func() int  // the most that the next read delivers; nil: everything
	pause func() bool // whether a deadline passes before the next read; nil: never
	end   error       // at the end; nil: io.EOF
	reads int
}

func (s *stream) Read(p []byte) (int, error) {
	s.reads++
	if s.pause != nil && s.pause() {
		return 0, os.ErrDeadlineExceeded
	}
	if len(s.b) == 0 {
		if s.end != nil {
			return 0, s.end
		}
		return 0, io.EOF
	}
	if s.piece != nil {
		p = p[:min(len(p), s.piece())]
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

// byteByByte delivers single bytes and is interrupted before every one.
func byteByByte(b []byte) *stream {
	paused := false
	return &stream{b: b, piece: func() int { return 1 }, pause: func() bool { paused = !paused; return paused }}
}

// readAll reads all messages, past interruptions, and copies their payloads.
func readAll(r *Reader) (all []Message, interrupted int, err error) {
	for {
		m, err := r.Next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			interrupted++
			continue
		case err != nil:
			return all, interrupted, err
		}
		m.Payload = bytes.Clone(m.Payload)
		all = append(all, m)
	}
}

// train encodes messages and gives them with the frames.
func train(t rapid.TB, e *Encoder, messages []Message) []byte {
	t.Helper()
	for _, m := range messages {
		e.Sender, e.Recipient = m.Sender, m.Recipient
		e.Begin(m.Type, m.Sequence)
		e.Payload = append(e.Payload, m.Payload...)
		if err := e.End(); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Clone(e.Bytes())
}

// checkTrain compares what was read with what was sent, but for the timestamps.
func checkTrain(t rapid.TB, want, got []Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages were read, %d sent", len(got), len(want))
	}
	for i := range got {
		g := got[i]
		if g.Timestamp < 1_600_000_000_000 {
			t.Errorf("message %d: timestamp %d is not the clock's", i, g.Timestamp)
		}
		g.Timestamp = 0
		if g.Envelope != want[i].Envelope || !bytes.Equal(g.Payload, want[i].Payload) {
			t.Fatalf("message %d: sent %v with %d bytes, read %v with %d bytes, or other bytes",
				i, want[i].Envelope, len(want[i].Payload), g.Envelope, len(g.Payload))
		}
	}
}

func randomMessages() *rapid.Generator[[]Message] {
	payload := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 200),
		rapid.Map(rapid.IntRange(0, 3000), func(n int) []byte { return bytes.Repeat([]byte("compressible "), n/13) }),
		rapid.Map(rapid.IntRange(trustedSize-80, trustedSize+80), func(n int) []byte { return make([]byte, n) }),
	)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Message {
		return Message{Envelope: Envelope{
			Sender: rapid.Uint64().Draw(t, "sender"), Recipient: rapid.Uint64().Draw(t, "recipient"),
			Sequence: rapid.Uint64().Draw(t, "sequence"), Type: Type(rapid.Uint8Range(0, typeCount-1).Draw(t, "type")),
		}, Payload: payload.Draw(t, "payload")}
	}), 1, 8)
}

func TestATrainArrivesInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := randomMessages().Draw(t, "messages")
		e := Encoder{CompressThreshold: rapid.SampledFrom([]int{0, 1, 100, 100000}).Draw(t, "threshold")}
		b := train(t, &e, want)
		most := rapid.SampledFrom([]int{1, 3, 100, 4096, 1 << 20}).Draw(t, "most")
		if len(b) > 20000 {
			most = max(most, 4096) // else it takes long; see the test below
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, most), 1, 20).Draw(t, "pieces")
		pauses := rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(t, "pauses")
		pauses = append(pauses, false)
		pieces, asked := 0, 0
		s := &stream{b: b,
			piece: func() int { pieces++; return sizes[pieces%len(sizes)] },
			pause: func() bool { asked++; return pauses[asked%len(pauses)] }}
		r := NewReader(s)
		got, _, err := readAll(r)
		if err != io.EOF {
			t.Fatalf("the stream ended with %v", err)
		}
		checkTrain(t, want, got)
		if r.Received() != int64(len(b)) || r.Buffered() != 0 {
			t.Fatalf("received %d of %d bytes, %d are left", r.Received(), len(b), r.Buffered())
		}
	})
}

func TestADeadlineBeforeEveryByteLosesNothing(t *testing.T) {
	noise := pseudoRandom(trustedSize + 1000)
	for name, c := range map[string]struct {
		threshold int
		payloads  [][]byte
	}{
		"small":                {0, [][]byte{nil, {1}, []byte("hello")}},
		"compressed":           {1, [][]byte{bytes.Repeat([]byte("abc"), 1000), nil}},
		"over trustedSize":     {0, [][]byte{{1}, noise, {2}}},
		"exactly trustedSize":  {0, [][]byte{noise[:trustedSize-overhead], {1}}},
		"one byte more":        {0, [][]byte{{1}, noise[:trustedSize-overhead+1], {2}}},
		"compressed and large": {1, [][]byte{append(noise[:trustedSize:trustedSize], make([]byte, 50000)...), {4}}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []Message
			for i, p := range c.payloads {
				want = append(want, Message{Envelope{Sequence: uint64(i), Type: TypeData}, p})
			}
			b := train(t, &Encoder{CompressThreshold: c.threshold}, want)
			got, interrupted, err := readAll(NewReader(byteByByte(b)))
			if err != io.EOF {
				t.Fatalf("the stream ended with %v", err)
			}
			checkTrain(t, want, got)
			if interrupted < len(b) {
				t.Errorf("%d interruptions in %d bytes", interrupted, len(b))
			}
		})
	}
}

// pseudoRandom gives n bytes that do not compress: xorshift64 (13, 7, 17).
func pseudoRandom(n int) []byte {
	b, x := make([]byte, n), uint64(0x9E3779B97F4A7C15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func TestATrainOfSmallFramesCostsOneRead(t *testing.T) {
	var want []Message
	for i := range 20 {
		want = append(want, Message{Envelope{Sequence: uint64(i), Type: TypeExecute}, []byte("payload")})
	}
	s := &stream{b: train(t, &Encoder{}, want)}
	r := NewReader(s)
	for range want {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if s.reads != 1 {
		t.Errorf("%d reads", s.reads)
	}
}

func TestTheEndOfTheStreamBetweenFramesIsEOFAndWithinOneATruncation(t *testing.T) {
	b := (&Encoder{}).frames(t, []byte("hello"), pseudoRandom(trustedSize))
	first := overhead + 5
	for n := range len(b) {
		if n > 200 && n%4099 != 0 {
			continue // the middle of the large frame is all alike
		}
		for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} {
			_, _, err := readAll(NewReader(&stream{b: b[:n], end: end}))
			if n == 0 || n == first {
				if err != end {
					t.Errorf("%d bytes: %v", n, err)
				}
				continue
			}
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

// frames encodes one frame for each payload.
func (e *Encoder) frames(t testing.TB, payloads ...[]byte) []byte {
	var messages []Message
	for i, p := range payloads {
		messages = append(messages, Message{Envelope{Sequence: uint64(i), Type: TypeData}, p})
	}
	return train(t, e, messages)
}

func TestAnErrorOfTheStreamIsReturnedAsItIs(t *testing.T) {
	reset := errors.New("connection reset")
	b := (&Encoder{}).frames(t, []byte("hello"))
	for _, n := range []int{0, 2, 4, 20} {
		r := NewReader(&stream{b: b[:n], end: reset})
		if _, err := r.Next(); err != reset {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if r.Buffered() != n {
			t.Errorf("%d of %d bytes are buffered", r.Buffered(), n)
		}
	}
	r := NewReader(&stream{b: (&Encoder{}).frames(t, pseudoRandom(trustedSize))[:trustedSize-1], end: reset})
	if _, err := r.Next(); err != reset || r.Buffered() != trustedSize-1 {
		t.Errorf("within a large frame: %v, %d bytes buffered", err, r.Buffered())
	}
}

func TestAStreamThatAnswersWithNothingIsGivenUp(t *testing.T) {
	for _, payload := range [][]byte{nil, pseudoRandom(trustedSize)} {
		b := (&Encoder{}).frames(t, payload)
		s := &stream{b: b[:len(b)-1]}
		r := NewReader(io.MultiReader(s, nothing{}))
		if _, err := r.Next(); err != io.ErrNoProgress {
			t.Errorf("%d bytes of payload: %v", len(payload), err)
		}
	}
}

// nothing is a reader that breaks the rule of io.Reader not to do this.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestAProtocolErrorIsFinal(t *testing.T) {
	good := (&Encoder{}).frames(t, []byte("hello"))
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	r := NewReader(&stream{b: append(bad, good...)})
	_, first := r.Next()
	if !errors.Is(first, ErrChecksum) {
		t.Fatal(first)
	}
	if _, second := r.Next(); second != first {
		t.Errorf("the second call gave %v", second)
	}
}

func TestAPayloadIsAWindowThatCannotGrowIntoTheNext(t *testing.T) {
	r := NewReader(&stream{b: (&Encoder{}).frames(t, []byte("first"), []byte("second"))})
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(m.Payload, "overwritten by an append of the caller"...)
	if m, err = r.Next(); err != nil || string(m.Payload) != "second" {
		t.Fatalf("%q, %v", m.Payload, err)
	}
}
