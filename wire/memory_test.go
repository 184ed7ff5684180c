package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
)

// allocatedBy measures what f allocates, in bytes.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// small is what errors and the like may take, in bytes.
const small = 16 << 10

// claim is the beginning of a frame that claims a length, with so many bytes of
// it arriving.
func claim(length uint32, flag byte, arrive int) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, length), flag)
	return append(b, make([]byte, arrive)...)
}

func TestAFrameThatDoesNotArriveCostsNoMoreThanWhatArrived(t *testing.T) {
	for _, c := range []struct {
		name    string
		b       []byte
		limit   int
		atMost  uint64
		atLeast uint64 // or the measurement is wrong
	}{
		{"nothing but a small header", claim(1000, flagPlain, 0), 0, readSize, readSize},
		{"a batch's header", claim(64<<10, flagPlain, 0), 0, trustedSize + readSize, trustedSize},
		{"a header of 16 MiB", claim(SessionMaxMessageSize, flagPlain, 0), SessionMaxMessageSize, readSize + trustedSize, readSize + trustedSize},
		{"a header of 256 MiB", claim(HighestMaxMessageSize, flagPlain, 0), HighestMaxMessageSize, readSize + trustedSize, readSize + trustedSize},
		{"1 MiB of 16", claim(SessionMaxMessageSize, flagPlain, 1<<20), SessionMaxMessageSize, 1<<20 + readSize + trustedSize, 1 << 20},
		{"8 MiB of 16, compressed", claim(SessionMaxMessageSize, flagLZ4, 8<<20), SessionMaxMessageSize, 8<<20 + readSize + trustedSize, 8 << 20},
	} {
		s := &stream{b: c.b}
		var err error
		got := allocatedBy(func() {
			r := NewReader(s)
			r.MaxMessageSize = c.limit
			_, err = r.Next()
		})
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got > c.atMost+small || got < c.atLeast {
			t.Errorf("%s: %d bytes were allocated, allowed are %d", c.name, got, c.atMost+small)
		}
	}
}

func TestALengthOverTheLimitCostsNothing(t *testing.T) {
	for _, b := range [][]byte{
		claim(1<<20+2, flagPlain, 0), claim(1<<32-1, flagPlain, 0), claim(1<<32-1, flagLZ4, 100), []byte("HTTP/1.1 400 Bad Request\r\n"),
	} {
		var err error
		got := allocatedBy(func() { _, err = NewReader(&stream{b: b}).Next() })
		if !errors.Is(err, ErrTooLarge) || got > readSize+small {
			t.Errorf("%x: %d bytes were allocated, %v", b[:5], got, err)
		}
	}
}

// lz4Frame is a frame of LZ4 data with a claimed size.
func lz4Frame(size uint32, block []byte) []byte {
	data := lz4Data(size, block)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+flagSize)), flagLZ4), data...)
}

func TestAnLZ4SizeIsRefusedBeforeMemoryIsSetAsideForIt(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		kind error
	}{
		{"over the limit", lz4Frame(1<<20+1, make([]byte, 8<<10)), ErrTooLarge},
		{"4 GiB", lz4Frame(1<<32-1, make([]byte, 8<<10)), ErrTooLarge},
		{"over 255 times the block", lz4Frame(255*2000+1, make([]byte, 2000)), ErrMalformed},
	} {
		var err error
		got := allocatedBy(func() { _, err = NewReader(&stream{b: c.b}).Next() })
		if !errors.Is(err, c.kind) || got > readSize+small {
			t.Errorf("%s: %d bytes were allocated, %v", c.name, got, err)
		}
	}
}

func TestAnLZ4BombCostsNoMoreThanTheLimit(t *testing.T) {
	bomb := lz4Frame(1<<20, make([]byte, 8<<10)) // a block of zeros is no block
	var err error
	got := allocatedBy(func() { _, err = NewReader(&stream{b: bomb}).Next() })
	if !errors.Is(err, ErrMalformed) || got > 1<<20+readSize+small {
		t.Errorf("%d bytes were allocated, %v", got, err)
	}
}

// A payload may become larger than it is: an argument of two bytes is a struct
// of 56. The worst of each message is bounded by that ratio, and by the number
// of elements that a list may have.
func TestAHostilePayloadBecomesNoMoreThanItsShare(t *testing.T) {
	arguments := (&Execute{}).AppendHead(nil, maxElements)
	arguments = append(arguments, make([]byte, 2*maxElements)...)
	settings := append(appendUvarint((&ClientHandshake{}).AppendTo(nil)[:22], maxElements), make([]byte, 2*maxElements)...)
	for name, c := range map[string]struct {
		m       codec
		payload []byte
	}{
		"as many arguments as there can be": {&Execute{}, arguments},
		"more arguments than there can be":  {&Execute{}, append((&Execute{}).AppendHead(nil, 1<<20), make([]byte, 4<<20)...)},
		"arguments that are not there":      {&Execute{}, (&Execute{}).AppendHead(nil, 1<<30)},
		"settings":                          {&ClientHandshake{}, settings},
		"columns":                           {&StatementDescription{}, append(appendUvarint(make([]byte, 15), 60000), make([]byte, 29*60000)...)},
		"statements":                        {&CloseStatement{}, append(appendUvarint(nil, maxElements), make([]byte, 4*maxElements)...)},
	} {
		got := allocatedBy(func() {
			if err := c.m.Decode(c.payload); err != nil {
				checkMalformed(t, err)
			}
		})
		if bound := decodedBound(min(len(c.payload), 29*maxElements)); got > bound {
			t.Errorf("%s: %d bytes became %d, allowed are %d", name, len(c.payload), got, bound)
		}
	}
}

func TestALargeFrameCostsItsSizeTwiceOnceAndNothingAfterThat(t *testing.T) {
	frame := (&Encoder{}).frames(t, pseudoRandom(900<<10))
	s := &stream{b: frame}
	r := NewReader(s)
	read := func() {
		if _, err := r.Next(); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if got := allocatedBy(read); got > 2*uint64(len(frame))+readSize+2*trustedSize+small {
		t.Errorf("the first cost %d bytes", got)
	}
	s.b = frame
	if got := allocatedBy(read); got > small {
		t.Errorf("the second cost %d bytes", got)
	}
}
