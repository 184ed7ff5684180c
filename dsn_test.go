package qdb

import (
	stdcmp "cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noEnv is an environment in which nothing is set.
func noEnv(string) string { return "" }

func mustParse(t *testing.T, dsn string) *Config {
	t.Helper()
	c, err := parseDSN(dsn, noEnv)
	if err != nil {
		t.Fatalf("%q is refused: %v", dsn, err)
	}
	return c
}

// refused checks that the DSN is refused for the sake of param, with a reason
// that holds the given text.
func refused(t *testing.T, dsn, param, reason string) {
	t.Helper()
	c, err := parseDSN(dsn, noEnv)
	checkFault(t, err, param, reason)
	if c != nil {
		t.Errorf("%q yields a Config beside an error", dsn)
	}
}

func checkFault(t *testing.T, err error, param, reason string) {
	t.Helper()
	fault, ok := errors.AsType[*DSNError](err)
	if !ok {
		t.Fatalf("got %v, want a *DSNError about %s", err, param)
	}
	if fault.Param != param || !strings.Contains(fault.Reason, reason) {
		t.Errorf("got %q about %q, want %q about %q", fault.Reason, fault.Param, reason, param)
	}
	if text := err.Error(); !strings.HasPrefix(text, "qdb: ") || !strings.HasSuffix(text, fault.Reason) || !strings.Contains(text, param) {
		t.Errorf("%q lacks the prefix, the parameter or the reason", text)
	}
}

// sameZone makes go-cmp compare time zones by their names.
var sameZone = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

// paramTest says all about one parameter: texts with the values they stand
// for, and texts that are refused with a part of the reason.
type paramTest struct {
	name    string
	field   func(*Config) any
	def     any
	valid   map[string]any
	invalid map[string]string
}

func durationTest(name string, def time.Duration, field func(*Config) time.Duration) paramTest {
	return paramTest{name, func(c *Config) any { return field(c) }, def,
		map[string]any{"0": time.Duration(0), "0s": time.Duration(0), "3ms": 3 * time.Millisecond, "1h0m30s": time.Hour + 30*time.Second, "2h": 2 * time.Hour, "4m": 4 * time.Minute, "1.5s": 1500 * time.Millisecond, "2562047h47m16.854775807s": time.Duration(math.MaxInt64)},
		map[string]string{"": "must be a duration", "5": "add a unit, e.g. 5s", "-5": "add a unit", "1.5": "add a unit", "-1ns": "negative", "5 s": "must be a duration", "5d": "must be a duration", "2562048h": "must be a duration"}}
}

func intTest(name string, def, lowest, highest int, field func(*Config) int) paramTest {
	p := paramTest{name, func(c *Config) any { return field(c) }, def,
		map[string]any{fmt.Sprint(lowest): lowest, fmt.Sprint(highest): highest, fmt.Sprint("0", highest): highest},
		map[string]string{"": "whole number", "x": "whole number", "1.5": "whole number", "%2B70000": "whole number", "0x11000": "whole number", "-1": "negative", fmt.Sprint(int64(highest) + 1): "whole number", "99999999999999999999": "whole number"}}
	if lowest > 0 {
		p.invalid[fmt.Sprint(lowest-1)] = fmt.Sprintf("from %d to %d", lowest, highest)
	}
	return p
}

func enumTest[T ~string](name string, field func(*Config) T, known ...T) paramTest {
	p := paramTest{name, func(c *Config) any { return field(c) }, known[0], map[string]any{},
		map[string]string{"": string(known[0]), "bogus": string(known[1]), strings.ToUpper(string(known[0])): "must be one of"}}
	for _, v := range known {
		p.valid[string(v)] = v
	}
	return p
}

// pathTest pairs tls_cert and tls_key, of which neither may come alone.
func pathTest(name, partner string, field func(*Config) string) paramTest {
	p := paramTest{name, func(c *Config) any { return field(c) }, "", map[string]any{}, map[string]string{"a%00b": "zero byte"}}
	for text, path := range map[string]string{"/etc/qdb/a.pem": "/etc/qdb/a.pem", `C:%5Cx+y%20z%26%2523.pem`: `C:\x+y z&%23.pem`} {
		p.valid[text+partner] = path
	}
	return p
}

func paramTests() []paramTest {
	text := func(field func(*Config) string) func(*Config) any { return func(c *Config) any { return field(c) } }
	return []paramTest{
		{"application_name", text(func(c *Config) string { return c.ApplicationName }), "",
			map[string]any{"": "", "billing": "billing", "a+b%20c=d?e": "a+b c=d?e", "%C3%A9t%C3%A9": "été", "été": "été"},
			map[string]string{"%ff": "UTF-8", "a%0Ab": "control", "a%2": "hexadecimal"}},
		enumTest("compression", func(c *Config) Compression { return c.Compression }, "off", "lz4"),
		intTest("compression_threshold", 1024, 0, math.MaxInt32, func(c *Config) int { return c.CompressionThreshold }),
		durationTest("connect_timeout", 5*time.Second, func(c *Config) time.Duration { return c.ConnectTimeout }),
		enumTest("consistency", func(c *Config) Consistency { return c.Consistency }, "strong", "eventual"),
		{"discover", func(c *Config) any { return c.Discover }, true,
			map[string]any{"true": true, "false": false, "1": true, "0": false},
			map[string]string{"": "true, false", "yes": "true, false", "TRUE": "true, false", "-1": "true, false", "2": "true, false"}},
		durationTest("health_interval", 2*time.Second, func(c *Config) time.Duration { return c.HealthInterval }),
		positive(durationTest("health_timeout", time.Second, func(c *Config) time.Duration { return c.HealthTimeout })),
		durationTest("keepalive", 15*time.Second, func(c *Config) time.Duration { return c.Keepalive }),
		{"loc", text(func(c *Config) string { return c.Location.String() }), "UTC",
			map[string]any{"UTC": "UTC", "Local": "Local", "Europe/Vienna": "Europe/Vienna", "Etc%2fGMT+5": "Etc/GMT+5"},
			map[string]string{"": "must be UTC", "Atlantis/Port": "must be UTC", "../../etc/passwd": "must be UTC", "-1": "must be UTC"}},
		intTest("max_message_size", 0x00FFFFFF, 64<<10, 256<<20, func(c *Config) int { return c.MaxMessageSize }),
		enumTest("policy", func(c *Config) Policy { return c.Policy }, "least_loaded", "round_robin", "random", "in_order"),
		durationTest("pool_acquire_timeout", 5*time.Second, func(c *Config) time.Duration { return c.PoolAcquireTimeout }),
		durationTest("pool_idle_timeout", 60*time.Second, func(c *Config) time.Duration { return c.PoolIdleTimeout }),
		intTest("pool_max_conns", 20, 1, math.MaxInt32, func(c *Config) int { return c.PoolMaxConns }),
		durationTest("pool_max_lifetime", 30*time.Minute, func(c *Config) time.Duration { return c.PoolMaxLifetime }),
		intTest("pool_min_conns", 5, 0, math.MaxInt32, func(c *Config) int { return c.PoolMinConns }),
		{"protocols", func(c *Config) any { return c.Protocols }, []Protocol{ProtocolTLS, ProtocolTCP, ProtocolUDP},
			map[string]any{"udp": []Protocol{ProtocolUDP}, "udp,tls": []Protocol{ProtocolTLS, ProtocolUDP}, "udp,tcp,tls": []Protocol{ProtocolTLS, ProtocolTCP, ProtocolUDP}, "tcp%2Cudp": []Protocol{ProtocolTCP, ProtocolUDP}},
			map[string]string{"": "must be some of", "tls,tls": "at most once", "tls,": "must be some of", "quic": "must be some of", "TLS": "must be some of", "tls, tcp": "must be some of"}},
		durationTest("query_timeout", 0, func(c *Config) time.Duration { return c.QueryTimeout }),
		durationTest("retry_initial", 100*time.Millisecond, func(c *Config) time.Duration { return c.RetryInitial }),
		intTest("retry_max", 3, 0, math.MaxInt32, func(c *Config) int { return c.RetryMax }),
		durationTest("retry_max_backoff", 5*time.Second, func(c *Config) time.Duration { return c.RetryMaxBackoff }),
		{"retry_multiplier", func(c *Config) any { return c.RetryMultiplier }, 2.0,
			map[string]any{"1": 1.0, "1.25": 1.25, "1e21": 1e21, "1.7976931348623157e308": math.MaxFloat64},
			map[string]string{"": "finite", "x": "finite", "0": "at least 1", "0.99": "at least 1", "-2": "at least 1", "NaN": "finite", "Inf": "finite", "1e309": "finite"}},
		intTest("statement_cache", 256, 0, math.MaxInt32, func(c *Config) int { return c.StatementCache }),
		enumTest("target", func(c *Config) Target { return c.Target }, "any", "primary", "replica", "prefer_replica"),
		{"tls", text(func(c *Config) string { return c.TLS }), "verify",
			map[string]any{"verify": "verify", "skip-verify": "skip-verify", "My_corp.v2-x": "My_corp.v2-x"},
			map[string]string{"": "must be verify", "a%20b": "must be verify", "a/b": "must be verify", "%C3%A9": "must be verify"}},
		pathTest("tls_ca", "", func(c *Config) string { return c.TLSCA }),
		pathTest("tls_cert", "&tls_key=k", func(c *Config) string { return c.TLSCert }),
		pathTest("tls_key", "&tls_cert=c", func(c *Config) string { return c.TLSKey }),
		{"tls_server_name", text(func(c *Config) string { return c.TLSServerName }), "",
			map[string]any{"": "", "db.example.com": "db.example.com", "10.0.0.1": "10.0.0.1", "::1": "::1"},
			map[string]string{"a%20b": "host name", "a:b": "host name", "a..b": "host name"}},
		enumTest("write_retry", func(c *Config) WriteRetry { return c.WriteRetry }, "once", "never"),
	}
}

// positive turns the zeros among the valid values into invalid ones.
func positive(p paramTest) paramTest {
	for _, zero := range []string{"0", "0s"} {
		delete(p.valid, zero)
		p.invalid[zero] = "more than 0"
	}
	return p
}

func TestEveryParameterHasItsDefaultAndTakesAndRefusesValues(t *testing.T) {
	var known, names []string
	defaults := make(map[string]string)
	for _, p := range dsnParams {
		known = append(known, p.name)
		defaults[p.name] = p.def
	}
	for _, p := range paramTests() {
		names = append(names, p.name)
		t.Run(p.name, func(t *testing.T) {
			if got := p.field(mustParse(t, "qdb://h")); !cmp.Equal(got, p.def) {
				t.Errorf("default is %v, want %v", got, p.def)
			}
			for text, want := range p.valid {
				dsn := "qdb://h/?" + p.name + "=" + text
				c := mustParse(t, dsn)
				if got := p.field(c); !cmp.Equal(got, want) {
					t.Errorf("%s yields %v, want %v", dsn, got, want)
				}
				formatted := c.FormatDSN()
				if written := strings.Contains(formatted, p.name+"="); written == cmp.Equal(want, p.def) {
					t.Errorf("%s: written in %s: %t", dsn, formatted, written)
				}
				if diff := cmp.Diff(c, mustParse(t, formatted), sameZone); diff != "" {
					t.Errorf("%s changes by way of %s:\n%s", dsn, formatted, diff)
				}
			}
			for text, reason := range p.invalid {
				refused(t, "qdb://h/?"+p.name+"="+text, p.name, reason)
			}
			refused(t, "qdb://h/?"+p.name, p.name, "write "+p.name+"=value")
			refused(t, "qdb://h/?"+p.name+"="+defaults[p.name]+"&"+p.name+"="+defaults[p.name], p.name, "more than once")
		})
	}
	if !slices.IsSorted(known) || !slices.Equal(known, names) {
		t.Errorf("parameters %v are not sorted, or are not those tested, %v", known, names)
	}
}

func TestTheDocumentationListsEveryParameterWithItsDefault(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "dsn.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	doc := file.Scope.Lookup("ParseDSN").Decl.(*ast.FuncDecl).Doc.Text()
	var want, got []string
	for _, p := range dsnParams {
		want = append(want, p.name+" "+stdcmp.Or(p.def, "(empty)"))
	}
	for _, row := range regexp.MustCompile(`(?m)^\t([a-z_]+) +(\S+) +\S`).FindAllStringSubmatch(doc, -1) {
		got = append(got, row[1]+" "+row[2])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-) and documentation (+) differ:\n%s", diff)
	}
}

