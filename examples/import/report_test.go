package main

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shownBy gives what is printed of a database after loading.
func shownBy(t *testing.T, db *sql.DB, report string) string {
	t.Helper()
	var b strings.Builder
	if err := show(t.Context(), db, report, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// chinookInSQLite gives the Chinook data as SQLite itself has loaded it.
func chinookInSQLite(t *testing.T) *sql.DB {
	t.Helper()
	script := chinook(t)
	db := openSQLite(t)
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	return db
}

// What is known of the Chinook data, version 1.4.5, from elsewhere.
var chinookFacts = []string{
	`(?m)^Album +347$`, `(?m)^Artist +275$`, `(?m)^Customer +59$`, `(?m)^Employee +8$`, `(?m)^Genre +25$`, `(?m)^Invoice +412$`,
	`(?m)^InvoiceLine +2240$`, `(?m)^MediaType +5$`, `(?m)^Playlist +18$`, `(?m)^PlaylistTrack +8715$`, `(?m)^Track +3503$`,
	`(?m)^11 tables +15607$`,
	`(?m)^Iron Maiden +140 +138\.60$`,
	`(?m)^USA .* 523\.06$`, `(?m)^total .* 2328\.60$`,
	`(?m)^Helena Holý +Czech Republic +7 +49\.62$`,
	`(?m)^Rock +835 +826\.65 +35\.5%$`, `(?m)^total +2240 +2328\.60$`,
	`(?m)^Jane Peacock +Sales Support Agent +21 +146 +833\.04$`, `(?m)^total +59 +412 +2328\.60$`,
}

func checkFacts(t *testing.T, shown string) {
	t.Helper()
	for _, fact := range chinookFacts {
		if !regexp.MustCompile(fact).MatchString(shown) {
			t.Errorf("nothing matches %s", fact)
		}
	}
	if t.Failed() {
		t.Log(shown)
	}
}

func TestReportsOnChinookAreTrue(t *testing.T) {
	checkFacts(t, shownBy(t, chinookInSQLite(t), "chinook"))
}

const smallChinook = `
	CREATE TABLE Artist (ArtistId, Name); CREATE TABLE Album (AlbumId, ArtistId); CREATE TABLE Genre (GenreId, Name);
	CREATE TABLE Track (TrackId, AlbumId, GenreId); CREATE TABLE Employee (EmployeeId, FirstName, LastName, Title);
	CREATE TABLE Customer (CustomerId, FirstName, LastName, Country, SupportRepId);
	CREATE TABLE Invoice (InvoiceId, CustomerId, InvoiceDate, BillingCountry, Total);
	CREATE TABLE InvoiceLine (InvoiceId, TrackId, UnitPrice, Quantity);
	INSERT INTO Artist VALUES (1, 'B'), (2, 'A'); INSERT INTO Album VALUES (1, 1), (2, 2); INSERT INTO Genre VALUES (1, 'Rock');
	INSERT INTO Track VALUES (1, 1, 1), (2, 2, NULL);
	INSERT INTO Customer VALUES (1, 'Ann', 'Lee', NULL, NULL);
	INSERT INTO Invoice VALUES (1, 1, '2024-12-31 23:59:59', NULL, 0.3), (2, 1, '2025-01-01', 'Chile', 0.1), (3, 1, '2023-01-01', 'Chile', 0.2);
	INSERT INTO InvoiceLine VALUES (1, 1, 0.1, 3), (2, 2, 0.1, 3);`

func TestReportsShowWhatHasNoName(t *testing.T) {
	db := openSQLite(t)
	if _, err := loadText(t, db, 500, smallChinook); err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(shownBy(t, db, "chinook"), "\n\n")
	const want = `Top artists by revenue

artist  tracks  revenue
A            3     0.30
B            3     0.30

Sales per country and year

country  2023  2024  2025  total
(none)   0.00  0.30  0.00   0.30
Chile    0.20  0.00  0.10   0.30
total    0.20  0.30  0.10   0.60

Best customers

customer  country  invoices  spent
Ann Lee   (none)          3   0.60

Revenue per genre

genre   tracks  revenue  share
(none)       3     0.30  50.0%
Rock         3     0.30  50.0%
total        6     0.60

Sales of the support representatives

employee  title   customers  invoices  sales
(none)    (none)          1         3   0.60
total                     1         3   0.60
`
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestReportsOnNothingAreEmpty(t *testing.T) {
	db := openSQLite(t)
	if _, err := loadText(t, db, 500, smallChinook+"DELETE FROM InvoiceLine; DELETE FROM Invoice"); err != nil {
		t.Fatal(err)
	}
	if shown := shownBy(t, db, "chinook"); !strings.Contains(shown, "country  total\ntotal     0.00\n") {
		t.Errorf("got\n%s", shown)
	}
}

func TestTablesAreCountedWhateverTheirNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		_, err := loadText(t, db, 500, `CREATE TABLE "a ""b""" (x INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE [select] (x); CREATE TABLE sqliteX (x);
			CREATE VIEW v AS SELECT 1; CREATE TEMP TABLE tmp (x);
			INSERT INTO [select] VALUES (1), (2); INSERT INTO "a ""b""" VALUES (1)`)
		if err != nil {
			t.Fatal(err)
		}
		const want = "table     rows\na \"b\"        1\nselect       2\nsqliteX      0\n3 tables     3\n"
		if diff := cmp.Diff(want, shownBy(t, db, "")); diff != "" {
			t.Errorf("tables (-want +got):\n%s", diff)
		}
	})
}

func TestAReportOnOtherDataFailsByName(t *testing.T) {
	db := openSQLite(t)
	var b strings.Builder
	if err := show(t.Context(), db, "chinook", &b); err == nil || !strings.Contains(err.Error(), `report "Top artists by revenue"`) {
		t.Errorf("error %v, want one that names the report", err)
	}
	if !strings.Contains(b.String(), "0 tables") {
		t.Errorf("the tables were not shown first: %q", b.String())
	}
}
