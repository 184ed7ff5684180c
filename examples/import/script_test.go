package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/memdb"
	"pgregory.net/rapid"
)

// statements reads all of a script; err is nil at its end.
func statements(r io.Reader, limit int) (all []statement, err error) {
	s := newScript(r, limit)
	for {
		st, err := s.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, st)
	}
}

func texts(all []statement) (out []string) {
	for _, st := range all {
		out = append(out, st.text)
	}
	return out
}

const trigger = `CREATE TRIGGER log_it AFTER INSERT ON t WHEN new.a > 0 BEGIN
  INSERT INTO log VALUES (new.a, CASE WHEN new.a > 1 THEN 'many; really' ELSE 'one' END);
  -- END;
  UPDATE log SET n = CASE n WHEN 1 THEN 2 END;
END`

// cuts are scripts that SQLite accepts, and how they are to be cut. The tables
// that they use exist.
var cuts = []struct {
	name, script string
	want         []string
}{
	{"an empty script has none", "", nil},
	{"only spaces and comments", " \r\n\t\f-- a;\n/* b; */ ;; /**/", nil},
	{"two on a line", "SELECT 1;SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
	{"the last semicolon missing", "SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
	{"spaces and a comment instead of the last semicolon", "SELECT 1 -- done\n", []string{"SELECT 1"}},
	{"a comment at the very end", "SELECT 1 -- done;", []string{"SELECT 1"}},
	{"empty statements", ";;SELECT 1;;\n;SELECT 2;;", []string{"SELECT 1", "SELECT 2"}},
	{"doubled quotes", `SELECT 'it''s; so', '''', '';SELECT 2`, []string{`SELECT 'it''s; so', '''', ''`, "SELECT 2"}},
	{"a backslash escapes nothing", `SELECT '\';SELECT 2`, []string{`SELECT '\'`, "SELECT 2"}},
	{"quoted names", `SELECT 1 AS "a;""b;";SELECT 2`, []string{`SELECT 1 AS "a;""b;"`, "SELECT 2"}},
	{"bracketed names", `SELECT 1 AS [a;'"b];SELECT 2`, []string{`SELECT 1 AS [a;'"b]`, "SELECT 2"}},
	{"ticked names", "SELECT 1 AS `a;``b`;SELECT 2", []string{"SELECT 1 AS `a;``b`", "SELECT 2"}},
	{"a quote in a comment", "SELECT 1 -- don't;\n+ 1;SELECT 2", []string{"SELECT 1 -- don't;\n+ 1", "SELECT 2"}},
	{"a block comment inside", "SELECT /* ; ' */ 1;SELECT 2", []string{"SELECT /* ; ' */ 1", "SELECT 2"}},
	{"a comment of stars", "/***/SELECT 1/*;*//****;**/;SELECT 2", []string{"SELECT 1", "SELECT 2"}},
	{"a slash that closes nothing", "SELECT 1 /*/;*/ + 1;SELECT 2", []string{"SELECT 1 /*/;*/ + 1", "SELECT 2"}},
	{"minus and division are no comments", "SELECT 4 - -2 / 2;SELECT 2", []string{"SELECT 4 - -2 / 2", "SELECT 2"}},
	{"comment marks in a string", "SELECT '--', '/*';SELECT 2", []string{"SELECT '--', '/*'", "SELECT 2"}},
	{"CRLF", "SELECT 1;\r\n-- x;\r\nSELECT\r\n'a\r\nb';\r\n", []string{"SELECT 1", "SELECT\r\n'a\r\nb'"}},
	{"a byte order mark", "\ufeffSELECT 1;SELECT 2", []string{"SELECT 1", "SELECT 2"}},
	{"a byte order mark where scripts were joined", "SELECT 1;\n\ufeffSELECT 2", []string{"SELECT 1", "SELECT 2"}},
	{"other alphabets", "SELECT 'Helena Holý' AS größe;SELECT '日本; 語'", []string{"SELECT 'Helena Holý' AS größe", "SELECT '日本; 語'"}},
	{"a trigger", trigger + ";SELECT 2;", []string{trigger, "SELECT 2"}},
	{"a trigger at the end without its semicolon", trigger, []string{trigger}},
	{"a temporary trigger", "create temp trigger x after delete on t begin select 1; end; SELECT 2",
		[]string{"create temp trigger x after delete on t begin select 1; end", "SELECT 2"}},
	{"comments around a trigger's words", "CREATE/**/TEMPORARY --\nTRIGGER x DELETE ON t BEGIN SELECT 1;/*;*/END--;\n;SELECT 2",
		[]string{"CREATE/**/TEMPORARY --\nTRIGGER x DELETE ON t BEGIN SELECT 1;/*;*/END", "SELECT 2"}},
	{"an explained trigger", "EXPLAIN QUERY PLAN CREATE TRIGGER y DELETE ON t BEGIN SELECT 1; END; SELECT 2",
		[]string{"EXPLAIN QUERY PLAN CREATE TRIGGER y DELETE ON t BEGIN SELECT 1; END", "SELECT 2"}},
	{"a trigger with the name of a keyword", "CREATE TRIGGER [end] DELETE ON t BEGIN SELECT 1 AS [END]; SELECT 2; END; SELECT 2",
		[]string{"CREATE TRIGGER [end] DELETE ON t BEGIN SELECT 1 AS [END]; SELECT 2; END", "SELECT 2"}},
	{"a table named trigger", "CREATE TABLE [trigger] (a); INSERT INTO [trigger] VALUES (1); SELECT 2",
		[]string{"CREATE TABLE [trigger] (a)", "INSERT INTO [trigger] VALUES (1)", "SELECT 2"}},
	{"transactions", "BEGIN; INSERT INTO t VALUES (1); END; BEGIN TRANSACTION; COMMIT",
		[]string{"BEGIN", "INSERT INTO t VALUES (1)", "END", "BEGIN TRANSACTION", "COMMIT"}},
	{"a view with CASE and END", "CREATE VIEW v AS SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 2",
		[]string{"CREATE VIEW v AS SELECT CASE 1 WHEN 1 THEN 2 END", "SELECT 2"}},
}

func TestScriptsAreCutIntoTheirStatements(t *testing.T) {
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			all, err := statements(strings.NewReader(c.script), maxStatement)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(all)); diff != "" {
				t.Errorf("statements (-want +got):\n%s", diff)
			}
		})
	}
}

