package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// The tests here run this very binary as other processes on the same file. A
// role says what such a process does; it tells of its progress line by line.
const (
	roleVariable = "QDB_SQLITE_TEST_ROLE"
	fileVariable = "QDB_SQLITE_TEST_FILE"
)

// play is the main function of another process.
func play(role string) int {
	if err := roles[role](); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

var roles = map[string]func() error{
	"write":  writeUntilKilled,
	"hold":   holdUntilTold,
	"create": createWhenTold,
	"alter":  func() error { return onFile("alter table t add column more text default 'more'") },
}

func connectToFile() (backend.Backend, backend.Conn, error) {
	db, err := Open(Options{Path: os.Getenv(fileVariable)})
	if err != nil {
		return nil, nil, err
	}
	c, err := db.Connect(context.Background(), backend.Identity{})
	return db, c, err
}

func runSQL(c backend.Conn, sql string, args ...any) error {
	stmt, _, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer stmt.Close()
	if err := stmt.Bind(arguments(args)); err != nil {
		return err
	}
	for {
		if row, err := stmt.Step(); !row || err != nil {
			return err
		}
	}
}

// writeUntilKilled inserts rows, alone and in transactions, and acknowledges
// each number that is durable.
func writeUntilKilled() error {
	_, c, err := connectToFile()
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%3 == 0 {
			if err := c.Begin(backend.TxOptions{}); err != nil {
				return err
			}
		}
		if err := runSQL(c, "insert into t values (?, ?)", os.Getpid(), n); err != nil {
			return err
		}
		if n%3 == 0 {
			if err := c.Commit(); err != nil {
				return err
			}
		}
		fmt.Println(n)
	}
}

// holdUntilTold holds the write lock until its input ends, and commits.
func holdUntilTold() error {
	db, c, err := connectToFile()
	if err != nil {
		return err
	}
	if err := c.Begin(backend.TxOptions{}); err != nil {
		return err
	}
	if err := runSQL(c, "insert into t values (0, 0)"); err != nil {
		return err
	}
	fmt.Println("holding")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := c.Commit(); err != nil {
		return err
	}
	fmt.Println("committed")
	if err := c.Close(); err != nil {
		return err
	}
	return db.Close()
}

// createWhenTold opens the file at the same moment as others do.
func createWhenTold() error {
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return onFile("create table if not exists t(a, b)", fmt.Sprintf("insert into t values (%d, 0)", os.Getpid()))
}

func onFile(statements ...string) error {
	db, c, err := connectToFile()
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if err := runSQL(c, sql); err != nil {
			return err
		}
	}
	if err := c.Close(); err != nil {
		return err
	}
	return db.Close()
}

// process is another process that plays a role.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Closer
	lines *bufio.Scanner
}

func start(t *testing.T, role, file string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, fileVariable+"="+file)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	check(t, err)
	output, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &process{t, cmd, input, bufio.NewScanner(output)}
}

// line waits for the next line that the process writes.
func (p *process) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the process wrote nothing more: %v", p.lines.Err())
	}
	line := p.lines.Text()
	if strings.HasPrefix(line, "error:") {
		p.t.Fatal(line)
	}
	return line
}

// end waits for the end of the process, which must be a good one.
func (p *process) end() {
	p.t.Helper()
	var rest []string
	for p.lines.Scan() {
		rest = append(rest, p.lines.Text())
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatal(err, rest)
	}
}

func sharedFile(t *testing.T, o Options) (path string, db backend.Backend) {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "shared.db")
	return o.Path, openMemory(t, o)
}

func TestKilledProcessesLoseNothingTheyAcknowledged(t *testing.T) {
	path, db := sharedFile(t, Options{})
	s := connect(t, db)
	s.exec("create table t(pid, n); create index tp on t(pid)")
	for round := range 4 {
		writers := []*process{start(t, "write", path), start(t, "write", path)}
		for _, p := range writers {
			var last string
			for range 30 + 7*round {
				last = p.line()
				// What one process acknowledges the others see at once.
				wantValue(t, s.value("select count(*) from t where pid = ? and n = cast(? as int)", p.cmd.Process.Pid, last), 1)
			}
			check(t, p.cmd.Process.Kill())
			for p.lines.Scan() { // acknowledged before it died
				last = p.lines.Text()
			}
			_ = p.cmd.Wait()
			count := "select count(*) > ?1 and max(n) >= ?1 and count(distinct n) = max(n) + 1 from t where pid = ?"
			var n int
			if _, err := fmt.Sscan(last, &n); err != nil {
				t.Fatal(last, err)
			}
			wantValue(t, s.value(count, n, p.cmd.Process.Pid), 1)
		}
		s.exec("insert into t values (0, ?)", round) // nobody's lock is left
	}
	wantValue(t, s.value("pragma integrity_check"), "ok")
}

