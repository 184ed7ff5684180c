package wire

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	// readSize is the least that a reader asks the transport for at a time, in
	// bytes.
	readSize = 32 << 10
	// trustedSize is the most memory, in bytes, that a frame's claimed length
	// alone may set aside: a batch of rows fits. A longer frame is collected
	// in pieces of this size as its bytes arrive.
	trustedSize = 128 << 10
	// keepFrame is the longest frame, in bytes, whose memory a reader keeps
	// for the next one, so that a stream of 1 MiB values is read without
	// setting memory aside for each.
	keepFrame = 2 << 20
	// smallRun is after how many frames in a row that fit into trustedSize
	// such memory is given up.
	smallRun = 16
	// emptyReads is how often in a row a stream may answer a read with nothing.
	emptyReads = 100
)

// Reader takes frames off a stream and decodes them. It reads as much as the
// stream has ready, so that a train of small frames costs one system call. A
// read that fails half-way (a deadline) can be repeated: nothing is lost. It is
// not safe for concurrent use.
type Reader struct {
	// MaxMessageSize is the limit for a message in bytes, before and after
	// decompression; 0 or less means DefaultMaxMessageSize. It may be changed
	// between messages.
	MaxMessageSize int

	src        io.Reader
	buf        []byte
	r, w       int      // the unread bytes are buf[r:w]
	large      int      // size of the frame being collected in pieces, or 0
	pieces     [][]byte // of that frame
	piecesLen  int
	plain      []byte // a decompressed message
	small      int    // messages in a row that fit into trustedSize
	sticky     error  // a protocol error: the position is lost
	frameBytes int64  // received in frames so far
}

// NewReader gives a reader of frames from src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Next reads one message. The payload is valid until the next call. At the end
// of the stream between two frames the error is io.EOF; inside a frame it is a
// *ProtocolError of kind ErrTruncated. Errors of the stream itself are returned
// as they are, and Next can be called again after a timeout. A *ProtocolError
// is final: every later call returns it.
func (r *Reader) Next() (Message, error) {
	if r.sticky != nil {
		return Message{}, r.sticky
	}
	m, err := r.next()
	if err != nil {
		if _, final := errors.AsType[*ProtocolError](err); final {
			r.sticky = err
		}
	}
	return m, err
}

func (r *Reader) next() (Message, error) {
	limit := messageLimit(r.MaxMessageSize)
	size := r.large
	if size == 0 {
		r.slim()
		length, err := r.header(limit)
		if err != nil {
			return Message{}, err
		}
		size = lengthSize + length
	}
	frame, err := r.frame(size)
	if err != nil {
		return Message{}, err
	}
	r.frameBytes += int64(len(frame))
	m, plain, err := decodeBody(r.plain, frame[lengthSize:], limit)
	r.plain = plain
	if len(frame) > trustedSize || len(m.Payload) > trustedSize-overhead {
		r.small = 0
	} else if r.small < smallRun {
		r.small++
	}
	return m, err
}

// header reads a frame's length and flag, leaves them in the buffer, and gives
// the length. It judges the length as soon as it is there: a peer that speaks
// another protocol may send nothing after it.
func (r *Reader) header(limit int) (int, error) {
	if err := r.fill(lengthSize); err != nil {
		return 0, err
	}
	if r.w-r.r < frameHeader {
		if err := checkHeader(r.buf[r.r:r.r+lengthSize], limit); err != nil {
			return 0, err
		}
		if err := r.fill(frameHeader); err != nil {
			return 0, err
		}
	}
	header := r.buf[r.r : r.r+frameHeader]
	if err := checkHeader(header, limit); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(header)), nil
}

// frame gives a whole frame of n bytes and takes it off the buffer.
func (r *Reader) frame(n int) ([]byte, error) {
	if n > max(trustedSize, len(r.buf)) {
		return r.largeFrame(n)
	}
	if err := r.fill(n); err != nil {
		return nil, err
	}
	b := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	return b, nil
}

// fill makes at least n unread bytes available in buf. n is at most trustedSize
// or what buf holds.
func (r *Reader) fill(n int) error {
	for r.w-r.r < n {
		r.makeRoom(n)
		got, err := r.read(r.buf[r.w:])
		r.w += got
		if err != nil && r.w-r.r < n {
			return streamError(err, r.w-r.r)
		}
	}
	return nil
}

// makeRoom lets at least n unread bytes fit, moving or growing the buffer.
func (r *Reader) makeRoom(n int) {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if len(r.buf)-r.r >= n {
		return
	}
	to := r.buf
	if len(to) < n {
		size := readSize
		for size < n {
			size *= 2
		}
		to = make([]byte, size)
	}
	r.w = copy(to, r.buf[r.r:r.w])
	r.r, r.buf = 0, to
}

// largeFrame collects a frame that does not fit into the buffer in pieces, each
// set aside only when the one before it is full, and joins them once all has
// arrived.
func (r *Reader) largeFrame(n int) ([]byte, error) {
	r.large = n
	for r.piecesLen < n {
		piece := r.lastPiece(n)
		got, err := r.readOn(piece[len(piece):cap(piece)])
		r.pieces[len(r.pieces)-1] = piece[:len(piece)+got]
		r.piecesLen += got
		if err != nil && r.piecesLen < n {
			return nil, streamError(err, r.piecesLen)
		}
	}
	whole := make([]byte, 0, n)
	for _, p := range r.pieces {
		whole = append(whole, p...)
	}
	r.large, r.pieces, r.piecesLen = 0, nil, 0
	if n <= keepFrame {
		// The old buffer is empty: the first pieces were taken from it.
		r.buf, r.r, r.w = whole, n, n
	}
	return whole, nil
}

func (r *Reader) lastPiece(n int) []byte {
	if k := len(r.pieces); k > 0 && len(r.pieces[k-1]) < cap(r.pieces[k-1]) {
		return r.pieces[k-1]
	}
	piece := make([]byte, 0, min(trustedSize, n-r.piecesLen))
	r.pieces = append(r.pieces, piece)
	return piece
}

// readOn takes bytes from the buffer first and from the stream after that.
func (r *Reader) readOn(dst []byte) (int, error) {
	if r.r < r.w {
		n := copy(dst, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	return r.read(dst)
}

// read asks the stream for at least one byte. A stream that keeps answering with
// nothing and no error would otherwise be asked for ever.
func (r *Reader) read(dst []byte) (int, error) {
	for range emptyReads {
		if n, err := r.src.Read(dst); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// streamError turns the end of the stream inside a frame into a truncation.
func streamError(err error, have int) error {
	if have > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return truncated(have, "the stream ended inside a frame")
	}
	return err
}

// slim gives up the memory that a large frame left behind: at once where it is
// very large, else when a run of frames has done without it.
func (r *Reader) slim() {
	if cap(r.plain) > keepFrame {
		r.plain = nil
	}
	if r.small < smallRun {
		return
	}
	if cap(r.plain) > trustedSize {
		r.plain = nil
	}
	if len(r.buf) > trustedSize && r.r == r.w {
		r.buf, r.r, r.w = nil, 0, 0
	}
}

// Buffered is the number of bytes read from the stream and not yet decoded.
func (r *Reader) Buffered() int { return r.w - r.r + r.piecesLen }

// Received is the size of all frames decoded so far, in bytes.
func (r *Reader) Received() int64 { return r.frameBytes }

// Shrink gives up the buffers' memory when no bytes wait in it: an idle session
// holds none. Messages returned before become invalid.
func (r *Reader) Shrink() {
	if r.Buffered() == 0 {
		r.buf, r.r, r.w = nil, 0, 0
	}
	r.plain = nil
}
