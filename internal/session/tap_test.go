package session

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/qdb-go/qdb/internal/transport"
	"github.com/qdb-go/qdb/wire"
)

// tap is a client's stream under observation.
type tap struct {
	transport.Conn

	mu          sync.Mutex // protects what follows
	writes      int
	written     int       // bytes
	read, write time.Time // deadlines
	closed      int
	looks       int    // calls of Alive
	beforeWrite func() // called before each write
}

func (c *tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	before := c.beforeWrite
	c.mu.Unlock()
	if before != nil {
		before()
	}
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	c.written += n
	return n, err
}

func (c *tap) SetDeadline(d time.Time) error {
	c.note(&c.read, d)
	c.note(&c.write, d)
	return c.Conn.SetDeadline(d)
}

func (c *tap) SetReadDeadline(d time.Time) error {
	c.note(&c.read, d)
	return c.Conn.SetReadDeadline(d)
}

func (c *tap) SetWriteDeadline(d time.Time) error {
	c.note(&c.write, d)
	return c.Conn.SetWriteDeadline(d)
}

func (c *tap) note(which *time.Time, d time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*which = d
}

func (c *tap) Close() error {
	c.mu.Lock()
	c.closed++
	c.mu.Unlock()
	return c.Conn.Close()
}

func (c *tap) Alive() error {
	c.mu.Lock()
	c.looks++
	c.mu.Unlock()
	return c.Conn.Alive()
}

// count gives the number of writes so far.
func (c *tap) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// hook has f called before each write from now on.
func (c *tap) hook(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beforeWrite = f
}

// free fails the test if a deadline lies on the stream, or it is closed.
func (c *tap) free(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.IsZero() || !c.write.IsZero() {
		t.Errorf("deadlines are left on the stream: read %v, write %v", c.read, c.write)
	}
	if c.closed > 0 {
		t.Error("the stream is closed")
	}
}

// shutOnce fails the test unless the stream was closed, and once only.
func (c *tap) shutOnce(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != 1 {
		t.Errorf("the stream was closed %d times, want once", c.closed)
	}
}

func testConfig() *Config {
	return &Config{ClientName: "test", Database: "db", User: "me", ApplicationName: "app",
		Protocols: wire.ProtocolTCP, MaxMessageSize: 1 << 20, StatementCache: 8}
}

// dial connects to a scripted node.
func dial(t testing.TB, address string) *tap {
	t.Helper()
	d := transport.Dialer{Protocols: wire.ProtocolTCP}
	conn, err := d.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most tests have closed it
	return &tap{Conn: conn}
}

// open opens a session with a node that welcomes it and then plays the script.
// The session is closed when the test ends.
func open(t testing.TB, script func(*peer), change ...func(*Config)) (*Session, *tap) {
	t.Helper()
	address := serve(t, func(p *peer) {
		p.welcome()
		script(p)
	})
	return openAt(t, address, change...)
}

func openAt(t testing.TB, address string, change ...func(*Config)) (*Session, *tap) {
	t.Helper()
	cfg := testConfig()
	for _, f := range change {
		f(cfg)
	}
	c := dial(t, address)
	s, err := Open(t.Context(), c, address, cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // never fails
	return s, c
}

// pipe is a stream without any buffer, so that a write blocks until it is read.
type pipe struct{ net.Conn }

func (pipe) Protocol() wire.Protocols { return wire.ProtocolTCP }
func (pipe) Alive() error             { return nil }

// openPipe is open over such a stream.
func openPipe(t testing.TB, script func(*peer)) (*Session, *tap) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		play(t, far, func(p *peer) {
			p.welcome()
			script(p)
		})
	}()
	c := &tap{Conn: pipe{near}}
	s, err := Open(t.Context(), c, "pipe", testConfig(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close() // never fails
		<-done
	})
	return s, c
}

// query runs a text and gives the values of its first column.
func query(ctx context.Context, s *Session, sql string, args ...wire.Argument) ([]int64, error) {
	var rows Rows
	if err := s.Query(ctx, &rows, &Request{SQL: sql, Arguments: args}); err != nil {
		return nil, err
	}
	got, err := column(&rows)
	if err != nil {
		return got, err
	}
	return got, rows.Close()
}

// column reads the rest of a result of one column.
func column(rows *Rows) (got []int64, err error) {
	for {
		switch err := rows.Next(); err {
		case nil:
		case io.EOF:
			return got, nil
		default:
			return got, err
		}
		v, err := rows.Value()
		if err != nil {
			return got, err
		}
		got = append(got, v.Num)
	}
}

// wantInts fails the test unless the query gave the values.
func wantInts(t testing.TB, got []int64, err error, want ...int64) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %v, error %v; want %v", got, err, want)
	}
}
