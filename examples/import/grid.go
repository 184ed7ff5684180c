package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// column is the head of a column and how its values are written.
type column struct {
	name string
	kind kind
}

// kind is how a value is written. All but text stand at the right edge.
type kind uint8

const (
	asText  kind = iota
	asCount      // a whole number
	asMoney      // a whole number of cents, so that it is exact
	asShare      // a whole number of tenths of a percent
)

// format writes a number of that kind.
func (k kind) format(n int64) string {
	switch k {
	case asMoney:
		return fixed(n, 2)
	case asShare:
		return fixed(n, 1) + "%"
	}
	return fmt.Sprint(n)
}

// fixed writes n with the last digits, one or more, behind a point.
func fixed(n int64, digits int) string {
	s := fmt.Sprintf("%0*d", digits+1, max(n, -n))
	s = s[:len(s)-digits] + "." + s[len(s)-digits:]
	if n < 0 {
		return "-" + s
	}
	return s
}

// grid is a table to be printed.
type grid struct {
	columns []column
	rows    [][]string
}

// write prints the grid with its columns side by side, below a line of heads.
func (g *grid) write(w io.Writer) error {
	head := make([]string, len(g.columns))
	for i, c := range g.columns {
		head[i] = c.name
	}
	lines := append([][]string{head}, g.rows...)
	widths := make([]int, len(g.columns))
	for _, cells := range lines {
		for i := range cells {
			cells[i] = strings.Map(printable, cells[i]) // a tab would shift the columns
			widths[i] = max(widths[i], utf8.RuneCountInString(cells[i]))
		}
	}
	var page strings.Builder
	out := tabwriter.NewWriter(&page, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		for i, c := range g.columns {
			if c.kind != asText { // tabwriter aligns all columns alike
				cells[i] = fmt.Sprintf("%*s", widths[i], cells[i])
			}
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(page.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil { // empty cells leave spaces
			return err
		}
	}
	return nil
}
