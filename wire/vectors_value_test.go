package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// valueFields is a value as the vectors describe it.
type valueFields struct {
	Bool  *bool   `json:"Bool"`
	Int   *string `json:"Int"`
	Float *struct {
		Bits string `json:"bits"`
	} `json:"Float"`
	String    *string `json:"String"`
	Bytes     *string `json:"Bytes"`
	StringLen *int    `json:"String_len"`
	Prefix    string  `json:"String_prefix"`
	BytesLen  *int    `json:"Bytes_len"`
	Timestamp *struct {
		Nanos   uint32 `json:"subsec_nanos"`
		Text    string `json:"text"`
		Seconds string `json:"unix_seconds"`
	} `json:"Timestamp"`
}

// describedValue gives the value that a vector describes.
func describedValue(t *testing.T, raw json.RawMessage) Value {
	t.Helper()
	if string(raw) == `"Null"` {
		return Null()
	}
	var f valueFields
	unmarshal(t, raw, &f)
	switch {
	case f.Bool != nil:
		return Bool(*f.Bool)
	case f.Int != nil:
		return Int(number[int64](t, *f.Int))
	case f.Float != nil:
		bits, err := strconv.ParseUint(f.Float.Bits, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return Value{Kind: KindFloat, Num: int64(bits)}
	case f.String != nil:
		return String(*f.String)
	case f.StringLen != nil: // the prefix over and over
		return String(strings.Repeat(f.Prefix, *f.StringLen/len(f.Prefix)))
	case f.Bytes != nil:
		b, err := hex.DecodeString(*f.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return Bytes(b)
	case f.BytesLen != nil: // 0 to 250 over and over
		b := make([]byte, *f.BytesLen)
		for i := range b {
			b[i] = byte(i % 251)
		}
		return Bytes(b)
	case f.Timestamp != nil:
		return Value{Kind: KindTimestamp, Num: number[int64](t, f.Timestamp.Seconds), Nanos: f.Timestamp.Nanos}
	}
	t.Fatalf("what %s means is not known", raw)
	return Value{}
}

func testValueVector(t *testing.T, v *vector) {
	want, b := describedValue(t, v.Fields), v.bytes(t)
	got, err := ParseReferenceValue(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(want, got); d != "" {
		t.Errorf("decoded differs (-want +got):\n%.2000s", d)
	}
	again, err := want.AppendReference(nil)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("encoded: %.500x, %v", again, err)
	}
}

func testRowVector(t *testing.T, v *vector) {
	var raw []json.RawMessage
	v.fields(t, &raw)
	var want []Value
	for _, r := range raw {
		want = append(want, describedValue(t, r))
	}
	got, err := ParseReferenceRow(v.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(want, got); d != "" {
		t.Errorf("decoded differs (-want +got):\n%s", d)
	}
	again, err := AppendReferenceRow(nil, want)
	if err != nil || !bytes.Equal(again, v.bytes(t)) {
		t.Errorf("encoded: %x, %v", again, err)
	}
}

func testTimestampVector(t *testing.T, v *vector) {
	var result struct {
		Accepted bool            `json:"accepted"`
		Value    json.RawMessage `json:"value"`
	}
	unmarshal(t, v.Result, &result)
	got, err := ParseReferenceValue(v.bytes(t))
	if !result.Accepted {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("got %+v, %v; the reference client refuses it", got, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(describedValue(t, result.Value), got); d != "" {
		t.Errorf("decoded differs (-want +got):\n%s", d)
	}
	var canonical valueFields
	unmarshal(t, result.Value, &canonical)
	if text := string(appendTimestampText(nil, got)); text != canonical.Timestamp.Text {
		t.Errorf("written again as %s, the reference client writes %s", text, canonical.Timestamp.Text)
	}
}

func testStringVector(t *testing.T, v *vector) {
	var f struct {
		Error string `json:"error"`
	}
	v.fields(t, &f)
	d := NewReferenceDecoder("Error", v.bytes(t))
	if got := d.String("error"); got != f.Error || d.Finish() != nil {
		t.Errorf("got %q, %v", got, d.Finish())
	}
	if again := AppendReferenceString(nil, f.Error); !bytes.Equal(again, v.bytes(t)) {
		t.Errorf("encoded: %x", again)
	}
}

func testOptionVector(t *testing.T, v *vector) {
	var want *string
	v.fields(t, &want)
	d := NewReferenceDecoder(v.Kind, v.bytes(t))
	some := d.Option("option")
	if some != (want != nil) {
		t.Fatalf("some is %v", some)
	}
	again := AppendReferenceOption(nil, some)
	if some {
		switch v.Kind {
		case "Option<u64>":
			if got := d.U64("value"); got != number[uint64](t, *want) {
				t.Errorf("got %d", got)
			}
			again = AppendReferenceU64(again, number[uint64](t, *want))
		case "Option<i64>":
			if got := d.I64("value"); got != number[int64](t, *want) {
				t.Errorf("got %d", got)
			}
			again = AppendReferenceI64(again, number[int64](t, *want))
		case "Option<bytes>":
			if got := hex.EncodeToString(d.Bytes("value")); got != *want {
				t.Errorf("got %s", got)
			}
			content, _ := hex.DecodeString(*want)
			again = AppendReferenceBytes(again, content)
		default:
			t.Fatalf("a value of %s is not expected", v.Kind)
		}
	}
	if err := d.Finish(); err != nil || !bytes.Equal(again, v.bytes(t)) {
		t.Errorf("encoded: %x, %v", again, err)
	}
}

// payloadErrorTypes are the types of payload_error vectors that this package
// decodes; the others are structs of reference mode.
var payloadErrorTypes = map[string]func([]byte) error{
	"Value": func(b []byte) error { _, err := ParseReferenceValue(b); return err },
	"row":   func(b []byte) error { _, err := ParseReferenceRow(b); return err },
	"Option<u64>": func(b []byte) error {
		d := NewReferenceDecoder("Option", b)
		if d.Option("option") {
			d.U64("value")
		}
		return d.Finish()
	},
}

func testPayloadErrorVector(t *testing.T, v *vector) {
	kind := v.damagedType(t)
	parse := payloadErrorTypes[kind]
	if parse == nil {
		t.Fatalf("nobody is responsible for type %q", kind)
	}
	err := parse(v.bytes(t))
	if d, ok := stricter[v.Name]; ok {
		checkDifference(t, v.Expect, d.kind, err)
		return
	}
	checkKind(t, v.Expect, err)
}
