package sqlite

import (
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// guard is what SQLite asks, while it compiles a statement, whether each part
// of it is allowed. It also learns here what sort of statement it is. It
// belongs to one engine.
type guard struct {
	// seen collects what is learnt about the statement being compiled; nil
	// while SQLite compiles statements of its own.
	seen *plan
	// refusal is the error for what was refused last.
	refusal *wire.Error
	// dirty: something that outlives the statement was changed in the session.
	dirty bool
	// trusted lets the package itself do what is refused to others.
	trusted bool
	// applying: a PRAGMA is compiled to be run, so it may take effect.
	applying bool
	// postponed: the PRAGMA just judged takes effect another time.
	postponed bool
	// vacuuming: a VACUUM is being run, which attaches a file of its own.
	vacuuming bool
}

// watch makes the guard collect into p. SQLite may tell it the same twice, when
// it finds the schema changed and starts over.
func (g *guard) watch(p *plan) { g.seen, g.refusal = p, nil }

// unwatch ends watch.
func (g *guard) unwatch() { g.seen = nil }

// authorize is the callback. name and detail depend on the action; inner is the
// trigger or view that the access comes from.
func (g *guard) authorize(action sqlite3.AuthorizerActionCode, name, detail, schema, inner string) sqlite3.AuthorizerReturnCode {
	if !g.trusted {
		if refusal := g.refuse(action, name, detail); refusal != nil {
			g.refusal = refusal
			return sqlite3.AUTH_DENY
		}
	}
	if action == sqlite3.AUTH_PRAGMA && g.postponed {
		g.postponed = false
		return sqlite3.AUTH_IGNORE
	}
	if schema == "temp" && action != sqlite3.AUTH_READ && action != sqlite3.AUTH_PRAGMA {
		g.dirty = true
	}
	if g.seen != nil {
		g.learn(action, name, detail, schema, inner)
	}
	return sqlite3.AUTH_OK
}

// refuse says why an action is not allowed; nil when it is.
func (g *guard) refuse(action sqlite3.AuthorizerActionCode, name, detail string) *wire.Error {
	switch action {
	case sqlite3.AUTH_ATTACH:
		// VACUUM attaches a temporary file, which has no name; VACUUM INTO one
		// that has.
		if g.vacuuming && name == "" {
			return nil
		}
		return refused("other database files are out of reach", "ATTACH and VACUUM INTO are not available")
	case sqlite3.AUTH_PRAGMA:
		return g.pragma(strings.ToLower(name), detail)
	case sqlite3.AUTH_FUNCTION:
		switch strings.ToLower(detail) {
		case "load_extension", "readfile", "writefile", "edit", "fts3_tokenizer":
			return refused(fmt.Sprintf("the function %s is not available", detail), "")
		}
	}
	return nil
}

func refused(message, hint string) *wire.Error {
	return &wire.Error{Code: "0A000", Effect: wire.EffectNone, Message: message, Hint: hint}
}

// learn adds an action to the plan.
func (g *guard) learn(action sqlite3.AuthorizerActionCode, name, detail, schema, inner string) {
	p := g.seen
	if isChange(action) {
		p.onMain = p.onMain || schema != "temp"
		p.onTemp = p.onTemp || schema == "temp"
	}
	switch action {
	case sqlite3.AUTH_READ:
		p.tangled = p.tangled || inner != ""
	case sqlite3.AUTH_FUNCTION:
		p.tangled = true
		p.asksID = p.asksID || strings.EqualFold(detail, "last_insert_rowid")
	case sqlite3.AUTH_INSERT:
		p.inserts = p.inserts || inner == ""
		p.changes = p.changes || inner == ""
	case sqlite3.AUTH_UPDATE:
		p.upserts = p.upserts || inner == ""
		p.changes = p.changes || inner == ""
	case sqlite3.AUTH_DELETE:
		p.changes = p.changes || inner == ""
	case sqlite3.AUTH_TRANSACTION:
		p.tx = transactionVerbs[name]
	case sqlite3.AUTH_SAVEPOINT:
		p.tx = savepointVerbs[name]
	default:
		if isDDL(action) {
			p.ddl, p.temporary = true, schema == "temp"
		}
	}
}

var transactionVerbs = map[string]txVerb{"BEGIN": txBegin, "COMMIT": txCommit, "ROLLBACK": txRollback}

var savepointVerbs = map[string]txVerb{"BEGIN": txSavepoint, "RELEASE": txRelease, "ROLLBACK": txRollbackTo}

// isChange reports whether an action changes data or the schema.
func isChange(action sqlite3.AuthorizerActionCode) bool {
	switch action {
	case sqlite3.AUTH_INSERT, sqlite3.AUTH_UPDATE, sqlite3.AUTH_DELETE, sqlite3.AUTH_REINDEX:
		return true
	}
	return isDDL(action)
}

// isDDL reports whether an action changes the schema. ANALYZE does: it makes
// tables.
func isDDL(action sqlite3.AuthorizerActionCode) bool {
	switch action {
	case sqlite3.AUTH_CREATE_INDEX, sqlite3.AUTH_CREATE_TABLE, sqlite3.AUTH_CREATE_TRIGGER,
		sqlite3.AUTH_CREATE_VIEW, sqlite3.AUTH_CREATE_VTABLE,
		sqlite3.AUTH_DROP_INDEX, sqlite3.AUTH_DROP_TABLE, sqlite3.AUTH_DROP_TRIGGER,
		sqlite3.AUTH_DROP_VIEW, sqlite3.AUTH_DROP_VTABLE,
		sqlite3.AUTH_CREATE_TEMP_INDEX, sqlite3.AUTH_CREATE_TEMP_TABLE,
		sqlite3.AUTH_CREATE_TEMP_TRIGGER, sqlite3.AUTH_CREATE_TEMP_VIEW,
		sqlite3.AUTH_DROP_TEMP_INDEX, sqlite3.AUTH_DROP_TEMP_TABLE,
		sqlite3.AUTH_DROP_TEMP_TRIGGER, sqlite3.AUTH_DROP_TEMP_VIEW,
		sqlite3.AUTH_ALTER_TABLE, sqlite3.AUTH_ANALYZE:
		return true
	}
	return false
}
