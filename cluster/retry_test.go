package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestDelaysGrowByTheMultiplierUpToTheMaximum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Max:        rapid.IntRange(0, 50).Draw(t, "max"),
			Initial:    time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "initial")),
			Multiplier: rapid.Float64Range(1, 10).Draw(t, "multiplier"),
		}
		b.MaxBackoff = b.Initial + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		s := b.Schedule()
		if len(s) != b.Max {
			t.Fatalf("%d delays, want %d", len(s), b.Max)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i, d := range s {
			want := b.Initial
			if i > 0 {
				want = time.Duration(min(float64(s[i-1])*b.Multiplier, float64(b.MaxBackoff)))
			}
			// Rounding to whole nanoseconds grows with the multiplier's powers.
			if off := d - want; off > 100 || off < -100 {
				t.Fatalf("delay %d is %v, want %v", i, d, want)
			}
			if j := fullJitter(rng, d); j < 0 || j > d {
				t.Fatalf("jitter drew %v of %v", j, d)
			}
		}
	})
}

func TestTheScheduleOfTheDefaultsIsTheDocumentedOne(t *testing.T) {
	b := Backoff{Max: 8, Initial: 100 * time.Millisecond, MaxBackoff: 5 * time.Second}
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}
	for i, d := range b.Schedule() {
		if d != want[i]*time.Millisecond {
			t.Errorf("delay %d is %v, want %v ms", i, d, want[i])
		}
	}
	if d := (Backoff{Max: 3}).Delay(2); d != 0 {
		t.Errorf("without Initial the delay is %v", d)
	}
	if d := (Backoff{Initial: 1, MaxBackoff: time.Hour, Multiplier: 10}).Delay(1 << 30); d != time.Hour {
		t.Errorf("delay 2^30 is %v", d)
	}
}

func TestJitterReachesFromNothingToAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	lo, hi := time.Second, time.Duration(0)
	for range 10000 {
		d := fullJitter(rng, time.Second)
		lo, hi = min(lo, d), max(hi, d)
	}
	if lo > 10*time.Millisecond || hi < 990*time.Millisecond {
		t.Errorf("drawn between %v and %v", lo, hi)
	}
}

func TestTheFirstRetryGoesToAnotherNodeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a", "b", "c"))
		time.Sleep(time.Second)
		r := c.Retry(Request{})
		seen := map[string]bool{}
		began := time.Now()
		for i := range 3 {
			l, err := r.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seen[l.Node().Address] {
				t.Errorf("attempt %d is on %v again", i+1, l.Node())
			}
			seen[l.Node().Address] = true
			l.Fail(errReset)
			if !r.Again(l, errReset, NeverSent) {
				t.Fatalf("no attempt after %d", i+1)
			}
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("three nodes were tried after %v", d)
		}
	})
}

func TestSafeOnceIsRepeatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		c := open(t, net.options("a", "b", "c"))
		time.Sleep(time.Second)
		r := c.Retry(Request{})
		first, _ := r.Acquire(t.Context())
		if !r.Again(first, errReset, SafeOnce) {
			t.Fatal("not repeated")
		}
		second, _ := r.Acquire(t.Context())
		if second.Node() == first.Node() {
			t.Error("repeated on the same node")
		}
		if r.Again(second, errors.New("other"), SafeOnce) {
			t.Error("repeated twice")
		}
		err := r.Err()
		var at *AttemptError
		if !errors.Is(err, errReset) || !errors.As(err, &at) || at.Attempt != 1 || at.Node != first.Node() {
			t.Errorf("got %v", err)
		}
		i, j := strings.Index(err.Error(), "attempt 1 on "+first.Node().String()), strings.Index(err.Error(), "attempt 2 on "+second.Node().String())
		if i < 0 || j < i {
			t.Errorf("the attempts are not in order in %q", err)
		}
		if n := c.Stats().InUse; n != 0 {
			t.Errorf("%d leases left", n)
		}
	})
}

func TestFinalIsNotRepeatedAndStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newNetwork("a").options("a"))
		r := c.Retry(Request{})
		if r.Err() != nil {
			t.Error("an error before any attempt")
		}
		l, _ := r.Acquire(t.Context())
		if r.Again(l, errReset, Final) || r.Err() != errReset {
			t.Errorf("got %v", r.Err())
		}
	})
}

