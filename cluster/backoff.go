package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Backoff is a schedule of waits between attempts: Initial, then each one
// Multiplier times the one before, none above MaxBackoff. The wait that is
// slept is drawn evenly between 0 and the scheduled one ("full jitter", AWS
// Architecture Blog, Exponential Backoff And Jitter, 2015), from the first one
// on, so that clients that failed together do not come back together. The zero
// value allows no retry.
type Backoff struct {
	// Max is how many attempts may follow the first one. 0: none.
	Max int
	// Initial is the first wait, at most MaxBackoff. 0: no waits.
	Initial time.Duration
	// MaxBackoff is the longest wait.
	MaxBackoff time.Duration
	// Multiplier is at least 1; 0 means 2.
	Multiplier float64
}

// Delay returns the scheduled wait before retry number n, counted from 0, as
// it is before jitter. It does not look at Max.
func (b Backoff) Delay(n int) time.Duration {
	if b.Initial <= 0 || n < 0 {
		return 0
	}
	m := b.Multiplier
	if m == 0 {
		m = 2
	}
	d := float64(b.Initial) * math.Pow(m, float64(n))
	if d >= float64(b.MaxBackoff) {
		return b.MaxBackoff
	}
	return time.Duration(d)
}

// Schedule returns all Max waits, before jitter.
func (b Backoff) Schedule() []time.Duration {
	s := make([]time.Duration, 0, b.Max)
	for n := range b.Max {
		s = append(s, b.Delay(n))
	}
	return s
}

// total is the sum of the schedule, but no more than limit.
func (b Backoff) total(limit time.Duration) time.Duration {
	var sum time.Duration
	for n := 0; n < b.Max && sum < limit; n++ {
		d := b.Delay(n)
		if d == 0 {
			break
		}
		sum += d
	}
	return min(sum, limit)
}

func (b Backoff) validate() error {
	switch {
	case b.Max < 0:
		return fmt.Errorf("cluster: options: Retry.Max is %d, want at least 0", b.Max)
	case b.Initial < 0 || b.MaxBackoff < 0:
		return fmt.Errorf("cluster: options: Retry has a negative time")
	case b.Initial > b.MaxBackoff:
		return fmt.Errorf("cluster: options: Retry.Initial is %v, want at most MaxBackoff, %v", b.Initial, b.MaxBackoff)
	case b.Multiplier != 0 && !(b.Multiplier >= 1 && b.Multiplier <= math.MaxFloat64):
		return fmt.Errorf("cluster: options: Retry.Multiplier is %v, want a finite number of at least 1", b.Multiplier)
	}
	return nil
}

// fullJitter draws a wait between 0 and d, both included.
func fullJitter(rng *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(d) + 1))
}

// vary draws a time within a tenth of d, so that clients started together do
// not keep in step.
func vary(rng *rand.Rand, d time.Duration) time.Duration {
	return d - d/10 + fullJitter(rng, d/5)
}
