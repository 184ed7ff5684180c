package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcquireOpensASessionAndUsesItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MinConns = 0
		c := open(t, opt)
		first := mustAcquire(t, c, Request{})
		conn := first.Conn()
		if n := first.Node(); n.ID != "id-a" || n.Address != "a" {
			t.Errorf("the session is on %v, want id-a (a)", n)
		}
		first.Release()
		time.Sleep(30 * time.Second) // fake time: within the idle timeout
		second := mustAcquire(t, c, Request{})
		if second.Conn() != conn {
			t.Error("another session was opened within the idle timeout")
		}
		second.Release()
	})
}

func TestALeaseEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MinConns = 0
		c := open(t, opt)
		l := mustAcquire(t, c, Request{})
		copied := l
		l.Release()
		copied.Release()
		copied.Fail(errReset)
		copied.Discard()
		again := mustAcquire(t, c, Request{})
		if again.Conn() != l.Conn() {
			t.Fatal("want the same session again")
		}
		l.Discard() // of the lease before
		if again.Conn().Alive() != nil || c.Stats().InUse != 1 {
			t.Error("a lease that had ended acted on the session's next lease")
		}
		again.Release()
		var none Lease[*fakeConn]
		none.Release()
		none.Fail(nil)
		none.Discard()
		none.SetHolder(HolderRows)
		none.NotPrimary()
		none.Draining()
		if none.Valid() || none.Conn() != nil || none.Node() != (NodeRef{}) {
			t.Error("the zero lease stands for something")
		}
	})
}

func TestSessionsThatTheNodeClosedWhileIdleAreReplacedUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		failed := 0
		for range 1000 {
			l := mustAcquire(t, c, Request{})
			if l.Conn().do(t.Context(), 0) != nil {
				failed++
			}
			l.Release()
			net.node("a").cutIdle()
			net.node("b").cutIdle()
			time.Sleep(freshFor)
		}
		if failed > 0 {
			t.Errorf("%d of 1000 statements failed", failed)
		}
		if s := stats(t, c, "a"); s.State != StateHealthy || s.Failures > 0 {
			t.Errorf("the node was blamed: %+v", s)
		}
	})
}

func TestASessionThatWasJustUsedIsNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		c := open(t, net.options("a"))
		l := mustAcquire(t, c, Request{})
		for range 10 {
			l.Release()
			time.Sleep(freshFor - 1)
			l = mustAcquire(t, c, Request{})
		}
		if n := l.Conn().checks.Load(); n != 0 {
			t.Errorf("looked at %d times", n)
		}
		l.Release()
		time.Sleep(freshFor)
		l = mustAcquire(t, c, Request{})
		if n := l.Conn().checks.Load(); n != 1 {
			t.Errorf("after a second idle looked at %d times, want once", n)
		}
		l.Release()
	})
}

func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		opt := net.options("a", "b", "c")
		opt.MaxConns, opt.MinConns, opt.AcquireTimeout = 3, 3, 0
		c := open(t, opt)
		var held []Lease[*fakeConn]
		for range 3 {
			held = append(held, mustAcquire(t, c, Request{}))
		}
		const waiters = 500
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range waiters {
			wg.Go(func() {
				l, err := c.Acquire(context.Background(), Request{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				l.Release()
			})
			synctest.Wait() // in the queue, before the next one comes
		}
		held[0].Release()
		wg.Wait()
		for i := range order {
			if order[i] != i {
				t.Fatalf("waiter %d was served in place %d", order[i], i)
			}
		}
		held[1].Release()
		held[2].Release()
	})
}

func TestAWaiterThatNeedsAnotherRoleDoesNotHoldUpTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("p", "r")
		net.node("r").role = RoleReplica
		opt := net.options("p", "r")
		opt.MaxConns, opt.MinConns = 2, 2
		c := open(t, opt)
		time.Sleep(100 * time.Millisecond)
		p := mustAcquire(t, c, Request{Target: TargetPrimary})
		r := mustAcquire(t, c, Request{Target: TargetReplica})
		var wg sync.WaitGroup
		got := make(chan string, 2)
		for _, target := range []Target{TargetPrimary, TargetReplica} {
			wg.Go(func() {
				l := mustAcquire(t, c, Request{Target: target})
				got <- l.Node().Address
				l.Release()
			})
			synctest.Wait()
		}
		r.Release()
		if first := <-got; first != "r" {
			t.Errorf("the replica's session went to %s", first)
		}
		p.Release()
		wg.Wait()
	})
}

