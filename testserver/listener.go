package testserver

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// listener is a transport on which a node serves. TCP is the only one here; one
// for QUIC gives each stream as a net.Conn.
type listener interface {
	// Accept waits for the next connection.
	Accept() (net.Conn, error)
	// Addr is where it listens.
	Addr() net.Addr
	// Close stops it. Accepted connections stay.
	Close() error
	// Protocol is the transport that its connections use.
	Protocol() wire.Protocols
}

// tcpListener serves frames on plain TCP.
type tcpListener struct{ net.Listener }

// Protocol gives TCP.
func (tcpListener) Protocol() wire.Protocols { return wire.ProtocolTCP }

// listenTCP listens on addr. Accepted connections have TCP_NODELAY, which is
// the default of package net, and a keepalive that notices a silent peer within
// half a minute.
func listenTCP(addr string) (listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("testserver: cannot listen on %s: %w", addr, err)
	}
	return tcpListener{ln}, nil
}
