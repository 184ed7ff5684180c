package sqlite

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGateLetsWaitersInInTheOrderOfArrival(t *testing.T) {
	var g gate
	g.enter(newTicket())
	var order []int
	var wg sync.WaitGroup
	for i := range 20 {
		ticket := newTicket()
		if g.enter(ticket) {
			t.Fatal("a held gate let somebody in")
		}
		wg.Go(func() {
			<-ticket.ready
			order = append(order, i) // the gate protects it
			g.leave()
		})
	}
	g.leave()
	wg.Wait()
	for i, who := range order {
		if i != who {
			t.Fatalf("the order was %v", order)
		}
	}
	if g.held {
		t.Fatal("the gate is held by nobody")
	}
}

func TestGatePassesOnWhatWasHandedToSomebodyWhoLeaves(t *testing.T) {
	var g gate
	g.enter(newTicket())
	first, second := newTicket(), newTicket()
	g.enter(first)
	g.enter(second)
	g.leave() // hands it to first
	g.abandon(first)
	select {
	case <-second.ready:
	default:
		t.Fatal("the second in the queue was not let in")
	}
	g.leave()
	if !g.enter(newTicket()) {
		t.Fatal("the gate stayed shut")
	}
}

// TestGateAgreesWithAQueue runs the gate against a list of names.
func TestGateAgreesWithAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g gate
		var inside *ticket
		var queue []*ticket
		next := func() {
			inside = nil
			if len(queue) > 0 {
				inside, queue = queue[0], queue[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				ticket := newTicket()
				if g.enter(ticket) != (inside == nil) {
					t.Fatal("enter disagrees about whether the gate is open")
				}
				if inside == nil {
					inside = ticket
				} else {
					queue = append(queue, ticket)
				}
			},
			"leave": func(t *rapid.T) {
				if inside == nil {
					t.Skip("nobody is inside")
				}
				g.leave()
				if next(); inside != nil {
					<-inside.ready
				}
			},
			"abandon": func(t *rapid.T) {
				if len(queue) == 0 {
					t.Skip("nobody waits")
				}
				i := rapid.IntRange(0, len(queue)-1).Draw(t, "who")
				g.abandon(queue[i])
				queue = append(queue[:i:i], queue[i+1:]...)
			},
			"leave and abandon": func(t *rapid.T) {
				if len(queue) == 0 {
					t.Skip("nobody waits")
				}
				g.leave()
				next()
				g.abandon(inside) // though it was just handed to it
				if next(); inside != nil {
					<-inside.ready
				}
			},
			"": func(t *rapid.T) {
				if len(g.queue) != len(queue) || g.held != (inside != nil) {
					t.Fatalf("%d wait and held is %v, want %d and %v", len(g.queue), g.held, len(queue), inside != nil)
				}
			},
		})
	})
}

func TestInterrupterHitsOnlyWhatIsUnderWay(t *testing.T) {
	i := newInterrupter()
	i.interrupt()
	i.start()
	if i.hit() {
		t.Fatal("an interrupt from before hit the operation")
	}
	i.interrupt()
	if !i.hit() || i.Err() == nil {
		t.Fatal("the interrupt did not hit")
	}
	i.finish()
	i.start()
	if i.hit() {
		t.Fatal("the interrupt hit the next operation too")
	}
	if end := i.wait(nil, time.Millisecond); end != waitTimeout {
		t.Fatalf("a stale signal ended the wait: %v", end)
	}
	i.finish()
}

func TestInterrupterKeepsTheOuterOperationWhenTheInnerEnds(t *testing.T) {
	i := newInterrupter()
	i.start()
	i.start()
	i.interrupt()
	i.finish()
	if i.hit() {
		t.Fatal("the interrupt outlived the operation that was hit")
	}
	i.interrupt()
	if !i.hit() {
		t.Fatal("the outer operation cannot be hit any more")
	}
}

func TestInterrupterShieldLetsNothingThrough(t *testing.T) {
	i := newInterrupter()
	i.start()
	i.interrupt()
	restore := i.shield()
	i.interrupt()
	if i.hit() {
		t.Fatal("an interrupt came through")
	}
	restore()
	i.interrupt()
	if !i.hit() {
		t.Fatal("interrupts stay out after the shield")
	}
}
