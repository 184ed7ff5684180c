package testserver

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/qdb-go/qdb/wire"
)

func TestATransactionIsCommittedOrRolledBack(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	if a := s.tx(wire.TxBegin, 1); a.Outcome != wire.OutcomeInProgress || a.Tx != wire.TxActive || a.ID != [16]byte{1} {
		t.Fatalf("got %+v", a)
	}
	if k := s.must("put a").completes[0]; k.Tx != wire.TxActive {
		t.Fatalf("got %+v, want an open transaction", k)
	}
	if a := s.tx(wire.TxCommit, 1); a.Outcome != wire.OutcomeCommitted || a.Tx != wire.TxNone || a.ID != [16]byte{1} {
		t.Fatalf("got %+v", a)
	}
	s.tx(wire.TxBegin, 2)
	s.must("put b")
	if a := s.tx(wire.TxRollback, 2); a.Outcome != wire.OutcomeAborted || a.Tx != wire.TxNone {
		t.Fatalf("got %+v", a)
	}
	if got := g.contents(); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("got %v, want a", got)
	}
}

func TestTransactionsDoNotNestAndNeedABegin(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.expectError(s.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxCommit}), "25P01")
	e := s.expectError(s.send(wire.TypeExecute, &wire.Execute{SQL: "put a", Flags: wire.InTransaction}), "25P01")
	if e.Effect != wire.EffectNone {
		t.Fatalf("effect %v, want none", e.Effect)
	}
	if a := s.tx(wire.TxRollback, 0); a.Tx != wire.TxNone {
		t.Fatalf("rollback of nothing: %+v", a)
	}
	s.tx(wire.TxBegin, 1)
	if e := s.expectError(s.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin}), "25001"); e.Tx != wire.TxActive {
		t.Fatalf("got %+v, want the transaction still open", e)
	}
	s.expectError(s.send(wire.TypeTransaction, &wire.Transaction{Op: 99}), "0A000")
	s.tx(wire.TxCommit, 1)
}

func TestATrainOfBeginAndExecuteRunsNothingWhenBeginFails(t *testing.T) {
	c, g := scripted(t, Options{OnRequest: func(r Request) error {
		if r.Op == wire.TxBegin {
			return &wire.Error{Code: "53000", Effect: wire.EffectNone, Message: "no"}
		}
		return nil
	}})
	s := dial(t, c.Node(0))
	begin := s.put(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin})
	exec := s.put(wire.TypeExecute, &wire.Execute{SQL: "put a", Flags: wire.InTransaction})
	s.flush()
	s.expectError(begin, "53000")
	s.expectError(exec, "25P01")
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestTheOutcomeOfATransactionCanBeAskedForOnAnyNode(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	s, other := dial(t, c.Node(0)), dial(t, c.Node(1))
	ask := func(id byte, want wire.Outcome) {
		t.Helper()
		if got := other.tx(wire.TxStatus, id).Outcome; got != want {
			t.Fatalf("transaction %d: got outcome %d, want %d", id, got, want)
		}
	}
	ask(1, wire.OutcomeUnknown)
	s.tx(wire.TxBegin, 1)
	ask(1, wire.OutcomeInProgress)
	s.tx(wire.TxCommit, 1)
	ask(1, wire.OutcomeCommitted)
	s.tx(wire.TxBegin, 2)
	s.tx(wire.TxRollback, 2)
	ask(2, wire.OutcomeAborted)
	s.tx(wire.TxBegin, 3)
	s.must("commit")
	ask(3, wire.OutcomeCommitted)
	s.tx(wire.TxBegin, 4)
	s.must("put a; rollback")
	ask(4, wire.OutcomeAborted)
	s.tx(wire.TxBegin, 5)
	s.conn.Close()
	eventually(t, "the outcome of an abandoned transaction", func() bool {
		return other.tx(wire.TxStatus, 5).Outcome == wire.OutcomeAborted
	})
}

func TestAnAbandonedTransactionIsRolledBack(t *testing.T) {
	c, g := scripted(t, Options{})
	s, other := dial(t, c.Node(0)), dial(t, c.Node(0))
	s.tx(wire.TxBegin, 1)
	s.must("put a")
	s.conn.Close()
	other.must("put b") // gets its turn once the other's is given back
	if got := g.contents(); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("got %v, want b", got)
	}
}

func TestAFailedStatementLeavesTheTransactionUsable(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.tx(wire.TxBegin, 1)
	if e := s.exec("fail 23505").err; e.Tx != wire.TxActive {
		t.Fatalf("got %+v, want the transaction still open", e)
	}
	s.must("put a")
	s.tx(wire.TxCommit, 1)
	if len(g.contents()) != 1 {
		t.Fatalf("got %v, want a", g.contents())
	}
}

func TestAFailedTransactionCanOnlyBeRolledBack(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for id, end := range map[byte]func(){
		1: func() { s.tx(wire.TxRollback, 1) },
		2: func() { s.must("rollback") },
		3: func() {
			e := s.expectError(s.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxCommit}), "25P02")
			if e.Tx != wire.TxNone || e.Effect != wire.EffectNone {
				t.Fatalf("got %+v", e)
			}
		},
	} {
		s.tx(wire.TxBegin, id)
		s.must("put a")
		if e := s.exec("break").err; e.Tx != wire.TxFailed {
			t.Fatalf("got %+v, want the transaction failed", e)
		}
		if e := s.exec("put b").err; e == nil || e.Code != "25P02" || e.Effect != wire.EffectNone {
			t.Fatalf("got %v, want 25P02", e)
		}
		end()
		if got := s.tx(wire.TxStatus, id).Outcome; got != wire.OutcomeAborted {
			t.Errorf("transaction %d: outcome %d, want aborted", id, got)
		}
	}
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestTheTransactionLogForgetsOnlyEndedTransactions(t *testing.T) {
	id := func(n int) (id txID) {
		id[0], id[1], id[2], id[15] = byte(n), byte(n>>8), byte(n>>16), 1
		return id
	}
	l := newTxLog()
	l.begin(id(0))
	for n := 1; n <= 2*txLogSize; n++ {
		l.begin(id(n))
		l.end(id(n), wire.OutcomeCommitted)
	}
	if got := l.outcome(id(0)); got != wire.OutcomeInProgress {
		t.Errorf("the open transaction: %d, want in progress", got)
	}
	if got := l.outcome(id(2 * txLogSize)); got != wire.OutcomeCommitted {
		t.Errorf("the latest transaction: %d, want committed", got)
	}
	if got := l.outcome(id(txLogSize)); got != wire.OutcomeUnknown {
		t.Errorf("an old transaction: %d, want unknown", got)
	}
	if n := len(l.outcomes); n > txLogSize+1 {
		t.Errorf("%d outcomes are kept, want at most %d", n, txLogSize+1)
	}
}

// The log against a plain map, for as long as it need not forget.
func TestTheTransactionLogAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, model := newTxLog(), map[byte]wire.Outcome{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			n := rapid.ByteRange(1, 8).Draw(t, "id")
			if rapid.Bool().Draw(t, "begin") {
				l.begin(txID{n})
				model[n] = wire.OutcomeInProgress
				continue
			}
			o := rapid.SampledFrom([]wire.Outcome{wire.OutcomeUnknown, wire.OutcomeCommitted, wire.OutcomeAborted}).Draw(t, "outcome")
			l.end(txID{n}, o)
			model[n] = o
		}
		for n := byte(1); n <= 8; n++ {
			if got := l.outcome(txID{n}); got != model[n] {
				t.Fatalf("transaction %d: %d, want %d", n, got, model[n])
			}
		}
	})
}
