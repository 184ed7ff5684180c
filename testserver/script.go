package testserver

import (
	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

// script is a text of several statements under way. Outside a transaction they
// run in one of their own, all or nothing; where a statement among them begins
// or ends a transaction, each runs by itself. What follows a statement that
// cannot be compiled yet is not known in advance: if it turns out to begin or
// end a transaction, the one of the statements before it is committed first.
type script struct {
	s        *session
	share    share
	implicit bool // the transaction is ours
	wrote    bool // something that lasts, or lasts if its transaction does
}

// runScript runs a text of several statements, the first of which is compiled.
func (s *session) runScript(first *statement) error {
	sc := &script{s: s, share: share{args: s.request.Arguments}}
	if e := sc.begin(first); e != nil {
		s.statements.done(first)
		return s.fail(e)
	}
	for st := first; ; {
		s.watch.soften(false)
		next, e, err := sc.run(st)
		s.statements.done(st)
		if err != nil {
			sc.rollback()
			return err
		}
		if e != nil {
			return s.failRunning(sc.failed(e))
		}
		if next == nil {
			return nil
		}
		st = next
	}
}

// begin opens the transaction of the script, if it is to have one.
func (sc *script) begin(first *statement) *wire.Error {
	s := sc.s
	if s.txState() != wire.TxNone {
		return nil
	}
	control, readOnly := s.foresee(first)
	if control {
		return nil
	}
	s.outMu.Unlock()
	err := s.db.Begin(backend.TxOptions{ReadOnly: readOnly})
	s.outMu.Lock()
	if err != nil {
		e, _ := s.judge(err)
		e.Effect = wire.EffectNone
		return e
	}
	sc.implicit = true
	return nil
}

// foresee looks through the statements of a text, as far as they can be
// compiled now: whether one begins or ends a transaction, and whether all are
// known to read only.
func (s *session) foresee(first *statement) (control, readOnly bool) {
	control, readOnly = first.stmt.Control(), first.stmt.ReadOnly()
	for tail := first.tail; tail != "" && !control && !s.watch.stopping.Load(); {
		st, e := s.statements.compile(tail)
		if e != nil {
			return false, false
		}
		if st.stmt != nil {
			control = st.stmt.Control()
			readOnly = readOnly && st.stmt.ReadOnly()
			st.stmt.Close()
		}
		tail = st.tail
	}
	return control, readOnly
}

// run runs one statement and gives the one after it, which is compiled only
// then: it may need what this one has made. The last one's answer is sent after
// the commit.
func (sc *script) run(st *statement) (next *statement, e *wire.Error, err error) {
	s := sc.s
	if st.stmt.Control() && sc.implicit {
		if e := sc.commit(); e != nil {
			return nil, e, nil
		}
	}
	args := sc.share.of(st.stmt.Parameters())
	if e := s.bind(st, args); e != nil {
		return nil, e, nil
	}
	if e, err := s.stream(st); e != nil || err != nil {
		return nil, e, err
	}
	sc.wrote = sc.wrote || s.complete.Wrote
	next, e = sc.compileNext(st)
	if next == nil && e == nil {
		if e = sc.share.leftover(); e == nil {
			e = sc.commit()
		}
		if e != nil {
			return nil, e, nil
		}
	}
	if err := sc.complete(next != nil || e != nil); err != nil {
		return nil, nil, err
	}
	return next, e, nil
}

// compileNext compiles the statement after st; nil when there is none.
func (sc *script) compileNext(st *statement) (*statement, *wire.Error) {
	if st.tail == "" {
		return nil, nil
	}
	s := sc.s
	next, e := s.statements.compile(st.tail)
	if e != nil {
		if e.Position > 0 {
			e.Position += uint32(len(s.request.SQL) - len(st.tail))
		}
		return nil, e
	}
	if next.stmt == nil {
		return nil, nil
	}
	return next, nil
}

// complete answers for one statement. The script's own transaction is not the
// client's, so it does not show.
func (sc *script) complete(more bool) error {
	s := sc.s
	c := &s.complete
	c.More, c.SchemaEpoch, c.Dirty = more, s.schemaEpoch(), s.db.Dirty()
	c.Tx = s.txState()
	if sc.implicit {
		c.Tx = wire.TxNone
	}
	c.Load = uint32(max(s.life.load.Load()-1, 0))
	return s.send(wire.TypeComplete, s.sequence, c)
}

// commit ends the script's own transaction, if it is open.
func (sc *script) commit() *wire.Error {
	if !sc.implicit {
		return nil
	}
	sc.implicit = false
	if err := sc.s.commit(); err != nil {
		return engineError(err)
	}
	return nil
}

func (sc *script) rollback() {
	if sc.implicit {
		sc.implicit = false
		sc.s.db.Rollback()
	}
}

// failed undoes what can be undone, and says in the error what could not.
func (sc *script) failed(e *wire.Error) *wire.Error {
	c := *e
	switch {
	case sc.implicit:
		sc.rollback()
		c.Effect = wire.EffectNone
	case sc.wrote && c.Effect == wire.EffectNone:
		c.Effect = wire.EffectDone
	}
	return &c
}

// share deals a request's arguments out to the statements of a text: those with
// a name to every parameter of that name, the others in order.
type share struct {
	args []wire.Argument
	next int          // of the positional ones
	used map[int]bool // of the named ones
}

// of gives the arguments for the parameters of the next statement. When there
// are too few, fewer come back, and the engine says so.
func (h *share) of(parameters []wire.Parameter) []wire.Argument {
	var mine []wire.Argument
	for _, p := range parameters {
		i := h.find(p.Name)
		if i < 0 {
			i = h.positional()
		}
		if i < 0 {
			break
		}
		mine = append(mine, h.args[i])
	}
	return mine
}

func (h *share) find(name string) int {
	if name == "" {
		return -1
	}
	for i := range h.args {
		if h.args[i].Name == name {
			if h.used == nil {
				h.used = map[int]bool{}
			}
			h.used[i] = true
			return i
		}
	}
	return -1
}

// positional takes the next argument without a name.
func (h *share) positional() int {
	for ; h.next < len(h.args); h.next++ {
		if h.args[h.next].Name == "" {
			h.next++
			return h.next - 1
		}
	}
	return -1
}

// leftover is the error for arguments that no statement took.
func (h *share) leftover() *wire.Error {
	for i := range h.args {
		if h.args[i].Name != "" && !h.used[i] {
			return refusal("07001", "no statement has a parameter named "+h.args[i].Name)
		}
	}
	if h.positional() >= 0 {
		return refusal("07001", "there are more arguments than the statements have parameters")
	}
	return nil
}
