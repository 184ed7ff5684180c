package cluster

import (
	"sync/atomic"
	"time"
)

// EventKind says what an [Event] is about.
type EventKind uint8

const (
	// StateChanged: a node went from one state to another.
	StateChanged EventKind = iota
	// RoleChanged: a node has another role.
	RoleChanged
	// NodeJoined: a node became a member.
	NodeJoined
	// NodeLeft: a node is no longer a member.
	NodeLeft
)

// String returns the name: state changed, role changed, node joined, node left.
func (k EventKind) String() string {
	switch k {
	case RoleChanged:
		return "role changed"
	case NodeJoined:
		return "node joined"
	case NodeLeft:
		return "node left"
	default:
		return "state changed"
	}
}

// Event is a change in the cluster.
type Event struct {
	// Time is when it happened.
	Time time.Time
	// Kind says what happened.
	Kind EventKind
	// Node is where it happened.
	Node NodeRef
	// From and To are the node's states before and after; both the same when
	// the state did not change.
	From, To State
	// Role is the new role, for RoleChanged.
	Role Role
	// Reason is why, in words; often empty.
	Reason string
	// Err is the failure behind it, nil when there was none.
	Err error
}

// eventBuffer is how many events wait for Options.OnEvent.
const eventBuffer = 256

// Watcher receives events. See [Cluster.Watch].
type Watcher struct {
	events  chan Event
	dropped atomic.Uint64
	cancel  func(*Watcher)
	ended   bool
}

// Events returns the channel on which the events arrive. It is closed by Stop
// and when the cluster closes.
func (w *Watcher) Events() <-chan Event { return w.events }

// Dropped returns how many events were lost because nobody received them.
func (w *Watcher) Dropped() uint64 { return w.dropped.Load() }

// Stop ends the watch. It may be called more than once.
func (w *Watcher) Stop() { w.cancel(w) }

// end closes the channel. Cluster.mu is held.
func (w *Watcher) end() {
	if !w.ended {
		w.ended = true
		close(w.events)
	}
}

// Watch returns a watcher that gets all events from now on. It holds up to
// buffer events, at least one, that were not received yet; more are dropped and
// counted, so that a slow receiver never holds up the cluster. After Close the
// channel is closed.
func (c *Cluster[C]) Watch(buffer int) *Watcher {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.newWatcher(buffer)
	if c.closed {
		w.end()
	}
	return w
}

func (c *Cluster[C]) newWatcher(buffer int) *Watcher {
	w := &Watcher{events: make(chan Event, max(buffer, 1))}
	w.cancel = func(w *Watcher) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.watchers = without(c.watchers, w)
		w.end()
	}
	c.watchers = append(c.watchers, w)
	return w
}

// emit gives e to everyone who watches.
func (c *Cluster[C]) emit(e Event) {
	if len(c.watchers) == 0 {
		return
	}
	e.Time = time.Now()
	for _, w := range c.watchers {
		select {
		case w.events <- e:
		default:
			w.dropped.Add(1)
			c.dropped++
		}
	}
}

// tell calls f for each event until the cluster closes.
func (c *Cluster[C]) tell(f func(Event)) {
	w := c.newWatcher(eventBuffer)
	c.wg.Go(func() {
		for {
			select {
			case e := <-w.events:
				f(e)
			case <-c.ctx.Done():
				return
			}
		}
	})
}
