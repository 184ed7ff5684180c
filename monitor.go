package qdb

import (
	"context"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// monitor is the session by which the cluster watches a node.
type monitor struct{ s *session.Session }

// Check asks the node how it is.
func (m *monitor) Check(ctx context.Context) (cluster.Report, error) {
	pong, err := m.s.Ping(ctx)
	if err != nil {
		return cluster.Report{}, err
	}
	r := cluster.Report{
		NodeID: m.s.Hello().NodeID, Role: clusterRole(pong.Role),
		Draining: pong.Status == wire.StatusDraining, Load: pong.Load,
	}
	if news := m.s.News(); news != nil {
		takeTopology(&r, news.Topology)
	}
	return r, nil
}

// Wait blocks until the node says something unasked.
func (m *monitor) Wait(ctx context.Context) (cluster.Report, error) {
	for {
		news, err := m.s.Wait(ctx)
		if err != nil {
			return cluster.Report{}, err
		}
		if news == nil {
			continue
		}
		r := cluster.Report{NodeID: m.s.Hello().NodeID}
		takeTopology(&r, news.Topology)
		return r, nil
	}
}

// Close ends the session.
func (m *monitor) Close() error { return m.s.Close() }

func helloReport(s *session.Session) cluster.Report {
	hello := s.Hello()
	r := cluster.Report{NodeID: hello.NodeID}
	takeTopology(&r, hello.Topology)
	return r
}

// takeTopology fills in what a topology says of the cluster, and of the node
// that the report is about.
func takeTopology(r *cluster.Report, t wire.Topology) {
	r.TopologyEpoch = t.Epoch
	for _, n := range t.Nodes {
		r.Nodes = append(r.Nodes, cluster.NodeInfo{ID: n.ID, Address: n.Address, Role: clusterRole(n.Role), Status: clusterStatus(n.Status)})
		if n.ID == r.NodeID {
			r.Role = clusterRole(n.Role)
			r.Draining = n.Status == wire.StatusDraining
		}
	}
}
