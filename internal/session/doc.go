// Package session is one conversation with one node: handshake, requests and
// their responses, cancellation, the cache of prepared statements. It knows no
// pool and no database/sql.
//
//	request ─► train: [Reset] [CloseStatement] [Begin] Execute ─one write─► node
//	node ─► [Ack] [Ack] Rows … Complete ─► Rows, read in place
//
// A session is driven by the goroutine that uses it: there is no reader in the
// background. Whatever can wait is sent with the next request (a reset, closed
// statements, Begin), so that only what needs an answer costs a round trip.
//
// Cancellation: while an operation waits, and only where its context can end, a
// callback of that context sends Cancel with the operation's sequence number and
// bounds the wait for the answer by a grace period. If the node confirms in time
// the session lives on; otherwise its position is unknown and it is broken.
//
// Certainty: an operation that fails for want of an answer returns *LostError,
// which says whether the whole of the request had been handed to the transport and
// whether the request could have had an effect. The latter is known without the
// node's help: a statement that looks like a query is sent with the ReadOnly
// flag, under which a node refuses to write (25006, nothing done); only then is
// it sent again without. So a guess that is wrong costs a round trip, never a
// write.
//
// Transactions: from Begin to Commit or Rollback every statement is sent with the
// InTransaction flag, whatever became of the transaction on the node. So a
// statement never runs on its own because Begin was refused or the node gave the
// transaction up.
package session
