package testserver

import (
	"slices"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestSeveralStatementsHaveAResultEach(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.must("put a; rows 2; ; returning 1 b;")
	if len(r.completes) != 3 || len(r.headers) != 2 || len(r.rows) != 3 {
		t.Fatalf("got %+v", r)
	}
	for i, k := range r.completes {
		if k.More != (i < 2) || k.Tx != wire.TxNone {
			t.Errorf("completion %d: %+v", i, k)
		}
	}
	if !r.completes[0].Wrote || r.completes[1].Wrote || !r.completes[2].Wrote {
		t.Errorf("got %+v", r.completes)
	}
	if got := g.contents(); !slices.Equal(got, []string{"a", "b"}) || g.commits != 1 {
		t.Fatalf("got %v in %d commits, want a and b in one", got, g.commits)
	}
}

func TestSeveralStatementsAreAllOrNothing(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for _, sql := range []string{"put a; fail 23505; put b", "put a; nonsense", "put a; put ?"} {
		r := s.exec(sql)
		if r.err == nil || r.err.Effect != wire.EffectNone || r.err.Tx != wire.TxNone {
			t.Fatalf("%s: got %v, effect %v, tx %d; want no effect, no transaction", sql, r.err, r.err.Effect, r.err.Tx)
		}
		if len(g.contents()) != 0 {
			t.Fatalf("%s: the data is %v", sql, g.contents())
		}
	}
	s.must("put c")
}

func TestALaterStatementMayUseWhatAnEarlierOneMakes(t *testing.T) {
	c, g := scripted(t, Options{})
	r := dial(t, c.Node(0)).must("create a; need a; put b")
	if len(r.completes) != 3 || len(g.contents()) != 1 {
		t.Fatalf("got %+v", r)
	}
}

func TestStatementsWithTransactionControlRunByThemselves(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.exec("put a; begin; put b; commit; fail 23505")
	if r.err == nil || r.err.Effect != wire.EffectDone {
		t.Fatalf("got %v with effect %v, want done: the first statements were", r.err, r.err.Effect)
	}
	if got := g.contents(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("got %v, want a and b", got)
	}
	if tx := r.completes[1].Tx; tx != wire.TxActive {
		t.Fatalf("after begin the transaction is %d", tx)
	}
}

func TestControlThatIsFoundLateCommitsWhatCameBefore(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	// What follows "need a" is not known before "create a" has run.
	r := s.must("create a; put x; need a; begin; put y; rollback")
	if len(r.completes) != 6 {
		t.Fatalf("got %d completions, want 6", len(r.completes))
	}
	if got := g.contents(); !slices.Equal(got, []string{"x"}) {
		t.Fatalf("got %v, want x", got)
	}
}

func TestSeveralStatementsJoinAnOpenTransaction(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.tx(wire.TxBegin, 1)
	r := s.exec("put a; fail 23505")
	if r.err.Effect != wire.EffectDone || r.err.Tx != wire.TxActive || r.completes[0].Tx != wire.TxActive {
		t.Fatalf("got %v, effect %v, completions %+v", r.err, r.err.Effect, r.completes)
	}
	s.must("put b")
	s.tx(wire.TxCommit, 1)
	if got := g.contents(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("got %v, want a and b", got)
	}
}

func TestArgumentsAreDealtOutToTheStatements(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	run := func(sql string, args ...wire.Argument) result {
		return s.collect(s.send(wire.TypeExecute, &wire.Execute{SQL: sql, Flags: wire.WantRows, Arguments: args}))
	}
	at := func(n int64) wire.Argument { return wire.Argument{Value: wire.Int(n)} }
	named := func(name string, n int64) wire.Argument { return wire.Argument{Name: name, Value: wire.Int(n)} }
	r := run("echo ? :b; echo :b ? ?", at(1), named("b", 9), at(2), at(3))
	if r.err != nil {
		t.Fatal(r.err)
	}
	var got []int64
	for _, row := range r.rows {
		for _, v := range row {
			got = append(got, v.Num)
		}
	}
	if !slices.Equal(got, []int64{1, 9, 9, 2, 3}) {
		t.Fatalf("got %v", got)
	}
	for what, r := range map[string]result{
		"too many": run("echo ?; echo ?", at(1), at(2), at(3)),
		"too few":  run("echo ?; echo ?", at(1)),
		"unknown":  run("echo ?; rows 1", at(1), named("z", 2)),
	} {
		if r.err == nil || r.err.Code != "07001" || r.err.Effect != wire.EffectNone {
			t.Errorf("%s: got %v, want 07001 without effect", what, r.err)
		}
	}
}

func TestTheLastAnswerOfAScriptComesAfterItsCommit(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	release := make(chan struct{})
	reached := make(chan struct{})
	g.onEnd = func() { close(reached); <-release }
	seq := s.send(wire.TypeExecute, query("put a; put b"))
	<-reached
	// What may come meanwhile are the answers of the statements before the
	// last. A while is all that silence can be waited for.
	for {
		s.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		m, err := s.in.Next()
		if err != nil {
			break
		}
		var k wire.Complete
		if err := k.Decode(m.Payload); m.Type != wire.TypeComplete || err != nil || !k.More {
			t.Fatalf("got %v %+v before the commit", m.Type, k)
		}
	}
	close(release)
	if r := s.collect(seq); r.completes[len(r.completes)-1].More {
		t.Fatalf("got %+v", r)
	}
	g.onEnd = nil
}

func TestAScriptOfReadsNeedsNoTurnToWrite(t *testing.T) {
	c, _ := scripted(t, Options{})
	writer, reader := dial(t, c.Node(0)), dial(t, c.Node(0))
	writer.tx(wire.TxBegin, 1)
	if r := reader.must("rows 1; rows 2"); len(r.rows) != 3 {
		t.Fatalf("got %+v", r)
	}
}
