package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// leases returns how many leases each node gave out.
func leases(c *Cluster[*fakeConn]) map[string]int {
	got := map[string]int{}
	for _, n := range c.Stats().Nodes {
		got[n.Node.Address] = int(n.Leases)
	}
	return got
}

// work makes n requests of duration d, by so many workers, and returns the
// number of them for each node.
func work(t testing.TB, c *Cluster[*fakeConn], workers, n int, d time.Duration) map[string]int {
	t.Helper()
	before := leases(c)
	var wg sync.WaitGroup
	jobs := make(chan struct{}, n)
	for range n {
		jobs <- struct{}{}
	}
	close(jobs)
	for range workers {
		wg.Go(func() {
			for range jobs {
				l, err := c.Acquire(context.Background(), Request{})
				if err != nil {
					t.Error(err)
					return
				}
				if d > 0 {
					time.Sleep(d)
				}
				l.Release()
			}
		})
	}
	wg.Wait()
	after := leases(c)
	for a, n := range before {
		after[a] -= n
	}
	return after
}

func spread(got map[string]int) (lo, hi int) {
	lo = 1 << 30
	for _, n := range got {
		lo, hi = min(lo, n), max(hi, n)
	}
	return lo, hi
}

func TestLoadIsEvenOverEqualNodes(t *testing.T) {
	for _, policy := range []Policy{LeastLoaded(), RoundRobin(), Random()} {
		for _, minConns := range []int{0, 2, 5} {
			for _, workers := range []int{1, 64} {
				t.Run(fmt.Sprintf("%s/min=%d/%d workers", policy.Name(), minConns, workers), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						net := newNetwork("a", "b", "c")
						for _, a := range []string{"a", "b", "c"} {
							net.node(a).latency = 5 * time.Millisecond
						}
						opt := net.options("a", "b", "c")
						opt.MinConns, opt.Policy = minConns, policy
						c := open(t, opt)
						time.Sleep(time.Second)
						got := work(t, c, workers, 1000, time.Millisecond)
						if lo, hi := spread(got); float64(hi) > 1.2*float64(lo) && policy != Random() {
							t.Errorf("%v", got)
						} else if float64(hi) > 1.35*float64(lo) {
							t.Errorf("%v", got)
						}
					})
				})
			}
		}
	}
}

func TestLoadIsEvenFromTheFirstStatementOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		for _, a := range []string{"a", "b", "c"} {
			net.node(a).latency = 8 * time.Millisecond
		}
		c := open(t, net.options("a", "b", "c"))
		got := work(t, c, 1, 1000, 300*time.Microsecond)
		if lo, hi := spread(got); float64(hi) > 1.2*float64(lo) {
			t.Errorf("%v", got)
		}
	})
}

func TestSequentialUseOpensNoMoreThanItNeeds(t *testing.T) {
	for _, minConns := range []int{0, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b", "c")
			for _, a := range []string{"a", "b", "c"} {
				net.node(a).latency = 5 * time.Millisecond
			}
			opt := net.options("a", "b", "c")
			opt.MinConns = minConns
			c := open(t, opt)
			got := work(t, c, 1, 10000, 100*time.Microsecond)
			if opened := int(c.Stats().Opened); opened > max(minConns, 3) {
				t.Errorf("%d sessions opened with a minimum of %d", opened, minConns)
			}
			if lo, hi := spread(got); float64(hi) > 1.2*float64(lo) {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestEachHealthyNodeGetsItsFairShare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := rapid.IntRange(1, 6).Draw(rt, "nodes")
		dead := rapid.IntRange(0, nodes-1).Draw(rt, "dead")
		limit := rapid.IntRange(nodes, 40).Draw(rt, "max")
		least := rapid.IntRange(0, limit).Draw(rt, "min")
		workers := rapid.SampledFrom([]int{1, 1, 3, 64}).Draw(rt, "workers")
		policy := rapid.SampledFrom([]Policy{LeastLoaded(), RoundRobin()}).Draw(rt, "policy")
		if workers >= limit {
			// A saturated pool shares load as it shares sessions.
			limit = (nodes - dead) * rapid.IntRange(1, 8).Draw(rt, "per node")
			least = min(least, limit)
		}
		seed := rapid.Uint64Min(1).Draw(rt, "seed")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			addrs := strings.Split("a b c d e f", " ")[:nodes]
			net := newNetwork(addrs...)
			for i, a := range addrs {
				net.node(a).latency = time.Millisecond
				if i < dead {
					net.node(a).refuse = errRefused
				}
			}
			opt := net.options(addrs...)
			opt.MaxConns, opt.MinConns, opt.Seed, opt.Policy = limit, least, seed, policy
			c := open(t, opt)
			time.Sleep(time.Second)
			// While the pool grows, which it does only once, nodes differ.
			work(t, c, workers, 100, 10*time.Millisecond)
			got := work(t, c, workers, 1000, 100*time.Microsecond)
			fair := 1000 / (nodes - dead)
			for i, a := range addrs {
				n := got[a]
				switch {
				case i < dead && n > 0:
					problem = fmt.Sprintf("the dead node %s got %d", a, n)
				case i >= dead && (n*10 < fair*8 || n*10 > fair*12):
					problem = fmt.Sprintf("%v, fair is %d", got, fair)
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func TestLoadIsEvenOverTenThousandLeases(t *testing.T) {
	for _, workers := range []int{1, 64} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b", "c", "d", "e")
			c := open(t, net.options("a", "b", "c", "d", "e"))
			time.Sleep(time.Second)
			got := work(t, c, workers, 10000, 100*time.Microsecond)
			if lo, hi := spread(got); lo < 1600 || hi > 2400 {
				t.Errorf("%d workers: %v", workers, got)
			}
		})
	}
}

func TestInOrderUsesTheFirstNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		opt := net.options("a", "b", "c")
		opt.Policy = InOrder()
		c := open(t, opt)
		time.Sleep(time.Second)
		if got := work(t, c, 20, 1000, time.Millisecond); got["a"] < 990 {
			t.Errorf("%v", got)
		}
		// The whole limit may be used there.
		var held []Lease[*fakeConn]
		for range 20 {
			held = append(held, mustAcquire(t, c, Request{}))
		}
		if n := stats(t, c, "a").InUse; n != 20 {
			t.Errorf("%d of 20 sessions on the first node", n)
		}
		for _, l := range held {
			l.Release()
		}
	})
}

