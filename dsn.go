package qdb

import (
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ParseDSN reads a data source name of the form
//
//	qdb://[user[:password]@]host[:port][,host[:port]...][/database][?name=value&...]
//
// and returns a Config with every default filled in and the environment
// consulted (below). A failure is a *[DSNError].
//
// Any byte may be written as % and two hexadecimal digits, and these must be:
// '%' everywhere; '/', '?' and '#' in user and password; ':' in the user; '/',
// '?', '#' and '@' in the database; '&' and '#' in values; control characters.
// The last '@' before the first '/' or '?' ends the password. '+' stands for
// itself. An IPv6 address is written in brackets, with %25 before its zone:
// [fe80::1%25eth0]:7001. A port that is left out is 7000. A user without a
// colon has no password; with one, as in user:@host, it is the empty password.
//
// The parameters and their defaults, explained at the fields of [Config]:
//
//	application_name       (empty)       shown to the server
//	compression            off           off, lz4
//	compression_threshold  1024          bytes
//	connect_timeout        5s            0: no limit
//	consistency            strong        strong, eventual
//	discover               true          true, false, 1, 0
//	health_interval        2s            0: after errors only
//	health_timeout         1s            more than 0
//	keepalive              15s           0: off
//	loc                    UTC           UTC, Local, or a name like Europe/Vienna
//	max_message_size       16777215      bytes, 65536 to 268435456
//	policy                 least_loaded  least_loaded, round_robin, random, in_order
//	pool_acquire_timeout   5s            0: no limit
//	pool_idle_timeout      60s           0: never
//	pool_max_conns         20            at least 1
//	pool_max_lifetime      30m           0: never
//	pool_min_conns         5             at most pool_max_conns; 0: none
//	protocols              tls,tcp,udp   any of them, in any order
//	query_timeout          0             0: no limit
//	retry_initial          100ms         at most retry_max_backoff
//	retry_max              3             0: none
//	retry_max_backoff      5s            0: no wait
//	retry_multiplier       2             at least 1
//	statement_cache        256           statements per session; 0: none
//	target                 any           any, primary, replica, prefer_replica
//	tls                    verify        verify, skip-verify, or a registered name
//	tls_ca                 (empty)       PEM file
//	tls_cert               (empty)       PEM file, together with tls_key
//	tls_key                (empty)       PEM file, together with tls_cert
//	tls_server_name        (empty)       instead of the host's name
//	write_retry            once          once, never
//
// Durations are written as time.ParseDuration reads them (5s, 100ms, 1h30m);
// only 0 needs no unit. Unknown and repeated parameters are errors. If only one
// of pool_min_conns and pool_max_conns is given, and contradicts the default of
// the other, that one follows; likewise retry_initial and retry_max_backoff.
//
// What the text leaves open is taken from the environment; an empty variable
// counts as not set. QDB_DSN replaces an empty text, QDB_USER is the user. When
// there is a user but no password, it is QDB_PASSWORD, or is looked up in the file
// QDB_PASSFILE, which has the form of PostgreSQL's: lines of
// host:port:database:user:password, where a field that is just * matches
// everything, a backslash takes the special meaning of the next character away,
// and # begins a line of comment. The first line that matches a host counts, and
// several hosts must not get different passwords. Except on Windows, only the
// file's owner may have access to it.
func ParseDSN(dsn string) (*Config, error) { return parseDSN(dsn, os.Getenv) }

// FormatDSN returns the DSN that ParseDSN reads back as c, with the password in
// clear text: use String for showing. Hosts keep their order and always have a
// port; parameters that differ from the defaults follow, sorted by name. For a
// Config that Validate refuses the text is whatever comes closest.
func (c *Config) FormatDSN() string { return c.dsn(escapeDSN(c.Password)) }

// readDSN takes the text apart and leaves it to Validate to judge the values.
// The standard library's URL parser is of no use here: it refuses a list of
// hosts, and quotes what it refuses, which may be the password.
func readDSN(dsn string) (*Config, *DSNError) {
	if strings.ContainsFunc(dsn, unicode.IsControl) {
		return nil, &DSNError{Reason: "holds a control character: percent-encode it, or remove the line break"}
	}
	scheme, rest, found := strings.Cut(dsn, "://")
	if !found || !strings.EqualFold(scheme, "qdb") {
		return nil, &DSNError{Param: "scheme", Reason: "a DSN must begin with qdb://"}
	}
	if strings.Contains(rest, "#") {
		return nil, &DSNError{Param: "fragment", Reason: "a DSN has none: write '#' as %23"}
	}
	authority, path, query := rest, "", ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
		path, query, _ = strings.Cut(rest[i:], "?")
	}
	// A '@' that comes this late suggests that the '/' or '?' before it
	// belongs to a password, and that what looks like the hosts is its beginning.
	if strings.Contains(path, "@") {
		return nil, &DSNError{Param: "database", Reason: "holds an '@', which is %40 there; or is there a '/' in the password? It is %2F there"}
	}
	c := NewConfig()
	fault := c.readAuthority(authority)
	if fault != nil && strings.Contains(query, "@") {
		fault.Reason += "; or is there a '?' in the password? It is %3F there"
	}
	if fault != nil {
		return nil, fault
	}
	name, ok := strings.TrimPrefix(path, "/"), false
	if strings.Contains(name, "/") {
		return nil, &DSNError{Param: "database", Reason: "write '/' in a database name as %2F"}
	}
	if c.Database, ok = unescapeDSN(name); !ok {
		return nil, &DSNError{Param: "database", Reason: reasonEscape}
	}
	return c, c.readQuery(query)
}

