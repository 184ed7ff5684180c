package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAKilledNodeIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a", "b", "c"))
		time.Sleep(time.Second)
		net.node("a").kill()
		synctest.Wait() // the monitor has seen the reset, and been refused
		if s := stats(t, c, "a"); s.State != StateDown || s.Idle != 0 || s.Generation == 0 {
			t.Errorf("after the kill: %+v", s)
		}
		dials := net.node("a").counts().dials
		for range 1000 {
			began := time.Now()
			l := mustAcquire(t, c, Request{})
			if l.Node().Address == "a" || time.Since(began) > 0 {
				t.Fatalf("got %v after %v", l.Node(), time.Since(began))
			}
			l.Release()
			time.Sleep(10 * time.Millisecond)
		}
		if n := net.node("a").counts().dials; n != dials {
			t.Errorf("%d dials on a dead node on callers' account", n-dials)
		}
	})
}

func TestANodeThatFallsSilentFailsWhatIsUnderWay(t *testing.T) {
	for _, tt := range []struct{ interval, timeout, within time.Duration }{
		{2 * time.Second, time.Second, 3300 * time.Millisecond},
		{500 * time.Millisecond, 300 * time.Millisecond, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b")
			opt := net.options("a", "b")
			opt.HealthInterval, opt.HealthTimeout, opt.Policy = tt.interval, tt.timeout, InOrder()
			c := open(t, opt)
			time.Sleep(1700 * time.Millisecond)
			l := mustAcquire(t, c, Request{})
			net.node("a").pause()
			began := time.Now()
			err := l.Conn().do(t.Context(), 0)
			var ne *NodeError
			if !errors.As(err, &ne) || ne.Node.Address != "a" {
				t.Errorf("the error does not name the node: %v", err)
			}
			if d := time.Since(began); d > tt.within {
				t.Errorf("noticed after %v, want within %v", d, tt.within)
			}
			failures := stats(t, c, "a").Failures
			l.Fail(err) // of the older generation by now
			if s := stats(t, c, "a"); s.State != StateDown || s.Failures != failures {
				t.Errorf("after the old session's error: %+v", s)
			}
			net.node("a").resume()
		})
	}
}

func TestAnErrorOfAnOlderGenerationChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		old := []Lease[*fakeConn]{mustAcquire(t, c, Request{}), mustAcquire(t, c, Request{})}
		net.node("a").kill()
		synctest.Wait()
		net.node("a").restart()
		time.Sleep(2 * time.Second)
		before := stats(t, c, "a")
		if before.State != StateHealthy || before.Node.Address != "a" {
			t.Fatalf("a is not back: %+v", before)
		}
		old[0].Fail(errReset)
		old[1].Release()
		after := stats(t, c, "a")
		if after.State != StateHealthy || after.Failures != before.Failures || after.Generation != before.Generation {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		synctest.Wait()
		if net.node("a").has(old[1].Conn()) {
			t.Error("a session of the older generation was kept")
		}
	})
}

func TestANetworkErrorMakesTheNodeSuspectAndHasItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").rtt = 30 * time.Millisecond
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		w := c.Watch(16)
		l := mustAcquire(t, c, Request{})
		l.Fail(errReset)
		if s := stats(t, c, "a"); s.State != StateSuspect || !errors.Is(s.LastError, errReset) {
			t.Fatalf("after the error: %+v", s)
		}
		l = mustAcquire(t, c, Request{})
		if l.Node().Address != "b" {
			t.Error("a suspect node was used though another is healthy")
		}
		l.Release()
		time.Sleep(40 * time.Millisecond)
		if s := stats(t, c, "a"); s.State != StateHealthy || s.Generation != 0 {
			t.Errorf("after the answer: %+v", s)
		}
		w.Stop()
		var states []State
		for e := range w.Events() {
			states = append(states, e.To)
		}
		if len(states) != 2 || states[0] != StateSuspect || states[1] != StateHealthy {
			t.Errorf("events: %v, want suspect, healthy", states)
		}
	})
}

func TestASuspectNodeIsUsedWhenThereIsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").rtt = 500 * time.Millisecond
		c := open(t, net.options("a"))
		time.Sleep(time.Second)
		mustAcquire(t, c, Request{}).Fail(errReset)
		began := time.Now()
		l := mustAcquire(t, c, Request{})
		if s := stats(t, c, "a"); s.State != StateSuspect || time.Since(began) > 0 {
			t.Errorf("%v after %v", s.State, time.Since(began))
		}
		l.Release()
	})
}

func TestManyErrorsDoNotMakeManyChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		c := open(t, net.options("a"))
		time.Sleep(1500 * time.Millisecond)
		checks := net.node("a").counts().checks
		for range 1000 {
			mustAcquire(t, c, Request{}).Fail(errReset)
			time.Sleep(time.Millisecond)
		}
		if n := net.node("a").counts().checks - checks; n > int(time.Second/hastyPause)+2 {
			t.Errorf("%d checks in a second", n)
		}
	})
}

func TestARestartedNodeIsNoticedWithinAboutASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		var worst, sum time.Duration
		const rounds = 50
		for range rounds {
			net.node("a").kill()
			time.Sleep(30 * time.Second)
			net.node("a").restart()
			began := time.Now()
			for stats(t, c, "a").State != StateHealthy {
				time.Sleep(time.Millisecond)
			}
			worst = max(worst, time.Since(began))
			sum += time.Since(began)
			time.Sleep(5 * time.Second)
		}
		if worst > 1100*time.Millisecond || sum/rounds > 700*time.Millisecond {
			t.Errorf("noticed after %v at worst, %v on average", worst, sum/rounds)
		}
	})
}

func TestProbesOfADownNodeBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").refuse = errRefused
		c := open(t, net.options("a", "b"))
		time.Sleep(10 * time.Second)
		before := net.node("a").counts().probes
		time.Sleep(100 * time.Second)
		if n := net.node("a").counts().probes - before; n < 100 || n > 300 {
			t.Errorf("%d probes in 100 s, want about 200", n)
		}
		net.node("b").set(func(n *fakeNode) { n.refuse = permanentError{} })
		net.node("a").set(func(n *fakeNode) { n.refuse = permanentError{} })
		time.Sleep(300 * time.Second)
		before = net.node("a").counts().probes
		time.Sleep(300 * time.Second)
		if n := net.node("a").counts().probes - before; n > 60 {
			t.Errorf("%d probes in 300 s of a node that refuses for good", n)
		}
		_ = c
	})
}

func TestWhenAllNodesAreDownCallersWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		net.node("a").kill()
		net.node("b").kill()
		time.Sleep(20 * time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.Acquire(ctx, Request{})
		var none *NoNodeError
		if !errors.As(err, &none) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errRefused) {
			t.Fatalf("got %T %v", err, err)
		}
		if d := time.Since(began); d != 700*time.Millisecond {
			t.Errorf("failed after %v", d)
		}
		for _, want := range []string{"id-a (a) down", "id-b (b) down", "connection refused", "deadline"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
		began = time.Now()
		_, err = c.Acquire(t.Context(), Request{})
		if d := time.Since(began); !errors.As(err, &none) || !errors.Is(err, context.DeadlineExceeded) || d != 5*time.Second {
			t.Errorf("got %v after %v", err, d)
		}

		time.AfterFunc(2*time.Second, net.node("b").restart)
		began = time.Now()
		l := mustAcquire(t, c, Request{})
		if d := time.Since(began); d > 3200*time.Millisecond {
			t.Errorf("took %v though b was back after 2 s", d)
		}
		l.Release()
	})
}

