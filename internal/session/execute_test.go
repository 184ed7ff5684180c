package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestExecDropsRowsAndSumsUpWhatTheStatementsDid(t *testing.T) {
	req := Request{SQL: "INSERT INTO t VALUES (1) RETURNING a; UPDATE t SET a = 2", Consistency: wire.ConsistencyEventual}
	s, _ := open(t, func(p *peer) {
		seq, x := p.execute()
		if x.Flags != 0 || x.Consistency != wire.ConsistencyEventual || x.Credit != creditWindow {
			p.t.Errorf("%+v", x)
		}
		// Rows that nobody wanted are dropped here, should a node send them.
		p.sayRows(seq, 1, wire.Int(1), wire.Int(2))
		p.say(wire.TypeComplete, seq, &wire.Complete{RowsAffected: 2, LastInsertID: 9, HasInsertID: true, More: true, Wrote: true})
		p.sayRows(seq, 1)
		p.say(wire.TypeComplete, seq, &wire.Complete{RowsAffected: 3, Wrote: true})
		p.flush()
		seq, x = p.execute()
		if x.Flags != wire.WantRows {
			p.t.Errorf("the same request as a query: flags %b", x.Flags)
		}
		p.answer(seq, wire.Int(5))
		p.ended(true)
	})
	got, err := s.Exec(t.Context(), &req)
	if want := (Summary{RowsAffected: 5, LastInsertID: 9, HasInsertID: true}); err != nil || got != want {
		t.Errorf("%+v, error %v", got, err)
	}
	var rows Rows
	if err := s.Query(t.Context(), &rows, &req); err != nil {
		t.Fatal(err)
	}
	ints, err := column(&rows)
	wantInts(t, ints, err, 5)
}

func TestTheErrorOfALaterStatementIsThatOfTheExec(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.say(wire.TypeComplete, seq, &wire.Complete{RowsAffected: 2, More: true, Wrote: true})
		p.refuse(seq, "23505", func(e *wire.Error) { e.Effect = wire.EffectDone })
		p.ended(true)
	})
	got, err := s.Exec(t.Context(), &Request{SQL: "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)"})
	if codeOf(err) != "23505" || got != (Summary{}) {
		t.Errorf("%+v, error %v", got, err)
	}
	stream.free(t)
}

func TestWhatIsTooLargeIsNotSentAndWhatWaitsForTheNextRequestStillDoes(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		p.reply(wire.TypeAck, p.expect(wire.TypeReset, nil), &wire.Ack{})
		p.reply(wire.TypeAck, p.expect(wire.TypeTransaction, nil), &wire.Ack{Tx: wire.TxActive})
		seq, _ := p.execute()
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	s.dirty = true
	s.Recycle()
	s.Begin(wire.IsolationDefault, false)
	before := stream.count()
	big := wire.Argument{Value: wire.Bytes(make([]byte, 1<<20))}
	if _, err := query(t.Context(), s, "SELECT ?", big); codeOf(err) != "54000" {
		t.Fatalf("error %v", err)
	}
	if _, err := s.Prepare(t.Context(), strings.Repeat("SELECT 1 ", 1<<18)); codeOf(err) != "54000" {
		t.Fatalf("error %v", err)
	}
	if stream.count() != before || s.Tx() != wire.TxActive || s.Broken() != nil {
		t.Errorf("%d writes, transaction %v, broken %v", stream.count()-before, s.Tx(), s.Broken())
	}
	got, err := query(t.Context(), s, "SELECT ?", wire.Argument{Value: wire.Int(1)})
	wantInts(t, got, err, 1)
}

func TestPrepareDescribesAStatementOnceAndItsExecutionNamesIt(t *testing.T) {
	var id uint32
	s, stream := open(t, func(p *peer) {
		var m wire.Prepare
		seq := p.expect(wire.TypePrepare, &m)
		if id = m.Statement; id == 0 || m.SQL != "SELECT ?" {
			p.t.Errorf("%+v", m)
		}
		p.reply(wire.TypePrepare, seq, &wire.StatementDescription{Statement: id, ReadOnly: true, ReturnsRows: true,
			Parameters: []wire.Parameter{{Name: "n"}}, Description: description(1), Columns: columnsOf(1)})
		seq, x := p.execute()
		if x.Statement != id || x.SQL != "" || x.Known != description(1) || x.Flags != wire.WantRows|wire.ReadOnly {
			p.t.Errorf("%+v", x)
		}
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	before := stream.count()
	for range 2 {
		d, err := s.Prepare(t.Context(), "SELECT ?")
		if err != nil || len(d.Parameters) != 1 || d.Parameters[0].Name != "n" || len(d.Columns) != 1 || !d.ReadOnly {
			t.Errorf("%+v, error %v", d, err)
		}
	}
	if n := stream.count() - before; n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
	got, err := query(t.Context(), s, "SELECT ?", wire.Argument{Value: wire.Int(1)})
	wantInts(t, got, err, 1)
}

func TestAPreparedStatementThatIsNotKeptIsClosedWithTheNextRequest(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		var m wire.Prepare
		seq := p.expect(wire.TypePrepare, &m)
		p.reply(wire.TypePrepare, seq, &wire.StatementDescription{Statement: m.Statement, ReadOnly: true})
		var c wire.CloseStatement
		p.expect(wire.TypeCloseStatement, &c)
		if m.Statement == 0 || len(c.Statements) != 1 || c.Statements[0] != m.Statement {
			p.t.Errorf("prepared %d, closed %v", m.Statement, c.Statements)
		}
		seq, x := p.execute()
		if x.SQL != "SELECT 1" || x.Statement != 0 {
			p.t.Errorf("%+v", x)
		}
		p.answer(seq, wire.Int(1))
		p.ended(true)
	}, func(c *Config) { c.StatementCache = 0 })
	if _, err := s.Prepare(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

func TestAStatementThatCannotBePreparedIsForgotten(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		for range 2 {
			p.refuse(p.expect(wire.TypePrepare, nil), "42601")
		}
		p.ended(true)
	})
	for range 2 {
		if _, err := s.Prepare(t.Context(), "SELEKT 1"); codeOf(err) != "42601" {
			t.Errorf("error %v", err)
		}
		if n := s.stmts.lru.Len(); n != 0 {
			t.Errorf("%d statements take up room in the cache", n)
		}
	}
}

