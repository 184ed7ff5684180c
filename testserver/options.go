package testserver

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/testserver/sqlite"
	"github.com/qdb-go/qdb/wire"
)

// Version is the version of the test server, as ServerHandshake and the SQL
// function qdb_version() give it.
const Version = "0.1.0"

// Defaults of Options.
const (
	// DefaultListen is the address of the first node: a free port of loopback.
	DefaultListen = "127.0.0.1:0"
	// DefaultHandshakeTimeout bounds how long a connection may take until it
	// has become a session.
	DefaultHandshakeTimeout = 5 * time.Second
	// DefaultDrainGrace is how long open transactions and running statements
	// of a draining node may go on.
	DefaultDrainGrace = 30 * time.Second
	// DefaultDrainLinger is how long a drained node goes on refusing requests
	// before it closes the sessions that are left.
	DefaultDrainLinger = 250 * time.Millisecond
	// DefaultProbeInterval is how often a peer is asked how it is.
	DefaultProbeInterval = time.Second
	// DefaultMaxSessions is the most sessions of a node.
	DefaultMaxSessions = 10_000
	// DefaultMaxHandshakes is the most connections of a node that are not yet
	// sessions.
	DefaultMaxHandshakes = 512
	// DefaultStatementCache is the most compiled statements of a session.
	DefaultStatementCache = 512
	// DefaultCompressThreshold is the size, in bytes, above which a message is
	// compressed on sessions that agreed on compression.
	DefaultCompressThreshold = 1024
)

// Options say what cluster to start. The zero value is a cluster of one node on
// a free port of loopback, with its data in memory.
type Options struct {
	// Nodes is the number of nodes; 0 means 1.
	Nodes int
	// NodeIDBase is the number of the first node; 0 means 1. The others are
	// numbered from there. Processes that share data need distinct numbers.
	NodeIDBase int
	// Listen is the address of the first node, host:port; empty means
	// DefaultListen. With port 0 every node gets a free port, otherwise node i
	// gets the i-th port after it.
	Listen string
	// Peers are the addresses, host:port, of nodes that other processes run on
	// the same data. They are probed, and listed in the topology: without an id,
	// and as down, until their first answer.
	Peers []string
	// ProbeInterval is how often a peer is probed, and how long it may take to
	// answer before it counts as down; 0 means DefaultProbeInterval.
	ProbeInterval time.Duration

	// Data is the path of the SQLite file; empty means in memory. It is not
	// used when Backend is set.
	Data string
	// Sync is what a commit to Data survives; the zero value is
	// sqlite.SyncNormal: the death of the process.
	Sync sqlite.Sync
	// Backend is the engine; nil means SQLite over Data. The cluster does not
	// close one that it is given.
	Backend backend.Backend

	// Logger takes the log; nil means that nothing is logged.
	Logger *slog.Logger

	// HandshakeTimeout; 0 means DefaultHandshakeTimeout.
	HandshakeTimeout time.Duration
	// DrainGrace; 0 means DefaultDrainGrace, negative none.
	DrainGrace time.Duration
	// DrainLinger; 0 means DefaultDrainLinger, negative none.
	DrainLinger time.Duration
	// IdleInTransactionTimeout closes a session that sends nothing for as long
	// while its transaction is open; 0 means never.
	IdleInTransactionTimeout time.Duration

	// MaxMessageSize is the most, in bytes, that a node accepts and sends in a
	// message; 0 means wire.SessionMaxMessageSize. At least MinMessageSize, at
	// most wire.HighestMaxMessageSize.
	MaxMessageSize int
	// MaxSessions of a node, monitors included; 0 means DefaultMaxSessions.
	MaxSessions int
	// MaxHandshakes under way on a node; 0 means DefaultMaxHandshakes.
	MaxHandshakes int
	// StatementCache is the most compiled statements that a session keeps; 0
	// means DefaultStatementCache.
	StatementCache int
	// CompressThreshold in bytes; 0 means DefaultCompressThreshold, negative
	// that compression is not offered.
	CompressThreshold int

	// OnRequest, if set, is called with every request before it is carried
	// out. An error refuses the request: it is the answer, a *wire.Error as it
	// stands and any other with SQLSTATE XX000, and nothing is carried out.
	// It runs on the session's goroutine, so blocking in it stalls the session
	// alone, but whatever ends the node waits for it. It must be safe for
	// concurrent use.
	OnRequest func(Request) error
}

// MinMessageSize is the least maximum message size, in bytes, that either side
// of a session may ask for: every answer but rows has room in it.
const MinMessageSize = 4096

// Request is what Options.OnRequest is told about a request.
type Request struct {
	// Node and Session are the ids of the node and of the session.
	Node, Session string
	// Monitor: the session is a client's health check.
	Monitor bool
	// Type is Execute, Prepare, Transaction, Reset or Ping.
	Type wire.Type
	// SQL is the text of Prepare and Execute; for a prepared statement the
	// one that it was prepared from, if it is known.
	SQL string
	// Op is the operation of Transaction.
	Op wire.TxOp
}

// complete gives the options with all defaults filled in.
func (o Options) complete() (Options, error) {
	setDefault(&o.Nodes, 1)
	setDefault(&o.NodeIDBase, 1)
	setDefault(&o.Listen, DefaultListen)
	setDefault(&o.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&o.DrainGrace, DefaultDrainGrace)
	setDefault(&o.DrainLinger, DefaultDrainLinger)
	setDefault(&o.ProbeInterval, DefaultProbeInterval)
	setDefault(&o.MaxMessageSize, wire.SessionMaxMessageSize)
	setDefault(&o.MaxSessions, DefaultMaxSessions)
	setDefault(&o.MaxHandshakes, DefaultMaxHandshakes)
	setDefault(&o.StatementCache, DefaultStatementCache)
	setDefault(&o.CompressThreshold, DefaultCompressThreshold)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) check() error {
	switch {
	case o.Nodes < 0 || o.Nodes > 1000:
		return fmt.Errorf("testserver: Options.Nodes is %d, want 1 to 1000", o.Nodes)
	case o.NodeIDBase < 0:
		return fmt.Errorf("testserver: Options.NodeIDBase is %d, want 1 or more", o.NodeIDBase)
	case o.MaxMessageSize < MinMessageSize || o.MaxMessageSize > wire.HighestMaxMessageSize:
		return fmt.Errorf("testserver: Options.MaxMessageSize is %d, want %d to %d", o.MaxMessageSize, MinMessageSize, wire.HighestMaxMessageSize)
	case o.MaxSessions < 0 || o.MaxHandshakes < 0 || o.StatementCache < 0:
		return fmt.Errorf("testserver: a limit in Options is negative")
	case o.HandshakeTimeout < 0 || o.IdleInTransactionTimeout < 0 || o.ProbeInterval < 0:
		return fmt.Errorf("testserver: a timeout in Options is negative")
	}
	for _, addr := range o.Peers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("testserver: peer %q is not host:port: %w", addr, err)
		}
	}
	return checkLoopback(o.Listen)
}

// checkLoopback refuses addresses that others could reach: nothing here asks
// for a password.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("testserver: listen address %q is not host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("testserver: without authentication only loopback may be listened on, not %q: use 127.0.0.1, ::1 or localhost", addr)
}
