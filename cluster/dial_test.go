package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestACallerTakesItsOwnSessionThoughABetterNodeHasTurnedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("p", "r")
		net.node("r").role = RoleReplica
		net.node("p").latency = 100 * time.Millisecond
		opt := net.options("p", "r")
		opt.MinConns = 0
		opt.Dial = func(ctx context.Context, addr string) (*fakeConn, Report, error) {
			if addr == "r" { // it answers its monitor, but has no room for sessions
				return nil, Report{}, errRefused
			}
			return net.dial(ctx, addr)
		}
		c := open(t, opt)
		time.Sleep(time.Second)
		began := time.Now()
		l := mustAcquire(t, c, Request{Target: TargetPreferReplica})
		if d := time.Since(began); l.Node().Address != "p" || d != 100*time.Millisecond {
			t.Errorf("got %v after %v", l.Node(), d)
		}
		if s := stats(t, c, "r"); s.State != StateHealthy {
			t.Errorf("the replica is %v, want it to be healthy again by now", s.State)
		}
		l.Release()
	})
}

func TestAWaiterDoesNotGetTheNodeThatItAvoids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := newNetwork("a", "b").options("a", "b")
		opt.MaxConns, opt.MinConns = 2, 2
		c := open(t, opt)
		time.Sleep(time.Second)
		bad, good := mustAcquire(t, c, Request{}), mustAcquire(t, c, Request{})
		got := make(chan Lease[*fakeConn])
		go func() { got <- mustAcquire(t, c, Request{Avoid: []NodeKey{bad.Node().Key}}) }()
		synctest.Wait()
		bad.Release()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("it got a session on the node to avoid")
		default:
		}
		good.Release()
		if l := <-got; l.Node() != good.Node() {
			t.Errorf("it got %v", l.Node())
		} else {
			l.Release()
		}
	})
}

func TestASessionThatWasBegunBeforeItsNodeWentDownIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.MinConns, opt.Policy = 0, InOrder()
		answer := make(chan struct{})
		opt.Dial = func(ctx context.Context, addr string) (*fakeConn, Report, error) {
			if addr == "a" {
				<-answer // whatever ctx says
			}
			return net.dial(context.WithoutCancel(ctx), addr)
		}
		c := open(t, opt)
		time.Sleep(time.Second)
		l := mustAcquire(t, c, Request{})
		net.node("a").kill()
		synctest.Wait()
		net.node("a").restart()
		for stats(t, c, "a").State != StateHealthy {
			time.Sleep(10 * time.Millisecond)
		}
		close(answer)
		synctest.Wait()
		if s := stats(t, c, "a"); s.Opened != 0 || s.Idle != 0 {
			t.Errorf("the session of an older generation was kept: %+v", s)
		}
		if conns, _ := net.sessions(); conns != 1 {
			t.Errorf("%d sessions open, want the one on b", conns)
		}
		l.Release()
	})
}