func TestNoMoreThanTwoDialsAreUnderWayOnANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		for _, a := range []string{"a", "b"} {
			net.node(a).latency = 20 * time.Millisecond
		}
		c := open(t, net.options("a", "b"))
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				l := mustAcquire(t, c, Request{})
				if err := consistent(c); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Millisecond)
				l.Release()
			})
		}
		wg.Wait()
		for _, a := range []string{"a", "b"} {
			if n := net.node(a).counts().maxDials; n != 2 {
				t.Errorf("%d dials at a time on %s, want 2", n, a)
			}
		}
		if net.mostOpen() > 20 {
			t.Errorf("%d sessions at a time, limit 20", net.mostOpen())
		}
	})
}

func TestADialGoesOnWhenItsCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		net.node("a").latency = 200 * time.Millisecond
		opt := net.options("a")
		opt.MinConns = 0
		c := open(t, opt)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.Acquire(ctx, Request{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 50*time.Millisecond {
			t.Fatalf("got %v after %v", err, time.Since(began))
		}
		time.Sleep(time.Second)
		if s := c.Stats(); s.Idle != 1 || s.Opened != 1 {
			t.Errorf("the session was wasted: %+v", s)
		}
		mustAcquire(t, c, Request{}).Release()
		if n := net.node("a").counts().dials; n != 1 {
			t.Errorf("%d dials, want 1", n)
		}
	})
}

func TestTheFirstCallGoesAroundABlackHole(t *testing.T) {
	for _, holes := range [][]string{{"a"}, {"a", "b"}} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b", "c")
			for _, a := range holes {
				net.node(a).pause()
			}
			net.node("c").latency = 5 * time.Millisecond
			opt := net.options("a", "b", "c")
			opt.Policy = InOrder()
			opt.HealthInterval = 0
			// Only the callers' dials may find the way.
			opt.DialMonitor = func(ctx context.Context, addr string) (Monitor, Report, error) {
				<-ctx.Done()
				return nil, Report{}, ctx.Err()
			}
			c := open(t, opt)
			began := time.Now()
			l := mustAcquire(t, c, Request{})
			want := time.Duration(len(holes)) * stagger
			if d := time.Since(began); d > want+10*time.Millisecond {
				t.Errorf("took %v with %v black-holed, want about %v", d, holes, want)
			}
			l.Release()
		})
	}
}

func TestANodeOnWhichDialsHangIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.MinConns, opt.Policy, opt.HealthInterval = 0, InOrder(), 0
		c := open(t, opt)
		time.Sleep(time.Second)
		net.node("a").pause()
		began := time.Now()
		l := mustAcquire(t, c, Request{})
		if d := time.Since(began); l.Node().Address != "b" || d != stagger {
			t.Errorf("the first caller got %v after %v", l.Node(), d)
		}
		for range 3 {
			began = time.Now()
			l := mustAcquire(t, c, Request{})
			if d := time.Since(began); l.Node().Address != "b" || d > 0 {
				t.Errorf("a later caller got %v after %v", l.Node(), d)
			}
			defer l.Release()
		}
		l.Release()
		dials := net.node("b").counts().dials
		if again := mustAcquire(t, c, Request{}); again.Conn() != l.Conn() || net.node("b").counts().dials != dials {
			t.Error("a session was opened though one was free")
		} else {
			again.Release()
		}
		net.node("a").resume()
	})
}

