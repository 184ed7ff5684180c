package main

import (
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/qdb-go/qdb/testserver"
	"github.com/qdb-go/qdb/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs the program.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// scriptFile makes a script file.
func scriptFile(t *testing.T, sql string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "script.sql")
	if err := os.WriteFile(name, []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWrongUsageIsExplainedWithExitCode2(t *testing.T) {
	for _, c := range []struct {
		args []string
		why  string
	}{
		{nil, "which script?"},
		{[]string{"-report", "chinook"}, "which script?"},
		{[]string{"a.sql", "-report", "chinook"}, `flags before it: "-report" is too much`},
		{[]string{"-report", "northwind", "a.sql"}, "-report northwind: the only report is chinook"},
		{[]string{"-group", "0", "a.sql"}, "-group 0: want 1 or more"},
		{[]string{"-group", "many", "a.sql"}, `"many"`},
		{[]string{"-fast", "a.sql"}, "-fast"},
	} {
		code, stdout, stderr := command(t, c.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.why) || !strings.HasSuffix(stderr, usage) {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q; want 2 and the usage after %q", c.args, code, stdout, stderr, c.why)
		}
	}
}

func TestHelpIsPrintedOnRequest(t *testing.T) {
	if code, stdout, stderr := command(t, "-h"); code != 0 || stdout != usage || stderr != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 0 and the usage", code, stdout, stderr)
	}
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "missing.sql"), t.TempDir()} {
		if code, _, stderr := command(t, name); code != 1 || !strings.Contains(stderr, name) {
			t.Errorf("exit code %d, stderr %q; want 1 and %s", code, stderr, name)
		}
	}
}

func TestAScriptIsLoadedIntoAClusterOfItsOwn(t *testing.T) {
	name := scriptFile(t, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")
	t.Setenv("QDB_DSN", "qdb://127.0.0.1:1") // not to be used
	code, stdout, stderr := command(t, name)
	if want := "table    rows\nt           2\n1 table     2\n"; code != 0 || stdout != want {
		t.Errorf("exit code %d, stdout %q, want 0 and %q", code, stdout, want)
	}
	if !strings.HasPrefix(stderr, "import: 2 statements of "+name+" in ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr is %q, want one line on 2 statements", stderr)
	}
}

func TestTheClusterCanBeNamed(t *testing.T) {
	cluster := testserver.Start(t, testserver.Options{Nodes: 3})
	name := scriptFile(t, "CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)")
	if code, stdout, stderr := command(t, "-dsn", cluster.DSN(), name); code != 0 || !strings.Contains(stdout, "1 table     1\n") {
		t.Errorf("by flag: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	t.Setenv("QDB_DSN", cluster.DSN())
	if code, stdout, stderr := command(t, "-dsn", "", name); code != 0 || !strings.Contains(stdout, "1 table     2\n") {
		t.Errorf("by the environment: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, _, stderr := command(t, "-dsn", "qdb://127.0.0.1:1?colour=red", name); code != 1 || !strings.Contains(stderr, "colour") {
		t.Errorf("with a wrong DSN: exit code %d, stderr %q", code, stderr)
	}
}

func TestAClusterOutOfReachIsNotTheScriptsFault(t *testing.T) {
	cluster := testserver.Start(t, testserver.Options{Nodes: 1})
	dsn := cluster.DSN()
	if err := cluster.Close(); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := command(t, "-dsn", dsn+"?pool_acquire_timeout=200ms", scriptFile(t, "SELECT 1"))
	if code != 1 || !strings.HasPrefix(stderr, "import: connect: ") || !strings.Contains(stderr, "SQLSTATE 08001") {
		t.Errorf("exit code %d, stderr %q; want 1 and that it cannot connect", code, stderr)
	}
}

func TestAFailingStatementIsNamedWithItsSQLSTATE(t *testing.T) {
	name := scriptFile(t, "CREATE TABLE t (a PRIMARY KEY);\nINSERT INTO t VALUES (1);\n\nINSERT INTO t\n\tVALUES (1);\n")
	code, stdout, stderr := command(t, name)
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d, stdout %q; want 1 and nothing", code, stdout)
	}
	for _, part := range []string{"import: " + name + ":4: INSERT INTO t VALUES (1): ", "SQLSTATE 23505", "; everything from line 1 on is rolled back\n"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr is %q, want %q in it", stderr, part)
		}
	}
}

func TestAFaultWithinALongStatementIsNamedByItsLine(t *testing.T) {
	_, _, stderr := command(t, scriptFile(t, "SELECT 1;\nCREATE TABLE t (\n  a INTEGER,\n  b INTEGER nonsense +\n);"))
	for _, part := range []string{":2: CREATE TABLE t (", "in line 4: ", "SQLSTATE 42601"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr is %q, want %q in it", stderr, part)
		}
	}
}

// requests notes what the nodes are asked, as one word each.
type requests struct {
	mu  sync.Mutex
	all []string
}

func (r *requests) note(q testserver.Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case q.Monitor:
	case q.Type == wire.TypeTransaction && q.Op == wire.TxBegin:
		r.all = append(r.all, "begin")
	case q.Type == wire.TypeTransaction && q.Op == wire.TxCommit:
		r.all = append(r.all, "commit")
	case q.Type == wire.TypeExecute:
		r.all = append(r.all, strings.ToLower(strings.Fields(q.SQL)[0]))
	}
	return nil
}

