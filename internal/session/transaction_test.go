package session

import (
	"errors"
	"strings"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

// ack answers Transaction or Reset.
func (p *peer) ack(seq uint64, tx wire.TxState, outcome wire.Outcome) {
	p.t.Helper()
	p.reply(wire.TypeAck, seq, &wire.Ack{Tx: tx, Outcome: outcome})
}

// begin expects Begin.
func (p *peer) begin() (seq uint64, m wire.Transaction) {
	p.t.Helper()
	seq = p.expect(wire.TypeTransaction, &m)
	if m.Op != wire.TxBegin {
		p.fatalf("transaction operation %d came where Begin was expected", m.Op)
	}
	return seq, m
}

// transactionAs expects another operation.
func (p *peer) transactionAs(op wire.TxOp) (seq uint64, m wire.Transaction) {
	p.t.Helper()
	seq = p.expect(wire.TypeTransaction, &m)
	if m.Op != op {
		p.fatalf("transaction operation %d came where %d was expected", m.Op, op)
	}
	return seq, m
}

func TestBeginTravelsWithTheFirstStatementAndATransactionTakesTwoWrites(t *testing.T) {
	ids := make(chan [16]byte, 2)
	s, stream := open(t, func(p *peer) {
		seq, m := p.begin()
		if m.Isolation != wire.IsolationSerializable || !m.ReadOnly {
			p.t.Errorf("%+v", m)
		}
		ids <- m.ID
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, x := p.execute()
		if x.Flags&wire.InTransaction == 0 || x.Flags&wire.ReadOnly != 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.reply(wire.TypeComplete, seq, &wire.Complete{RowsAffected: 1, Wrote: true, Tx: wire.TxActive})
		seq, m = p.transactionAs(wire.TxCommit)
		ids <- m.ID
		p.ack(seq, wire.TxNone, wire.OutcomeCommitted)
		p.ended(true)
	})
	before := stream.count()
	id := s.Begin(wire.IsolationSerializable, true)
	if s.Tx() != wire.TxActive || stream.count() != before {
		t.Errorf("after Begin: transaction %v, %d writes", s.Tx(), stream.count()-before)
	}
	if sum, err := s.Exec(t.Context(), &Request{SQL: "SELECT 1"}); err != nil || sum.RowsAffected != 1 {
		t.Fatalf("%+v, error %v", sum, err)
	}
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := stream.count() - before; n != 2 || s.Tx() != wire.TxNone {
		t.Errorf("%d writes, transaction %v", n, s.Tx())
	}
	if begun, committed := <-ids, <-ids; begun != id || committed != id || id == [16]byte{} {
		t.Errorf("begun %x, committed %x, told the caller %x", begun, committed, id)
	}
}

func TestATransactionInWhichNothingHappensCostsNothing(t *testing.T) {
	s, stream := open(t, func(p *peer) { p.ended(true) })
	before := stream.count()
	s.Begin(wire.IsolationDefault, false)
	if err := s.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	s.Begin(wire.IsolationDefault, false)
	if err := s.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if stream.count() != before || s.Tx() != wire.TxNone {
		t.Errorf("%d writes, transaction %v", stream.count()-before, s.Tx())
	}
}

func TestWhatWaitsTravelsAheadInOneWrite(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, x := p.execute()
		p.say(wire.TypeComplete, seq, &wire.Complete{Wrote: true, Dirty: true})
		p.flush()
		reset := p.expect(wire.TypeReset, nil)
		var c wire.CloseStatement
		p.expect(wire.TypeCloseStatement, &c)
		if len(c.Statements) != 1 || c.Statements[0] != x.Statement {
			p.t.Errorf("closed %v, want %d", c.Statements, x.Statement)
		}
		begin, _ := p.begin()
		seq, _ = p.execute()
		p.say(wire.TypeAck, reset, &wire.Ack{})
		p.say(wire.TypeAck, begin, &wire.Ack{Tx: wire.TxActive})
		p.sayRows(seq, 1, wire.Int(4))
		p.say(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxActive})
		p.flush()
		p.ended(true)
	}, func(c *Config) { c.StatementCache = 1 })
	if _, err := s.Exec(t.Context(), &Request{SQL: "CREATE TEMP TABLE t (a)"}); err != nil {
		t.Fatal(err)
	}
	if !s.Dirty() || !s.Recycle() {
		t.Fatalf("dirty %v, broken %v", s.Dirty(), s.Broken())
	}
	s.Begin(wire.IsolationDefault, false)
	before := stream.count()
	got, err := query(t.Context(), s, "SELECT 4")
	wantInts(t, got, err, 4)
	if n := stream.count() - before; n != 1 || s.Dirty() || s.Tx() != wire.TxActive {
		t.Errorf("%d writes, dirty %v, transaction %v", n, s.Dirty(), s.Tx())
	}
}

