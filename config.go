package qdb

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DefaultPort is the port of a node whose address names none.
const DefaultPort uint16 = 7000

// Host is the address of one node as the DSN names it.
type Host struct {
	// Name is a host name, an IPv4 address, or an IPv6 address without
	// brackets and with its zone, if any, after a percent sign
	// (fe80::1%eth0).
	Name string
	// Port is 1 to 65535. A DSN without a port yields [DefaultPort]; in a
	// Config made by hand it must be given, 0 is refused.
	Port uint16
}

// String returns the address in the form that net.Dial takes, with brackets
// around an IPv6 address: db1:7000, [::1]:7000.
func (h Host) String() string {
	return net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port)))
}

// Protocol is a transport over which a node can be reached.
type Protocol string

// The protocols, highest priority first: of those that the configuration
// allows and the node serves, the first one is used.
const (
	// ProtocolTLS is TLS over TCP.
	ProtocolTLS Protocol = "tls"
	// ProtocolTCP is TCP without encryption.
	ProtocolTCP Protocol = "tcp"
	// ProtocolUDP is QUIC (RFC 9000), which is always encrypted.
	ProtocolUDP Protocol = "udp"
)

// String returns the name that a DSN uses.
func (p Protocol) String() string { return string(p) }

// The two values of Config.TLS that are not names of registered
// configurations.
const (
	// TLSVerify checks the node's certificate against Config.TLSCA, or the
	// system's roots, and against the node's name.
	TLSVerify = "verify"
	// TLSSkipVerify accepts any certificate: encrypted, but open to anyone
	// who can stand in the middle.
	TLSSkipVerify = "skip-verify"
)

// Policy decides which of the suitable nodes gets the next piece of work.
type Policy string

const (
	// PolicyLeastLoaded compares two random nodes among the nearby ones and
	// takes the one with less to do.
	PolicyLeastLoaded Policy = "least_loaded"
	// PolicyRoundRobin takes the nodes in turn.
	PolicyRoundRobin Policy = "round_robin"
	// PolicyRandom takes any node, all with the same probability.
	PolicyRandom Policy = "random"
	// PolicyInOrder takes the first healthy node in the order of Config.Hosts.
	PolicyInOrder Policy = "in_order"
)

// Target says which role a node must have.
type Target string

const (
	// TargetAny takes a node of either role.
	TargetAny Target = "any"
	// TargetPrimary takes nodes that accept writes.
	TargetPrimary Target = "primary"
	// TargetReplica takes replicas only, and fails when there is none.
	TargetReplica Target = "replica"
	// TargetPreferReplica takes a replica, or a primary when there is none.
	TargetPreferReplica Target = "prefer_replica"
)

// Compression is the algorithm for large messages.
type Compression string

const (
	// CompressionOff sends every message as it is.
	CompressionOff Compression = "off"
	// CompressionLZ4 sends messages from Config.CompressionThreshold on as
	// an LZ4 block.
	CompressionLZ4 Compression = "lz4"
)

// Consistency says how fresh the answer to a read must be.
type Consistency string

const (
	// ConsistencyStrong sees every write that was acknowledged before the
	// read began.
	ConsistencyStrong Consistency = "strong"
	// ConsistencyEventual may be answered by a node that lags behind.
	ConsistencyEventual Consistency = "eventual"
)

// WriteRetry says what happens to a write whose answer was lost.
type WriteRetry string

const (
	// WriteRetryOnce sends it again under the same idempotency key, so that
	// it takes effect exactly once, where the server keeps such keys;
	// elsewhere it is [WriteRetryNever].
	WriteRetryOnce WriteRetry = "once"
	// WriteRetryNever reports the lost answer to the caller.
	WriteRetryNever WriteRetry = "never"
)

