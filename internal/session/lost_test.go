package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/qdb-go/qdb/wire"
)

// carrier is a node that counts what it carries out, and answers everything.
type carrier struct {
	received int // whole requests that could have an effect
	inTx     bool
}

func (n *carrier) answer(m wire.Message, out *wire.Encoder) {
	switch m.Type {
	case wire.TypeExecute:
		n.execute(m, out)
	case wire.TypeTransaction:
		var t wire.Transaction
		if err := t.Decode(m.Payload); err != nil {
			panic(err)
		}
		if n.inTx = t.Op == wire.TxBegin; n.inTx {
			put(out, wire.TypeAck, m.Sequence, &wire.Ack{ID: t.ID, Tx: wire.TxActive, Outcome: wire.OutcomeInProgress})
			return
		}
		n.received++
		put(out, wire.TypeAck, m.Sequence, &wire.Ack{ID: t.ID, Outcome: wire.OutcomeCommitted})
	case wire.TypePrepare:
		put(out, wire.TypePrepare, m.Sequence, &wire.StatementDescription{Statement: 1, Columns: columnsOf(1), Description: 9})
	case wire.TypePing:
		put(out, wire.TypePong, m.Sequence, &wire.Pong{Load: 1})
	}
}

func (n *carrier) execute(m wire.Message, out *wire.Encoder) {
	var x wire.Execute
	if err := x.Decode(m.Payload); err != nil {
		panic(err)
	}
	read := x.SQL == "SELECT 1"
	switch {
	case x.Flags&wire.ReadOnly != 0 && !read:
		put(out, wire.TypeError, m.Sequence, &wire.Error{Code: "25006", Effect: wire.EffectNone, Message: "it writes"})
		return
	case read:
		put(out, wire.TypeRows, m.Sequence, &rowsOf{wire.RowsHeader{First: true, HasColumns: true, Description: 9, Width: 1,
			Columns: columnsOf(1), Count: 1}, []wire.Value{wire.Int(1)}})
		put(out, wire.TypeRows, m.Sequence, &rowsOf{wire.RowsHeader{Count: 1}, []wire.Value{wire.Int(2)}})
	default:
		n.received++
	}
	c := wire.Complete{Wrote: !read, RowsAffected: 1}
	if n.inTx {
		c.Tx = wire.TxActive
	}
	put(out, wire.TypeComplete, m.Sequence, &c)
}

// operations are requests that a cut may hit. The bool says whether the request
// could have an effect when the node has all of it.
var operations = map[string]struct {
	call   func(context.Context, *Session) error
	effect bool
}{
	"a write": {writeOne, true},
	"a read":  {readOne, false},
	"a write in a new transaction": {func(ctx context.Context, s *Session) error {
		s.Begin(wire.IsolationDefault, false)
		return writeOne(ctx, s)
	}, true},
	"a write after a reset": {func(ctx context.Context, s *Session) error {
		s.dirty = true
		s.Recycle()
		return writeOne(ctx, s)
	}, true},
	"a write that was taken for a read": {func(ctx context.Context, s *Session) error {
		_, err := s.Exec(ctx, &Request{SQL: "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x"})
		return err
	}, true},
	"commit":   {commitOne, true},
	"rollback": {rollbackOne, false},
	"prepare":  {prepareOne, false},
	"ping":     {pingOne, false},
}

// truthful fails the test unless the error tells the truth about a node that has
// received what it has, and the session is given up.
func truthful(t *testing.T, what string, err error, node *carrier, effect bool, s *Session, c *memory) {
	t.Helper()
	lost, ok := err.(*LostError)
	if !ok {
		t.Fatalf("%s: got %T (%v), want *LostError", what, err, err)
	}
	told := lost.SQL().Effect
	switch {
	case node.received > 1:
		t.Errorf("%s: the node was sent the request %d times", what, node.received)
	case node.received > 0 && !lost.Sent:
		t.Errorf("%s: Sent is false, but the node has the request", what)
	case node.received > 0 && effect && told != wire.EffectUnknown:
		t.Errorf("%s: the effect is said to be %v, but the node has the request", what, told)
	case !effect && told != wire.EffectNone:
		t.Errorf("%s: the effect of a request that has none is said to be %v", what, told)
	}
	if s.Broken() == nil || c.closed != 1 || s.Recycle() {
		t.Errorf("%s: broken %v, closed %d times", what, s.Broken(), c.closed)
	}
}

// whole performs the operation without a fault, and gives the bytes of the request and of
// the answers.
func whole(t *testing.T, call func(context.Context, *Session) error) (request, answers int) {
	t.Helper()
	node := &carrier{}
	s, c := openMemory(t, (&resetter{node}).answer)
	const plenty = 1 << 20
	c.room = plenty
	if err := call(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	return plenty - c.room, c.sent
}

// resetter is a carrier that answers Reset too.
type resetter struct{ *carrier }

func (n *resetter) answer(m wire.Message, out *wire.Encoder) {
	if m.Type == wire.TypeReset {
		put(out, wire.TypeAck, m.Sequence, &wire.Ack{})
		return
	}
	n.carrier.answer(m, out)
}

func TestTheTruthIsToldWhereverTheRequestIsCut(t *testing.T) {
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			request, _ := whole(t, op.call)
			for n := range request {
				node := &carrier{}
				s, c := openMemory(t, (&resetter{node}).answer)
				c.room, c.end = n, io.EOF
				err := op.call(context.Background(), s)
				truthful(t, fmt.Sprintf("after %d of %d bytes", n, request), err, node, op.effect, s, c)
				if err.(*LostError).Sent {
					t.Errorf("after %d of %d bytes: Sent is true", n, request)
				}
				if node.received > 0 {
					t.Fatalf("after %d of %d bytes: the node carried out a request of which it has a part", n, request)
				}
			}
		})
	}
}