func TestBeginWaitsForAStatement(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		p.reply(wire.TypePong, p.expect(wire.TypePing, nil), &wire.Pong{})
		var m wire.Prepare
		seq := p.expect(wire.TypePrepare, &m)
		p.reply(wire.TypePrepare, seq, &wire.StatementDescription{Statement: m.Statement})
		seq, _ = p.transactionAs(wire.TxStatus)
		p.ack(seq, wire.TxNone, wire.OutcomeCommitted)
		seq, _ = p.begin()
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, x := p.execute()
		if x.Flags&wire.InTransaction == 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.reply(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxActive})
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if err := errors.Join(pingOne(t.Context(), s), prepareOne(t.Context(), s)); err != nil {
		t.Fatal(err)
	}
	if outcome, err := s.Status(t.Context(), [16]byte{7}); err != nil || outcome != wire.OutcomeCommitted {
		t.Errorf("outcome %v, error %v", outcome, err)
	}
	if err := writeOne(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func TestARefusedBeginIsWhyTheStatementWasRefused(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.refuse(seq, "57P01", func(e *wire.Error) { e.Elsewhere = true })
		seq, _ = p.execute()
		p.refuse(seq, "25P01")
		seq, x := p.execute()
		if x.Flags&wire.InTransaction == 0 {
			p.t.Errorf("the second statement could have run outside the transaction: flags %b", x.Flags)
		}
		p.refuse(seq, "25P01")
		seq, _ = p.transactionAs(wire.TxRollback)
		p.ack(seq, wire.TxNone, wire.OutcomeAborted)
		seq, x = p.execute()
		if x.Flags&wire.InTransaction != 0 {
			p.t.Errorf("after Rollback: flags %b", x.Flags)
		}
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	err := writeOne(t.Context(), s)
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != "57P01" || !e.Elsewhere || e.Effect != wire.EffectNone {
		t.Fatalf("error %v", err)
	}
	stream.free(t)
	if err := writeOne(t.Context(), s); codeOf(err) != "25P01" {
		t.Errorf("error %v", err)
	}
	if err := s.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

func TestNothingRunsOutsideATransactionThatTheNodeGaveUp(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, _ = p.execute()
		p.refuse(seq, "40001") // and with it the transaction is over
		seq, x := p.execute()
		if x.Flags&wire.InTransaction == 0 {
			p.t.Errorf("flags %b", x.Flags)
		}
		p.refuse(seq, "25P01")
		seq, _ = p.transactionAs(wire.TxCommit)
		p.refuse(seq, "25P01")
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	for _, want := range []string{"40001", "25P01"} {
		if err := writeOne(t.Context(), s); codeOf(err) != want || s.Tx() != wire.TxNone {
			t.Errorf("error %v, want %s; transaction %v", err, want, s.Tx())
		}
	}
	if err := s.Commit(t.Context()); codeOf(err) != "25P01" {
		t.Errorf("commit: error %v", err)
	}
}

func TestARefusedBeginIsKnownThoughTheNodeClosesTheSession(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.execute()
		p.refuse(seq, "57P01", func(e *wire.Error) { e.Elsewhere, e.Severity = true, wire.SeverityFatal })
	})
	s.Begin(wire.IsolationDefault, false)
	err := writeOne(t.Context(), s)
	if codeOf(err) != "57P01" || effectOf(err) != wire.EffectNone || s.Broken() == nil {
		t.Errorf("error %v, broken %v", err, s.Broken())
	}
	stream.shutOnce(t)
}

func TestAStatementThatRanWithoutItsTransactionHasAnUnknownEffect(t *testing.T) {
	for name, answer := range map[string]func(*peer, uint64){
		"with rows":                             func(p *peer, seq uint64) { p.sayRows(seq, 1, wire.Int(1)) },
		"with a refusal that is not understood": func(p *peer, seq uint64) { p.say(wire.TypeError, seq, raw("?????")) },
		"without":                               func(p *peer, seq uint64) { p.say(wire.TypeComplete, seq, &wire.Complete{Wrote: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, func(p *peer) {
				begin, _ := p.begin()
				seq, _ := p.execute()
				p.refuse(begin, "57P01")
				answer(p, seq)
				p.flush()
				p.ended(false)
			})
			s.Begin(wire.IsolationDefault, false)
			lost := asLost(t, writeOne(t.Context(), s))
			if lost.SQL().Effect != wire.EffectUnknown || s.Broken() == nil {
				t.Errorf("error %v, broken %v", lost, s.Broken())
			}
		})
	}
}

func TestAnAnswerThatOvertakesThatOfBeginBreaksTheSession(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		begin, _ := p.begin()
		seq, _ := p.execute()
		p.say(wire.TypeComplete, seq, &wire.Complete{Wrote: true, Tx: wire.TxActive})
		p.say(wire.TypeAck, begin, &wire.Ack{Tx: wire.TxActive})
		p.flush()
		p.ended(false)
	})
	s.Begin(wire.IsolationDefault, false)
	if lost := asLost(t, writeOne(t.Context(), s)); lost.SQL().Effect != wire.EffectUnknown || s.Broken() == nil {
		t.Errorf("error %v, broken %v", lost, s.Broken())
	}
}

