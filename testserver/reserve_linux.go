package testserver

import (
	"net"
	"syscall"
)

// reserve keeps a port from being lent to outgoing connections while its node
// is down: another one could take it, so that the node cannot come back, or a
// client that dials it could be connected to itself. The socket is bound and
// does not listen, so whoever dials is refused; SO_REUSEADDR lets the node's
// next listener in beside it (ip(7), socket(7)). It is a courtesy: where it is
// not possible, nothing is reserved. The returned function gives the port up.
func reserve(addr string) (release func()) {
	none := func() {}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return none
	}
	family, sockaddr := socketAddress(tcp)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return none
	}
	if syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) != nil || syscall.Bind(fd, sockaddr) != nil {
		syscall.Close(fd)
		return none
	}
	return func() { syscall.Close(fd) }
}

func socketAddress(a *net.TCPAddr) (family int, s syscall.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}