// Config is everything that a DSN can say, one field per parameter. Begin
// with [NewConfig] or [ParseDSN], not with Config{}: a zero is taken at its
// word (no retries, no timeout, an empty statement cache) and refused where it
// has no meaning. A negative number is always refused.
//
// A Config is plain data without locks: it must not be changed by one
// goroutine while another one uses it. [NewConnector] works on a copy.
//
// The fmt verbs, log/slog and encoding/json show a Config as String does,
// with the password masked. They cannot mask it in a struct that holds a
// Config by value in an unexported field, for there fmt calls no methods;
// hold a *Config instead.
type Config struct {
	// Hosts are the nodes to begin with, in the order of the DSN; at least
	// one. No default.
	Hosts []Host
	// User is who logs in, any bytes. Empty: without authentication.
	User string
	// Password is the user's password, any bytes. Empty: none is known,
	// unless EmptyPassword is set.
	Password string
	// EmptyPassword says that the password is known and that it is the empty
	// one, as in user:@host: none is looked for in the environment. It must
	// be false when Password holds something.
	EmptyPassword bool
	// Database is the database to use, any bytes. Empty: the server chooses.
	Database string

	// Protocols (protocols) are the allowed transports, without repetition;
	// the order means nothing. Default: all three. Empty is refused.
	Protocols []Protocol
	// TLS (tls) is [TLSVerify], which is the default, [TLSSkipVerify], or the
	// name of a registered TLS configuration made of letters, digits, '_',
	// '.' and '-'. Empty is refused.
	TLS string
	// TLSCA (tls_ca) is the path of a PEM file with the certificates to
	// trust. Empty, the default: the system's.
	TLSCA string
	// TLSCert (tls_cert) is the path of a PEM file with the client's
	// certificate; it needs TLSKey. Empty, the default: none is shown.
	TLSCert string
	// TLSKey (tls_key) is the path of a PEM file with the private key of
	// TLSCert, and needs that one. Empty by default.
	TLSKey string
	// TLSServerName (tls_server_name) is the name that a node's certificate
	// must carry. Empty, the default: the name or address of the host.
	TLSServerName string

	// ConnectTimeout (connect_timeout) bounds opening one session, from name
	// resolution to the end of authentication. Default 5s; 0: no limit but
	// the context's.
	ConnectTimeout time.Duration
	// QueryTimeout (query_timeout) bounds each statement whose context has no
	// earlier deadline. Default 0: no limit.
	QueryTimeout time.Duration
	// Keepalive (keepalive) is the time between signs of life on a silent
	// transport. Default 15s; 0: none are sent.
	Keepalive time.Duration

	// PoolMinConns (pool_min_conns) is how many sessions are kept open over
	// the whole cluster, at most PoolMaxConns. Default 5; 0: none.
	PoolMinConns int
	// PoolMaxConns (pool_max_conns) limits the sessions over the whole
	// cluster. Default 20; at least 1.
	PoolMaxConns int
	// PoolIdleTimeout (pool_idle_timeout) closes a session that nobody used
	// for so long. Default 60s; 0: never.
	PoolIdleTimeout time.Duration
	// PoolMaxLifetime (pool_max_lifetime) closes a session of this age once
	// it is free. Default 30m; 0: never.
	PoolMaxLifetime time.Duration
	// PoolAcquireTimeout (pool_acquire_timeout) bounds the wait for a free
	// session. Default 5s; 0: no limit but the context's.
	PoolAcquireTimeout time.Duration

	// RetryMax (retry_max) is how many more attempts follow a failed one
	// that is safe to repeat. Default 3; 0: none.
	RetryMax int
	// RetryInitial (retry_initial) is the first wait between attempts, at
	// most RetryMaxBackoff. Default 100ms; 0: no wait.
	RetryInitial time.Duration
	// RetryMaxBackoff (retry_max_backoff) is the longest wait between
	// attempts. Default 5s; 0: no wait, and RetryInitial must be 0 as well.
	RetryMaxBackoff time.Duration
	// RetryMultiplier (retry_multiplier) is what each wait is multiplied by
	// to get the next one: finite and at least 1. Default 2; 0 is refused.
	RetryMultiplier float64
	// WriteRetry (write_retry) treats writes whose answer was lost. Default
	// [WriteRetryOnce]; empty is refused.
	WriteRetry WriteRetry

	// Policy (policy) chooses among the suitable nodes. Default
	// [PolicyLeastLoaded]; empty is refused.
	Policy Policy
	// Target (target) is the role that a node must have. Default
	// [TargetAny]; empty is refused.
	Target Target
	// Consistency (consistency) is the freshness of reads. Default
	// [ConsistencyStrong]; empty is refused.
	Consistency Consistency
	// Discover (discover) adds the nodes that the cluster itself reports to
	// those in Hosts. Default true; false: Hosts alone are used.
	Discover bool
	// HealthInterval (health_interval) is the time between two checks of a
	// node. Default 2s; 0: a node is checked after an error only.
	HealthInterval time.Duration
	// HealthTimeout (health_timeout) is how long a check waits for the
	// node's answer. Default 1s; 0 is refused.
	HealthTimeout time.Duration

	// Compression (compression) is the algorithm for large messages. Default
	// [CompressionOff]; empty is refused.
	Compression Compression
	// CompressionThreshold (compression_threshold) is the size in bytes from
	// which a message is compressed. Default 1024; 0: every message is.
	CompressionThreshold int
	// MaxMessageSize (max_message_size) is the size in bytes of the largest
	// message to send or accept, 64 KiB to 256 MiB. Default 16 MiB - 1; 0 is
	// refused.
	MaxMessageSize int
	// StatementCache (statement_cache) is how many prepared statements each
	// session remembers. Default 256; 0: none.
	StatementCache int
	// ApplicationName (application_name) tells the server who is calling:
	// UTF-8 without control characters. Empty by default.
	ApplicationName string
	// Location (loc) is the time zone in which times are returned, one that
	// time.LoadLocation finds by its name. Default time.UTC; nil is refused.
	Location *time.Location
}

