package wire

import "encoding/binary"

// FrameBuffered reports whether the next frame is in the buffer as a whole, so
// that Next will not touch the stream for it.
func (r *Reader) FrameBuffered() bool {
	if r.large > 0 || r.w-r.r < frameHeader {
		return false
	}
	return uint64(r.w-r.r) >= lengthSize+uint64(binary.BigEndian.Uint32(r.buf[r.r:]))
}
