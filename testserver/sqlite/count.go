package sqlite

import (
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
)

// unlikelyRowID stands in the place of the last insert id while an INSERT runs,
// to tell whether it has set it. A row with this very id counts as not inserted
// by the statement.
const unlikelyRowID = math.MinInt64 + 0x71_64_62

var noResult backend.Result

// counter finds out what one execution changed. SQLite's own numbers stay as
// they are when a statement changes nothing, so they need care:
//
//   - RowsAffected is SQLite's count of changes for an INSERT, UPDATE or DELETE,
//     without those of triggers and foreign keys, and 0 for all else.
//   - The last insert id is valid when the statement inserts and has set it: not
//     for an upsert that only updated, an INSERT OR IGNORE that did nothing, or
//     a table without rowid. A statement that calls last_insert_rowid() must see
//     the former id, so it is judged by its count of changes, and an upsert of
//     that sort by whether the id changed.
type counter struct {
	total    int64 // changes of the connection before
	formerID int64
	id       int64
	hasID    bool
}

func (n *counter) before(db *sqlite3.Conn, p *plan) {
	n.hasID = false
	if !p.changes {
		return
	}
	n.total = db.TotalChanges()
	if !p.inserts {
		return
	}
	n.formerID = db.LastInsertRowID()
	if !p.asksID {
		db.SetLastInsertRowID(unlikelyRowID)
	}
}

// after follows the first step, in which SQLite makes all changes.
func (n *counter) after(db *sqlite3.Conn, p *plan) {
	if !p.changes || !p.inserts {
		return
	}
	n.id = db.LastInsertRowID()
	switch {
	case p.asksID && p.upserts:
		n.hasID = n.id != n.formerID
	case p.asksID:
		n.hasID = true
	case n.id == unlikelyRowID:
		db.SetLastInsertRowID(n.formerID)
	default:
		n.hasID = true
	}
}

// result is for the end of an execution that succeeded.
func (n *counter) result(db *sqlite3.Conn, p *plan) backend.Result {
	if !p.changes {
		return noResult
	}
	r := backend.Result{RowsAffected: db.Changes()}
	if n.hasID && r.RowsAffected > 0 {
		r.LastInsertID, r.HasInsertID = n.id, true
	}
	return r
}

// kept is how many changes an execution that failed has left behind: those that
// ON CONFLICT FAIL and RAISE(FAIL) leave.
func (n *counter) kept(db *sqlite3.Conn, p *plan) int64 {
	if !p.changes {
		return 0
	}
	return db.TotalChanges() - n.total
}
