package cluster

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Options describes a cluster to [New]. Fields without a stated default are
// taken as they are; a zero duration means what its field says.
type Options[C Conn] struct {
	// Seeds are the addresses, host:port, from which the cluster is entered,
	// in order of preference for the in_order policy. At least one.
	Seeds []string
	// Dial opens a session on the node at addr, including name resolution,
	// handshake and authentication, and returns what the node reported. It
	// is called with the host name each time, so that a changed address is
	// found by the next dial. It must return once ctx ends. An error that
	// implements interface{ Permanent() bool } and answers true is one that
	// trying again cannot heal (credentials, protocol version, certificate).
	Dial func(ctx context.Context, addr string) (C, Report, error)
	// DialMonitor opens a monitor session on the node at addr, under the
	// same rules as Dial.
	DialMonitor func(ctx context.Context, addr string) (Monitor, Report, error)

	// MinConns is how many sessions are kept open over all healthy nodes,
	// at most MaxConns. 0: none.
	MinConns int
	// MaxConns limits the sessions over all nodes, counting those being
	// opened and those being closed; monitors come on top. At least 1.
	MaxConns int
	// IdleTimeout closes a session that nobody used for so long, as long as
	// more than MinConns are open. 0: never.
	IdleTimeout time.Duration
	// MaxLifetime closes a session of this age, less up to a tenth drawn at
	// random, once it is free. 0: never.
	MaxLifetime time.Duration
	// AcquireTimeout bounds the wait in Acquire. 0: only the context does.
	AcquireTimeout time.Duration
	// ConnectTimeout bounds each Dial and DialMonitor. Must be positive.
	ConnectTimeout time.Duration
	// HealthInterval is the time between two checks of a node, varied by a
	// tenth at random. 0: a node is checked only when there is a reason to.
	HealthInterval time.Duration
	// HealthTimeout is how long a check waits before the node counts as
	// down. Must be positive.
	HealthTimeout time.Duration
	// ShutdownGrace is how long Close lets leased sessions finish. 0: none.
	ShutdownGrace time.Duration

	// Retry is the schedule of [Cluster.Retry].
	Retry Backoff
	// Policy orders the nodes for each request. Default [LeastLoaded].
	Policy Policy
	// Discover adds nodes that the cluster reports, and removes those that
	// have left it. False: Seeds alone are used.
	Discover bool
	// DialsPerNode limits the sessions that are being opened on one node at
	// a time, monitors not counted. Default 2.
	DialsPerNode int

	// Seed makes random choices repeatable in tests. Default 0: random.
	Seed uint64
	// CaptureStacks records where each lease was acquired, for the error
	// that reports an exhausted pool. It costs about a microsecond each.
	CaptureStacks bool
	// OnEvent, when set, is called for each event by one goroutine, in
	// order. While it does not return further events are held back, and
	// dropped when more than 256 wait; [Stats] counts them. It must not call
	// Close.
	OnEvent func(Event)
}

// validate fills in defaults and reports the first option that makes no sense.
func (o *Options[C]) validate() error {
	if o.Policy == nil {
		o.Policy = LeastLoaded()
	}
	if o.DialsPerNode == 0 {
		o.DialsPerNode = 2
	}
	seeds := make([]string, 0, len(o.Seeds))
	for _, s := range o.Seeds {
		if s == "" {
			return fmt.Errorf("cluster: options: Seeds holds an empty address, want host:port")
		}
		if !slices.Contains(seeds, s) {
			seeds = append(seeds, s)
		}
	}
	o.Seeds = seeds
	switch {
	case len(seeds) == 0:
		return fmt.Errorf("cluster: options: Seeds is empty, want at least one host:port")
	case o.Dial == nil:
		return fmt.Errorf("cluster: options: Dial is missing")
	case o.DialMonitor == nil:
		return fmt.Errorf("cluster: options: DialMonitor is missing")
	case o.MaxConns < 1 || o.MaxConns > math.MaxInt32:
		return fmt.Errorf("cluster: options: MaxConns is %d, want 1 to %d", o.MaxConns, math.MaxInt32)
	case o.MinConns < 0 || o.MinConns > o.MaxConns:
		return fmt.Errorf("cluster: options: MinConns is %d, want 0 to MaxConns, %d", o.MinConns, o.MaxConns)
	case o.DialsPerNode < 0:
		return fmt.Errorf("cluster: options: DialsPerNode is %d, want at least 1, or 0 for 2", o.DialsPerNode)
	}
	if err := o.validateTimes(); err != nil {
		return err
	}
	return o.Retry.validate()
}

func (o *Options[C]) validateTimes() error {
	for _, d := range []struct {
		name     string
		value    time.Duration
		positive bool
	}{
		{"IdleTimeout", o.IdleTimeout, false},
		{"MaxLifetime", o.MaxLifetime, false},
		{"AcquireTimeout", o.AcquireTimeout, false},
		{"ConnectTimeout", o.ConnectTimeout, true},
		{"HealthInterval", o.HealthInterval, false},
		{"HealthTimeout", o.HealthTimeout, true},
		{"ShutdownGrace", o.ShutdownGrace, false},
	} {
		if d.value < 0 {
			return fmt.Errorf("cluster: options: %s is %v, want no negative time", d.name, d.value)
		}
		if d.positive && d.value == 0 {
			return fmt.Errorf("cluster: options: %s is 0, want a positive time", d.name)
		}
	}
	return nil
}
