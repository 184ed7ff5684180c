package session

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// patience is how long a scripted node waits for what its script expects. It is
// reached only by a test that fails.
const patience = 10 * time.Second

// peer is a scripted node's end of a connection. Its script runs in a goroutine
// of its own; a step that does not come true fails the test and ends the script.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   *wire.Reader
	out  wire.Encoder
}

// serve starts a node that plays one script for each connection, in order, and
// gives its address. The test ends when all scripts have.
func serve(t testing.TB, scripts ...func(*peer)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for _, script := range scripts {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			play(t, conn, script)
		}
	}()
	return ln.Addr().String()
}

// play runs a script over a connection and closes it.
func play(t testing.TB, conn net.Conn, script func(*peer)) {
	defer conn.Close()
	done := make(chan struct{})
	go func() { // a script that fails ends its goroutine
		defer close(done)
		_ = conn.SetDeadline(time.Now().Add(patience))
		script(&peer{t: t, conn: conn, in: wire.NewReader(conn)})
	}()
	<-done
}

func (p *peer) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("node: "+format, args...)
	runtime.Goexit()
}

// next reads a message, whatever it is. Its payload is a copy.
func (p *peer) next() wire.Message {
	p.t.Helper()
	m, err := p.in.Next()
	if err != nil {
		p.fatalf("a message was expected: %v", err)
	}
	m.Payload = bytes.Clone(m.Payload)
	return m
}

// expect reads a message of the kind and gives its sequence number; into, if not
// nil, gets its content.
func (p *peer) expect(kind wire.Type, into interface{ Decode([]byte) error }) uint64 {
	p.t.Helper()
	m := p.next()
	if m.Type != kind {
		p.fatalf("%v came where %v was expected", m.Type, kind)
	}
	if into != nil {
		if err := into.Decode(m.Payload); err != nil {
			p.fatalf("%v", err)
		}
	}
	return m.Sequence
}

// execute expects an Execute.
func (p *peer) execute() (seq uint64, x wire.Execute) {
	p.t.Helper()
	seq = p.expect(wire.TypeExecute, &x)
	return seq, x
}

// say puts a message on its way; flush sends what is.
func (p *peer) say(kind wire.Type, seq uint64, m interface{ AppendTo([]byte) []byte }) {
	p.t.Helper()
	p.out.Begin(kind, seq)
	if m != nil {
		p.out.Payload = m.AppendTo(p.out.Payload)
	}
	if err := p.out.End(); err != nil {
		p.fatalf("%v", err)
	}
}

func (p *peer) flush() {
	p.t.Helper()
	_, err := p.conn.Write(p.out.Bytes())
	p.out.Reset()
	if err != nil {
		p.fatalf("a write failed: %v", err)
	}
}

// reply sends one message.
func (p *peer) reply(kind wire.Type, seq uint64, m interface{ AppendTo([]byte) []byte }) {
	p.t.Helper()
	p.say(kind, seq, m)
	p.flush()
}

// refuse answers with an error.
func (p *peer) refuse(seq uint64, code string, change ...func(*wire.Error)) {
	p.t.Helper()
	e := wire.Error{Code: code, Effect: wire.EffectNone, Message: "refused by the script", Node: "n1"}
	for _, f := range change {
		f(&e)
	}
	p.reply(wire.TypeError, seq, &e)
}

// rowsOf is the payload of a Rows message.
type rowsOf struct {
	wire.RowsHeader
	values []wire.Value
}

func (r *rowsOf) AppendTo(dst []byte) []byte {
	dst = r.RowsHeader.AppendTo(dst)
	for _, v := range r.values {
		dst = v.AppendTo(dst)
	}
	return dst
}

// description numbers the list of columns that columnsOf gives for each width.
func description(width int) uint64 { return uint64(100 + width) }

func columnsOf(width int) []wire.Column {
	return slices.Repeat([]wire.Column{{Name: "c", DeclaredType: "INT", Kind: wire.KindInt}}, width)
}

// sayRows puts the first batch of a result on its way.
func (p *peer) sayRows(seq uint64, width int, values ...wire.Value) {
	p.t.Helper()
	h := wire.RowsHeader{First: true, HasColumns: true, Description: description(width), Width: width,
		Columns: columnsOf(width), Count: len(values) / width}
	p.say(wire.TypeRows, seq, &rowsOf{h, values})
}

// sayMore puts a further batch of it on its way.
func (p *peer) sayMore(seq uint64, width int, values ...wire.Value) {
	p.t.Helper()
	p.say(wire.TypeRows, seq, &rowsOf{wire.RowsHeader{Count: len(values) / width}, values})
}

// answer sends a result of one column.
func (p *peer) answer(seq uint64, values ...wire.Value) {
	p.t.Helper()
	p.sayRows(seq, 1, values...)
	p.say(wire.TypeComplete, seq, &wire.Complete{})
	p.flush()
}

// welcome answers the client's handshake.
func (p *peer) welcome(change ...func(*wire.ServerHandshake)) wire.ClientHandshake {
	p.t.Helper()
	var hello wire.ClientHandshake
	seq := p.expect(wire.TypeHandshake, &hello)
	h := wire.ServerHandshake{Version: 1, ServerName: "script", Dialect: "sqlite", NodeID: "n1", SessionID: "n1-1",
		Served: wire.ProtocolTCP, Features: hello.Features, MaxMessageSize: hello.MaxMessageSize}
	for _, f := range change {
		f(&h)
	}
	p.reply(wire.TypeHandshake, seq, &h)
	return hello
}

// ended expects that the client closes the stream, having said farewell or not.
func (p *peer) ended(farewell bool) {
	p.t.Helper()
	said := false
	for {
		m, err := p.in.Next()
		switch {
		case err != nil && !closedByPeer(err):
			p.fatalf("the client should have closed the stream: %v", err)
		case err != nil && said != farewell:
			p.fatalf("the client's farewell: got %v, want %v", said, farewell)
		case err != nil:
			return
		case m.Type == wire.TypeTerminate:
			said = true
		default:
			p.fatalf("a %v came where the end was expected", m.Type)
		}
	}
}

// closedByPeer reports whether the error says that the other side is gone, be it
// politely or in the middle of something.
func closedByPeer(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, wire.ErrTruncated) || errors.As(err, &op) && !op.Timeout()
}

// reset makes the coming close a reset.
func (p *peer) reset() {
	if err := p.conn.(*net.TCPConn).SetLinger(0); err != nil {
		p.fatalf("%v", err)
	}
}
