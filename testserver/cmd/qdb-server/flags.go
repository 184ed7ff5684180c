package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/qdb-go/qdb/testserver"
	"github.com/qdb-go/qdb/testserver/sqlite"
)

// flags are the command line's.
type flags struct {
	listen, peers, data, sync string
	nodes, nodeID             int

	user, password                  string
	tlsCert, tlsKey, tlsCA, tlsSelf string
	protocols                       string
	reference                       bool
	tokenTTL                        time.Duration
}

func (f *flags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.listen, "listen", "127.0.0.1:7000", "`address` of the first node; with port 0 every node gets a free port")
	fs.IntVar(&f.nodes, "nodes", 1, "`number` of nodes; the others get the next ports")
	fs.IntVar(&f.nodeID, "node-id", 1, "`number` of the first node; processes that share data need distinct ones")
	fs.StringVar(&f.peers, "peers", "", "`addresses`, separated by commas, of nodes that other processes run on the same data")
	fs.StringVar(&f.data, "data", "", "SQLite `file`; empty: in memory")
	fs.StringVar(&f.sync, "sync", "normal", "what an acknowledged commit survives: normal: the death of the process; full: the loss of power too; off: as normal, but the loss of power may corrupt the file")
	fs.StringVar(&f.user, "user", "", "`name` to authenticate as (not yet available)")
	fs.StringVar(&f.password, "password", "", "`password` of the user (not yet available)")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "certificate `file`, PEM (not yet available)")
	fs.StringVar(&f.tlsKey, "tls-key", "", "key `file`, PEM (not yet available)")
	fs.StringVar(&f.tlsCA, "tls-client-ca", "", "`file` of the authorities of client certificates, PEM (not yet available)")
	fs.StringVar(&f.tlsSelf, "tls-self-signed", "", "`folder` to write the authority of a certificate made for the purpose to (not yet available)")
	fs.StringVar(&f.protocols, "protocols", "tcp", "transports to serve, of tls,tcp,udp (only tcp is available yet)")
	fs.BoolVar(&f.reference, "reference", false, "serve reference mode (not yet available)")
	fs.DurationVar(&f.tokenTTL, "token-ttl", 0, "life of authentication tokens (not yet available)")
}

// parse makes options of the command line. Usage goes to usage.
func parse(args []string, usage io.Writer) (testserver.Options, error) {
	var f flags
	fs := flag.NewFlagSet("qdb-server", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f.define(fs)
	fs.Usage = func() {}
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			fs.SetOutput(usage)
			fmt.Fprintln(usage, "usage: qdb-server [flags]")
			fs.PrintDefaults()
		}
		return testserver.Options{}, err
	}
	if fs.NArg() > 0 {
		return testserver.Options{}, fmt.Errorf("unexpected argument %q: there are only flags", fs.Arg(0))
	}
	if err := unavailable(fs); err != nil {
		return testserver.Options{}, err
	}
	return f.options()
}

// unavailable refuses flags whose effect does not exist yet: to ignore one that
// is about security would be worse than to fail.
func unavailable(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "user", "password", "tls-cert", "tls-key", "tls-client-ca", "tls-self-signed", "reference", "token-ttl":
			err = fmt.Errorf("-%s is not yet available", f.Name)
		case "protocols":
			if f.Value.String() != "tcp" {
				err = fmt.Errorf("-protocols %s is not yet available: only tcp is", f.Value)
			}
		}
	})
	return err
}

func (f *flags) options() (testserver.Options, error) {
	o := testserver.Options{Listen: f.listen, Nodes: f.nodes, NodeIDBase: f.nodeID, Data: f.data}
	if f.nodes < 1 {
		return o, fmt.Errorf("-nodes is %d, want 1 or more", f.nodes)
	}
	if f.nodeID < 1 {
		return o, fmt.Errorf("-node-id is %d, want 1 or more", f.nodeID)
	}
	for addr := range strings.SplitSeq(f.peers, ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			o.Peers = append(o.Peers, addr)
		}
	}
	switch f.sync {
	case "normal":
		o.Sync = sqlite.SyncNormal
	case "full":
		o.Sync = sqlite.SyncFull
	case "off":
		o.Sync = sqlite.SyncOff
	default:
		return o, fmt.Errorf("-sync is %q, want normal, full or off", f.sync)
	}
	return o, nil
}
