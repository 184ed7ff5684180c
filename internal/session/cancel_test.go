package session

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// cancelled expects Cancel for the request.
func (p *peer) cancelled(seq uint64) {
	p.t.Helper()
	var c wire.Cancel
	if p.expect(wire.TypeCancel, &c); c.Target != seq {
		p.fatalf("Cancel names %d, the request is %d", c.Target, seq)
	}
}

func TestAContextThatEndsCancelsTheRequestAndTheSessionLives(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Session) error{
		"a read": readOne, "a write": writeOne, "prepare": prepareOne, "commit": commitOne, "status": statusOne,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s, stream := open(t, func(p *peer) {
				seq := p.next().Sequence
				cancel()
				p.cancelled(seq)
				p.refuse(seq, "57014")
				seq, _ = p.execute()
				p.answer(seq, wire.Int(2))
				p.ended(true)
			})
			err := call(ctx, s)
			if codeOf(err) != "57014" || !errors.Is(err, context.Canceled) || effectOf(err) != wire.EffectNone {
				t.Errorf("error %v", err)
			}
			stream.free(t)
			if s.watch.ctx != nil || s.watch.stop != nil {
				t.Error("the session holds on to the context")
			}
			got, err := query(t.Context(), s, "SELECT 2")
			wantInts(t, got, err, 2)
		})
	}
}

func TestAContextThatEndsBetweenRowsEndsThem(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		p.cancelled(seq)
		p.sayMore(seq, 1, wire.Int(2))
		p.refuse(seq, "57014")
		p.ended(true)
	})
	rows := new(Rows)
	if err := s.Query(ctx, rows, &Request{SQL: "SELECT a FROM t"}); err != nil {
		t.Fatal(err)
	}
	cancel()
	got, err := column(rows)
	if len(got) != 2 || !errors.Is(err, context.Canceled) || s.Broken() != nil {
		t.Errorf("got %v, error %v, broken %v", got, err, s.Broken())
	}
	stream.free(t)
}

func TestABeginThatWaitsIsCancelledWithItsStatement(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, stream := open(t, func(p *peer) {
		p.ack(p.expect(wire.TypeReset, nil), wire.TxNone, 0)
		begin, _ := p.begin()
		seq, _ := p.execute()
		cancel() // while Begin waits for a lock
		p.cancelled(begin)
		p.cancelled(seq)
		p.refuse(begin, "57014")
		p.refuse(seq, "25P01")
		p.ended(true)
	})
	s.dirty = true
	s.Recycle()
	s.Begin(wire.IsolationDefault, false)
	err := writeOne(ctx, s)
	if codeOf(err) != "57014" || !errors.Is(err, context.Canceled) || effectOf(err) != wire.EffectNone {
		t.Errorf("error %v", err)
	}
	stream.free(t)
}

func TestASessionWhoseNodeDoesNotConfirmACancelIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		call     func(context.Context, *Session) error
		readOnly bool
	}{"a read": {readOne, true}, "a write": {writeOne, false}, "prepare": {prepareOne, true}, "commit": {commitOne, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			s, stream := open(t, func(p *peer) {
				seq := p.next().Sequence
				cancel()
				p.cancelled(seq)
				p.ended(false)
			})
			began := time.Now()
			lost := asLost(t, c.call(ctx, s))
			if took := time.Since(began); took < cancelGrace || took > 2*cancelGrace {
				t.Errorf("it took %v, the grace is %v", took, cancelGrace)
			}
			if !errors.Is(lost.Context, context.Canceled) || !errors.Is(lost, context.Canceled) || !lost.Sent || lost.ReadOnly != c.readOnly {
				t.Errorf("error %+v", lost)
			}
			if e := lost.SQL(); e.Code != "57014" || (e.Effect == wire.EffectNone) != c.readOnly || !errors.Is(e, context.Canceled) {
				t.Errorf("in terms of SQL: %v, effect %v", e, e.Effect)
			}
			if s.Broken() == nil {
				t.Error("the session is not broken")
			}
			stream.shutOnce(t)
		})
	}
}

func TestSuccessThatRacesACancelStaysSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, stream := open(t, func(p *peer) {
		seq, _ := p.execute()
		cancel()
		p.cancelled(seq)
		p.answer(seq, wire.Int(1)) // it was done before the Cancel was seen
		p.reply(wire.TypePong, p.expect(wire.TypePing, nil), &wire.Pong{})
		p.ended(true)
	})
	got, err := query(ctx, s, "SELECT 1")
	wantInts(t, got, err, 1)
	stream.free(t)
	if err := pingOne(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func TestAContextThatEndsDuringTheWriteStillCancelsTheRequest(t *testing.T) {
	for range 20 { // a try that the machine holds up for writeGrace sends nothing
		if cancelledDuringTheWrite(t) {
			return
		}
	}
	t.Error("no request was sent in 20 tries")
}

// cancelledDuringTheWrite has the context end when the write has begun. It
// reports whether the request was sent all the same.
func cancelledDuringTheWrite(t *testing.T) (sent bool) {
	ctx, cancel := context.WithCancel(t.Context())
	played := make(chan bool, 1)
	s, stream := open(t, func(p *peer) {
		m := p.next()
		if played <- m.Type == wire.TypeExecute; m.Type == wire.TypeExecute {
			p.cancelled(m.Sequence)
			p.refuse(m.Sequence, "57014")
		}
		p.ended(true)
	})
	stream.hook(func() {
		stream.hook(nil)
		cancel()
		// The write goes on when the context's callback has come as far as it
		// can: it has bounded the write and waits for the lock.
		for bounded := false; !bounded; time.Sleep(50 * time.Microsecond) {
			stream.mu.Lock()
			bounded = !stream.write.IsZero()
			stream.mu.Unlock()
		}
	})
	_, err := query(ctx, s, "SELECT 1")
	if !errors.Is(err, context.Canceled) || s.Broken() != nil {
		t.Errorf("error %v, broken %v", err, s.Broken())
	}
	stream.free(t)
	return <-played
}

func TestAContextThatEndsBeforeTheFirstByteLeavesEverythingAsItWas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, stream := open(t, func(p *peer) {
		var c wire.Cancel
		p.expect(wire.TypeCancel, &c) // of a request that never came: it names nothing
		begin, _ := p.begin()
		seq, _ := p.execute()
		if c.Target >= begin {
			p.t.Errorf("Cancel names %d, what came after it %d and %d", c.Target, begin, seq)
		}
		p.ack(begin, wire.TxActive, wire.OutcomeInProgress)
		p.reply(wire.TypeComplete, seq, &wire.Complete{Tx: wire.TxActive})
		p.ended(true)
	}, func(c *Config) { c.StatementCache = 0 })
	stream.hook(func() {
		stream.hook(nil)
		cancel()
		// The write goes on when its bound is over, which a write of nothing tells.
		for late := false; !late; time.Sleep(time.Millisecond) {
			_, err := stream.Conn.Write(nil)
			late = errors.Is(err, os.ErrDeadlineExceeded)
		}
	})
	err := statusOne(ctx, s)
	if codeOf(err) != "57014" || !errors.Is(err, context.Canceled) || effectOf(err) != wire.EffectNone {
		t.Fatalf("error %v", err)
	}
	stream.free(t)
	s.Begin(wire.IsolationDefault, false)
	if err := writeOne(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func TestAWriteThatNobodyReadsEndsWithItsContext(t *testing.T) {
	promptly(t, writeGrace+20*time.Millisecond, func() time.Duration {
		s, stream := openPipe(t, func(p *peer) {
			var part [9]byte // of the frame
			if _, err := p.conn.Read(part[:]); err != nil {
				p.fatalf("%v", err)
			}
			<-p.t.Context().Done()
		})
		deadline := time.Now().Add(30 * time.Millisecond)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		lost := asLost(t, writeOne(ctx, s))
		took := time.Since(deadline)
		if lost.Sent || !errors.Is(lost, context.DeadlineExceeded) || lost.SQL().Effect != wire.EffectNone || lost.SQL().Code != "57014" {
			t.Errorf("error %v", lost)
		}
		stream.shutOnce(t)
		return took
	})
}

func TestADeadlineThatTheNodeNoticesFirstIsTheContexts(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		want bool
	}{"at the deadline": {deadlineSlack, true}, "long before it": {time.Minute, false}} {
		t.Run(name, func(t *testing.T) {
			s, stream := open(t, func(p *peer) {
				seq, x := p.execute()
				if x.Timeout == 0 {
					p.t.Error("the deadline did not travel")
				}
				p.refuse(seq, "57014")
				for { // a Cancel may follow
					if m := p.next(); m.Type == wire.TypeTerminate {
						return
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			defer cancel()
			err := readOne(ctx, s)
			if codeOf(err) != "57014" || errors.Is(err, context.DeadlineExceeded) != c.want {
				t.Errorf("error %v", err)
			}
			stream.free(t)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARefusalOfAnotherKindIsNotTheContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := open(t, func(p *peer) {
		seq, _ := p.execute()
		cancel()
		p.cancelled(seq)
		p.refuse(seq, "23505")
		p.ended(true)
	})
	err := writeOne(ctx, s)
	if codeOf(err) != "23505" || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestPingEndsWithItsContextAndWithoutGrace(t *testing.T) {
	promptly(t, 20*time.Millisecond, func() time.Duration {
		s, stream := open(t, func(p *peer) {
			p.expect(wire.TypePing, nil)
			p.ended(false)
		})
		deadline := time.Now().Add(30 * time.Millisecond)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		lost := asLost(t, pingOne(ctx, s))
		took := time.Since(deadline)
		if !errors.Is(lost, context.DeadlineExceeded) || !lost.ReadOnly || s.Broken() == nil {
			t.Errorf("error %v, broken %v", lost, s.Broken())
		}
		stream.shutOnce(t)
		return took
	})
}
