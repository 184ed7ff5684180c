package sqlite

import (
	"slices"
	"strings"

	"github.com/qdb-go/qdb/wire"
)

// describeColumns finds out what rows the statement returns. The slice of an
// earlier description is kept when nothing has changed.
func (s *stmt) describeColumns() {
	n := s.raw.ColumnCount()
	if n == 0 {
		s.columns, s.meanings = nil, nil
		return
	}
	columns := make([]wire.Column, n)
	s.meanings = make([]meaning, n)
	for i := range columns {
		columns[i] = s.describeColumn(i)
	}
	if !slices.Equal(columns, s.columns) {
		s.columns = columns
	}
}

func (s *stmt) describeColumn(i int) wire.Column {
	t := parseDeclaredType(s.raw.ColumnDeclType(i))
	s.meanings[i] = t.meaning
	column := wire.Column{
		Name: s.raw.ColumnName(i), DeclaredType: t.name, Table: s.raw.ColumnTableName(i),
		Flags: t.flags, Kind: t.kind, Length: t.length, Precision: t.precision, Scale: t.scale,
	}
	if column.Table != "" {
		table := tableName{s.raw.ColumnDatabaseName(i), column.Table}
		column.Flags |= s.c.eng.nullability(table, s.raw.ColumnOriginName(i), s.plan.tangled)
	}
	return column
}

// nullability says whether a result's column that comes from a table's may be
// NULL. Where the table forbids it, it still may be in a tangled statement.
func (e *engine) nullability(table tableName, column string, tangled bool) wire.ColumnFlags {
	declared, _, notNull, primary, _, err := e.db.TableColumnMetadata(table.schema, table.table, column)
	if err != nil {
		return 0
	}
	if !notNull && primary && strings.EqualFold(declared, "INTEGER") {
		notNull = e.rowidAlias(table)
	}
	switch {
	case !notNull:
		return wire.NullableKnown | wire.Nullable
	case tangled:
		return 0
	}
	return wire.NullableKnown
}

// rowidAlias reports whether the table's INTEGER PRIMARY KEY is another name of
// its rowid, and so never NULL. Other primary keys may be, in SQLite.
func (e *engine) rowidAlias(table tableName) bool {
	if alias, known := e.aliases[table]; known {
		return alias
	}
	indexes, err := e.number(controlRowidAlias, table.table, table.schema)
	if err != nil {
		return false
	}
	if e.aliases == nil {
		e.aliases = make(map[tableName]bool)
	}
	e.aliases[table] = indexes == 0
	return indexes == 0
}
