package qdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fakeEnv is an environment in which only what is in the map is set.
func fakeEnv(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}

func writePassfile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passfile")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheEnvironmentFillsWhatTheDSNLeavesOpen(t *testing.T) {
	passfile := writePassfile(t, "*:*:*:ann:from file\n")
	for _, test := range []struct {
		name, dsn string
		env       map[string]string
		want      string
	}{
		{"an empty text is replaced", "", map[string]string{envDSN: "qdb://a,b/db?policy=random"}, "qdb://a:7000,b:7000/db?policy=random"},
		{"a text is not", "qdb://h", map[string]string{envDSN: "qdb://a"}, "qdb://h:7000"},
		{"and the replacement leaves things open too", "", map[string]string{envDSN: "qdb://h", envUser: "bob", envPassword: "p"}, "qdb://bob:p@h:7000"},
		{"user and password", "qdb://h", map[string]string{envUser: "b@b", envPassword: "p/w"}, "qdb://b%40b:p%2Fw@h:7000"},
		{"an empty user is open", "qdb://@h", map[string]string{envUser: "bob"}, "qdb://bob@h:7000"},
		{"a given user is not", "qdb://ann@h", map[string]string{envUser: "bob"}, "qdb://ann@h:7000"},
		{"the password of a given user is", "qdb://ann@h", map[string]string{envPassword: "p"}, "qdb://ann:p@h:7000"},
		{"the user of a given password is", "qdb://:p@h", map[string]string{envUser: "bob", envPassword: "x"}, "qdb://bob:p@h:7000"},
		{"a given password is not", "qdb://ann:p@h", map[string]string{envPassword: "x", envPassfile: passfile}, "qdb://ann:p@h:7000"},
		{"nor is the empty one", "qdb://ann:@h", map[string]string{envPassword: "x", envPassfile: passfile}, "qdb://ann:@h:7000"},
		{"no password without a user", "qdb://h", map[string]string{envPassword: "x", envPassfile: passfile}, "qdb://h:7000"},
		{"a password file", "qdb://ann@h", map[string]string{envPassfile: passfile}, "qdb://ann:from%20file@h:7000"},
		{"which comes after the variable", "qdb://ann@h", map[string]string{envPassword: "p", envPassfile: passfile}, "qdb://ann:p@h:7000"},
		{"and may not know the user", "qdb://bob@h", map[string]string{envPassfile: passfile}, "qdb://bob@h:7000"},
		{"and is not read in vain", "qdb://h", map[string]string{envPassfile: "/does/not/exist"}, "qdb://h:7000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := parseDSN(test.dsn, fakeEnv(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.FormatDSN(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			again, err := parseDSN(c.FormatDSN(), fakeEnv(test.env))
			if err != nil || again.FormatDSN() != test.want {
				t.Errorf("read again in the same environment: %v, %v", again, err)
			}
		})
	}
}

func TestParseDSNReadsTheEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv(envDSN, "qdb://h")
	t.Setenv(envUser, "ann")
	t.Setenv(envPassword, "")
	t.Setenv(envPassfile, writePassfile(t, "h:7000:*:ann:open sesame"))
	c, err := ParseDSN("")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.FormatDSN(); got != "qdb://ann:open%20sesame@h:7000" {
		t.Errorf("got %s", got)
	}
}

func TestErrorsSayThatTheDSNCameFromTheEnvironment(t *testing.T) {
	_, err := parseDSN("", noEnv)
	checkFault(t, err, "", "give one, or set QDB_DSN")
	for dsn, want := range map[string]string{"qdb://h?bogus=1": "bogus", "qdb://h?tls_key=k": "tls_key"} {
		env := map[string]string{envDSN: dsn}
		if _, err := parseDSN("", fakeEnv(env)); err == nil || !strings.Contains(err.Error(), "in QDB_DSN: "+want) {
			t.Errorf("got %v", err)
		}
		if _, err := parseDSN(dsn, fakeEnv(env)); err == nil || strings.Contains(err.Error(), envDSN) {
			t.Errorf("got %v", err)
		}
	}
	_, err = parseDSN("", fakeEnv(map[string]string{envDSN: "qdb://ann@h", envPassfile: "/does/not/exist"}))
	if err == nil || strings.Contains(err.Error(), envDSN) {
		t.Errorf("got %v for an error of the password file", err)
	}
}

