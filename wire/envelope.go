package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes of the fixed parts, in bytes.
const (
	lengthSize   = 4                                         // the frame's length field
	flagSize     = 1                                         // plain or LZ4
	envelopeSize = 44                                        // sender up to and including the payload length
	checksumSize = 4                                         // at the message's end
	frameHeader  = lengthSize + flagSize                     // before the message
	overhead     = frameHeader + envelopeSize + checksumSize // of a plain frame around its payload

	// checksummed is how many leading bytes of the envelope the checksum
	// covers: sender, recipient, sequence, timestamp and the lowest byte of
	// the type, which is the "type as one byte" that the checksum asks for.
	checksummed = 33

	// Overhead is what frame and envelope add to a plain payload, in bytes.
	Overhead = overhead
	// MessageOverhead is what the envelope alone adds, in bytes: the size that
	// is compared with the maximum message size is MessageOverhead plus the
	// payload.
	MessageOverhead = envelopeSize + checksumSize
)

// Limits of message sizes, in bytes. A size counts the message as it is before
// compression: envelope, payload and checksum, without frame length and flag.
const (
	// DefaultMaxMessageSize is the limit of the reference protocol.
	DefaultMaxMessageSize = 1 << 20
	// HandshakeMaxMessageSize is the limit of session mode for what a client
	// sends before its handshake is done: of someone unknown no more is taken.
	HandshakeMaxMessageSize = 64 << 10
	// SessionMaxMessageSize is what session mode offers unless told otherwise:
	// the most for which a frame's first byte stays 0x00.
	SessionMaxMessageSize = 1<<24 - 2
	// HighestMaxMessageSize is the most that may be agreed on: above it a
	// frame's first byte could be that of a TLS record (0x16).
	HighestMaxMessageSize = 1 << 28
)

// Envelope is the fixed part of a message.
type Envelope struct {
	Sender    uint64 // a client sends 0
	Recipient uint64 // node number; not verified
	Sequence  uint64 // of a request; its responses carry the same
	Timestamp int64  // Unix milliseconds
	Type      Type
}

// Message is an envelope with its payload. A Message that came out of a Reader
// holds a window into the reader's buffer, valid until the next read.
type Message struct {
	Envelope
	Payload []byte
}

// AppendMessage appends the message without frame: envelope, payload and
// checksum.
func AppendMessage(dst []byte, m Message) []byte {
	start := len(dst)
	dst = appendEnvelope(dst, m.Envelope, uint64(len(m.Payload)))
	dst = append(dst, m.Payload...)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

func appendEnvelope(dst []byte, e Envelope, payload uint64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, e.Sender)
	dst = binary.LittleEndian.AppendUint64(dst, e.Recipient)
	dst = binary.LittleEndian.AppendUint64(dst, e.Sequence)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Timestamp))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e.Type))
	return binary.LittleEndian.AppendUint64(dst, payload)
}

// checksum is over a message's envelope and payload, without the checksum
// itself: CRC-32 (IEEE 802.3) of everything but the payload length and the
// three upper bytes of the type.
func checksum(msg []byte) uint32 {
	crc := crc32.ChecksumIEEE(msg[:checksummed])
	return crc32.Update(crc, crc32.IEEETable, msg[envelopeSize:])
}

// DecodeMessage decodes a whole message without frame. The payload is a window
// into b. Errors are of type *ProtocolError.
func DecodeMessage(b []byte) (Message, error) {
	var m Message
	if len(b) < envelopeSize+checksumSize {
		return m, malformed("message", len(b), "%d bytes are less than the %d of an empty message", len(b), envelopeSize+checksumSize)
	}
	le := binary.LittleEndian
	kind := le.Uint32(b[32:])
	if kind >= typeCount {
		return m, malformed("message", 32, "unknown type %d, the highest known is %d", kind, typeCount-1)
	}
	size := le.Uint64(b[36:])
	have := uint64(len(b) - envelopeSize - checksumSize)
	if size != have {
		return m, malformed("message", 36, "payload length says %d bytes, the message holds %d", size, have)
	}
	end := envelopeSize + int(size)
	if want, got := checksum(b[:end]), le.Uint32(b[end:]); got != want {
		return m, &ProtocolError{Kind: ErrChecksum, What: "message", Offset: end,
			Detail: fmt.Sprintf("computed %#08x, received %#08x", want, got)}
	}
	m.Sender, m.Recipient, m.Sequence = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	m.Timestamp = int64(le.Uint64(b[24:]))
	m.Type = Type(kind)
	m.Payload = b[envelopeSize:end:end]
	return m, nil
}
