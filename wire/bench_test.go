package wire

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// bench is the body of a benchmark: prepared once, run over and over. The same
// bodies are run by the tests, so that they cannot rot, and where a budget is
// given, their allocations are counted.
type bench struct {
	name    string
	bytes   int // handled by one run
	budget  int // allocations of one run; -1: not counted
	prepare func(t testing.TB) func()
}

const batchSize = 64 << 10

func benches() []bench {
	return []bench{
		{"EncodeExecuteTrain", 0, 0, encodeExecuteTrain},
		{"DecodeResultTrain", 0, 0, decodeResultTrain},
		{"DecodeExecute", 0, 1, decodeExecute},
		{"DecodeBatchPerRow", 0, 0, decodeBatchPerRow},
		{"ReadBatch", batchSize, 0, readBatch},
		{"ReadBatchLZ4", batchSize, 0, readBatchLZ4},
		{"ReadLargeValue", 1 << 20, 0, readLargeValue},
		{"EncodeLargeValue", 1 << 20, -1, encodeLargeValue},
		{"Checksum", batchSize, 0, checksumBatch},
		{"CompressLZ4", batchSize, 0, compressBatch},
		{"DecompressLZ4", batchSize, 0, decompressBatch},
		{"ParseValue", 0, 0, parseValue},
		{"ReferenceRow", 0, -1, referenceRow},
	}
}

func Benchmark(b *testing.B) {
	for _, c := range benches() {
		b.Run(c.name, func(b *testing.B) {
			run := c.prepare(b)
			run()
			b.ReportAllocs()
			b.SetBytes(int64(c.bytes))
			for b.Loop() {
				run()
			}
		})
	}
}

func TestEveryBenchmarkRuns(t *testing.T) {
	for _, c := range benches() {
		t.Run(c.name, func(t *testing.T) { c.prepare(t)() })
	}
}

func TestHotPathsKeepToTheirAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates where the program does not")
	}
	for _, c := range benches() {
		if c.budget < 0 {
			continue
		}
		run := c.prepare(t)
		run() // sets aside what is kept
		if got := testing.AllocsPerRun(100, run); got > float64(c.budget) {
			t.Errorf("%s: %v allocations, %d are allowed", c.name, got, c.budget)
		}
	}
}