func TestAfterAResetThatFailedNobodyKnowsWhatHappened(t *testing.T) {
	for name, refuse := range map[string]func(*peer, uint64){
		"refused":          func(p *peer, seq uint64) { p.refuse(seq, "57P01", func(e *wire.Error) { e.Elsewhere = true }) },
		"refused, damaged": func(p *peer, seq uint64) { p.reply(wire.TypeError, seq, raw("?????")) },
		"another answer":   func(p *peer, seq uint64) { p.reply(wire.TypePong, seq, &wire.Pong{}) },
		"a damaged answer": func(p *peer, seq uint64) { p.reply(wire.TypeAck, seq, raw("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, func(p *peer) {
				reset := p.expect(wire.TypeReset, nil)
				p.execute()
				refuse(p, reset)
				p.ended(false)
			})
			s.dirty = true
			s.Recycle()
			lost := asLost(t, writeOne(t.Context(), s))
			var e *wire.Error
			if lost.SQL().Effect != wire.EffectUnknown || s.Broken() == nil {
				t.Errorf("error %v, broken %v", lost, s.Broken())
			}
			if errors.As(error(lost), &e) {
				t.Errorf("the refusal of Reset can be taken for that of the statement: %v", e)
			}
		})
	}
}

func TestCommitFailsWhenTheNodeRolledBackInstead(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, _ = p.execute()
		p.reply(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxFailed})
		seq, _ = p.transactionAs(wire.TxCommit)
		p.ack(seq, wire.TxNone, wire.OutcomeAborted)
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if err := writeOne(t.Context(), s); err != nil || s.Tx() != wire.TxFailed {
		t.Fatalf("error %v, transaction %v", err, s.Tx())
	}
	err := s.Commit(t.Context())
	if codeOf(err) != "40000" || effectOf(err) != wire.EffectNone || s.Tx() != wire.TxNone {
		t.Errorf("error %v, transaction %v", err, s.Tx())
	}
}

func TestARefusedCommitLeavesTheTransactionAsTheNodeSays(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.begin()
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, _ = p.execute()
		p.reply(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxActive})
		seq, _ = p.transactionAs(wire.TxCommit)
		p.refuse(seq, "55P03", func(e *wire.Error) { e.Tx = wire.TxActive })
		p.ack(p.expect(wire.TypeReset, nil), wire.TxNone, 0)
		seq, _ = p.execute()
		p.answer(seq, wire.Int(1))
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, false)
	if err := writeOne(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context()); codeOf(err) != "55P03" || s.Tx() != wire.TxActive {
		t.Errorf("error %v, transaction %v", err, s.Tx())
	}
	s.Recycle() // the next user does not find it
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

func TestAFarewellThatCrossesARequestSaysThatItWasNotStarted(t *testing.T) {
	bye := func(change func(*wire.Error)) func(*peer) {
		return func(p *peer) {
			p.next()
			p.refuse(0, "57P01", func(e *wire.Error) {
				e.Elsewhere, e.Severity = true, wire.SeverityFatal
				change(e)
			})
		}
	}
	s, stream := open(t, bye(func(*wire.Error) {}))
	err := writeOne(t.Context(), s)
	var e *wire.Error
	if codeOf(err) != "57P01" || !errors.As(err, &e) || !e.Elsewhere || e.Effect != wire.EffectNone || s.Broken() == nil {
		t.Errorf("error %v, broken %v", err, s.Broken())
	}
	stream.shutOnce(t)

	t.Run("unless it leaves that open", func(t *testing.T) {
		s, _ := open(t, bye(func(e *wire.Error) { e.Effect = wire.EffectUnknown }))
		lost := asLost(t, writeOne(t.Context(), s))
		if lost.SQL().Effect != wire.EffectUnknown || !strings.Contains(lost.Error(), "57P01") {
			t.Errorf("error %v", lost)
		}
	})
	t.Run("unless the answer had begun", func(t *testing.T) {
		s, _ := open(t, func(p *peer) {
			seq, _ := p.execute()
			p.say(wire.TypeComplete, seq, &wire.Complete{Wrote: true, More: true})
			p.refuse(0, "57P01")
		})
		lost := asLost(t, writeOne(t.Context(), s))
		if lost.SQL().Effect != wire.EffectUnknown {
			t.Errorf("error %v", lost)
		}
	})
	t.Run("unless it is damaged", func(t *testing.T) {
		s, _ := open(t, func(p *peer) { p.next(); p.reply(wire.TypeError, 0, raw("?????")) })
		if lost := asLost(t, writeOne(t.Context(), s)); lost.SQL().Effect != wire.EffectUnknown {
			t.Errorf("error %v", lost)
		}
	})
}

func TestAFatalErrorEndsTheSession(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.refuse(seq, "57P01", func(e *wire.Error) { e.Severity = wire.SeverityFatal })
	})
	err := writeOne(t.Context(), s)
	if codeOf(err) != "57P01" || s.Broken() == nil || s.Recycle() || s.Alive() == nil {
		t.Errorf("error %v, broken %v", err, s.Broken())
	}
	stream.shutOnce(t)
	lost := asLost(t, writeOne(t.Context(), s))
	if lost.Sent || lost.SQL().Effect != wire.EffectNone {
		t.Errorf("the next request: %v", lost)
	}
}