func TestFarNodesAreNotUsedWhileNearOnesAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("near", "close", "far")
		net.node("near").rtt = 2 * time.Millisecond
		net.node("close").rtt = 16 * time.Millisecond
		net.node("far").rtt = 18 * time.Millisecond
		c := open(t, net.options("near", "close", "far"))
		time.Sleep(time.Second)
		got := work(t, c, 4, 1000, time.Millisecond)
		if got["far"] > 0 || got["near"] < 400 || got["close"] < 400 {
			t.Errorf("%v", got)
		}
		net.node("near").kill()
		net.node("close").kill()
		synctest.Wait()
		if got := work(t, c, 4, 100, time.Millisecond); got["far"] != 100 {
			t.Errorf("without the near ones: %v", got)
		}
	})
}

func TestABusyNodeGetsLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.MinConns = 20
		c := open(t, opt)
		time.Sleep(time.Second)
		var held, free []Lease[*fakeConn]
		for range 10 {
			if l := mustAcquire(t, c, Request{}); l.Node().Address == "a" {
				held = append(held, l)
			} else {
				free = append(free, l)
			}
		}
		for _, l := range free {
			l.Release()
		}
		for range 100 {
			l := mustAcquire(t, c, Request{})
			if l.Node().Address != "b" {
				t.Fatal("the busier of two nodes was chosen")
			}
			l.Release()
		}
		for _, l := range held {
			l.Release()
		}
	})
}

func TestANodeThatWasNotUsedForLongIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newNetwork("a", "b").options("a", "b"))
		time.Sleep(time.Second)
		var b NodeKey
		for _, n := range c.Stats().Nodes {
			if n.Node.Address == "b" {
				b = n.Node.Key
			}
		}
		for range 1000 {
			l := mustAcquire(t, c, Request{Avoid: []NodeKey{b}})
			if l.Node().Key == b {
				t.Fatal("a node to avoid was used though another is healthy")
			}
			l.Release()
		}
		if got := work(t, c, 1, 200, 0); got["b"] > 100+passLag {
			t.Errorf("%v", got)
		}
	})
}

// easing kills node a for a while and returns its share of the fair load for
// each half second after its recovery.
func easing(t *testing.T, policy Policy, workers int, limit int) []float64 {
	var shares []float64
	pause := time.Duration(workers) * 2 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		for _, a := range []string{"a", "b", "c"} {
			net.node(a).latency = 5 * time.Millisecond
		}
		opt := net.options("a", "b", "c")
		opt.Policy, opt.MaxConns, opt.MinConns = policy, limit, min(limit, 5)
		opt.AcquireTimeout = time.Minute
		c := open(t, opt)
		time.Sleep(time.Second)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					l := mustAcquire(t, c, Request{})
					time.Sleep(pause)
					l.Release()
				}
			})
		}
		net.node("a").kill()
		time.Sleep(5 * time.Second)
		net.node("a").restart()
		for stats(t, c, "a").State != StateHealthy {
			time.Sleep(time.Millisecond)
		}
		for range 14 {
			before := leases(c)
			time.Sleep(500 * time.Millisecond)
			after := leases(c)
			total := 0
			for a := range after {
				total += after[a] - before[a]
			}
			shares = append(shares, 3*float64(after["a"]-before["a"])/float64(total))
		}
		close(stop)
		wg.Wait()
	})
	return shares
}

func TestARecoveredNodeIsEasedIn(t *testing.T) {
	for _, policy := range []Policy{LeastLoaded(), RoundRobin(), Random()} {
		for i, load := range []struct{ workers, limit int }{{4, 20}, {64, 9}, {1, 20}, {16, 20}, {64, 20}, {64, 100}} {
			if i > 1 && policy != LeastLoaded() {
				break
			}
			t.Run(fmt.Sprintf("%s/%d workers/%d sessions", policy.Name(), load.workers, load.limit), func(t *testing.T) {
				shares := easing(t, policy, load.workers, load.limit)
				if shares[0] > 0.5 {
					t.Errorf("the share begins at %.2f of fair: %.2f", shares[0], shares)
				}
				for _, s := range shares {
					if s > 1.5 {
						t.Errorf("the share exceeds 1.5 of fair: %.2f", shares)
					}
				}
				sum := 0.0
				for _, s := range shares[10:] {
					sum += s
				}
				if sum < 0.8*float64(len(shares[10:])) {
					t.Errorf("after 5 s the share is below 0.8 of fair: %.2f", shares)
				}
			})
		}
	}
}
