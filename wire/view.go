package wire

import "unsafe"

// StringView makes a text value without copying the text. The value's Raw must
// not be written to; it is meant for arguments on their way into an Encoder.
func StringView(s string) Value {
	return Value{Kind: KindString, Raw: unsafe.Slice(unsafe.StringData(s), len(s))}
}