func (c *Config) readAuthority(authority string) *DSNError {
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hosts = authority[i+1:]
		user, password, given := strings.Cut(authority[:i], ":")
		var ok bool
		if c.User, ok = unescapeDSN(user); !ok {
			return &DSNError{Param: "user", Reason: reasonEscape}
		}
		if c.Password, ok = unescapeDSN(password); !ok {
			return &DSNError{Param: "password", Reason: reasonEscape}
		}
		c.EmptyPassword = given && password == ""
	}
	for _, text := range strings.Split(hosts, ",") {
		h, fault := readHost(text)
		if fault != nil {
			return fault
		}
		c.Hosts = append(c.Hosts, h)
	}
	return nil
}

func (c *Config) readQuery(query string) *DSNError {
	given := make(map[string]bool)
	for rest := query; rest != ""; {
		piece, after, _ := strings.Cut(rest, "&")
		if piece != "" {
			// No name is shown where a '@' follows: it may be the rest of
			// a password, see readDSN.
			name, fault := c.readParam(piece, !strings.Contains(rest, "@"))
			if fault != nil {
				return fault
			}
			if given[name] {
				return &DSNError{Param: name, Reason: "given more than once"}
			}
			given[name] = true
		}
		rest = after
	}
	followGiven(given, "pool_min_conns", &c.PoolMinConns, "pool_max_conns", &c.PoolMaxConns)
	followGiven(given, "retry_initial", &c.RetryInitial, "retry_max_backoff", &c.RetryMaxBackoff)
	return nil
}

func (c *Config) readParam(piece string, showable bool) (string, *DSNError) {
	rawName, rawValue, hasValue := strings.Cut(piece, "=")
	name, ok := unescapeDSN(rawName)
	if !ok {
		return "", &DSNError{Reason: "in a parameter's name: " + reasonEscape}
	}
	i := slices.IndexFunc(dsnParams, func(p dsnParam) bool { return p.name == name })
	if i < 0 {
		return "", c.unknownParam(name, showable && hasValue)
	}
	if !hasValue {
		return "", &DSNError{Param: name, Reason: "has no value: write " + name + "=value"}
	}
	value, ok := unescapeDSN(rawValue)
	if !ok {
		return "", &DSNError{Param: name, Reason: reasonEscape}
	}
	reason := dsnParams[i].set(c, value)
	if reason == "" {
		reason = dsnParams[i].check(c)
	}
	if reason != "" {
		return "", &DSNError{Param: name, Reason: reason}
	}
	return name, nil
}

