// Import loads an SQL script into a cluster and prints what is in its tables then:
//
//	go run ./examples/import chinook.sql
//	go run ./examples/import -report chinook chinook.sql
//	go run ./examples/import -dsn qdb://127.0.0.1:7000 chinook.sql
//
// The flag -h explains the rest. How it is done:
//
//	script.go, lexer.go   cut the file into statements, without reading it whole
//	load.go               sends them through database/sql, in transactions
//	transaction.go        follows those that the script itself begins and ends
//	tables.go, report.go  query what is there, on one snapshot
//	pivot.go, grid.go     lay it out; progress.go shows how far the loading is
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells report it: 128 + SIGINT
)

const usage = `usage: import [flags] script.sql

Runs the statements of an SQL script (SQLite's dialect) one by one and prints the
tables with their row counts. Rows that the script's own queries return are dropped.

flags:
  -dsn DSN          the cluster to load into. Without the flag: three nodes of its
                    own, in this process and in memory, which end with it. With an
                    empty DSN (-dsn ""): the one in the environment variable QDB_DSN
  -report chinook   print five reports on the Chinook data afterwards
  -group N          how many statements share a transaction (default 500)
  -foreign-keys=false
                    check foreign keys at the end instead of as each statement runs,
                    for a script that drops or fills tables in another order than
                    their references ask for
  -h                print this

transactions:
  Statements are committed in groups, for speed. PRAGMA, VACUUM, ATTACH and DETACH
  run outside of them: the group before them is committed. Where the script has
  transactions of its own (BEGIN or SAVEPOINT until COMMIT, END, ROLLBACK or
  RELEASE), they are carried out as written, on one connection. When a statement
  fails, its group or the script's transaction is rolled back, and nothing more is
  run; groups that were committed before stay.

exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C)
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	script      string
	dsn         string
	ownCluster  bool
	report      string
	group       int
	foreignKeys bool
}

// run is main with its surroundings as arguments. It gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitDone
	case err != nil:
		fmt.Fprintf(stderr, "import: %v\n\n%s", err, usage)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the program the hard way.
	defer context.AfterFunc(ctx, stop)()
	if err := importScript(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "import: %v\n", err)
		if ctx.Err() != nil {
			return exitInterrupted
		}
		return exitFailed
	}
	return exitDone
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("import", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.dsn, "dsn", "", "")
	fs.StringVar(&o.report, "report", "", "")
	fs.IntVar(&o.group, "group", 500, "")
	fs.BoolVar(&o.foreignKeys, "foreign-keys", true, "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.ownCluster = true
	fs.Visit(func(f *flag.Flag) {
		if f.Name == "dsn" {
			o.ownCluster = false
		}
	})
	switch {
	case fs.NArg() == 0:
		return o, errors.New("which script? name a file")
	case fs.NArg() > 1:
		return o, fmt.Errorf("one script at a time, and flags before it: %q is too much", fs.Arg(1))
	case o.group < 1:
		return o, fmt.Errorf("-group %d: want 1 or more", o.group)
	case o.report != "" && o.report != "chinook":
		return o, fmt.Errorf("-report %s: the only report is chinook", o.report)
	}
	o.script = fs.Arg(0)
	return o, nil
}

// importScript does all of it: the file, the cluster, the statements, the output.
func importScript(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	file, size, err := openScript(o.script)
	if err != nil {
		return err
	}
	defer file.Close()
	if o.ownCluster {
		cluster, err := testserver.New(testserver.Options{Nodes: 3})
		if err != nil {
			return err
		}
		defer closing(cluster, &err)
		o.dsn = cluster.DSN()
	}
	db, err := sql.Open(qdb.DriverName, o.dsn)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	began := time.Now()
	statements, err := loadScript(ctx, db, o, file, newProgress(stderr, o.script, size))
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "import: %d statements of %s in %v\n", statements, o.script, time.Since(began).Round(time.Millisecond))
	return show(ctx, db, o.report, stdout)
}

// openScript opens the file and gives its size, or 0 where that says nothing.
func openScript(name string) (*os.File, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name a file", name)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return file, 0, nil
	}
	return file, info.Size(), nil
}

// closing closes c and adds its error to *err.
func closing(c io.Closer, err *error) { *err = errors.Join(*err, c.Close()) }
