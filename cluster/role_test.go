package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestADrainingNodeFinishesAndTakesNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		l := mustAcquire(t, c, Request{Holder: HolderTransaction})
		net.node("a").drain()
		synctest.Wait()
		if s := stats(t, c, "a"); s.State != StateDraining || s.Idle != 0 || s.InUse != 1 {
			t.Fatalf("after the notice: %+v", s)
		}
		for range 100 {
			other := mustAcquire(t, c, Request{})
			if other.Node().Address == "a" {
				t.Fatal("a draining node got a request")
			}
			other.Release()
		}
		// The listener closes first; the transaction has its grace all the same.
		net.node("a").set(func(n *fakeNode) {
			n.refuse = errRefused
			for m := range n.monitors {
				m.fail(errReset)
			}
		})
		time.Sleep(10 * time.Second)
		if err := l.Conn().do(t.Context(), time.Second); err != nil {
			t.Errorf("the transaction failed: %v", err)
		}
		l.Release()
		synctest.Wait()
		if s := stats(t, c, "a"); s.State != StateDown || s.InUse+s.Idle+s.Closing != 0 {
			t.Errorf("after the end: %+v", s)
		}
		net.node("a").restart()
		time.Sleep(2 * time.Second)
		if s := stats(t, c, "a"); s.State != StateHealthy {
			t.Errorf("after the restart: %+v", s)
		}
	})
}

func TestARefusalByADrainingNodeCountsBeforeItsNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.Policy = InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		net.node("a").set(func(n *fakeNode) { n.draining, n.rtt = true, 20*time.Millisecond })
		l := mustAcquire(t, c, Request{})
		l.Draining()
		l.Release()
		if s := stats(t, c, "a"); s.State != StateDraining {
			t.Errorf("a is %v", s.State)
		}
		time.Sleep(10 * time.Second)
		if s := stats(t, c, "a"); s.State != StateDraining {
			t.Errorf("later a is %v", s.State)
		}
		net.node("a").restart()
		time.Sleep(5 * time.Second)
		if s := stats(t, c, "a"); s.State != StateHealthy {
			t.Errorf("in the end a is %v", s.State)
		}
	})
}

func TestNoWriteGoesToANodeThatIsNotThePrimaryUntilItSaysItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		net.node("b").role = RoleReplica
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		l := mustAcquire(t, c, Request{Target: TargetPrimary})
		net.node("a").set(func(n *fakeNode) { n.role, n.rtt = RoleReplica, 50*time.Millisecond })
		time.AfterFunc(time.Second, func() { net.node("b").set(func(n *fakeNode) { n.role = RolePrimary }) })
		l.NotPrimary()
		l.Release()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := c.Acquire(ctx, Request{Target: TargetPrimary})
		var none *NoNodeError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), "target primary") {
			t.Fatalf("got %v", err)
		}
		l = mustAcquire(t, c, Request{Target: TargetPrimary})
		if l.Node().Address != "b" {
			t.Errorf("got %v", l.Node())
		}
		l.Release()
	})
}

func TestACheckBegunBeforeTheDemotionDoesNotUndoIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		c.mu.Lock()
		n := c.byAddress("a")
		demotions, drains := n.demotions, n.drains
		c.mu.Unlock()
		net.node("a").set(func(n *fakeNode) { n.rtt = 100 * time.Millisecond; n.role = RoleReplica })
		c.demote(n)
		c.heard(n, "", Report{NodeID: "id-a", Role: RolePrimary}, demotions, drains)
		if r := stats(t, c, "a").Role; r != RoleReplica {
			t.Errorf("the role is %v again", r)
		}
		net.node("a").set(func(n *fakeNode) { n.role = RolePrimary })
		time.Sleep(5 * time.Second)
		if r := stats(t, c, "a").Role; r != RolePrimary {
			t.Errorf("after the node said so itself the role is %v", r)
		}
	})
}

func TestTargetsChooseByRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("p", "r", "s")
		net.node("r").role, net.node("s").role = RoleReplica, RoleReplica
		c := open(t, net.options("p", "r", "s"))
		time.Sleep(time.Second)
		roles := func(target Target) map[string]int {
			got := map[string]int{}
			for range 60 {
				l := mustAcquire(t, c, Request{Target: target})
				got[l.Node().Address]++
				l.Release()
			}
			return got
		}
		if got := roles(TargetPrimary); got["p"] != 60 {
			t.Errorf("primary: %v", got)
		}
		for _, target := range []Target{TargetReplica, TargetPreferReplica} {
			if got := roles(target); got["p"] != 0 || got["r"] < 24 || got["s"] < 24 {
				t.Errorf("%v: %v", target, got)
			}
		}
		if got := roles(TargetAny); len(got) != 3 {
			t.Errorf("any: %v", got)
		}
		net.node("r").kill()
		net.node("s").kill()
		synctest.Wait()
		if got := roles(TargetPreferReplica); got["p"] != 60 {
			t.Errorf("prefer_replica without replicas: %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Acquire(ctx, Request{Target: TargetReplica}); err == nil {
			t.Error("replica was served without replicas")
		}
	})
}

func TestACheckBegunBeforeTheRefusalDoesNotUndoIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		c.mu.Lock()
		n := c.byAddress("a")
		demotions, drains := n.demotions, n.drains
		c.mu.Unlock()
		net.node("a").set(func(n *fakeNode) { n.rtt = 100 * time.Millisecond })
		c.drained(n)
		c.heard(n, "", Report{NodeID: "id-a", Role: RolePrimary}, demotions, drains)
		if s := stats(t, c, "a"); s.State != StateDraining {
			t.Errorf("a is %v again", s.State)
		}
		time.Sleep(time.Second)
		if s := stats(t, c, "a"); s.State != StateHealthy {
			t.Errorf("after the node said so itself a is %v", s.State)
		}
	})
}
