package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Cluster pools sessions over the nodes of a cluster. All its methods are safe
// for concurrent use. It must be closed.
type Cluster[C Conn] struct {
	opt    Options[C]
	start  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	// wg counts every goroutine but those that puddle starts to close
	// sessions, for which its Close waits.
	wg sync.WaitGroup

	view    atomic.Pointer[view[C]]
	lead    atomic.Int64 // the greatest pass of a node with full weight
	tickets atomic.Uint64
	scratch scratchList
	budget  budget
	tend    chan struct{} // wakes the maintenance
	ended   chan struct{} // closed when Close has finished
	quiet   chan struct{} // wakes Close

	mu  sync.Mutex
	rng *rand.Rand
	// after is run by unlock: what must not be done under the lock.
	after []func()
	// pumpDue has unlock start dials for those who wait: once for all that
	// happened under the lock, when everything is in its place again.
	pumpDue bool
	nodes   []*node[C]
	leaving map[*node[C]]struct{}
	keys    NodeKey
	reached bool
	epoch   uint64
	queue   waitQueue[C]
	leases  leaseList[C]
	// total counts all sessions under the limit: idle, leased, dialing and
	// closing ones.
	total, idle, dialing, closing int
	owed                          int
	grown                         instant // when a session was last opened
	closed                        bool
	watchers                      []*Watcher
	acquired, waits, dropped      uint64
}

// New checks the options and starts a monitor for each seed and the
// maintenance. It does not wait for any node.
func New[C Conn](opt Options[C]) (*Cluster[C], error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	seed := opt.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	c := &Cluster[C]{
		opt: opt, start: time.Now(), rng: rand.New(rand.NewPCG(seed, 1)),
		leaving: map[*node[C]]struct{}{},
		tend:    make(chan struct{}, 1), ended: make(chan struct{}), quiet: make(chan struct{}, 1),
	}
	c.scratch.seed = seed
	c.budget.init(opt.MaxConns)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.Lock()
	if opt.OnEvent != nil {
		c.tell(opt.OnEvent)
	}
	for _, addr := range opt.Seeds {
		c.addNode(addr)
	}
	c.refresh(false)
	c.wg.Go(c.maintain)
	c.unlock()
	return c, nil
}

// now is the time since the cluster was made.
func (c *Cluster[C]) now() instant { return time.Since(c.start) }

// unlock starts the dials that are due, releases the lock and then does what
// had to wait for that.
func (c *Cluster[C]) unlock() {
	if c.pumpDue {
		c.pumpDue = false
		c.pump()
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// scratchList keeps the memory in which policies work.
type scratchList struct {
	mu    sync.Mutex
	free  *candidates
	seed  uint64
	count uint64
}

func (l *scratchList) get() *candidates {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cs := l.free; cs != nil {
		l.free = cs.next
		return cs
	}
	l.count++
	return &candidates{rng: rand.New(rand.NewPCG(l.seed, 1+l.count))}
}

func (l *scratchList) put(cs *candidates) {
	l.mu.Lock()
	cs.next = l.free
	l.free = cs
	l.mu.Unlock()
}
