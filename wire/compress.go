package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// lz4MaxRatio is the most that one byte of an LZ4 block can stand for. A size
// that claims more is refused before memory is set aside for it.
// Source: LZ4 block format, "a length byte adds at most 255".
const lz4MaxRatio = 255

// lz4SizeField is the size of the uncompressed size before a block, in bytes.
const lz4SizeField = 4

// appendLZ4 appends the LZ4 form of msg: its size and one block. It reports
// false, and appends nothing, when that would not be smaller than msg. The match
// table, 136 KiB, comes from the library's pool: one in each encoder would be
// most of what an idle session holds.
func appendLZ4(dst, msg []byte) ([]byte, bool) {
	start := len(dst)
	bound := lz4SizeField + lz4.CompressBlockBound(len(msg))
	dst = slices.Grow(dst, bound)[:start+bound]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(msg)))
	n, err := lz4.CompressBlock(msg, dst[start+lz4SizeField:], nil)
	if err != nil || n == 0 || lz4SizeField+n >= len(msg) {
		return dst[:start], false
	}
	return dst[:start+lz4SizeField+n], true
}

// decompress decodes the LZ4 form into buf's memory, growing it if it must.
func decompress(buf, data []byte, limit int) ([]byte, error) {
	if len(data) < lz4SizeField {
		return buf, malformed("lz4 data", len(data), "%d bytes are too few for the 4 of the size", len(data))
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	block := data[lz4SizeField:]
	if size > uint64(limit) {
		return buf, tooLarge("lz4 data", size, uint64(limit))
	}
	if size < MessageOverhead {
		// Not only pointless: the library's decoder faults on an empty
		// output without memory.
		return buf, malformed("lz4 data", 0, "size says %d bytes, less than the %d of an empty message", size, MessageOverhead)
	}
	if size > uint64(len(block))*lz4MaxRatio {
		return buf, malformed("lz4 data", 0, "size says %d bytes, which %d compressed bytes cannot hold", size, len(block))
	}
	if uint64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	n, err := lz4.UncompressBlock(block, buf)
	if err != nil {
		return buf, &ProtocolError{Kind: ErrMalformed, What: "lz4 data", Offset: lz4SizeField,
			Detail: fmt.Sprintf("a block that is damaged or longer than its size of %d bytes: %v", size, err)}
	}
	if uint64(n) != size {
		return buf, malformed("lz4 data", 0, "size says %d bytes, the block holds %d", size, n)
	}
	return buf, nil
}
