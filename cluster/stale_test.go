package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Sessions that died in the pool say nothing of the node as it is now, and do not
// use up the attempts that a request has.
func TestSessionsThatDiedInThePoolDoNotUseUpTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").latency = 50 * time.Millisecond // what replaces them comes too late
		opt := net.options("a")
		opt.MinConns, opt.MaxConns = 8, 8
		opt.Retry.Max = 1
		c := open(t, opt)
		time.Sleep(time.Second)
		if s := c.Stats(); s.Idle != 8 {
			t.Fatalf("%d idle sessions, want 8", s.Idle)
		}
		r := c.Retry(Request{})
		began := time.Now()
		for attempt := 1; ; attempt++ {
			l, err := r.Acquire(t.Context())
			if err != nil {
				t.Fatalf("attempt %d: %v", attempt, err)
			}
			if attempt > 3 {
				l.Release()
				break
			}
			l.Discard()
			if !r.Again(l, errors.New("reset"), NeverSent) {
				t.Fatalf("no attempt after %d, all of them on sessions from before the request", attempt)
			}
		}
		if d := time.Since(began); d > 100*time.Millisecond {
			t.Errorf("the attempts took %v", d)
		}
	})
}

// A node that has left the topology and falls silent must not hold up those who
// still wait for its answers.
func TestANodeThatHasLeftIsWatchedUntilItsLastSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a")
		c := open(t, opt)
		time.Sleep(time.Second)
		net.publish("a", 1, net.list("a", "b"))
		time.Sleep(time.Second)
		l := mustAcquire(t, c, Request{})
		for l.Node().Address != "b" {
			defer l.Release()
			l = mustAcquire(t, c, Request{})
		}
		net.publish("a", 2, net.list("a"))
		net.node("b").pause()
		began := time.Now()
		err := l.Conn().do(context.Background(), time.Millisecond)
		if d := time.Since(began); err == nil || d > opt.HealthInterval+2*opt.HealthTimeout+time.Second {
			t.Errorf("the operation ended after %v with %v", d, err)
		}
		l.Fail(err)
		time.Sleep(time.Second)
		if _, monitors := net.sessions(); monitors > 1 {
			t.Errorf("%d monitors are left, want the one of the member", monitors)
		}
	})
}

// A member that the reporting node has not heard from is listed without an id,
// and is no less a member for that.
func TestAMemberListedWithoutAnIDStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		net.publish("a", 1, append(net.list("a"), NodeInfo{Address: "b", Status: StatusDown}))
		if m := members(c); m != "a b " {
			t.Errorf("members: %s", m)
		}
		net.publish("a", 2, net.list("a"))
		if m := members(c); m != "a " {
			t.Errorf("members: %s", m)
		}
	})
}

// talker is a session that goes on receiving whatever happens to the checks.
type talker struct {
	*fakeConn
	bytes atomic.Int64
}

func (c *talker) Received() int64 { return c.bytes.Load() }

// A node whose answer to a check is late, but which sends on a session in use, is
// busy and not dead: what it sends is not cut off.
func TestANodeThatSendsIsNotTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		from := net.options("a")
		opt := Options[*talker]{Seeds: from.Seeds, DialMonitor: from.DialMonitor, MaxConns: 2,
			AcquireTimeout: from.AcquireTimeout, ConnectTimeout: from.ConnectTimeout, HealthInterval: from.HealthInterval,
			HealthTimeout: from.HealthTimeout, ShutdownGrace: from.ShutdownGrace, Retry: from.Retry,
			Dial: func(ctx context.Context, addr string) (*talker, Report, error) {
				conn, report, err := from.Dial(ctx, addr)
				return &talker{fakeConn: conn}, report, err
			}}
		c, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		l, err := c.Acquire(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		talks := time.NewTicker(opt.HealthTimeout / 10)
		defer talks.Stop()
		net.node("a").pause()
		down := func() bool { return c.Stats().Nodes[0].State == StateDown }
		for range 100 {
			<-talks.C
			l.Conn().bytes.Add(1000)
			if down() {
				t.Fatal("the node is called down while it sends")
			}
		}
		time.Sleep(opt.HealthInterval + 3*opt.HealthTimeout) // it falls silent
		if !down() {
			t.Errorf("the node is %v when it has fallen silent", c.Stats().Nodes[0].State)
		}
		net.node("a").resume()
		l.Release()
	})
}
