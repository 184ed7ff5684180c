package cluster

import (
	"context"
	"testing"
	"time"
)

// warmCluster returns a cluster of n nodes with a free session on each.
func warmCluster(tb testing.TB, n int, p Policy) *Cluster[*fakeConn] {
	tb.Helper()
	addrs := []string{"a", "b", "c", "d", "e", "f", "g", "h"}[:n]
	opt := newNetwork(addrs...).options(addrs...)
	opt.MinConns, opt.MaxConns, opt.Policy = 2*n, 8*n, p
	c := open(tb, opt)
	for deadline := time.Now().Add(5 * time.Second); c.Stats().Idle < 2*n; {
		if time.Now().After(deadline) {
			tb.Fatal("the minimum of sessions was not opened")
		}
		time.Sleep(time.Millisecond) // real time: benchmarks cannot run in a bubble
	}
	return c
}

func BenchmarkAcquireRelease(b *testing.B) {
	for _, p := range []Policy{LeastLoaded(), RoundRobin(), Random(), InOrder()} {
		b.Run(p.Name(), func(b *testing.B) {
			c := warmCluster(b, 3, p)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				l, err := c.Acquire(ctx, Request{})
				if err != nil {
					b.Fatal(err)
				}
				l.Release()
			}
		})
	}
}

func BenchmarkAcquireReleaseInParallel(b *testing.B) {
	c := warmCluster(b, 3, LeastLoaded())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := c.Acquire(context.Background(), Request{})
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}

func BenchmarkAcquireReleaseWhileWaitersQueue(b *testing.B) {
	c := warmCluster(b, 3, LeastLoaded())
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := c.Acquire(context.Background(), Request{})
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}

func TestAcquireAndReleaseAllocateNothing(t *testing.T) {
	for _, p := range []Policy{LeastLoaded(), RoundRobin(), Random(), InOrder()} {
		t.Run(p.Name(), func(t *testing.T) {
			c := warmCluster(t, 3, p)
			ctx := context.Background()
			allocs := testing.AllocsPerRun(1000, func() {
				l, err := c.Acquire(ctx, Request{})
				if err != nil {
					t.Fatal(err)
				}
				l.SetHolder(HolderTransaction)
				l.Release()
			})
			if allocs != 0 {
				t.Errorf("%v allocations per lease, want 0", allocs)
			}
		})
	}
}
