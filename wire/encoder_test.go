package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

func TestTheEncoderMakesTheFrameOfThatMessage(t *testing.T) {
	before := time.Now().UnixMilli()
	e := Encoder{Sender: 3, Recipient: 4}
	e.Begin(TypeExecute, 5)
	e.Payload = append(e.Payload, "payload"...)
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	m, err := DecodeFrame(e.Bytes(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.Timestamp < before || m.Timestamp > time.Now().UnixMilli() {
		t.Errorf("timestamp %d", m.Timestamp)
	}
	if want := (Envelope{3, 4, 5, m.Timestamp, TypeExecute}); m.Envelope != want || string(m.Payload) != "payload" {
		t.Errorf("got %+v", m)
	}
	if again := plainFrame(m); !bytes.Equal(again, e.Bytes()) {
		t.Errorf("got  %x\nwant %x", e.Bytes(), again)
	}
}

func TestTheLimitCountsTheMessageAndNotTheFrame(t *testing.T) {
	const limit = 200
	for _, c := range []struct {
		payload int
		fits    bool
	}{{limit - MessageOverhead, true}, {limit - MessageOverhead + 1, false}} {
		for _, threshold := range []int{0, 1} {
			e := Encoder{MaxMessageSize: limit, CompressThreshold: threshold}
			e.Begin(TypeData, 1)
			e.Payload = append(e.Payload, make([]byte, c.payload)...)
			if e.Size() != c.payload+MessageOverhead {
				t.Errorf("the size is %d", e.Size())
			}
			if err := e.End(); (err == nil) != c.fits {
				t.Errorf("%d bytes of payload: %v", c.payload, err)
			} else if err != nil && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
			frame := plainFrame(Message{Payload: make([]byte, c.payload)})
			if _, err := DecodeFrame(frame, limit); (err == nil) != c.fits {
				t.Errorf("reading %d bytes of payload: %v", c.payload, err)
			}
		}
	}
}

func TestAMessageOverTheLimitLeavesTheTrainAsItWas(t *testing.T) {
	e := Encoder{MaxMessageSize: 100}
	b := e.frames(t, []byte("first"))
	e.Begin(TypeData, 2)
	e.Payload = append(e.Payload, make([]byte, 100)...)
	if err := e.End(); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	e.Begin(TypeData, 3)
	e.Payload = append(e.Payload, "aborted"...)
	e.Abort()
	if !bytes.Equal(e.Bytes(), b) || e.Len() != len(b) {
		t.Errorf("%d bytes are left, want %d", e.Len(), len(b))
	}
}

func TestTheDefaultLimitIsThatOfTheReference(t *testing.T) {
	for _, limit := range []int{0, -1} {
		e := Encoder{MaxMessageSize: limit}
		for _, c := range []struct {
			payload int
			fits    bool
		}{{DefaultMaxMessageSize - MessageOverhead, true}, {DefaultMaxMessageSize - MessageOverhead + 1, false}} {
			e.Begin(TypeData, 1)
			e.Payload = append(e.Payload, make([]byte, c.payload)...)
			if err := e.End(); (err == nil) != c.fits {
				t.Errorf("limit %d, %d bytes of payload: %v", limit, c.payload, err)
			}
			e.Reset()
		}
	}
}

func TestOnlyMessagesOverTheThresholdAreCompressed(t *testing.T) {
	for _, c := range []struct {
		threshold, payload int
		flag               byte
	}{
		{0, 5000, flagPlain}, {-1, 5000, flagPlain},
		{1024, 1024 - MessageOverhead, flagPlain}, {1024, 1025 - MessageOverhead, flagLZ4},
	} {
		e := Encoder{CompressThreshold: c.threshold}
		frame := e.frames(t, make([]byte, c.payload))
		if frame[lengthSize] != c.flag {
			t.Errorf("threshold %d, %d bytes of payload: flag %d", c.threshold, c.payload, frame[lengthSize])
		}
	}
}

func TestTheFirstByteOfAFrameIsNeverThatOfATLSRecord(t *testing.T) {
	first := func(limit int) byte {
		return binary.BigEndian.AppendUint32(nil, uint32(limit)+flagSize+uint32(lz4Slack(limit)))[0]
	}
	if b := first(HighestMaxMessageSize); b >= 0x15 {
		t.Errorf("the longest frame begins with %#02x", b)
	}
	plain := binary.BigEndian.AppendUint32(nil, SessionMaxMessageSize+flagSize)
	if plain[0] != 0 || binary.BigEndian.AppendUint32(nil, SessionMaxMessageSize+flagSize+1)[0] == 0 {
		t.Errorf("the longest plain frame of a session begins with %#02x, one byte more must not begin with 0", plain[0])
	}
}
