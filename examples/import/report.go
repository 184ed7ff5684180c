package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
)

// report is a query and how its rows are shown.
type report struct {
	title   string
	query   string
	columns []column
	// total adds a line with the sums of the counts and amounts.
	total bool
	// pivot: the rows are (line, column, cents), and the columns come from them.
	pivot bool
}

// Prices are kept as floating point. Sums of them are exact only when each is
// turned into whole cents first.
const (
	lineCents    = `CAST(round(line.UnitPrice * 100) AS INTEGER) * line.Quantity`
	invoiceCents = `CAST(round(invoice.Total * 100) AS INTEGER)`
)

// reports are those on the Chinook data. Each orders its rows to the last, so
// that two runs print the same.
var reports = []report{
	{
		title: "Top artists by revenue",
		query: `SELECT artist.Name, sum(line.Quantity), sum(` + lineCents + `) AS revenue
			FROM InvoiceLine AS line
			JOIN Track AS track ON track.TrackId = line.TrackId
			JOIN Album AS album ON album.AlbumId = track.AlbumId
			JOIN Artist AS artist ON artist.ArtistId = album.ArtistId
			GROUP BY artist.ArtistId ORDER BY revenue DESC, artist.Name, artist.ArtistId LIMIT 10`,
		columns: []column{{"artist", asText}, {"tracks", asCount}, {"revenue", asMoney}},
	},
	{
		title: "Sales per country and year",
		query: `SELECT invoice.BillingCountry, strftime('%Y', invoice.InvoiceDate) AS year, sum(` + invoiceCents + `)
			FROM Invoice AS invoice
			GROUP BY invoice.BillingCountry, year ORDER BY invoice.BillingCountry, year`,
		columns: []column{{"country", asText}},
		total:   true,
		pivot:   true,
	},
	{
		title: "Best customers",
		query: `SELECT customer.FirstName || ' ' || customer.LastName, customer.Country, count(*), sum(` + invoiceCents + `) AS spent
			FROM Invoice AS invoice
			JOIN Customer AS customer ON customer.CustomerId = invoice.CustomerId
			GROUP BY customer.CustomerId ORDER BY spent DESC, customer.LastName, customer.FirstName, customer.CustomerId LIMIT 10`,
		columns: []column{{"customer", asText}, {"country", asText}, {"invoices", asCount}, {"spent", asMoney}},
	},
	{
		title: "Revenue per genre",
		query: `WITH sales AS (
				SELECT genre.GenreId AS id, genre.Name AS genre, sum(line.Quantity) AS tracks, sum(` + lineCents + `) AS revenue
				FROM InvoiceLine AS line
				JOIN Track AS track ON track.TrackId = line.TrackId
				LEFT JOIN Genre AS genre ON genre.GenreId = track.GenreId
				GROUP BY genre.GenreId),
			total AS (SELECT max(sum(revenue), 1) AS cents FROM sales)
			SELECT genre, tracks, revenue, (1000 * revenue + total.cents / 2) / total.cents
			FROM sales, total ORDER BY revenue DESC, genre, id`,
		columns: []column{{"genre", asText}, {"tracks", asCount}, {"revenue", asMoney}, {"share", asShare}},
		total:   true,
	},
	{
		title: "Sales of the support representatives",
		query: `SELECT employee.FirstName || ' ' || employee.LastName, employee.Title,
				count(DISTINCT customer.CustomerId), count(*), sum(` + invoiceCents + `) AS sales
			FROM Invoice AS invoice
			JOIN Customer AS customer ON customer.CustomerId = invoice.CustomerId
			LEFT JOIN Employee AS employee ON employee.EmployeeId = customer.SupportRepId
			GROUP BY employee.EmployeeId ORDER BY sales DESC, employee.LastName, employee.FirstName, employee.EmployeeId`,
		columns: []column{{"employee", asText}, {"title", asText}, {"customers", asCount}, {"invoices", asCount}, {"sales", asMoney}},
		total:   true,
	},
}

// writeReports prints all reports, each after an empty line and its title.
func writeReports(ctx context.Context, q querier, w io.Writer) error {
	for i := range reports {
		r := &reports[i]
		g, err := r.run(ctx, q)
		if err != nil {
			return fmt.Errorf("report %q: %w", r.title, err)
		}
		if _, err := fmt.Fprintf(w, "\n%s\n\n", r.title); err != nil {
			return err
		}
		if err := g.write(w); err != nil {
			return err
		}
	}
	return nil
}

// run queries the report's rows and puts them into a grid.
func (r *report) run(ctx context.Context, q querier) (*grid, error) {
	rows, err := q.QueryContext(ctx, r.query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if r.pivot {
		return pivot(rows, r.columns[0])
	}
	g := &grid{columns: r.columns}
	sums := make([]int64, len(r.columns))
	for rows.Next() {
		cells, err := scan(rows, r.columns, sums)
		if err != nil {
			return nil, err
		}
		g.rows = append(g.rows, cells)
	}
	if r.total {
		g.rows = append(g.rows, totals(r.columns, sums))
	}
	return g, rows.Err()
}

// scan reads a row, and adds its numbers to sums.
func scan(rows *sql.Rows, columns []column, sums []int64) ([]string, error) {
	texts := make([]sql.NullString, len(columns))
	numbers := make([]int64, len(columns))
	targets := make([]any, len(columns))
	for i, c := range columns {
		if targets[i] = &numbers[i]; c.kind == asText {
			targets[i] = &texts[i]
		}
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, err
	}
	cells := make([]string, len(columns))
	for i, c := range columns {
		if c.kind == asText {
			cells[i] = shown(texts[i])
			continue
		}
		cells[i] = c.kind.format(numbers[i])
		sums[i] += numbers[i]
	}
	return cells, nil
}

func shown(s sql.NullString) string {
	if !s.Valid {
		return "(none)"
	}
	return s.String
}

// totals is the last line. Shares are left out: rounded, they need not add up.
func totals(columns []column, sums []int64) []string {
	cells := make([]string, len(columns))
	cells[0] = total
	for i, c := range columns {
		if c.kind == asCount || c.kind == asMoney {
			cells[i] = c.kind.format(sums[i])
		}
	}
	return cells
}
