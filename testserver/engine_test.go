package testserver

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// scriptedEngine is an engine whose statements do what a test needs, and tell
// it how far they are:
//
//	rows N [SIZE]      N rows: a number, and a text of SIZE bytes
//	echo ? ? :a        one row: the arguments
//	put X              appends X to the data; put ? its argument
//	returning N X      appends X, then returns N rows
//	wait               announces itself, then waits for go or an interrupt
//	trickle N          N rows; announces itself and waits before each but the first
//	waitput X          as wait, then appends X
//	fail CODE          fails with the SQLSTATE
//	create X, need X   need X compiles only after create X
//	widen              adds a column to rows
//	set                makes the session dirty
//	break              fails, and the open transaction with it
//	begin, commit, rollback
type scriptedEngine struct {
	entered chan string   // a waiting statement announces itself
	goOn    chan struct{} // lets one waiting statement go on
	epoch   atomic.Uint64
	conns   atomic.Int64
	turn    chan struct{} // the right to write

	mu      sync.Mutex
	data    []string
	tables  map[string]bool
	columns []wire.Column
	commits int
	onEnd   func() // called inside a commit, before it takes effect
}

func newScriptedEngine() *scriptedEngine {
	return &scriptedEngine{
		entered: make(chan string, 100), goOn: make(chan struct{}), turn: make(chan struct{}, 1), tables: map[string]bool{},
		columns: []wire.Column{{Name: "n", DeclaredType: "INTEGER", Kind: wire.KindInt}, {Name: "text", DeclaredType: "TEXT", Kind: wire.KindString}},
	}
}

func (g *scriptedEngine) Dialect() string     { return "scripted" }
func (g *scriptedEngine) SchemaEpoch() uint64 { return g.epoch.Load() }
func (g *scriptedEngine) Close() error        { return nil }

func (g *scriptedEngine) Connect(_ context.Context, id backend.Identity) (backend.Conn, error) {
	g.conns.Add(1)
	return &scriptedConn{g: g, id: id}, nil
}

func (g *scriptedEngine) contents() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.data)
}

type scriptedConn struct {
	g       *scriptedEngine
	id      backend.Identity
	dirty   bool
	tx      bool
	failed  bool
	turn    bool     // holds the right to write
	pending []string // written in the transaction

	mu        sync.Mutex
	interrupt chan struct{} // of the operation under way
}

// operate makes the operation interruptible while it runs.
func (c *scriptedConn) operate() (interrupted <-chan struct{}, end func()) {
	ch := make(chan struct{})
	c.mu.Lock()
	c.interrupt = ch
	c.mu.Unlock()
	return ch, func() {
		c.mu.Lock()
		c.interrupt = nil
		c.mu.Unlock()
	}
}

func (c *scriptedConn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt != nil {
		close(c.interrupt)
		c.interrupt = nil
	}
}

var errInterrupted = &wire.Error{Code: "57014", Effect: wire.EffectNone, Message: "interrupted"}

func (c *scriptedConn) takeTurn() error {
	if c.turn {
		return nil
	}
	interrupted, end := c.operate()
	defer end()
	select {
	case c.g.turn <- struct{}{}:
		c.turn = true
		return nil
	case <-interrupted:
		return errInterrupted
	}
}

func (c *scriptedConn) Begin(o backend.TxOptions) error {
	if !o.ReadOnly {
		if err := c.takeTurn(); err != nil {
			return err
		}
	}
	c.tx = true
	return nil
}

func (c *scriptedConn) Commit() error {
	c.g.mu.Lock()
	if c.g.onEnd != nil {
		c.g.onEnd()
	}
	c.g.data = append(c.g.data, c.pending...)
	c.g.commits++
	c.g.mu.Unlock()
	return c.Rollback()
}

func (c *scriptedConn) Rollback() error {
	c.tx, c.failed, c.pending = false, false, nil
	if c.turn {
		c.turn = false
		<-c.g.turn
	}
	return nil
}

func (c *scriptedConn) Tx() wire.TxState {
	if c.failed {
		return wire.TxFailed
	}
	if c.tx {
		return wire.TxActive
	}
	return wire.TxNone
}

func (c *scriptedConn) Dirty() bool         { return c.dirty }
func (c *scriptedConn) SchemaEpoch() uint64 { return c.g.SchemaEpoch() }
func (c *scriptedConn) Reset() error        { c.dirty = false; return c.Rollback() }
func (c *scriptedConn) Close() error        { c.g.conns.Add(-1); return c.Rollback() }

func (c *scriptedConn) Prepare(sql string) (backend.Stmt, string, error) {
	text, tail, more := strings.Cut(sql, ";")
	for more && strings.TrimSpace(text) == "" {
		text, tail, more = strings.Cut(tail, ";")
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, "", nil
	}
	s := &scriptedStmt{c: c, words: words}
	switch words[0] {
	case "need":
		c.g.mu.Lock()
		known := c.g.tables[words[1]]
		c.g.mu.Unlock()
		if !known {
			return nil, "", &wire.Error{Code: "42P01", Effect: wire.EffectNone, Message: "no such table", Table: words[1], Position: uint32(strings.Index(sql, words[0]) + 1)}
		}
	case "rows", "echo", "put", "returning", "wait", "trickle", "waitput", "fail", "create", "widen", "set", "break", "begin", "commit", "rollback":
	default:
		return nil, "", &wire.Error{Code: "42601", Effect: wire.EffectNone, Message: "syntax error", Position: uint32(strings.Index(sql, words[0]) + 1)}
	}
	for _, w := range words[1:] {
		if w == "?" {
			s.params = append(s.params, wire.Parameter{})
		} else if name, ok := strings.CutPrefix(w, ":"); ok {
			s.params = append(s.params, wire.Parameter{Name: name})
		}
	}
	s.columns()
	return s, tail, nil
}

