package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// simulation is a cluster whose nodes suffer everything that nodes suffer,
// while callers use it. It is repeatable as far as its choices go, which all come from
// seed; the order in which goroutines run at the same instant is not.
type simulation struct {
	t     *testing.T
	rng   *rand.Rand
	net   *network
	c     *Cluster[*fakeConn]
	addrs []string
	ctx   context.Context
	wg    sync.WaitGroup
	mu    sync.Mutex
	done  map[string]int
}

func TestSimulationHoldsItsLimits(t *testing.T) {
	if *seedFlag != 0 {
		simulate(t, *seedFlag)
		return
	}
	for seed := uint64(1); seed <= 15; seed++ {
		simulate(t, seed)
		if t.Failed() {
			t.Fatalf("repeat with -run Simulation -seed %d", seed)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 99))
		s := &simulation{t: t, rng: rng, done: map[string]int{}}
		s.addrs = strings.Split("a b c d e", " ")[:2+rng.IntN(4)]
		s.net = newNetwork(s.addrs...)
		for i, a := range s.addrs {
			n := s.net.node(a)
			n.latency = time.Duration(rng.IntN(40)) * time.Millisecond
			n.rtt = time.Duration(rng.IntN(10)) * time.Millisecond
			if i > 0 && rng.IntN(2) == 0 {
				n.role = RoleReplica
			}
		}
		opt := s.net.options(s.addrs...)
		opt.Seed = seed
		opt.MaxConns = 1 + rng.IntN(24)
		opt.MinConns = rng.IntN(opt.MaxConns + 1)
		opt.IdleTimeout = time.Duration(100+rng.IntN(5000)) * time.Millisecond
		opt.MaxLifetime = time.Duration(500+rng.IntN(10000)) * time.Millisecond
		opt.AcquireTimeout = time.Duration(rng.IntN(3)) * time.Second
		opt.Policy = []Policy{LeastLoaded(), RoundRobin(), Random(), InOrder()}[rng.IntN(4)]
		opt.CaptureStacks = rng.IntN(2) == 0
		s.c = open(t, opt)
		ctx, cancel := context.WithCancel(t.Context())
		s.ctx = ctx
		for range 1 + rng.IntN(40) {
			work := rand.New(rand.NewPCG(rng.Uint64(), 7))
			s.wg.Go(func() { s.caller(work) })
		}
		for range 60 {
			s.disturb()
			time.Sleep(time.Duration(rng.IntN(800)) * time.Millisecond)
			if err := consistent(s.c); err != nil {
				t.Errorf("seed %d: %v", seed, err)
				break
			}
		}
		s.heal()
		cancel()
		s.wg.Wait()
		s.checkHealed(seed)
		if s.net.mostOpen() > opt.MaxConns {
			t.Errorf("seed %d: %d sessions open at a time, limit %d", seed, s.net.mostOpen(), opt.MaxConns)
		}
	})
}

// disturb does something to a node.
func (s *simulation) disturb() {
	n := s.net.node(s.addrs[s.rng.IntN(len(s.addrs))])
	switch s.rng.IntN(9) {
	case 0, 1:
		n.kill()
	case 2:
		n.pause()
	case 3:
		n.drain()
	case 4:
		n.cutIdle()
	case 5:
		slow := time.Duration(s.rng.IntN(600)) * time.Millisecond
		n.set(func(n *fakeNode) { n.latency = slow })
	case 6:
		n.resume()
	default:
		n.restart()
		n.resume()
	}
}

func (s *simulation) heal() {
	for _, a := range s.addrs {
		n := s.net.node(a)
		n.restart()
		n.resume()
		n.set(func(n *fakeNode) { n.latency = 0 })
	}
}

// checkHealed says what is not as it should be some time after the end of all
// trouble.
func (s *simulation) checkHealed(seed uint64) {
	time.Sleep(15 * time.Second)
	st := s.c.Stats()
	for _, n := range st.Nodes {
		if n.State != StateHealthy || n.Weight < 1 {
			s.t.Errorf("seed %d: %v is %v with weight %v", seed, n.Node, n.State, n.Weight)
		}
	}
	if st.InUse != 0 || st.Waiting != 0 || st.Idle+st.Dialing+st.Closing < s.c.opt.MinConns {
		s.t.Errorf("seed %d: after the end %+v", seed, st)
	}
	for range 100 {
		mustAcquire(s.t, s.c, Request{}).Release()
	}
	if s.done["ok"] == 0 {
		s.t.Errorf("seed %d: nothing succeeded: %v", seed, s.done)
	}
}

