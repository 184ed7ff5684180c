package session

import (
	"testing"

	"github.com/qdb-go/qdb/wire"
)

// lender sends batches of rows within the client's credit: as long as some is
// left, so that the last batch may go beyond it.
type lender struct {
	p      *peer
	seq    uint64
	credit int64
	grants int
}

// lend expects an Execute and begins its result, with one row.
func lend(p *peer) *lender {
	p.t.Helper()
	seq, x := p.execute()
	l := &lender{p: p, seq: seq, credit: int64(x.Credit)}
	p.sayRows(seq, 1, wire.Int(0))
	l.spend()
	return l
}

// spend sends what is on its way, a message, and counts it.
func (l *lender) spend() {
	const frame = 5 // around the message
	l.credit -= int64(l.p.out.Len() - frame - wire.MessageOverhead)
	l.p.flush()
}

// batch sends one message with a value of about the size, having waited for
// credit.
func (l *lender) batch(size int) {
	l.p.t.Helper()
	for l.credit <= 0 {
		var c wire.Credit
		l.p.expect(wire.TypeCredit, &c)
		if c.Target != l.seq || c.Bytes == 0 {
			l.p.fatalf("Credit of %d bytes for %d, the request is %d", c.Bytes, c.Target, l.seq)
		}
		l.credit += int64(c.Bytes)
		l.grants++
	}
	l.p.sayMore(l.seq, 1, wire.Bytes(make([]byte, size)))
	l.spend()
}

func TestTheNodeNeverWaitsLongForCreditAndNeverHasMoreThanTheWindow(t *testing.T) {
	for name, c := range map[string]struct{ size, batches, most int }{
		"small batches":                {8 << 10, 500, 32},
		"large batches":                {64 << 10, 100, 50},
		"batches beyond half a window": {200 << 10, 20, 20},
		"batches beyond the window":    {700 << 10, 8, 8},
		"batches of a few bytes":       {1, 6000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				l := lend(p)
				for range c.batches {
					l.batch(c.size)
					if l.credit > creditWindow {
						p.fatalf("the node has a credit of %d, the window is %d", l.credit, creditWindow)
					}
				}
				if l.grants > c.most {
					p.t.Errorf("%d grants, want at most %d", l.grants, c.most)
				}
				p.say(wire.TypeComplete, l.seq, &wire.Complete{})
				p.flush()
				for { // grants for what came last may still come
					if m := p.next(); m.Type == wire.TypeTerminate {
						return
					}
				}
			})
			rows := start(t, s, "SELECT a FROM t")
			got, err := column(rows)
			if err != nil || len(got) != c.batches+1 {
				t.Fatalf("%d rows, error %v; want %d", len(got), err, c.batches+1)
			}
			stream.free(t)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASlowReaderGrantsNothing(t *testing.T) {
	sent := make(chan struct{})
	s, stream := open(t, func(p *peer) {
		l := lend(p)
		for range 4 {
			l.batch(64 << 10)
		}
		close(sent)
		if l.credit > 0 {
			p.t.Errorf("a credit of %d is left", l.credit)
		}
		l.batch(1)
		p.reply(wire.TypeComplete, l.seq, &wire.Complete{})
		for p.next().Type != wire.TypeTerminate { // a further grant may come
		}
	})
	rows := start(t, s, "SELECT a FROM t")
	<-sent
	before := stream.count()
	for range 2 { // of the five that are on their way
		if err := rows.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := rows.Value(); err != nil {
			t.Fatal(err)
		}
	}
	if stream.count() != before {
		t.Errorf("%d writes for a reader that has read %d bytes", stream.count()-before, rows.granted)
	}
	got, err := column(rows)
	if err != nil || len(got) != 4 {
		t.Errorf("%d further rows, error %v", len(got), err)
	}
	if stream.count() == before {
		t.Error("a reader that has read all of it granted nothing")
	}
}

func TestAGrantThatCannotBeWrittenBreaksTheSession(t *testing.T) {
	t.Parallel()
	s, stream := openPipe(t, func(p *peer) {
		l := lend(p)
		l.batch(creditWindow)
		<-p.t.Context().Done() // reads nothing more
	})
	rows := start(t, s, "SELECT a FROM t")
	if err := rows.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Value(); err != nil {
		t.Fatal(err)
	}
	if err := rows.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Value(); err != nil {
		t.Fatal(err)
	}
	go s.Abort(errTest)
	lost := asLost(t, rows.Next())
	if !lost.ReadOnly || s.Broken() == nil {
		t.Errorf("error %v, broken %v", lost, s.Broken())
	}
	stream.shutOnce(t)
}

func TestNothingIsGrantedWhileABatchIsAtHand(t *testing.T) {
	const batches, size = 60, 8 << 10
	batch := &rowsOf{wire.RowsHeader{Count: 1}, []wire.Value{wire.Bytes(make([]byte, size))}}
	s, c := openMemory(t, func(m wire.Message, out *wire.Encoder) {
		if m.Type != wire.TypeExecute {
			return
		}
		put(out, wire.TypeRows, m.Sequence, &rowsOf{wire.RowsHeader{First: true, HasColumns: true, Description: 1, Width: 1,
			Columns: columnsOf(1)}, nil})
		for range batches {
			put(out, wire.TypeRows, m.Sequence, batch)
		}
		put(out, wire.TypeComplete, m.Sequence, &wire.Complete{})
	})
	rows := start(t, s, "SELECT a FROM t")
	const plenty = 1 << 20
	c.room = plenty
	held, granted := 0, 0
	for range batches {
		atHand, due := s.reader.FrameBuffered(), rows.granted >= creditWindow/2
		before := c.room
		if err := rows.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := rows.Value(); err != nil {
			t.Fatal(err)
		}
		switch wrote := c.room < before; {
		case wrote && (atHand || !due):
			t.Fatalf("Credit was written though a batch was at hand (%v) or it was not due (%v)", atHand, !due)
		case wrote:
			granted++
		case due && atHand:
			held++
		}
	}
	if held == 0 || granted == 0 {
		t.Errorf("Credit was held back %d times and written %d times: nothing was tested", held, granted)
	}
}
