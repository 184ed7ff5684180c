package session

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// start runs a query and gives its rows.
func start(t testing.TB, s *Session, sql string) *Rows {
	t.Helper()
	rows := new(Rows)
	if err := s.Query(t.Context(), rows, &Request{SQL: sql}); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRowsStreamOverManyBatches(t *testing.T) {
	const batches, rowsPerBatch = 150, 37
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		next := int64(0)
		batch := func() (values []wire.Value) {
			for range rowsPerBatch {
				values = append(values, wire.Int(next), wire.Int(-next))
				next++
			}
			return values
		}
		p.sayRows(seq, 2, batch()...)
		p.sayMore(seq, 2) // one without rows
		for range batches - 1 {
			p.sayMore(seq, 2, batch()...)
			p.flush()
		}
		p.reply(wire.TypeComplete, seq, &wire.Complete{})
		p.ended(true)
	})
	rows := start(t, s, "SELECT a, b FROM t")
	for want := range int64(batches * rowsPerBatch) {
		if err := rows.Next(); err != nil {
			t.Fatalf("row %d: %v", want, err)
		}
		a, errA := rows.Value()
		b, errB := rows.Value()
		if errA != nil || errB != nil || a.Num != want || b.Num != -want {
			t.Fatalf("row %d is %d, %d (%v, %v)", want, a.Num, b.Num, errA, errB)
		}
	}
	for range 2 {
		if err := rows.Next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	stream.free(t)
}

func TestAValueOfEachKindArrivesAsItWasSent(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	want := []wire.Value{
		wire.Null(), wire.Bool(false), wire.Bool(true), wire.Int(math.MinInt64), wire.Float(math.Inf(-1)),
		wire.Float(math.NaN()), wire.String(""), wire.String("déjà vu\x00"), wire.Bytes(nil),
		wire.Bytes(bytes.Repeat([]byte{0xff}, 300)), wire.Timestamp(last), wire.Timestamp(time.Time{}),
	}
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, len(want), want...)
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		p.ended(true)
	})
	rows := start(t, s, "SELECT everything")
	if err := rows.Next(); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		v, err := rows.Value()
		if err != nil || v.Kind != w.Kind || v.Num != w.Num || v.Nanos != w.Nanos || !bytes.Equal(v.Raw, w.Raw) {
			t.Errorf("value %d: got %+v (%v), want %+v", i, v, err, w)
		}
	}
	if err := rows.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestSeveralResultsFollowOneAnother(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1), wire.Int(2))
		p.say(wire.TypeComplete, seq, &wire.Complete{More: true})
		p.say(wire.TypeComplete, seq, &wire.Complete{More: true, RowsAffected: 4, Wrote: true})
		p.sayRows(seq, 2)
		p.say(wire.TypeComplete, seq, &wire.Complete{More: true})
		p.sayRows(seq, 1, wire.Int(3))
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		p.ended(true)
	})
	rows := start(t, s, "SELECT 1; UPDATE t SET a = 1; SELECT * FROM u; SELECT 3")
	for i, want := range []struct {
		columns int
		values  []int64
	}{{1, []int64{1, 2}}, {0, nil}, {2, nil}, {1, []int64{3}}} {
		if i > 0 {
			if !rows.HasNextResult() {
				t.Fatalf("there is no result %d", i)
			}
			if err := rows.NextResult(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(rows.Columns()); n != want.columns {
			t.Errorf("result %d has %d columns, want %d", i, n, want.columns)
		}
		got, err := column(rows)
		wantInts(t, got, err, want.values...)
	}
	if err := rows.NextResult(); err != io.EOF || rows.HasNextResult() {
		t.Errorf("after the last result: %v", err)
	}
	if rows.Summary().RowsAffected != 4 {
		t.Errorf("%+v", rows.Summary())
	}
}

func TestNextResultDropsTheRowsThatAreLeft(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1), wire.Int(2))
		p.sayMore(seq, 1, wire.Int(3))
		p.say(wire.TypeComplete, seq, &wire.Complete{More: true})
		p.sayRows(seq, 1, wire.Int(4))
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		p.ended(true)
	})
	rows := start(t, s, "SELECT a FROM t; SELECT 4")
	if err := rows.NextResult(); err != nil {
		t.Fatal(err)
	}
	got, err := column(rows)
	wantInts(t, got, err, 4)
}

