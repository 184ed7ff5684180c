package testserver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func (c *client) cancel(seq uint64) {
	c.t.Helper()
	c.send(wire.TypeCancel, &wire.Cancel{Target: seq})
}

func TestACancelledReadEndsAndTheSessionLivesOn(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for range 20 {
		seq := s.send(wire.TypeExecute, query("wait"))
		g.awaitEntered(t, "wait")
		s.cancel(seq)
		if e := s.expectError(seq, "57014"); e.Effect != wire.EffectNone || e.Severity != wire.SeverityError {
			t.Fatalf("got %+v", e)
		}
	}
	s.must("rows 1")
	if n := c.Node(0).SessionsOpened(); n != 1 {
		t.Fatalf("%d sessions were opened, want one", n)
	}
}

func TestACancelledStatementStopsSoon(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	start := time.Now()
	s.cancel(seq)
	s.expectError(seq, "57014")
	if d := time.Since(start); d > 50*time.Millisecond {
		t.Errorf("stopped after %v, want 50 ms at most", d)
	}
}

func TestALateCancelDoesNothing(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	done := s.send(wire.TypeExecute, query("rows 1"))
	s.collect(done)
	s.cancel(done)
	seq := s.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	s.cancel(done)
	s.cancel(seq + 100)
	g.goOn <- struct{}{}
	if r := s.collect(seq); r.err != nil {
		t.Fatalf("a cancel of another request hit this one: %v", r.err)
	}
}

func TestACancelReachesARequestThatIsStillWaiting(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	first := s.put(wire.TypeExecute, query("wait"))
	second := s.put(wire.TypeExecute, query("put a"))
	third := s.put(wire.TypeExecute, query("rows 1"))
	s.put(wire.TypeCancel, &wire.Cancel{Target: second})
	ping := s.put(wire.TypePing, nil)
	s.flush()
	g.awaitEntered(t, "wait")
	// The watch has read everything once it waits for the socket again; the
	// cancel in front of the first request's own shows that.
	s.cancel(first)
	s.expectError(first, "57014")
	if e := s.expectError(second, "57014"); e.Effect != wire.EffectNone {
		t.Fatalf("effect %v, want none", e.Effect)
	}
	s.collect(third)
	s.expect(wire.TypePong, ping)
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestARequestSentWhileAnotherRunsIsAnsweredAfterIt(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	next := s.send(wire.TypeExecute, query("echo ?", wire.String("kept")))
	// A frame that arrives in halves: the first while the request runs, the
	// second after it.
	s.put(wire.TypePing, nil)
	frame := append([]byte(nil), s.out.Bytes()...)
	s.out.Reset()
	s.conn.Write(frame[:20])
	eventually(t, "the half frame read", func() bool { return c.Node(0).BytesReceived() >= int64(20) })
	g.goOn <- struct{}{}
	s.collect(seq)
	if r := s.collect(next); string(r.rows[0][0].Raw) != "kept" {
		t.Fatalf("got %+v", r)
	}
	s.conn.Write(frame[20:])
	s.expect(wire.TypePong, s.seq)
}

func TestArgumentsSurviveThatMoreIsReadWhileTheyAreNeeded(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("wait; echo ?", wire.String("argument")))
	g.awaitEntered(t, "wait")
	pings := 200
	for range pings {
		s.put(wire.TypePing, nil)
	}
	s.flush()
	eventually(t, "the pings read ahead", func() bool { return c.Node(0).BytesReceived() >= int64(pings*wire.Overhead) })
	g.goOn <- struct{}{}
	if r := s.collect(seq); r.err != nil || string(r.rows[0][0].Raw) != "argument" {
		t.Fatalf("got %+v", r)
	}
}

func TestACancelledWriteHasNoEffect(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("waitput a"))
	g.awaitEntered(t, "waitput a")
	s.cancel(seq)
	if e := s.expectError(seq, "57014"); e.Effect != wire.EffectNone {
		t.Fatalf("effect %v, want none", e.Effect)
	}
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none", g.contents())
	}
}

