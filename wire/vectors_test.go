package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// vectorsFile holds bytes that the reference client printed. It is not part of
// this repository; the golden files beside this test hold the same facts.
const vectorsFile = "../../shared/wire-vectors/reference.jsonl"

// vector is one line of that file. Which fields it has depends on its kind.
type vector struct {
	Name        string          `json:"name"`
	Kind        string          `json:"kind"`
	Hex         string          `json:"hex"`
	Fields      json.RawMessage `json:"fields"`
	Expect      string          `json:"expect"`             // corrupt_frame, payload_error
	Encode      string          `json:"encode"`             // limit
	Decode      string          `json:"decode"`             // limit
	ReadMessage string          `json:"read_message"`       // limit
	Length      uint32          `json:"frame_length_field"` // limit
	Result      json.RawMessage `json:"result"`             // timestamp_text
}

func (v *vector) bytes(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v *vector) fields(t *testing.T, into any) {
	t.Helper()
	unmarshal(t, v.Fields, into)
}

func unmarshal(t *testing.T, raw json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// vectorTests are the kinds that this package is responsible for.
var vectorTests = map[string]func(*testing.T, *vector){
	"frame":            testFrameVector,
	"frame_compressed": testCompressedVector,
	"message_bincode":  testMessageVector,
	"message_flagged":  testFlaggedVector,
	"exchange":         testFrameVector,
	"limit":            testLimitVector,
	"corrupt_frame":    testCorruptVector,
	"lenient_frame":    testLenientVector,
	"MessageType":      testTypeVector,
	"value":            testValueVector,
	"row":              testRowVector,
	"timestamp_text":   testTimestampVector,
	"stream_error":     testStringVector,
	"Option<u64>":      testOptionVector,
	"Option<i64>":      testOptionVector,
	"Option<bytes>":    testOptionVector,
	"Option<string>":   testOptionVector,
	"payload_error":    testPayloadErrorVector,
}

// payloadVectors are the kinds that are about the payloads of reference mode's
// requests and responses, of which this package has only the parts.
var payloadVectors = setOf(
	"DataType", "Role", "Permission", "NodeStatus", "NodeRole", "NodeHealthStatus", "IsolationLevel", "Feature", "ProtocolType",
	"data.ExecuteRequest", "data.QueryRequest", "data.PrepareRequest", "data.BatchRequest",
	"data.ExecuteResponse", "ColumnMetadata", "data.QueryResponse", "data.PrepareResponse", "data.BatchResponse",
	"TransactionRequest", "TransactionResponse",
	"txn.ExecuteRequest", "txn.QueryRequest", "txn.ExecuteResponse", "txn.QueryResponse", "ambiguous",
	"FeatureNegotiation", "ProtocolNegotiation", "Request", "Response",
	"UserUpdate", "UserInfo", "ClusterNodeInfo", "NodeHealthMetrics", "ClusterMetrics", "AuthToken",
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// readVectors gives all vectors, or skips the test where the file is absent.
func readVectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile(vectorsFile)
	if os.IsNotExist(err) {
		t.Skipf("%s is not there: the vectors of the reference client cannot be compared; the golden files still are", vectorsFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		unmarshal(t, lines.Bytes(), &v)
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// damagedType is the type that a payload_error vector is to be decoded as.
func (v *vector) damagedType(t *testing.T) string {
	t.Helper()
	var f struct {
		Type string `json:"type"`
	}
	v.fields(t, &f)
	return f.Type
}

func TestTheVectorsOfTheReferenceClient(t *testing.T) {
	ran, left := map[string]int{}, 0
	for _, v := range readVectors(t) {
		switch test := vectorTests[v.Kind]; {
		case payloadVectors[v.Kind], v.Kind == "payload_error" && payloadVectors[v.damagedType(t)]:
			left++
		case test == nil:
			t.Errorf("%s: nobody is responsible for kind %q", v.Name, v.Kind)
		default:
			ran[v.Kind]++
			t.Run(v.Name, func(t *testing.T) { test(t, &v) })
		}
	}
	total := 0
	for kind := range vectorTests {
		if ran[kind] == 0 {
			t.Errorf("no vector of kind %q ran", kind)
		}
		total += ran[kind]
	}
	t.Logf("%d vectors ran, %d are about whole payloads of reference mode", total, left)
}

// stricter lists, by name, the vectors at which this reader means to differ from
// the reference client's, with the reason. Each is checked to differ.
var stricter = map[string]struct {
	kind   error // that this reader gives; nil: it accepts
	reason string
}{
	"corrupt.flag_2":            {ErrMalformed, "flags 2 to 255 are left free for later versions, not taken for plain"},
	"corrupt.flag_255":          {ErrMalformed, "flags 2 to 255 are left free for later versions, not taken for plain"},
	"corrupt.trailing_byte":     {ErrMalformed, "bytes after the message are covered by no checksum"},
	"corrupt.trailing_kilobyte": {ErrMalformed, "bytes after the message are covered by no checksum"},
	"corrupt.lz4_size_plus1":    {ErrMalformed, "the LZ4 size is exact, not an upper bound"},
	"corrupt.lz4_size_1MiB_plus": {ErrTooLarge,
		"the LZ4 size is judged before memory is set aside for it"},
	"corrupt.lz4_size_big_endian": {ErrTooLarge,
		"the LZ4 size is judged before memory is set aside for it"},
	"limit.max512.lz4_bomb_accepted": {ErrTooLarge,
		"the limit holds for the decompressed message, too"},

	"corrupt.payload_len_minus1": {ErrMalformed,
		"the payload length is compared with what is there before the checksum is computed"},
	"corrupt.type_12": {ErrChecksum,
		"type 12 is known: it is session mode's Handshake"},
	"corrupt.empty_stream": {errEndOfStream,
		"a stream that ends between two frames has ended, and is not broken"},

	"corrupt.len_too_large_by_one": {ErrTruncated,
		"the limit is for the message, without the flag: this length is the greatest allowed, and then the stream ends"},
	"limit.max512.payload464": {nil,
		"the limit is for the message, without the flag: what may be written can be read"},
	"limit.max1MiB.payload1048528": {nil,
		"the limit is for the message, without the flag: what may be written can be read"},

	"payload_error.value_null_trailing": {ErrMalformed,
		"untagged payloads can be told apart only if nothing may be left over"},
}

func TestEveryListedDifferenceFromTheReferenceExists(t *testing.T) {
	names := map[string]bool{}
	for _, v := range readVectors(t) {
		names[v.Name] = true
	}
	for name := range stricter {
		if !names[name] {
			t.Errorf("there is no vector %q", name)
		}
	}
}

// number is a 64-bit number that travels in JSON as text.
func number[T uint64 | int64](t *testing.T, text string) T {
	t.Helper()
	if s, err := strconv.ParseInt(text, 10, 64); err == nil {
		return T(s)
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return T(u)
}
