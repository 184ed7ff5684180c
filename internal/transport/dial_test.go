package transport

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// listen starts a listener that hands its connections out.
func listen(t testing.TB) (address string, accepted <-chan *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan *net.TCPConn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- conn.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String(), conns
}

// connect dials a listener and gives both ends, which are closed with the test.
func connect(t testing.TB, d *Dialer) (near Conn, far *net.TCPConn) {
	t.Helper()
	address, accepted := listen(t)
	near, err := d.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	far = <-accepted
	t.Cleanup(func() {
		_ = near.Close() // a test may have closed it
		_ = far.Close()
	})
	return near, far
}

func TestDialGivesAStreamOverTCP(t *testing.T) {
	near, far := connect(t, &Dialer{Protocols: wire.ProtocolTLS | wire.ProtocolTCP | wire.ProtocolUDP, Keepalive: time.Second})
	if near.Protocol() != wire.ProtocolTCP {
		t.Errorf("protocol %v", near.Protocol())
	}
	var got [5]byte
	if _, err := near.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(got[:]); err != nil || string(got[:]) != "hello" {
		t.Errorf("got %q, error %v", got, err)
	}
}

func TestDialRefusesASetOfProtocolsWithoutOneThatItHas(t *testing.T) {
	address, accepted := listen(t)
	for _, set := range []wire.Protocols{0, wire.ProtocolTLS, wire.ProtocolUDP, wire.ProtocolTLS | wire.ProtocolUDP} {
		conn, err := (&Dialer{Protocols: set}).Dial(t.Context(), address)
		if conn != nil || err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "tcp") {
			t.Errorf("protocols %b: %v, error %v", set, conn, err)
		}
	}
	if len(accepted) > 0 {
		t.Error("a connection was made all the same")
	}
}

func TestDialSaysThatNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	conn, err := (&Dialer{Protocols: wire.ProtocolTCP}).Dial(t.Context(), address)
	var op *net.OpError
	if conn != nil || !errors.As(err, &op) || op.Op != "dial" || op.Timeout() || !strings.Contains(err.Error(), address) {
		t.Errorf("%v, error %v", conn, err)
	}
}

func TestDialSaysThatAnAddressMakesNoSense(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:99999", "[::1:7000"} {
		conn, err := (&Dialer{Protocols: wire.ProtocolTCP}).Dial(t.Context(), address)
		if conn != nil || err == nil {
			t.Errorf("%q: %v, error %v", address, conn, err)
		}
	}
}
