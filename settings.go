package qdb

import (
	"time"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// clusterOptions gives the pool's options.
func (c *Connector) clusterOptions() cluster.Options[*session.Session] {
	cfg := c.cfg
	o := cluster.Options[*session.Session]{
		Dial: c.dial, DialMonitor: c.dialMonitor,
		MinConns: cfg.PoolMinConns, MaxConns: cfg.PoolMaxConns,
		IdleTimeout: cfg.PoolIdleTimeout, MaxLifetime: cfg.PoolMaxLifetime, AcquireTimeout: cfg.PoolAcquireTimeout,
		ConnectTimeout: connectTimeout(cfg.ConnectTimeout), HealthInterval: cfg.HealthInterval, HealthTimeout: cfg.HealthTimeout,
		ShutdownGrace: shutdownGrace, OnEvent: c.onEvent, CaptureStacks: c.stacks, Policy: clusterPolicy(cfg.Policy), Discover: cfg.Discover,
		Retry: cluster.Backoff{Max: cfg.RetryMax, Initial: cfg.RetryInitial, MaxBackoff: cfg.RetryMaxBackoff, Multiplier: cfg.RetryMultiplier},
	}
	if c.policy != nil {
		o.Policy = c.policy
	}
	for _, h := range cfg.Hosts {
		o.Seeds = append(o.Seeds, h.String())
	}
	return o
}

// connectTimeout gives the pool's bound of a dial: 0 means none in the Config, and
// the pool wants one.
func connectTimeout(d time.Duration) time.Duration {
	if d == 0 {
		return 24 * time.Hour
	}
	return d
}

func clusterPolicy(p Policy) cluster.Policy {
	switch p {
	case PolicyRoundRobin:
		return cluster.RoundRobin()
	case PolicyRandom:
		return cluster.Random()
	case PolicyInOrder:
		return cluster.InOrder()
	}
	return cluster.LeastLoaded()
}

func clusterTarget(t Target) cluster.Target {
	switch t {
	case TargetPrimary:
		return cluster.TargetPrimary
	case TargetReplica:
		return cluster.TargetReplica
	case TargetPreferReplica:
		return cluster.TargetPreferReplica
	}
	return cluster.TargetAny
}

func clusterRole(r wire.Role) cluster.Role {
	if r == wire.RoleReplica {
		return cluster.RoleReplica
	}
	return cluster.RolePrimary
}

func clusterStatus(s wire.NodeStatus) cluster.Status {
	switch s {
	case wire.StatusDraining:
		return cluster.StatusDraining
	case wire.StatusDown:
		return cluster.StatusDown
	}
	return cluster.StatusUp
}

func wireConsistency(c Consistency) wire.Consistency {
	if c == ConsistencyEventual {
		return wire.ConsistencyEventual
	}
	return wire.ConsistencyStrong
}

func wireProtocols(list []Protocol) (set wire.Protocols) {
	for _, p := range list {
		switch p {
		case ProtocolTLS:
			set |= wire.ProtocolTLS
		case ProtocolTCP:
			set |= wire.ProtocolTCP
		case ProtocolUDP:
			set |= wire.ProtocolUDP
		}
	}
	return set
}
