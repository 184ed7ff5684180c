// Command qdb-server runs nodes of a qdb cluster over SQLite, for development
// and tests.
//
//	qdb-server -listen 127.0.0.1:7000 -nodes 3 -data cluster.db
//
// When all nodes accept connections it prints one line to standard output:
//
//	READY qdb://127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002
//
// which is a data source name for the driver. Everything else goes to standard
// error. SIGINT or SIGTERM drains the nodes: what is open may finish, what is
// new is refused; a second signal ends them at once. With -data, what was
// acknowledged survives kill -9.
//
// The exit status is 0 after a signal, 1 when the nodes cannot be started, and
// 2 when the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/qdb-go/qdb/testserver"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command, without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "qdb-server: %v\n", err)
		return 2
	}
	// Signals are heeded from before READY on: whoever waits for that line may
	// send one at once.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	opts.Logger = slog.New(slog.NewTextHandler(stderr, nil))
	cluster, err := testserver.New(opts)
	if err != nil {
		fmt.Fprintf(stderr, "qdb-server: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "READY %s\n", cluster.DSN())
	<-signals
	opts.Logger.Info("draining; a second signal ends at once")
	drain(cluster, signals)
	if err := cluster.Close(); err != nil {
		fmt.Fprintf(stderr, "qdb-server: %v\n", err)
		return 1
	}
	return 0
}

// drain drains the cluster, or returns at the next signal.
func drain(cluster *testserver.Cluster, signals <-chan os.Signal) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		cluster.Drain(ctx)
	}()
	select {
	case <-done:
	case <-signals:
	}
	cancel()
	<-done
}