func TestThePasswordFileIsSearchedLineByLine(t *testing.T) {
	for _, test := range []struct{ name, file, dsn, want string }{
		{"all fields", "h:7000:db:ann:p", "qdb://ann@h/db", "p"},
		{"another host", "g:7000:db:ann:p", "qdb://ann@h/db", ""},
		{"another port", "h:7001:db:ann:p", "qdb://ann@h/db", ""},
		{"another database", "h:7000:da:ann:p", "qdb://ann@h/db", ""},
		{"another user", "h:7000:db:bob:p", "qdb://ann@h/db", ""},
		{"wildcards", "*:*:*:*:p", "qdb://ann@h:1/db", "p"},
		{"a wildcard is the whole field", "h*:*:*:*:p", "qdb://ann@h", ""},
		{"a literal star", `*:*:\*:*:p`, "qdb://ann@h/%2a", "p"},
		{"a literal star is no wildcard", `*:*:\*:*:p`, "qdb://ann@h/db", ""},
		{"no database is like an empty field", "h:7000::ann:p", "qdb://ann@h", "p"},
		{"no database is no name", "h:7000:db:ann:p", "qdb://ann@h", ""},
		{"the first match counts", "g:*:*:*:1\nh:*:*:*:2\n*:*:*:*:3\n", "qdb://ann@h", "2"},
		{"comments and empty lines", "\n# h:*:*:*:1\n#\n\nh:*:*:*:2", "qdb://ann@h", "2"},
		{"line ends of Windows", "# x\r\n\r\nh:*:*:*:p\r\n", "qdb://ann@h", "p"},
		{"blanks belong to the field", "h:*:*:*: p ", "qdb://ann@h", " p "},
		{"escapes", `h:*:a\:b\\c:\a\n\n:p\:w\\\#`, `qdb://ann@h/a:b%5cc`, `p:w\#`},
		{"a backslash at the end", `h:*:*:*:p\`, "qdb://ann@h", `p\`},
		{"a star is a password", "h:*:*:*:*", "qdb://ann@h", "*"},
		{"any byte is a password", "h:*:*:*:\x00\xff", "qdb://ann@h", "\x00\xff"},
		{"IPv6", `\:\:1:7000:*:*:p`, "qdb://ann@[::1]", "p"},
		{"IPv6 with a zone", `fe80\:\:1%eth0:7000:*:*:p`, "qdb://ann@[fe80::1%25eth0]", "p"},
		{"a later host", "b:*:*:*:p", "qdb://ann@a,b", "p"},
		{"hosts that agree", "a:*:*:*:p\nb:*:*:*:p", "qdb://ann@a,b", "p"},
		{"an empty file", "", "qdb://ann@h", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := parseDSN(test.dsn, fakeEnv(map[string]string{envPassfile: writePassfile(t, test.file)}))
			if err != nil {
				t.Fatal(err)
			}
			if c.Password != test.want || c.EmptyPassword {
				t.Errorf("the password is %q, want %q", c.Password, test.want)
			}
		})
	}
	c, err := parseDSN("qdb://ann@h", fakeEnv(map[string]string{envPassfile: writePassfile(t, "h:*:*:*:\n*:*:*:*:p")}))
	if err != nil || c.Password != "" || !c.EmptyPassword {
		t.Errorf("a match with the empty password yields %#v, %v", c, err)
	}
}

// checkPassfileFault checks the error for a password file, and that it shows
// neither the path nor anything of what is in the file.
func checkPassfileFault(t *testing.T, path, reason string) error {
	t.Helper()
	_, err := parseDSN("qdb://ann@a,b", fakeEnv(map[string]string{envPassfile: path}))
	checkFault(t, err, envPassfile, reason)
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if text := fmt.Sprintf("%v %#v", cause, cause); strings.Contains(text, "sesame") || strings.Contains(text, filepath.Base(path)) {
			t.Errorf("%s shows the content or the path", text)
		}
	}
	return err
}

func TestMalformedPasswordFilesAreRefusedByLine(t *testing.T) {
	for file, reason := range map[string]string{
		"sesame":                             "line 1: must be host:port",
		"# x\n\n*:*:*:sesame\n":              "line 3: must be host:port",
		"*:*:*:ann:p\n*:*:*:*:sesame:open":   `line 2: must be host:port:database:user:password, with \:`,
		"a:*:*:ann:sesame\nb:*:*:*:sesame2":  "lines 1 and 2 give hosts of one DSN different passwords",
		"\na:*:*:ann:sesame\n\nb:*:*:ann:\n": "lines 2 and 4 give hosts of one DSN different passwords",
	} {
		_ = checkPassfileFault(t, writePassfile(t, file), reason)
	}
	_ = checkPassfileFault(t, writePassfile(t, strings.Repeat("#sesame\n", passfileLimit/8)+"\n"), "larger than")
	c, err := parseDSN("qdb://ann@h", fakeEnv(map[string]string{envPassfile: writePassfile(t, strings.Repeat("#sesame\n", passfileLimit/8-2)+"h:*:*:ann:p\n")}))
	if err != nil || c.Password != "p" {
		t.Errorf("a file just within the limit yields %v, %v", c, err)
	}
}

func TestAPasswordFileThatCannotBeReadIsAnError(t *testing.T) {
	err := checkPassfileFault(t, filepath.Join(t.TempDir(), "opensesame"), "cannot find the file: ")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	_ = checkPassfileFault(t, t.TempDir(), "must name a plain file")
	_ = checkPassfileFault(t, "open\x00sesame", "cannot find the file: ")
}

func TestAPasswordFileThatOthersMayUseIsRefused(t *testing.T) {
	path := writePassfile(t, "*:*:*:ann:sesame")
	for mode := range fs.FileMode(0o100) {
		if err := os.Chmod(path, 0o600|mode); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" || mode == 0 {
			if c, err := parseDSN("qdb://ann@h", fakeEnv(map[string]string{envPassfile: path})); err != nil || c.Password != "sesame" {
				t.Errorf("mode %04o: %v, %v", 0o600|mode, c, err)
			}
			continue
		}
		_ = checkPassfileFault(t, path, fmt.Sprintf("(mode %04o): make it 0600", 0o600|mode))
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		if runtime.GOOS == "windows" {
			return // making links is a privilege there
		}
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		_ = checkPassfileFault(t, link, "(mode 0677)")
	}
}

func TestEveryPasswordFitsIntoAPasswordFile(t *testing.T) {
	field := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string {
		return strings.NewReplacer("\n", "", "\r", "").Replace(string(b))
	})
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`, "*", `\*`, "#", `\#`).Replace
	rapid.Check(t, func(t *rapid.T) {
		database, user, password := field.Draw(t, "database"), field.Draw(t, "user"), field.Draw(t, "password")
		line := strings.Join([]string{"h", "7000", escape(database), escape(user), escape(password)}, ":")
		entries, fault := parsePassfile([]byte("#\n" + line + "\n"))
		if fault != nil || len(entries) != 1 {
			t.Fatalf("%q yields %d entries and %v", line, len(entries), fault)
		}
		e := entries[0]
		if !e.matches(Host{"h", 7000}, database, user) || e.password != password || e.line != 2 {
			t.Errorf("%q yields %+v", line, e)
		}
		if e.matches(Host{"h", 7000}, database+"x", user) || e.matches(Host{"h", 7000}, database, user+"x") || e.matches(Host{"g", 7000}, database, user) {
			t.Errorf("%q matches something else", line)
		}
	})
}
