package session

import (
	"errors"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

func TestTheFirstWordTellsWhetherAStatementSeemsToReadOnly(t *testing.T) {
	for sql, want := range map[string]struct{ reads, looks bool }{
		"SELECT 1":                         {true, true},
		"select\n1":                        {true, true},
		"SELECT(1)":                        {true, true},
		"SELECT*FROM t":                    {true, true},
		"VALUES(1)":                        {true, true},
		"Explain SELECT 1":                 {true, true},
		"EXPLAIN DELETE FROM t":            {true, true}, // the node knows better
		"((SELECT 1) UNION SELECT 2)":      {true, true},
		" \t\r\n\f;; SELECT 1":             {true, true},
		"-- a comment\nSELECT 1":           {true, true},
		"/* a */ /* b */ -- c\n\tSELECT 1": {true, true},
		"/*/ not the end */SELECT 1":       {true, true},
		"WITH a AS (SELECT 1) SELECT 2":    {false, true},
		"with\ta AS (SELECT 1) DELETE":     {false, true},
		"":                                 {},
		"SELECT":                           {}, // no statement
		"SELECTED 1":                       {},
		"SELECT_1":                         {},
		"SELECTé":                          {},
		"VALUESX(1)":                       {},
		"-- SELECT 1":                      {},
		"/* SELECT 1":                      {},
		"/* SELECT 1 */":                   {},
		"INSERT INTO t SELECT 1":           {},
		"UPDATE t SET a = 1":               {},
		"DELETE FROM t":                    {},
		"PRAGMA user_version = 1":          {},
		"BEGIN":                            {},
		"\ufeffSELECT 1":                   {}, // on the safe side
	} {
		if got := reads(sql); got != want.reads {
			t.Errorf("reads(%q) = %v", sql, got)
		}
		if got := looksReadOnly(sql); got != want.looks {
			t.Errorf("looksReadOnly(%q) = %v", sql, got)
		}
	}
}

func TestOnlyATextOfOneStatementIsSingle(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1": true, "SELECT 1;": true, "SELECT 1 ;; \n": true, "": true,
		"SELECT 1; SELECT 2": false, "SELECT ';'": false, "SELECT 1; -- done": false,
		"CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; END": false,
	} {
		if got := isSingle(sql); got != want {
			t.Errorf("isSingle(%q) = %v", sql, got)
		}
	}
}

// executes plays a script in which the node answers every Execute with the row 1
// and hands it to check.
func executes(checks ...func(t testing.TB, seq uint64, x wire.Execute)) func(*peer) {
	return func(p *peer) {
		for _, check := range checks {
			seq, x := p.execute()
			check(p.t, seq, x)
			p.answer(seq, wire.Int(1))
		}
		p.ended(true)
	}
}

func TestAStatementIsSentOnceAndThenOnlyNamed(t *testing.T) {
	var id uint32
	s, stream := open(t, executes(
		func(t testing.TB, _ uint64, x wire.Execute) {
			if id = x.Statement; id == 0 || x.SQL != "SELECT ?" || x.Flags&wire.KeepStatement == 0 || x.Known != 0 {
				t.Errorf("first: %+v", x)
			}
		},
		func(t testing.TB, _ uint64, x wire.Execute) {
			if x.Statement != id || x.SQL != "" || x.Flags&wire.KeepStatement != 0 || x.Known != description(1) {
				t.Errorf("second: %+v", x)
			}
			if len(x.Arguments) != 1 || x.Arguments[0].Name != "n" || x.Arguments[0].Value.Num != 2 {
				t.Errorf("second: arguments %+v", x.Arguments)
			}
		}))
	for n := range int64(2) {
		before := stream.count()
		got, err := query(t.Context(), s, "SELECT ?", wire.Argument{Name: "n", Value: wire.Int(n + 1)})
		wantInts(t, got, err, 1)
		if n := stream.count() - before; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
	}
}

func TestScriptsAreNeitherKeptNorGuarded(t *testing.T) {
	plain := func(t testing.TB, _ uint64, x wire.Execute) {
		if x.Statement != 0 || x.SQL != "SELECT 1; DELETE FROM t" || x.Flags != wire.WantRows {
			t.Errorf("%+v", x)
		}
	}
	s, _ := open(t, executes(plain, plain))
	for range 2 {
		got, err := query(t.Context(), s, "SELECT 1; DELETE FROM t")
		wantInts(t, got, err, 1)
	}
}

