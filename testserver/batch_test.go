package testserver

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qdb-go/qdb/wire"
)

func TestRowsTravelInBatchesOfAGoodSize(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("rows 20000 50"))
	var sizes []int
	rows := 0
	for {
		m := s.next()
		if m.Type == wire.TypeComplete {
			break
		}
		var h wire.RowsHeader
		if _, err := h.Decode(m.Payload); err != nil || m.Sequence != seq {
			t.Fatalf("got %v: %v", m.Type, err)
		}
		rows += h.Count
		sizes = append(sizes, len(m.Payload))
	}
	if rows != 20000 {
		t.Fatalf("got %d rows", rows)
	}
	if sizes[0] > firstBatch+1024 {
		t.Errorf("the first batch has %d bytes, want about %d", sizes[0], firstBatch)
	}
	// A batch may be sent early, when the engine happens to be slow.
	total := 0
	for _, size := range sizes {
		total += size
		if size > largeBatch+1024 {
			t.Errorf("a batch has %d bytes, want %d at most", size, largeBatch)
		}
	}
	if mean := total / len(sizes); mean < 16<<10 {
		t.Errorf("batches have %d bytes in the mean, want 16 to 64 KiB: %v", mean, sizes)
	}
}

func TestRowsAreNotHeldBackWhileTheNextOneTakesLong(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	seq := s.send(wire.TypeExecute, query("trickle 3 10"))
	for want := int64(1); want <= 3; want++ {
		g.awaitEntered(t, "trickle 3 10")
		var h wire.RowsHeader
		rows, err := h.Decode(s.expect(wire.TypeRows, seq).Payload)
		if err != nil || h.Count != 1 || h.First != (want == 1) {
			t.Fatalf("row %d: got %+v, %v", want, h, err)
		}
		if v, _, _ := wire.ParseValue(rows); v.Num != want {
			t.Fatalf("got row %d, want %d", v.Num, want)
		}
		g.goOn <- struct{}{}
	}
	s.collect(seq)
}

func TestAnswersAreNotHeldBackByALaterRequestThatTakesLong(t *testing.T) {
	c, g := scripted(t, Options{})
	s := dial(t, c.Node(0))
	first := s.put(wire.TypeExecute, query("rows 1"))
	second := s.put(wire.TypeExecute, query("wait"))
	s.flush()
	s.collect(first)
	close(g.goOn)
	s.collect(second)
}

func TestCreditBoundsWhatIsSentAhead(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	const credit, row = 10_000, 1000
	sent := c.Node(0).BytesSent()
	seq := s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 100000 1000", Flags: wire.WantRows, Credit: credit})
	// The client takes nothing. The node sends what it may, and then stands
	// still: there is no event for that, so its counter is watched for a while.
	ahead := func() int64 { return c.Node(0).BytesSent() - sent }
	eventually(t, "rows up to the credit", func() bool { return ahead() >= credit })
	time.Sleep(50 * time.Millisecond) // in which a node without bounds sends megabytes
	if n := ahead(); n > credit+2*row {
		t.Fatalf("%d bytes were sent ahead, with a credit of %d", n, credit)
	}
	got := 0
	for got < credit {
		got += len(s.expect(wire.TypeRows, seq).Payload)
	}
	s.expectSilence(20 * time.Millisecond)
	s.send(wire.TypeCredit, &wire.Credit{Target: seq, Bytes: uint32(got-credit) + 500})
	m := s.expect(wire.TypeRows, seq)
	if n := len(m.Payload); n > 500+2*row {
		t.Fatalf("a message of %d bytes for a credit of 500", n)
	}
	s.send(wire.TypeCancel, &wire.Cancel{Target: seq})
	s.expectError(seq, "57014")
	s.ping()
}