func TestRetriesAreNoMoreThanMax(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork("a", "b")
			opt := net.options("a", "b")
			opt.Retry.Max = limit
			c := open(t, opt)
			r := c.Retry(Request{})
			attempts := 0
			began := time.Now()
			for {
				l, err := r.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				attempts++
				if !r.Again(l, errReset, Refused) {
					break
				}
			}
			if attempts != limit+1 {
				t.Errorf("%d attempts with Max %d", attempts, limit)
			}
			if d := time.Since(began); d > opt.Retry.total(time.Hour) {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestTheWaitLeavesTimeForTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := newNetwork("a").options("a")
		opt.Retry = Backoff{Max: 3, Initial: time.Hour, MaxBackoff: time.Hour}
		c := open(t, opt)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := c.Retry(Request{})
		l, _ := r.Acquire(ctx)
		if !r.Again(l, errReset, NeverSent) {
			t.Fatal("not repeated")
		}
		began := time.Now()
		l, err := r.Acquire(ctx)
		if err != nil || time.Since(began) > 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		l.Release()
	})
}

func TestAnAcquireThatFailsListsTheAttemptsBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		c := open(t, net.options("a", "b"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := c.Retry(Request{})
		l, _ := r.Acquire(ctx)
		net.node("a").kill()
		net.node("b").kill()
		l.Fail(errReset)
		if !r.Again(l, errReset, NeverSent) {
			t.Fatal("not repeated")
		}
		synctest.Wait()
		_, err := r.Acquire(ctx)
		var none *NoNodeError
		if !errors.Is(err, errReset) || !errors.As(err, &none) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhenEverythingFailsRetriesAddATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b", "c")
		opt := net.options("a", "b", "c")
		opt.Retry.Initial, opt.Retry.MaxBackoff = 0, 0
		c := open(t, opt)
		time.Sleep(time.Second)
		for _, class := range []Class{NeverSent, Refused, SafeOnce} {
			const calls = 1000
			attempts := 0
			for range calls {
				r := c.Retry(Request{})
				for {
					l, err := r.Acquire(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					attempts++
					l.Discard()
					if !r.Again(l, errReset, class) {
						break
					}
				}
			}
			if attempts > calls+calls/10+budgetBurst {
				t.Errorf("%v: %d attempts for %d calls", class, attempts, calls)
			}
			if attempts < calls+calls/20 {
				t.Errorf("%v: only %d attempts for %d calls", class, attempts, calls)
			}
		}
	})
}

// request runs one request that is refused by draining nodes and fails on
// dying ones before it is sent.
func request(c *Cluster[*fakeConn], d time.Duration) error {
	r := c.Retry(Request{})
	for {
		l, err := r.Acquire(context.Background())
		if err != nil {
			return err
		}
		n := l.Conn().node
		n.net.mu.Lock()
		draining := n.draining
		n.net.mu.Unlock()
		class, err := NeverSent, l.Conn().Alive()
		switch {
		case err != nil:
			l.Fail(err)
		case draining:
			class, err = Refused, errors.New("draining")
			l.Draining()
			l.Release()
		default:
			if err = l.Conn().do(context.Background(), d); err == nil {
				l.Release()
				return nil
			}
			class = SafeOnce
			l.Fail(err)
		}
		if !r.Again(l, err, class) {
			return r.Err()
		}
	}
}

func TestARollingRestartFailsNothing(t *testing.T) {
	for name, end := range map[string]func(*fakeNode){
		"drain": func(n *fakeNode) { n.drain(); time.Sleep(200 * time.Millisecond); n.kill() },
		"kill":  (*fakeNode).kill,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork("a", "b", "c")
				c := open(t, net.options("a", "b", "c"))
				time.Sleep(time.Second)
				stop := make(chan struct{})
				var wg sync.WaitGroup
				var worst time.Duration
				var mu sync.Mutex
				for range 32 {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							began := time.Now()
							if err := request(c, 5*time.Millisecond); err != nil {
								t.Error(err)
							}
							mu.Lock()
							worst = max(worst, time.Since(began))
							mu.Unlock()
						}
					})
				}
				for range 2 {
					for _, a := range []string{"a", "b", "c"} {
						time.Sleep(500 * time.Millisecond)
						end(net.node(a))
						time.Sleep(500 * time.Millisecond)
						net.node(a).restart()
						time.Sleep(1500 * time.Millisecond)
					}
				}
				close(stop)
				wg.Wait()
				if worst > 100*time.Millisecond {
					t.Errorf("the slowest request took %v", worst)
				}
			})
		})
	}
}

func TestARetryEndsWithTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := newNetwork("a").options("a")
		opt.Retry = Backoff{Max: 3, Initial: time.Hour, MaxBackoff: time.Hour}
		c, _ := New(opt)
		r := c.Retry(Request{})
		l, _ := r.Acquire(t.Context())
		if !r.Again(l, errReset, NeverSent) {
			t.Fatal("not repeated")
		}
		errs := make(chan error)
		go func() {
			_, err := r.Acquire(context.Background())
			errs <- err
		}()
		synctest.Wait()
		_ = c.Close(t.Context())
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}
