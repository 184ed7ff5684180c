package session

import (
	"context"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

func TestASessionThatIsAsNewIsNotReset(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		for range 2 {
			seq, _ := p.execute()
			p.answer(seq, wire.Int(1))
		}
		p.ended(true)
	})
	for range 2 {
		before := stream.count()
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, 1)
		if !s.Recycle() {
			t.Error("it cannot be used again")
		}
		if n := stream.count() - before; n != 1 {
			t.Errorf("%d writes", n)
		}
	}
}

func TestWhatAUserLeftBehindIsResetWithTheNextRequest(t *testing.T) {
	for name, c := range map[string]struct {
		complete wire.Complete
	}{
		"settings or temporary tables": {wire.Complete{Dirty: true}},
		"an open transaction":          {wire.Complete{Tx: wire.TxActive}},
		"a failed transaction":         {wire.Complete{Tx: wire.TxFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				seq, _ := p.execute()
				p.reply(wire.TypeComplete, seq, &c.complete)
				p.ack(p.expect(wire.TypeReset, nil), wire.TxNone, 0)
				seq, x := p.execute()
				if x.Flags&wire.InTransaction != 0 {
					p.t.Errorf("flags %b", x.Flags)
				}
				p.answer(seq, wire.Int(1))
				seq, _ = p.execute() // and not a second time
				p.answer(seq, wire.Int(2))
				p.ended(true)
			})
			if err := writeOne(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			before := stream.count()
			for range 2 { // nothing was sent in between
				if !s.Recycle() {
					t.Fatal("it cannot be used again")
				}
			}
			if s.Tx() != wire.TxNone || stream.count() != before {
				t.Errorf("transaction %v, %d writes", s.Tx(), stream.count()-before)
			}
			for want := range int64(2) {
				got, err := query(t.Context(), s, "SELECT 1")
				wantInts(t, got, err, want+1)
				s.Recycle()
			}
			if n := stream.count() - before; n != 2 || s.Dirty() {
				t.Errorf("%d writes, dirty %v", n, s.Dirty())
			}
		})
	}
}

func TestABeginThatWasNeverSentIsForgotten(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, x := p.execute()
		if x.Flags&wire.InTransaction != 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if !s.Recycle() || s.Tx() != wire.TxNone {
		t.Errorf("transaction %v", s.Tx())
	}
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

func TestASessionWhoseBeginWasRefusedServesItsNextUser(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		begin, _ := p.begin()
		seq, _ := p.execute()
		p.refuse(begin, "57P01")
		p.refuse(seq, "25P01")
		seq, x := p.execute()
		if x.Flags&wire.InTransaction != 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if err := writeOne(t.Context(), s); codeOf(err) != "57P01" {
		t.Fatalf("error %v", err)
	}
	if !s.Recycle() {
		t.Fatal("it cannot be used again")
	}
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

func TestASessionWithUnreadRowsIsNotUsedAgain(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.ended(false)
	})
	start(t, s, "SELECT a FROM t")
	if s.Recycle() || s.Broken() == nil {
		t.Errorf("it can be used again; broken %v", s.Broken())
	}
	stream.shutOnce(t)
}

func TestAStatementThatChangesTheSessionIsNoticedWhateverComesAfter(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		for _, dirty := range []bool{true, false} {
			seq, _ := p.execute()
			p.reply(wire.TypeComplete, seq, &wire.Complete{Dirty: dirty})
		}
		p.ended(true)
	})
	for range 2 {
		if err := writeOne(t.Context(), s); err != nil || !s.Dirty() {
			t.Errorf("error %v, dirty %v", err, s.Dirty())
		}
	}
}

func TestTheFirstWriteOfAUserLooksWhetherTheNodeIsStillThere(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		for range 6 {
			seq, x := p.execute()
			p.sayRows(seq, 1, wire.Int(1))
			p.reply(wire.TypeComplete, seq, &wire.Complete{Wrote: x.Flags&wire.ReadOnly == 0})
		}
		p.ended(true)
	})
	type request struct {
		call  func(context.Context, *Session) error
		looks int
	}
	for user, requests := range [][]request{
		{{writeOne, 1}, {writeOne, 0}, {readOne, 0}},
		{{readOne, 0}, {writeOne, 0}}, // the read has shown it; had it failed, it could be repeated
		{{writeOne, 1}},
	} {
		for i, r := range requests {
			before := stream.looks
			if err := r.call(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if n := stream.looks - before; n != r.looks {
				t.Errorf("user %d, request %d: %d looks, want %d", user, i, n, r.looks)
			}
		}
		s.Recycle()
	}
}