// NewConfig returns a Config with every default and without hosts, which the
// caller has to add. It does not look at the environment.
func NewConfig() *Config {
	c := &Config{}
	for _, p := range dsnParams {
		p.set(c, p.def)
	}
	return c
}

// Clone returns a deep copy: changing one never shows in the other. The copy
// of nil is nil.
func (c *Config) Clone() *Config {
	if c == nil {
		return nil
	}
	clone := *c
	clone.Hosts = slices.Clone(c.Hosts)
	clone.Protocols = slices.Clone(c.Protocols)
	return &clone
}

// The methods that show a Config have value receivers, unlike the others:
// otherwise printing a Config by value would bypass them and show the password.

// String returns the DSN of FormatDSN with *** in place of the password, for
// logs and messages.
func (c Config) String() string { return c.dsn("***") }

// GoString returns what %#v shows, with the password masked.
func (c Config) GoString() string { return fmt.Sprintf("qdb.Config(%q)", c.String()) }

// Format implements fmt.Formatter, so that no verb shows the password: each is
// applied to String, and %#v shows GoString.
func (c Config) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('#') {
		_, _ = io.WriteString(s, c.GoString())
		return
	}
	_, _ = fmt.Fprintf(s, fmt.FormatString(s, verb), c.String())
}

// LogValue implements slog.LogValuer with String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText implements encoding.TextMarshaler with String, which keeps the
// password out of JSON too, slog's included, also where a Config is nested in
// something else. It is for showing: the password cannot be read back. To store
// a Config, use FormatDSN.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// DSNError says what is wrong with a DSN, with the environment that completes
// it, or with a Config. It never holds a password, nor any text that may be part
// of one. Find it with errors.As.
type DSNError struct {
	// Param is what is wrong: a DSN parameter (also for the Config field that
	// belongs to it), a part of the DSN (scheme, user, password, host, port,
	// database, fragment), or an environment variable. It is empty when the
	// DSN as a whole is meant, or when the name cannot be shown.
	Param string
	// Reason is what is wrong with it, and what would be right.
	Reason string

	fromEnv bool  // the DSN was that of QDB_DSN
	err     error // cause, or nil
}

// Error returns Param and Reason after a prefix.
func (e *DSNError) Error() string {
	text := "qdb: invalid configuration: "
	if e.fromEnv {
		text = "qdb: invalid configuration in " + envDSN + ": "
	}
	if e.Param != "" {
		text += e.Param + ": "
	}
	return text + e.Reason
}

// Unwrap returns the error of the operating system when a file could not be
// read, and nil in all other cases.
func (e *DSNError) Unwrap() error { return e.err }

// Validate reports the first thing that is wrong with c as a *[DSNError], or
// nil. It reads no file but the time zone's, and changes nothing.
func (c *Config) Validate() error {
	if fault := c.firstFault(); fault != nil {
		return fault
	}
	return nil // a nil *DSNError would not be a nil error
}

func (c *Config) firstFault() *DSNError {
	if c == nil {
		return &DSNError{Reason: "nil Config: begin with NewConfig or ParseDSN"}
	}
	if len(c.Hosts) == 0 {
		return &DSNError{Param: "host", Reason: reasonMissing}
	}
	for _, h := range c.Hosts {
		if reason := checkHostName(h.Name); reason != "" {
			return &DSNError{Param: "host", Reason: reason}
		}
		if h.Port == 0 {
			return &DSNError{Param: "port", Reason: reasonPort}
		}
	}
	if c.EmptyPassword && c.Password != "" {
		return &DSNError{Param: "password", Reason: "EmptyPassword is set although there is a password: set only one of them"}
	}
	if c.User == "" && (c.EmptyPassword || c.Password != "") {
		return &DSNError{Param: "user", Reason: "missing though there is a password: write user:password@ or set " + envUser}
	}
	for _, p := range dsnParams {
		if reason := p.check(c); reason != "" {
			return &DSNError{Param: p.name, Reason: reason}
		}
	}
	return c.checkPairs()
}