func TestAResponseThatMakesNoSenseBreaksTheSession(t *testing.T) {
	first := wire.RowsHeader{First: true, HasColumns: true, Description: description(1), Width: 1, Columns: columnsOf(1)}
	with := func(count int) wire.RowsHeader { h := first; h.Count = count; return h }
	for name, c := range map[string]struct {
		answer func(p *peer, seq uint64)
		want   string
	}{
		"a result that begins twice": {func(p *peer, seq uint64) { p.sayRows(seq, 1); p.sayRows(seq, 1) }, "begins twice"},
		"a result without a beginning": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, &rowsOf{wire.RowsHeader{Count: 1}, []wire.Value{wire.Int(1)}})
		}, "or not at all"},
		"more rows than bytes": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, &rowsOf{with(10), []wire.Value{wire.Int(1)}})
		}, "10 rows"},
		"more values than bytes": {func(p *peer, seq uint64) {
			h := wire.RowsHeader{First: true, HasColumns: true, Description: 1, Width: 2, Columns: columnsOf(2), Count: 9}
			p.say(wire.TypeRows, seq, &rowsOf{h, []wire.Value{wire.Int(1)}})
		}, "9 rows of 2 columns"},
		"half a value": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, raw(string((&rowsOf{with(1), nil}).AppendTo(nil))+"\x03\x01\x02"))
		}, "damaged value"},
		"a value of no known kind": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, raw(string((&rowsOf{with(1), nil}).AppendTo(nil))+"\x63"))
		}, "damaged value"},
		"bytes after the last row": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, &rowsOf{with(1), []wire.Value{wire.Int(1), wire.Int(2)}})
		}, "follow the last row"},
		"bytes where there are no rows": {func(p *peer, seq uint64) {
			p.say(wire.TypeRows, seq, &rowsOf{with(0), []wire.Value{wire.Int(1)}})
		}, "follow the last row"},
		"an earlier sequence number": {func(p *peer, seq uint64) { p.sayRows(seq-1, 1) }, "sequence number"},
		"a later sequence number":    {func(p *peer, seq uint64) { p.sayRows(seq+1, 1) }, "sequence number"},
		"sequence number 0":          {func(p *peer, _ uint64) { p.sayRows(0, 1) }, "sequence number"},
		"another message":            {func(p *peer, seq uint64) { p.say(wire.TypeAck, seq, &wire.Ack{}) }, "Ack"},
		"a damaged header":           {func(p *peer, seq uint64) { p.say(wire.TypeRows, seq, raw("\x07")) }, "flags"},
		"a damaged change of the topology": {func(p *peer, _ uint64) {
			p.say(wire.TypeClusterJoin, 0, raw("\x09short"))
		}, "node_id"},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				seq, _ := p.execute()
				c.answer(p, seq)
				p.flush()
				p.ended(false)
			})
			_, err := query(t.Context(), s, "SELECT 1")
			lost := asLost(t, err)
			if !lost.ReadOnly || !strings.Contains(lost.Err.Error(), c.want) || s.Broken() == nil || s.Recycle() {
				t.Errorf("error %v, broken %v", lost, s.Broken())
			}
			stream.shutOnce(t)
		})
	}
}

func TestAnErrorOfRowsComesBackAtEachFurtherCall(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.refuse(seq, "22012")
		p.ended(true)
	})
	rows := start(t, s, "SELECT 1/a FROM t")
	got, err := column(rows)
	if len(got) != 1 || codeOf(err) != "22012" {
		t.Errorf("got %v, error %v", got, err)
	}
	for name, again := range map[string]error{"Next": rows.Next(), "NextResult": rows.NextResult()} {
		if codeOf(again) != "22012" {
			t.Errorf("%s: %v", name, again)
		}
	}
	if err := rows.Close(); err != nil || rows.HasNextResult() {
		t.Errorf("Close: %v", err)
	}
	stream.free(t)
}

func TestARequestIsRefusedWhileTheRowsOfAnotherAreRead(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.expect(wire.TypeCancel, nil)
		p.refuse(seq, "57014")
		seq, _ = p.execute()
		p.answer(seq, wire.Int(2))
		p.ended(true)
	})
	rows := start(t, s, "SELECT a FROM t")
	before := stream.count()
	for _, err := range []error{
		readOne(t.Context(), s), writeOne(t.Context(), s), prepareOne(t.Context(), s), pingOne(t.Context(), s), s.Commit(t.Context()),
	} {
		if codeOf(err) != "24000" || effectOf(err) != wire.EffectNone {
			t.Errorf("error %v", err)
		}
	}
	if stream.count() != before || s.Broken() != nil {
		t.Errorf("%d writes, broken %v", stream.count()-before, s.Broken())
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	got, err := query(t.Context(), s, "SELECT 2")
	wantInts(t, got, err, 2)
}

func TestNewsAndSignsOfLifeMayComeBetweenRows(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.say(wire.TypeHeartbeat, 0, raw(""))
		p.sayRows(seq, 1, wire.Int(1))
		p.say(wire.TypeClusterLeave, 0, &wire.TopologyChange{NodeID: "n2", Reason: wire.LeaveGone})
		p.say(wire.TypeHeartbeat, 0, raw(""))
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		p.ended(true)
	})
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
	if news := s.News(); news == nil || news.NodeID != "n2" || s.News() != nil {
		t.Errorf("news %+v", news)
	}
}
