package testserver

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestThePortOfANodeThatIsDownIsKeptForIt(t *testing.T) {
	c, _ := scripted(t, Options{})
	n := c.Node(0)
	n.Kill()
	if _, err := net.Dial("tcp", n.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v, want the dial refused", err)
	}
	// A dial from that very port, as the kernel might choose it, finds it taken.
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	local, err := net.ResolveTCPAddr("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: local}
	if conn, err := d.Dial("tcp", other.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port was lent to an outgoing connection")
	}
	if err := n.Restart(); err != nil {
		t.Fatal(err)
	}
	dial(t, n).ping()
}