// newSQLite opens a database in memory of SQLite itself.
func newSQLite(t *testing.T) *sqlite3.Conn {
	t.Helper()
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// cutBySQLite runs a script and gives how often SQLite itself finds a statement,
// and where in the script each ends.
func cutBySQLite(t *testing.T, db *sqlite3.Conn, sql string) (ends []int) {
	t.Helper()
	for rest := sql; rest != ""; {
		stmt, tail, err := db.Prepare(rest)
		if err != nil {
			t.Fatalf("%v in %q", err, rest)
		}
		if stmt == nil { // nothing but space; the tail may still be an empty statement's
			if tail == rest {
				break
			}
			rest = tail
			continue
		}
		ends = append(ends, len(sql)-len(tail))
		if err := errors.Join(stmt.Exec(), stmt.Close()); err != nil {
			t.Fatal(err)
		}
		rest = tail
	}
	return ends
}

// endsOf gives where the statements end by our reckoning: behind the semicolon,
// as far as there is one.
func endsOf(all []statement, sql string) (ends []int) {
	for _, st := range all {
		end := int(st.at) + len(st.text)
		if rest := afterSpace(sql[end:]); rest != "" {
			end = len(sql) - len(rest) + len(";")
		} else {
			end = len(sql)
		}
		ends = append(ends, end)
	}
	return ends
}

func TestScriptsAreCutWhereSQLiteCutsThem(t *testing.T) {
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			db := newSQLite(t)
			if err := db.Exec("CREATE TABLE t (a); CREATE TABLE log (n, s)"); err != nil {
				t.Fatal(err)
			}
			all, err := statements(strings.NewReader(c.script), maxStatement)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(cutBySQLite(t, db, c.script), endsOf(all, c.script)); diff != "" {
				t.Errorf("ends of statements (-SQLite +here):\n%s", diff)
			}
		})
	}
}