func TestTheTruthIsToldWhereverTheAnswerIsCut(t *testing.T) {
	ends := map[string]func(*memory){
		"FIN":          func(c *memory) { c.end = io.EOF },
		"RST":          func(c *memory) { c.end = syscall.ECONNRESET },
		"garbage":      func(c *memory) { c.garbage, c.end = []byte("?what is this?"), io.EOF },
		"much garbage": func(c *memory) { c.garbage, c.end = make([]byte, 300), io.EOF },
	}
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			_, answers := whole(t, op.call)
			for how, end := range ends {
				for n := range answers {
					node := &carrier{}
					s, c := openMemory(t, (&resetter{node}).answer)
					c.cut = n
					end(c)
					err := op.call(context.Background(), s)
					truthful(t, fmt.Sprintf("%s after %d of %d bytes", how, n, answers), err, node, op.effect, s, c)
				}
			}
		})
	}
}

func TestNoBitOfAnAnswerCanBeWrongUnnoticed(t *testing.T) {
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			_, answers := whole(t, op.call)
			step := 9 // one bit of each byte but every eighth
			if name == "a write" || name == "a read" {
				step = 1
			}
			for bit := 0; bit < 8*answers; bit += step {
				node := &carrier{}
				s, c := openMemory(t, (&resetter{node}).answer)
				c.flip, c.end = bit, io.EOF
				err := op.call(context.Background(), s)
				truthful(t, fmt.Sprintf("bit %d of %d", bit, 8*answers), err, node, op.effect, s, c)
			}
		})
	}
}

func TestAnAnswerThatIsWholeCountsThoughTheStreamEndsBehindIt(t *testing.T) {
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			_, answers := whole(t, op.call)
			node := &carrier{}
			s, c := openMemory(t, (&resetter{node}).answer)
			c.cut, c.end = answers, syscall.ECONNRESET
			if err := op.call(context.Background(), s); err != nil || s.Broken() != nil {
				t.Errorf("error %v, broken %v", err, s.Broken())
			}
		})
	}
}

func TestOverTCPAWriteIsCarriedOutAtMostOnceWhereverTheStreamIsCut(t *testing.T) {
	request, answers := whole(t, writeOne)
	for how, reset := range map[string]bool{"FIN": false, "RST": true} {
		for n := 0; n < request+answers; n++ {
			node := &carrier{}
			s, _ := open(t, func(p *peer) { p.cutAfter(n, request, reset, node) })
			err := writeOne(t.Context(), s)
			lost, ok := err.(*LostError)
			switch {
			case !ok:
				t.Fatalf("%s after %d bytes: got %T (%v), want *LostError", how, n, err, err)
			case !lost.Sent && n >= request:
				t.Errorf("%s after %d bytes: Sent is false, but the node has the request", how, n)
			case lost.Sent && lost.SQL().Effect != wire.EffectUnknown, !lost.Sent && lost.SQL().Effect != wire.EffectNone:
				t.Errorf("%s after %d bytes: Sent %v, effect %v", how, n, lost.Sent, lost.SQL().Effect)
			}
		}
	}
}

// cutAfter takes and gives n bytes and ends the stream.
func (p *peer) cutAfter(n, request int, reset bool, node *carrier) {
	if reset {
		p.reset()
	}
	got := make([]byte, min(n, request))
	for have := p.in.Buffered(); have < len(got); {
		more, err := p.conn.Read(got[have:])
		if err != nil {
			p.fatalf("%v", err)
		}
		have += more
	}
	if n < request {
		return
	}
	m, err := wire.DecodeFrame(got, 0)
	if err != nil {
		p.fatalf("%v", err)
	}
	node.answer(m, &p.out)
	if _, err := p.conn.Write(p.out.Bytes()[:n-request]); err != nil {
		p.fatalf("%v", err)
	}
}

func TestALostErrorSaysInTermsOfSQLWhatIsKnown(t *testing.T) {
	broken := errors.New("broken pipe")
	for name, c := range map[string]struct {
		lost   LostError
		code   string
		effect wire.Effect
	}{
		"never sent":               {LostError{Err: broken}, "08003", wire.EffectNone},
		"never sent, a read":       {LostError{ReadOnly: true, Err: broken}, "08003", wire.EffectNone},
		"a read":                   {LostError{Sent: true, ReadOnly: true, Err: broken}, "08006", wire.EffectNone},
		"a write":                  {LostError{Sent: true, Err: broken}, "08007", wire.EffectUnknown},
		"never sent, context over": {LostError{Context: context.Canceled, Err: broken}, "57014", wire.EffectNone},
		"a write, context over":    {LostError{Sent: true, Context: context.Canceled, Err: broken}, "57014", wire.EffectUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			c.lost.Node = "a:1"
			e := c.lost.SQL()
			if e.Code != c.code || e.Effect != c.effect || e.Node != "a:1" || e.Severity != wire.SeverityFatal {
				t.Errorf("%+v", e)
			}
			for _, err := range []error{&c.lost, e} {
				if !errors.Is(err, broken) || errors.Is(err, context.Canceled) != (c.lost.Context != nil) {
					t.Errorf("%T does not wrap its causes: %v", err, err)
				}
			}
			if c.lost.Error() == "" {
				t.Error("no text")
			}
		})
	}
}
