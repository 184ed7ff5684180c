package session

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// buffered waits until the whole of what the node sent is in the session's
// buffer, as far as a frame tells.
func buffered(t testing.TB, rows *Rows, sent <-chan struct{}) {
	t.Helper()
	<-sent
	if err := rows.Next(); err != nil {
		t.Fatal(err)
	}
}

func TestCloseSendsNothingWhenTheRestIsAtHand(t *testing.T) {
	sent := make(chan struct{})
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		for range 50 {
			p.sayMore(seq, 1, wire.Int(2))
		}
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush() // one write: the first read takes all of it
		close(sent)
		seq, _ = p.execute()
		p.answer(seq, wire.Int(3))
		p.ended(true)
	})
	rows := start(t, s, "SELECT a FROM t")
	buffered(t, rows, sent)
	before := stream.count()
	for range 2 {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	if stream.count() != before {
		t.Errorf("%d writes", stream.count()-before)
	}
	if err := rows.Next(); err != io.EOF {
		t.Errorf("a row after Close: %v", err)
	}
	got, err := query(t.Context(), s, "SELECT 3")
	wantInts(t, got, err, 3)
}

func TestCloseCancelsAReadAndDropsWhatWasOnItsWay(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		var c wire.Cancel
		p.expect(wire.TypeCancel, &c)
		if c.Target != seq {
			p.t.Errorf("Cancel names %d, the request is %d", c.Target, seq)
		}
		for range 20 {
			p.sayMore(seq, 1, wire.Int(2))
			p.flush()
		}
		p.refuse(seq, "57014")
		seq, x := p.execute()
		if x.SQL != "" || x.Known != description(1) {
			p.t.Errorf("a statement that had answered was not taken for prepared: %+v", x)
		}
		p.answer(seq, wire.Int(3))
		p.ended(true)
	})
	rows := start(t, s, "SELECT a FROM t")
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	stream.free(t)
	got, err := query(t.Context(), s, "SELECT a FROM t")
	wantInts(t, got, err, 3)
}

func TestACancelThatComesTooLateIsNoErrorOfClose(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.expect(wire.TypeCancel, nil)
		p.reply(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxNone})
		p.ended(true)
	})
	if err := start(t, s, "SELECT a FROM t").Close(); err != nil {
		t.Error(err)
	}
	stream.free(t)
}

func TestCloseDropsFurtherResults(t *testing.T) {
	sent := make(chan struct{})
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.say(wire.TypeComplete, seq, &wire.Complete{More: true})
		p.sayRows(seq, 2, wire.Int(1), wire.Int(2))
		p.sayMore(seq, 2, wire.Int(1), wire.Int(2))
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		close(sent)
		seq, _ = p.execute()
		p.answer(seq, wire.Int(3))
		p.ended(true)
	})
	rows := start(t, s, "SELECT a FROM t; SELECT a, b FROM t")
	buffered(t, rows, sent)
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	got, err := query(t.Context(), s, "SELECT 3")
	wantInts(t, got, err, 3)
}

func TestCloseGivesUpASessionWhoseNodeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.expect(wire.TypeCancel, nil)
		p.ended(false)
	})
	rows := start(t, s, "SELECT a FROM t")
	began := time.Now()
	if err := rows.Close(); err != nil {
		t.Errorf("a read cannot have had an effect, yet Close says %v", err)
	}
	if took := time.Since(began); took < cancelGrace || took > 2*cancelGrace {
		t.Errorf("Close took %v, the grace is %v", took, cancelGrace)
	}
	if s.Broken() == nil {
		t.Error("the session is not broken")
	}
	stream.shutOnce(t)
}

func TestCloseBringsAWriteToItsEnd(t *testing.T) {
	for _, sql := range []string{
		"INSERT INTO t VALUES (1) RETURNING a",
		"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x RETURNING a", // in a transaction, so not guarded
		"SELECT 1; INSERT INTO t VALUES (1)",
	} {
		t.Run(sql, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				seq, _ := p.begin()
				p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
				seq, _ = p.execute()
				p.sayRows(seq, 1, wire.Int(1))
				p.flush()
				p.sayMore(seq, 1, make([]wire.Value, creditWindow)...) // takes the credit up
				p.flush()
				p.expect(wire.TypeCredit, nil) // and no Cancel
				p.reply(wire.TypeComplete, seq, &wire.Complete{Wrote: true, Tx: wire.TxActive})
				p.ended(true)
			})
			s.Begin(wire.IsolationDefault, false)
			if err := start(t, s, sql).Close(); err != nil {
				t.Error(err)
			}
			if s.Tx() != wire.TxActive {
				t.Errorf("transaction %v", s.Tx())
			}
			stream.free(t)
		})
	}
}

func TestCloseSaysWhyAWriteFailedAfterItsFirstRow(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		s, stream := open(t, func(p *peer) {
			seq, _ := p.execute()
			p.sayRows(seq, 1, wire.Int(1))
			p.flush()
			p.refuse(seq, "57014")
			p.ended(true)
		})
		if err := start(t, s, "INSERT INTO t VALUES (1) RETURNING a").Close(); codeOf(err) != "57014" {
			t.Errorf("error %v", err)
		}
		stream.free(t)
	})
	t.Run("lost", func(t *testing.T) {
		s, _ := open(t, func(p *peer) {
			seq, _ := p.execute()
			p.sayRows(seq, 1, wire.Int(1))
			p.flush()
		})
		lost := asLost(t, start(t, s, "INSERT INTO t VALUES (1) RETURNING a").Close())
		if lost.SQL().Effect != wire.EffectUnknown {
			t.Errorf("error %v", lost)
		}
	})
}

func TestAReadInATransactionIsCutShortToo(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, x := p.execute()
		if x.Flags&wire.ReadOnly != 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.expect(wire.TypeCancel, nil)
		p.refuse(seq, "57014", func(e *wire.Error) { e.Tx = wire.TxActive })
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if err := start(t, s, "SELECT a FROM t").Close(); err != nil || s.Tx() != wire.TxActive {
		t.Errorf("error %v, transaction %v", err, s.Tx())
	}
	stream.free(t)
}

func TestCloseAfterTheContextHasEndedLeavesTheSessionUsable(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		var c wire.Cancel
		for range 2 { // by the context, and by Close
			if p.expect(wire.TypeCancel, &c); c.Target != seq {
				p.t.Errorf("Cancel names %d, the request is %d", c.Target, seq)
			}
		}
		p.refuse(seq, "57014")
		seq, _ = p.execute()
		p.answer(seq, wire.Int(2))
		p.ended(true)
	})
	ctx, cancel := context.WithCancel(t.Context())
	rows := new(Rows)
	if err := s.Query(ctx, rows, &Request{SQL: "SELECT a FROM t"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	stream.free(t)
	got, err := query(t.Context(), s, "SELECT 2")
	wantInts(t, got, err, 2)
}

func TestCloseOfRowsThatWereNeverOpenedDoesNothing(t *testing.T) {
	if err := new(Rows).Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseAfterAnAbortReturnsAtOnce(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.ended(false)
	})
	rows := start(t, s, "SELECT a FROM t")
	cause := errors.New("the node is gone")
	s.Abort(cause)
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if !errors.Is(s.Broken(), cause) {
		t.Errorf("broken: %v", s.Broken())
	}
}
