package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestCompressedDataDecompressesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := make([]byte, MessageOverhead)
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"select ", "from ", "\x00\x00\x00\x00", "é", "1"}), 0, 500).Draw(t, "words")
		for _, w := range words {
			msg = append(msg, w...)
		}
		out, ok := appendLZ4([]byte("before"), msg)
		if !bytes.HasPrefix(out, []byte("before")) {
			t.Fatal("the buffer's content is gone")
		}
		if !ok {
			if len(out) != len("before") {
				t.Fatal("something was appended, and said not to be")
			}
			return
		}
		data := out[len("before"):]
		if len(data) >= len(msg) {
			t.Fatalf("%d bytes became %d", len(msg), len(data))
		}
		back, err := decompress(nil, data, len(msg))
		if err != nil || !bytes.Equal(back, msg) {
			t.Fatalf("%x came back as %x, %v", msg, back, err)
		}
	})
}

func TestWhatDoesNotShrinkIsSentPlain(t *testing.T) {
	for _, payload := range [][]byte{pseudoRandom(20000), pseudoRandom(70000)} {
		frame := (&Encoder{CompressThreshold: 1}).frames(t, payload)
		if frame[lengthSize] != flagPlain || len(frame) != overhead+len(payload) {
			t.Errorf("%d bytes became a frame of %d with flag %d", len(payload), len(frame), frame[lengthSize])
		}
	}
}

// lz4Data puts a claimed size before a block.
func lz4Data(size uint32, block []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, size), block...)
}

func TestDamagedLZ4DataIsRefused(t *testing.T) {
	msg := bytes.Repeat([]byte("0123456789"), 100)
	data, ok := appendLZ4(nil, msg)
	if !ok {
		t.Fatal("not compressed")
	}
	block := data[lz4SizeField:]
	n := uint32(len(msg))
	for name, c := range map[string]struct {
		data []byte
		kind error
	}{
		"nothing":                     {nil, ErrMalformed},
		"half a size":                 {data[:3], ErrMalformed},
		"a size and no block":         {data[:4], ErrMalformed},
		"size too small":              {lz4Data(n-1, block), ErrMalformed},
		"size too large":              {lz4Data(n+1, block), ErrMalformed},
		"size zero":                   {lz4Data(0, block), ErrMalformed},
		"size of less than a message": {lz4Data(MessageOverhead-1, block), ErrMalformed},
		"size over the limit":         {lz4Data(1<<20+1, make([]byte, 1<<20)), ErrTooLarge},
		"size that no block can hold": {lz4Data(255*10+1, make([]byte, 10)), ErrMalformed},
		"block cut short":             {data[:len(data)-1], ErrMalformed},
		"byte after the block":        {append(bytes.Clone(data), 0), ErrMalformed},
		"offset zero":                 {lz4Data(64, []byte{0x10, 'A', 0, 0, 0x50, 1, 2, 3, 4, 5}), ErrMalformed},
		"offset before the start":     {lz4Data(64, []byte{0x10, 'A', 9, 0, 0x50, 1, 2, 3, 4, 5}), ErrMalformed},
	} {
		if out, err := decompress(nil, c.data, 1<<20); !errors.Is(err, c.kind) {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
}

func TestAMessageIsDecompressedIntoTheMemoryOfTheLast(t *testing.T) {
	data, _ := appendLZ4(nil, make([]byte, 1000))
	first, err := decompress(nil, data, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	second, err := decompress(first, data, 1<<20)
	if err != nil || &first[0] != &second[0] {
		t.Errorf("new memory was set aside, %v", err)
	}
}