// unknownParam shows the name only where it looks like one and has nothing in
// common with the password; fewer than four bytes in common mean nothing.
func (c *Config) unknownParam(name string, showable bool) *DSNError {
	if !showable || len(name) > 40 || !onlyNameBytes(name) || strings.Contains(c.Password, name) ||
		len(c.Password) >= 4 && strings.Contains(name, c.Password) {
		return &DSNError{Reason: "unknown parameter, not named here because it may be part of a password: '?' and '/' are %3F and %2F there"}
	}
	fault := &DSNError{Param: name, Reason: "unknown parameter"}
	if nearest := nearestParam(name); nearest != "" {
		fault.Reason += ", did you mean " + nearest + "?"
	}
	return fault
}

// nearestParam returns the parameter that name is a misspelling of, or "".
func nearestParam(name string) string {
	name = strings.ToLower(name)
	nearest, limit := "", min(3, (len(name)+1)/2)
	for _, p := range dsnParams {
		if d := editDistance(name, p.name); d <= limit {
			nearest, limit = p.name, d-1
		}
	}
	return nearest
}

// editDistance is Levenshtein's: how many bytes to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// dsn formats c with the given text, already escaped, where the password goes.
func (c *Config) dsn(password string) string {
	var b strings.Builder
	b.WriteString("qdb://")
	hasPassword := c.Password != "" || c.EmptyPassword
	if c.User != "" || hasPassword {
		b.WriteString(escapeDSN(c.User))
		if hasPassword {
			b.WriteString(":" + password)
		}
		b.WriteByte('@')
	}
	for i, h := range c.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		name := escapeDSN(h.Name)
		if strings.Contains(h.Name, ":") {
			name = "[" + strings.ReplaceAll(name, "%3A", ":") + "]"
		}
		b.WriteString(name + ":" + strconv.Itoa(int(h.Port)))
	}
	if c.Database != "" {
		b.WriteString("/" + escapeDSN(c.Database))
	}
	separator, defaults := byte('?'), NewConfig()
	for _, p := range dsnParams {
		if value := p.get(c); value != p.get(defaults) {
			b.WriteByte(separator)
			b.WriteString(p.name + "=" + readableDSN.Replace(escapeDSN(value)))
			separator = '&'
		}
	}
	return b.String()
}

// unescapeDSN decodes percent-encoding and reports whether it was well formed.
// The library's error would quote the text.
func unescapeDSN(s string) (string, bool) {
	s, err := url.PathUnescape(s)
	return s, err == nil
}