func TestChinookIsCutWhereSQLiteCutsIt(t *testing.T) {
	sql := chinook(t)
	all, err := statements(strings.NewReader(sql), maxStatement)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cutBySQLite(t, newSQLite(t), sql), endsOf(all, sql)); diff != "" {
		t.Errorf("ends of statements (-SQLite +here):\n%s", diff)
	}
}

// chinookPath is where the Chinook script is, beside the repository.
var chinookPath = filepath.Join("..", "..", "..", "shared", "data", "chinook.sql")

// chinook gives the Chinook script, or skips the test.
func chinook(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(chinookPath)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("needs the Chinook script for SQLite (github.com/lerocha/chinook-database) as %s", chinookPath)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStatementsKnowTheirLineAndOffset(t *testing.T) {
	const sql = "\ufeff-- one\r\nSELECT 1;\r\n\r\n/* three\n */ SELECT\n2; SELECT 3"
	all, err := statements(strings.NewReader(sql), maxStatement)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range all {
		got = append(got, fmt.Sprint(st.line, sql[st.at:][:len(st.text)]))
	}
	if diff := cmp.Diff([]string{"2SELECT 1", "5SELECT\n2", "6SELECT 3"}, got); diff != "" {
		t.Errorf("lines and texts (-want +got):\n%s", diff)
	}
}

func TestStatementsKnowHowTheyBegin(t *testing.T) {
	all, err := statements(strings.NewReader("/* x */ rollback/**/to --\nsavepoint 'a''b' ; SELECT 1,2,3,4,5"), maxStatement)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"rollback", "to", "savepoint", "'a''b'"}, {"SELECT", "1", ",", "2", ",", "3"}}
	if diff := cmp.Diff(want, [][]string{all[0].head, all[1].head}); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
}

func TestWhatIsNeverClosedIsAnErrorThatNamesItsLine(t *testing.T) {
	for script, mark := range map[string]string{
		"SELECT 1;\nSELECT\n'a;\n\n": "'",
		"SELECT 1;\n\n\"a''":         `"`,
		"\n\n[a\n":                   "[",
		"--\n\n`a``":                 "`",
		"SELECT 1;\n\n/* a *\n":      "/*",
		"SELECT 1;\n\n/*/":           "/*",
	} {
		_, err := statements(strings.NewReader(script), maxStatement)
		var fault *scriptError
		if !errors.As(err, &fault) || fault.line != 3 || !strings.Contains(fault.reason, mark+" is never closed") {
			t.Errorf("%q: %+v, want that %s in line 3 is never closed", script, err, mark)
		}
	}
}

func TestAStatementOverTheLimitIsAnErrorAndCommentsAreNot(t *testing.T) {
	if all, err := statements(strings.NewReader("/* much longer than ten */ SELECT 123; SELECT 456"), 11); err != nil || len(all) != 2 {
		t.Errorf("%d statements, %v; want 2 within the limit", len(all), err)
	}
	_, err := statements(strings.NewReader("SELECT 1;\nSELECT 1234"), 10)
	if fault, ok := errors.AsType[*scriptError](err); !ok || fault.line != 2 || !strings.Contains(err.Error(), "longer than 10 bytes") {
		t.Errorf("%v, want an error about line 2", err)
	}
}

func TestUTF16IsAnErrorThatSaysSo(t *testing.T) {
	for _, script := range []string{"\xff\xfeS\x00", "\xfe\xff\x00S"} {
		if _, err := statements(strings.NewReader(script), maxStatement); !errors.Is(err, errUTF16) {
			t.Errorf("%q: %v, want errUTF16", script, err)
		}
	}
}