// encodeExecuteTrain: what a client sends for a prepared statement with one
// argument on a session whose transaction begins with it.
func encodeExecuteTrain(t testing.TB) func() {
	var e Encoder
	begin := Transaction{Op: TxBegin, ID: sampleID}
	execute := Execute{Statement: 5, Flags: WantRows | InTransaction, Credit: 1 << 18, Known: 9, Timeout: 5000}
	return func() {
		e.Reset()
		e.Begin(TypeTransaction, 1)
		e.Payload = begin.AppendTo(e.Payload)
		must(t, e.End())
		e.Begin(TypeExecute, 2)
		e.Payload = execute.AppendHead(e.Payload, 1)
		e.Payload = AppendArgument(e.Payload, "", Int(7))
		must(t, e.End())
	}
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// loop is a stream without end of the same bytes.
type loop struct {
	b   []byte
	off int
}

func (l *loop) Read(p []byte) (int, error) {
	if l.off == len(l.b) {
		l.off = 0
	}
	n := copy(p, l.b[l.off:])
	l.off += n
	return n, nil
}

// aRow is the row of the goals: int64, float64, 20 characters, bool, timestamp,
// 16 bytes.
func aRow(dst []byte, i int) []byte {
	dst = Int(int64(i)).AppendTo(dst)
	dst = Float(float64(i) / 3).AppendTo(dst)
	dst = Value{Kind: KindString, Raw: []byte("a text of 20 letters")}.AppendTo(dst)
	dst = Bool(i%2 == 0).AppendTo(dst)
	dst = Timestamp(time.Unix(1704067200+int64(i), 123000)).AppendTo(dst)
	return Bytes(sampleID[:]).AppendTo(dst)
}

const rowWidth = 6

// aBatch is a Rows payload of about 64 KiB.
func aBatch() (payload []byte, count int) {
	var rows []byte
	for len(rows) < batchSize {
		rows = aRow(rows, count)
		count++
	}
	header := RowsHeader{First: true, Description: 9, Width: rowWidth, Count: count}
	return append(header.AppendTo(nil), rows...), count
}

// decodeResultTrain: what a client reads for a select by key: one row, the end.
func decodeResultTrain(t testing.TB) func() {
	header := RowsHeader{First: true, Description: 9, Width: rowWidth, Count: 1}
	complete := Complete{Tx: TxActive, SchemaEpoch: 3}
	var e Encoder
	r := NewReader(&loop{b: train(t, &e, []Message{
		{Envelope{Sequence: 2, Type: TypeRows}, aRow(header.AppendTo(nil), 1)},
		{Envelope{Sequence: 2, Type: TypeComplete}, complete.AppendTo(nil)},
	})})
	return func() {
		m, err := r.Next()
		must(t, err)
		rows, err := header.Decode(m.Payload)
		must(t, err)
		for range rowWidth {
			var ok bool
			if _, rows, ok = ParseValue(rows); !ok {
				t.Fatal("a value is refused")
			}
		}
		m, err = r.Next()
		must(t, err)
		must(t, complete.Decode(m.Payload))
	}
}

// decodeExecute: what a server decodes of it. The allocation is the text of the
// argument's name and the statement's SQL, of which one is there.
func decodeExecute(t testing.TB) func() {
	payload := (&Execute{Flags: WantRows, SQL: "select * from user where id = ?", Arguments: []Argument{{Value: Int(7)}}}).AppendTo(nil)
	var m Execute
	return func() { must(t, m.Decode(payload)) }
}

// decodeBatchPerRow: one run is one row.
func decodeBatchPerRow(t testing.TB) func() {
	payload, _ := aBatch()
	var header RowsHeader
	all, err := header.Decode(payload)
	must(t, err)
	rows := all
	return func() {
		if len(rows) == 0 {
			rows = all
		}
		for range rowWidth {
			var ok bool
			if _, rows, ok = ParseValue(rows); !ok {
				t.Fatal("a value is refused")
			}
		}
	}
}

// readOne reads the same frame over and over.
func readOne(t testing.TB, e *Encoder, payload []byte) func() {
	r := NewReader(&loop{b: train(t, e, []Message{{Envelope{Type: TypeRows}, payload}})})
	r.MaxMessageSize = SessionMaxMessageSize
	return func() {
		if m, err := r.Next(); err != nil || len(m.Payload) != len(payload) {
			t.Fatal(len(m.Payload), err)
		}
	}
}

func readBatch(t testing.TB) func() {
	payload, _ := aBatch()
	return readOne(t, &Encoder{}, payload)
}

func readBatchLZ4(t testing.TB) func() {
	payload, _ := aBatch()
	return readOne(t, &Encoder{CompressThreshold: 1024}, payload)
}

func readLargeValue(t testing.TB) func() {
	return readOne(t, &Encoder{MaxMessageSize: SessionMaxMessageSize}, Bytes(make([]byte, 1<<20)).AppendTo(nil))
}

func encodeLargeValue(t testing.TB) func() {
	e := Encoder{MaxMessageSize: SessionMaxMessageSize}
	value := Bytes(make([]byte, 1<<20))
	return func() {
		e.Reset()
		e.Begin(TypeExecute, 1)
		e.Payload = (&Execute{Statement: 5}).AppendHead(e.Payload, 1)
		e.Payload = AppendArgument(e.Payload, "", value)
		must(t, e.End())
	}
}

func checksumBatch(testing.TB) func() {
	msg := make([]byte, batchSize)
	return func() { checksum(msg) }
}

func compressBatch(t testing.TB) func() {
	payload, _ := aBatch()
	var out []byte
	return func() {
		var ok bool
		if out, ok = appendLZ4(out[:0], payload); !ok {
			t.Fatal("not compressed")
		}
	}
}

func decompressBatch(t testing.TB) func() {
	payload, _ := aBatch()
	data, _ := appendLZ4(nil, payload)
	var out []byte
	return func() {
		var err error
		if out, err = decompress(out, data, 1<<20); err != nil || len(out) != len(payload) {
			t.Fatal(len(out), err)
		}
	}
}

func parseValue(t testing.TB) func() {
	var all []byte
	for _, v := range sampleValues {
		all = v.AppendTo(all)
	}
	return func() {
		for rest := all; len(rest) > 0; {
			var ok bool
			if _, rest, ok = ParseValue(rest); !ok {
				t.Fatal("a value is refused")
			}
		}
	}
}

func referenceRow(t testing.TB) func() {
	row, err := AppendReferenceRow(nil, sampleValues)
	must(t, err)
	return func() {
		d := NewReferenceDecoder("row", row)
		values := d.Row(nil, "row")
		again, err := AppendReferenceRow(nil, values)
		if err != nil || d.Finish() != nil || !bytes.Equal(again, row) {
			t.Fatal(err, d.Finish())
		}
	}
}

func TestALargeValueIsEncodedIntoMemoryOfItsSize(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates where the program does not")
	}
	run := encodeLargeValue(t)
	run()
	if got, size := allocatedBy(run), uint64(1<<20); got > size+size/20 {
		t.Errorf("%d bytes were allocated for a value of %d", got, size)
	}
}

func TestBenchmarksHaveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range benches() {
		if seen[c.name] || strings.ContainsAny(c.name, " /") {
			t.Errorf("%q", c.name)
		}
		seen[c.name] = true
	}
}
