package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// Conn is a byte stream to a node.
type Conn interface {
	net.Conn
	// Protocol is the transport in use: one bit of the set.
	Protocol() wire.Protocols
	// Alive looks, without waiting and without a round trip, whether the peer
	// has closed the stream or sent something nobody asked for. A nil error
	// means that nothing of the kind is known. It must not be called while
	// another goroutine reads.
	Alive() error
}

// fallbackDelay is how long a connection attempt to one family of addresses may
// take before the other one is tried beside it (RFC 8305, section 5).
const fallbackDelay = 250 * time.Millisecond

// Dialer opens streams. Its fields are not to be changed after the first use;
// it is safe for concurrent use.
type Dialer struct {
	// Protocols are those that may be used.
	Protocols wire.Protocols
	// Keepalive is the idle time after which the operating system probes the
	// peer; 0 or less switches probing off.
	Keepalive time.Duration
}

// Dial connects to host:port. A host name is resolved at each call. Where it has
// addresses of both families they are tried staggered (RFC 8305). When the context
// ends first, the error wraps the context's.
func (d *Dialer) Dial(ctx context.Context, address string) (Conn, error) {
	if d.Protocols&wire.ProtocolTCP == 0 {
		return nil, fmt.Errorf("dial %s: of the allowed protocols none is available: this version connects over tcp only", address)
	}
	nd := net.Dialer{FallbackDelay: fallbackDelay, KeepAliveConfig: net.KeepAliveConfig{Enable: d.Keepalive > 0, Idle: d.Keepalive, Interval: d.Keepalive / 3, Count: 3}}
	if d.Keepalive <= 0 {
		nd.KeepAlive = -1
	}
	nc, err := nd.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, ofContext(ctx, err)
	}
	return newTCPConn(nc.(*net.TCPConn))
}

// ofContext makes the error wrap that of the context if it has ended. The net
// package keeps the deadline too, and may notice it a moment before the context.
func ofContext(ctx context.Context, err error) error {
	ctxErr := ctx.Err()
	if d, ok := ctx.Deadline(); ok && ctxErr == nil && !time.Now().Before(d) {
		ctxErr = context.DeadlineExceeded
	}
	if ctxErr == nil || errors.Is(err, ctxErr) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, ctxErr)
}

// tcpConn is a plain TCP stream. The net package sets TCP_NODELAY by itself.
type tcpConn struct {
	*net.TCPConn
	peeker peeker
}

func newTCPConn(nc *net.TCPConn) (Conn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	c := &tcpConn{TCPConn: nc}
	c.peeker.init(raw)
	return c, nil
}

func (c *tcpConn) Protocol() wire.Protocols { return wire.ProtocolTCP }

func (c *tcpConn) Alive() error { return c.peeker.peek() }