func TestTheOpenOneOfTwoOrderedParametersFollowsTheGivenOne(t *testing.T) {
	for dsn, want := range map[string][2]any{
		"qdb://h?pool_max_conns=3":                      {3, 3},
		"qdb://h?pool_max_conns=7":                      {5, 7},
		"qdb://h?pool_min_conns=30":                     {30, 30},
		"qdb://h?pool_max_conns=2&pool_min_conns=0":     {0, 2},
		"qdb://h?retry_max_backoff=50ms":                {50 * time.Millisecond, 50 * time.Millisecond},
		"qdb://h?retry_max_backoff=0":                   {time.Duration(0), time.Duration(0)},
		"qdb://h?retry_initial=9s":                      {9 * time.Second, 9 * time.Second},
		"qdb://h?retry_initial=9s&retry_max_backoff=1m": {9 * time.Second, time.Minute},
	} {
		c := mustParse(t, dsn)
		got := [2]any{c.PoolMinConns, c.PoolMaxConns}
		if strings.Contains(dsn, "retry") {
			got = [2]any{c.RetryInitial, c.RetryMaxBackoff}
		}
		if got != want {
			t.Errorf("%s yields %v, want %v", dsn, got, want)
		}
		if diff := cmp.Diff(c, mustParse(t, c.FormatDSN()), sameZone); diff != "" {
			t.Errorf("%s changes by way of %s:\n%s", dsn, c.FormatDSN(), diff)
		}
	}
	refused(t, "qdb://h?pool_min_conns=5&pool_max_conns=4", "pool_min_conns", "exceed pool_max_conns")
	refused(t, "qdb://h?retry_max_backoff=1s&retry_initial=2s", "retry_initial", "exceed retry_max_backoff")
	refused(t, "qdb://h?pool_max_conns=-1", "pool_max_conns", "negative")
	refused(t, "qdb://h?retry_initial=-1s", "retry_initial", "negative")
}