// checkPairs looks at parameters that are right or wrong only together.
func (c *Config) checkPairs() *DSNError {
	switch {
	case c.PoolMinConns > c.PoolMaxConns:
		return &DSNError{Param: "pool_min_conns", Reason: "must not exceed pool_max_conns"}
	case c.RetryInitial > c.RetryMaxBackoff:
		return &DSNError{Param: "retry_initial", Reason: "must not exceed retry_max_backoff"}
	case c.TLSCert != "" && c.TLSKey == "":
		return &DSNError{Param: "tls_cert", Reason: "needs tls_key: give the key's file as well"}
	case c.TLSKey != "" && c.TLSCert == "":
		return &DSNError{Param: "tls_key", Reason: "needs tls_cert: give the certificate's file as well"}
	}
	return nil
}

// followGiven makes the default among two ordered parameters give way to the given
// one: pool_max_conns=2 alone must not fail because of a minimum that nobody asked for.
func followGiven[T int | time.Duration](given map[string]bool, low string, lowest *T, high string, highest *T) {
	switch {
	case *lowest <= *highest:
	case given[high] && !given[low]:
		*lowest = *highest
	case given[low] && !given[high]:
		*highest = *lowest
	}
}

// reasonX says what a value must be, for the parameters and parts that share it.
const (
	reasonNegative = "must not be negative"
	reasonEscape   = "'%' must be followed by two hexadecimal digits: write '%' itself as %25"
	reasonMissing  = "missing: name at least one node, as in qdb://db1:7000, and nothing empty between commas"
	reasonPath     = "must be a file's path without a zero byte"
	reasonPort     = "must be a number from 1 to 65535"
	reasonName     = "must be a host name of letters, digits, '-', '_' and '.' (an international name in its xn-- form) or an IP address"
	reasonIPv6     = "must be an IPv6 address where there are colons or brackets, in a DSN as in [::1]:7000 or [fe80::1%25eth0], in Host.Name as in ::1"
)

// checkHostName returns why name cannot be a Host.Name, or "".
func checkHostName(name string) string {
	if name == "" {
		return reasonMissing
	}
	if strings.ContainsAny(name, ":%[]") {
		return checkIPv6(name)
	}
	// 253 bytes is what the DNS can carry (RFC 1035, section 2.3.4); a name
	// may end in the dot of the root.
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(name) > 253 || slices.Contains(labels, "") || !onlyNameBytes(name) {
		return reasonName
	}
	return ""
}

func checkIPv6(name string) string {
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return reasonIPv6
	}
	for _, b := range []byte(addr.Zone()) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte("%/[]", b) >= 0 {
			return reasonIPv6
		}
	}
	return ""
}

func isLabel(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func isPath(s string) bool       { return !strings.Contains(s, "\x00") }
func isServerName(s string) bool { return s == "" || checkHostName(s) == "" }
func isTLSName(s string) bool    { return s != "" && onlyNameBytes(s) }

// onlyNameBytes reports whether s holds nothing but what host names and names
// of TLS configurations are made of.
func onlyNameBytes(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

func readHost(text string) (Host, *DSNError) {
	name, port, hasPort := strings.Cut(text, ":")
	bracketed := strings.HasPrefix(text, "[")
	if bracketed {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return Host{}, &DSNError{Param: "host", Reason: reasonIPv6}
		}
		name = text[1:end]
		port, hasPort = strings.CutPrefix(text[end+1:], ":")
		if !hasPort && port != "" {
			return Host{}, &DSNError{Param: "port", Reason: "must follow the ']' of an IPv6 address after a ':'"}
		}
	}
	name, ok := unescapeDSN(name)
	if !ok {
		return Host{}, &DSNError{Param: "host", Reason: reasonEscape + "; before the zone of an IPv6 address too"}
	}
	if reason := checkHostName(name); reason != "" {
		return Host{}, &DSNError{Param: "host", Reason: reason}
	}
	if bracketed != strings.Contains(name, ":") || strings.Contains(port, ":") {
		return Host{}, &DSNError{Param: "host", Reason: reasonIPv6}
	}
	h := Host{Name: name, Port: DefaultPort}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return Host{}, &DSNError{Param: "port", Reason: reasonPort}
		}
		h.Port = uint16(n)
	}
	return h, nil
}
