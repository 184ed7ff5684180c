package testserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

func (c *client) prepare(id uint32, sql string) (d wire.StatementDescription, e *wire.Error) {
	c.t.Helper()
	seq := c.send(wire.TypePrepare, &wire.Prepare{Statement: id, SQL: sql})
	m := c.next()
	if m.Type == wire.TypeError {
		return d, c.errorOf(m)
	}
	if m.Type != wire.TypePrepare || m.Sequence != seq {
		c.t.Fatalf("got %v for %d, want Prepare for %d", m.Type, m.Sequence, seq)
	}
	if err := d.Decode(m.Payload); err != nil {
		c.t.Fatal(err)
	}
	return d, nil
}

func TestPrepareDescribesAStatementAndExecuteRunsIt(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	d, e := s.prepare(5, "echo ? :b")
	if e != nil {
		t.Fatal(e)
	}
	if d.Statement != 5 || !d.ReadOnly || !d.ReturnsRows || len(d.Columns) != 2 || d.Description == 0 ||
		len(d.Parameters) != 2 || d.Parameters[1].Name != "b" {
		t.Fatalf("got %+v", d)
	}
	r := s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: 5, Flags: wire.WantRows,
		Arguments: []wire.Argument{{Value: wire.Int(1)}, {Name: "b", Value: wire.String("two")}}}))
	if r.err != nil || r.rows[0][0].Num != 1 || string(r.rows[0][1].Raw) != "two" {
		t.Fatalf("got %+v", r)
	}
	if d, e := s.prepare(6, "put x"); e != nil || d.ReadOnly || d.ReturnsRows {
		t.Fatalf("got %+v, %v", d, e)
	}
}

func TestAnUnknownStatementIsAnErrorWithoutEffect(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	e := s.expectError(s.send(wire.TypeExecute, &wire.Execute{Statement: 9}), "26000")
	if e.Effect != wire.EffectNone {
		t.Fatalf("effect %v, want none", e.Effect)
	}
}

func TestColumnsAreNotSentAgainToAClientThatKnowsThem(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	d, _ := s.prepare(1, "rows 1")
	run := func(known uint64) wire.RowsHeader {
		r := s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: 1, Flags: wire.WantRows, Known: known}))
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.headers[0]
	}
	if h := run(0); !h.HasColumns || h.Description != d.Description {
		t.Fatalf("got %+v, want columns with number %d", h, d.Description)
	}
	if h := run(d.Description); h.HasColumns || h.Width != 2 {
		t.Fatalf("got %+v, want no columns", h)
	}
	s.must("widen")
	h := run(d.Description)
	if !h.HasColumns || h.Width != 3 || h.Description == d.Description {
		t.Fatalf("got %+v, want the new columns under a new number", h)
	}
}

func TestKeepStatementPreparesAndRunsInOneMessage(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	keep := &wire.Execute{Statement: 3, SQL: "rows 2", Flags: wire.WantRows | wire.KeepStatement}
	if r := s.collect(s.send(wire.TypeExecute, keep)); len(r.rows) != 2 {
		t.Fatalf("got %+v", r)
	}
	if r := s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: 3, Flags: wire.WantRows})); len(r.rows) != 2 {
		t.Fatalf("got %+v", r)
	}
	s.expectError(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 2", Flags: wire.KeepStatement}), "08P01")
	s.expectError(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 2", Statement: 3}), "08P01")
	s.expectError(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 2; rows 3", Statement: 4, Flags: wire.KeepStatement}), "42601")
}

func TestOnlyOneStatementCanBePrepared(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	if _, e := s.prepare(1, "rows 1; rows 2"); e == nil || e.Code != "42601" {
		t.Fatalf("got %v, want 42601", e)
	}
	if _, e := s.prepare(0, "rows 1"); e == nil || e.Code != "08P01" {
		t.Fatalf("id 0: got %v, want 08P01", e)
	}
	if _, e := s.prepare(1, "rows 1 ; \n"); e != nil {
		t.Fatalf("a semicolon at the end: %v", e)
	}
}

func TestAStatementIdCanBeGivenAnewAndForgotten(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.prepare(1, "rows 1")
	s.prepare(2, "rows 1")
	s.prepare(1, "rows 2")
	run := func(id uint32) result {
		return s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: id, Flags: wire.WantRows}))
	}
	if one, two := run(1), run(2); len(one.rows) != 2 || len(two.rows) != 1 {
		t.Fatalf("got %d and %d rows, want 2 and 1", len(one.rows), len(two.rows))
	}
	s.send(wire.TypeCloseStatement, &wire.CloseStatement{Statements: []uint32{1, 77}})
	if r := run(1); r.err == nil || r.err.Code != "26000" {
		t.Fatalf("got %v, want 26000", r.err)
	}
	if r := run(2); r.err != nil {
		t.Fatalf("the other statement: %v", r.err)
	}
}

func TestTheLeastRecentlyUsedStatementIsForgottenFirst(t *testing.T) {
	c, _ := scripted(t, Options{StatementCache: 3})
	s := dial(t, c.Node(0))
	for id := uint32(1); id <= 3; id++ {
		s.prepare(id, fmt.Sprintf("rows %d", id))
	}
	run := func(id uint32) *wire.Error {
		return s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: id})).err
	}
	run(1)
	s.must("rows 9")
	if e := run(2); e == nil || e.Code != "26000" {
		t.Fatalf("statement 2: got %v, want 26000", e)
	}
	for _, id := range []uint32{1, 3} {
		if e := run(id); e != nil {
			t.Fatalf("statement %d: %v", id, e)
		}
	}
}

func TestLongTextsAreNotKeptUnlessPrepared(t *testing.T) {
	c, _ := scripted(t, Options{StatementCache: 1})
	s := dial(t, c.Node(0))
	long := "rows 1" + strings.Repeat(" ", cachedText)
	s.prepare(1, "rows 1")
	s.must(long)
	run := func() *wire.Error { return s.collect(s.send(wire.TypeExecute, &wire.Execute{Statement: 1})).err }
	if e := run(); e != nil {
		t.Fatalf("the long text took the place of a prepared statement: %v", e)
	}
	s.prepare(1, long)
	if e := run(); e != nil {
		t.Fatalf("a long prepared statement: %v", e)
	}
}

func TestAStatementIsPreparedAnewAfterItsTableWasMissing(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	if _, e := s.prepare(1, "need a"); e == nil || e.Code != "42P01" || e.Effect != wire.EffectNone || e.Table != "a" {
		t.Fatalf("got %v, want 42P01", e)
	}
	s.must("create a")
	if _, e := s.prepare(1, "need a"); e != nil {
		t.Fatal(e)
	}
}
