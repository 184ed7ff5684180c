package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestPingTellsHowTheNodeIs(t *testing.T) {
	want := wire.Pong{Status: wire.StatusDraining, Role: wire.RoleReplica, Load: 7, TopologyEpoch: 3, SchemaEpoch: 4}
	s, stream := open(t, func(p *peer) {
		p.reply(wire.TypePong, p.expect(wire.TypePing, nil), &want)
		p.ended(true)
	})
	before := stream.count()
	if got, err := s.Ping(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, error %v", got, err)
	}
	if n := stream.count() - before; n != 1 {
		t.Errorf("%d writes", n)
	}
	stream.free(t)
}

func TestPingGivesTheNodesRefusal(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		p.refuse(p.expect(wire.TypePing, nil), "53300")
		p.ended(true)
	})
	if err := pingOne(t.Context(), s); codeOf(err) != "53300" {
		t.Errorf("error %v", err)
	}
	stream.free(t)
}

func TestPingCarriesAResetThatWaits(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		p.ack(p.expect(wire.TypeReset, nil), wire.TxNone, 0)
		p.reply(wire.TypePong, p.expect(wire.TypePing, nil), &wire.Pong{})
		p.ended(true)
	})
	s.dirty = true
	s.Recycle()
	before := stream.count()
	if err := pingOne(t.Context(), s); err != nil || s.Dirty() {
		t.Errorf("error %v, dirty %v", err, s.Dirty())
	}
	if n := stream.count() - before; n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestNewsThatComeDuringAPingAreKeptTheLatestOfThem(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq := p.expect(wire.TypePing, nil)
		p.say(wire.TypeClusterJoin, 0, &wire.TopologyChange{NodeID: "n2", Topology: wire.Topology{Epoch: 2}})
		p.say(wire.TypeClusterLeave, 0, &wire.TopologyChange{NodeID: "n3", Reason: wire.LeaveDraining, Topology: wire.Topology{Epoch: 3}})
		p.say(wire.TypePong, seq, &wire.Pong{})
		p.flush()
		p.ended(true)
	})
	if err := pingOne(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	news := s.News()
	if news == nil || news.NodeID != "n3" || news.Reason != wire.LeaveDraining || news.Topology.Epoch != 3 {
		t.Errorf("news %+v", news)
	}
	if s.News() != nil {
		t.Error("the news came twice")
	}
}

func TestWaitGivesWhatTheNodeSaysUnasked(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		p.reply(wire.TypeClusterLeave, 0, &wire.TopologyChange{NodeID: "n1", Reason: wire.LeaveShutdown})
		p.reply(wire.TypeHeartbeat, 0, raw(""))
		p.reply(wire.TypeClusterJoin, 0, &wire.TopologyChange{NodeID: "n2"})
		p.ended(true)
	})
	for i, want := range []string{"n1", "", "n2"} {
		news, err := s.Wait(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case want == "" && news != nil, want != "" && (news == nil || news.NodeID != want):
			t.Errorf("event %d: %+v, want %q", i, news, want)
		}
	}
	stream.free(t)
}

func TestWaitGivesFirstWhatWasHeardBefore(t *testing.T) {
	s, _ := open(t, func(p *peer) {
		seq := p.expect(wire.TypePing, nil)
		p.say(wire.TypeClusterJoin, 0, &wire.TopologyChange{NodeID: "n2"})
		p.say(wire.TypePong, seq, &wire.Pong{})
		p.flush()
		p.ended(true)
	})
	if err := pingOne(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if news, err := s.Wait(t.Context()); err != nil || news == nil || news.NodeID != "n2" {
		t.Errorf("news %+v, error %v", news, err)
	}
}

func TestWaitEndsWithItsContextAndTheSessionLives(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		p.reply(wire.TypePong, p.expect(wire.TypePing, nil), &wire.Pong{})
		p.reply(wire.TypeClusterJoin, 0, &wire.TopologyChange{NodeID: "n2"})
		p.ended(true)
	})
	promptly(t, 20*time.Millisecond, func() time.Duration {
		deadline := time.Now().Add(20 * time.Millisecond)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		if news, err := s.Wait(ctx); news != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("news %+v, error %v", news, err)
		}
		return time.Since(deadline)
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	stream.free(t)
	if err := pingOne(t.Context(), s); err != nil {
		t.Error(err)
	}
	if news, err := s.Wait(t.Context()); err != nil || news == nil || news.NodeID != "n2" {
		t.Errorf("news %+v, error %v", news, err)
	}
}

