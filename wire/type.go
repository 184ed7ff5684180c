package wire

import "fmt"

// Type is the kind of a message. The first twelve are those of the reference
// protocol and fixed; the rest belong to session mode. See PROTOCOL.md.
type Type uint8

// The message types. Ping to FeatureNegotiation are numbered by the reference
// protocol; Handshake and what follows are the session mode's own.
const (
	TypePing               Type = 0  // are you there: answered with Pong
	TypePong               Type = 1  // the answer to Ping, with the node's state
	TypeData               Type = 2  // reference mode only
	TypeAck                Type = 3  // the outcome of Transaction and Reset
	TypeError              Type = 4  // a request failed; carries an Error
	TypeHeartbeat          Type = 5  // unsolicited sign of life; may be ignored
	TypeClusterJoin        Type = 6  // to subscribers: the topology grew or changed
	TypeClusterLeave       Type = 7  // to subscribers: a node drains, shuts down or is gone
	TypeReplication        Type = 8  // between nodes; never seen by a client
	TypeTransaction        Type = 9  // Begin, Commit, Rollback, Status
	TypeAdmin              Type = 10 // administration
	TypeFeatureNegotiation Type = 11 // reference mode only
	TypeHandshake          Type = 12 // opens session mode, both ways
	TypeAuth               Type = 13 // a SASL step, both ways
	TypePrepare            Type = 14 // compile a statement; answered with its description
	TypeExecute            Type = 15 // run a statement
	TypeRows               Type = 16 // columns and a batch of rows
	TypeComplete           Type = 17 // the end of a result
	TypeCancel             Type = 18 // stop a request
	TypeCredit             Type = 19 // allow more bytes of rows
	TypeCloseStatement     Type = 20 // forget prepared statements
	TypeReset              Type = 21 // bring the session back to its initial state
	TypeTerminate          Type = 22 // farewell

	// typeCount is the number of types known to this version.
	typeCount = 23
)

var typeNames = [typeCount]string{
	"Ping", "Pong", "Data", "Ack", "Error", "Heartbeat", "ClusterJoin", "ClusterLeave",
	"Replication", "Transaction", "Admin", "FeatureNegotiation", "Handshake", "Auth",
	"Prepare", "Execute", "Rows", "Complete", "Cancel", "Credit", "CloseStatement",
	"Reset", "Terminate",
}

// String gives the type's name, or its number when it has none.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}
