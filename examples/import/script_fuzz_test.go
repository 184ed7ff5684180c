package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// The reference cuts a whole script in memory by regular expressions: slow, plain,
// and without a line in common with what it checks.
var (
	aSpace    = `[ \t\n\f\r]+|--[^\n]*|(?s:/\*.*?\*/)|\x{FEFF}`
	aQuote    = `'(?:[^']|'')*'|"(?:[^"]|"")*"|` + "`(?:[^`]|``)*`" + `|\[[^\]]*\]`
	aWord     = `[0-9A-Za-z_$\x{80}-\x{10FFFF}]+`
	pattern   = regexp.MustCompile(`\A(?:(` + aSpace + `)|(/\*|['"` + "`" + `\[])|(` + aWord + `)|(;)|(?s:.))`)
	quoted    = regexp.MustCompile(`\A(?:` + aQuote + `)`)
	spaces    = regexp.MustCompile(`\A(?:` + aSpace + `)*`)
	noText    = regexp.MustCompile(`\A(?:` + aSpace + `|;)*\z`)
	aTrigger  = regexp.MustCompile(`\A(?:EXPLAIN |QUERY |PLAN )*CREATE (?:TEMP |TEMPORARY )*TRIGGER (?:.* )?BEGIN `)
	lastInner = regexp.MustCompile(`; END \z`)
)

// afterSpace leaves out space and comments at the beginning.
func afterSpace(sql string) string { return sql[len(spaces.FindString(sql)):] }

// reference gives the statements of a script, and whether all of it could be cut.
func reference(sql string) (all []string, ok bool) {
	begin, solid, shape := -1, 0, ""
	for at := 0; at < len(sql); {
		m := pattern.FindStringSubmatch(sql[at:])
		part, space, opening, word, semicolon := m[0], m[1] != "", m[2] != "", m[3], m[4] != ""
		if opening {
			if part = quoted.FindString(sql[at:]); part == "" {
				return all, false
			}
		}
		at += len(part)
		switch {
		case space || semicolon && begin < 0:
			continue
		case semicolon && (!aTrigger.MatchString(shape) || lastInner.MatchString(shape)):
			all = append(all, sql[begin:solid])
			begin, shape = -1, ""
			continue
		case semicolon:
			shape += "; "
		case word != "":
			shape += strings.ToUpper(word) + " "
		default:
			shape += "? "
		}
		if begin < 0 {
			begin = at - len(part)
		}
		solid = at
	}
	if begin >= 0 {
		all = append(all, sql[begin:solid])
	}
	return all, true
}

func FuzzScript(f *testing.F) {
	for _, c := range cuts {
		f.Add([]byte(c.script))
	}
	for _, s := range []string{"SELECT 'a", "/* a", "CREATE TRIGGER x BEGIN a; END END; END; END x; END;", "\xef\xbb;\xff", "CREATE TRIGGER a; b", "a -", "/"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sql []byte) {
		if bytes.HasPrefix(sql, []byte("\xff\xfe")) || bytes.HasPrefix(sql, []byte("\xfe\xff")) {
			return
		}
		all, err := statements(bytes.NewReader(sql), maxStatement)
		want, ok := reference(string(sql))
		if diff := cmp.Diff(want, texts(all)); diff != "" || ok != (err == nil) {
			t.Fatalf("error %v, reference ok %v; statements (-reference +got):\n%s", err, ok, diff)
		}
		checkNothingIsLost(t, string(sql), all, err == nil)
		slow, slowErr := statements(iotest.OneByteReader(bytes.NewReader(sql)), maxStatement)
		if diff := cmp.Diff(all, slow, cmp.AllowUnexported(statement{})); diff != "" || (err == nil) != (slowErr == nil) {
			t.Fatalf("read byte by byte: error %v, at once: %v (-at once +byte by byte):\n%s", slowErr, err, diff)
		}
		checkLimit(t, sql, all)
	})
}

// checkNothingIsLost: what is between the statements is space, comments and
// semicolons, and the statements are the script's own bytes.
func checkNothingIsLost(t *testing.T, sql string, all []statement, complete bool) {
	t.Helper()
	done := 0
	for _, st := range all {
		at := int(st.at)
		if at < done || sql[at:at+len(st.text)] != st.text {
			t.Fatalf("at %d the script has %q, not %q", at, sql[at:], st.text)
		}
		if gap := sql[done:at]; !noText.MatchString(gap) {
			t.Fatalf("%q is lost before %q", gap, st.text)
		}
		if line := 1 + strings.Count(sql[:at], "\n"); st.line != line {
			t.Fatalf("%q is in line %d, not %d", st.text, line, st.line)
		}
		done = at + len(st.text)
	}
	if gap := sql[done:]; complete && !noText.MatchString(gap) {
		t.Fatalf("%q is lost at the end", gap)
	}
}

// checkLimit: under a limit the statements are the same ones, up to the first
// that does not fit.
func checkLimit(t *testing.T, sql []byte, all []statement) {
	t.Helper()
	const limit = 24
	some, err := statements(bytes.NewReader(sql), limit)
	for i, st := range some {
		if len(st.text) > limit || i >= len(all) || st.text != all[i].text {
			t.Fatalf("under a limit of %d statement %d is %q", limit, i, st.text)
		}
	}
	if err == nil && len(some) != len(all) {
		t.Fatalf("under a limit %d of %d statements came, and no error", len(some), len(all))
	}
}
