// Package testserver runs a qdb cluster inside a process: for the tests of
// whoever uses the driver, and as the command qdb-server. A test has one with
//
//	c := testserver.Start(t, testserver.Options{Nodes: 3})
//	db, err := sql.Open("qdb", c.DSN())
//
// and can do to its nodes what happens to real ones: Kill, Restart, Drain,
// Pause (a black hole), and faults on their connections (SetFaults).
//
// # Shape
//
// A Cluster is nodes over one backend.Backend, by default SQLite. A Node keeps
// its id, address and counters; what Kill ends and Restart begins is its life:
// a listener and sessions. A session is a connection with one goroutine, which
// reads requests and carries them out in place:
//
//	client ─► socket ─► conn ─────────► wire.Reader ─► session.next ─► handlers[type]
//	                    pause, faults   frames          │                    │
//	                                                    │ Ping, Prepare,     ▼
//	                                                    │ Transaction, …  execute ─► statements (LRU)
//	                                                    │                    │            │
//	                                          watch ◄───┼── after 3 ms ──────┤            ▼
//	                        Cancel, Credit, deadline,   │                    ▼       backend.Stmt
//	                        end of stream: interrupt    │                  batch ◄─ rows ─┘
//	                                                    ▼                    ▼
//	client ◄─ socket ◄─ conn ◄───────────────────── wire.Encoder ◄───────────┘
//
// Answers collect in the encoder. They are sent when the reader needs bytes
// that have not arrived, so a train of requests is answered in one write; when
// they have become many; and when a request takes long. Nothing is handed to
// another goroutine on that way, and no result is collected: rows go from the
// engine into the frame in which they leave, 8 to 64 KiB at a time, as far as
// the client's credit reaches. (Credit counts bytes of Rows payloads, before
// compression; the message that uses it up may overshoot by one row.)
//
// While a request runs, nobody reads its socket, until a timer finds it running
// after 3 ms. Then the watch reads ahead: it finds a Cancel for the request, or
// for one that waits behind it, Credit, or the end of the stream, interrupts
// the engine where that follows, and keeps other requests for later. When the
// request ends the watch is stopped and waited for, so a Cancel that comes late
// finds no request of its number.
//
// # Promises
//
//   - An answer is written after the engine's commit has returned, never before.
//   - A request is refused (EffectNone) or carried out, and an error says which.
//   - A text of several statements is all or nothing outside a transaction, in
//     which case only its last Complete means anything; but with statements that
//     begin or end transactions in it, each runs by itself.
//   - A draining node answers what is new with 57P01, Elsewhere, not started. Its
//     last word on a session is the same error, fatal, with sequence number 0:
//     of all requests that are not answered yet, none was started.
//   - Input is bounded before it is trusted: handshakes in size, number and time,
//     frames by the agreed size, requests read ahead by 4 MiB. Garbage ends in a
//     log line and a closed connection.
//   - A client that does not read stalls its own session only.
//
// # Topology
//
// Every node lists all nodes of its process and those of its peers, which a
// probe per peer watches (see peers). Monitor sessions hear of each change, with
// the whole topology under an epoch that grows even over processes (see
// topology).
//
// # Not served yet
//
// TLS, UDP, authentication, idempotency keys, administration and reference mode.
// A TLS ClientHello is answered with an Error in a plain frame, SQLSTATE 0A000
// and detail DetailNoTLS, and the connection is closed; a first message other
// than Handshake with an Error, 0A000. Without authentication only loopback
// addresses can be listened on.
//
// # Reading order
//
// life.go and session.go for the frame of it, execute.go and batch.go for the
// main road, watch.go for what happens beside it, drain.go for the end. options.go
// lists what can be set, node.go what can be done to a node.
package testserver
