package sqlite

import "strings"

// plan is what sort of statement a text turned out to be: what the authorizer
// saw while it was compiled, its first word, and what SQLite says about it.
type plan struct {
	verb     string // first word, upper case
	readOnly bool   // changes nothing in the database
	tx       txVerb
	pragma   bool // a PRAGMA that is given a value
	alone    bool // cannot run, or does nothing, within a transaction
	stores   bool // a PRAGMA that changes the database, though SQLite calls it read-only
	ddl      bool // changes the schema
	// temporary: the schema that it changes is the session's own.
	temporary bool
	onMain    bool // changes something that all sessions see
	onTemp    bool // changes something of the session alone
	inserts   bool // its own table, not one of a trigger
	changes   bool // inserts, updates or deletes, so that rows are counted
	upserts   bool // may update instead of inserting
	asksID    bool // calls last_insert_rowid()
	// tangled: a column of a table may come out as NULL although the table does
	// not allow it there: outer joins, subqueries, aggregates, views.
	tangled bool
}

// txVerb is what a statement does to the transaction.
type txVerb uint8

const (
	txNothing txVerb = iota
	txBegin
	txCommit
	txRollback
	txSavepoint
	txRelease
	txRollbackTo
)

// writes reports whether the statement changes anything.
func (p *plan) writes() bool { return !p.readOnly }

// queues reports whether it needs the gate: what changes only the session's own
// temporary tables does not.
func (p *plan) queues() bool { return !p.readOnly && (p.onMain || !p.onTemp) }

// alters reports whether it changes the schema that all sessions see.
func (p *plan) alters() bool { return p.ddl && !p.temporary }

// control reports whether it begins or ends a transaction or cannot run in one.
func (p *plan) control() bool { return p.tx != txNothing || p.alone }

// complete adds what the text and the compiled statement say.
func (p *plan) complete(sql string, readOnly bool) {
	p.verb = firstWord(sql)
	p.readOnly = readOnly && !p.stores
	switch p.verb {
	case "EXPLAIN": // SQLite answers for the statement that is explained
		*p = plan{verb: p.verb, readOnly: true, tangled: true}
	case "VACUUM":
		p.alone = true
	}
	if p.ddl {
		p.changes, p.inserts = false, false // those of the schema tables
	}
	if !p.tangled {
		p.tangled = isTangled(sql)
	}
}

// firstWord gives the first word of a statement in upper case; space, comments
// and empty statements before it are skipped.
func firstWord(sql string) string {
	for {
		rest := strings.TrimLeft(sql, " \t\r\n\f;\ufeff")
		switch {
		case strings.HasPrefix(rest, "--"):
			_, sql, _ = strings.Cut(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			_, sql, _ = strings.Cut(rest[2:], "*/")
		default:
			n := 0
			for n < len(rest) && isLetter(rest[n]) {
				n++
			}
			return strings.ToUpper(rest[:n])
		}
	}
}

func isLetter(b byte) bool { b |= 0x20; return b >= 'a' && b <= 'z' }

// isTangled reports whether a text has an outer join or more than one SELECT. In
// a string or a comment the words count too: that only costs the knowledge that
// a column is never NULL.
func isTangled(sql string) bool {
	selects := 0
	for i := 0; i < len(sql); {
		n := i
		for n < len(sql) && isLetter(sql[n]) {
			n++
		}
		switch word := sql[i:n]; {
		case isOuterJoin(word):
			return true
		case len(word) == 6 && strings.EqualFold(word, "SELECT"):
			selects++
		}
		i = n + 1
	}
	return selects > 1
}

func isOuterJoin(word string) bool {
	switch len(word) {
	case 4:
		return strings.EqualFold(word, "LEFT") || strings.EqualFold(word, "FULL")
	case 5:
		return strings.EqualFold(word, "RIGHT")
	}
	return false
}