// escapeDSN encodes every byte but the unreserved ones of RFC 3986, section
// 2.3. As that includes '+', readers that take a '+' for a space agree.
func escapeDSN(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// readableDSN takes back the encoding of what is harmless in values: paths,
// zones and lists are to be read by people.
var readableDSN = strings.NewReplacer("%2F", "/", "%3A", ":", "%2C", ",")

// dsnParam is one parameter: its name, its default as a DSN would say it, and
// functions of a Config that take its value from a text, give it as a text that
// set accepts, and check it. set and check return what is wrong, or "", and
// quote nothing; what check finds, set need not find.
type dsnParam struct {
	name, def string
	set       func(c *Config, text string) string
	get       func(c *Config) string
	check     func(c *Config) string
}

// dsnParams are all parameters, sorted by name, which is the order of FormatDSN.
var dsnParams = []dsnParam{
	newParam("application_name", "", textValues(isLabel, "must be UTF-8 without control characters"), func(c *Config) *string { return &c.ApplicationName }),
	newParam("compression", "off", enumValues(CompressionOff, CompressionLZ4), func(c *Config) *Compression { return &c.Compression }),
	newParam("compression_threshold", "1024", intValues(0, math.MaxInt32), func(c *Config) *int { return &c.CompressionThreshold }),
	newParam("connect_timeout", "5s", durationValues(0), func(c *Config) *time.Duration { return &c.ConnectTimeout }),
	newParam("consistency", "strong", enumValues(ConsistencyStrong, ConsistencyEventual), func(c *Config) *Consistency { return &c.Consistency }),
	newParam("discover", "true", boolValues(), func(c *Config) *bool { return &c.Discover }),
	newParam("health_interval", "2s", durationValues(0), func(c *Config) *time.Duration { return &c.HealthInterval }),
	newParam("health_timeout", "1s", durationValues(1), func(c *Config) *time.Duration { return &c.HealthTimeout }),
	newParam("keepalive", "15s", durationValues(0), func(c *Config) *time.Duration { return &c.Keepalive }),
	newParam("loc", "UTC", zoneValues(), func(c *Config) **time.Location { return &c.Location }),
	newParam("max_message_size", "16777215", intValues(64<<10, 256<<20), func(c *Config) *int { return &c.MaxMessageSize }),
	newParam("policy", "least_loaded", enumValues(PolicyLeastLoaded, PolicyRoundRobin, PolicyRandom, PolicyInOrder), func(c *Config) *Policy { return &c.Policy }),
	newParam("pool_acquire_timeout", "5s", durationValues(0), func(c *Config) *time.Duration { return &c.PoolAcquireTimeout }),
	newParam("pool_idle_timeout", "60s", durationValues(0), func(c *Config) *time.Duration { return &c.PoolIdleTimeout }),
	newParam("pool_max_conns", "20", intValues(1, math.MaxInt32), func(c *Config) *int { return &c.PoolMaxConns }),
	newParam("pool_max_lifetime", "30m", durationValues(0), func(c *Config) *time.Duration { return &c.PoolMaxLifetime }),
	newParam("pool_min_conns", "5", intValues(0, math.MaxInt32), func(c *Config) *int { return &c.PoolMinConns }),
	newParam("protocols", "tls,tcp,udp", protocolValues(ProtocolTLS, ProtocolTCP, ProtocolUDP), func(c *Config) *[]Protocol { return &c.Protocols }),
	newParam("query_timeout", "0", durationValues(0), func(c *Config) *time.Duration { return &c.QueryTimeout }),
	newParam("retry_initial", "100ms", durationValues(0), func(c *Config) *time.Duration { return &c.RetryInitial }),
	newParam("retry_max", "3", intValues(0, math.MaxInt32), func(c *Config) *int { return &c.RetryMax }),
	newParam("retry_max_backoff", "5s", durationValues(0), func(c *Config) *time.Duration { return &c.RetryMaxBackoff }),
	newParam("retry_multiplier", "2", multiplierValues(), func(c *Config) *float64 { return &c.RetryMultiplier }),
	newParam("statement_cache", "256", intValues(0, math.MaxInt32), func(c *Config) *int { return &c.StatementCache }),
	newParam("target", "any", enumValues(TargetAny, TargetPrimary, TargetReplica, TargetPreferReplica), func(c *Config) *Target { return &c.Target }),
	newParam("tls", TLSVerify, textValues(isTLSName, "must be verify, skip-verify, or the registered name of a TLS configuration"), func(c *Config) *string { return &c.TLS }),
	newParam("tls_ca", "", textValues(isPath, reasonPath), func(c *Config) *string { return &c.TLSCA }),
	newParam("tls_cert", "", textValues(isPath, reasonPath), func(c *Config) *string { return &c.TLSCert }),
	newParam("tls_key", "", textValues(isPath, reasonPath), func(c *Config) *string { return &c.TLSKey }),
	newParam("tls_server_name", "", textValues(isServerName, reasonName), func(c *Config) *string { return &c.TLSServerName }),
	newParam("write_retry", "once", enumValues(WriteRetryOnce, WriteRetryNever), func(c *Config) *WriteRetry { return &c.WriteRetry }),
}

// paramValues says how the values of some parameters are read, written and judged.
type paramValues[T any] struct {
	parse  func(text string) (T, string)
	format func(T) string
	check  func(T) string
}

func newParam[T any](name, def string, v paramValues[T], field func(*Config) *T) dsnParam {
	return dsnParam{
		name: name, def: def,
		set: func(c *Config, text string) string {
			value, reason := v.parse(text)
			if reason == "" {
				*field(c) = value
			}
			return reason
		},
		get:   func(c *Config) string { return v.format(*field(c)) },
		check: func(c *Config) string { return v.check(*field(c)) },
	}
}

func reasonUnless(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

func textValues(valid func(string) bool, reason string) paramValues[string] {
	return paramValues[string]{
		parse:  func(text string) (string, string) { return text, "" },
		format: func(s string) string { return s },
		check:  func(s string) string { return reasonUnless(valid(s), reason) },
	}
}

func enumValues[T ~string](known ...T) paramValues[T] {
	reason := fmt.Sprintf("must be one of %v", known)
	return paramValues[T]{
		parse:  func(text string) (T, string) { return T(text), "" },
		format: func(v T) string { return string(v) },
		check:  func(v T) string { return reasonUnless(slices.Contains(known, v), reason) },
	}
}

func intValues(lowest, highest int) paramValues[int] {
	reason := fmt.Sprintf("must be a whole number from %d to %d", lowest, highest)
	return paramValues[int]{
		parse: func(text string) (int, string) {
			n, err := strconv.Atoi(text)
			return n, reasonUnless(err == nil && text[0] != '+', reason)
		},
		format: strconv.Itoa,
		check: func(n int) string {
			if n < 0 {
				return reasonNegative
			}
			return reasonUnless(lowest <= n && n <= highest, reason)
		},
	}
}

// tidyDuration takes out zeros that time.Duration writes: 30m, not 30m0s.
var tidyDuration = strings.NewReplacer("h0m0s", "h", "m0s", "m")

func durationValues(lowest time.Duration) paramValues[time.Duration] {
	return paramValues[time.Duration]{
		parse: func(text string) (time.Duration, string) {
			d, err := time.ParseDuration(text)
			if _, notNumber := strconv.ParseFloat(text, 64); err != nil && notNumber == nil {
				return 0, "add a unit, e.g. 5s"
			}
			return d, reasonUnless(err == nil, "must be a duration such as 5s, 100ms or 1h30m")
		},
		format: func(d time.Duration) string { return tidyDuration.Replace(d.String()) },
		check: func(d time.Duration) string {
			if d < 0 {
				return reasonNegative
			}
			return reasonUnless(d >= lowest, "must be more than 0")
		},
	}
}

func boolValues() paramValues[bool] {
	return paramValues[bool]{
		parse: func(text string) (bool, string) {
			yes := text == "true" || text == "1"
			return yes, reasonUnless(yes || text == "false" || text == "0", "must be true, false, 1 or 0")
		},
		format: strconv.FormatBool,
		check:  func(bool) string { return "" },
	}
}

func multiplierValues() paramValues[float64] {
	const reason = "must be a finite number of at least 1"
	return paramValues[float64]{
		parse: func(text string) (float64, string) {
			f, err := strconv.ParseFloat(text, 64)
			return f, reasonUnless(err == nil, reason)
		},
		format: func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) },
		check:  func(f float64) string { return reasonUnless(1 <= f && f <= math.MaxFloat64, reason) },
	}
}