func TestNothingIsKeptWithoutACache(t *testing.T) {
	plain := func(t testing.TB, _ uint64, x wire.Execute) {
		if x.Statement != 0 || x.SQL != "SELECT 1" || x.Flags != wire.WantRows|wire.ReadOnly || x.Known != 0 {
			t.Errorf("%+v", x)
		}
	}
	s, stream := open(t, executes(plain, plain), func(c *Config) { c.StatementCache = 0 })
	for range 2 {
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, 1)
	}
	stream.free(t)
}

func TestStatementsThatFallOutOfTheCacheAreClosedAheadOfTheNextRequest(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		ids := map[string]uint32{}
		run := func(sql string) {
			seq, x := p.execute()
			if x.SQL != sql {
				p.t.Errorf("%q came, want %q", x.SQL, sql)
			}
			ids[sql] = x.Statement
			p.answer(seq, wire.Int(1))
		}
		closed := func(sql string) {
			var c wire.CloseStatement
			p.expect(wire.TypeCloseStatement, &c)
			if len(c.Statements) != 1 || c.Statements[0] != ids[sql] {
				p.t.Errorf("closed %v, want %d", c.Statements, ids[sql])
			}
		}
		run("SELECT 'a'")
		run("SELECT 'b'")
		closed("SELECT 'a'")
		run("SELECT 'c'")
		closed("SELECT 'b'")
		run("SELECT 'a'") // unknown again: a new id
		p.ended(true)
	}, func(c *Config) { c.StatementCache = 2 })
	for _, sql := range []string{"SELECT 'a'", "SELECT 'b'", "SELECT 'c'", "SELECT 'a'"} {
		before := stream.count()
		got, err := query(t.Context(), s, sql)
		wantInts(t, got, err, 1)
		if n := stream.count() - before; n != 1 {
			t.Errorf("%s: %d writes, want 1", sql, n)
		}
	}
}

func TestAStatementThatFailedAtOnceIsClosedTooWhenItFallsOut(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, x := p.execute()
		p.refuse(seq, "23505")
		var c wire.CloseStatement
		p.expect(wire.TypeCloseStatement, &c)
		if len(c.Statements) != 1 || c.Statements[0] != x.Statement {
			p.t.Errorf("closed %v, want %d", c.Statements, x.Statement)
		}
		seq, _ = p.execute()
		p.answer(seq, wire.Int(1))
		p.ended(true)
	}, func(c *Config) { c.StatementCache = 1 })
	if _, err := s.Exec(t.Context(), &Request{SQL: "INSERT INTO t VALUES (1)"}); codeOf(err) != "23505" {
		t.Fatalf("error %v", err)
	}
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
}

// codeOf gives the SQLSTATE of an error that a node sent, or the kind of any
// other.
func codeOf(err error) string {
	var lost *LostError
	var e *wire.Error
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &lost):
		return "lost"
	case errors.As(err, &e):
		return e.Code
	}
	return "unexpected: " + err.Error()
}

func TestAForgottenStatementIsSentAgainOnce(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, first := p.execute()
		p.answer(seq, wire.Int(1))
		seq, _ = p.execute()
		p.refuse(seq, "26000")
		seq, again := p.execute()
		if again.SQL != "SELECT 1" || again.Statement != first.Statement || again.Flags&wire.KeepStatement == 0 || again.Known != 0 {
			p.t.Errorf("sent again: %+v", again)
		}
		p.answer(seq, wire.Int(2))
		seq, third := p.execute()
		if third.SQL != "" {
			p.t.Errorf("afterwards: %+v", third)
		}
		p.answer(seq, wire.Int(3))
		p.ended(true)
	})
	for want := range int64(3) {
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, want+1)
	}
}

func TestANodeThatForgetsEverythingIsNotAskedInALoop(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.answer(seq, wire.Int(1))
		for range 2 {
			seq, _ = p.execute()
			p.refuse(seq, "26000")
		}
		p.ended(true)
	})
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
	if _, err := query(t.Context(), s, "SELECT 1"); codeOf(err) != "26000" {
		t.Errorf("error %v", err)
	}
}

func TestARequestIsSentThreeTimesAtMost(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.answer(seq, wire.Int(1))
		for _, code := range []string{"26000", "25006", "25006"} {
			seq, _ = p.execute()
			p.refuse(seq, code)
		}
		p.ended(true)
	})
	got, err := query(t.Context(), s, "SELECT 1")
	wantInts(t, got, err, 1)
	if _, err := query(t.Context(), s, "SELECT 1"); codeOf(err) != "25006" {
		t.Errorf("error %v", err)
	}
}

