package wire

import (
	"bytes"
	"errors"
	"testing"
)

var errPause = errors.New("the deadline has passed")

// reading is a reader whose stream can be refilled.
func reading() (*Reader, *stream) {
	s := &stream{}
	return NewReader(s), s
}

func mustNext(t testing.TB, r *Reader) Message {
	t.Helper()
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAReaderKeepsTheMemoryOfALargeFrameForTheNext(t *testing.T) {
	r, s := reading()
	payload := pseudoRandom(1 << 20)
	r.MaxMessageSize = SessionMaxMessageSize
	frame := (&Encoder{MaxMessageSize: SessionMaxMessageSize}).frames(t, payload)
	for i := range 3 {
		s.b = frame
		if m := mustNext(t, r); !bytes.Equal(m.Payload, payload) {
			t.Fatal("the payload differs")
		}
		if i == 0 {
			continue // sets the memory aside
		}
		s.b = frame
		if n := testing.AllocsPerRun(1, func() { mustNext(t, r); s.b = frame }); n > 0 {
			t.Errorf("reading it again took %v allocations", n)
		}
	}
}

func TestAReaderGivesALargeFrameUpAfterARunOfSmallOnes(t *testing.T) {
	for name, e := range map[string]*Encoder{"plain": {}, "compressed": {CompressThreshold: 1}} {
		t.Run(name, func(t *testing.T) {
			r, s := reading()
			large := bytes.Repeat(pseudoRandom(50000), 8)
			s.b = e.frames(t, large)
			if m := mustNext(t, r); !bytes.Equal(m.Payload, large) {
				t.Fatal("the payload differs")
			}
			small := (&Encoder{}).frames(t, []byte("small"))
			for range smallRun {
				s.b = small
				mustNext(t, r)
				if held := max(len(r.buf), cap(r.plain)); held <= trustedSize {
					t.Fatalf("after less than a run of frames %d bytes are held", held)
				}
			}
			s.b = small
			mustNext(t, r)
			if held := max(len(r.buf), cap(r.plain)); held > trustedSize {
				t.Errorf("%d bytes are held", held)
			}
		})
	}
}

func TestAReaderDoesNotKeepAVeryLargeFrame(t *testing.T) {
	for name, e := range map[string]*Encoder{"plain": {}, "compressed": {CompressThreshold: 1}} {
		t.Run(name, func(t *testing.T) {
			r, s := reading()
			r.MaxMessageSize, e.MaxMessageSize = SessionMaxMessageSize, SessionMaxMessageSize
			s.b = append(e.frames(t, make([]byte, keepFrame+1)), plainFrame(Message{})...)
			mustNext(t, r)
			mustNext(t, r)
			if held := max(len(r.buf), cap(r.plain)); held > trustedSize {
				t.Errorf("%d bytes are held", held)
			}
		})
	}
}

func TestShrinkGivesUpAllMemoryUnlessBytesWait(t *testing.T) {
	r, s := reading()
	s.b = (&Encoder{CompressThreshold: 1}).frames(t, make([]byte, 1000), []byte("waits"))
	mustNext(t, r)
	r.Shrink()
	if m := mustNext(t, r); string(m.Payload) != "waits" {
		t.Fatalf("got %q", m.Payload)
	}
	r.Shrink()
	if r.buf != nil || r.plain != nil || r.pieces != nil {
		t.Errorf("held: %d, %d bytes, %d pieces", len(r.buf), cap(r.plain), len(r.pieces))
	}
	s.b = (&Encoder{}).frames(t, []byte("goes on"))
	if m := mustNext(t, r); string(m.Payload) != "goes on" {
		t.Fatalf("got %q", m.Payload)
	}
}

func TestShrinkWithinALargeFrameLosesNothing(t *testing.T) {
	r, s := reading()
	payload := pseudoRandom(2 * trustedSize)
	frame := (&Encoder{}).frames(t, payload)
	s.b, s.end = frame[:trustedSize+10], errPause
	if _, err := r.Next(); err != errPause {
		t.Fatal(err)
	}
	r.Shrink()
	s.b = frame[trustedSize+10:]
	if m := mustNext(t, r); !bytes.Equal(m.Payload, payload) {
		t.Error("the payload differs")
	}
}

func TestAnEncoderHoldsLittleWhenIdle(t *testing.T) {
	e := Encoder{CompressThreshold: 1, MaxMessageSize: SessionMaxMessageSize}
	e.frames(t, pseudoRandom(2*keepBuffer))
	e.Reset()
	if e.Len() != 0 || cap(e.Payload) > keepBuffer || cap(e.tmp) > keepBuffer {
		t.Errorf("%d bytes, %d and %d held", e.Len(), cap(e.Payload), cap(e.tmp))
	}
	e.frames(t, []byte("small"))
	before := cap(e.Payload)
	e.Reset()
	if cap(e.Payload) != before {
		t.Error("a small buffer was given up")
	}
}

func TestFrameBufferedSaysWhetherNextNeedsTheStream(t *testing.T) {
	r, s := reading()
	first, second := (&Encoder{}).frames(t, []byte("first")), (&Encoder{}).frames(t, []byte("second"))
	s.end = errPause
	if r.FrameBuffered() {
		t.Error("nothing has been read yet")
	}
	for n := 1; n < len(second); n++ {
		s.b = append(bytes.Clone(first), second[:n]...)
		mustNext(t, r)
		if r.FrameBuffered() {
			t.Fatalf("%d of %d bytes are not a frame", n, len(second))
		}
		s.b = append(bytes.Clone(second[n:]), first...)
		mustNext(t, r)
		if !r.FrameBuffered() {
			t.Fatal("the last frame was read with the one before it")
		}
		reads := s.reads
		if m := mustNext(t, r); string(m.Payload) != "first" || s.reads != reads {
			t.Fatalf("got %q after %d reads", m.Payload, s.reads-reads)
		}
	}
	s.b = (&Encoder{}).frames(t, pseudoRandom(2*trustedSize))[:trustedSize+readSize]
	if _, err := r.Next(); err != errPause || r.FrameBuffered() {
		t.Errorf("part of a large frame: %v, buffered %v", err, r.FrameBuffered())
	}
}

func TestALargeFrameBeginsTheRunOfSmallOnesAnew(t *testing.T) {
	for name, e := range map[string]*Encoder{"plain": {}, "compressed": {CompressThreshold: 1}} {
		t.Run(name, func(t *testing.T) {
			r, s := reading()
			large := e.frames(t, bytes.Repeat(pseudoRandom(50000), 8))
			small := (&Encoder{}).frames(t, []byte("small"))
			for range smallRun + 1 {
				s.b = small
				mustNext(t, r)
			}
			s.b = large
			mustNext(t, r)
			s.b = small
			mustNext(t, r)
			if held := max(len(r.buf), cap(r.plain)); held <= trustedSize {
				t.Errorf("after one small frame %d bytes are held", held)
			}
		})
	}
}
