package sqlite

import (
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// primaryKey is the name of the constraint for a primary key: SQLite does not
// keep the one that it was declared with.
const primaryKey = "PRIMARY KEY"

// nameConstraint fills in what a constraint violation is about, which SQLite
// puts into the message: "UNIQUE constraint failed: t.a, t.b".
func (c *conn) nameConstraint(code sqlite3.ExtendedErrorCode, e *wire.Error) {
	if code.Code() != sqlite3.CONSTRAINT {
		return
	}
	_, what, found := strings.Cut(e.Message, " constraint failed: ")
	if !found {
		return
	}
	switch code {
	case sqlite3.CONSTRAINT_CHECK:
		e.Constraint = what
		return
	case sqlite3.CONSTRAINT_PRIMARYKEY, sqlite3.CONSTRAINT_ROWID:
		e.Constraint = primaryKey
	}
	if name, ok := strings.CutPrefix(what, "index '"); ok { // of an expression
		e.Constraint = strings.TrimSuffix(name, "'")
		return
	}
	e.Table, e.Column = splitColumns(what)
	if code == sqlite3.CONSTRAINT_UNIQUE {
		e.Constraint = c.eng.uniqueIndex(e.Table, e.Column)
	}
}

// splitColumns takes "t.a, t.b" apart into "t" and "a, b".
func splitColumns(list string) (table, columns string) {
	table, _, _ = strings.Cut(list, ".")
	names := strings.Split(list, ", ")
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, table+".")
	}
	return table, strings.Join(names, ", ")
}

// uniqueIndexSQL finds the unique index over exactly these columns.
const uniqueIndexSQL = `SELECT i.name FROM pragma_index_list(?1) AS i WHERE i."unique" AND ?2 = (
	SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))`

// uniqueIndex gives the name of the table's unique index over the columns; ""
// when it cannot be found out.
func (e *engine) uniqueIndex(table, columns string) (name string) {
	s, _, err := e.db.Prepare(uniqueIndexSQL)
	if err != nil {
		return ""
	}
	defer s.Close()
	if s.BindText(1, table) != nil || s.BindText(2, columns) != nil {
		return ""
	}
	if s.Step() {
		name = s.ColumnText(0)
	}
	return name
}
