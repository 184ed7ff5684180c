//go:build unix

package qdb_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// buildServer builds qdb-server once for all tests of this package.
var buildServer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "qdb-server-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "qdb-server")
	out, err := exec.Command("go", "build", "-o", path, "./testserver/cmd/qdb-server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build qdb-server: %w\n%s", err, out)
	}
	return path, nil
})

// process is a node in a process of its own.
type process struct {
	t     testing.TB
	addr  string
	args  []string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startProcesses starts n nodes, each in its own process, on one data file, and
// gives them with the DSN of all.
func startProcesses(t testing.TB, n int) ([]*process, string) {
	t.Helper()
	if _, err := buildServer(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data.db")
	addrs := freeAddresses(t, n)
	nodes := make([]*process, n)
	for i, addr := range addrs {
		var peers []string
		for _, p := range addrs {
			if p != addr {
				peers = append(peers, p)
			}
		}
		nodes[i] = &process{t: t, addr: addr, args: []string{"-listen", addr, "-node-id", fmt.Sprint(i + 1), "-data", data, "-peers", strings.Join(peers, ",")}}
		nodes[i].start()
		t.Cleanup(nodes[i].kill)
	}
	return nodes, "qdb://" + strings.Join(addrs, ",")
}

// freeAddresses finds ports that nobody listens on.
func freeAddresses(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// start runs the process and returns once it is ready.
func (p *process) start() {
	p.t.Helper()
	path, err := buildServer()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(path, p.args...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	var stderr strings.Builder
	p.cmd.Stderr = &stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "READY qdb://") {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.t.Fatalf("qdb-server printed %q (%v)\n%s", line, err, stderr.String())
	}
	ended := make(chan struct{})
	p.ended = ended
	cmd := p.cmd
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
}

// signal sends a signal to the process.
func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && p.cmd.ProcessState == nil {
		p.t.Errorf("signal %v to node %s: %v", s, p.addr, err)
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// drain ends the process as SIGTERM does, and waits for its end.
func (p *process) drain(ctx context.Context) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.t.Errorf("node %s has not ended after SIGTERM", p.addr)
	}
}
