package testserver

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// patience bounds every wait of a test: what takes as long will never come.
func patience() <-chan time.Time { return time.After(20 * time.Second) }

// client speaks session mode as bytes.
type client struct {
	t       testing.TB
	conn    net.Conn
	in      *wire.Reader
	out     wire.Encoder
	seq     uint64
	welcome wire.ServerHandshake
}

// dialRaw connects without a handshake.
func dialRaw(t testing.TB, n *Node) *client {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatalf("dial node %s: %v", n.ID(), err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, in: wire.NewReader(conn)}
	c.in.MaxMessageSize = wire.SessionMaxMessageSize
	c.out.MaxMessageSize = wire.SessionMaxMessageSize
	return c
}

func handshake() *wire.ClientHandshake {
	return &wire.ClientHandshake{
		VersionMin: 1, VersionMax: 1, ClientName: "test", Offered: wire.ProtocolTCP, InUse: wire.ProtocolTCP,
		Features: wire.FeatureTxStatus | wire.FeatureTopology, MaxMessageSize: wire.SessionMaxMessageSize, Nonce: [16]byte{1},
	}
}

// dial opens a session. Each change is made to the handshake before it is sent.
func dial(t testing.TB, n *Node, changes ...func(*wire.ClientHandshake)) *client {
	t.Helper()
	c := dialRaw(t, n)
	if e := c.shake(changes...); e != nil {
		t.Fatalf("handshake with node %s: %v", n.ID(), e)
	}
	return c
}

func asMonitor(h *wire.ClientHandshake) { h.Monitor = true }

// shake sends a handshake and takes the answer.
func (c *client) shake(changes ...func(*wire.ClientHandshake)) *wire.Error {
	c.t.Helper()
	h := handshake()
	for _, change := range changes {
		change(h)
	}
	c.send(wire.TypeHandshake, h)
	for {
		m := c.next()
		switch m.Type {
		case wire.TypeError:
			return c.errorOf(m)
		case wire.TypeHandshake:
			if err := c.welcome.Decode(m.Payload); err != nil {
				c.t.Fatal(err)
			}
			return nil
		}
	}
}

// put adds a message to the train.
func (c *client) put(kind wire.Type, payload appender) uint64 {
	c.t.Helper()
	c.seq++
	c.out.Begin(kind, c.seq)
	if payload != nil {
		c.out.Payload = payload.AppendTo(c.out.Payload)
	}
	if err := c.out.End(); err != nil {
		c.t.Fatal(err)
	}
	return c.seq
}

// flush sends the train in one write.
func (c *client) flush() {
	c.t.Helper()
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	c.out.Reset()
}

func (c *client) send(kind wire.Type, payload appender) uint64 {
	c.t.Helper()
	seq := c.put(kind, payload)
	c.flush()
	return seq
}

func (c *client) receive() (wire.Message, error) {
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	return c.in.Next()
}

func (c *client) next() wire.Message {
	c.t.Helper()
	m, err := c.receive()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return m
}

// expect takes the next message, which must be of the type and answer the
// request.
func (c *client) expect(kind wire.Type, seq uint64) wire.Message {
	c.t.Helper()
	m := c.next()
	if m.Type == wire.TypeError && kind != wire.TypeError {
		c.t.Fatalf("got error %v for request %d, want %v for %d", c.errorOf(m), m.Sequence, kind, seq)
	}
	if m.Type != kind || m.Sequence != seq {
		c.t.Fatalf("got %v for request %d, want %v for %d", m.Type, m.Sequence, kind, seq)
	}
	return m
}

func (c *client) errorOf(m wire.Message) *wire.Error {
	c.t.Helper()
	var e wire.Error
	if err := e.Decode(m.Payload); err != nil {
		c.t.Fatal(err)
	}
	return &e
}

// expectError takes an error with the SQLSTATE.
func (c *client) expectError(seq uint64, code string) *wire.Error {
	c.t.Helper()
	e := c.errorOf(c.expect(wire.TypeError, seq))
	if e.Code != code {
		c.t.Fatalf("got error %v, want SQLSTATE %s", e, code)
	}
	return e
}

// expectClosed reads until the end of the stream and gives the error, if any,
// that came before it.
func (c *client) expectClosed() *wire.Error {
	c.t.Helper()
	var last *wire.Error
	for {
		m, err := c.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection was not closed")
		}
		if err != nil {
			return last
		}
		if m.Type == wire.TypeError {
			last = c.errorOf(m)
		}
	}
}