func TestAClusterThatWasNeverReachedFailsSoon(t *testing.T) {
	for name, spoil := range map[string]func(*fakeNode){
		"refused":     func(n *fakeNode) { n.refuse = errRefused },
		"black holes": func(n *fakeNode) { n.paused = make(chan struct{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork("a", "b")
				net.node("a").set(spoil)
				net.node("b").set(spoil)
				c := open(t, net.options("a", "b"))
				began := time.Now()
				_, err := c.Acquire(t.Context(), Request{})
				var none *NoNodeError
				if !errors.As(err, &none) || errors.Is(err, context.DeadlineExceeded) && name == "refused" {
					t.Fatalf("got %v", err)
				}
				if d := time.Since(began); d < 500*time.Millisecond || d > 2*time.Second {
					t.Errorf("failed after %v", d)
				}
				net.node("a").resume()
				net.node("b").resume()
			})
		})
	}
}

func TestANodeThatComesUpDuringTheFirstTriesIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").refuse = errRefused
		c := open(t, net.options("a"))
		time.AfterFunc(150*time.Millisecond, net.node("a").restart)
		l := mustAcquire(t, c, Request{})
		l.Release()
	})
}

func TestRefusalForGoodIsReturnedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").refuse = permanentError{}
		net.node("b").refuse = permanentError{}
		c := open(t, net.options("a", "b"))
		for range 3 {
			began := time.Now()
			_, err := c.Acquire(t.Context(), Request{})
			var perm permanentError
			if !errors.As(err, &perm) || time.Since(began) > 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v after %v", err, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		net.node("b").restart()
		time.Sleep(35 * time.Second)
		mustAcquire(t, c, Request{}).Release()
	})
}

func TestOneNodeThatRefusesForGoodDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").refuse = permanentError{}
		net.node("b").latency = 100 * time.Millisecond
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		l := mustAcquire(t, c, Request{})
		if l.Node().Address != "b" {
			t.Errorf("got %v", l.Node())
		}
		l.Release()
	})
}

func TestAThousandWaitersDoNotStampedeARecoveringNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").latency = 10 * time.Millisecond
		opt := net.options("a")
		opt.AcquireTimeout = 0
		c := open(t, opt)
		time.Sleep(time.Second)
		net.node("a").kill()
		time.Sleep(time.Second)
		probes, dials := net.node("a").counts().probes, net.node("a").counts().dials
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				l := mustAcquire(t, c, Request{})
				time.Sleep(time.Millisecond)
				l.Release()
			})
		}
		time.Sleep(4 * time.Second)
		if n := net.node("a").counts().probes - probes; n > 12 {
			t.Errorf("%d probes in 4 s with 1000 waiters", n)
		}
		if n := net.node("a").counts().dials - dials; n > 0 {
			t.Errorf("%d dials on callers' account", n)
		}
		net.node("a").set(func(n *fakeNode) { n.maxDials = 0 })
		net.node("a").restart()
		began := time.Now()
		wg.Wait()
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("the waiters were served after %v", d)
		}
		if n := net.node("a").counts().maxDials; n > 2 {
			t.Errorf("%d dials at a time", n)
		}
		if n := net.node("a").counts().dials - dials; n > 20 {
			t.Errorf("%d dials for 20 sessions", n)
		}
	})
}

func TestTheRoundTripIsAMovingAverage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").rtt = 100 * time.Millisecond
		c := open(t, net.options("a"))
		time.Sleep(time.Second)
		if rtt := stats(t, c, "a").RTT; rtt != 100*time.Millisecond {
			t.Fatalf("after the first check %v", rtt)
		}
		net.node("a").set(func(n *fakeNode) { n.rtt = 200 * time.Millisecond })
		time.Sleep(2 * time.Second)
		if rtt := stats(t, c, "a").RTT; rtt != 120*time.Millisecond {
			t.Errorf("after one more %v, want 0.8*100+0.2*200", rtt)
		}
	})
}

func TestWithoutAnIntervalANodeIsCheckedOnlyForAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.HealthInterval = 0
		c := open(t, opt)
		time.Sleep(time.Hour)
		if n := net.node("a").counts().checks; n != 1 {
			t.Errorf("%d checks, want the first one only", n)
		}
		mustAcquire(t, c, Request{}).Fail(errReset)
		time.Sleep(time.Second)
		if n := net.node("a").counts().checks; n != 2 {
			t.Errorf("%d checks, want one more after an error", n)
		}
	})
}