func TestAnotherProcessesLockIsWaitedForAndGivenUp(t *testing.T) {
	path, db := sharedFile(t, Options{BusyTimeout: 60 * time.Millisecond})
	s := connect(t, db)
	s.exec("create table t(a, b)")
	p := start(t, "hold", path)
	p.line()
	wantValue(t, s.value("select count(*) from t"), 0) // readers do not wait
	for name, write := range map[string]func() error{
		"Begin":  func() error { return s.Begin(readWrite) },
		"insert": func() error { _, _, err := s.try("insert into t values (1, 1)"); return err },
		"begin, select, insert": func() error {
			s.exec("begin; select count(*) from t")
			defer func() { _ = s.Rollback() }()
			_, _, err := s.try("insert into t values (1, 1)")
			return err
		},
	} {
		began := time.Now()
		e := wantState(t, write(), "55P03")
		if !strings.Contains(e.Message, "another process") {
			t.Errorf("%s: the message does not name the holder: %v", name, e)
		}
		if waited := time.Since(began); waited < 50*time.Millisecond {
			t.Errorf("%s: it gave up after %v", name, waited)
		}
	}
	check(t, p.input.Close())
	if line := p.line(); line != "committed" {
		t.Fatal(line)
	}
	wantValue(t, s.value("select count(*) from t"), 1)
	s.exec("insert into t values (1, 1)")
	p.end()
}

func TestInterruptEndsTheWaitForAnotherProcess(t *testing.T) {
	path, db := sharedFile(t, Options{BusyTimeout: time.Hour})
	s := connect(t, db)
	s.exec("create table t(a, b)")
	p := start(t, "hold", path)
	p.line()
	waiting := func() {
		waitUntil(t, func() bool { g := &db.(*database).gate; g.mu.Lock(); defer g.mu.Unlock(); return g.held })
	}
	after, err := interruptWhile(t, s, waiting, func() error { return s.Begin(readWrite) })
	wantCancelled(t, err, after)
	after, err = interruptWhile(t, s, waiting, func() error { _, _, err := s.try("insert into t values (1, 1)"); return err })
	wantCancelled(t, err, after)
	done := make(chan error, 1)
	go func() { done <- s.Begin(readWrite) }()
	waiting()
	check(t, p.input.Close())
	check(t, <-done)
	check(t, s.Commit())
	p.end()
	if s.Tx() != wire.TxNone {
		t.Errorf("the state is %v", s.Tx())
	}
}

func TestProcessesMayCreateAFileAtOnce(t *testing.T) {
	for range 3 {
		path := filepath.Join(t.TempDir(), "new.db")
		var all []*process
		for range 5 {
			all = append(all, start(t, "create", path))
		}
		for _, p := range all {
			p.line()
		}
		for _, p := range all {
			check(t, p.input.Close())
		}
		for _, p := range all {
			p.end()
		}
		s := connect(t, openMemory(t, Options{Path: path}))
		wantValue(t, s.value("select count(distinct a) from t"), len(all))
	}
}

func TestAnotherProcessesSchemaChangeIsNoticed(t *testing.T) {
	path, db := sharedFile(t, Options{})
	s, reader := connect(t, db), connect(t, db)
	s.exec("create table t(a, b); insert into t values (1, 2)")
	stmt := s.prepare("select * from t")
	if rows, _, err := s.run(stmt); err != nil || len(rows[0]) != 2 {
		t.Fatal(rows, err)
	}
	epoch := db.SchemaEpoch()
	start(t, "alter", path).end()
	rows, _, err := s.run(stmt)
	if err != nil || len(rows[0]) != 3 || len(stmt.Columns()) != 3 {
		t.Fatalf("got %v, %v and columns %v", rows, err, stmt.Columns())
	}
	if db.SchemaEpoch() <= epoch || s.SchemaEpoch() != db.SchemaEpoch() {
		t.Errorf("the epoch was %d, is %d, and %d for the session", epoch, db.SchemaEpoch(), s.SchemaEpoch())
	}
	epoch = db.SchemaEpoch()
	check(t, reader.Begin(readOnly))
	check(t, reader.Commit())
	if db.SchemaEpoch() != epoch {
		t.Error("the epoch grew without a change")
	}
}