func TestAWriteThatHasReturnedRowsIsBroughtToItsEnd(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	e := query("returning 100000 a")
	e.Credit = 1000
	seq := s.send(wire.TypeExecute, e)
	for got := 0; got < 1000; { // and then it waits for credit
		got += len(s.expect(wire.TypeRows, seq).Payload)
	}
	s.cancel(seq)
	r := s.collect(seq)
	if r.err == nil || r.err.Code != "57014" || r.err.Effect != wire.EffectDone {
		t.Fatalf("got %+v, want 57014 with the effect done", r)
	}
	if len(r.rows) != 0 {
		t.Fatalf("%d more rows were sent after the cancel", len(r.rows))
	}
	if len(g.contents()) != 1 {
		t.Fatalf("the data is %v, want a", g.contents())
	}
}

func TestAWaitForTheTurnToWriteCanBeCancelled(t *testing.T) {
	c, _ := scripted(t, Options{})
	holder, s := dial(t, c.Node(0)), dial(t, c.Node(0))
	holder.tx(wire.TxBegin, 1)
	begin := s.send(wire.TypeTransaction, &wire.Transaction{Op: wire.TxBegin, ID: [16]byte{2}})
	s.cancel(begin)
	s.expectError(begin, "57014")
	if got := s.tx(wire.TxStatus, 2).Outcome; got != wire.OutcomeUnknown {
		t.Fatalf("the outcome is %d, want unknown: it never began", got)
	}
	holder.tx(wire.TxCommit, 1)
	s.tx(wire.TxBegin, 2)
}

func TestAStatementEndsAtItsTimeout(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	for _, ms := range []uint32{1, 30} {
		start := time.Now()
		seq := s.send(wire.TypeExecute, &wire.Execute{SQL: "wait", Timeout: ms})
		g.awaitEntered(t, "wait")
		e := s.expectError(seq, "57014")
		if want := "statement timeout: not finished within " + itoa(int(ms)) + " ms"; e.Message != want {
			t.Fatalf("got %q, want %q", e.Message, want)
		}
		if d := time.Since(start); d < time.Duration(ms)*time.Millisecond {
			t.Fatalf("ended after %v, want %d ms", d, ms)
		}
	}
	// It holds while waiting for credit, too.
	e := query("rows 1000 1000")
	e.Credit, e.Timeout = 1, 30 // one row, and none after it
	seq := s.send(wire.TypeExecute, e)
	s.expect(wire.TypeRows, seq)
	s.expectError(seq, "57014")
	s.must("rows 1")
}

func TestAClientThatGoesAwayInterruptsItsStatement(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.tx(wire.TxBegin, 1)
	s.must("put a")
	s.send(wire.TypeExecute, query("wait"))
	g.awaitEntered(t, "wait")
	s.conn.Close()
	eventually(t, "the session ended", func() bool { return c.Node(0).Sessions() == 0 && g.conns.Load() == 0 })
	if len(g.contents()) != 0 {
		t.Fatalf("the data is %v, want none: it was rolled back", g.contents())
	}
}

// A storm of cancels around the moment at which their requests end by
// themselves: each hits its own request or nothing.
func TestCancelsNeverHitAnotherRequest(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	rng := rand.New(rand.NewPCG(1, 2))
	moment := func() time.Duration { return time.Duration(rng.IntN(6000)) * time.Microsecond }
	hits, rounds := 0, 400
	for range rounds {
		victim := s.send(wire.TypeExecute, query("wait"))
		g.awaitEntered(t, "wait")
		over := make(chan struct{})
		end := moment()
		go func() {
			select {
			case <-over:
			case <-time.After(end):
				select {
				case g.goOn <- struct{}{}:
				case <-over:
				}
			}
		}()
		time.Sleep(moment()) // so that the cancel comes before, at and after the end
		s.put(wire.TypeCancel, &wire.Cancel{Target: victim})
		bystander := s.put(wire.TypeExecute, query("rows 1"))
		s.flush()
		if r := s.collect(victim); r.err != nil {
			if r.err.Code != "57014" {
				t.Fatal(r.err)
			}
			hits++
		}
		if r := s.collect(bystander); r.err != nil {
			t.Fatalf("the request after the cancelled one: %v", r.err)
		}
		close(over)
	}
	if hits == 0 || hits == rounds {
		t.Errorf("%d of %d cancels hit: the moments were badly chosen", hits, rounds)
	}
}
