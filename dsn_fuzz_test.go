package qdb

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// checkFixedPoint reports how c changes when it is written and read back,
// or "".
func checkFixedPoint(c *Config) string {
	text := c.FormatDSN()
	again, err := parseDSN(text, noEnv)
	if err != nil {
		return fmt.Sprintf("%q is refused: %v", text, err)
	}
	if diff := cmp.Diff(c, again, sameZone); diff != "" {
		return fmt.Sprintf("%q is read back differently:\n%s", text, diff)
	}
	if second := again.FormatDSN(); second != text {
		return fmt.Sprintf("%q is written back as %q", text, second)
	}
	return ""
}

var anyBytes = rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })

// drawHost takes names and addresses of each kind that Validate accepts.
func drawHost(t *rapid.T) Host {
	name := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,3}\.?`),
		rapid.StringMatching(`[12]?[0-9](\.[12]?[0-9]){3}`),
		rapid.StringMatching(`fe80::[1-9a-fA-F]{1,4}(%[!-$&-.0-Z\\^-~]{1,8})?`),
	).Draw(t, "host")
	return Host{name, rapid.Uint16Min(1).Draw(t, "port")}
}

// drawConfig takes any valid Config, with the protocols in the order in which
// ParseDSN gives them.
func drawConfig(t *rapid.T) *Config {
	duration := func(name string, lowest time.Duration) time.Duration {
		return time.Duration(rapid.Int64Min(int64(lowest)).Draw(t, name))
	}
	number := func(name string, lowest, highest int) int {
		return rapid.IntRange(lowest, highest).Draw(t, name)
	}
	path := func(name string) string {
		return rapid.StringMatching(`[^\x00]{1,20}`).Draw(t, name)
	}
	c := &Config{
		Hosts:    rapid.SliceOfN(rapid.Custom(drawHost), 1, 4).Draw(t, "hosts"),
		User:     anyBytes.Draw(t, "user"),
		Database: anyBytes.Draw(t, "database"),

		TLS:           rapid.StringMatching(`verify|skip-verify|[A-Za-z0-9_.-]{1,20}`).Draw(t, "tls"),
		TLSServerName: rapid.SampledFrom([]string{"", "db.example.com", "::1"}).Draw(t, "tls_server_name"),

		ConnectTimeout: duration("connect_timeout", 0),
		QueryTimeout:   duration("query_timeout", 0),
		Keepalive:      duration("keepalive", 0),

		PoolMaxConns:       number("pool_max_conns", 1, 100),
		PoolIdleTimeout:    duration("pool_idle_timeout", 0),
		PoolMaxLifetime:    duration("pool_max_lifetime", 0),
		PoolAcquireTimeout: duration("pool_acquire_timeout", 0),

		RetryMax:        number("retry_max", 0, math.MaxInt32),
		RetryMaxBackoff: duration("retry_max_backoff", 0),
		RetryMultiplier: rapid.Float64Range(1, math.MaxFloat64).Draw(t, "retry_multiplier"),
		WriteRetry:      rapid.SampledFrom([]WriteRetry{WriteRetryOnce, WriteRetryNever}).Draw(t, "write_retry"),

		Policy:         rapid.SampledFrom([]Policy{PolicyLeastLoaded, PolicyRoundRobin, PolicyRandom, PolicyInOrder}).Draw(t, "policy"),
		Target:         rapid.SampledFrom([]Target{TargetAny, TargetPrimary, TargetReplica, TargetPreferReplica}).Draw(t, "target"),
		Consistency:    rapid.SampledFrom([]Consistency{ConsistencyStrong, ConsistencyEventual}).Draw(t, "consistency"),
		Discover:       rapid.Bool().Draw(t, "discover"),
		HealthInterval: duration("health_interval", 0),
		HealthTimeout:  duration("health_timeout", 1),

		Compression:          rapid.SampledFrom([]Compression{CompressionOff, CompressionLZ4}).Draw(t, "compression"),
		CompressionThreshold: number("compression_threshold", 0, math.MaxInt32),
		MaxMessageSize:       number("max_message_size", 64<<10, 256<<20),
		StatementCache:       number("statement_cache", 0, math.MaxInt32),
		ApplicationName:      rapid.StringMatching(`[ -~é€]{0,20}`).Draw(t, "application_name"),
		Location:             rapid.SampledFrom([]*time.Location{time.UTC, time.Local}).Draw(t, "loc"),
	}
	c.PoolMinConns = number("pool_min_conns", 0, c.PoolMaxConns)
	c.RetryInitial = time.Duration(rapid.Int64Range(0, int64(c.RetryMaxBackoff)).Draw(t, "retry_initial"))
	for _, p := range []Protocol{ProtocolTLS, ProtocolTCP, ProtocolUDP} {
		if rapid.Bool().Draw(t, "protocol "+string(p)) {
			c.Protocols = append(c.Protocols, p)
		}
	}
	if len(c.Protocols) == 0 {
		c.Protocols = []Protocol{ProtocolTCP}
	}
	if rapid.Bool().Draw(t, "tls_ca") {
		c.TLSCA = path("tls_ca path")
	}
	if rapid.Bool().Draw(t, "tls_cert and tls_key") {
		c.TLSCert, c.TLSKey = path("tls_cert"), path("tls_key")
	}
	if c.User != "" {
		c.Password = anyBytes.Draw(t, "password")
		c.EmptyPassword = c.Password == "" && rapid.Bool().Draw(t, "empty password")
	}
	return c
}

func TestEveryValidConfigIsReadBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		if err := c.Validate(); err != nil {
			t.Fatalf("the Config is refused: %v", err)
		}
		if problem := checkFixedPoint(c); problem != "" {
			t.Fatal(problem)
		}
		clone := c.Clone()
		if diff := cmp.Diff(c, clone, sameZone); diff != "" {
			t.Fatalf("the clone differs:\n%s", diff)
		}
		// Masking must change the password alone.
		if c.Password != "" {
			clone.Password = "***"
		}
		if want := strings.Replace(clone.FormatDSN(), "%2A%2A%2A", "***", 1); c.Password != "" && c.String() != want {
			t.Fatalf("masked: %s, want %s", c, want)
		}
	})
}

func TestChangingACloneLeavesTheOriginalAsItWas(t *testing.T) {
	const dsn = "qdb://u:p@a:7000,b:7000/db?protocols=tls,tcp"
	original := mustParse(t, dsn)
	clone := original.Clone()
	if diff := cmp.Diff(original, clone, sameZone); diff != "" {
		t.Fatalf("the clone differs:\n%s", diff)
	}
	clone.Hosts[0].Name, clone.Protocols[0], clone.Password = "x", ProtocolUDP, "other"
	if got := original.FormatDSN(); got != dsn {
		t.Errorf("the original became %s", got)
	}
	if (*Config)(nil).Clone() != nil {
		t.Error("the clone of nil is not nil")
	}
}

// substitute replaces each letter and digit by another one of its kind, so that
// the text keeps its structure (hexadecimal digits, numbers, delimiters) and
// nothing else.
func substitute(s string) string {
	b := []byte(s)
	for i, ch := range b {
		switch {
		case '0' <= ch && ch <= '9':
			b[i] = '1' + (ch-'0'+3)%9
		case 'a' <= ch && ch <= 'f', 'A' <= ch && ch <= 'F':
			b[i] = 'a' + (ch|0x20-'a'+2)%6
		case 'g' <= ch && ch <= 'z', 'G' <= ch && ch <= 'Z':
			b[i] = 'g' + (ch|0x20-'g'+7)%20
		case ch == '_':
			b[i] = '-'
		case ch == '-':
			b[i] = '_'
		}
	}
	return string(b)
}

// hasSecret matches a DSN with a password in place of the $.
var hasSecret = regexp.MustCompile(`^(?i:qdb)://[^/?#:@,$]*:\$(@|$)`)

