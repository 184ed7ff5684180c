package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// blackHole gives an address on which connection attempts are neither accepted
// nor refused: a listener whose queue is full.
func blackHole(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 16 {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return address // the queue is full
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the listener's queue does not fill")
	return ""
}

func TestDialEndsWithItsContext(t *testing.T) {
	address := blackHole(t)
	best := time.Hour
	for range 20 { // one try alone may be held up by the machine
		deadline := time.Now().Add(40 * time.Millisecond)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		conn, err := (&Dialer{Protocols: wire.ProtocolTCP}).Dial(ctx, address)
		took := time.Since(deadline)
		cancel()
		if conn != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, error %v", conn, err)
		}
		if best = min(best, took); best < 20*time.Millisecond {
			return
		}
	}
	t.Errorf("Dial returned %v after its deadline", best)
}

func TestDialEndsAtOnceWhenItsContextIsCancelled(t *testing.T) {
	address := blackHole(t)
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(10*time.Millisecond, cancel)
	defer timer.Stop()
	conn, err := (&Dialer{Protocols: wire.ProtocolTCP}).Dial(ctx, address)
	if conn != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, error %v", conn, err)
	}
}
