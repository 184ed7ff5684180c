package testserver

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// CutMode is how a connection is cut.
type CutMode uint8

// The ways to cut a connection.
const (
	// CutNone cuts nothing.
	CutNone CutMode = iota
	// CutFIN ends the stream in order: the client reads what was sent, then
	// the end.
	CutFIN
	// CutRST resets it: what was sent may be lost with it.
	CutRST
	// CutHang leaves it open and silent, until the client or the node closes
	// it.
	CutHang
	// CutGarbage sends noise in place of what would follow, then ends the
	// stream.
	CutGarbage
)

// String gives the mode's name.
func (m CutMode) String() string {
	switch m {
	case CutFIN:
		return "FIN"
	case CutRST:
		return "RST"
	case CutHang:
		return "hang"
	case CutGarbage:
		return "garbage"
	}
	return "none"
}

// Faults are what goes wrong on a node's connections, on purpose. The zero
// value is none. Bytes are those on the socket, counted for each connection
// from the moment that the faults are set, or the connection is opened.
type Faults struct {
	// Latency is added before each write of the node.
	Latency time.Duration
	// LatencyJitter is the most that is added to Latency at random.
	LatencyJitter time.Duration
	// CorruptEvery flips a bit in every n-th byte that the node sends; 0: in
	// none.
	CorruptEvery int64
	// Cut is how connections are cut after CutAfterBytes.
	Cut CutMode
	// CutAfterBytes is how many bytes pass before the cut. With 0 the
	// connection is cut instead of the first byte.
	CutAfterBytes int64
	// CutReceived counts the bytes that the node receives, instead of those
	// that it sends. The bytes after the cut never reach the node.
	CutReceived bool
	// Limit is how many connections are cut or corrupted, in all; the others,
	// and those opened later, are left alone. 0: all.
	Limit int64
	// SpareMonitors leaves monitor sessions alone, once they have shaken hands.
	SpareMonitors bool
}

// errCut is the node's view of a connection that a fault has cut.
var errCut = errors.New("cut by a fault")

// faultSet is one use of Node.SetFaults.
type faultSet struct {
	Faults
	hit atomic.Int64 // connections
}

// faultState is a connection's share of a faultSet. One goroutine reads and one
// writes, and the two count apart, so the counters need no lock.
type faultState struct {
	set      *faultSet
	bytes    int64
	affected bool
}

// track gives the state for the set, counting anew when the set is new.
func (st *faultState) track(set *faultSet) *faultState {
	if st.set != set {
		*st = faultState{set: set}
	}
	return st
}

// claim reports whether the connection may be harmed under the set's Limit.
func (st *faultState) claim() bool {
	if !st.affected {
		hit := st.set.hit.Add(1)
		st.affected = st.set.Limit == 0 || hit <= st.set.Limit
	}
	return st.affected
}

// write sends p as far as the faults let it.
func (st *faultState) write(c *conn, p []byte) (int, error) {
	f := &st.set.Faults
	if err := c.sleep(f.delay()); err != nil {
		return 0, err
	}
	if f.Cut != CutNone && !f.CutReceived && st.bytes+int64(len(p)) >= f.CutAfterBytes && st.claim() {
		n, err := c.emit(p[:max(0, f.CutAfterBytes-st.bytes)])
		if err != nil {
			return n, err
		}
		return n, c.cut(f.Cut)
	}
	n, err := c.emit(st.corrupt(p))
	st.bytes += int64(n)
	return n, err
}

// corrupt gives p, or a copy with every n-th byte of the stream damaged.
func (st *faultState) corrupt(p []byte) []byte {
	every := st.set.CorruptEvery
	if every <= 0 {
		return p
	}
	first := (every - 1 - st.bytes%every + every) % every
	if first >= int64(len(p)) || !st.claim() {
		return p
	}
	damaged := append([]byte(nil), p...)
	for i := first; i < int64(len(p)); i += every {
		damaged[i] ^= 1 << rand.IntN(8)
	}
	return damaged
}

// received judges n bytes that have just arrived.
func (st *faultState) received(c *conn, n int, err error) (int, error) {
	f := &st.set.Faults
	if f.Cut == CutNone || !f.CutReceived || n == 0 || st.bytes+int64(n) < f.CutAfterBytes {
		st.bytes += int64(n)
		return n, err
	}
	if !st.claim() {
		return n, err
	}
	passed := int(max(0, f.CutAfterBytes-st.bytes))
	if passed == 0 {
		return 0, c.cut(f.Cut)
	}
	c.sever(f.Cut)
	return passed, nil
}

func (f *Faults) delay() time.Duration {
	if f.LatencyJitter <= 0 {
		return f.Latency
	}
	return f.Latency + rand.N(f.LatencyJitter)
}

// noise is what CutGarbage sends.
func noise() []byte {
	p := make([]byte, 256)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}
