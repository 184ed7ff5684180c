package testserver

import (
	"container/list"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// cachedText is the longest text, in bytes, of a statement that is kept without
// having been prepared: long texts are data more often than not.
const cachedText = 16 << 10

// statement is a compiled statement of a session.
type statement struct {
	sql  string
	stmt backend.Stmt // nil: the text holds no statement
	tail string       // what follows it: more statements
	// started counts its executions on the node.
	started *atomic.Int64
	// columns are those that description is the number of.
	columns     []wire.Column
	description uint64

	ids     []uint32 // under which it is prepared
	element *list.Element
}

// statements are those that a session keeps compiled: prepared ones by the
// client's id, and all by their text. When there are too many, the one that was
// not used for longest is closed; a prepared one is unknown from then on. It is
// used by the session's goroutine alone.
type statements struct {
	s      *session
	byID   map[uint32]*statement
	byText map[string]*statement
	recent *list.List // of *statement, the latest first
	// descriptions is the number of the last list of columns described.
	descriptions uint64
}

func newStatements(s *session) *statements {
	return &statements{s: s, byID: map[uint32]*statement{}, byText: map[string]*statement{}, recent: list.New()}
}

// get finds the statement that an Execute means, and compiles it if need be.
// The caller closes it with done after use.
func (k *statements) get(e *wire.Execute) (*statement, *wire.Error) {
	keep := e.Flags&wire.KeepStatement != 0
	switch {
	case keep && (e.Statement == 0 || e.SQL == ""):
		return nil, refusal("08P01", "KeepStatement needs both a statement id and SQL")
	case keep:
		return k.prepare(e.Statement, e.SQL)
	case e.Statement != 0 && e.SQL != "":
		return nil, refusal("08P01", "a statement id and SQL together need KeepStatement")
	case e.Statement == 0:
		return k.find(e.SQL)
	}
	st := k.byID[e.Statement]
	if st == nil {
		return nil, refusal("26000", fmt.Sprintf("prepared statement %d does not exist", e.Statement))
	}
	k.recent.MoveToFront(st.element)
	return st, nil
}

// prepare finds or compiles a statement and keeps it under the id, in place of
// one that had it before.
func (k *statements) prepare(id uint32, sql string) (*statement, *wire.Error) {
	st, e := k.find(sql)
	if e != nil {
		return nil, e
	}
	if st.tail != "" {
		k.done(st)
		return nil, refusal("42601", "cannot prepare a text of more than one statement")
	}
	if k.byID[id] == st {
		return st, nil
	}
	k.forget(id)
	k.keep(st)
	st.ids = append(st.ids, id)
	k.byID[id] = st
	return st, nil
}

// find finds the statement by its text or compiles the text's first one.
func (k *statements) find(sql string) (*statement, *wire.Error) {
	if st := k.byText[sql]; st != nil {
		k.recent.MoveToFront(st.element)
		return st, nil
	}
	st, e := k.compile(sql)
	if e == nil && st.tail == "" && len(sql) <= cachedText {
		k.keep(st)
	}
	return st, e
}

// compile compiles the first statement of a text.
func (k *statements) compile(sql string) (*statement, *wire.Error) {
	if e := k.s.connect(); e != nil {
		return nil, e
	}
	st := &statement{sql: sql}
	for rest := sql; ; rest = st.tail {
		k.s.outMu.Unlock()
		stmt, tail, err := k.s.db.Prepare(rest)
		k.s.outMu.Lock()
		if err != nil {
			return nil, k.s.compileError(err, len(sql)-len(rest))
		}
		st.stmt, st.tail = stmt, tail
		if stmt != nil || len(tail) >= len(rest) {
			break
		}
	}
	if st.stmt == nil || isBlank(st.tail) {
		st.tail = ""
	}
	own := sql[:len(sql)-len(st.tail)]
	st.started = k.s.node.counts.counter(own)
	return st, nil
}

// isBlank reports whether a text holds no statement for certain.
func isBlank(sql string) bool { return strings.Trim(sql, " \t\r\n;") == "" }

// compileError is the answer to an error of compiling at an offset of the text.
func (s *session) compileError(err error, offset int) *wire.Error {
	e := engineError(err)
	e.Effect = wire.EffectNone
	if e.Position > 0 {
		e.Position += uint32(offset)
	}
	if why := s.watch.why(); e.Code == "57014" && why != causeNone {
		return s.stopError(why, wire.EffectNone)
	}
	return e
}

// keep puts a statement into the cache, unless it is there.
func (k *statements) keep(st *statement) {
	if st.element != nil {
		return
	}
	st.element = k.recent.PushFront(st)
	k.byText[st.sql] = st
	for k.recent.Len() > k.s.cluster.opts.StatementCache {
		k.drop(k.recent.Back().Value.(*statement))
	}
}

// done closes a statement that is not kept.
func (k *statements) done(st *statement) {
	if st.element == nil && st.stmt != nil {
		st.stmt.Close()
	}
}

// forget takes a statement's id away. The statement stays in the cache by its
// text as long as others do not need the room.
func (k *statements) forget(id uint32) {
	st := k.byID[id]
	if st == nil {
		return
	}
	delete(k.byID, id)
	for i := range st.ids {
		if st.ids[i] == id {
			st.ids = append(st.ids[:i], st.ids[i+1:]...)
			break
		}
	}
	if len(st.ids) == 0 && len(st.sql) > cachedText {
		k.drop(st)
	}
}

// drop closes a statement and forgets it.
func (k *statements) drop(st *statement) {
	k.recent.Remove(st.element)
	st.element = nil
	delete(k.byText, st.sql)
	for _, id := range st.ids {
		delete(k.byID, id)
	}
	st.ids = nil
	k.done(st)
}

func (k *statements) closeAll() {
	for k.recent.Len() > 0 {
		k.drop(k.recent.Back().Value.(*statement))
	}
}

// describe gives the statement's columns, and their number within the session,
// which is a new one whenever they have changed.
func (k *statements) describe(st *statement) ([]wire.Column, uint64) {
	if st.stmt == nil {
		return nil, 0
	}
	now := st.stmt.Columns()
	if len(now) == 0 {
		return nil, 0
	}
	if len(now) != len(st.columns) || &now[0] != &st.columns[0] {
		k.descriptions++
		st.columns, st.description = now, k.descriptions
	}
	return now, st.description
}

// prepare handles Prepare.
func (s *session) prepare(m ahead) error {
	var p wire.Prepare
	if err := p.Decode(m.Payload); err != nil {
		return err
	}
	if e := s.enter(Request{Type: wire.TypePrepare, SQL: p.SQL}); e != nil {
		return s.fail(e)
	}
	defer s.leave()
	if p.Statement == 0 {
		return s.fail(refusal("08P01", "the id of a prepared statement must not be 0"))
	}
	s.watch.begin(m.Sequence, 0, 0, m.stop())
	st, e := s.statements.prepare(p.Statement, p.SQL)
	s.watch.end()
	if e != nil {
		return s.fail(e)
	}
	d := wire.StatementDescription{Statement: p.Statement, ReadOnly: true, SchemaEpoch: s.schemaEpoch()}
	d.Columns, d.Description = s.statements.describe(st)
	if st.stmt != nil {
		d.ReadOnly, d.Parameters = st.stmt.ReadOnly(), st.stmt.Parameters()
		d.ReturnsRows = len(d.Columns) > 0
	}
	if err := s.send(wire.TypePrepare, m.Sequence, &d); err != nil {
		return s.fail(refusal("54000", "the statement's description is too long for a message: "+err.Error()))
	}
	return nil
}
