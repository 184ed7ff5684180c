package session

import (
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/qdb-go/qdb/wire"
)

// statement is what a session knows of a statement text.
type statement struct {
	id       uint32
	prepared bool // the node has it under the id
	kept     bool // the node may have it, though it did not say so
	// readOnly: the node said that it has no effect; writes: that it has.
	readOnly, writes bool
	described        bool
	params           []wire.Parameter
	description      uint64
	columns          []wire.Column
}

// noteWrites takes in what the node says of a statement's effect. That it writes
// is not unlearned: a node may call read-only what it refuses under ReadOnly.
func (st *statement) noteWrites(writes bool) {
	st.writes = st.writes || writes
	st.readOnly = !st.writes
}

// statements is the cache of prepared statements, by text, least recently used
// out first. Those that fall out are closed on the node with the next request.
type statements struct {
	lru    *simplelru.LRU[string, *statement]
	next   uint32
	closed []uint32
}

func (c *statements) init(size int) {
	if size <= 0 {
		return
	}
	// The only error is a size that is not positive.
	c.lru, _ = simplelru.NewLRU(size, func(_ string, st *statement) {
		if st.prepared || st.kept {
			c.closed = append(c.closed, st.id)
		}
	})
}

// get gives the statement of the text, which is new where it is not cached.
func (c *statements) get(sql string) *statement {
	if c.lru == nil {
		return &statement{}
	}
	if st, ok := c.lru.Get(sql); ok {
		return st
	}
	st := &statement{}
	if sql != "" && isSingle(sql) {
		c.next++
		st.id = c.next
		c.lru.Add(sql, st)
	}
	return st
}

// forget drops a statement that the node would not prepare.
func (c *statements) forget(sql string) {
	if c.lru == nil {
		return
	}
	c.lru.Remove(sql)
}

// isSingle reports whether the text is one statement for certain. A script is
// not kept.
func isSingle(sql string) bool {
	i := strings.IndexByte(sql, ';')
	return i < 0 || strings.Trim(sql[i+1:], " \t\r\n;") == ""
}

// looksReadOnly guesses from the first word whether a statement only reads. It
// may be wrong: the node is told to refuse a write, and does.
func looksReadOnly(sql string) bool {
	sql = skipSpaceAndComments(sql)
	return reads(sql) || beginsWith(sql, "WITH")
}

// reads is the same without WITH, which may begin anything: a statement whose
// end nobody need wait for.
func reads(sql string) bool {
	sql = skipSpaceAndComments(sql)
	return beginsWith(sql, "SELECT") || beginsWith(sql, "VALUES") || beginsWith(sql, "EXPLAIN")
}

func beginsWith(sql, word string) bool {
	return len(sql) > len(word) && strings.EqualFold(sql[:len(word)], word) && !isWordByte(sql[len(word)])
}

func isWordByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

func skipSpaceAndComments(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f;(")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, rest, found := strings.Cut(sql, "\n")
			if !found {
				return ""
			}
			sql = rest
		case strings.HasPrefix(sql, "/*"):
			_, rest, found := strings.Cut(sql[2:], "*/")
			if !found {
				return ""
			}
			sql = rest
		default:
			return sql
		}
	}
}
