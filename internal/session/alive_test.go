//go:build unix

package session

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

func TestAliveTellsWhetherTheNodeHasGone(t *testing.T) {
	for name, c := range map[string]struct {
		script func(*peer)
		want   error
	}{
		"FIN":              {func(*peer) {}, io.EOF},
		"unsolicited data": {func(p *peer) { p.refuse(0, "57P01"); p.ended(false) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, c.script)
			err := eventually(t, s.Alive)
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			lost := asLost(t, writeOne(t.Context(), s))
			if lost.Sent || lost.SQL().Effect != wire.EffectNone {
				t.Errorf("a write on it: %v", lost)
			}
		})
	}
	t.Run("quiet", func(t *testing.T) {
		s, stream := open(t, executes(func(testing.TB, uint64, wire.Execute) {}))
		if err := s.Alive(); err != nil {
			t.Error(err)
		}
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, 1)
		if err := s.Alive(); err != nil {
			t.Error(err)
		}
		stream.free(t)
	})
	t.Run("data behind an answer", func(t *testing.T) {
		s, _ := open(t, func(p *peer) {
			seq, _ := p.execute()
			p.sayRows(seq, 1, wire.Int(1))
			p.say(wire.TypeComplete, seq, &wire.Complete{})
			p.say(wire.TypeComplete, seq, &wire.Complete{})
			p.flush()
			p.ended(false)
		})
		got, err := query(t.Context(), s, "SELECT 1")
		wantInts(t, got, err, 1)
		if s.Alive() == nil {
			t.Error("the session is taken for alive")
		}
		s.Recycle()
		if lost := asLost(t, writeOne(t.Context(), s)); lost.Sent {
			t.Errorf("a write on it: %v", lost)
		}
	})
}

// eventually calls f until it fails, and gives the error: what the other side of
// a socket did takes a moment to arrive, and there is no event to wait for.
func eventually(t testing.TB, f func() error) error {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		if err := f(); err != nil {
			return err
		}
	}
	t.Fatal("nothing happened")
	return nil
}
