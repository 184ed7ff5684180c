package transport

import (
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// option reads an option of the stream's socket.
func option(t *testing.T, c Conn, level, name int) int {
	t.Helper()
	raw, err := c.(*tcpConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	var optionErr error
	if err := raw.Control(func(fd uintptr) { value, optionErr = syscall.GetsockoptInt(int(fd), level, name) }); err != nil {
		t.Fatal(err)
	}
	if optionErr != nil {
		t.Fatal(optionErr)
	}
	return value
}

func TestTheOperatingSystemProbesAPeerThatIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		keepalive          time.Duration
		on, idle, interval int
	}{
		"every 15 s":        {15 * time.Second, 1, 15, 5},
		"rounded up":        {1500 * time.Millisecond, 1, 2, 1},
		"not at all":        {0, 0, 0, 0},
		"less than nothing": {-time.Second, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, &Dialer{Protocols: wire.ProtocolTCP, Keepalive: c.keepalive})
			if on := option(t, conn, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on != c.on {
				t.Fatalf("SO_KEEPALIVE is %d", on)
			}
			if option(t, conn, syscall.IPPROTO_TCP, syscall.TCP_NODELAY) == 0 {
				t.Error("TCP_NODELAY is off")
			}
			if c.on == 0 {
				return
			}
			idle := option(t, conn, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
			interval := option(t, conn, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
			count := option(t, conn, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
			if idle != c.idle || interval != c.interval || count != 3 {
				t.Errorf("idle %d s, interval %d s, count %d", idle, interval, count)
			}
		})
	}
}