// protocolValues takes some of the known values in any order, and yields and writes
// them in the order of known.
func protocolValues(known ...Protocol) paramValues[[]Protocol] {
	compare := func(a, b Protocol) int { return slices.Index(known, a) - slices.Index(known, b) }
	return paramValues[[]Protocol]{
		parse: func(text string) (list []Protocol, reason string) {
			for name := range strings.SplitSeq(text, ",") {
				list = append(list, Protocol(name))
			}
			slices.SortStableFunc(list, compare)
			return list, ""
		},
		format: func(list []Protocol) (text string) {
			for _, p := range slices.SortedStableFunc(slices.Values(list), compare) {
				text += "," + string(p)
			}
			return strings.TrimPrefix(text, ",")
		},
		check: func(list []Protocol) string {
			valid := len(list) > 0
			for i, p := range list {
				valid = valid && slices.Contains(known, p) && !slices.Contains(list[:i], p)
			}
			return reasonUnless(valid, fmt.Sprintf("must be some of %v, each at most once", known))
		},
	}
}

// zoneValues are known by name, as a DSN cannot hold one made with time.FixedZone.
func zoneValues() paramValues[*time.Location] {
	const reason = "must be UTC, Local, or a name of the time zone database such as Europe/Vienna"
	parse := func(text string) (*time.Location, string) {
		zone, err := time.LoadLocation(text)
		return zone, reasonUnless(err == nil && text != "", reason)
	}
	return paramValues[*time.Location]{
		parse:  parse,
		format: (*time.Location).String,
		check: func(zone *time.Location) string {
			if zone == nil {
				return "must not be nil: time.UTC is the default"
			}
			_, problem := parse(zone.String())
			return problem
		},
	}
}
