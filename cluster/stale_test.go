package cluster

import (
	"context"
	"errors"
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
