// Package transport turns a node's address into a byte stream.
//
//	host:port ─resolve─► addresses ─dial, staggered─► socket ─options─► Conn
//
// Today a stream is plain TCP. TLS and QUIC enter here, as further functions
// behind Dialer.Dial: whoever gets a Conn reads and writes bytes and may ask
// whether the peer is still there, and sees no difference.
package transport