// metered counts what is read of a script of that many bytes without end to it.
type metered struct {
	left, read int64
}

func (m *metered) Read(p []byte) (int, error) {
	const line = "INSERT INTO t VALUES ('a; row');\n"
	if m.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		at := int(m.read) % len(line)
		k := copy(p[n:], line[at:])
		n += k
		m.read += int64(k)
	}
	m.left -= int64(n)
	return n, nil
}

func TestAScriptIsReadAsItIsRun(t *testing.T) {
	m := &metered{left: 2 << 20}
	s := newScript(m, maxStatement)
	for {
		_, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && m.left > 0 {
			t.Fatal(err)
		}
		if err != nil {
			break // the last line may be cut in its text
		}
		if ahead := m.read - s.offset; ahead > 128<<10 {
			t.Fatalf("%d bytes are read ahead", ahead)
		}
	}
	if m.read < 2<<20 || cap(s.text) > 4<<10 {
		t.Errorf("after %d bytes there is room for %d kept, want one statement", m.read, cap(s.text))
	}
}

func TestReadErrorsArePassedOn(t *testing.T) {
	want := errors.New("the disk is gone")
	for _, script := range []string{"", "SELECT 1", "SELECT 'a", "/* a", "SELECT 1; "} {
		if _, err := statements(io.MultiReader(strings.NewReader(script), &failing{want}), maxStatement); !errors.Is(err, want) {
			t.Errorf("after %q: %v, want the reader's error", script, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// pieces that a statement may be made of, anywhere.
var pieces = rapid.SampledFrom([]string{
	"SELECT", "a", "=", "'x''y'", "';'", `"q;"`, "[b;]", "`t;`", "(", ")", "1.5e3", "CASE", "END", "BEGIN", "x'00'", ":p", "-", "/", "*", "größe",
	"/* ; */", "-- ;\n", "/**/",
})

var gaps = rapid.SampledFrom([]string{" ", "\n", "\r\n", "\t", " /* ' ; */ ", " -- it's;\n", " \ufeff", "\f"})

// drawStatement draws a statement that ends at its semicolon and not before.
func drawStatement(t *rapid.T) string {
	words := func(n int) (s string) {
		for range rapid.IntRange(1, n).Draw(t, "words") {
			s += gaps.Draw(t, "gap") + pieces.Draw(t, "piece")
		}
		return s
	}
	if rapid.Bool().Draw(t, "plain") {
		return rapid.SampledFrom([]string{"INSERT", "select", "WITH", "CREATE TABLE", "CREATE TEMP VIEW", "BEGIN", "END", "(", "EXPLAIN SELECT"}).Draw(t, "verb") + words(8) + " z"
	}
	s := rapid.SampledFrom([]string{"CREATE TRIGGER", "create\ntemp trigger", "EXPLAIN CREATE TEMPORARY--\nTRIGGER"}).Draw(t, "verb") + words(5) + " BEGIN"
	for range rapid.IntRange(1, 4).Draw(t, "inner") {
		s += gaps.Draw(t, "gap") + "UPDATE" + words(6) + " ;"
	}
	return s + gaps.Draw(t, "gap") + rapid.SampledFrom([]string{"END", "end"}).Draw(t, "end")
}

func TestScriptsPutTogetherComeApartAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(drawStatement)).Draw(t, "statements")
		var sql strings.Builder
		for i, st := range want {
			sql.WriteString(gaps.Draw(t, "before") + st)
			if i < len(want)-1 || rapid.Bool().Draw(t, "last semicolon") {
				sql.WriteString(gaps.Draw(t, "after") + ";")
			}
		}
		all, err := statements(strings.NewReader(sql.String()), maxStatement)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append([]string{}, texts(all)...)); diff != "" {
			t.Fatalf("statements (-want +got):\n%s", diff)
		}
	})
}
