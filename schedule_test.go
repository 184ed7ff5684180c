package qdb_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

var (
	scheduleSeed = flag.Uint64("schedule.seed", 0, "seed of the random schedule of faults; 0: a random one")
	scheduleTime = flag.Duration("schedule.time", 20*time.Second, "how long the random schedule of faults lasts; .ci/run gives it a minute")
)

// schedule is a seeded run of faults against a cluster under load. The seed fixes
// which fault hits which node after which pause; what the callers meet depends on
// the scheduling of the machine as well.
type schedule struct {
	t       *testing.T
	rng     *rand.Rand
	db      *sql.DB
	cluster *testserver.Cluster
	state   []string // of each node: up, killed, paused, drained
	log     []string

	next     atomic.Int64 // number of the next row
	mu       sync.Mutex
	acked    map[int64]bool // rows whose insert was acknowledged
	unknown  map[int64]bool // rows whose insert may have been carried out
	none     map[int64]bool // rows whose insert was not, as the error said
	overtime atomic.Int64   // longest time that a call went on past its deadline
	ops      atomic.Int64
}

const (
	scheduleNodes   = 4
	scheduleMax     = 12 // pool_max_conns
	scheduleCallers = 24
	// scheduleSlack is how long past its deadline a call may return: the
	// grace for a cancel, and what a busy machine adds.
	scheduleSlack = 1500 * time.Millisecond * slowness
)

func TestARandomScheduleOfFaultsBreaksNoPromise(t *testing.T) {
	t.Parallel()
	seed := *scheduleSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay the faults with -schedule.seed=%d", seed)
	s := &schedule{t: t, rng: rand.New(rand.NewPCG(seed, 0)),
		acked: map[int64]bool{}, unknown: map[int64]bool{}, none: map[int64]bool{}}
	s.cluster = testserver.Start(t, testserver.Options{Nodes: scheduleNodes, DrainGrace: time.Second})
	s.db = openDSN(t, s.cluster.DSN()+fmt.Sprintf("?pool_max_conns=%d&health_interval=200ms&health_timeout=200ms&pool_idle_timeout=1s&pool_max_lifetime=3s", scheduleMax))
	s.db.SetMaxIdleConns(scheduleCallers)
	mustExec(t, s.db, "CREATE TABLE v (i INTEGER)")
	for range scheduleNodes {
		s.state = append(s.state, "up")
	}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for c := range scheduleCallers {
		rng := rand.New(rand.NewPCG(seed, uint64(c)+1))
		callers.Go(func() { s.call(rng, stop) })
	}
	for end := time.Now().Add(*scheduleTime); time.Now().Before(end) && !t.Failed(); {
		s.step()
		time.Sleep(time.Duration(s.rng.IntN(200)) * time.Millisecond) // the schedule itself: pauses between faults
		s.checkLimits()
	}
	s.heal()
	close(stop)
	callers.Wait()
	s.checkEnd()
	if t.Failed() {
		for _, line := range s.log {
			t.Log(line)
		}
	}
}

// step does one thing to one node. At least one node stays up.
func (s *schedule) step() {
	i := s.rng.IntN(scheduleNodes)
	n := s.cluster.Node(i)
	what := ""
	if s.state[i] == "up" {
		what = []string{"kill", "pause", "drain", "slow", "fast"}[s.rng.IntN(5)]
		up := 0
		for _, st := range s.state {
			if st == "up" {
				up++
			}
		}
		if up == 1 && what != "slow" && what != "fast" {
			return
		}
	}
	s.log = append(s.log, fmt.Sprintf("%s: node %d (%s): %s", time.Now().Format("05.000"), i, s.state[i], what))
	switch {
	case what == "kill":
		n.Kill()
		s.state[i] = "killed"
	case what == "pause":
		n.Pause()
		s.state[i] = "paused"
	case what == "drain":
		n.Drain()
		s.state[i] = "drained"
	case what == "slow":
		n.SetFaults(testserver.Faults{Latency: 5 * time.Millisecond, LatencyJitter: 20 * time.Millisecond})
	case what == "fast":
		n.SetFaults(testserver.Faults{})
	default:
		s.revive(i)
	}
}

func (s *schedule) revive(i int) {
	n := s.cluster.Node(i)
	switch s.state[i] {
	case "paused":
		n.Resume()
	case "drained":
		<-n.Drained()
		fallthrough
	case "killed":
		if err := n.Restart(); err != nil {
			s.t.Errorf("restart node %d: %v", i, err)
		}
	}
	s.state[i] = "up"
}

func (s *schedule) heal() {
	for i := range scheduleNodes {
		s.revive(i)
		s.cluster.Node(i).SetFaults(testserver.Faults{})
	}
}

