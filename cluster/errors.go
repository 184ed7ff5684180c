package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is what every call gets after Close has begun, and the cause with
// which sessions are aborted that were still in use at its end.
var ErrClosed = errors.New("cluster: closed")

// What is wrong with a node, in the errors with which its sessions are aborted.
var (
	errNodeSilent = errors.New("it did not answer a health check in time")
	errNodeGone   = errors.New("it cannot be reached")
)

// NodeError says on which node something failed.
type NodeError struct {
	// Node is where it happened.
	Node NodeRef
	// Err is what happened.
	Err error
}

// Error returns "node <node>: <error>".
func (e *NodeError) Error() string { return "node " + e.Node.String() + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *NodeError) Unwrap() error { return e.Err }

// NodeCondition describes a node in an error.
type NodeCondition struct {
	// Node is the node.
	Node NodeRef
	// State is what the cluster thought of it, since when.
	State State
	// Since is how long the node had been in that state.
	Since time.Duration
	// Role is its role.
	Role Role
	// InUse, Idle and Dialing count its sessions.
	InUse, Idle, Dialing int
	// Reason is what the node gave as the reason for its state, often empty.
	Reason string
	// LastError is the last failure seen on the node, however long ago that
	// is; nil when there was none.
	LastError error
	// LastErrorAge is how long ago that is.
	LastErrorAge time.Duration
}

// String describes the node in one line.
func (n NodeCondition) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s for %v", n.Node, n.State, round(n.Since))
	if n.Role != RoleUnknown {
		fmt.Fprintf(&b, ", %s", n.Role)
	}
	if n.InUse+n.Idle+n.Dialing > 0 {
		fmt.Fprintf(&b, ", %d in use, %d idle, %d dialing", n.InUse, n.Idle, n.Dialing)
	}
	if n.Reason != "" {
		fmt.Fprintf(&b, ", reason: %s", n.Reason)
	}
	if n.LastError != nil {
		fmt.Fprintf(&b, ", last error %v ago: %v", round(n.LastErrorAge), n.LastError)
	}
	return b.String()
}

func writeConditions(b *strings.Builder, nodes []NodeCondition) {
	for i, n := range nodes {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(b, " [%d] %v", i+1, n)
	}
}

// AcquireError says that no session became free in time. It unwraps to the
// error that ended the wait: context.DeadlineExceeded when Options.AcquireTimeout
// did, the context's own error otherwise.
type AcquireError struct {
	// Limit is Options.MaxConns.
	Limit int
	// InUse counts the leased sessions by what they are used for, indexed by
	// [Holder].
	InUse [numHolders]int
	// Idle, Dialing and Closing count the other sessions under the limit.
	Idle, Dialing, Closing int
	// Waiting is how many other callers wait.
	Waiting int
	// Waited is how long this one did.
	Waited time.Duration
	// OldestAge is for how long the oldest lease has been held, 0 when there
	// is none.
	OldestAge time.Duration
	// OldestHolder is what that lease is used for.
	OldestHolder Holder
	// OldestNode is where its session is.
	OldestNode NodeRef
	// OldestStack is where it was acquired, empty without
	// Options.CaptureStacks.
	OldestStack string
	// Nodes describes every node.
	Nodes []NodeCondition
	// Failures are the dials that failed for this caller, in order.
	Failures []error
	// Err is what ended the wait.
	Err error
}

// Error describes the pool in one line, two with a stack.
func (e *AcquireError) Error() string {
	var b strings.Builder
	used := 0
	for _, n := range e.InUse {
		used += n
	}
	fmt.Fprintf(&b, "cluster: no session free after %v: limit %d, %d in use", round(e.Waited), e.Limit, used)
	sep := " ("
	for h, n := range e.InUse {
		if n > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, n, Holder(h))
			sep = ", "
		}
	}
	if used > 0 {
		fmt.Fprintf(&b, "), oldest held for %v by %s on %s", round(e.OldestAge), e.OldestHolder, e.OldestNode)
	}
	fmt.Fprintf(&b, ", %d idle, %d dialing, %d waiting; nodes:", e.Idle, e.Dialing, e.Waiting)
	writeConditions(&b, e.Nodes)
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.OldestStack != "" {
		fmt.Fprintf(&b, "\nthe oldest was acquired at:\n%s", e.OldestStack)
	}
	return b.String()
}

// Unwrap returns what ended the wait, then the dials that failed.
func (e *AcquireError) Unwrap() []error { return append([]error{e.Err}, e.Failures...) }

// NoNodeError says that no node could serve the request. It unwraps to what
// ended the wait, if it was a context or a timeout, and to the last error of
// each node.
type NoNodeError struct {
	// Target is the role that was asked for.
	Target Target
	// Waited is how long the caller waited for a node.
	Waited time.Duration
	// Nodes describes every node.
	Nodes []NodeCondition
	// Err is what ended the wait: nil when waiting was pointless, because
	// no node was ever reached or all of them refuse for good.
	Err error
}

// Error lists every node with its state and its last error.
func (e *NoNodeError) Error() string {
	var b strings.Builder
	b.WriteString("cluster: no node can serve this")
	if e.Target != TargetAny {
		fmt.Fprintf(&b, " (target %s)", e.Target)
	}
	fmt.Fprintf(&b, " after %v:", round(e.Waited))
	writeConditions(&b, e.Nodes)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns what ended the wait and the nodes' errors.
func (e *NoNodeError) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	for _, n := range e.Nodes {
		if n.LastError != nil {
			errs = append(errs, n.LastError)
		}
	}
	return errs
}

// permanent says whether err is one that trying again cannot heal.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

func round(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d
	}
}
