// Package sqlite is the test server's engine: package backend's interfaces over
// SQLite, which runs in this process without cgo.
//
// # Parts
//
//	database ── the data: one per Open; shared by all nodes of a process
//	  ├─ gate ── who may write: one at a time, first come first served
//	  └─ pool ── engine connections that wait for their next session
//	conn ── a session: transaction, interrupt, prepared statements
//	  └─ engine ── its connection to SQLite, replaced when Reset finds it dirty
//	stmt ── a statement: plan (what sort it is), columns, bindings, execution
//
// # Where the data is
//
// With a path, in a file with a write-ahead log: readers see the state of their
// first read and wait for nobody; what is acknowledged is in the log before the
// call returns, so it survives the end of the process however it comes, and
// with SyncFull the end of the power too. Several processes may serve one file.
// Without a path, in this process's memory, shared by the connections of one
// Open, with the same isolation: a reader keeps its snapshot while others write,
// and a commit waits for no reader. The library's VFS "mvcc" does that; the
// stress test runs against it as against files.
//
// # Who writes
//
// SQLite has one writer at a time and lets the others poll. Here they queue at
// the gate, in order, and are woken. A read-write Begin passes it first; a
// statement outside a transaction, or the first writing one of a transaction
// begun by SQL text, passes it before it starts. It is given back when SQLite
// holds no write lock any more. Whoever holds it may still find another process
// writing: then it asks again at growing intervals. Both waits together take
// BusyTimeout at most and end with 55P03, or by Interrupt with 57014. What
// changes temporary tables only waits for nobody. A transaction begun by SQL
// text that has read what another one has changed since cannot write: 40001. All
// isolation levels are served as serializable.
//
// A statement outside a transaction that writes and returns rows (RETURNING) is
// carried out and committed before its first row is given: a slow reader holds
// up no writer, and the effect is never half. Only when the rows exceed
// maxBufferedRows is the rest read with the lock held; Reset then completes it.
//
// When SQLite itself rolls a transaction back (a full disk, an interrupted
// write, ON CONFLICT ROLLBACK), the transaction is TxFailed until it is rolled
// back by name: no later statement runs outside it by mistake.
//
// # Interrupt
//
// An operation is under way during each call, and from a statement's Bind until
// its end or Reset. Interrupt makes the first call that notices it fail, once;
// what ends without noticing takes the interrupt along. A statement that writes
// can be interrupted until its first row: its changes are made then, and are
// neither undone nor reported as undone. An interrupt that comes when nothing is
// under way has no effect, so a caller that must not lose one repeats it until
// its request has ended.
//
// # Values
//
// SQLite types values, not columns. The declared type says what a stored value
// means (see decltype.go and values.go); a value that does not fit its column's
// type keeps its own. Expressions have no declared type. A column declared as
// DECIMAL is kept by SQLite as a number: 15 significant digits are safe, more
// belong into a TEXT column.
//
// # Session state
//
// What outlives a statement (settings, temporary tables) makes a session dirty.
// Reset then gives it another engine connection rather than trying to undo each
// change; statements are compiled anew when they are next used. A clean
// connection is reused by other sessions. Foreign keys are enforced unless a
// session says PRAGMA foreign_keys = off. Files other than the database are out
// of reach, and settings that the safety of the data depends on are fixed.
package sqlite