func TestStatementsShareTransactionsOfTheGivenSize(t *testing.T) {
	var r requests
	cluster := testserver.Start(t, testserver.Options{Nodes: 3, OnRequest: r.note})
	script := "CREATE TABLE t (a);" + strings.Repeat("INSERT INTO t VALUES (1);", 3) + "PRAGMA user_version = 1; DELETE FROM t; BEGIN; DELETE FROM t; COMMIT; UPDATE t SET a = 2"
	if code, _, stderr := command(t, "-group", "3", "-dsn", cluster.DSN(), scriptFile(t, script)); code != 0 {
		t.Fatal(stderr)
	}
	const want = "begin create insert insert commit begin insert commit pragma begin delete commit begin delete commit begin update commit"
	r.mu.Lock()
	defer r.mu.Unlock()
	loading, _, _ := strings.Cut(strings.Join(r.all, " "), " begin select")
	if diff := cmp.Diff(strings.Fields(want), strings.Fields(loading)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestChinookIsImportedWithTheReportsThatSQLiteItselfGives(t *testing.T) {
	want := shownBy(t, chinookInSQLite(t), "chinook")
	code, stdout, stderr := command(t, "-report", "chinook", chinookPath)
	if code != 0 {
		t.Fatal(stderr)
	}
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("what is shown (-SQLite +import):\n%s", diff)
	}
	checkFacts(t, stdout)
}

func TestChinookCanBeImportedAgain(t *testing.T) {
	chinook(t) // or skip
	cluster := testserver.Start(t, testserver.Options{Nodes: 3})
	if code, _, stderr := command(t, "-dsn", cluster.DSN(), chinookPath); code != 0 {
		t.Fatal(stderr)
	}
	// The script drops tables that others refer to.
	if code, _, stderr := command(t, "-dsn", cluster.DSN(), chinookPath); code != 1 || !strings.Contains(stderr, "SQLSTATE 23503") || !strings.Contains(stderr, "-foreign-keys=false") {
		t.Errorf("with foreign keys: exit code %d, stderr %q; want 1 and the flag", code, stderr)
	}
	code, stdout, stderr := command(t, "-foreign-keys=false", "-dsn", cluster.DSN(), chinookPath)
	if code != 0 || !strings.Contains(stdout, "11 tables      15607\n") {
		t.Fatalf("exit code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	db, err := sql.Open("qdb", cluster.DSN())
	expectValues(t, opened(t, db, err), "SELECT sum(CAST(round(Total * 100) AS INTEGER)) FROM Invoice", "232860")
}

func TestCtrlCEndsCleanly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send itself an interrupt on Windows")
	}
	interrupt := func(q testserver.Request) error {
		if !strings.Contains(q.SQL, "recursive") {
			return nil
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		return err
	}
	cluster := testserver.Start(t, testserver.Options{Nodes: 3, OnRequest: interrupt})
	const endless = "WITH recursive n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	name := scriptFile(t, "CREATE TABLE t (a);\nPRAGMA user_version;\nINSERT INTO t VALUES (1);\n"+endless+";")
	code, stdout, stderr := command(t, "-dsn", cluster.DSN(), name)
	if code != 130 || stdout != "" || !strings.Contains(stderr, ":4: WITH recursive") || !strings.Contains(stderr, "; everything from line 3 on is rolled back") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 130 and where it stopped", code, stdout, stderr)
	}
	if code, stdout, stderr = command(t, "-dsn", cluster.DSN(), scriptFile(t, "SELECT 1")); !strings.Contains(stdout, "\nt           0\n") {
		t.Errorf("afterwards: exit code %d, stdout %q, stderr %q; want t without rows", code, stdout, stderr)
	}
}

func TestAContextThatHasEndedIsAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	if code := run(ctx, []string{scriptFile(t, "SELECT 1")}, io.Discard, &stderr); code != 130 {
		t.Errorf("exit code %d, stderr %q; want 130", code, stderr.String())
	}
}

func TestANodeThatDiesTakesItsGroupAlong(t *testing.T) {
	fatal, loaded := make(chan string, 1), make(chan struct{})
	cluster := testserver.Start(t, testserver.Options{Nodes: 3, OnRequest: func(q testserver.Request) error {
		if strings.Contains(q.SQL, "'fatal'") {
			fatal <- q.Node
			<-loaded // no answer comes before the connection is cut
		}
		return nil
	}})
	var killer sync.WaitGroup
	killer.Go(func() {
		var id string
		select {
		case id = <-fatal:
		case <-loaded:
		}
		for _, n := range cluster.Nodes() {
			if n.ID() == id {
				n.Kill()
			}
		}
	})
	name := scriptFile(t, "CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nINSERT INTO t VALUES ('fatal');\n")
	code, _, stderr := command(t, "-group", "2", "-dsn", cluster.DSN(), name)
	close(loaded)
	killer.Wait()
	if code != 1 || !strings.Contains(stderr, ":4: INSERT INTO t VALUES ('fatal'): ") || !strings.Contains(stderr, "SQLSTATE 08006") ||
		!strings.Contains(stderr, "; everything from line 3 on is rolled back") {
		t.Errorf("exit code %d, stderr %q; want 1 and what was lost", code, stderr)
	}
	code, stdout, stderr := command(t, "-dsn", cluster.DSN(), scriptFile(t, "SELECT 1"))
	if code != 0 || !strings.Contains(stdout, "\nt           1\n") {
		t.Errorf("on the nodes that are left: exit code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
}
