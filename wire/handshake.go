package wire

// Versions of session mode. A peer offers the range that it speaks; the server
// chooses the highest that both do.
const (
	VersionMin = 1
	VersionMax = 1
)

// Protocols is a set of transports.
type Protocols uint8

// The transports of a node, as bits of a set.
const (
	ProtocolTLS Protocols = 1 << iota
	ProtocolTCP
	ProtocolUDP
)

// Features is a set of optional abilities. A feature is in use on a session when
// both Handshake messages carry its bit.
type Features uint64

// The features of session mode.
const (
	// FeatureLZ4: messages over the threshold may be compressed.
	FeatureLZ4 Features = 1 << iota
	// FeatureIdempotency: the server honours idempotency keys.
	FeatureIdempotency
	// FeatureTxStatus: the server answers Status for transaction ids.
	FeatureTxStatus
	// FeatureTopology: the server lists its nodes and reports changes.
	FeatureTopology
)

// Setting is a named session setting.
type Setting struct{ Name, Value string }

// ClientHandshake opens session mode. It is the first message of a stream.
type ClientHandshake struct {
	VersionMin, VersionMax uint16
	ClientName             string    // driver and version, for logs
	Offered                Protocols // transports that the client would accept
	InUse                  Protocols // the transport of this stream
	Features               Features
	Database               string
	User                   string // empty: no authentication is asked for
	ApplicationName        string
	MaxMessageSize         uint32 // the most that the client accepts, in bytes
	Settings               []Setting
	Nonce                  [16]byte // random; part of what authentication binds to
	Mechanism              string   // of the first authentication step; may be empty
	AuthData               []byte   // the first authentication step
	Monitor                bool     // a health-check session: subscribes to topology and drain notices
}

// AppendTo appends the payload.
func (m *ClientHandshake) AppendTo(dst []byte) []byte {
	dst = appendU16(dst, m.VersionMin)
	dst = appendU16(dst, m.VersionMax)
	dst = appendString(dst, m.ClientName)
	dst = append(dst, byte(m.Offered), byte(m.InUse))
	dst = appendU64(dst, uint64(m.Features))
	dst = appendString(dst, m.Database)
	dst = appendString(dst, m.User)
	dst = appendString(dst, m.ApplicationName)
	dst = appendU32(dst, m.MaxMessageSize)
	dst = appendUvarint(dst, uint64(len(m.Settings)))
	for _, s := range m.Settings {
		dst = appendString(appendString(dst, s.Name), s.Value)
	}
	dst = append(dst, m.Nonce[:]...)
	dst = appendString(dst, m.Mechanism)
	dst = appendBytes(dst, m.AuthData)
	return appendBool(dst, m.Monitor)
}

// Decode decodes the payload. AuthData is a window into it.
func (m *ClientHandshake) Decode(payload []byte) error {
	c := newCursor("Handshake", payload)
	*m = ClientHandshake{
		VersionMin: c.u16("version_min"), VersionMax: c.u16("version_max"),
		ClientName: c.string("client_name"),
		Offered:    Protocols(c.u8("offered")), InUse: Protocols(c.u8("in_use")),
		Features: Features(c.u64("features")),
		Database: c.string("database"), User: c.string("user"),
		ApplicationName: c.string("application_name"),
		MaxMessageSize:  c.u32("max_message_size"),
	}
	n := c.list("settings", 2)
	m.Settings = make([]Setting, 0, n)
	for c.next(&n) {
		m.Settings = append(m.Settings, Setting{c.string("setting.name"), c.string("setting.value")})
	}
	m.Nonce = c.array16("nonce")
	m.Mechanism = c.string("mechanism")
	m.AuthData = c.bytes("auth_data")
	m.Monitor = c.bool("monitor")
	return c.err
}

// AuthStatus says how far authentication is.
type AuthStatus uint8

// The states of authentication.
const (
	AuthOK       AuthStatus = 0 // the session is open
	AuthContinue AuthStatus = 1 // the client owes a step
)

// ServerHandshake answers ClientHandshake. A refusal is an Error instead.
type ServerHandshake struct {
	Version        uint16
	ServerName     string // product and version
	Dialect        string // of SQL, such as "sqlite"
	NodeID         string
	SessionID      string
	Served         Protocols // transports of this node
	Features       Features  // in use: the client's that the server has too
	MaxMessageSize uint32    // the most that the server accepts, in bytes
	SchemaEpoch    uint64
	KeyRetention   uint32 // how long an idempotency key is remembered, in seconds
	KeyCapacity    uint32 // how many of them are
	Topology       Topology
	Nonce          [16]byte
	Auth           AuthStatus
	Mechanisms     []string // that the server accepts, preferred first
	AuthData       []byte   // a challenge, or the outcome
}

// AppendTo appends the payload.
func (m *ServerHandshake) AppendTo(dst []byte) []byte {
	dst = appendU16(dst, m.Version)
	dst = appendString(dst, m.ServerName)
	dst = appendString(dst, m.Dialect)
	dst = appendString(dst, m.NodeID)
	dst = appendString(dst, m.SessionID)
	dst = append(dst, byte(m.Served))
	dst = appendU64(dst, uint64(m.Features))
	dst = appendU32(dst, m.MaxMessageSize)
	dst = appendU64(dst, m.SchemaEpoch)
	dst = appendU32(dst, m.KeyRetention)
	dst = appendU32(dst, m.KeyCapacity)
	dst = m.Topology.AppendTo(dst)
	dst = append(dst, m.Nonce[:]...)
	dst = append(dst, byte(m.Auth))
	dst = appendStrings(dst, m.Mechanisms)
	return appendBytes(dst, m.AuthData)
}

// Decode decodes the payload. AuthData is a window into it.
func (m *ServerHandshake) Decode(payload []byte) error {
	c := newCursor("Handshake", payload)
	*m = ServerHandshake{
		Version: c.u16("version"), ServerName: c.string("server_name"),
		Dialect: c.string("dialect"), NodeID: c.string("node_id"), SessionID: c.string("session_id"),
		Served: Protocols(c.u8("served")), Features: Features(c.u64("features")),
		MaxMessageSize: c.u32("max_message_size"), SchemaEpoch: c.u64("schema_epoch"),
		KeyRetention: c.u32("key_retention"), KeyCapacity: c.u32("key_capacity"),
	}
	m.Topology.decode(&c)
	m.Nonce = c.array16("nonce")
	m.Auth = AuthStatus(c.u8("auth"))
	m.Mechanisms = c.strings("mechanisms")
	m.AuthData = c.bytes("auth_data")
	return c.err
}

// Auth is one step of authentication, in either direction.
type Auth struct {
	Status    AuthStatus
	Mechanism string // client's first step: the mechanism chosen
	Data      []byte
	Token     []byte // server's last step: may stand in for the password later
	Expires   int64  // of the token, Unix seconds; 0: none given
}

// AppendTo appends the payload.
func (m *Auth) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(m.Status))
	dst = appendString(dst, m.Mechanism)
	dst = appendBytes(dst, m.Data)
	dst = appendBytes(dst, m.Token)
	return appendI64(dst, m.Expires)
}

// Decode decodes the payload. Data and Token are windows into it.
func (m *Auth) Decode(payload []byte) error {
	c := newCursor("Auth", payload)
	*m = Auth{
		Status: AuthStatus(c.u8("status")), Mechanism: c.string("mechanism"),
		Data: c.bytes("data"), Token: c.bytes("token"), Expires: c.i64("expires"),
	}
	return c.err
}