func TestTheClientCertificateAndItsKeyComeTogether(t *testing.T) {
	refused(t, "qdb://h?tls_cert=c.pem", "tls_cert", "needs tls_key")
	refused(t, "qdb://h?tls_key=k.pem", "tls_key", "needs tls_cert")
}

func TestUserPasswordHostsAndDatabaseAreReadAndWrittenBack(t *testing.T) {
	const anyBytes = "\x00@/:?#%&+ \xff\xc3"
	for _, test := range []struct {
		dsn, want string
		config    Config
	}{
		{"qdb://h", "qdb://h:7000", Config{Hosts: []Host{{"h", 7000}}}},
		{"QDB://@h:07001/?", "qdb://h:7001", Config{Hosts: []Host{{"h", 7001}}}},
		{"qdb://b:2,a,B_-.x.:65535/shop?&", "qdb://b:2,a:7000,B_-.x.:65535/shop", Config{Hosts: []Host{{"b", 2}, {"a", 7000}, {"B_-.x.", 65535}}, Database: "shop"}},
		{"qdb://[::1],[FE80::1%25eth0]:1,[::ffff:1.2.3.4]", "qdb://[::1]:7000,[FE80::1%25eth0]:1,[::ffff:1.2.3.4]:7000", Config{Hosts: []Host{{"::1", 7000}, {"FE80::1%eth0", 1}, {"::ffff:1.2.3.4", 7000}}}},
		{"qdb://[fe80::1%25a%2Cb%3a%40]", "qdb://[fe80::1%25a%2Cb:%40]:7000", Config{Hosts: []Host{{"fe80::1%a,b:@", 7000}}}},
		{"qdb://%6c%6F:1", "qdb://lo:1", Config{Hosts: []Host{{"lo", 1}}}},
		{"qdb://u@h", "qdb://u@h:7000", Config{Hosts: []Host{{"h", 7000}}, User: "u"}},
		{"qdb://u:@h", "qdb://u:@h:7000", Config{Hosts: []Host{{"h", 7000}}, User: "u", EmptyPassword: true}},
		{"qdb://a@b:c@d:e f%25,é@h/%2F%40", "qdb://a%40b:c%40d%3Ae%20f%25%2C%C3%A9@h:7000/%2F%40", Config{Hosts: []Host{{"h", 7000}}, User: "a@b", Password: "c@d:e f%,é", Database: "/@"}},
		{"qdb://%00%40%2f%3a%3f%23%25%26+%20%ff%c3:%00%40%2f%3a%3f%23%25%26+%20%ff%c3@h/%00%40%2f%3a%3f%23%25%26+%20%ff%c3",
			"qdb://%00%40%2F%3A%3F%23%25%26%2B%20%FF%C3:%00%40%2F%3A%3F%23%25%26%2B%20%FF%C3@h:7000/%00%40%2F%3A%3F%23%25%26%2B%20%FF%C3",
			Config{Hosts: []Host{{"h", 7000}}, User: anyBytes, Password: anyBytes, Database: anyBytes}},
	} {
		got := mustParse(t, test.dsn)
		want := NewConfig()
		want.Hosts, want.User, want.Password = test.config.Hosts, test.config.User, test.config.Password
		want.EmptyPassword, want.Database = test.config.EmptyPassword, test.config.Database
		if diff := cmp.Diff(want, got, sameZone); diff != "" {
			t.Errorf("%s:\n%s", test.dsn, diff)
		}
		if formatted := got.FormatDSN(); formatted != test.want {
			t.Errorf("%s is written back as %s, want %s", test.dsn, formatted, test.want)
		}
	}
}

