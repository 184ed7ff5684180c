package testserver

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// session is one connection of a client. Its goroutine reads requests and
// carries them out in place, one after the other.
type session struct {
	life     *life
	node     *Node
	cluster  *Cluster
	id       string
	conn     *conn
	protocol wire.Protocols

	in         *wire.Reader
	sawByte    bool // the first byte has arrived
	background bool // the watch reads the socket, not the session's goroutine

	// outMu guards what is on its way out. The session's goroutine holds it,
	// but for the times when it waits: for the socket, or for the engine.
	// Meanwhile others may complete what is there, add to it, and send it.
	outMu  sync.Mutex
	out    wire.Encoder
	outErr error // of the socket; final
	rows   batch

	watch      watch
	db         backend.Conn // nil until the first statement
	statements *statements

	monitor, admitted bool
	notices           *notices // of a monitor
	ended             chan struct{}
	leaving           atomic.Bool // the session is to say farewell
	holds             bool        // its open transaction is counted in life.active
	tx                txID        // of the open transaction

	request  wire.Execute
	complete wire.Complete
	ack      wire.Ack
	sequence uint64 // of the request being answered
	withheld bool   // rows of a statement that wrote, as nobody wants them any more
}

// Errors that end a session.
var (
	errTerminated = errors.New("the client said farewell")
	errLeaving    = errors.New("the node lets its sessions go")
	errNoTLS      = errors.New("the client speaks TLS")
)

func newSession(l *life, c *conn, protocol wire.Protocols) *session {
	s := &session{
		life: l, node: l.node, cluster: l.node.cluster, id: newSessionID(l.node),
		conn: c, protocol: protocol, ended: make(chan struct{}),
	}
	s.in = wire.NewReader((*inbound)(s))
	s.out.Sender = l.node.number
	s.rows.s = s
	s.statements = newStatements(s)
	s.watch.s = s
	s.watch.timer = time.AfterFunc(time.Hour, s.watch.tick)
	s.watch.timer.Stop()
	return s
}

// newSessionID makes an id that no other session of the cluster has, in this
// process or another.
func newSessionID(n *Node) string {
	var b [12]byte
	rand.Read(b[:])
	return n.id + "-" + hex.EncodeToString(b[:])
}

// inbound is what the session's reader reads from: the socket, with everything
// sent before it is waited for. So the answers to a train of requests leave
// together, when the train has been read to its end.
type inbound session

// Read sends what is on its way out and reads from the socket. On the watch's
// goroutine it only reads.
func (in *inbound) Read(p []byte) (int, error) {
	s := (*session)(in)
	if s.background {
		return s.conn.Read(p)
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	s.armIdleTimeout()
	if s.leaving.Load() {
		return 0, errLeaving
	}
	s.outMu.Unlock()
	n, err := s.conn.Read(p)
	s.outMu.Lock()
	if s.leaving.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errLeaving
	}
	if s.refusesFirst(p[:n]) {
		return 0, errNoTLS
	}
	return n, err
}

// tlsRecord is the first byte of a TLS ClientHello: the type of a handshake
// record (RFC 8446, section 5.1). No frame begins with it.
const tlsRecord = 0x16

// refusesFirst looks at the stream's first byte: it reports whether TLS begins
// here.
func (s *session) refusesFirst(p []byte) bool {
	if s.sawByte || len(p) == 0 {
		return false
	}
	s.sawByte = true
	return p[0] == tlsRecord
}

// armIdleTimeout bounds the wait for the next request while a transaction is
// open.
func (s *session) armIdleTimeout() {
	if d := s.cluster.opts.IdleInTransactionTimeout; d > 0 && s.admitted {
		deadline := time.Time{}
		if s.holds {
			deadline = time.Now().Add(d)
		}
		s.conn.SetReadDeadline(deadline)
	}
}

// serve is the session's goroutine.
func (s *session) serve() {
	s.outMu.Lock()
	err := s.open()
	var notifier sync.WaitGroup
	if err == nil && s.monitor {
		notifier.Go(s.notify)
	}
	for err == nil {
		err = s.next()
	}
	s.finish(err)
	s.outMu.Unlock()
	close(s.ended)
	s.conn.Close()
	notifier.Wait()
	s.release()
}

