package cluster

import "sync"

const (
	// budgetBurst is how many retries are allowed before any call was made.
	budgetBurst = 10
	// budgetShare is how many retries each call adds to what is allowed.
	budgetShare = 0.1
)

// budget bounds retries, so that a cluster on which everything fails is not
// also flooded with repetitions. There are two accounts. From the first, each
// call earns a tenth of a retry: when everything fails, retries add no more
// than a tenth. The second is for requests that one node lost or refused while
// others serve: sessions that came back in order earn a retry each, up to as
// many as can be lost with a node at once, so that a rolling restart costs
// nobody an error, and one in which nothing succeeds earns nothing.
type budget struct {
	mu     sync.Mutex
	common float64
	spare  int
	limit  int
}

func (b *budget) init(maxConns int) { b.common, b.limit = budgetBurst, maxConns }

// called notes a first attempt.
func (b *budget) called() {
	b.mu.Lock()
	b.common = min(b.common+budgetShare, budgetBurst)
	b.mu.Unlock()
}

// succeeded notes that a session came back in order.
func (b *budget) succeeded() {
	b.mu.Lock()
	b.spare = min(b.spare+1, b.limit)
	b.mu.Unlock()
}

// spend takes one retry, from the spare account if failover is set and it has
// one, else from the common one.
func (b *budget) spend(failover bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case failover && b.spare > 0:
		b.spare--
	case b.common >= 1:
		b.common--
	default:
		return false
	}
	return true
}