func TestHostsAreShownAsDialTargets(t *testing.T) {
	if got := fmt.Sprint(mustParse(t, "qdb://a,[fe80::1%25en0]:7002").Hosts); got != "[a:7000 [fe80::1%en0]:7002]" {
		t.Errorf("got %s", got)
	}
}

func TestParametersAreWrittenInTheOrderOfTheirNames(t *testing.T) {
	c := mustParse(t, "qdb://h?tls=skip-verify&policy=random&loc=Europe/Vienna&protocols=udp,tcp&discover=0&pool_idle_timeout=2h&retry_max=0&target=any")
	const want = "qdb://h:7000?discover=false&loc=Europe/Vienna&policy=random&pool_idle_timeout=2h&protocols=tcp,udp&retry_max=0&tls=skip-verify"
	if got := c.FormatDSN(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMalformedDSNsAreRefusedWithTheReason(t *testing.T) {
	for _, test := range []struct{ dsn, param, reason string }{
		{"h:7000", "scheme", "must begin with qdb://"},
		{"postgres://h", "scheme", "must begin with qdb://"},
		{"qdb:h", "scheme", "must begin with qdb://"},
		{" qdb://h", "scheme", "must begin with qdb://"},
		{"qdb://h\n", "", "control character"},
		{"qdb://u:a\x00b@h", "", "control character"},
		{"qdb://", "host", "at least one node"},
		{"qdb:///db", "host", "at least one node"},
		{"qdb://u@/db", "host", "at least one node"},
		{"qdb://?policy=random", "host", "at least one node"},
		{"qdb://a,,b", "host", "nothing empty"},
		{"qdb://a,", "host", "nothing empty"},
		{"qdb://:7000", "host", "nothing empty"},
		{"qdb://a b", "host", "letters, digits"},
		{"qdb://é", "host", "xn--"},
		{"qdb://a..b", "host", "letters, digits"},
		{"qdb://.", "host", "letters, digits"},
		{"qdb://" + strings.Repeat("a", 254), "host", "letters, digits"},
		{"qdb://a%2Fb", "host", "letters, digits"},
		{"qdb://a%2", "host", "hexadecimal"},
		{"qdb://fe80::1", "host", "IPv6"},
		{"qdb://a:1:2", "host", "IPv6"},
		{"qdb://%3A%3A1", "host", "IPv6"},
		{"qdb://[::1", "host", "IPv6"},
		{"qdb://[]", "host", "at least one node"},
		{"qdb://[h]", "host", "IPv6"},
		{"qdb://[1.2.3.4]", "host", "IPv6"},
		{"qdb://[::g]", "host", "IPv6"},
		{"qdb://[fe80::1%eth0]", "host", "%25; before the zone"},
		{"qdb://[fe80::1%25a%20b]", "host", "IPv6"},
		{"qdb://[fe80::1%25a%2Fb]", "host", "IPv6"},
		{"qdb://[fe80::1%25]", "host", "IPv6"},
		{"qdb://[fe80::1%25%C3%A9]", "host", "IPv6"},
		{"qdb://[::1]7000", "port", "after a ':'"},
		{"qdb://h:", "port", "1 to 65535"},
		{"qdb://h:0", "port", "1 to 65535"},
		{"qdb://h:-1", "port", "1 to 65535"},
		{"qdb://h:65536", "port", "1 to 65535"},
		{"qdb://h:http", "port", "1 to 65535"},
		{"qdb://u:open?sesame@h", "port", "%3F"},
		{"qdb://u%:p@h", "user", "hexadecimal"},
		{"qdb://u:p%4@h", "password", "hexadecimal"},
		{"qdb://u:p%zz@h", "password", "%25"},
		{"qdb://:p@h", "user", "QDB_USER"},
		{"qdb://:@h", "user", "QDB_USER"},
		{"qdb://h/a/b", "database", "%2F"},
		{"qdb://h//", "database", "%2F"},
		{"qdb://h/a%", "database", "hexadecimal"},
		{"qdb://h/a@b", "database", "%40"},
		{"qdb://h#x", "fragment", "%23"},
		{"qdb://h/?policy=random#", "fragment", "%23"},
		{"qdb://h/?bogus=1", "bogus", "unknown parameter"},
		{"qdb://h/?=1", "", "unknown parameter, not named"},
		{"qdb://h/?" + strings.Repeat("x", 41) + "=1", "", "unknown parameter, not named"},
		{"qdb://h/?%70olicy=x", "policy", "must be one of"},
		{"qdb://h/?poli%zy=x", "", "hexadecimal"},
		{"qdb://h/?pool_max_con=1", "pool_max_con", "did you mean pool_max_conns?"},
		{"qdb://h/?poolMaxConns=1", "poolMaxConns", "did you mean pool_max_conns?"},
		{"qdb://h/?Retry-Max=1", "Retry-Max", "did you mean retry_max?"},
		{"qdb://h/?tsl=verify", "tsl", "did you mean tls?"},
	} {
		t.Run(test.dsn, func(t *testing.T) { refused(t, test.dsn, test.param, test.reason) })
	}
	if _, err := parseDSN("qdb://h?zzz=1", noEnv); strings.Contains(err.Error(), "did you mean") {
		t.Errorf("a suggestion without likeness: %v", err)
	}
}

func TestErrorsShowNothingThatMayBePartOfAPassword(t *testing.T) {
	for dsn, secrets := range map[string][]string{
		"qdb://user:open%zsesame@h":       {"open", "zs", "sesame"},
		"qdb://user:open/sesame@host":     {"open", "sesame"},
		"qdb://user:123/sesame@host":      {"123", "sesame"},
		"qdb://user:open?sesame@host":     {"open", "sesame"},
		"qdb://user:123?sesame=x@host":    {"123", "sesame"},
		"qdb://user:123?a&sesame=x@host":  {"123", "sesame"},
		"qdb://user:12?policy=sesam@host": {"12", "sesam"},
		"qdb://user:open#sesame@host":     {"open", "sesame"},
		"qdb://user:open sesame":          {"open", "sesame"},
		"qdb://user:open\tsesame@h":       {"open", "sesame"},
		"qdb://[sesame":                   {"sesame"},
		"user:sesame@host":                {"sesame"},
		"qdb://u:sesame@h?sesame=1":       {"sesame"},
		"qdb://u:ses%61me@h?sesame=1":     {"sesame"},
		"qdb://u:sesame@h?opensesame=1":   {"sesame"},
		"qdb://u:opensesame@h?sesame=1":   {"sesame"},
		"qdb://u:pw@h?sesame":             {"sesame"},
		"qdb://u:pw@h?open%20sesame=1":    {"sesame"},
		"qdb://u:pw@h?sesame%zz=1":        {"sesame"},
		"qdb://u:pw@h?policy=sesame":      {"sesame"},
		"qdb://u:pw@h?loc=sesame":         {"sesame"},
		"qdb://u:pw@h?retry_max=sesame":   {"sesame"},
		"qdb://u:pw@h?query_timeout=12s3": {"12s3"},
	} {
		_, err := parseDSN(dsn, noEnv)
		if err == nil {
			t.Errorf("%s is accepted", dsn)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			for _, secret := range secrets {
				if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) {
					t.Errorf("%s: %s shows %s", dsn, text, secret)
				}
			}
		}
	}
}

func TestNoWayOfShowingAConfigShowsThePassword(t *testing.T) {
	c := mustParse(t, "qdb://bob:sesame@h/shop?policy=random")
	const masked = "qdb://bob:***@h:7000/shop?policy=random"
	for _, verb := range []string{"%v", "%+v", "%s"} {
		for _, shown := range []string{fmt.Sprintf(verb, c), fmt.Sprintf(verb, *c)} {
			if shown != masked {
				t.Errorf("%s shows %s", verb, shown)
			}
		}
	}
	type holder struct{ Config Config }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%60v", "% x", "%t", "%e", "%U"} {
		for _, value := range []any{c, *c, []Config{*c}, holder{*c}, map[string]Config{"c": *c}} {
			shown := fmt.Sprintf(verb, value)
			if strings.Contains(shown, "sesame") || strings.Contains(strings.ToLower(shown), "736573616d65") || strings.Contains(shown, "73 65 73 61 6d 65") {
				t.Errorf("%s of %T shows %s", verb, value, shown)
			}
		}
	}
	var log strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "pointer", c, "value", *c, "nested", holder{*c}, "list", []Config{*c})
	}
	if strings.Contains(log.String(), "sesame") || strings.Count(log.String(), "bob:***@") != 8 {
		t.Errorf("log: %s", log.String())
	}
	if text, err := json.Marshal(holder{*c}); err != nil || string(text) != `{"Config":"qdb://bob:***@h:7000/shop?policy=random"}` {
		t.Errorf("JSON is %s, %v", text, err)
	}
	for _, v := range []slog.LogValuer{c, *c} {
		if got := v.LogValue(); got.Kind() != slog.KindString || got.String() != masked {
			t.Errorf("the value to log is %v", got)
		}
	}
	if got := fmt.Sprintf("%#v", *c); got != `qdb.Config("`+masked+`")` || fmt.GoStringer(*c).GoString() != got || fmt.Stringer(*c).String() != masked {
		t.Errorf("%%#v shows %s, String %s", got, c.String())
	}
	if got := mustParse(t, "qdb://bob:@h").String(); got != "qdb://bob:***@h:7000" {
		t.Errorf("the empty password shows in %s", got)
	}
	if got := mustParse(t, "qdb://bob@h").String(); got != "qdb://bob@h:7000" {
		t.Errorf("without a password: %s", got)
	}
}