func TestAnAddressThatCannotBeDialledGivesWayToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("name", "10.0.0.1", "b")
		net.node("10.0.0.1").id = net.node("name").id
		opt := net.options("name", "b")
		opt.MinConns, opt.Policy = 0, InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		net.publish("name", 1, net.list("10.0.0.1", "b"))
		net.node("name").set(func(n *fakeNode) { n.refuse = errRefused })
		first := mustAcquire(t, c, Request{})
		synctest.Wait() // its monitor, which was connected before, has answered
		time.Sleep(hastyPause)
		second := mustAcquire(t, c, Request{Avoid: []NodeKey{first.Node().Key}})
		if a := second.Conn().node.addr; a != "10.0.0.1" {
			t.Errorf("the session is on %s", a)
		}
		first.Release()
		second.Release()
	})
}

func TestBothSessionsOfARaceAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").latency = 400 * time.Millisecond
		net.node("b").latency = 300 * time.Millisecond
		opt := net.options("a", "b")
		opt.Policy, opt.MinConns = InOrder(), 0
		c := open(t, opt)
		l := mustAcquire(t, c, Request{})
		if a := l.Node().Address; a != "a" {
			t.Errorf("got a session on %s, want a, which answered first", a)
		}
		l.Release()
		time.Sleep(time.Second)
		if a, b := stats(t, c, "a"), stats(t, c, "b"); a.Idle != 1 || b.Idle != 1 {
			t.Errorf("idle: %d on a, %d on b; want one each", a.Idle, b.Idle)
		}
	})
}

func TestARefusedDialIsNotNoticedByTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("a").refuse = errRefused
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		began := time.Now()
		l := mustAcquire(t, c, Request{})
		if l.Node().Address != "b" || time.Since(began) > 0 {
			t.Errorf("got %v after %v", l.Node(), time.Since(began))
		}
		l.Release()
		synctest.Wait()
		if s := stats(t, c, "a"); s.State != StateDown {
			t.Errorf("a is %v, want down", s.State)
		}
	})
}

func TestIdleSessionsMakeRoomForThoseThatAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("p", "r")
		net.node("r").role = RoleReplica
		opt := net.options("p", "r")
		opt.MaxConns, opt.MinConns = 4, 0
		c := open(t, opt)
		time.Sleep(100 * time.Millisecond)
		var held []Lease[*fakeConn]
		for range 4 {
			held = append(held, mustAcquire(t, c, Request{Target: TargetReplica}))
		}
		for _, l := range held {
			l.Release()
		}
		held = held[:0]
		for range 4 {
			held = append(held, mustAcquire(t, c, Request{Target: TargetPrimary}))
		}
		if net.mostOpen() > 4 {
			t.Errorf("%d sessions at a time, limit 4", net.mostOpen())
		}
		if s := stats(t, c, "r"); s.Idle != 0 {
			t.Errorf("%d idle on the replica", s.Idle)
		}
		for _, l := range held {
			l.Release()
		}
	})
}

func TestTheLimitCanBeUsedUpThoughItDoesNotDivide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a", "b", "c"))
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		var held []Lease[*fakeConn]
		for range 20 {
			held = append(held, mustAcquire(t, c, Request{}))
		}
		if d := time.Since(began); d > 2*patience {
			t.Errorf("took %v", d)
		}
		for _, a := range []string{"a", "b", "c"} {
			if n := stats(t, c, a).InUse; n < 6 || n > 7 {
				t.Errorf("%d sessions on %s", n, a)
			}
		}
		for _, l := range held {
			l.Release()
		}
	})
}

func TestAnEndedContextGetsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newNetwork("a").options("a"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Acquire(ctx, Request{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := c.Acquire(t.Context(), Request{Target: numTargets}); err == nil {
			t.Error("a target that does not exist was accepted")
		}
	})
}

func TestASessionThatArrivesAsItsCallerGivesUpGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := newNetwork("a").options("a")
		opt.MaxConns, opt.MinConns = 1, 1
		c := open(t, opt)
		for range 100 {
			l := mustAcquire(t, c, Request{})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if l, err := c.Acquire(ctx, Request{}); err == nil {
					l.Release()
				}
			})
			wg.Go(func() { mustAcquire(t, c, Request{}).Release() })
			synctest.Wait()
			go cancel()
			l.Release()
			wg.Wait()
			cancel()
		}
		if s := c.Stats(); s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("left behind: %+v", s)
		}
	})
}
