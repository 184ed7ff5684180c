package testserver

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qdb-go/qdb/wire"
)

func TestASessionRunsStatementsAndReturnsRows(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.must("rows 3 5")
	if len(r.rows) != 3 || string(r.rows[2][1].Raw) != "xxxxx" || r.rows[2][0].Num != 3 {
		t.Fatalf("got rows %v", r.rows)
	}
	if len(r.headers) != 1 || !r.headers[0].HasColumns || r.headers[0].Columns[1].Name != "text" {
		t.Fatalf("got headers %+v", r.headers)
	}
	if k := r.completes[0]; k.Wrote || k.Dirty || k.Tx != wire.TxNone {
		t.Fatalf("got completion %+v", k)
	}
	if k := s.must("put a").completes[0]; !k.Wrote || k.RowsAffected != 1 || !k.HasInsertID || k.LastInsertID != 7 {
		t.Fatalf("got completion %+v", k)
	}
	if k := s.must("set").completes[0]; !k.Dirty {
		t.Fatalf("got completion %+v, want it dirty", k)
	}
}

func TestAResultWithoutRowsStillDescribesItsColumns(t *testing.T) {
	c, _ := scripted(t, Options{})
	r := dial(t, c.Node(0)).must("rows 0")
	if len(r.rows) != 0 || len(r.headers) != 1 || len(r.headers[0].Columns) != 2 {
		t.Fatalf("got rows %v, headers %+v", r.rows, r.headers)
	}
}

func TestRowsAreDroppedWhenTheyAreNotWanted(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.collect(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 1000 100"}))
	if r.batches != 0 || len(r.completes) != 1 {
		t.Fatalf("got %d messages of rows and %d completions, want 0 and 1", r.batches, len(r.completes))
	}
}

func TestAnEmptyTextCompletesWithoutAResult(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for _, sql := range []string{"", " ;; \n"} {
		if r := s.must(sql); len(r.completes) != 1 || r.batches != 0 {
			t.Fatalf("%q: got %+v", sql, r)
		}
	}
	if r := s.exec("", wire.Int(1)); r.err == nil || r.err.Code != "07001" {
		t.Fatalf("an argument for nothing: got %v, want 07001", r.err)
	}
}

func TestRequestsAreAnsweredInTheOrderTheyWereSent(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	const n = 500
	for range n {
		s.put(wire.TypePing, nil)
		s.put(wire.TypeExecute, query("rows 1 10"))
	}
	s.flush()
	for i := range uint64(n) {
		s.expect(wire.TypePong, 2*i+2)
		if r := s.collect(2*i + 3); len(r.rows) != 1 {
			t.Fatalf("request %d: got %d rows", 2*i+3, len(r.rows))
		}
	}
}

func TestATrainOfRequestsIsAnsweredInOneWrite(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.put(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin, ID: [16]byte{1}})
	s.put(wire.TypeExecute, &wire.Execute{SQL: "rows 1", Flags: wire.WantRows | wire.InTransaction})
	writes := c.Node(0).writes.Load()
	s.flush()
	s.expect(wire.TypeAck, 2)
	s.collect(3)
	if n := c.Node(0).writes.Load() - writes; n != 1 {
		t.Fatalf("the answers took %d writes, want one", n)
	}
}

func TestTheErrorOfTheEngineReachesTheClient(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.exec("fail 23505")
	want := &wire.Error{Code: "23505", Effect: wire.EffectNone, Message: "failed as told", Node: "1"}
	if diff := cmp.Diff(want, r.err, cmp.AllowUnexported(wire.Error{})); diff != "" {
		t.Fatal(diff)
	}
	if e := s.exec("rows 1; nonsense").err; e.Code != "42601" || e.Position != 9 {
		t.Fatalf("got %v at %d, want 42601 at 9", e, e.Position)
	}
	s.must("rows 1")
}

