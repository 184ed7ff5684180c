package testserver

import (
	"sync"

	"github.com/qdb-go/qdb/wire"
)

// notice is a change of the topology on its way to a monitor session.
type notice struct {
	join bool
	wire.TopologyChange
}

// noticesKept is how many notices wait for a monitor that does not read. Each
// carries the whole topology, so the oldest can go.
const noticesKept = 64

// notices are those that a monitor session has yet to be sent. They are put in
// by whoever changes the topology, who must not wait for a socket, and taken
// out by a goroutine of the session.
type notices struct {
	mu     sync.Mutex
	list   []notice
	signal chan struct{} // of capacity 1
}

func newNotices() *notices { return &notices{signal: make(chan struct{}, 1)} }

func (q *notices) put(n notice) {
	q.mu.Lock()
	if len(q.list) >= noticesKept {
		q.list = append(q.list[:0], q.list[1:]...)
	}
	q.list = append(q.list, n)
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

func (q *notices) take() []notice {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}

// tellMonitors hands a notice to all monitor sessions of the node.
func (n *Node) tellMonitors(what notice) {
	n.mu.Lock()
	life := n.life
	n.mu.Unlock()
	if life == nil {
		return
	}
	life.mu.Lock()
	defer life.mu.Unlock()
	for s := range life.monitors {
		s.notices.put(what)
	}
}

// notify sends notices until the session ends. It is the goroutine of a monitor
// session beside its own.
func (s *session) notify() {
	for {
		select {
		case <-s.notices.signal:
		case <-s.ended:
			return
		}
		for _, n := range s.notices.take() {
			if s.sendNotice(&n) != nil {
				s.conn.Close()
				return
			}
		}
	}
}

func (s *session) sendNotice(n *notice) error {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if err := s.rows.finish(); err != nil {
		return err
	}
	kind := wire.TypeClusterLeave
	if n.join {
		kind = wire.TypeClusterJoin
	}
	if err := s.send(kind, 0, &n.TopologyChange); err != nil {
		return err
	}
	return s.flush()
}
