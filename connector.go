package qdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/internal/transport"
	"github.com/qdb-go/qdb/wire"
)

// Version is the driver's version, as nodes see it in the handshake.
const Version = "0.1.0"

// shutdownGrace is how long Close waits for sessions that are in use.
const shutdownGrace = 5 * time.Second

// Connector holds the cluster of one sql.DB. It is safe for concurrent use.
type Connector struct {
	cfg        *Config
	driver     *Driver
	sessionCfg session.Config
	dialer     transport.Dialer
	statements *lru.Cache[string, *description] // nil: none are remembered
	policy     cluster.Policy                   // nil: the Config's
	onEvent    func(cluster.Event)
	stacks     bool

	mu      sync.Mutex // protects what follows
	cluster *cluster.Cluster[*session.Session]
	closed  bool
}

var _ driver.Connector = (*Connector)(nil)

// Option sets what a DSN cannot say.
type Option func(*Connector)

// WithPolicy chooses nodes by a policy of one's own, in place of the Config's.
func WithPolicy(p cluster.Policy) Option { return func(c *Connector) { c.policy = p } }

// WithEvents calls f for every change of a node's state or role, and for nodes
// that join and leave: one call at a time, in order, from a goroutine that ends
// with the connector. A slow f delays nothing else; see cluster.Options.OnEvent.
func WithEvents(f func(cluster.Event)) Option { return func(c *Connector) { c.onEvent = f } }

// WithHolderStacks notes the stack of every checkout, so that the error of an
// exhausted pool shows where its oldest holder took the session. It costs about a
// microsecond and an allocation a checkout.
func WithHolderStacks() Option { return func(c *Connector) { c.stacks = true } }

// NewConnector makes a connector for sql.OpenDB. The Config is copied, and
// checked as ParseDSN would. Nothing is dialled before the first use.
func NewConnector(cfg *Config, options ...Option) (*Connector, error) {
	cfg = cfg.Clone()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := available(cfg); err != nil {
		return nil, err
	}
	c := &Connector{cfg: cfg}
	c.driver = &Driver{connector: c}
	for _, set := range options {
		set(c)
	}
	c.dialer = transport.Dialer{Protocols: wireProtocols(cfg.Protocols), Keepalive: cfg.Keepalive}
	c.sessionCfg = session.Config{
		ClientName: "qdb-go/" + Version, Database: cfg.Database, User: cfg.User,
		ApplicationName: cfg.ApplicationName, Protocols: c.dialer.Protocols,
		MaxMessageSize: cfg.MaxMessageSize, StatementCache: cfg.StatementCache,
	}
	if cfg.Compression == CompressionLZ4 {
		c.sessionCfg.CompressThreshold = max(1, cfg.CompressionThreshold)
	}
	if cfg.StatementCache > 0 {
		c.statements, _ = lru.New[string, *description](cfg.StatementCache) // fails only for sizes below 1
	}
	return c, nil
}

// Connect gives a handle. It dials nothing: the session is leased at the handle's
// first use, where an error can name the statement it kept from running.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pool, err := c.start()
	if err != nil {
		return nil, err
	}
	return &conn{connector: c, pool: pool}, nil
}

// start brings the cluster to life at the first use.
func (c *Connector) start() (*cluster.Cluster[*session.Session], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed()
	}
	if c.cluster == nil {
		pool, err := cluster.New(c.clusterOptions())
		if err != nil {
			return nil, err
		}
		c.cluster = pool
	}
	return c.cluster, nil
}

func errClosed() error {
	return wire.NewError(wire.Error{Code: "08003", Effect: EffectNone, Message: "the database is closed"}, cluster.ErrClosed)
}

// Driver gives the driver, which knows this connector.
func (c *Connector) Driver() driver.Driver { return c.driver }

// Close ends the cluster: sessions in use have 5 s to finish, then they are cut
// off; every session is told farewell. sql.DB.Close calls it.
func (c *Connector) Close() error {
	c.mu.Lock()
	c.closed = true
	cl := c.cluster
	c.mu.Unlock()
	if cl == nil {
		return nil
	}
	return cl.Close(context.Background())
}

func (c *Connector) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Connector) described(sql string) (*description, bool) {
	if c.statements == nil {
		return nil, false
	}
	return c.statements.Get(sql)
}

func (c *Connector) describe(sql string, d *description) {
	if c.statements != nil {
		c.statements.Add(sql, d)
	}
}

// dial opens a session for the pool.
func (c *Connector) dial(ctx context.Context, address string) (*session.Session, cluster.Report, error) {
	s, err := c.open(ctx, address, false)
	if err != nil {
		return nil, cluster.Report{}, err
	}
	return s, helloReport(s), nil
}

// dialMonitor opens a health-check session.
func (c *Connector) dialMonitor(ctx context.Context, address string) (cluster.Monitor, cluster.Report, error) {
	s, err := c.open(ctx, address, true)
	if err != nil {
		return nil, cluster.Report{}, err
	}
	return &monitor{s}, helloReport(s), nil
}

func (c *Connector) open(ctx context.Context, address string, monitor bool) (*session.Session, error) {
	stream, err := c.dialer.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return session.Open(ctx, stream, address, &c.sessionCfg, monitor)
}

// acquireError gives the error of a checkout that found no session in terms of
// SQL. Nothing was sent.
func acquireError(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	out := wire.Error{Code: "08001", Effect: EffectNone, Message: "no session with a node could be had"}
	switch {
	case errors.Is(err, cluster.ErrClosed):
		return errClosed()
	case errors.Is(err, context.Canceled):
		out.Code, out.Message = "57014", "the context ended while waiting for a session"
	}
	return wire.NewError(out, err)
}

// available refuses settings that this version cannot honour: to ignore them
// would be to connect in a way that the user did not ask for.
func available(cfg *Config) error {
	if cfg.TLS != TLSVerify || cfg.TLSCA != "" || cfg.TLSCert != "" || cfg.TLSServerName != "" {
		return &DSNError{Param: "tls", Reason: "this version of the driver has no TLS yet: leave the tls parameters out"}
	}
	if !slices.Contains(cfg.Protocols, ProtocolTCP) {
		return &DSNError{Param: "protocols", Reason: "this version of the driver connects over tcp only: tcp must be among them"}
	}
	return nil
}