// next takes one message and does what it asks for. An error ends the session.
func (s *session) next() error {
	m, ok := s.watch.pop()
	if !ok {
		var err error
		if m.Message, err = s.in.Next(); err != nil {
			return err
		}
	}
	s.sequence = m.Sequence
	return s.dispatch(m)
}

// finish says a last word to the client, where there is one to say, and closes.
func (s *session) finish(err error) {
	log := s.cluster.log.With("node", s.node.id, "session", s.id, "client", s.conn.RemoteAddr())
	var last *wire.Error
	var broken *wire.ProtocolError
	switch {
	case errors.As(err, &last):
		log.Warn("session refused", "error", err)
	case errors.Is(err, errNoTLS):
		log.Warn("connection refused: the client speaks TLS, which this node does not serve")
		last = noTLSError()
	case errors.Is(err, errLeaving):
		log.Debug("session let go")
		s.farewell()
	case errors.Is(err, errAhead):
		log.Warn("session ended", "error", err)
		last = refusal("54000", err.Error())
	case errors.As(err, &broken):
		log.Warn("session ended: the client broke the protocol", "error", err)
		last = protocolViolation(err)
	case s.holds && errors.Is(err, os.ErrDeadlineExceeded):
		log.Warn("session ended: idle in its transaction for too long")
		s.sequence = 0
		last = refusal("25P03", "idle in a transaction for longer than "+s.cluster.opts.IdleInTransactionTimeout.String())
	case !s.admitted && errors.Is(err, os.ErrDeadlineExceeded):
		log.Warn("connection closed: no handshake in time")
	case errors.Is(err, errTerminated), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		log.Debug("session closed")
	default:
		log.Debug("session lost", "error", err)
	}
	if last != nil {
		s.fatal(last)
	}
}

// dismiss asks the session to say farewell and close as soon as it can, which
// is at once when it is idle. It may be called from any goroutine.
func (s *session) dismiss() {
	s.leaving.Store(true)
	s.conn.SetReadDeadline(past)
	s.watch.stop(causeShutdown)
}

// farewell tells the client that the node goes. The error bears no request's
// number: it is for all that have not been answered, and none of them was
// started. With that a client can take elsewhere what crossed it.
func (s *session) farewell() {
	s.sequence = 0
	if !s.monitor {
		s.fatal(drainingError(s.node.id))
		return
	}
	leave := wire.TopologyChange{NodeID: s.node.id, Reason: wire.LeaveShutdown, Topology: s.cluster.topo.snapshot()}
	if s.send(wire.TypeClusterLeave, 0, &leave) == nil && s.flush() == nil {
		s.conn.closePolitely()
	}
}

// release gives up what the session holds of the engine.
func (s *session) release() {
	s.watch.timer.Stop()
	if s.db != nil {
		s.watch.connected(nil)
		s.statements.closeAll()
		if err := s.db.Close(); err != nil {
			s.cluster.log.Warn("closing the engine's connection failed", "node", s.node.id, "session", s.id, "error", err)
		}
	}
	if s.holds {
		s.holds = false
		s.cluster.txs.end(s.tx, wire.OutcomeAborted)
		s.life.release()
	}
}

// connect gives the session its connection to the engine, which it gets with
// its first statement: a session that only pings needs none.
func (s *session) connect() *wire.Error {
	if s.db != nil {
		return nil
	}
	ctx, cancel := s.life.context(s.cluster.opts.HandshakeTimeout)
	defer cancel()
	s.outMu.Unlock()
	db, err := s.cluster.backend.Connect(ctx, backend.Identity{NodeID: s.node.id, SessionID: s.id, Version: Version})
	s.outMu.Lock()
	if err != nil {
		e := engineError(err)
		e.Effect, e.Elsewhere = wire.EffectNone, true
		return e
	}
	s.db = db
	s.watch.connected(db)
	return nil
}

// txState is the state of the session's transaction.
func (s *session) txState() wire.TxState {
	if s.db == nil {
		return wire.TxNone
	}
	return s.db.Tx()
}

// schemaEpoch is the schema's as far as the session has seen it.
func (s *session) schemaEpoch() uint64 {
	if s.db == nil {
		return s.cluster.backend.SchemaEpoch()
	}
	return s.db.SchemaEpoch()
}
