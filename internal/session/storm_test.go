package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/qdb-go/qdb/wire"
)

// stormNode answers each Execute with its argument after a random time, or with
// 57014 if a Cancel names it before. It notes which requests were named.
type stormNode struct {
	p        *peer
	rng      *rand.Rand
	messages chan wire.Message
	requests map[uint64]int64 // the argument of each request
	named    map[int64]bool   // by a Cancel
}

func (n *stormNode) run() {
	go func() {
		defer close(n.messages)
		for {
			m, err := n.p.in.Next()
			if err != nil {
				return
			}
			m.Payload = append([]byte(nil), m.Payload...)
			n.messages <- m
		}
	}()
	for m := range n.messages {
		switch m.Type {
		case wire.TypeExecute:
			n.execute(m)
		case wire.TypeCancel:
			n.note(m)
		}
	}
}

// note gives the request that a Cancel names.
func (n *stormNode) note(m wire.Message) uint64 {
	var c wire.Cancel
	if err := c.Decode(m.Payload); err != nil {
		n.p.fatalf("%v", err)
	}
	arg, known := n.requests[c.Target]
	if known {
		n.named[arg] = true
	}
	return c.Target
}

func (n *stormNode) execute(m wire.Message) {
	var x wire.Execute
	if err := x.Decode(m.Payload); err != nil {
		n.p.fatalf("%v", err)
	}
	arg := x.Arguments[0].Value.Num
	n.requests[m.Sequence] = arg
	answer := time.After(time.Duration(n.rng.IntN(300)) * time.Microsecond)
	for {
		select {
		case <-answer:
			n.p.answer(m.Sequence, wire.Int(arg))
			return
		case next, ok := <-n.messages:
			if !ok || next.Type != wire.TypeCancel {
				n.p.fatalf("a %v came while a request was under way", next.Type)
			}
			if n.note(next) == m.Sequence {
				n.p.refuse(m.Sequence, "57014")
				return
			}
		}
	}
}

func TestAStormOfCancelsHitsNothingButWhatItIsFor(t *testing.T) {
	const iterations = 1000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	node := &stormNode{rng: rand.New(rand.NewPCG(seed, 2)), messages: make(chan wire.Message),
		requests: map[uint64]int64{}, named: map[int64]bool{}}
	ended := make(chan struct{})
	s, stream := open(t, func(p *peer) {
		defer close(ended)
		node.p = p
		node.run()
	})
	cancelled := make([]bool, iterations)
	var canceledErrors int
	for i := range int64(iterations) {
		ctx, cancel := context.WithCancel(t.Context())
		var timer *time.Timer
		if cancelled[i] = rng.IntN(2) == 0; cancelled[i] {
			timer = time.AfterFunc(time.Duration(rng.IntN(400))*time.Microsecond, cancel)
		}
		got, err := query(ctx, s, "SELECT ?", wire.Argument{Value: wire.Int(i)})
		switch {
		case err == nil:
			wantInts(t, got, err, i)
		case !cancelled[i] || !errors.Is(err, context.Canceled) || codeOf(err) != "57014":
			t.Fatalf("request %d, cancelled %v: %v", i, cancelled[i], err)
		default:
			canceledErrors++
		}
		if timer != nil {
			timer.Stop()
		}
		cancel()
		stream.free(t)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	for arg := range node.named {
		if !cancelled[arg] {
			t.Errorf("request %d was hit by a Cancel, but nobody had cancelled it", arg)
		}
	}
	if canceledErrors == 0 || canceledErrors == iterations {
		t.Errorf("%d of %d requests were cancelled: the storm tests nothing", canceledErrors, iterations)
	}
}
