package cluster

// waiter is a caller that waits for a session. All fields but done and wake
// are guarded by Cluster.mu.
type waiter[C Conn] struct {
	ticket uint64
	req    Request
	since  instant
	// plan holds the usable nodes in the order in which to try them.
	plan []*node[C]
	// peers is how many nodes at the front of plan are equals.
	peers int
	// spare says that other nodes than those in req.Avoid are in prime.
	spare bool
	// dials are those under way on the waiter's account; want is how many
	// there may be at a time.
	dials []*dial[C]
	want  int
	// patient is set until the waiter has waited long enough to get one of
	// the sessions that do not divide evenly among the nodes.
	patient bool
	// nextHedge is when another node is dialled if nothing has come of the
	// first; giveUpAt, when set, is when waiting has lasted long enough for a
	// cluster that never answered.
	nextHedge, giveUpAt instant
	stack               []uintptr
	// failed are the nodes on which a dial failed for this waiter.
	failed []failedDial[C]

	// done receives the outcome, once.
	done   chan outcome[C]
	served bool
	// wake tells the caller to plan anew.
	wake chan struct{}

	prev, next *waiter[C]
	queued     bool
}

type failedDial[C Conn] struct {
	node   *node[C]
	arisen uint64
	err    error
}

type outcome[C Conn] struct {
	lease Lease[C]
	stale bool
	err   error
}

// nudge asks the caller to plan anew, without waiting for it.
func (w *waiter[C]) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// gaveUpOn says whether a dial on n failed for w, and n has not recovered since.
func (w *waiter[C]) gaveUpOn(n *node[C]) bool {
	for i := range w.failed {
		if f := &w.failed[i]; f.node == n && f.arisen == n.arisen {
			return true
		}
	}
	return false
}

// dialsOn says whether a dial on n is under way for w.
func (w *waiter[C]) dialsOn(n *node[C]) bool {
	for _, d := range w.dials {
		if d.node == n {
			return true
		}
	}
	return false
}

// waitQueue holds the waiters in the order in which they arrived.
type waitQueue[C Conn] struct {
	head, tail *waiter[C]
	len        int
}

// add puts w where its ticket belongs: at the end, unless it was in the queue
// before.
func (q *waitQueue[C]) add(w *waiter[C]) {
	at := q.tail
	for at != nil && at.ticket > w.ticket {
		at = at.prev
	}
	w.prev = at
	if at == nil {
		w.next, q.head = q.head, w
	} else {
		w.next, at.next = at.next, w
	}
	if w.next == nil {
		q.tail = w
	} else {
		w.next.prev = w
	}
	w.queued = true
	q.len++
}

// remove takes w out, if it is in.
func (q *waitQueue[C]) remove(w *waiter[C]) {
	if !w.queued {
		return
	}
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.len--
}
