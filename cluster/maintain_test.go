package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheMinimumIsKeptOpenAndSpreadEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		for i, a := range []string{"a", "b", "c"} {
			net.node(a).latency = time.Duration(i) * 20 * time.Millisecond
		}
		c := open(t, net.options("a", "b", "c"))
		time.Sleep(time.Second)
		if s := c.Stats(); s.Idle != 5 || s.Opened != 5 {
			t.Fatalf("%d idle, %d opened; want 5", s.Idle, s.Opened)
		}
		for _, a := range []string{"a", "b", "c"} {
			if n := stats(t, c, a).Idle; n < 1 || n > 2 {
				t.Errorf("%d on %s", n, a)
			}
		}
		net.node("a").kill()
		time.Sleep(2 * time.Second)
		if s := c.Stats(); s.Idle != 5 {
			t.Errorf("after the death of a node %d idle, want 5", s.Idle)
		}
	})
}

func TestNoMinimumOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MinConns = 0
		c := open(t, opt)
		time.Sleep(time.Hour)
		if s := c.Stats(); s.Opened != 0 {
			t.Errorf("%d opened", s.Opened)
		}
	})
}

func TestIdleSessionsAreClosedDownToTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		opt := net.options("a", "b", "c")
		opt.IdleTimeout = 700 * time.Millisecond
		c := open(t, opt)
		time.Sleep(time.Second)
		var held []Lease[*fakeConn]
		for range 20 {
			held = append(held, mustAcquire(t, c, Request{}))
		}
		for _, l := range held {
			l.Release()
		}
		time.Sleep(690 * time.Millisecond)
		if n := c.Stats().Idle; n != 20 {
			t.Errorf("%d idle before the timeout", n)
		}
		time.Sleep(200 * time.Millisecond)
		if n := c.Stats().Open; n != 5 {
			t.Errorf("%d open after the timeout, want 5", n)
		}
		for _, a := range []string{"a", "b", "c"} {
			if n := stats(t, c, a).Idle; n < 1 || n > 2 {
				t.Errorf("%d left on %s", n, a)
			}
		}
		if n := net.node("a").counts().farewells; n == 0 {
			t.Error("idle sessions were closed without a farewell")
		}
		time.Sleep(10 * time.Second)
		if s := c.Stats(); s.Opened != 20 || s.Idle != 5 {
			t.Errorf("the minimum did not stay as it was: %+v", s)
		}
	})
}

func TestOldSessionsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MinConns, opt.MaxLifetime = 2, time.Second
		c := open(t, opt)
		time.Sleep(100 * time.Millisecond)
		l := mustAcquire(t, c, Request{})
		time.Sleep(1200 * time.Millisecond)
		if s := c.Stats(); s.Idle < 1 || s.Opened != 3 {
			t.Errorf("want the idle session replaced, the leased one kept: %+v", s)
		}
		conn := l.Conn()
		l.Release()
		time.Sleep(time.Millisecond)
		if net.node("a").has(conn) {
			t.Error("a session past its lifetime was kept when it came back")
		}
	})
}

func TestLifetimesDifferAlsoBelowASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MinConns, opt.MaxLifetime, opt.DialsPerNode = 20, 900*time.Millisecond, 20
		c := open(t, opt)
		time.Sleep(100 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		lifetimes := map[instant]bool{}
		n := c.nodes[0]
		all := n.pool.takeAll()
		for _, s := range all {
			lifetimes[s.expires] = true
			n.pool.put(s)
			if s.expires < 800*time.Millisecond || s.expires > time.Second {
				t.Errorf("expires after %v", s.expires)
			}
		}
		if len(all) != 20 || len(lifetimes) < 15 {
			t.Errorf("%d sessions with %d lifetimes", len(all), len(lifetimes))
		}
	})
}

func TestAnIdleSessionIsTheOneUsedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newNetwork("a").options("a"))
		time.Sleep(100 * time.Millisecond)
		first, second := mustAcquire(t, c, Request{}), mustAcquire(t, c, Request{})
		first.Release()
		second.Release()
		time.Sleep(5 * time.Second) // the maintenance looked at them meanwhile
		l := mustAcquire(t, c, Request{})
		if l.Conn() != second.Conn() {
			t.Error("not the session that was used last")
		}
		l.Release()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("b").latency = time.Minute // dials under way
		c, err := New(net.options("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		mustAcquire(t, c, Request{}).Release()
		w := c.Watch(1)
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- c.Close(t.Context()) }()
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		conns, monitors := net.sessions()
		if conns != 0 || monitors != 0 {
			t.Errorf("%d sessions and %d monitors left open", conns, monitors)
		}
		if _, err := c.Acquire(t.Context(), Request{}); err != ErrClosed {
			t.Errorf("Acquire after Close: %v", err)
		}
		for range w.Events() {
		}
		w.Stop()
		for range c.Watch(1).Events() {
			t.Error("an event after Close")
		}
	})
}

func TestCloseLetsLeasesFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		c, _ := New(net.options("a"))
		l := mustAcquire(t, c, Request{})
		began := time.Now()
		done := make(chan error)
		go func() {
			err := l.Conn().do(context.Background(), 600*time.Millisecond)
			l.Release()
			done <- err
		}()
		synctest.Wait()
		if err := c.Close(t.Context()); err != nil || time.Since(began) != 600*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := <-done; err != nil {
			t.Errorf("the statement failed: %v", err)
		}
		if n := net.node("a").counts().farewells; n == 0 {
			t.Error("the session was closed without a farewell")
		}
	})
}

func TestCloseAbortsWhatOutlastsTheGrace(t *testing.T) {
	for _, cut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a")
			c, _ := New(net.options("a"))
			l := mustAcquire(t, c, Request{})
			done := make(chan error, 1)
			go func() {
				done <- l.Conn().do(context.Background(), time.Hour)
				l.Release()
			}()
			synctest.Wait()
			ctx, want := context.Background(), time.Second
			if cut {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
				want = 300 * time.Millisecond
			}
			began := time.Now()
			if err := c.Close(ctx); err != nil || time.Since(began) != want {
				t.Errorf("%v after %v, want nil after %v", err, time.Since(began), want)
			}
			if err := <-done; err == nil {
				t.Error("the statement was not aborted")
			}
		})
	}
}

func TestCloseDoesNotWaitForALeaseThatIsNeverGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		c, _ := New(net.options("a"))
		l, kept := mustAcquire(t, c, Request{}), mustAcquire(t, c, Request{})
		failed := mustAcquire(t, c, Request{})
		began := time.Now()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != time.Second+abortWait {
			t.Errorf("took %v", d)
		}
		if conns, _ := net.sessions(); conns != 0 {
			t.Errorf("%d sockets left", conns)
		}
		l.Release()
		l.Release()
		kept.Discard()
		failed.Fail(errReset)
		for _, l := range []Lease[*fakeConn]{l, kept, failed} {
			if n := l.Conn().closed.Load(); n != 1 {
				t.Errorf("closed %d times", n)
			}
		}
	})
}

func TestCloseTurnsWaitersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a")
		opt := net.options("a")
		opt.MaxConns, opt.MinConns = 1, 0
		c, _ := New(opt)
		l := mustAcquire(t, c, Request{})
		errs := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := c.Acquire(context.Background(), Request{})
				errs <- err
			}()
		}
		synctest.Wait()
		go func() { _ = c.Close(context.Background()) }()
		for range 10 {
			if err := <-errs; err != ErrClosed {
				t.Errorf("got %v", err)
			}
		}
		l.Release()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestASecondCloseReturnsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := New(newNetwork("a").options("a"))
		l := mustAcquire(t, c, Request{})
		go func() { _ = c.Close(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Close(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		l.Release()
		_ = c.Close(t.Context())
	})
}
