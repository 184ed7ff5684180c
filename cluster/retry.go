package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Class says what is certain about an attempt that failed.
type Class uint8

const (
	// Final must not be repeated.
	Final Class = iota
	// NeverSent: not one byte of the request was handed to the transport.
	NeverSent
	// Refused: the node answered that it did not begin, and that another
	// node might.
	Refused
	// SafeOnce: the request may have been carried out, but doing it again
	// does no harm. It is repeated once, on another node if there is one.
	SafeOnce
)

// String returns the name: final, never sent, refused, safe once.
func (k Class) String() string {
	switch k {
	case NeverSent:
		return "never sent"
	case Refused:
		return "refused"
	case SafeOnce:
		return "safe once"
	default:
		return "final"
	}
}

// AttemptError is one failed attempt in the error that [Retry] returns.
type AttemptError struct {
	// Attempt counts from 1.
	Attempt int
	// Node is where it failed; zero when no session was had.
	Node NodeRef
	// Class is what was certain about it.
	Class Class
	// Err is the failure.
	Err error
}

// Error returns "attempt <n> on <node>: <error>".
func (e *AttemptError) Error() string {
	if e.Node.Key == 0 {
		return fmt.Sprintf("attempt %d: %v", e.Attempt, e.Err)
	}
	return fmt.Sprintf("attempt %d on %s: %v", e.Attempt, e.Node, e.Err)
}

// Unwrap returns Err.
func (e *AttemptError) Unwrap() error { return e.Err }

// Retry leads one request through its attempts:
//
//	r := c.Retry(req)
//	for {
//		lease, err := r.Acquire(ctx)
//		if err != nil {
//			return err // lists the attempts that were made
//		}
//		class, err := use(lease) // ends the lease
//		if err == nil {
//			return nil
//		}
//		if !r.Again(lease, err, class) {
//			return r.Err()
//		}
//	}
//
// It is a value that belongs to one goroutine and must not be copied once it
// is in use.
type Retry[C Conn] struct {
	c        *Cluster[C]
	req      Request
	began    bool
	since    instant // when the request began
	stale    int     // attempts on sessions that had died in the pool
	repeated bool    // a SafeOnce was repeated
	wait     time.Duration
	waits    int // how many attempts had to wait
	failures []*AttemptError
}

// Retry begins a request.
func (c *Cluster[C]) Retry(req Request) Retry[C] { return Retry[C]{c: c, req: req} }

// Acquire leases a session for the next attempt: for the first one at once,
// for later ones after a wait if one is due, on a node on which the request has not
// failed if there is one. The wait takes no more than half the time that is left to
// ctx. Its error lists the attempts that failed before.
func (r *Retry[C]) Acquire(ctx context.Context) (Lease[C], error) {
	if !r.began {
		r.began, r.since = true, r.c.now()
		r.c.budget.called()
	}
	if err := r.sleep(ctx); err != nil {
		return Lease[C]{}, r.ended(err)
	}
	l, err := r.c.Acquire(ctx, r.req)
	if err != nil {
		return Lease[C]{}, r.ended(err)
	}
	return l, nil
}

// sleep waits as long as Again has decided.
func (r *Retry[C]) sleep(ctx context.Context) error {
	d := r.wait
	r.wait = 0
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)/2)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.c.ctx.Done():
		return ErrClosed
	}
}

// diedInPool says whether the attempt on l failed because its session had died
// before the request began: it says nothing of the node as it is now, and the pool
// holds only so many of them.
func (r *Retry[C]) diedInPool(l Lease[C], class Class) bool {
	return class == NeverSent && l.Valid() && l.s.opened < r.since && r.stale < r.c.opt.MaxConns
}

// Again takes in that the attempt on l failed with err, and says whether there
// is to be another one. l should have ended with Fail, Discard or Release
// before, so that the node's health is known; if it has not, it is discarded.
//
// The first attempt on another healthy node follows at once. Attempts on the
// same nodes again, and all while no other node is healthy, wait as Options.Retry
// says, with full jitter. Options.Retry.Max and a budget shared by all requests
// bound the attempts: when everything fails, retries add a tenth to the calls. An
// attempt on a session that had died in the pool is not counted, and is made again
// at once.
func (r *Retry[C]) Again(l Lease[C], err error, class Class) bool {
	l.Discard()
	node := l.Node()
	r.failures = append(r.failures, &AttemptError{len(r.failures) + 1, node, class, err})
	if r.diedInPool(l, class) && r.c.budget.spend(true) {
		r.stale++
		return true
	}
	if class == Final || r.repeated && class == SafeOnce || len(r.failures)-r.stale > r.c.opt.Retry.Max {
		return false
	}
	if node.Key != 0 && !avoided(r.req.Avoid, node.Key) {
		// A copy, as the caller's own slice must stay as it is.
		r.req.Avoid = append(r.req.Avoid[:len(r.req.Avoid):len(r.req.Avoid)], node.Key)
	}
	elsewhere := r.c.healthyElsewhere(r.req)
	if !r.c.budget.spend(elsewhere && class != SafeOnce) {
		return false
	}
	r.repeated = r.repeated || class == SafeOnce
	if !elsewhere {
		r.wait = r.c.jitter(r.c.opt.Retry.Delay(r.waits))
		r.waits++
	}
	return true
}

// Err returns why the request failed: nil if no attempt has failed, the error
// of the only attempt as it is, or one error that lists all attempts in order
// and unwraps to each of their errors.
func (r *Retry[C]) Err() error {
	switch len(r.failures) {
	case 0:
		return nil
	case 1:
		return r.failures[0].Err
	}
	m := &multierror.Error{ErrorFormat: formatAttempts}
	for _, f := range r.failures {
		m.Errors = append(m.Errors, f)
	}
	return m
}

// ended adds the failure to get a session to what failed before.
func (r *Retry[C]) ended(err error) error {
	if len(r.failures) == 0 {
		return err
	}
	r.failures = append(r.failures, &AttemptError{Attempt: len(r.failures) + 1, Err: err})
	return r.Err()
}

func formatAttempts(errs []error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: %d attempts failed: ", len(errs))
	for i, err := range errs {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// healthyElsewhere says whether a healthy node outside req.Avoid can serve req.
func (c *Cluster[C]) healthyElsewhere(req Request) bool {
	if req.Target >= numTargets {
		return false
	}
	for _, v := range c.view.Load().prime[req.Target] {
		if v.State == StateHealthy && !avoided(req.Avoid, v.Key) {
			return true
		}
	}
	return false
}

func (c *Cluster[C]) jitter(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fullJitter(c.rng, d)
}
