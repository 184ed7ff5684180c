package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qdb-go/qdb/internal/transport"
	"github.com/qdb-go/qdb/wire"
)

const (
	// farewellTime bounds the write of Terminate.
	farewellTime = 50 * time.Millisecond
	// creditWindow is how many bytes of rows a node may send ahead.
	creditWindow = 256 << 10
)

// Config is what the sessions of one database have in common. It is not changed
// after the first use.
type Config struct {
	ClientName      string
	Database        string
	User            string
	ApplicationName string
	Protocols       wire.Protocols // offered
	MaxMessageSize  int            // accepted and, as far as the node agrees, sent; bytes
	// CompressThreshold is the message size above which messages are
	// compressed; 0: never.
	CompressThreshold int
	StatementCache    int // statements kept prepared; 0: none
}

// Session is one conversation with a node. One goroutine uses it at a time, but
// for Abort.
type Session struct {
	cfg    *Config
	conn   transport.Conn
	addr   string
	reader *wire.Reader
	hello  wire.ServerHandshake

	wmu sync.Mutex // held while frames are written
	enc wire.Encoder
	seq uint64

	stmts     statements
	early     []early     // responses owed before that of the request under way
	earlyErr  *wire.Error // the first failure among those
	begin     *wire.Transaction
	reset     bool
	tx        wire.TxState
	dirty     bool
	txID      [16]byte
	epoch     uint64
	watch     watch
	news      *wire.TopologyChange // not yet taken by the monitor
	broken    error
	aborted   atomic.Pointer[error]
	received  atomic.Int64 // bytes
	closeOnce sync.Once

	inTx     bool // between Begin and Commit or Rollback, whatever the node says
	reading  bool // the rows of a request are being read
	answered bool // the request under way has got an answer, or a part of it
	rested   bool // nothing was sent since the session was opened or recycled
}

// early is a request that travels ahead of another in one train.
type early struct {
	seq  uint64
	kind wire.Type
}

// Open starts a session over conn, which it owns from then on: it is closed when
// Open fails. addr is for errors. The context bounds the handshake.
func Open(ctx context.Context, conn transport.Conn, addr string, cfg *Config, monitor bool) (*Session, error) {
	s := &Session{cfg: cfg, conn: conn, addr: addr}
	s.reader = wire.NewReader(&counter{conn, &s.received})
	s.stmts.init(cfg.StatementCache)
	if err := s.handshake(ctx, monitor); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	s.rested = true
	return s, nil
}

// Hello is what the node said of itself in the handshake.
func (s *Session) Hello() *wire.ServerHandshake { return &s.hello }

// Address is the node's address as it was dialled.
func (s *Session) Address() string { return s.addr }

// Protocol is the transport in use.
func (s *Session) Protocol() wire.Protocols { return s.conn.Protocol() }

// Tx is the state of the transaction as the node last reported it; a Begin that
// has not been sent yet counts as active.
func (s *Session) Tx() wire.TxState {
	if s.begin != nil {
		return wire.TxActive
	}
	return s.tx
}

// Dirty reports whether the session has state of its own, such as temporary
// tables, that a fresh one lacks.
func (s *Session) Dirty() bool { return s.dirty }

// Broken gives the error that ended the session, Abort's cause included, or nil
// while it can be used.
func (s *Session) Broken() error {
	if s.broken == nil {
		if cause := s.aborted.Load(); cause != nil {
			return *cause
		}
	}
	return s.broken
}

// counter counts the bytes that a stream gives.
type counter struct {
	src io.Reader
	n   *atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.src.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// Received is the number of bytes that the node has sent so far. It may be called
// from any goroutine.
func (s *Session) Received() int64 { return s.received.Load() }

// Alive is the liveness check of an idle session: no wait, no round trip. Any
// byte that the node has sent unasked counts as its farewell, so it is not for
// monitor sessions.
func (s *Session) Alive() error {
	if err := s.Broken(); err != nil {
		return err
	}
	if n := s.reader.Buffered(); n > 0 {
		return fmt.Errorf("%d unread bytes on an idle session", n)
	}
	return s.conn.Alive()
}

// Abort closes the stream at once, from any goroutine: an operation under way
// fails with the cause.
func (s *Session) Abort(cause error) {
	s.aborted.CompareAndSwap(nil, &cause)
	s.shut()
}

func (s *Session) shut() {
	s.closeOnce.Do(func() { _ = s.conn.Close() }) // nobody is left to tell
}

// Close says farewell, within 50 ms, and closes the stream. It may be called
// again.
func (s *Session) Close() error {
	if s.Broken() == nil && s.wmu.TryLock() { // else a Cancel is stuck in the stream
		s.terminate()
		s.wmu.Unlock()
	}
	if s.broken == nil {
		s.broken = net.ErrClosed
	}
	s.shut()
	s.disarm()
	return nil
}

func (s *Session) terminate() {
	s.enc.Reset()
	s.enc.Begin(wire.TypeTerminate, s.nextSeq())
	if s.enc.End() == nil && s.conn.SetWriteDeadline(time.Now().Add(farewellTime)) == nil {
		_, _ = s.conn.Write(s.enc.Bytes()) // a courtesy: the close that follows says the same
	}
}

func (s *Session) nextSeq() uint64 {
	s.seq++
	return s.seq
}

// fail marks the session broken and explains why the answer did not come.
func (s *Session) fail(op string, err error) error {
	if cause := s.aborted.Load(); cause != nil {
		err = *cause
	} else if errors.Is(err, io.EOF) {
		err = errClosedByNode
	}
	if s.broken == nil {
		s.broken = fmt.Errorf("%s: node %s: %w", op, s.addr, err)
	}
	s.shut()
	return s.broken
}

var errClosedByNode = errors.New("the node closed the connection")