// call does random operations with random deadlines.
func (s *schedule) call(rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		limit := time.Duration(50+rng.IntN(2000)) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		start := time.Now()
		switch rng.IntN(4) {
		case 0:
			s.insert(ctx)
		case 1:
			s.insertInTx(ctx)
		case 2:
			s.read(ctx, "SELECT count(*) FROM v WHERE i < 10")
		default:
			s.read(ctx, "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k+1 FROM n WHERE k < 3000) SELECT k FROM n")
		}
		cancel()
		s.ops.Add(1)
		over := int64(time.Since(start) - limit)
		for old := s.overtime.Load(); over > old && !s.overtime.CompareAndSwap(old, over); old = s.overtime.Load() {
		}
	}
}

func (s *schedule) insert(ctx context.Context) {
	i := s.next.Add(1)
	_, err := s.db.ExecContext(ctx, "INSERT INTO v VALUES (?)", i)
	s.settle(i, err)
}

func (s *schedule) insertInTx(ctx context.Context) {
	i := s.next.Add(1)
	tx, err := s.db.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, "INSERT INTO v VALUES (?)", i)
		if err == nil {
			err = tx.Commit()
			if errors.Is(err, sql.ErrTxDone) { // database/sql has rolled it back
				err = &qdb.Error{Code: "57014", Effect: qdb.EffectNone}
			}
		} else {
			tx.Rollback()
		}
	}
	s.settle(i, err)
}

// settle notes what the caller was told of a row.
func (s *schedule) settle(i int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *qdb.Error
	switch {
	case err == nil:
		s.acked[i] = true
	case errors.As(err, &e) && e.Effect == qdb.EffectNone:
		s.none[i] = true
	case errors.As(err, &e):
		s.unknown[i] = true
	case errors.Is(err, context.DeadlineExceeded): // database/sql's own: nothing was begun
		s.none[i] = true
	default:
		s.t.Errorf("an insert failed with an error of no type: %v", err)
	}
}

func (s *schedule) read(ctx context.Context, query string) {
	rows, err := s.db.QueryContext(ctx, query)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	var e *qdb.Error
	switch {
	case err == nil || errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &e) && e.Effect == qdb.EffectNone:
	default:
		s.t.Errorf("a read failed: %v", err)
	}
}

// checkLimits compares the pool's figures with its limits.
func (s *schedule) checkLimits() {
	st := qdb.Stats(s.db)
	if sum := st.InUse + st.Idle + st.Dialing; sum > scheduleMax {
		s.t.Errorf("%d sessions in use, %d idle, %d being opened: more than %d", st.InUse, st.Idle, st.Dialing, scheduleMax)
	}
	for _, n := range st.Nodes {
		if n.State == "down" && n.Idle > 0 {
			s.t.Errorf("%d idle sessions on node %s, which is down", n.Idle, n.ID)
		}
		if n.Dialing > 2 {
			s.t.Errorf("%d dials under way to node %s", n.Dialing, n.ID)
		}
	}
}

// checkEnd compares what the callers were told with what is there, and the
// figures with those of a pool at rest.
func (s *schedule) checkEnd() {
	t := s.t
	waitFor(t, 10*time.Second, "all nodes are healthy and all leases have ended", func() bool {
		st := qdb.Stats(s.db)
		healthy := 0
		for _, n := range st.Nodes {
			if n.State == "healthy" {
				healthy++
			}
		}
		return healthy == scheduleNodes && st.InUse == 0 && st.Waiting == 0
	})
	if d := time.Duration(s.overtime.Load()); d > scheduleSlack {
		t.Errorf("a call returned %v after its deadline", d)
	}
	counts := map[int64]int{}
	rows, err := s.db.Query("SELECT i, count(*) FROM v GROUP BY i")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var i int64
		var n int
		if err := rows.Scan(&i, &n); err != nil {
			t.Fatal(err)
		}
		counts[i] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range s.next.Load() + 1 {
		switch n := counts[i]; {
		case n > 1:
			t.Errorf("row %d was inserted %d times", i, n)
		case s.acked[i] && n == 0:
			t.Errorf("row %d was acknowledged and is not there", i)
		case s.none[i] && n == 1:
			t.Errorf("row %d is there, though its error said that it had no effect", i)
		}
	}
	t.Logf("%d operations; rows: %d acknowledged, %d without effect, %d unknown; %d faults; latest return %v after its deadline",
		s.ops.Load(), len(s.acked), len(s.none), len(s.unknown), len(s.log), time.Duration(s.overtime.Load()).Round(time.Millisecond))
}
