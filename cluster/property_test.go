package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A session is used again within the idle timeout: however many requests follow
// one another, no more sessions are opened than the minimum, or one for each node.
func TestSessionsAreUsedAgainWithinTheIdleTimeout(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addrs := strings.Split("a b c d", " ")[:rapid.IntRange(1, 4).Draw(rt, "nodes")]
		least := rapid.IntRange(0, 8).Draw(rt, "min")
		requests := rapid.IntRange(1, 400).Draw(rt, "requests")
		pause := time.Duration(rapid.IntRange(0, 500).Draw(rt, "pause")) * time.Millisecond
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork(addrs...)
			opt := net.options(addrs...)
			opt.MinConns, opt.MaxConns = least, 10
			opt.IdleTimeout, opt.MaxLifetime = time.Minute, 0
			c := open(t, opt)
			time.Sleep(time.Second) // fake time: all nodes have been heard of
			for range requests {
				mustAcquire(t, c, Request{}).Release()
				time.Sleep(pause) // fake time: far within the idle timeout
			}
			if opened := int(c.Stats().Opened); opened > max(least, len(addrs)) {
				problem = fmt.Sprintf("%d requests opened %d sessions, the minimum is %d on %d nodes", requests, opened, least, len(addrs))
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// After Close no session, monitor, goroutine or timer is left, whatever was going
// on. That no goroutine is left is what ends the bubble.
func TestNothingIsLeftAfterClose(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		callers := rapid.IntRange(0, 12).Draw(rt, "callers")
		limit := rapid.IntRange(1, 8).Draw(rt, "max")
		hold := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "hold")) * time.Millisecond
		after := time.Duration(rapid.IntRange(0, 2000).Draw(rt, "after")) * time.Millisecond
		what := rapid.SampledFrom([]string{"nothing", "kill", "pause", "drain", "slow"}).Draw(rt, "fault")
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b")
			opt := net.options("a", "b")
			opt.MinConns, opt.MaxConns = 0, limit
			c, err := New(opt)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					if l, err := c.Acquire(t.Context(), Request{}); err == nil {
						time.Sleep(hold) // fake time: the caller's work
						l.Release()
					}
				})
			}
			time.Sleep(after) // fake time: until the fault
			switch what {
			case "kill":
				net.node("b").kill()
			case "pause":
				net.node("b").pause()
				defer net.node("b").resume()
			case "drain":
				net.node("b").drain()
			case "slow":
				net.node("b").set(func(n *fakeNode) { n.latency = time.Minute })
			}
			if err := c.Close(t.Context()); err != nil {
				problem = err.Error()
			}
			if conns, monitors := net.sessions(); conns+monitors > 0 {
				problem = fmt.Sprintf("%d sessions and %d monitors are left", conns, monitors)
			}
			wg.Wait()
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}
