// Package cluster pools sessions over the nodes of a database cluster: it knows
// which nodes there are, how each of them is, and on which one the next request
// had best run. It knows nothing of SQL or of what travels over a session; it
// pools an interface, [Conn].
//
//	                Acquire(ctx, Request)
//	                        │
//	view (immutable) ──► Policy ──► plan: nodes in order, peers first
//	   ▲                    │
//	   │            ┌───────┴────────── one lock ──────────────────┐
//	   │            │ idle session on the first node? ──────► Lease ──► Conn
//	   │            │ else: wait queue (FIFO) ◄── given back ◄─────│── Release
//	   │            │        │                    opened ◄─┐       │   Fail, Discard
//	   │            │        └─► dial (2 per node, all under MaxConns)
//	   │            └──────────────────────────────────────────────┘
//	   │                                    │ signals: dialled, failed
//	next(state, signal) ◄───────────────────┘
//	   ▲
//	   └── monitor of each node: Check every interval, Wait in between,
//	       probes with backoff while the node is down
//
// # Sessions
//
// One puddle pool per node contains the sessions; one lock and one set of
// counters above them keep the limit over all nodes, the order of the waiters
// and the minimum. A session given back serves the caller who waits longest for
// one like it. A dial belongs to the pool: it is started on account of a caller
// but goes on without, and its session goes to the longest waiter. A session
// that was idle for a second is looked at before use, outside the lock, and
// replaced unnoticed if it is dead.
//
// When the limit is reached and what is idle is of no use to those who wait,
// the least useful idle session makes room. When the nodes of a plan have
// unequal numbers of sessions, which is so after a node has come back, sessions move one
// by one. The last sessions that do not divide among equal nodes are opened
// only for callers who waited 10 ms, as in a saturated pool the load is
// proportional to the sessions.
//
// # Health
//
// The rules are one pure function from a state and a signal to a state. What
// happens to callers makes a node suspect at once, which is enough to keep
// others away from it; what makes it down is its monitor's word: no answer
// within the health timeout, or no connection. Then its generation ends: idle
// sessions are closed, leased ones aborted, so that whoever waits on them gets an error
// that names the node. Errors of an older generation change nothing. Only
// the monitor dials a node that is down. One that is back gets its share of the
// load over four seconds, by a virtual clock for each node that runs faster the less weight the
// node has (stride scheduling: Waldspurger and Weihl, 1995).
//
// # Waiting
//
// A caller's dial that takes longer than 250 ms is joined by one on the next
// node (RFC 8305). While no node can be used, callers wait for one to come back
// and have all nodes asked, at most every 500 ms. They get an error at once
// when every node refuses for good, and after the retry schedule when no
// node was ever reached.
//
// # Goroutines
//
// A cluster has one goroutine for its maintenance, one per node for the
// monitor, one per dial under way, one per session being closed, and one for
// Options.OnEvent. Idle and leased sessions have none. Close ends and awaits
// all.
package cluster