func TestValidateFindsWhatIsWrongInAConfigMadeByHand(t *testing.T) {
	for _, test := range []struct {
		spoil         func(*Config)
		param, reason string
	}{
		{func(c *Config) { c.Hosts = nil }, "host", "at least one"},
		{func(c *Config) { c.Hosts[0].Name = "[::1]" }, "host", "IPv6"},
		{func(c *Config) { c.Hosts[0].Port = 0 }, "port", "1 to 65535"},
		{func(c *Config) { c.Password = "p" }, "user", "QDB_USER"},
		{func(c *Config) { c.User, c.Password, c.EmptyPassword = "u", "p", true }, "password", "only one"},
		{func(c *Config) { c.Protocols = nil }, "protocols", "some of"},
		{func(c *Config) { c.Protocols = []Protocol{"tcp", "tcp"} }, "protocols", "at most once"},
		{func(c *Config) { c.Location = nil }, "loc", "nil"},
		{func(c *Config) { c.Location = time.FixedZone("Atlantis", 60) }, "loc", "must be UTC"},
		{func(c *Config) { c.RetryMultiplier = math.NaN() }, "retry_multiplier", "finite"},
		{func(c *Config) { c.RetryMultiplier = math.Inf(1) }, "retry_multiplier", "finite"},
		{func(c *Config) { c.Policy = "" }, "policy", "must be one of"},
		{func(c *Config) { c.TLS = "" }, "tls", "must be verify"},
		{func(c *Config) { c.MaxMessageSize = 0 }, "max_message_size", "from 65536"},
		{func(c *Config) { c.PoolMaxConns = 4 }, "pool_min_conns", "exceed"},
		{func(c *Config) { c.PoolMinConns = 21 }, "pool_min_conns", "exceed"},
		{func(c *Config) { c.RetryInitial = time.Minute }, "retry_initial", "exceed"},
		{func(c *Config) { c.QueryTimeout = -1 }, "query_timeout", "negative"},
		{func(c *Config) { c.TLSKey = "k" }, "tls_key", "tls_cert"},
	} {
		c := NewConfig()
		c.Hosts = []Host{{"h", 7000}}
		if err := c.Validate(); err != nil {
			t.Fatalf("the defaults are refused: %v", err)
		}
		test.spoil(c)
		checkFault(t, c.Validate(), test.param, test.reason)
		_ = c.FormatDSN() // must not panic on anything
	}
	checkFault(t, (*Config)(nil).Validate(), "", "NewConfig")
	checkFault(t, (&Config{Hosts: []Host{{"h", 7000}}}).Validate(), "compression", "must be one of")
	reordered := mustParse(t, "qdb://h")
	slices.Reverse(reordered.Protocols)
	if got := reordered.FormatDSN(); got != "qdb://h:7000" || reordered.Validate() != nil {
		t.Errorf("the order of the protocols matters: %s", got)
	}
}
