package wire

import (
	"encoding/binary"
	"time"
)

// keepBuffer is the most memory, in bytes, that an encoder keeps between trains:
// one large value must not pin its size for good.
const keepBuffer = 256 << 10

// Encoder builds frames one after the other in one buffer, so that a train of
// messages leaves in one write, with header and checksum put in place around
// the payload. The zero value is ready. It is not safe for concurrent use.
//
//	e.Begin(TypePrepare, seq)
//	e.Payload = msg.AppendTo(e.Payload)
//	err := e.End()
type Encoder struct {
	// Payload is the buffer that the payload of the message under way is
	// appended to. It holds the frames before it too: append, never replace.
	Payload []byte
	// MaxMessageSize is the limit in bytes that End checks; 0 or less means
	// DefaultMaxMessageSize.
	MaxMessageSize int
	// CompressThreshold is the message size above which a message is
	// compressed where that makes it smaller; negative or 0 means never.
	CompressThreshold int
	// Sender is written into each envelope: a client's is 0.
	Sender uint64
	// Recipient is written into each envelope.
	Recipient uint64

	start int    // of the frame under way
	now   int64  // when the train began, Unix milliseconds
	tmp   []byte // a compressed message
}

// Begin starts a frame. The message is finished by End or taken back by Abort.
// All frames of a train carry the time of the first: they leave together.
func (e *Encoder) Begin(t Type, sequence uint64) {
	e.start = len(e.Payload)
	if e.start == 0 {
		e.now = time.Now().UnixMilli()
	}
	e.Payload = append(e.Payload, 0, 0, 0, 0, 0)
	e.Payload = appendEnvelope(e.Payload, Envelope{
		Sender: e.Sender, Recipient: e.Recipient, Sequence: sequence,
		Timestamp: e.now, Type: t,
	}, 0)
}

// Size is the size so far of the message under way, in bytes, checksum included.
func (e *Encoder) Size() int { return len(e.Payload) - e.start - frameHeader + checksumSize }

// Abort takes the frame under way back; the frames before it stay.
func (e *Encoder) Abort() { e.Payload = e.Payload[:e.start] }

// End finishes the frame: length, checksum, and compression where it pays. It
// fails with a *ProtocolError of kind ErrTooLarge, and takes the frame back,
// when the message is over the limit.
func (e *Encoder) End() error {
	msg := e.Payload[e.start+frameHeader:]
	limit := messageLimit(e.MaxMessageSize)
	if size := len(msg) + checksumSize; size > limit {
		e.Abort()
		return tooLarge("message", uint64(size), uint64(limit))
	}
	binary.LittleEndian.PutUint64(msg[36:], uint64(len(msg)-envelopeSize))
	e.Payload = binary.LittleEndian.AppendUint32(e.Payload, checksum(msg))
	if e.CompressThreshold > 0 && e.Size()-checksumSize > e.CompressThreshold {
		e.compress()
	}
	frame := e.Payload[e.start:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-lengthSize))
	return nil
}

func (e *Encoder) compress() {
	msg := e.Payload[e.start+frameHeader:]
	out, ok := appendLZ4(e.tmp[:0], msg)
	e.tmp = out[:0]
	if !ok {
		return
	}
	e.Payload[e.start+lengthSize] = flagLZ4
	e.Payload = append(e.Payload[:e.start+frameHeader], out...)
}

// Bytes gives the finished frames, valid until the next Begin or Reset.
func (e *Encoder) Bytes() []byte { return e.Payload }

// Len is the size of the frames so far, in bytes.
func (e *Encoder) Len() int { return len(e.Payload) }

// Reset forgets all frames and gives up memory above 256 KiB.
func (e *Encoder) Reset() {
	if cap(e.Payload) > keepBuffer {
		e.Payload = nil
	}
	if cap(e.tmp) > keepBuffer {
		e.tmp = nil
	}
	e.Payload, e.start = e.Payload[:0], 0
}
