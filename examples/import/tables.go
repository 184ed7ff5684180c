package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
)

// querier is what queries run on: a transaction, so that all see the same state.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// show prints the tables with their row counts, and the report if one is named.
func show(ctx context.Context, db *sql.DB, report string, w io.Writer) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer tx.Rollback() // nothing was written that could be lost
	if err := writeTables(ctx, tx, w); err != nil {
		return err
	}
	if report == "" {
		return nil
	}
	return writeReports(ctx, tx, w)
}

func writeTables(ctx context.Context, q querier, w io.Writer) error {
	names, err := tables(ctx, q)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	g := grid{columns: []column{{"table", asText}, {"rows", asCount}}}
	var total int64
	for _, name := range names {
		var n int64
		if err := q.QueryRowContext(ctx, "SELECT count(*) FROM main."+quote(name)).Scan(&n); err != nil {
			return fmt.Errorf("count the rows of %s: %w", name, err)
		}
		total += n
		g.rows = append(g.rows, []string{name, asCount.format(n)})
	}
	label := fmt.Sprintf("%d tables", len(names))
	if len(names) == 1 {
		label = "1 table"
	}
	g.rows = append(g.rows, []string{label, asCount.format(total)})
	return g.write(w)
}

// tables lists the tables that scripts make, without those that SQLite keeps for
// itself or beneath a virtual table.
func tables(ctx context.Context, q querier) ([]string, error) {
	const list = `SELECT name FROM pragma_table_list
		WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
		ORDER BY name COLLATE NOCASE`
	rows, err := q.QueryContext(ctx, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
