package sqlite

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qdb-go/qdb/testserver/backend"
	"github.com/qdb-go/qdb/wire"
)

const (
	stressWorkers  = 8
	stressTime     = 1500 * time.Millisecond
	stressAccounts = 50
	stressBalance  = 1000
)

// worker uses one connection at random. The keys that are its own it compares
// with a model; the accounts, which all workers move money between, must always
// add up.
type worker struct {
	t       *testing.T
	db      backend.Backend
	s       session
	id      int
	rnd     *rand.Rand
	model   map[int]int // its keys and their values
	keyed   backend.Stmt
	current atomic.Pointer[conn] // for those who interrupt
}

func TestManyConnectionsAgreeWithAModel(t *testing.T) {
	kinds(t, func(t *testing.T, open func(Options) backend.Backend) {
		db := open(Options{})
		s := connect(t, db)
		s.exec(`create table keys(k integer primary key, v int, pad text); create index kv on keys(v);
			create table accounts(id integer primary key, balance int check (balance >= 0))`)
		for i := range stressAccounts {
			s.exec("insert into accounts values (?, ?)", i, stressBalance)
		}
		workers := make([]*worker, stressWorkers)
		var running, annoying sync.WaitGroup
		until := time.Now().Add(stressTime)
		for i := range workers {
			w := &worker{t: t, db: db, id: i, rnd: rand.New(rand.NewPCG(uint64(i), 1)), model: map[int]int{}}
			workers[i] = w
			running.Go(func() { w.work(until) })
		}
		stop := make(chan struct{})
		annoying.Go(func() { annoy(workers, stop) })
		running.Wait()
		close(stop)
		annoying.Wait()
		wantValue(t, s.value("pragma integrity_check"), "ok")
		wantValue(t, s.value("select sum(balance) from accounts"), stressAccounts*stressBalance)
		total := 0
		for _, w := range workers {
			total += len(w.model)
			for k, v := range w.model {
				wantValue(t, s.value("select v from keys where k = ?", k), v)
			}
		}
		wantValue(t, s.value("select count(*) from keys"), total)
	})
}

// annoy interrupts connections at random.
func annoy(workers []*worker, stop <-chan struct{}) {
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
			if c := workers[i%len(workers)].current.Load(); c != nil {
				c.Interrupt()
			}
		}
	}
}

func (w *worker) work(until time.Time) {
	w.open()
	for time.Now().Before(until) && !w.t.Failed() {
		switch n := w.rnd.IntN(100); {
		case n < 30:
			w.put(nil)
		case n < 50:
			w.get()
		case n < 70:
			w.transfer()
		case n < 80:
			w.addUp()
		case n < 90:
			w.batch()
		case n < 95:
			w.remove()
		case n < 98:
			w.must(w.s.Reset())
		default:
			w.close()
			w.open()
		}
	}
	w.close()
}

func (w *worker) open() {
	c, err := w.db.Connect(w.t.Context(), backend.Identity{})
	if err != nil {
		w.t.Error(err)
		return
	}
	w.s = session{c, w.t}
	w.current.Store(c.(*conn))
	w.keyed = nil
}

func (w *worker) close() {
	w.current.Store(nil)
	w.must(w.s.Close())
}

func (w *worker) must(err error) {
	if err != nil {
		w.t.Errorf("worker %d: %v", w.id, err)
	}
}

// done reports whether a statement succeeded. It may also have been interrupted,
// which must have had no effect.
func (w *worker) done(err error) bool {
	var e *wire.Error
	if errors.As(err, &e) && e.Code == "57014" && e.Effect == wire.EffectNone {
		return false
	}
	w.must(err)
	return err == nil
}

func (w *worker) key() int { return w.rnd.IntN(60)*stressWorkers + w.id }

// put writes one of the worker's keys; into pending, when a transaction is open.
func (w *worker) put(pending map[int]int) bool {
	k, v := w.key(), w.rnd.IntN(1000)
	_, _, err := w.s.try("insert into keys values (?1, ?2, hex(randomblob(?3))) on conflict do update set v = ?2, pad = excluded.pad returning v",
		k, v, w.rnd.IntN(2000))
	if !w.done(err) {
		return false
	}
	if pending == nil {
		pending = w.model
	}
	pending[k] = v
	return true
}

func (w *worker) remove() {
	k := w.key()
	if _, _, err := w.s.try("delete from keys where k = ?", k); w.done(err) {
		delete(w.model, k)
	}
}

// get compares one of the worker's keys, by a statement that is kept.
func (w *worker) get() {
	if w.keyed == nil {
		stmt, _, err := w.s.Prepare("select v from keys where k = ?")
		if !w.done(err) {
			return
		}
		w.keyed = stmt
	}
	k := w.key()
	rows, _, err := w.s.run(w.keyed, k)
	if !w.done(err) {
		return
	}
	want, there := w.model[k]
	if len(rows) > 1 || there != (len(rows) == 1) || there && rows[0][0] != int64(want) {
		w.t.Errorf("worker %d: key %d has %v, want %v, %v", w.id, k, rows, want, there)
	}
}

// batch writes several keys in a transaction, and sometimes takes them back.
func (w *worker) batch() {
	if !w.done(w.s.Begin(readWrite)) {
		return
	}
	pending := map[int]int{}
	for range w.rnd.IntN(8) {
		if !w.put(pending) {
			w.must(w.s.Rollback())
			return
		}
	}
	if w.rnd.IntN(4) == 0 {
		w.must(w.s.Rollback())
		return
	}
	if w.done(w.s.Commit()) {
		for k, v := range pending {
			w.model[k] = v
		}
	}
}

// transfer moves money between two accounts, by a transaction of either sort.
func (w *worker) transfer() {
	if w.rnd.IntN(2) == 0 {
		if !w.done(w.s.Begin(readWrite)) {
			return
		}
	} else if _, _, err := w.s.try("begin"); !w.done(err) {
		return
	}
	from, to, amount := w.rnd.IntN(stressAccounts), w.rnd.IntN(stressAccounts), w.rnd.IntN(100)
	for _, change := range []struct{ id, by int }{{from, -amount}, {to, amount}} {
		_, _, err := w.s.try("update accounts set balance = balance + ? where id = ?", change.by, change.id)
		var e *wire.Error
		if errors.As(err, &e) && (e.Code == "23514" || e.Code == "40001") || !w.done(err) {
			w.must(w.s.Rollback())
			return
		}
	}
	w.done(w.s.Commit())
}

// addUp reads all accounts, in one statement or in two of one transaction.
func (w *worker) addUp() {
	if !w.done(w.s.Begin(readOnly)) {
		return
	}
	defer func() { w.must(w.s.Rollback()) }()
	total := int64(0)
	for _, half := range []string{"id % 2 = 0", "id % 2 = 1"} {
		rows, _, err := w.s.try("select sum(balance) from accounts where " + half)
		if !w.done(err) {
			return
		}
		total += rows[0][0].(int64)
	}
	if total != stressAccounts*stressBalance {
		w.t.Errorf("worker %d: the accounts add up to %d", w.id, total)
	}
}
