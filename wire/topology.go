package wire

// Role is what a node does for writes.
type Role uint8

// The roles of a node.
const (
	RolePrimary Role = 0 // accepts reads and writes
	RoleReplica Role = 1 // accepts reads
)

// NodeStatus is a node's state as its cluster sees it.
type NodeStatus uint8

// The states of a node.
const (
	StatusUp       NodeStatus = 0
	StatusDraining NodeStatus = 1 // finishes what is open, refuses what is new
	StatusDown     NodeStatus = 2
)

// Node describes a member of the cluster.
type Node struct {
	ID      string // empty as long as whoever reports has not heard from it
	Address string // host:port under which clients reach it
	Role    Role
	Status  NodeStatus
}

// Topology lists the members of the cluster. Of two, the one with the higher
// epoch is the newer.
type Topology struct {
	Epoch uint64
	Nodes []Node
}

// AppendTo appends the topology as a field of a payload.
func (m *Topology) AppendTo(dst []byte) []byte {
	dst = appendU64(dst, m.Epoch)
	dst = appendUvarint(dst, uint64(len(m.Nodes)))
	for _, n := range m.Nodes {
		dst = appendString(appendString(dst, n.ID), n.Address)
		dst = append(dst, byte(n.Role), byte(n.Status))
	}
	return dst
}

func (m *Topology) decode(c *cursor) {
	m.Epoch = c.u64("topology.epoch")
	n := c.list("topology.nodes", 4)
	m.Nodes = make([]Node, 0, n)
	for c.next(&n) {
		m.Nodes = append(m.Nodes, Node{
			ID: c.string("node.id"), Address: c.string("node.address"),
			Role: Role(c.u8("node.role")), Status: NodeStatus(c.u8("node.status")),
		})
	}
}

// LeaveReason says why a node leaves.
type LeaveReason uint8

// The reasons of ClusterLeave.
const (
	LeaveDraining LeaveReason = 1 // will refuse new work, finishes what is open
	LeaveShutdown LeaveReason = 2 // closes now
	LeaveGone     LeaveReason = 3 // another node is no longer there
)

// TopologyChange is the payload of ClusterJoin and ClusterLeave, sent unasked
// to monitor sessions.
type TopologyChange struct {
	NodeID   string // the node that it is about
	Reason   LeaveReason
	Topology Topology // after the change
}

// AppendTo appends the payload.
func (m *TopologyChange) AppendTo(dst []byte) []byte {
	dst = appendString(dst, m.NodeID)
	dst = append(dst, byte(m.Reason))
	return m.Topology.AppendTo(dst)
}

// Decode decodes the payload.
func (m *TopologyChange) Decode(payload []byte) error {
	c := newCursor("TopologyChange", payload)
	m.NodeID = c.string("node_id")
	m.Reason = LeaveReason(c.u8("reason"))
	m.Topology.decode(&c)
	return c.err
}

// Pong answers Ping in session mode.
type Pong struct {
	Status        NodeStatus
	Role          Role
	Load          uint32 // requests under way on the node
	TopologyEpoch uint64
	SchemaEpoch   uint64
}

// AppendTo appends the payload.
func (m *Pong) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(m.Status), byte(m.Role))
	dst = appendU32(dst, m.Load)
	return appendU64(appendU64(dst, m.TopologyEpoch), m.SchemaEpoch)
}

// Decode decodes the payload.
func (m *Pong) Decode(payload []byte) error {
	c := newCursor("Pong", payload)
	*m = Pong{
		Status: NodeStatus(c.u8("status")), Role: Role(c.u8("role")), Load: c.u32("load"),
		TopologyEpoch: c.u64("topology_epoch"), SchemaEpoch: c.u64("schema_epoch"),
	}
	return c.err
}
