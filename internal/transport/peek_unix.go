//go:build unix

package transport

import (
	"errors"
	"io"
	"syscall"
)

// errUnsolicited: the peer sent something that nobody asked for, such as its
// farewell. Whatever it is, the stream is of no more use for a request.
var errUnsolicited = errors.New("the node sent data on an idle session")

// peeker looks at a socket's receive buffer without taking from it and without
// waiting: one system call. It holds the function that does so, which would
// otherwise be allocated for each look.
type peeker struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool
	state error // what look has seen
	buf   [1]byte
}

func (p *peeker) init(raw syscall.RawConn) {
	p.raw, p.look = raw, func(fd uintptr) bool {
		p.state = p.see(int(fd))
		return true
	}
}

// peek must not be called from two goroutines at once.
func (p *peeker) peek() error {
	if err := p.raw.Read(p.look); err != nil {
		return err
	}
	return p.state
}

func (p *peeker) see(fd int) error {
	for {
		n, _, err := syscall.Recvfrom(fd, p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case n > 0:
			return errUnsolicited
		case err == nil:
			return io.EOF
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK):
			return nil
		default:
			return err
		}
	}
}