func TestAWaitThatEndsInTheMiddleOfAFrameLosesNothing(t *testing.T) {
	notice := frameOf(wire.TypeClusterJoin, 0, &wire.TopologyChange{NodeID: "n2", Topology: wire.Topology{Epoch: 5}})
	parts := make(chan int)
	written := make(chan struct{})
	s, _ := openPipe(t, func(p *peer) { // without a buffer: what was written has been read
		from := 0
		for to := range parts {
			if _, err := p.conn.Write(notice[from:to]); err != nil {
				p.fatalf("%v", err)
			}
			from = to
			written <- struct{}{}
		}
	})
	for to := 1; to < len(notice); to += 7 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			parts <- to
			<-written
			cancel()
		}()
		if news, err := s.Wait(ctx); news != nil || !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d bytes: news %+v, error %v", to, news, err)
		}
	}
	go func() {
		parts <- len(notice)
		<-written
		close(parts)
	}()
	if news, err := s.Wait(t.Context()); err != nil || news == nil || news.NodeID != "n2" || news.Topology.Epoch != 5 {
		t.Errorf("news %+v, error %v", news, err)
	}
}

func TestWaitEndsWhenTheSessionDoes(t *testing.T) {
	for name, c := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"FIN":               {func(*peer) {}, "closed the connection"},
		"RST":               {func(p *peer) { p.reset() }, "reset"},
		"a farewell":        {func(p *peer) { p.refuse(0, "57P01") }, "57P01"},
		"a damaged one":     {func(p *peer) { p.reply(wire.TypeError, 0, raw("?????")) }, "SQLSTATE"},
		"damaged news":      {func(p *peer) { p.reply(wire.TypeClusterJoin, 0, raw("\x09short")) }, "node_id"},
		"half a frame":      {func(p *peer) { p.conn.Write([]byte{0, 0, 0, 60, 0, 1}) }, "inside a frame"},
		"an answer unasked": {func(p *peer) { p.reply(wire.TypePong, 9, &wire.Pong{}) }, "unasked"},
	} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, c.script)
			news, err := s.Wait(t.Context())
			if news != nil || err == nil || !strings.Contains(err.Error(), c.want) || s.Broken() == nil {
				t.Errorf("news %+v, error %v, broken %v", news, err, s.Broken())
			}
			stream.shutOnce(t)
			if _, again := s.Wait(t.Context()); again == nil {
				t.Error("the session can be waited on again")
			}
		})
	}
}

func TestReceivedCountsWhatTheNodeHasSentAndMayBeAskedMeanwhile(t *testing.T) {
	half := make(chan struct{})
	s, _ := open(t, func(p *peer) {
		seq := p.expect(wire.TypePing, nil)
		pong := frameOf(wire.TypePong, seq, &wire.Pong{})
		p.conn.Write(pong[:20])
		<-half
		p.conn.Write(pong[20:])
		p.ended(true)
	})
	before := s.Received()
	if before == 0 {
		t.Error("the handshake was not counted")
	}
	done := make(chan error, 1)
	go func() { done <- pingOne(t.Context(), s) }()
	for began := time.Now(); s.Received() < before+20 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
		// Half a frame has arrived: there is no event that tells so.
	}
	if n := s.Received() - before; n != 20 {
		t.Errorf("%d bytes after half an answer, want 20", n)
	}
	close(half)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, want := s.Received()-before, int64(len(frameOf(wire.TypePong, 1, &wire.Pong{}))); n != want {
		t.Errorf("%d bytes after the answer, want %d", n, want)
	}
}
