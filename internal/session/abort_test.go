package session

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

var errTest = errors.New("declared down")

func TestAbortEndsAnOperationThatIsBlocked(t *testing.T) {
	silent := func(reached chan<- struct{}) func(*peer) {
		return func(p *peer) {
			p.next()
			close(reached)
			p.ended(false)
		}
	}
	for name, call := range map[string]func(context.Context, *Session) error{
		"a read": readOne, "a write": writeOne, "ping": pingOne, "prepare": prepareOne, "commit": commitOne, "status": statusOne,
	} {
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{})
			s, stream := open(t, silent(reached))
			go func() {
				<-reached
				s.Abort(errTest)
			}()
			lost := asLost(t, call(t.Context(), s))
			if !errors.Is(lost, errTest) || !lost.Sent || lost.Context != nil || !errors.Is(s.Broken(), errTest) {
				t.Errorf("error %v, broken %v", lost, s.Broken())
			}
			stream.shutOnce(t)
		})
	}
}

func TestAbortEndsAWriteThatNobodyReads(t *testing.T) {
	s, stream := openPipe(t, func(p *peer) { <-p.t.Context().Done() })
	stream.hook(func() { go s.Abort(errTest) })
	lost := asLost(t, writeOne(t.Context(), s))
	if lost.Sent || !errors.Is(lost, errTest) || lost.SQL().Effect != wire.EffectNone {
		t.Errorf("error %+v", lost)
	}
	stream.hook(nil)
	stream.shutOnce(t)
}

func TestAbortEndsAWait(t *testing.T) {
	waiting := make(chan struct{})
	s, _ := open(t, func(p *peer) { <-waiting; p.ended(false) })
	go func() {
		close(waiting)
		s.Abort(errTest)
	}()
	if _, err := s.Wait(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("error %v", err)
	}
}

func TestAnIdleSessionThatWasAbortedIsNotUsedAgain(t *testing.T) {
	s, stream := open(t, func(p *peer) { p.ended(false) })
	s.Abort(errTest)
	s.Abort(errors.New("another cause")) // the first one counts
	if !errors.Is(s.Broken(), errTest) || !errors.Is(s.Alive(), errTest) || s.Recycle() {
		t.Errorf("broken %v, alive %v", s.Broken(), s.Alive())
	}
	if _, err := s.Wait(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("Wait: %v", err)
	}
	for _, err := range []error{readOne(t.Context(), s), writeOne(t.Context(), s)} {
		if lost := asLost(t, err); lost.Sent || !errors.Is(lost, errTest) {
			t.Errorf("error %v", lost)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	stream.shutOnce(t)
}

func TestAbortMayBeCalledByManyAtAnyTime(t *testing.T) {
	s, stream := open(t, func(p *peer) {
		for {
			m, err := p.in.Next()
			if err != nil {
				return
			}
			if m.Type == wire.TypeExecute {
				p.sayRows(m.Sequence, 1, wire.Int(1))
				p.say(wire.TypeComplete, m.Sequence, &wire.Complete{})
				if _, err := p.conn.Write(p.out.Bytes()); err != nil {
					return
				}
				p.out.Reset()
			}
		}
	})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			// Spreads the calls over the queries below; when exactly does not matter.
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			s.Abort(errTest)
		})
	}
	for {
		_, err := query(t.Context(), s, "SELECT 1")
		if err == nil {
			continue
		}
		if lost := asLost(t, err); !errors.Is(lost, errTest) {
			t.Errorf("error %v", lost)
		}
		break
	}
	wg.Wait()
	stream.shutOnce(t)
}

func TestCloseSaysFarewellOnceAndMayBeCalledAgain(t *testing.T) {
	s, stream := open(t, func(p *peer) { p.ended(true) })
	for range 3 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	stream.shutOnce(t)
	if !errors.Is(s.Broken(), net.ErrClosed) || s.Recycle() {
		t.Errorf("broken %v", s.Broken())
	}
	if lost := asLost(t, readOne(t.Context(), s)); lost.Sent {
		t.Errorf("error %v", lost)
	}
}

func TestCloseDoesNotWaitForANodeThatReadsNothing(t *testing.T) {
	s, stream := openPipe(t, func(p *peer) { <-p.t.Context().Done() })
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < farewellTime || took > 5*farewellTime {
		t.Errorf("Close took %v, a farewell may take %v", took, farewellTime)
	}
	stream.shutOnce(t)
}

func TestCloseDoesNotWaitForACancelThatIsStuck(t *testing.T) {
	stuck := make(chan struct{})
	s, stream := openPipe(t, func(p *peer) {
		seq, _ := p.execute()
		p.sayRows(seq, 1, wire.Int(1))
		p.flush()
		<-p.t.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	rows := new(Rows)
	if err := s.Query(ctx, rows, &Request{SQL: "SELECT a FROM t"}); err != nil {
		t.Fatal(err)
	}
	stream.hook(func() { close(stuck) })
	cancel()
	<-stuck // Cancel is being written, and stays so for the grace period
	stream.hook(nil)
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > cancelGrace/2 {
		t.Errorf("Close took %v", took)
	}
	if s.watch.stop != nil || s.watch.ctx != nil {
		t.Error("the session holds on to the context")
	}
	stream.shutOnce(t)
}
