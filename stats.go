package qdb

import (
	"database/sql"
	"time"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
)

// ClusterStats is a snapshot of a database's pool of sessions.
type ClusterStats struct {
	// Limit is pool_max_conns; InUse, Idle and Dialing are the sessions held
	// by callers, free, and being opened; Waiting counts checkouts in the queue.
	Limit, InUse, Idle, Dialing, Waiting int
	// Checkouts counts since the database was opened; Waits those of them that
	// had to wait for a session.
	Checkouts, Waits uint64
	Nodes            []NodeStats
}

// NodeStats is a snapshot of one node.
type NodeStats struct {
	// ID is the node's own name; empty before it has been reached once.
	ID string
	// Address is the node's host:port as it is dialled.
	Address string
	// State is healthy, suspect, down, draining, or unknown before the first
	// check has been answered.
	State string
	// Role is primary or replica.
	Role string
	// InUse, Idle and Dialing are this database's sessions on the node.
	InUse, Idle, Dialing int
	// Checkouts counts those that this node has served.
	Checkouts uint64
	// RTT is the round-trip time of the health checks, averaged; 0 before the
	// first.
	RTT time.Duration
	// Protocol is the transport of the node's sessions.
	Protocol Protocol
	// Failures counts failed checks, dials and operations; LastError is the
	// latest of them.
	Failures  uint64
	LastError error
}

// Stats gives a snapshot of db's pool. It is the zero value when db was not
// opened with this driver, or has not been used yet. It is safe for concurrent
// use and takes the pool's lock for a moment only.
func Stats(db *sql.DB) ClusterStats {
	d, ok := db.Driver().(*Driver)
	if !ok || d.connector == nil {
		return ClusterStats{}
	}
	cl := d.connector.pool()
	if cl == nil {
		return ClusterStats{}
	}
	s := cl.Stats()
	out := ClusterStats{Limit: s.MaxConns, InUse: s.InUse, Idle: s.Idle, Dialing: s.Dialing, Waiting: s.Waiting,
		Checkouts: s.Acquired, Waits: s.Waits}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, NodeStats{ID: n.Node.ID, Address: n.Node.Address, State: n.State.String(), Role: n.Role.String(),
			InUse: n.InUse, Idle: n.Idle, Dialing: n.Dialing, Checkouts: n.Leases, RTT: n.RTT, Protocol: ProtocolTCP,
			Failures: n.Failures, LastError: n.LastError})
	}
	return out
}

func (c *Connector) pool() *cluster.Cluster[*session.Session] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cluster
}
