package sqlite

import (
	"context"
	"errors"
	"sync"
)

// errClosed is what Connect gives after Close.
var errClosed = errors.New("sqlite: the database is closed")

// pool keeps clean engine connections, as opening one costs some 300 µs and the
// reading of the schema. The last one in is the first out: its cache is warm.
// It is safe for concurrent use.
type pool struct {
	limit int

	mu     sync.Mutex // protects all below
	idle   []*engine
	closed bool
}

// get takes an engine out; nil when there is none.
func (p *pool) get() (*engine, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	e := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return e, nil
}

// put keeps e if there is room, and reports whether it did; else it is the
// caller's to close.
func (p *pool) put(e *engine) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.limit {
		return false
	}
	p.idle = append(p.idle, e)
	return true
}

func (p *pool) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	for _, e := range idle {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

// acquire gives a clean engine: an idle one, or else a new one.
func (db *database) acquire(ctx context.Context) (*engine, error) {
	e, err := db.pool.get()
	if e != nil || err != nil {
		return e, err
	}
	return db.openEngine(ctx)
}

// release takes an engine back, and closes it unless it is as good as new.
func (db *database) release(e *engine) error {
	if e.reusable() && db.pool.put(e) {
		return nil
	}
	return e.close()
}