// checkSecrecy fails when the error shows the password: when it holds it, and
// is another one for another password, so that it is not by chance that the
// password is found in a fixed text. Fewer than four bytes prove nothing, and
// parameters are named whatever the password is.
func checkSecrecy(t *testing.T, template, password string, encode func(string) string) {
	t.Helper()
	_, err := parseDSN(strings.ReplaceAll(template, "$", encode(password)), noEnv)
	if len(password) < 4 || !strings.Contains(err.Error(), password) {
		return
	}
	for _, p := range dsnParams {
		if strings.Contains(p.name, password) {
			return
		}
	}
	_, other := parseDSN(strings.ReplaceAll(template, "$", encode(substitute(password))), noEnv)
	if other == nil || other.Error() != err.Error() {
		t.Errorf("the error for the password %q shows it: %v", password, err)
	}
}

// FuzzParseDSN puts a password where a DSN has a $, once encoded and once not.
func FuzzParseDSN(f *testing.F) {
	for _, dsn := range []string{
		"qdb://h", "qdb://user:$@a:7001,[fe80::1%25eth0],b/db%2Fx?policy=random&protocols=udp,tls", "qdb://u@h?pool_max_conns=2",
		"qdb://user:$", "qdb://$@h", "qdb://$", "qdb://h/$", "qdb://h?$=1", "qdb://u:$@h?$=1", "qdb://user:$@h:x", "qdb://user:$@h?bogus=1",
		"qdb://h?loc=$&retry_multiplier=$", "qdb://u:@h#$", "qdb://u:$@h?tls_cert=$&tls_key=$&application_name=$", "$://h",
		"qdb://[fe80::1%25a%2Cb:c],h", "qdb://h?connect_timeout=1h0m5s&retry_initial=7ns&retry_max_backoff=0", "qdb://h?loc=Europe/Vienna&max_message_size=65536",
	} {
		for _, password := range []string{"", "sesame", "pa/ss", "12/3@x", "12?policy=ses", "12?a=b&policy", "p%zz", "%41%00", "a@b:c", "\x00\xff\n", "x#y", "pool_max_con"} {
			f.Add(dsn, password)
		}
	}
	f.Fuzz(func(t *testing.T, dsn, password string) {
		for _, encode := range []func(string) string{strings.Clone, escapeDSN} {
			text := strings.ReplaceAll(dsn, "$", encode(password))
			c, err := parseDSN(text, noEnv)
			if (c == nil) == (err == nil) {
				t.Fatalf("%q yields %v and %v", text, c, err)
			}
			if err == nil {
				checkAccepted(t, text, c)
				continue
			}
			if hasSecret.MatchString(dsn) {
				checkSecrecy(t, dsn, password, encode)
			}
		}
	})
}

func checkAccepted(t *testing.T, text string, c *Config) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Errorf("%q is accepted, but not valid: %v", text, err)
	}
	if problem := checkFixedPoint(c); problem != "" {
		t.Errorf("%q is accepted, but %s", text, problem)
	}
	// What is masked is the same for all passwords.
	other := c.Clone()
	if c.Password != "" {
		other.Password = "another"
	}
	if c.String() != other.String() || fmt.Sprintf("%+v%#v", *c, c) != fmt.Sprintf("%+v%#v", *other, other) {
		t.Errorf("%q: %s depends on the password", text, c)
	}
}
