package testserver

import (
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// answer is the size of the answer to "put a", in bytes.
func answerSize(t *testing.T) int64 {
	c, _ := scripted(t, Options{})
	s := dial(t, c.Node(0))
	sent := c.Node(0).BytesSent()
	s.must("put a")
	return c.Node(0).BytesSent() - sent
}

func TestACutOfTheAnswerComesAtExactlyTheByte(t *testing.T) {
	whole := answerSize(t)
	for _, mode := range []CutMode{CutFIN, CutRST, CutHang, CutGarbage} {
		for _, after := range []int64{0, 1, 4, 5, 50, whole - 1, whole} {
			t.Run(mode.String()+"/"+itoa(int(after)), func(t *testing.T) {
				c, g := scripted(t, Options{})
				n := c.Node(0)
				s := dial(t, n)
				n.SetFaults(Faults{Cut: mode, CutAfterBytes: after})
				sent := n.BytesSent()
				s.send(wire.TypeExecute, query("put a"))
				eventually(t, "the cut", func() bool { return n.FaultsHit() == 1 })
				b, err := readAll(s, mode == CutHang)
				switch {
				case mode == CutRST && !errors.Is(err, syscall.ECONNRESET):
					t.Errorf("got %v, want a reset", err)
				case (mode == CutFIN || mode == CutGarbage) && err != nil:
					t.Errorf("got %v, want the end of the stream", err)
				case mode == CutHang && !isTimeout(err):
					t.Errorf("got %v, want silence", err)
				case (mode == CutFIN || mode == CutHang) && int64(len(b)) != after:
					t.Errorf("got %d bytes, want %d", len(b), after)
				case mode == CutGarbage && int64(len(b)) <= after:
					t.Errorf("got %d bytes, want garbage after %d", len(b), after)
				}
				if got := n.BytesSent() - sent; got != after {
					t.Errorf("%d bytes were sent, want %d", got, after)
				}
				if got := g.contents(); !slices.Equal(got, []string{"a"}) {
					t.Errorf("got %v: the statement had been carried out", got)
				}
			})
		}
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// readAll reads what is still to come. If silence is expected, it waits for it
// only for a moment.
func readAll(s *client, silence bool) ([]byte, error) {
	wait := 20 * time.Second
	if silence {
		wait = 30 * time.Millisecond
	}
	s.conn.SetReadDeadline(time.Now().Add(wait))
	return io.ReadAll(s.conn)
}

func TestACutOfTheRequestKeepsTheRestFromTheNode(t *testing.T) {
	probe := &client{t: t}
	probe.put(wire.TypeExecute, query("put a"))
	whole := int64(probe.out.Len())
	for _, mode := range []CutMode{CutFIN, CutRST, CutHang} {
		for _, after := range []int64{0, 1, 5, 60, whole - 1, whole} {
			t.Run(mode.String()+"/"+itoa(int(after)), func(t *testing.T) {
				c, g := scripted(t, Options{})
				n := c.Node(0)
				s := dial(t, n)
				n.SetFaults(Faults{Cut: mode, CutAfterBytes: after, CutReceived: true})
				s.send(wire.TypeExecute, query("put a"))
				eventually(t, "the cut", func() bool { return n.FaultsHit() == 1 })
				s.conn.Close()
				eventually(t, "the session ended", func() bool { return n.Sessions() == 0 })
				if ran := len(g.contents()) == 1; ran != (after == whole) {
					t.Errorf("the statement ran: %v; %d of %d bytes of the request arrived", ran, after, whole)
				}
			})
		}
	}
}

func TestFaultsHitNoMoreConnectionsThanTheirLimit(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	a, b := dial(t, n), dial(t, n)
	n.SetFaults(Faults{Cut: CutRST, Limit: 1})
	a.send(wire.TypePing, nil)
	if _, err := a.receive(); err == nil {
		t.Fatal("the first connection was not cut")
	}
	b.ping()
	dial(t, n).ping()
	if n.FaultsHit() != 1 {
		t.Fatalf("%d connections were hit, want 1", n.FaultsHit())
	}
}

func TestFaultsCanSpareMonitors(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	s, m := dial(t, n), dial(t, n, asMonitor)
	n.SetFaults(Faults{Cut: CutRST, SpareMonitors: true})
	m.ping()
	s.send(wire.TypePing, nil)
	if _, err := s.receive(); err == nil {
		t.Fatal("the session was not cut")
	}
	n.SetFaults(Faults{})
	dial(t, n).ping()
}

func TestCorruptionIsFoundByTheChecksum(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	s := dial(t, n)
	n.SetFaults(Faults{CorruptEvery: 100})
	s.send(wire.TypeExecute, query("rows 1 200"))
	for {
		m, err := s.receive()
		if err == nil {
			if m.Type == wire.TypeComplete {
				t.Fatal("a damaged answer was accepted")
			}
			continue
		}
		var broken *wire.ProtocolError
		if !errors.As(err, &broken) {
			t.Fatalf("got %v, want a protocol error", err)
		}
		return
	}
}

func TestEveryNthByteIsCorruptedAcrossWrites(t *testing.T) {
	set := &faultSet{Faults: Faults{CorruptEvery: 7}}
	st := (&faultState{}).track(set)
	clean := []byte(strings.Repeat("a", 100))
	var got []byte
	for _, n := range []int{1, 5, 2, 30, 7, 14, 41} {
		p := clean[len(got) : len(got)+n]
		got = append(got, st.corrupt(p)...)
		st.bytes += int64(n)
	}
	for i := range got {
		if damaged := got[i] != clean[i]; damaged != (i%7 == 6) {
			t.Errorf("byte %d: damaged is %v", i, damaged)
		}
	}
}

func TestLatencyDelaysAnswers(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	s := dial(t, n)
	n.SetFaults(Faults{Latency: 30 * time.Millisecond, LatencyJitter: 10 * time.Millisecond})
	start := time.Now()
	s.ping()
	if d := time.Since(start); d < 30*time.Millisecond {
		t.Fatalf("answered after %v", d)
	}
	// A node with a delay can still be killed at once.
	n.SetFaults(Faults{Latency: time.Hour})
	s.send(wire.TypePing, nil)
	n.Kill()
}
