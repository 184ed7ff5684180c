package testserver

import (
	"sync"

	"github.com/qdb-go/qdb/wire"
)

// txLogSize is how many ended transactions are remembered.
const txLogSize = 8192

// txID is a transaction's id, chosen by its client. All zero: it has none.
type txID = [16]byte

// txLog remembers what became of the transactions that this process ran: all
// that are open, and the last txLogSize that have ended. It is safe for
// concurrent use.
type txLog struct {
	mu       sync.Mutex
	outcomes map[txID]wire.Outcome
	ended    []txID // ring of the ended ones, oldest at next
	next     int
}

func newTxLog() *txLog { return &txLog{outcomes: map[txID]wire.Outcome{}} }

// begin notes that the transaction is in progress.
func (l *txLog) begin(id txID) {
	if id == (txID{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[id] = wire.OutcomeInProgress
}

// end notes the outcome. OutcomeUnknown forgets the transaction.
func (l *txLog) end(id txID, outcome wire.Outcome) {
	if id == (txID{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if outcome == wire.OutcomeUnknown {
		delete(l.outcomes, id)
		return
	}
	l.outcomes[id] = outcome
	if len(l.ended) < txLogSize {
		l.ended = append(l.ended, id)
		return
	}
	// An id that was begun again since is in progress: it stays.
	if old := l.ended[l.next]; old != id && l.outcomes[old] != wire.OutcomeInProgress {
		delete(l.outcomes, old)
	}
	l.ended[l.next] = id
	l.next = (l.next + 1) % txLogSize
}

// outcome gives what is known about the transaction.
func (l *txLog) outcome(id txID) wire.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcomes[id]
}