type scriptedStmt struct {
	c      *scriptedConn
	words  []string
	params []wire.Parameter
	args   []wire.Value
	cols   []wire.Column
	row    int
	result backend.Result
}

func (s *scriptedStmt) is(words ...string) bool      { return slices.Contains(words, s.words[0]) }
func (s *scriptedStmt) Parameters() []wire.Parameter { return s.params }
func (s *scriptedStmt) Control() bool                { return s.is("begin", "commit", "rollback") }
func (s *scriptedStmt) Columns() []wire.Column       { return s.cols }
func (s *scriptedStmt) Result() backend.Result       { return s.result }
func (s *scriptedStmt) Close() error                 { return nil }
func (s *scriptedStmt) Reset() error                 { s.row = 0; return nil }

func (s *scriptedStmt) ReadOnly() bool {
	return !s.is("put", "returning", "waitput", "create", "widen")
}

// columns recompiles, as it were.
func (s *scriptedStmt) columns() {
	s.c.g.mu.Lock()
	defer s.c.g.mu.Unlock()
	switch {
	case s.is("rows", "trickle", "returning"):
		s.cols = s.c.g.columns
	case s.is("echo") && s.cols == nil:
		for i := range s.params {
			s.cols = append(s.cols, wire.Column{Name: "a" + strconv.Itoa(i)})
		}
	}
}

func (s *scriptedStmt) Bind(args []wire.Argument) error {
	if len(args) != len(s.params) {
		return &wire.Error{Code: "07001", Message: fmt.Sprintf("%d arguments for %d parameters", len(args), len(s.params))}
	}
	s.args = nil
	for _, a := range args {
		v := a.Value
		v.Raw = slices.Clone(v.Raw)
		s.args = append(s.args, v)
	}
	return nil
}

func (s *scriptedStmt) number(i int) int {
	if i >= len(s.words) {
		return 0
	}
	n, _ := strconv.Atoi(s.words[i])
	return n
}

func (s *scriptedStmt) Step() (bool, error) {
	s.columns()
	s.row++
	switch s.words[0] {
	case "rows":
		return s.row <= s.number(1), nil
	case "echo":
		return s.row == 1, nil
	case "trickle":
		if s.row > 1 {
			if err := s.wait(); err != nil {
				return false, err
			}
		}
		return s.row <= s.number(1), nil
	case "wait":
		return false, s.wait()
	case "returning":
		if s.row == 1 {
			if err := s.put(s.words[2]); err != nil {
				return false, err
			}
		}
		return s.row <= s.number(1), nil
	}
	return false, s.act()
}

// act carries out a statement that returns no rows.
func (s *scriptedStmt) act() error {
	g := s.c.g
	switch s.words[0] {
	case "put":
		x := s.words[1]
		if x == "?" {
			x = string(s.args[0].Raw)
		}
		return s.put(x)
	case "waitput":
		if err := s.wait(); err != nil {
			return err
		}
		return s.put(s.words[1])
	case "fail":
		return &wire.Error{Code: s.words[1], Effect: wire.EffectNone, Message: "failed as told"}
	case "create":
		g.mu.Lock()
		g.tables[s.words[1]] = true
		g.mu.Unlock()
		g.epoch.Add(1)
	case "widen":
		g.mu.Lock()
		g.columns = append(slices.Clone(g.columns), wire.Column{Name: "extra"})
		g.mu.Unlock()
		g.epoch.Add(1)
	case "set":
		s.c.dirty = true
	case "break":
		s.c.failed = s.c.tx
		return &wire.Error{Code: "53100", Effect: wire.EffectNone, Message: "broken as told"}
	case "begin":
		return s.c.Begin(backend.TxOptions{})
	case "commit":
		return s.c.Commit()
	case "rollback":
		return s.c.Rollback()
	}
	return nil
}

func (s *scriptedStmt) put(x string) error {
	s.result = backend.Result{RowsAffected: 1, LastInsertID: 7, HasInsertID: true}
	if s.c.tx {
		s.c.pending = append(s.c.pending, x)
		return nil
	}
	if err := s.c.takeTurn(); err != nil {
		return err
	}
	s.c.pending = []string{x}
	return s.c.Commit()
}

func (s *scriptedStmt) wait() error {
	interrupted, end := s.c.operate()
	defer end()
	s.c.g.entered <- strings.Join(s.words, " ")
	select {
	case <-s.c.g.goOn:
		return nil
	case <-interrupted:
		return errInterrupted
	}
}

func (s *scriptedStmt) AppendRow(dst []byte) []byte {
	if s.is("echo") {
		for _, v := range s.args {
			dst = v.AppendTo(dst)
		}
		return dst
	}
	dst = wire.Int(int64(s.row)).AppendTo(dst)
	dst = wire.String(strings.Repeat("x", s.number(2))).AppendTo(dst)
	for range s.cols[2:] {
		dst = wire.Null().AppendTo(dst)
	}
	return dst
}

// awaitEntered returns once a waiting statement has announced itself.
func (g *scriptedEngine) awaitEntered(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-g.entered:
		if got != want {
			t.Fatalf("statement %q is waiting, want %q", got, want)
		}
	case <-patience():
		t.Fatalf("statement %q did not begin", want)
	}
}
