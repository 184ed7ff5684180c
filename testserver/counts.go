package testserver

import (
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// countedText is how many bytes of a statement's text tell it apart.
	countedText = 256
	// countedMost is how many texts are told apart; the rest is not counted,
	// so that generated texts cannot take all memory.
	countedMost = 10_000
)

// counts counts how often each statement was started. A session looks a
// statement's counter up once, when it compiles it, so that counting costs one
// atomic addition. It is safe for concurrent use.
type counts struct {
	mu    sync.Mutex
	texts map[string]*atomic.Int64
	rest  atomic.Int64
}

// counter gives the counter of a statement's text.
func (c *counts) counter(sql string) *atomic.Int64 {
	key := strings.TrimSpace(sql)
	if len(key) > countedText {
		key = strings.Clone(key[:countedText])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.texts[key]; n != nil {
		return n
	}
	if len(c.texts) >= countedMost {
		return &c.rest
	}
	if c.texts == nil {
		c.texts = map[string]*atomic.Int64{}
	}
	n := new(atomic.Int64)
	c.texts[key] = n
	return n
}

// sum adds up the counters of all texts that begin with prefix.
func (c *counts) sum(prefix string) (total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for text, n := range c.texts {
		if strings.HasPrefix(text, prefix) {
			total += n.Load()
		}
	}
	return total
}
