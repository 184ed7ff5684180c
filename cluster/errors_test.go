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

func TestAnExhaustedPoolSaysWhoHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		opt.MaxConns, opt.MinConns, opt.CaptureStacks = 4, 0, true
		c := open(t, opt)
		tx := mustAcquire(t, c, Request{Holder: HolderTransaction})
		time.Sleep(3 * time.Second)
		rows := mustAcquire(t, c, Request{Holder: HolderStatement})
		rows.SetHolder(HolderRows)
		kept := mustAcquire(t, c, Request{Holder: HolderConn})
		stmt := mustAcquire(t, c, Request{})
		_, err := c.Acquire(t.Context(), Request{})
		var ae *AcquireError
		if !errors.As(err, &ae) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if ae.Limit != 4 || ae.InUse != [numHolders]int{1, 1, 1, 1} || ae.Waited != 5*time.Second ||
			ae.OldestAge < 8*time.Second || ae.OldestHolder != HolderTransaction || ae.OldestNode != tx.Node() {
			t.Errorf("%+v", ae)
		}
		for _, want := range []string{
			"limit 4", "4 in use", "1 statement", "1 rows", "1 transaction", "1 idle in the caller", "after 5s",
			"oldest held for 8", "by transaction", "0 idle, 0 dialing, 0 waiting",
			"id-a (a) healthy", "id-b (b) healthy", "deadline exceeded", "TestAnExhaustedPoolSaysWhoHoldsIt",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err = c.Acquire(ctx, Request{}); !errors.Is(err, context.Canceled) || !errors.As(err, &ae) || ae.Waited != time.Second {
			t.Errorf("got %v", err)
		}
		for _, l := range []Lease[*fakeConn]{tx, rows, kept, stmt} {
			l.Release()
		}
	})
}

func TestEveryWaitEndsWithItsDeadline(t *testing.T) {
	for name, prepare := range map[string]func(*network, *Cluster[*fakeConn]) func(){
		"exhausted": func(_ *network, c *Cluster[*fakeConn]) func() {
			var held []Lease[*fakeConn]
			for range 20 {
				l, _ := c.Acquire(context.Background(), Request{})
				held = append(held, l)
			}
			return func() {
				for _, l := range held {
					l.Release()
				}
			}
		},
		"black holes": func(net *network, _ *Cluster[*fakeConn]) func() {
			net.node("a").pause()
			net.node("b").pause()
			time.Sleep(time.Minute)
			return func() { net.node("a").resume(); net.node("b").resume() }
		},
		"down": func(net *network, _ *Cluster[*fakeConn]) func() {
			net.node("a").kill()
			net.node("b").kill()
			time.Sleep(time.Minute)
			return func() {}
		},
		"draining": func(net *network, _ *Cluster[*fakeConn]) func() {
			net.node("a").drain()
			net.node("b").drain()
			synctest.Wait()
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork("a", "b")
				c := open(t, net.options("a", "b"))
				time.Sleep(time.Second)
				undo := prepare(net, c)
				var wg sync.WaitGroup
				for i := range 200 {
					wg.Go(func() {
						d := time.Duration(i) * 7 * time.Millisecond
						ctx, cancel := context.WithTimeout(t.Context(), d)
						defer cancel()
						began := time.Now()
						_, err := c.Acquire(ctx, Request{})
						if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != d {
							t.Errorf("got %v after %v, want %v", err, time.Since(began), d)
						}
					})
				}
				wg.Wait()
				undo()
			})
		})
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, spoil := range map[string]func(*Options[*fakeConn]){
		"Seeds is empty":       func(o *Options[*fakeConn]) { o.Seeds = nil },
		"empty address":        func(o *Options[*fakeConn]) { o.Seeds = []string{"a", ""} },
		"Dial is missing":      func(o *Options[*fakeConn]) { o.Dial = nil },
		"DialMonitor":          func(o *Options[*fakeConn]) { o.DialMonitor = nil },
		"MaxConns is 0":        func(o *Options[*fakeConn]) { o.MaxConns = 0 },
		"MinConns is 21":       func(o *Options[*fakeConn]) { o.MinConns = 21 },
		"MinConns is -1":       func(o *Options[*fakeConn]) { o.MinConns = -1 },
		"DialsPerNode is -1":   func(o *Options[*fakeConn]) { o.DialsPerNode = -1 },
		"IdleTimeout is -1":    func(o *Options[*fakeConn]) { o.IdleTimeout = -1 },
		"ConnectTimeout is 0":  func(o *Options[*fakeConn]) { o.ConnectTimeout = 0 },
		"HealthTimeout is 0":   func(o *Options[*fakeConn]) { o.HealthTimeout = 0 },
		"Retry.Max is -1":      func(o *Options[*fakeConn]) { o.Retry.Max = -1 },
		"negative time":        func(o *Options[*fakeConn]) { o.Retry.Initial = -1 },
		"at most MaxBackoff":   func(o *Options[*fakeConn]) { o.Retry.Initial = time.Hour },
		"Retry.Multiplier":     func(o *Options[*fakeConn]) { o.Retry.Multiplier = 0.5 },
		"AcquireTimeout is -1": func(o *Options[*fakeConn]) { o.AcquireTimeout = -1 },
	} {
		opt := newNetwork("a").options("a")
		spoil(&opt)
		c, err := New(opt)
		if err == nil {
			_ = c.Close(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestEventsNeverHoldUpTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork("a", "b")
		opt := net.options("a", "b")
		var mu sync.Mutex
		var seen []Event
		opt.OnEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, e)
		}
		c := open(t, opt)
		time.Sleep(time.Second)
		w := c.Watch(2)
		for range 5 {
			net.node("a").kill()
			time.Sleep(time.Second)
			net.node("a").restart()
			time.Sleep(5 * time.Second)
		}
		n := 0
		w.Stop()
		for range w.Events() {
			n++
		}
		if n != 2 || w.Dropped() < 10 || c.Stats().EventsDropped != w.Dropped() {
			t.Errorf("%d received, %d dropped", n, w.Dropped())
		}
		mu.Lock()
		defer mu.Unlock()
		last := map[NodeKey]State{}
		for _, e := range seen {
			if e.Kind == StateChanged {
				if e.From != last[e.Node.Key] || e.Time.IsZero() {
					t.Errorf("%v comes after %v", e, last[e.Node.Key])
				}
				last[e.Node.Key] = e.To
			}
		}
		if len(seen) < 17 {
			t.Errorf("OnEvent saw %d events", len(seen))
		}
	})
}