func TestAWrongGuessThatAStatementOnlyReadsIsMadeOnce(t *testing.T) {
	for name, wrote := range map[string]bool{"a node that is consistent": true, "a node that is not": false} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, func(p *peer) {
				for i, guarded := range []bool{true, false, false} {
					seq, x := p.execute()
					if x.Flags&wire.ReadOnly != 0 != guarded {
						p.t.Errorf("attempt %d: flags %b", i, x.Flags)
					}
					if guarded {
						p.refuse(seq, "25006")
					} else {
						p.reply(wire.TypeComplete, seq, &wire.Complete{RowsAffected: 2, Wrote: wrote})
					}
				}
				p.ended(true)
			})
			for range 2 {
				sum, err := s.Exec(t.Context(), &Request{SQL: "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a"})
				if err != nil || sum.RowsAffected != 2 {
					t.Fatalf("%+v, error %v", sum, err)
				}
			}
		})
	}
}

func TestAReadOnlyTransactionRefusesAWriteOnce(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, m := p.begin()
		if !m.ReadOnly {
			p.t.Errorf("%+v", m)
		}
		p.ack(seq, wire.TxActive, wire.OutcomeInProgress)
		seq, _ = p.execute()
		p.refuse(seq, "25006", func(e *wire.Error) { e.Tx = wire.TxActive })
		p.ended(true)
	})
	s.Begin(wire.IsolationDefault, true)
	if err := writeOne(t.Context(), s); codeOf(err) != "25006" || s.Tx() != wire.TxActive {
		t.Errorf("error %v, transaction %v", err, s.Tx())
	}
}

func TestWhatTheNodeSaysOfAStatementReplacesTheGuess(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		for i, guarded := range []bool{false, true} {
			seq, x := p.execute()
			if x.Flags&wire.ReadOnly != 0 != guarded {
				p.t.Errorf("execution %d: flags %b", i, x.Flags)
			}
			p.answer(seq, wire.Int(1))
		}
		p.ended(true)
	})
	for range 2 {
		got, err := query(t.Context(), s, "PRAGMA user_version")
		wantInts(t, got, err, 1)
	}
}

func TestColumnsThatTheSessionKnowsNeedNotBeSent(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.answer(seq, wire.Int(1))
		seq, x := p.execute()
		p.say(wire.TypeRows, seq, &rowsOf{wire.RowsHeader{First: true, Description: x.Known, Width: 1, Count: 1}, []wire.Value{wire.Int(2)}})
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		seq, _ = p.execute()
		p.sayRows(seq, 2, wire.Int(3), wire.Int(4)) // the table has another column now
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		seq, x = p.execute()
		if x.Known != description(2) {
			p.t.Errorf("Known is %d after the columns changed", x.Known)
		}
		p.say(wire.TypeRows, seq, &rowsOf{wire.RowsHeader{First: true, Description: x.Known, Width: 2}, nil})
		p.say(wire.TypeComplete, seq, &wire.Complete{})
		p.flush()
		p.ended(true)
	})
	for i, want := range []int{1, 1, 2, 2} {
		var rows Rows
		if err := s.Query(t.Context(), &rows, &Request{SQL: "SELECT * FROM t"}); err != nil {
			t.Fatal(err)
		}
		if got := rows.Columns(); len(got) != want || got[0].Name != "c" {
			t.Errorf("query %d has the columns %v", i, got)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestColumnsThatNobodyKnowsBreakTheSession(t *testing.T) {
	for name, h := range map[string]wire.RowsHeader{
		"at the first time": {First: true, Description: 7, Width: 1},
		"without a number":  {First: true, Width: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				seq, _ := p.execute()
				p.reply(wire.TypeRows, seq, &rowsOf{h, nil})
				p.ended(false)
			})
			if _, err := query(t.Context(), s, "SELECT 1"); codeOf(err) != "lost" {
				t.Errorf("error %v", err)
			}
			stream.shutOnce(t)
		})
	}
	t.Run("of another width", func(t *testing.T) {
		s, _ := open(t, func(p *peer) {
			seq, _ := p.execute()
			p.answer(seq, wire.Int(1))
			seq, x := p.execute()
			p.reply(wire.TypeRows, seq, &rowsOf{wire.RowsHeader{First: true, Description: x.Known, Width: 2}, nil})
			p.ended(false)
		})
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, 1)
		if _, err := query(t.Context(), s, "SELECT 1"); codeOf(err) != "lost" {
			t.Errorf("error %v", err)
		}
	})
}