func TestAReadOnlyRequestMayNotWrite(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.collect(s.send(wire.TypeExecute, &wire.Execute{SQL: "put a", Flags: wire.ReadOnly}))
	if r.err == nil || r.err.Code != "25006" || r.err.Effect != wire.EffectNone {
		t.Fatalf("got %v, want 25006 without effect", r.err)
	}
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestMessagesThatAClientMustNotSendEndTheSession(t *testing.T) {
	c, _ := scripted(t, Options{})
	for _, kind := range []wire.Type{wire.TypeHandshake, wire.TypeRows, wire.TypeComplete, wire.TypeAck, wire.TypeData, wire.TypeReplication, wire.TypePong} {
		s := dial(t, c.Node(0))
		s.send(kind, nil)
		if e := s.expectClosed(); e == nil || e.Code != "08P01" || e.Severity != wire.SeverityFatal {
			t.Errorf("%v: got error %v, want a fatal 08P01", kind, e)
		}
	}
}

func TestWhatIsNotServedYetIsRefusedAndTheSessionLivesOn(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for _, kind := range []wire.Type{wire.TypeAdmin, wire.TypeAuth} {
		s.expectError(s.send(kind, nil), "0A000")
	}
	s.ping()
}

func TestAPayloadThatCannotBeReadEndsTheSession(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.out.Begin(wire.TypeExecute, 9)
	s.out.Payload = append(s.out.Payload, 1, 2, 3)
	s.out.End()
	s.flush()
	if e := s.expectClosed(); e == nil || e.Code != "08P01" {
		t.Fatalf("got %v, want 08P01", e)
	}
}

func TestResetClearsTheSessionsState(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.must("set")
	s.tx(wire.TxBegin, 1)
	if a := s.ack(s.send(wire.TypeReset, nil)); a.Tx != wire.TxNone {
		t.Fatalf("got %+v, want no transaction", a)
	}
	if k := s.must("rows 1").completes[0]; k.Dirty || k.Tx != wire.TxNone {
		t.Fatalf("got %+v, want a fresh session", k)
	}
	if got := s.tx(wire.TxStatus, 1).Outcome; got == wire.OutcomeInProgress {
		t.Fatal("the transaction that was open is still in progress")
	}
}

func TestASessionThatOnlyPingsTakesNoConnectionOfTheEngine(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.ping()
	if n := g.conns.Load(); n != 0 {
		t.Fatalf("%d connections, want none", n)
	}
	s.must("rows 1")
	if n := g.conns.Load(); n != 1 {
		t.Fatalf("%d connections, want one", n)
	}
	s.conn.Close()
	eventually(t, "the connection given up", func() bool { return g.conns.Load() == 0 })
}

func TestTerminateClosesTheSessionAfterItsAnswers(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.put(wire.TypeExecute, query("rows 1"))
	s.put(wire.TypeTerminate, nil)
	s.flush()
	if r := s.collect(seq); r.err != nil {
		t.Fatal(r.err)
	}
	s.expectClosed()
	eventually(t, "no session", func() bool { return c.Node(0).Sessions() == 0 })
}

func TestPongTellsTheNodesStateAndLoad(t *testing.T) {
	c, g := scripted(t, Options{})
	busy, s := dial(t, c.Node(0)), dial(t, c.Node(0))
	busy.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	if p := s.ping(); p.Load != 1 || p.Status != wire.StatusUp || p.TopologyEpoch != s.welcome.Topology.Epoch {
		t.Fatalf("got %+v, want load 1, up, epoch %d", p, s.welcome.Topology.Epoch)
	}
	if k := s.must("rows 1").completes[0]; k.Load != 1 {
		t.Fatalf("got load %d beside this request, want 1", k.Load)
	}
	close(g.goOn)
}

func TestTheSchemaEpochTravelsInAnswers(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	before := s.must("rows 1").completes[0].SchemaEpoch
	if after := s.must("create a").completes[0].SchemaEpoch; after <= before {
		t.Fatalf("the epoch is %d after a change of the schema, %d before", after, before)
	}
	if p := s.ping(); p.SchemaEpoch <= before {
		t.Fatalf("the Pong's epoch is %d, want more than %d", p.SchemaEpoch, before)
	}
}

func TestOnRequestSeesRequestsAndCanRefuseThem(t *testing.T) {
	var seen atomic.Pointer[[]Request]
	seen.Store(&[]Request{})
	c, g := scripted(t, Options{OnRequest: func(r Request) error {
		list := append(slices.Clone(*seen.Load()), r)
		seen.Store(&list)
		switch {
		case strings.HasPrefix(r.SQL, "put"):
			return &wire.Error{Code: "42501", Effect: wire.EffectNone, Message: "denied"}
		case r.Op == wire.TxBegin:
			return errors.New("no transactions today")
		}
		return nil
	}})
	s := dial(t, c.Node(0))
	if e := s.exec("put a").err; e == nil || e.Code != "42501" {
		t.Fatalf("got %v, want 42501", e)
	}
	s.expectError(s.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin}), "XX000")
	s.must("rows 1")
	if len(g.contents()) != 0 {
		t.Fatalf("the refused statement was run: %v", g.contents())
	}
	want := []Request{
		{Node: "1", Session: s.welcome.SessionID, Type: wire.TypeExecute, SQL: "put a"},
		{Node: "1", Session: s.welcome.SessionID, Type: wire.TypeTransaction, Op: wire.TxBegin},
		{Node: "1", Session: s.welcome.SessionID, Type: wire.TypeExecute, SQL: "rows 1"},
	}
	if diff := cmp.Diff(want, *seen.Load()); diff != "" {
		t.Fatal(diff)
	}
}

func TestExecutedCountsHowOftenAStatementWasStarted(t *testing.T) {
	c, _ := scripted(t, Options{Nodes: 2})
	a, b := dial(t, c.Node(0)), dial(t, c.Node(1))
	a.must("put x")
	a.must("put x")
	a.must("put y; put z")
	a.exec("fail 23505")
	b.must("put x")
	for _, want := range []struct {
		prefix        string
		first, second int64
	}{{"put x", 2, 1}, {"put", 4, 1}, {"fail", 1, 0}, {"put z", 1, 0}, {"rows", 0, 0}} {
		first, second := c.Node(0).Executed(want.prefix), c.Node(1).Executed(want.prefix)
		if first != want.first || second != want.second || c.Executed(want.prefix) != first+second {
			t.Errorf("%q: counted %d and %d, want %d and %d", want.prefix, first, second, want.first, want.second)
		}
	}
}

func TestLongTextsOfErrorsAreClipped(t *testing.T) {
	c, _ := scripted(t, Options{OnRequest: func(Request) error { return errors.New(strings.Repeat("ä", 5000)) }})
	s := dial(t, c.Node(0), func(h *wire.ClientHandshake) { h.MaxMessageSize = MinMessageSize })
	e := s.exec("rows 1").err
	if e == nil || e.Code != "XX000" || len(e.Detail) > 1024 || !strings.HasSuffix(e.Detail, "ä…") {
		t.Fatalf("got %v", e)
	}
}