// caller makes requests until the simulation ends.
func (s *simulation) caller(rng *rand.Rand) {
	for s.ctx.Err() == nil {
		req := Request{Target: Target(rng.IntN(numTargets)), Holder: Holder(rng.IntN(numHolders))}
		limit := time.Duration(1+rng.IntN(3000)) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		began := time.Now()
		l, err := s.c.Acquire(ctx, req)
		waited := time.Since(began)
		cancel()
		if t := s.c.opt.AcquireTimeout; t > 0 {
			limit = min(limit, t)
		}
		// A session that turns out dead may begin the wait anew once or twice.
		if waited > limit {
			s.t.Errorf("waited %v with a limit of %v: %v", waited, limit, err)
		}
		if err != nil {
			s.count("no session")
			var none *NoNodeError
			var full *AcquireError
			if !errors.As(err, &none) && !errors.As(err, &full) {
				s.t.Errorf("unexpected error %T %v", err, err)
			}
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			continue
		}
		s.use(rng, l)
	}
}

// use runs a statement on l and ends it in one of the ways there are.
func (s *simulation) use(rng *rand.Rand, l Lease[*fakeConn]) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began := time.Now()
	err := l.Conn().do(ctx, time.Duration(rng.IntN(60))*time.Millisecond)
	if d := time.Since(began); d > 5*time.Second {
		s.t.Errorf("a statement on %v hung for %v: %v", l.Node(), d, err)
	}
	switch {
	case err != nil:
		s.count("failed")
		l.Fail(err)
	case rng.IntN(20) == 0:
		l.Discard()
	default:
		s.count("ok")
		l.Release()
	}
	if rng.IntN(4) == 0 {
		l.Release()
	}
}

func (s *simulation) count(what string) {
	s.mu.Lock()
	s.done[what]++
	s.mu.Unlock()
}

func TestOneReachableNodeIsEnoughWithAnyOptions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addrs := strings.Split("a b c d", " ")[:rapid.IntRange(1, 4).Draw(rt, "nodes")]
		alive := rapid.SampledFrom(addrs).Draw(rt, "alive")
		trouble := rapid.SliceOfN(rapid.IntRange(0, 3), len(addrs), len(addrs)).Draw(rt, "trouble")
		limit := rapid.IntRange(1, 30).Draw(rt, "max")
		least := rapid.IntRange(0, limit).Draw(rt, "min")
		policy := rapid.SampledFrom([]Policy{LeastLoaded(), RoundRobin(), Random(), InOrder()}).Draw(rt, "policy")
		retries := rapid.IntRange(0, 5).Draw(rt, "retries")
		discover := rapid.Bool().Draw(rt, "discover")
		gate := rapid.IntRange(1, 4).Draw(rt, "gate")
		seed := rapid.Uint64Min(1).Draw(rt, "seed")
		var problem error
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork(addrs...)
			for i, a := range addrs {
				n := net.node(a)
				switch {
				case a == alive:
					n.latency = 50 * time.Millisecond
				case trouble[i] == 0:
					n.refuse = errRefused
				case trouble[i] == 1:
					n.pause()
					defer n.resume()
				case trouble[i] == 2:
					n.refuse = permanentError{}
				default:
					n.latency = 3 * time.Second
				}
			}
			opt := net.options(addrs...)
			opt.MaxConns, opt.MinConns, opt.Policy, opt.Retry.Max = limit, least, policy, retries
			opt.Discover, opt.DialsPerNode, opt.Seed = discover, gate, seed
			c := open(t, opt)
			began := time.Now()
			l, err := c.Acquire(t.Context(), Request{})
			if err == nil {
				err = l.Conn().do(t.Context(), 0)
				l.Release()
			}
			most := time.Duration(len(addrs)-1)*stagger + 100*time.Millisecond
			if limit < len(addrs) {
				// A dial that hangs holds its place under the limit until
				// the monitor has made up its mind.
				most += opt.HealthTimeout
			}
			if err == nil && time.Since(began) > most {
				err = fmt.Errorf("took %v, want at most %v", time.Since(began), most)
			}
			problem = err
		})
		if problem != nil {
			rt.Fatal(problem)
		}
	})
}

func TestAnUnhealthyNodeGetsNothingUntilItIsHealthyAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		victims := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 4).Draw(rt, "victims")
		how := rapid.SampledFrom([]string{"kill", "drain", "pause"}).Draw(rt, "how")
		seed := rapid.Uint64Min(1).Draw(rt, "seed")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b", "c")
			opt := net.options("a", "b", "c")
			opt.Seed = seed
			c := open(t, opt)
			time.Sleep(time.Second)
			for _, v := range victims {
				n := net.node(v)
				switch how {
				case "kill":
					n.kill()
				case "drain":
					n.drain()
				case "pause":
					n.pause()
				}
				time.Sleep(4 * time.Second)
				if got := work(t, c, 3, 300, time.Millisecond); got[v] > 0 {
					problem = fmt.Sprintf("%s got %d though its state is %v", v, got[v], stats(t, c, v).State)
				}
				n.restart()
				n.resume()
				time.Sleep(8 * time.Second)
				if got := work(t, c, 3, 300, time.Millisecond); got[v] < 80 {
					problem = fmt.Sprintf("%s got %d of 300 after its recovery", v, got[v])
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}
