package cluster

import (
	"context"
)

// Conn is one session on one node. It is driven by one goroutine at a time:
// by the holder of its lease, or by the pool while it is idle.
type Conn interface {
	// Alive returns nil when nothing speaks against the session's next use:
	// a look at the socket, without a round trip and without blocking. An
	// error means that the session is dead and will be replaced unnoticed.
	Alive() error
	// Close says goodbye to the node if it can and releases everything. It
	// bounds itself: a farewell that takes longer than about 100 ms must be
	// given up, because the session keeps its place under the limit until
	// Close returns. It is called once, also after Abort.
	Close() error
	// Abort may be called from any goroutine, also while the session is in
	// use, more than once, and after Close. It returns at once and makes operations under
	// way, and all later ones, fail with an error that wraps cause. It also
	// releases the transport: a holder that never returns must not keep a
	// socket open.
	Abort(cause error)
}

// Receiver is a Conn that counts what it receives. With it a node that is late
// with the answer to a check, but sends on a session in use, is not taken for dead.
type Receiver interface {
	// Received is the number of bytes received so far. It may be called from
	// any goroutine.
	Received() int64
}

// Monitor is the session with which a node's health is observed. It is driven
// by one goroutine only, that of the node's monitor.
type Monitor interface {
	// Check makes one round trip to the node and returns what it reported.
	// It must return once ctx ends. After an error the Monitor is closed and
	// another one is dialled.
	Check(ctx context.Context) (Report, error)
	// Wait blocks until the node says something unasked, for example that it
	// drains or that the topology changed, and returns it. When ctx ends it
	// returns ctx.Err(), and the Monitor stays usable: Check or Wait follow.
	// Any other error means that the session is broken.
	Wait(ctx context.Context) (Report, error)
	// Close releases the session, bounded as [Conn].Close.
	Close() error
}

// Report is what a node says about itself, in a handshake, in answer to a
// check, or unasked.
type Report struct {
	// NodeID identifies the node, whatever address it was reached by. Empty:
	// the node does not say; it is then known by its address alone.
	NodeID string
	// Role is what the node may be used for. [RoleUnknown]: it does not say.
	Role Role
	// Draining is set by a node that takes no new work because it is about to
	// stop: idle sessions on it are closed, leased ones may finish.
	Draining bool
	// Load is the node's own measure of its load, shown to policies and in
	// [NodeStats]; the cluster does not interpret it.
	Load uint32
	// TopologyEpoch orders news about Nodes and roles: the greatest wins,
	// older news is ignored. 0 when the node counts none.
	TopologyEpoch uint64
	// Nodes is the complete membership, or nil when it is unchanged or not
	// known. Used only with Options.Discover.
	Nodes []NodeInfo
	// Reason says in words why the node reports, for errors and events.
	Reason string
}

// NodeInfo is what one node says about another.
type NodeInfo struct {
	// ID is the NodeID under which that node reports itself; must not be empty.
	ID string
	// Address is host:port as Options.Dial takes it; must not be empty.
	Address string
	// Role as of the report's TopologyEpoch.
	Role Role
	// Status as of the report's TopologyEpoch.
	Status Status
}

// Status is what the cluster's own topology says of a node. It is hearsay: it
// makes the cluster ask the node itself, whose own word decides.
type Status uint8

const (
	// StatusUnknown says nothing.
	StatusUnknown Status = iota
	// StatusUp is a node in service.
	StatusUp
	// StatusDraining is a node about to stop.
	StatusDraining
	// StatusDown is a member that the other nodes cannot reach.
	StatusDown
)

// String returns the name: unknown, up, draining, down.
func (s Status) String() string {
	switch s {
	case StatusUp:
		return "up"
	case StatusDraining:
		return "draining"
	case StatusDown:
		return "down"
	default:
		return "unknown"
	}
}

// Role is what a node may be used for.
type Role uint8

const (
	// RoleUnknown is the role of a node that did not say: it is taken for
	// requests with [TargetAny] and [TargetPrimary], never for
	// [TargetReplica] once it has been reached.
	RoleUnknown Role = iota
	// RolePrimary accepts reads and writes.
	RolePrimary
	// RoleReplica accepts reads only.
	RoleReplica
)

// String returns the name: unknown, primary, replica.
func (r Role) String() string {
	switch r {
	case RolePrimary:
		return "primary"
	case RoleReplica:
		return "replica"
	default:
		return "unknown"
	}
}

// Target says which role a request needs.
type Target uint8

const (
	// TargetAny takes a node of any role.
	TargetAny Target = iota
	// TargetPrimary takes primaries only.
	TargetPrimary
	// TargetReplica takes replicas only.
	TargetReplica
	// TargetPreferReplica takes a replica, or a primary when no replica is
	// usable.
	TargetPreferReplica

	numTargets = 4
)

// String returns the name: any, primary, replica, prefer_replica.
func (t Target) String() string {
	switch t {
	case TargetPrimary:
		return "primary"
	case TargetReplica:
		return "replica"
	case TargetPreferReplica:
		return "prefer_replica"
	default:
		return "any"
	}
}

// preference says how well a node of role r suits t: 0 is first choice, 1 is
// second choice, -1 does not suit. fresh is a node that has never been reached
// and may turn out to have any role.
func (t Target) preference(r Role, fresh bool) int {
	switch t {
	case TargetPrimary:
		if r == RoleReplica {
			return -1
		}
	case TargetReplica:
		if r != RoleReplica && !(fresh && r == RoleUnknown) {
			return -1
		}
	case TargetPreferReplica:
		if r != RoleReplica && !(fresh && r == RoleUnknown) {
			return 1
		}
	}
	return 0
}

// Holder says what a leased session is being used for. It only serves the
// error that a caller gets when the pool is exhausted.
type Holder uint8

const (
	// HolderStatement is a single statement under way.
	HolderStatement Holder = iota
	// HolderRows is a result set that is being read.
	HolderRows
	// HolderTransaction is a transaction that was not ended yet.
	HolderTransaction
	// HolderConn is a session that the caller keeps without using it now.
	HolderConn

	numHolders = 4
)

// String returns the name: statement, rows, transaction, "idle in the caller".
func (h Holder) String() string {
	switch h {
	case HolderRows:
		return "rows"
	case HolderTransaction:
		return "transaction"
	case HolderConn:
		return "idle in the caller"
	default:
		return "statement"
	}
}

// NodeKey is the number by which a [Cluster] knows a node for as long as the
// node is a member. It stays the same when the node's ID becomes known or its
// address changes, and is not used again.
type NodeKey uint64

// NodeRef names a node.
type NodeRef struct {
	// Key is the cluster's own number for the node.
	Key NodeKey
	// ID is the node's own name, empty as long as it is not known.
	ID string
	// Address is the host:port that is dialled.
	Address string
}

// String returns "id (address)", or the address alone when there is no ID.
func (r NodeRef) String() string {
	if r.ID == "" || r.ID == r.Address {
		return r.Address
	}
	return r.ID + " (" + r.Address + ")"
}

// Request says what a caller of [Cluster.Acquire] needs. The zero value is a
// statement on any node.
type Request struct {
	// Target is the role that the node must have.
	Target Target
	// Holder is what the lease is for; [Lease.SetHolder] changes it.
	Holder Holder
	// Avoid lists nodes that are taken only when no other suitable node is
	// healthy. The slice must not change until Acquire returns.
	Avoid []NodeKey
}
