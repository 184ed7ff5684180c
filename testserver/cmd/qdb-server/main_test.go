package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qdb-go/qdb/wire"
)

// asServer, in the environment, makes the test binary the command itself: so a
// test runs it as processes of its own without building anything.
const asServer = "QDB_SERVER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// process is a qdb-server.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	addrs  []string // of its own nodes and its peers
	stdout *bufio.Reader
	stderr bytes.Buffer
	waited sync.Once
	err    error
}

// launch starts a server and waits for READY.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), asServer+"=1")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.stdout = bufio.NewReader(out)
	line, err := p.stdout.ReadString('\n')
	dsn, ok := strings.CutPrefix(strings.TrimSpace(line), "READY qdb://")
	if err != nil || !ok {
		p.kill()
		t.Fatalf("got line %q, %v; want READY qdb://…\n%s", line, err, p.stderr.String())
	}
	p.addrs = strings.Split(dsn, ",")
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait()
}

// wait waits for the end and gives what else was printed.
func (p *process) wait() (rest string, err error) {
	p.waited.Do(func() {
		b := new(strings.Builder)
		p.stdout.WriteTo(b)
		rest, p.err = b.String(), p.cmd.Wait()
	})
	return rest, p.err
}

// session is a client's, for one request at a time.
type session struct {
	conn    net.Conn
	in      *wire.Reader
	seq     uint64
	welcome wire.ServerHandshake
}

