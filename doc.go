// Package qdb is a database/sql driver for clusters of q-distributed-database
// nodes. Its name is "qdb":
//
//	db, err := sql.Open("qdb", "qdb://user:pass@n1,n2,n3/app")
//
// From there on it is ordinary database/sql. See [ParseDSN] for what a DSN may
// hold, and package testserver for a cluster in one's own tests.
//
// # A lease per checkout
//
// database/sql keeps a pool of connections above any driver's. Were each of them
// bound to a node, load would stay where it was when the connections were opened
// and every one of them would have to fail once when its node dies. So a
// connection of this driver is only a handle:
//
//	sql.DB ── handle ── lease ── session ── node
//	          one per            one of the cluster's pool,
//	          checkout           chosen when it is first needed
//
// database/sql tells the handle when it is checked out and when it goes back. In
// between it holds at most one session, leased at the first use and returned at
// the end, so that every checkout picks the best node of that moment, and an
// idle handle costs nothing. A transaction and an [sql.Conn] keep their session
// for as long as they are held. Prepared statements are logical: sessions cache
// them by text.
//
// # What happens when a node fails
//
// A request of which the node cannot have seen the whole is sent to another one,
// as is one that a draining node refused to start. One whose answer was lost is
// sent again only where it could not have had an effect. In all other cases the
// caller gets an [*Error], whose Effect says whether the statement was carried
// out: certainly, certainly not, or unknown. [driver.ErrBadConn], after which
// database/sql would repeat the statement, is never returned for a statement
// that was sent.
//
// # Values
//
// INTEGER columns give int64, REAL float64, TEXT string, BLOB []byte, BOOLEAN
// bool, and DATE, DATETIME and TIMESTAMP [time.Time] in the DSN's loc. DECIMAL
// and NUMERIC columns give their digits as a string; SQLite keeps 15 of them. The columns of
// expressions have no declared type and give what the engine computed.
package qdb