func TestCreditThatCoversTheResultNeedsNoMore(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	r := s.collect(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 3 10", Flags: wire.WantRows, Credit: 1 << 20}))
	if len(r.rows) != 3 {
		t.Fatalf("got %+v", r)
	}
	// The last row may overshoot; the completion needs no credit.
	r = s.collect(s.send(wire.TypeExecute, &wire.Execute{SQL: "rows 1 100", Flags: wire.WantRows, Credit: 1}))
	if len(r.rows) != 1 || r.err != nil {
		t.Fatalf("got %+v", r)
	}
}

func TestRequestsSentAheadOfCreditAreAnsweredAfterIt(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	first := s.put(wire.TypeExecute, &wire.Execute{SQL: "rows 3 10", Flags: wire.WantRows, Credit: 1})
	ping := s.put(wire.TypePing, nil)
	s.put(wire.TypeCredit, &wire.Credit{Target: first, Bytes: 1000})
	s.flush()
	if r := s.collect(first); len(r.rows) != 3 {
		t.Fatalf("got %+v", r)
	}
	s.expect(wire.TypePong, ping)
}

func TestAClientThatSendsTooMuchAheadOfItsCreditIsClosed(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	s.put(wire.TypeExecute, &wire.Execute{SQL: "rows 3 10", Flags: wire.WantRows, Credit: 1})
	for range aheadMessages + 1 {
		s.put(wire.TypePing, nil)
	}
	s.flush()
	if e := s.expectClosed(); e == nil || e.Code != "54000" {
		t.Fatalf("got %v, want 54000", e)
	}
}

func TestARowOverTheLimitIsAnErrorThatNamesTheColumn(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0), func(h *wire.ClientHandshake) { h.MaxMessageSize = MinMessageSize })
	r := s.exec("rows 2 5000")
	if r.err == nil || r.err.Code != "54000" || r.err.Column != "text" {
		t.Fatalf("got %v, want 54000 about column text", r.err)
	}
	if r := s.must("rows 3 3500"); len(r.rows) != 3 || r.batches < 3 {
		t.Fatalf("rows that only fit alone: got %d in %d messages", len(r.rows), r.batches)
	}
}

func TestLargeRowsAreSentWholeOverTheAgreedSize(t *testing.T) {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	if r := s.must("rows 2 3000000"); len(r.rows) != 2 || len(r.rows[1][1].Raw) != 3_000_000 {
		t.Fatalf("got %d rows", len(r.rows))
	}
}

func TestAnswersAreCompressedWhereBothSidesAgree(t *testing.T) {
	c, _ := scripted(t, Options{})
	run := func(n *Node, f wire.Features) int64 {
		s := dial(t, n, func(h *wire.ClientHandshake) { h.Features = f })
		if s.welcome.Features != f&s.welcome.Features {
			t.Fatalf("features %b were not offered", s.welcome.Features)
		}
		sent := n.BytesSent()
		if r := s.must("rows 100 1000"); len(r.rows) != 100 || string(r.rows[99][1].Raw[:3]) != "xxx" {
			t.Fatalf("got %d rows", len(r.rows))
		}
		return n.BytesSent() - sent
	}
	if plain, packed := run(c.Node(0), 0), run(c.Node(0), wire.FeatureLZ4); packed > plain/4 {
		t.Fatalf("%d bytes compressed, %d plain", packed, plain)
	}
	off, _ := scripted(t, Options{CompressThreshold: -1})
	if n := run(off.Node(0), wire.FeatureLZ4); n < 100_000 {
		t.Fatalf("%d bytes from a node that does not compress", n)
	}
}

// However rows, sizes, credits and message limits fall, all rows arrive in order.
func TestAllRowsArriveWhateverTheSizes(t *testing.T) {
	c, _ := scripted(t, Options{})
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Uint32Range(MinMessageSize, 1<<16).Draw(rt, "limit")
		s := dial(t, c.Node(0), func(h *wire.ClientHandshake) { h.MaxMessageSize = limit })
		defer s.conn.Close()
		rows, size := rapid.IntRange(0, 300).Draw(rt, "rows"), rapid.IntRange(0, 3900).Draw(rt, "size")
		credit := rapid.Uint32Range(1, 20000).Draw(rt, "credit")
		e := query("rows ? ?")
		e.SQL, e.Credit = "rows "+itoa(rows)+" "+itoa(size), credit
		seq := s.send(wire.TypeExecute, e)
		got := 0
		for {
			m := s.next()
			if m.Type == wire.TypeComplete {
				break
			}
			var h wire.RowsHeader
			if _, err := h.Decode(m.Payload); err != nil {
				rt.Fatal(err)
			}
			got += h.Count
			s.send(wire.TypeCredit, &wire.Credit{Target: seq, Bytes: uint32(len(m.Payload))})
		}
		if got != rows {
			rt.Fatalf("got %d rows, want %d", got, rows)
		}
	})
}
