package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every bit of a plain frame matters. The checksum covers sender, recipient,
// sequence, timestamp, the type's lowest byte and the payload. What it does not
// cover is caught otherwise, and as another kind of error:
//
//	length             the frame's end is elsewhere
//	flag               2 to 255 are refused; 1 makes the message no LZ4 data
//	type, upper bytes  no such type
//	payload length     must match what is there
func TestEveryFlippedBitOfAPlainFrameIsDetected(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("hello"), make([]byte, 300)} {
		good := plainFrame(Message{Envelope{1, 2, 3, 4, TypeExecute}, payload})
		for bit := range len(good) * 8 {
			at := bit / 8
			bad := bytes.Clone(good)
			bad[at] ^= 1 << (bit % 8)
			_, err := DecodeFrame(bad, 0)
			if err == nil {
				t.Fatalf("bit %d of byte %d of %d is not detected", bit%8, at, len(good))
			}
			envelope := at - frameHeader
			covered := envelope >= 0 && envelope < checksummed || envelope >= envelopeSize
			if errors.Is(err, ErrChecksum) != covered && !(covered && envelope == 32) {
				t.Errorf("byte %d: %v", at, err)
			}
		}
	}
}

// An LZ4 block can say the same in two ways, such as a match that may be copied
// from either of two places. A flipped bit there does no harm: the message is
// the same, and its checksum shows it.
func TestEveryFlippedBitOfACompressedFrameIsDetectedOrHarmless(t *testing.T) {
	payload := []byte(strings.Repeat("the same words again and again, ", 20) + strings.Repeat("x", 100))
	good := (&Encoder{CompressThreshold: 1}).frames(t, payload)
	if good[lengthSize] != flagLZ4 {
		t.Fatal("the frame is not compressed")
	}
	want, err := DecodeFrame(good, 0)
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := DecodeFrame(bad, 0); err == nil {
			harmless++
			if bit/8 < frameHeader+lz4SizeField || difference(want, got) != "" {
				t.Errorf("bit %d of byte %d is not detected", bit%8, bit/8)
			}
		}
	}
	if harmless > len(good) {
		t.Errorf("%d of %d bits are harmless", harmless, len(good)*8)
	}
}

func TestAFlippedBitInAStreamNeverAltersAMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := randomMessages().Filter(func(m []Message) bool { return size(m) < 5000 }).Draw(t, "messages")
		e := Encoder{CompressThreshold: rapid.SampledFrom([]int{0, 1}).Draw(t, "threshold")}
		b := train(t, &e, want)
		bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		got, _, err := readAll(NewReader(&stream{b: b}))
		if err == io.EOF {
			if len(got) != len(want) || e.CompressThreshold == 0 {
				t.Fatalf("%d of %d messages were read, and no error", len(got), len(want))
			}
		} else if len(got) == len(want) {
			t.Fatalf("all messages were read, and then %v", err)
		}
		checkTrain(t, want[:len(got)], got)
	})
}

func size(messages []Message) (n int) {
	for _, m := range messages {
		n += len(m.Payload)
	}
	return n
}

func TestRandomBytesNeverPanicAndNeverPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		if len(b) > 8 && rapid.Bool().Draw(t, "plausible") {
			binary.BigEndian.PutUint32(b, uint32(len(b)-lengthSize))
			b[lengthSize] &= 1
		}
		if m, err := DecodeFrame(b, 0); err == nil {
			t.Fatalf("DecodeFrame gave %+v", m)
		}
		if got, _, _ := readAll(NewReader(&stream{b: b})); len(got) > 0 {
			t.Fatalf("a Reader gave %+v", got)
		}
		for _, s := range samples() {
			if err := s.fresh().Decode(b); err != nil {
				var pe *ProtocolError
				if !errors.As(err, &pe) {
					t.Fatalf("%s: not a *ProtocolError: %v", s.name, err)
				}
			}
		}
	})
}

func TestAWrongPeerIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		hint string
	}{
		"an HTTP server":              {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "the peer speaks HTTP"},
		"an HTTP client":              {[]byte("GET / HTTP/1.1\r\n\r\n"), `the peer sent text ("GET ")`},
		"a TLS alert":                 {[]byte{0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46}, "the peer speaks TLS"},
		"a TLS ClientHello":           {[]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}, "the peer speaks TLS"},
		"an SSH server":               {[]byte("SSH-2.0-OpenSSH_9.6\r\n"), "the peer speaks SSH"},
		"a mail server":               {[]byte("220 mail ESMTP\r\n"), `the peer sent text ("220 ")`},
		"four bytes and then silence": {[]byte("PRI "), `the peer sent text ("PRI ")`},
	} {
		for _, limit := range []int{HandshakeMaxMessageSize, HighestMaxMessageSize} {
			r := NewReader(&stream{b: c.sent, end: errPause})
			r.MaxMessageSize = limit
			_, err := r.Next()
			if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("%s, limit %d: %v", name, limit, err)
			}
		}
		if _, err := DecodeFrame(c.sent, 0); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s, at once: %v", name, err)
		}
	}
	_, err := DecodeFrame([]byte{0x7f, 0, 0, 0, 0}, 0)
	if !errors.Is(err, ErrTooLarge) || strings.Contains(err.Error(), "peer") {
		t.Errorf("a length that is no text has a hint: %v", err)
	}
}

func TestAHeaderIsJudgedBeforeWhatFollowsItArrives(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		kind error
	}{
		"length 0":               {[]byte{0, 0, 0, 0}, ErrMalformed},
		"length over the limit":  {[]byte{0, 0x20, 0, 0}, ErrTooLarge},
		"flag 2":                 {[]byte{0, 0, 0, 60, 2}, ErrMalformed},
		"plain, one byte over":   {[]byte{0, 0x10, 0, 2, 0}, ErrTooLarge},
		"LZ4, one byte too many": {append(binary.BigEndian.AppendUint32(nil, 1<<20+1+uint32(lz4Slack(1<<20))+1), 1), ErrTooLarge},
	} {
		for _, s := range []*stream{{b: c.sent, end: errPause}, byteByByte(c.sent)} {
			_, _, err := readAll(NewReader(s))
			if !errors.Is(err, c.kind) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := DecodeFrame(c.sent, 0); !errors.Is(err, c.kind) {
			t.Errorf("%s, at once: %v", name, err)
		}
	}
	for name, sent := range map[string][]byte{
		"plain, exactly at the limit":      {0, 0x10, 0, 1, 0},
		"LZ4, exactly at its greatest":     append(binary.BigEndian.AppendUint32(nil, 1<<20+1+uint32(lz4Slack(1<<20))), 1),
		"no flag yet, could become an LZ4": {0, 0x10, 0, 2},
	} {
		r := NewReader(&stream{b: sent, end: errPause})
		if _, err := r.Next(); err != errPause {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeFrameWantsExactlyOneFrame(t *testing.T) {
	good := plainFrame(Message{Payload: []byte("hello")})
	for n := range good {
		if _, err := DecodeFrame(good[:n], 0); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := DecodeFrame(append(good, 0), 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte after the frame: %v", err)
	}
	for _, limit := range []int{-1, 0, len(good)} {
		if m, err := DecodeFrame(good, limit); err != nil || string(m.Payload) != "hello" {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestAnUnknownTypeIsRefused(t *testing.T) {
	b := AppendMessage(nil, Message{Envelope: Envelope{Type: typeCount}})
	if _, err := DecodeMessage(b); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "unknown type 23") {
		t.Error(err)
	}
}

func TestAnErrorSaysWhatWhereAndWhy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{malformed("Execute.sql", 4, "text is not valid UTF-8"), "malformed message: Execute.sql at byte 4: text is not valid UTF-8"},
		{tooLarge("frame", 10, 5), "message too large: frame: 10 bytes are over the limit of 5"},
		{truncated(3, "the stream ended"), "truncated frame: frame at byte 3: the stream ended"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
}