func open(addr string) (*session, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, in: wire.NewReader(conn)}
	s.in.MaxMessageSize = wire.SessionMaxMessageSize
	m, err := s.ask(wire.TypeHandshake, (&wire.ClientHandshake{VersionMin: 1, VersionMax: 1, InUse: wire.ProtocolTCP,
		Features: wire.FeatureTopology, MaxMessageSize: wire.SessionMaxMessageSize}).AppendTo(nil))
	if err == nil {
		err = s.welcome.Decode(m.Payload)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// ask sends a request and takes the first message of the answer.
func (s *session) ask(kind wire.Type, payload []byte) (wire.Message, error) {
	s.seq++
	var out wire.Encoder
	out.Begin(kind, s.seq)
	out.Payload = append(out.Payload, payload...)
	if err := out.End(); err != nil {
		return wire.Message{}, err
	}
	if _, err := s.conn.Write(out.Bytes()); err != nil {
		return wire.Message{}, err
	}
	return s.next()
}

func (s *session) next() (wire.Message, error) {
	s.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	m, err := s.in.Next()
	if err == nil && m.Type == wire.TypeError {
		e := new(wire.Error)
		if err = e.Decode(m.Payload); err == nil {
			err = e
		}
	}
	return m, err
}

// exec runs SQL and gives the integers in the first column.
func (s *session) exec(sql string, args ...int64) (numbers []int64, err error) {
	e := wire.Execute{SQL: sql, Flags: wire.WantRows}
	for _, n := range args {
		e.Arguments = append(e.Arguments, wire.Argument{Value: wire.Int(n)})
	}
	m, err := s.ask(wire.TypeExecute, e.AppendTo(nil))
	width := 0
	for ; err == nil && m.Type == wire.TypeRows; m, err = s.next() {
		var h wire.RowsHeader
		b, err := h.Decode(m.Payload)
		if err != nil {
			return nil, err
		}
		if h.First {
			width = h.Width
		}
		for i := range h.Count * width {
			v, rest, _ := wire.ParseValue(b)
			if b = rest; i%width == 0 {
				numbers = append(numbers, v.Num)
			}
		}
	}
	return numbers, err
}

func mustOpen(t *testing.T, addr string) *session {
	t.Helper()
	s, err := open(addr)
	if err != nil {
		t.Fatalf("open a session with %s: %v", addr, err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

func (s *session) must(t *testing.T, sql string, args ...int64) []int64 {
	t.Helper()
	numbers, err := s.exec(sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return numbers
}

func TestTheServerPrintsReadyAndServesAllNodes(t *testing.T) {
	p := launch(t, "-listen", "127.0.0.1:0", "-nodes", "3", "-node-id", "4")
	if len(p.addrs) != 3 {
		t.Fatalf("READY lists %v, want three nodes", p.addrs)
	}
	mustOpen(t, p.addrs[0]).must(t, "CREATE TABLE t (n INT)")
	for i, addr := range p.addrs {
		s := mustOpen(t, addr)
		s.must(t, "INSERT INTO t VALUES (?)", int64(i))
		if want := fmt.Sprint(4 + i); s.welcome.NodeID != want {
			t.Errorf("node %s answers at %s, want %s", s.welcome.NodeID, addr, want)
		}
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	rest, err := p.wait()
	if err != nil || rest != "" {
		t.Fatalf("ended with %v after printing %q, want neither\n%s", err, rest, p.stderr.String())
	}
}

func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	p := launch(t, "-listen", "127.0.0.1:0")
	s := mustOpen(t, p.addrs[0])
	s.must(t, "BEGIN")
	p.cmd.Process.Signal(os.Interrupt)
	// The open transaction has its grace, while what is new is refused.
	for refused := false; !refused; {
		fresh, err := open(p.addrs[0])
		var e *wire.Error
		switch {
		case errors.As(err, &e):
			refused = e.Code == "57P01"
		case err != nil:
			t.Fatal(err)
		default:
			fresh.conn.Close()
		}
	}
	s.must(t, "SELECT 1")
	start := time.Now()
	p.cmd.Process.Signal(os.Interrupt)
	if _, err := p.wait(); err != nil {
		t.Fatalf("ended with %v\n%s", err, p.stderr.String())
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Fatalf("ended after %v", d)
	}
}

func TestTwoProcessesOnOneFileAreOneCluster(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data.db")
	a := launch(t, "-listen", "127.0.0.1:0", "-nodes", "2", "-data", data)
	b := launch(t, "-listen", "127.0.0.1:0", "-node-id", "3", "-data", data, "-peers", strings.Join(a.addrs, ","))
	if len(b.addrs) != 3 {
		t.Fatalf("READY lists %v, want its node and two peers", b.addrs)
	}
	x, y := mustOpen(t, a.addrs[1]), mustOpen(t, b.addrs[0])
	if got := len(y.welcome.Topology.Nodes); got != 3 {
		t.Fatalf("the topology is %+v, want three nodes", y.welcome.Topology)
	}
	x.must(t, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
	for n := range int64(50) {
		x.must(t, "INSERT INTO t VALUES (?)", 2*n)
		y.must(t, "INSERT INTO t VALUES (?)", 2*n+1)
		for _, s := range []*session{x, y} {
			if got := s.must(t, "SELECT count(*) FROM t"); got[0] != 2*n+2 {
				t.Fatalf("a node sees %d rows, %d were acknowledged", got[0], 2*n+2)
			}
		}
	}
	a.kill()
	for start := time.Now(); ; {
		s := mustOpen(t, b.addrs[0])
		down := 0
		for _, n := range s.welcome.Topology.Nodes {
			if n.Status == wire.StatusDown {
				down++
			}
		}
		if down == 2 {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("the topology is %+v, want two nodes down", s.welcome.Topology)
		}
		time.Sleep(5 * time.Millisecond) // a poll: this session is told nothing
	}
	if got := y.must(t, "SELECT count(*) FROM t"); got[0] != 100 {
		t.Fatalf("%d rows are left of 100", got[0])
	}
}

func TestKillMinus9LosesNothingThatWasAcknowledged(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data.db")
	acknowledged := int64(0)
	for round := range 3 {
		p := launch(t, "-listen", "127.0.0.1:0", "-data", data)
		s := mustOpen(t, p.addrs[0])
		s.must(t, "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
		got := s.must(t, "SELECT count(*), coalesce(max(n), 0) FROM t")
		if got[0] < acknowledged || got[0] > acknowledged+1 {
			t.Fatalf("round %d: %d rows are there, %d were acknowledged and one was under way", round, got[0], acknowledged)
		}
		acknowledged = got[0]
		enough := make(chan struct{})
		var once sync.Once
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			<-enough
			p.kill()
		}()
		for n := acknowledged + 1; ; n++ {
			if _, err := s.exec("INSERT INTO t VALUES (?)", n); err != nil {
				break
			}
			acknowledged = n
			if n%100 == 50 {
				once.Do(func() { close(enough) })
			}
		}
		once.Do(func() { close(enough) })
		<-killed
	}
	if acknowledged < 50 {
		t.Fatalf("only %d rows were acknowledged", acknowledged)
	}
}

func TestWhatCannotBeStartedIsAClearError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{2, "-tls-cert is not yet available", []string{"-tls-cert", "x.pem"}},
		{2, "-tls-key is not yet available", []string{"-tls-key", "x.pem"}},
		{2, "-tls-client-ca is not yet available", []string{"-tls-client-ca", "x.pem"}},
		{2, "-tls-self-signed is not yet available", []string{"-tls-self-signed", "x"}},
		{2, "-user is not yet available", []string{"-user", "x"}},
		{2, "-password is not yet available", []string{"-password", "secret"}},
		{2, "-reference is not yet available", []string{"-reference"}},
		{2, "-token-ttl is not yet available", []string{"-token-ttl", "1h"}},
		{2, "-protocols tls,tcp is not yet available", []string{"-protocols", "tls,tcp"}},
		{2, "-nodes is 0", []string{"-nodes", "0"}},
		{2, "-node-id is 0", []string{"-node-id", "0"}},
		{2, "-sync is \"maybe\"", []string{"-sync", "maybe"}},
		{2, "unexpected argument", []string{"data.db"}},
		{2, "flag provided but not defined", []string{"-what"}},
		{1, "only loopback", []string{"-listen", "0.0.0.0:0"}},
		{1, "cannot listen on " + taken.Addr().String(), []string{"-listen", taken.Addr().String()}},
		{1, "open the data", []string{"-listen", "127.0.0.1:0", "-data", filepath.Join(t.TempDir(), "no", "data.db")}},
		{1, "peer \"x\"", []string{"-peers", "x"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(tc.args, &stdout, &stderr)
		if code != tc.code || !strings.Contains(stderr.String(), tc.want) || stdout.Len() != 0 {
			t.Errorf("%v: exit status %d, %q on standard error, %q on standard output; want %d and %q",
				tc.args, code, stderr.String(), stdout.String(), tc.code, tc.want)
		}
		if strings.Contains(stderr.String(), "secret") {
			t.Errorf("%v: the password is shown: %s", tc.args, stderr.String())
		}
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-h"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	for _, name := range []string{"listen", "nodes", "node-id", "peers", "data", "sync", "user", "password", "tls-cert", "tls-key",
		"tls-client-ca", "tls-self-signed", "protocols", "reference", "token-ttl"} {
		if !strings.Contains(stderr.String(), "  -"+name) {
			t.Errorf("-%s is missing", name)
		}
	}
}
