package session

import (
	"context"
	"io"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

// replay is a node that answers each Execute with one row of six columns, and
// sets nothing aside for it.
type replay struct {
	rows     rowsOf
	complete wire.Complete
}

func newReplay() *replay {
	row := []wire.Value{wire.Int(1), wire.Float(2.5), wire.String("a text of 20 letters"),
		wire.Bool(true), {Kind: wire.KindTimestamp, Num: 1_700_000_000, Nanos: 5}, wire.Bytes(make([]byte, 16))}
	return &replay{rows: rowsOf{wire.RowsHeader{First: true, HasColumns: true, Description: 1, Width: len(row),
		Columns: columnsOf(len(row)), Count: 1}, row}}
}

func (n *replay) answer(m wire.Message, out *wire.Encoder) {
	put(out, wire.TypeRows, m.Sequence, &n.rows)
	put(out, wire.TypeComplete, m.Sequence, &n.complete)
	n.rows.HasColumns, n.rows.Columns = false, nil
}

// warm gives a function that runs a query with an argument and reads its row.
func warm(t testing.TB, ctx context.Context) func() {
	s, _ := openMemory(t, newReplay().answer)
	req := &Request{SQL: "SELECT a, b, c, d, e, f FROM t WHERE a = ?", Arguments: []wire.Argument{{Value: wire.Int(1)}}}
	rows := new(Rows)
	run := func() {
		if err := s.Query(ctx, rows, req); err != nil {
			t.Fatal(err)
		}
		for rows.Next() == nil {
			for range rows.Columns() {
				if _, err := rows.Value(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := rows.Close(); err != nil || rows.Next() != io.EOF {
			t.Fatal(err)
		}
	}
	run()
	return run
}

func TestAWarmQueryAllocatesNothingOfItsOwn(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		most float64
	}{
		"with a context that cannot end": {context.Background(), 0},
		// context.AfterFunc with its registration, the channel that tells when
		// the callback has run, and the callback.
		"with a context that can": {ended, 4},
	} {
		t.Run(name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, warm(t, c.ctx)); got > c.most {
				t.Errorf("%v allocations, want at most %v", got, c.most)
			} else {
				t.Logf("%v allocations", got)
			}
		})
	}
}

func TestAWarmExecAllocatesNothingOfItsOwn(t *testing.T) {
	n := &replay{complete: wire.Complete{RowsAffected: 1, Wrote: true}}
	s, _ := openMemory(t, func(m wire.Message, out *wire.Encoder) { put(out, wire.TypeComplete, m.Sequence, &n.complete) })
	req := &Request{SQL: "INSERT INTO t VALUES (?)", Arguments: []wire.Argument{{Value: wire.Int(1)}}}
	run := func() {
		if sum, err := s.Exec(context.Background(), req); err != nil || sum.RowsAffected != 1 {
			t.Fatal(sum, err)
		}
		s.Recycle()
	}
	run()
	if got := testing.AllocsPerRun(200, run); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

func BenchmarkWarmQuery(b *testing.B) {
	run := warm(b, context.Background())
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

func BenchmarkWarmQueryWithAContextThatCanEnd(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	run := warm(b, ctx)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

// TestTheBenchmarksRun keeps them from rotting.
func TestTheBenchmarksRun(t *testing.T) {
	warm(t, context.Background())()
	warm(t, t.Context())()
}