func TestAnAnswerOfTheWrongKindBreaksTheSessionWithoutAnEffect(t *testing.T) {
	ack := func(p *peer) { p.reply(wire.TypeAck, p.next().Sequence, &wire.Ack{}); p.ended(false) }
	pong := func(p *peer) { p.reply(wire.TypePong, p.next().Sequence, &wire.Pong{}); p.ended(false) }
	half := func(kind wire.Type) func(*peer) {
		return func(p *peer) { p.reply(kind, p.next().Sequence, raw("\xff\xff\x01")); p.ended(false) }
	}
	for name, c := range map[string]struct {
		script   func(*peer)
		call     func(context.Context, *Session) error
		readOnly bool
	}{
		"prepare":           {ack, prepareOne, true},
		"prepare, damaged":  {half(wire.TypePrepare), prepareOne, true},
		"ping":              {ack, pingOne, true},
		"ping, damaged":     {half(wire.TypePong), pingOne, true},
		"status":            {pong, statusOne, true},
		"status, damaged":   {half(wire.TypeAck), statusOne, true},
		"rollback":          {pong, rollbackOne, true},
		"commit":            {pong, commitOne, false},
		"commit, damaged":   {half(wire.TypeAck), commitOne, false},
		"a read":            {pong, readOne, true},
		"a write":           {pong, writeOne, false},
		"a write, damaged":  {half(wire.TypeComplete), writeOne, false},
		"a damaged refusal": {half(wire.TypeError), writeOne, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, c.script)
			lost := asLost(t, c.call(t.Context(), s))
			if !lost.Sent || lost.ReadOnly != c.readOnly || lost.Context != nil || s.Broken() == nil {
				t.Errorf("%+v, broken %v", lost, s.Broken())
			}
			stream.shutOnce(t)
		})
	}
}

func prepareOne(ctx context.Context, s *Session) error {
	_, err := s.Prepare(ctx, "SELECT 1")
	return err
}

func pingOne(ctx context.Context, s *Session) error {
	_, err := s.Ping(ctx)
	return err
}

func statusOne(ctx context.Context, s *Session) error {
	_, err := s.Status(ctx, [16]byte{1})
	return err
}

func readOne(ctx context.Context, s *Session) error {
	_, err := query(ctx, s, "SELECT 1")
	return err
}

func writeOne(ctx context.Context, s *Session) error {
	_, err := s.Exec(ctx, &Request{SQL: "INSERT INTO t VALUES (1)"})
	return err
}

func commitOne(ctx context.Context, s *Session) error   { return s.Commit(ctx) }
func rollbackOne(ctx context.Context, s *Session) error { return s.Rollback(ctx) }

// asLost fails the test unless the error is a *LostError.
func asLost(t testing.TB, err error) *LostError {
	t.Helper()
	lost, ok := err.(*LostError)
	if !ok {
		t.Fatalf("got %T (%v), want *LostError", err, err)
	}
	return lost
}

func TestADeadlineTravelsWithTheRequest(t *testing.T) {
	limits := make(chan uint32, 3)
	s, _ := open(t, executes(
		func(_ testing.TB, _ uint64, x wire.Execute) { limits <- x.Timeout },
		func(_ testing.TB, _ uint64, x wire.Execute) { limits <- x.Timeout },
		func(_ testing.TB, _ uint64, x wire.Execute) { limits <- x.Timeout },
	))
	for _, c := range []struct {
		left     time.Duration
		min, max uint32
	}{{0, 0, 0}, {time.Minute, 50_000, 60_001}, {100 * 24 * time.Hour, 1<<32 - 1, 1<<32 - 1}} {
		ctx, cancel := t.Context(), func() {}
		if c.left > 0 {
			ctx, cancel = context.WithTimeout(ctx, c.left)
		}
		got, err := query(ctx, s, "SELECT 1")
		cancel()
		wantInts(t, got, err, 1)
		if limit := <-limits; limit < c.min || limit > c.max {
			t.Errorf("with %v left the node was given %d ms", c.left, limit)
		}
	}
}

func TestARequestWhoseContextHasEndedIsNotSent(t *testing.T) {
	s, stream := open(t, func(p *peer) { p.ended(true) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := stream.count()
	for name, call := range map[string]func(context.Context, *Session) error{
		"read": readOne, "write": writeOne, "prepare": prepareOne, "ping": pingOne, "status": statusOne, "commit": commitOne,
	} {
		err := call(ctx, s)
		if codeOf(err) != "57014" || !isCanceled(err) || effectOf(err) != wire.EffectNone {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if stream.count() != before {
		t.Errorf("%d writes", stream.count()-before)
	}
	stream.free(t)
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// effectOf gives what an error says of the effect; 99 when it says nothing.
func effectOf(err error) wire.Effect {
	var lost *LostError
	var e *wire.Error
	switch {
	case errors.As(err, &lost):
		return lost.SQL().Effect
	case errors.As(err, &e):
		return e.Effect
	}
	return 99
}
