package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	flagPlain = 0
	flagLZ4   = 1
)

// checkHeader judges a frame's header before anything is set aside for the
// frame. Of a header whose flag has not arrived yet, it judges the length, as
// far as that can be done for any flag.
func checkHeader(header []byte, limit int) error {
	length := uint64(binary.BigEndian.Uint32(header))
	longest := uint64(limit) + flagSize
	if len(header) < frameHeader || header[lengthSize] == flagLZ4 {
		longest += lz4Slack(limit)
	}
	switch {
	case length == 0:
		return malformed("frame", 0, "length 0 leaves no room for the flag")
	case length > longest:
		err := tooLarge("frame", length, longest)
		err.Detail += wrongPeer(header)
		return err
	case len(header) == frameHeader && header[lengthSize] > flagLZ4:
		return malformed("frame", lengthSize, "flag %d is neither 0 (plain) nor 1 (LZ4)", header[lengthSize])
	}
	return nil
}

// lz4Slack is by how much a compressed frame may be longer than the limit: LZ4
// can expand, by this much at most, and the size has its four bytes.
func lz4Slack(limit int) uint64 { return uint64(limit/255 + 16 + lz4SizeField) }

// wrongPeer recognises other protocols by the bytes that stand where a frame's
// length would, and gives a hint for the error's text.
func wrongPeer(header []byte) string {
	switch {
	case string(header[:4]) == "HTTP":
		return "; the peer speaks HTTP, not qdb: check host and port"
	case (header[0] == 0x15 || header[0] == 0x16) && header[1] == 0x03:
		return "; the peer speaks TLS where plain frames were expected"
	case string(header[:4]) == "SSH-":
		return "; the peer speaks SSH, not qdb: check host and port"
	case printable(header[:4]):
		return fmt.Sprintf("; the peer sent text (%q), not qdb: check host and port", header[:4])
	}
	return ""
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// DecodeFrame decodes one whole frame held in b, length included, with no bytes
// after it. max is the message size limit; 0 or less means
// DefaultMaxMessageSize. The payload of a plain frame is a window into b. Errors
// are of type *ProtocolError.
func DecodeFrame(b []byte, max int) (Message, error) {
	limit := messageLimit(max)
	if len(b) < lengthSize {
		return Message{}, truncated(len(b), "the length has 4 bytes")
	}
	if err := checkHeader(b[:min(len(b), frameHeader)], limit); err != nil {
		return Message{}, err
	}
	length := uint64(binary.BigEndian.Uint32(b))
	switch have := uint64(len(b) - lengthSize); {
	case have < length:
		return Message{}, truncated(len(b), "length says %d bytes, %d are there", length, have)
	case have > length:
		return Message{}, malformed("frame", lengthSize+int(length), "%d bytes after the frame", have-length)
	}
	m, _, err := decodeBody(nil, b[lengthSize:], limit)
	return m, err
}

// decodeBody decodes a frame from its flag on. A compressed message is
// decompressed into plain, which is given back, grown where it had to be.
func decodeBody(plain, body []byte, limit int) (Message, []byte, error) {
	data := body[flagSize:]
	if body[0] == flagLZ4 {
		var err error
		if plain, err = decompress(plain, data, limit); err != nil {
			return Message{}, plain, err
		}
		data = plain
	}
	m, err := DecodeMessage(data)
	return m, plain, err
}

// messageLimit is the limit that a setting of it means.
func messageLimit(max int) int {
	if max <= 0 {
		return DefaultMaxMessageSize
	}
	return max
}
