package cluster

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/puddle/v2"
)

// session is one Conn on its way through the pool. All fields but conn, c and
// born are guarded by Cluster.mu.
type session[C Conn] struct {
	conn C
	c    *Cluster[C]
	node *node[C]
	res  *puddle.Resource[*session[C]]
	// gen is the node's generation when the session was opened.
	gen uint64
	// expires is when the session has lived long enough, 0: never.
	expires instant
	// opened is when it was opened.
	opened instant
	// idleSince is when it was released, or opened.
	idleSince instant
	// received is how many bytes had come when the monitor last asked the node.
	received int64
	// cause, when set, is why the session is given up without a farewell.
	cause error

	// serial counts the leases, so that a lease that has ended does nothing.
	serial   uint64
	leased   bool
	orphaned bool
	holder   Holder
	leasedAt instant
	stack    []uintptr
	// before and after link the leased sessions, the oldest lease first.
	before, after *session[C]
}

// pool contains the sessions of one node. puddle keeps them; the cluster says
// when one is opened, handed out, or destroyed, and does all of that under its
// own lock, so that its counters and puddle's lists never disagree. Three
// things follow from that: puddle never constructs anything by itself, its
// Acquire is called only when an idle session is there and so never waits, and
// its limit is not used.
type pool[C Conn] struct {
	puddle *puddle.Pool[*session[C]]
}

// adoption carries a session that was opened already to puddle's constructor.
type adoption[C Conn] struct {
	context.Context
	session *session[C]
}

var errNotAdopted = errors.New("cluster: bug: a session was taken from a node without an idle one")

func newPool[C Conn](destroy func(*session[C])) *pool[C] {
	p, err := puddle.NewPool(&puddle.Config[*session[C]]{
		Constructor: func(ctx context.Context) (*session[C], error) {
			a, ok := ctx.(adoption[C])
			if !ok {
				return nil, errNotAdopted
			}
			return a.session, nil
		},
		Destructor: destroy,
		MaxSize:    math.MaxInt32,
	})
	if err != nil {
		panic(err) // only a MaxSize below 1 is refused
	}
	return &pool[C]{puddle: p}
}

// adopt adds a freshly opened session as an idle one.
func (p *pool[C]) adopt(s *session[C]) error {
	return p.puddle.CreateResource(adoption[C]{context.Background(), s})
}

// take returns the idle session that was used last. There must be one.
func (p *pool[C]) take() *session[C] {
	res, err := p.puddle.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	s := res.Value()
	s.res = res
	return s
}

// takeAll returns all idle sessions, the one used last first.
func (p *pool[C]) takeAll() []*session[C] {
	all := p.puddle.AcquireAllIdle()
	out := make([]*session[C], len(all))
	for i, res := range all {
		out[i] = res.Value()
		out[i].res = res
	}
	return out
}

// put makes a taken session idle.
func (p *pool[C]) put(s *session[C]) { s.res.Release() }

// destroy closes a taken session on a goroutine of its own.
func (p *pool[C]) destroy(s *session[C]) { s.res.Destroy() }

// forget takes a session out of the pool without closing it.
func (p *pool[C]) forget(s *session[C]) { s.res.Hijack() }

// close destroys what is idle and returns once nothing is left. Nothing may be
// taken at that time, or it waits for it.
func (p *pool[C]) close() { p.puddle.Close() }
