package testserver

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a socket of a node, with what a test can do to it in between: a pause
// holds its reads and writes back, faults harm its bytes. It is safe for
// concurrent use as a net.Conn is.
type conn struct {
	net.Conn
	node    *Node
	closed  chan struct{}
	once    sync.Once
	monitor atomic.Bool // a monitor session: see Faults.SpareMonitors

	sending, receiving faultState
	// severed is how a fault has cut the connection, though bytes from before
	// the cut are still being dealt with.
	severed atomic.Uint32
}

func newConn(c net.Conn, n *Node) *conn {
	return &conn{Conn: c, node: n, closed: make(chan struct{})}
}

// Read reads from the socket, unless the node is paused: what arrives then is
// seen after it.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.node.gate.wait(c.closed); err != nil {
		return 0, err
	}
	if mode := CutMode(c.severed.Load()); mode != CutNone {
		return 0, c.cut(mode)
	}
	n, err := c.Conn.Read(p)
	if gated := c.node.gate.wait(c.closed); gated != nil {
		return 0, gated
	}
	c.node.received.Add(int64(n))
	if set := c.faults(); set != nil {
		return c.receiving.track(set).received(c, n, err)
	}
	return n, err
}

// Write writes to the socket, unless the node is paused.
func (c *conn) Write(p []byte) (n int, err error) {
	if err := c.node.gate.wait(c.closed); err != nil {
		return 0, err
	}
	if mode := CutMode(c.severed.Load()); mode != CutNone {
		return 0, c.cut(mode)
	}
	if set := c.faults(); set != nil {
		return c.sending.track(set).write(c, p)
	}
	return c.emit(p)
}

// emit writes to the socket and counts the bytes: before they leave, so that
// whoever has received them finds them counted.
func (c *conn) emit(p []byte) (int, error) {
	c.node.writes.Add(1)
	c.node.sent.Add(int64(len(p)))
	n, err := c.Conn.Write(p)
	c.node.sent.Add(int64(n - len(p)))
	return n, err
}

func (c *conn) faults() *faultSet {
	set := c.node.faults.Load()
	if set != nil && set.SpareMonitors && c.monitor.Load() {
		return nil
	}
	return set
}

// Close closes the socket in order, and wakes whoever waits at the gate.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// abort resets the connection: the peer sees RST, as when a process dies that
// has unread bytes.
func (c *conn) abort() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// closeWrite ends the stream towards the peer and leaves the other way open.
func (c *conn) closeWrite() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}

// sleep waits for d, or until the connection is closed.
func (c *conn) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

// cut carries out a fault's cut and gives errCut.
func (c *conn) cut(mode CutMode) error {
	switch mode {
	case CutRST:
		c.abort()
	case CutHang:
		// Swallowing what comes is what a black hole does, and shows when the
		// client gives up.
		c.Conn.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, c.Conn)
		c.Close()
	case CutGarbage:
		c.Conn.Write(noise())
		c.closePolitely()
	case CutFIN:
		c.closePolitely()
	}
	return errCut
}

// sever cuts the connection, but lets the session deal with the bytes that it
// has received before the cut. What it answers is lost.
func (c *conn) sever(mode CutMode) {
	c.severed.Store(uint32(mode))
	switch mode {
	case CutRST:
		c.abort()
	case CutGarbage:
		c.Conn.Write(noise())
		c.closeWrite()
	case CutFIN:
		c.closeWrite()
	}
}

// lingerBytes and lingerTime bound how long a closing connection listens to a
// peer that has not noticed.
const (
	lingerBytes = 256 << 10
	lingerTime  = 300 * time.Millisecond
)

// closePolitely closes the connection so that the last answer arrives: a close
// with unread bytes would reset the connection, and the peer's kernel would
// throw away what it has not read yet. So the end is announced, and what still
// comes is discarded for a while.
func (c *conn) closePolitely() {
	c.closeWrite()
	c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.Conn, lingerBytes)
	c.Close()
}