// expectSilence checks that nothing comes for a while.
func (c *client) expectSilence(d time.Duration) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(d))
	m, err := c.in.Next()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got message %v, error %v; want silence", m.Type, err)
	}
}

// result is what a request was answered with.
type result struct {
	rows      [][]wire.Value
	batches   int
	headers   []wire.RowsHeader // of first messages
	completes []wire.Complete
	err       *wire.Error
}

// query gives an Execute that wants rows.
func query(sql string, args ...wire.Value) *wire.Execute {
	e := &wire.Execute{SQL: sql, Flags: wire.WantRows}
	for _, v := range args {
		e.Arguments = append(e.Arguments, wire.Argument{Value: v})
	}
	return e
}

// exec runs SQL and collects the answer.
func (c *client) exec(sql string, args ...wire.Value) result {
	c.t.Helper()
	return c.collect(c.send(wire.TypeExecute, query(sql, args...)))
}

// must runs SQL that may not fail.
func (c *client) must(sql string, args ...wire.Value) result {
	c.t.Helper()
	r := c.exec(sql, args...)
	if r.err != nil {
		c.t.Fatalf("%s: %v", sql, r.err)
	}
	return r
}

// collect takes all messages of the answer to a request.
func (c *client) collect(seq uint64) (r result) {
	c.t.Helper()
	width := 0
	for {
		m := c.next()
		if m.Sequence != seq {
			c.t.Fatalf("got %v for request %d, want the answer to %d", m.Type, m.Sequence, seq)
		}
		switch m.Type {
		case wire.TypeRows:
			var h wire.RowsHeader
			b, err := h.Decode(m.Payload)
			if err != nil {
				c.t.Fatal(err)
			}
			if h.First {
				width = h.Width
				r.headers = append(r.headers, h)
			}
			r.batches++
			r.rows = append(r.rows, c.parseRows(b, h.Count, width)...)
		case wire.TypeComplete:
			var k wire.Complete
			if err := k.Decode(m.Payload); err != nil {
				c.t.Fatal(err)
			}
			r.completes = append(r.completes, k)
			if !k.More {
				return r
			}
		case wire.TypeError:
			r.err = c.errorOf(m)
			return r
		default:
			c.t.Fatalf("got %v as the answer to an Execute", m.Type)
		}
	}
}

func (c *client) parseRows(b []byte, count, width int) (rows [][]wire.Value) {
	c.t.Helper()
	for range count {
		row := make([]wire.Value, width)
		for i := range row {
			v, rest, ok := wire.ParseValue(b)
			if !ok {
				c.t.Fatal("a row is cut off")
			}
			v.Raw = append([]byte(nil), v.Raw...)
			row[i], b = v, rest
		}
		rows = append(rows, row)
	}
	if len(b) != 0 {
		c.t.Fatalf("%d bytes after the rows", len(b))
	}
	return rows
}

// tx sends a transaction operation and takes its Ack.
func (c *client) tx(op wire.TxOp, id byte) wire.Ack {
	c.t.Helper()
	return c.ack(c.send(wire.TypeTransaction, &wire.Transaction{Op: op, ID: [16]byte{id}}))
}

func (c *client) ack(seq uint64) wire.Ack {
	c.t.Helper()
	var a wire.Ack
	if err := a.Decode(c.expect(wire.TypeAck, seq).Payload); err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) ping() wire.Pong {
	c.t.Helper()
	var p wire.Pong
	if err := p.Decode(c.expect(wire.TypePong, c.send(wire.TypePing, nil)).Payload); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// notice takes the next change of the topology of the type.
func (c *client) notice(kind wire.Type) wire.TopologyChange {
	c.t.Helper()
	var ch wire.TopologyChange
	if err := ch.Decode(c.expect(kind, 0).Payload); err != nil {
		c.t.Fatal(err)
	}
	return ch
}

// scripted starts a cluster over a scripted engine.
func scripted(t testing.TB, o Options) (*Cluster, *scriptedEngine) {
	t.Helper()
	g := newScriptedEngine()
	o.Backend = g
	return Start(t, o), g
}

// eventually waits until cond holds. It is for conditions that nothing
// announces, such as a count of sessions after a client has closed.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: did not come about", what)
		case <-time.After(time.Millisecond): // a poll: there is no event to wait for
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func dialNode(n *Node) (net.Conn, error) { return net.Dial("tcp", n.Addr()) }
