package main

import (
	"database/sql"
	"slices"
)

// total is the name of the line and the column with the sums.
const total = "total"

// pivoted are amounts by two names, such as a country and a year.
type pivoted struct {
	lines, columns   []string // in the order in which they came
	amounts          map[[2]string]int64
	ofLine, ofColumn map[string]int64
	overall          int64
}

// pivot makes of rows (line, column, cents) a grid with the sums of both.
func pivot(rows *sql.Rows, first column) (*grid, error) {
	p := pivoted{amounts: map[[2]string]int64{}, ofLine: map[string]int64{}, ofColumn: map[string]int64{}}
	for rows.Next() {
		var line, column sql.NullString
		var amount int64
		if err := rows.Scan(&line, &column, &amount); err != nil {
			return nil, err
		}
		p.add(shown(line), shown(column), amount)
	}
	slices.Sort(p.columns)
	return p.grid(first), rows.Err()
}

func (p *pivoted) add(line, column string, amount int64) {
	if _, known := p.ofLine[line]; !known {
		p.lines = append(p.lines, line)
	}
	if _, known := p.ofColumn[column]; !known {
		p.columns = append(p.columns, column)
	}
	p.amounts[[2]string{line, column}] += amount
	p.ofLine[line] += amount
	p.ofColumn[column] += amount
	p.overall += amount
}

func (p *pivoted) grid(first column) *grid {
	g := &grid{columns: []column{first}}
	for _, name := range append(slices.Clone(p.columns), total) {
		g.columns = append(g.columns, column{name, asMoney})
	}
	for _, line := range p.lines {
		cells := []string{line}
		for _, name := range p.columns {
			cells = append(cells, asMoney.format(p.amounts[[2]string{line, name}]))
		}
		g.rows = append(g.rows, append(cells, asMoney.format(p.ofLine[line])))
	}
	last := []string{total}
	for _, name := range p.columns {
		last = append(last, asMoney.format(p.ofColumn[name]))
	}
	g.rows = append(g.rows, append(last, asMoney.format(p.overall)))
	return g
}
