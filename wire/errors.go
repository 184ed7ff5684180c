package wire

import (
	"errors"
	"fmt"
)

// Kinds of bad input. A decoder's error wraps exactly one of them, so that
// errors.Is tells them apart; the error's text says what was wrong and where.
var (
	// ErrTooLarge: a length exceeds the maximum message size.
	ErrTooLarge = errors.New("message too large")
	// ErrMalformed: the bytes do not form a frame, a message or a payload.
	ErrMalformed = errors.New("malformed message")
	// ErrChecksum: the CRC-32 does not match the content.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrTruncated: the stream ended inside a frame.
	ErrTruncated = errors.New("truncated frame")
)

// ProtocolError is bytes that break the protocol. The stream's position is
// unknown after it, so the connection must be closed.
type ProtocolError struct {
	// Kind is one of ErrTooLarge, ErrMalformed, ErrChecksum, ErrTruncated.
	Kind error
	// What is the part that was being read, such as "frame" or "Execute.sql".
	What string
	// Offset is the position of the fault in that part, in bytes; -1 when it
	// has none.
	Offset int
	// Detail says what was found and what would be right.
	Detail string
}

// Error gives the kind, the part, the position and the detail in one line.
func (e *ProtocolError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%v: %s: %s", e.Kind, e.What, e.Detail)
	}
	return fmt.Sprintf("%v: %s at byte %d: %s", e.Kind, e.What, e.Offset, e.Detail)
}

// Unwrap gives the kind.
func (e *ProtocolError) Unwrap() error { return e.Kind }

func malformed(what string, offset int, format string, args ...any) *ProtocolError {
	return &ProtocolError{Kind: ErrMalformed, What: what, Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(what string, size, limit uint64) *ProtocolError {
	return &ProtocolError{Kind: ErrTooLarge, What: what, Offset: -1,
		Detail: fmt.Sprintf("%d bytes are over the limit of %d", size, limit)}
}

func truncated(have int, format string, args ...any) *ProtocolError {
	return &ProtocolError{Kind: ErrTruncated, What: "frame", Offset: have, Detail: fmt.Sprintf(format, args...)}
}
