//go:build unix

package transport

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestAliveTellsWhatThePeerHasDone(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(*net.TCPConn) error
		want error
	}{
		"FIN":        {(*net.TCPConn).Close, io.EOF},
		"half a FIN": {(*net.TCPConn).CloseWrite, io.EOF},
		"RST": {func(c *net.TCPConn) error {
			return errors.Join(c.SetLinger(0), c.Close())
		}, syscall.ECONNRESET},
		"data": {func(c *net.TCPConn) error { _, err := c.Write([]byte("x")); return err }, errUnsolicited},
		"a farewell and FIN": {func(c *net.TCPConn) error {
			_, err := c.Write([]byte("bye"))
			return errors.Join(err, c.Close())
		}, errUnsolicited},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := connect(t, &Dialer{Protocols: wire.ProtocolTCP})
			if err := near.Alive(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := c.act(far); err != nil {
				t.Fatal(err)
			}
			if err := eventually(t, near.Alive); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// eventually calls f until it fails, and gives the error: what the other side of
// a socket did takes a moment to arrive, and there is no event to wait for.
func eventually(t testing.TB, f func() error) error {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
		if err := f(); err != nil {
			return err
		}
	}
	t.Fatal("nothing happened")
	return nil
}

func TestAliveTakesNothingFromTheStream(t *testing.T) {
	near, far := connect(t, &Dialer{Protocols: wire.ProtocolTCP})
	if _, err := far.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := eventually(t, near.Alive); !errors.Is(err, errUnsolicited) {
			t.Errorf("error %v", err)
		}
	}
	var got [5]byte
	if _, err := io.ReadFull(near, got[:]); err != nil || string(got[:]) != "hello" {
		t.Errorf("got %q, error %v", got, err)
	}
	if err := near.Alive(); err != nil {
		t.Errorf("with everything read: %v", err)
	}
}

func TestAliveDoesNotWaitAndLeavesTheStreamUsable(t *testing.T) {
	near, far := connect(t, &Dialer{Protocols: wire.ProtocolTCP})
	began := time.Now()
	for range 100 {
		if err := near.Alive(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("100 looks took %v", took)
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var got [1]byte
	if _, err := near.Read(got[:]); err != nil || got[0] != 'x' {
		t.Errorf("got %q, error %v", got, err)
	}
}

func TestAliveFailsOnAStreamThatIsClosed(t *testing.T) {
	near, _ := connect(t, &Dialer{Protocols: wire.ProtocolTCP})
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	if err := near.Alive(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestAliveAllocatesNothing(t *testing.T) {
	near, _ := connect(t, &Dialer{Protocols: wire.ProtocolTCP})
	if got := testing.AllocsPerRun(100, func() {
		if err := near.Alive(); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkAlive(b *testing.B) {
	near, _ := connect(b, &Dialer{Protocols: wire.ProtocolTCP})
	b.ReportAllocs()
	for b.Loop() {
		if err := near.Alive(); err != nil {
			b.Fatal(err)
		}
	}
}
