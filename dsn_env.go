package qdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
)

// The environment variables that fill what a DSN leaves open; ParseDSN explains
// them.
const (
	envDSN      = "QDB_DSN"
	envUser     = "QDB_USER"
	envPassword = "QDB_PASSWORD"
	envPassfile = "QDB_PASSFILE"
)

// passfileLimit is far above any real password file, and keeps a wrong path
// (a log, a disk image) from being read into memory.
const passfileLimit = 1 << 20

// parseDSN is ParseDSN with the environment as an argument.
func parseDSN(dsn string, getenv func(string) string) (*Config, error) {
	fromEnv := dsn == ""
	if fromEnv {
		if dsn = getenv(envDSN); dsn == "" {
			return nil, &DSNError{Reason: "no DSN: give one, or set " + envDSN}
		}
	}
	c, fault := readDSN(dsn)
	if fault == nil {
		fault = c.fillFromEnv(getenv)
	}
	if fault == nil {
		fault = c.firstFault()
	}
	if fault != nil {
		fault.fromEnv = fromEnv && fault.Param != envPassfile
		return nil, fault
	}
	return c, nil
}

// fillFromEnv takes user and password from the environment where c has none.
// Without a user no password is taken: there would be nobody to log in, and a
// password that is meant for other programs must not break this one.
func (c *Config) fillFromEnv(getenv func(string) string) *DSNError {
	if c.User == "" {
		c.User = getenv(envUser)
	}
	if c.User == "" || c.Password != "" || c.EmptyPassword {
		return nil
	}
	if c.Password = getenv(envPassword); c.Password != "" {
		return nil
	}
	path := getenv(envPassfile)
	if path == "" {
		return nil
	}
	text, fault := readPassfile(path)
	if fault != nil {
		return fault
	}
	entries, fault := parsePassfile(text)
	if fault != nil {
		return fault
	}
	return c.takePassword(entries)
}

// takePassword looks every host up, since an entry may be meant for one host
// only. A Config has one password, as the nodes of a cluster share their users,
// so entries that disagree are a mistake, and guessing would show one host's
// password to another.
func (c *Config) takePassword(entries []passEntry) *DSNError {
	var first *passEntry
	for _, h := range c.Hosts {
		for i := range entries {
			e := &entries[i]
			if !e.matches(h, c.Database, c.User) {
				continue
			}
			if first == nil {
				first = e
			}
			if e.password != first.password {
				return passfileFault("lines %d and %d give hosts of one DSN different passwords", first.line, e.line)
			}
			break
		}
	}
	if first != nil {
		c.Password, c.EmptyPassword = first.password, first.password == ""
	}
	return nil
}

// passEntry is one line of a password file.
type passEntry struct {
	line                       int // counted from 1
	host, port, database, user passField
	password                   string
}

// passField is one field to match.
type passField struct {
	text string
	any  bool // the field was an unescaped *
}

func (f passField) matches(value string) bool { return f.any || f.text == value }

func (e *passEntry) matches(h Host, database, user string) bool {
	return e.host.matches(h.Name) && e.port.matches(strconv.Itoa(int(h.Port))) &&
		e.database.matches(database) && e.user.matches(user)
}

// readPassfile returns what is in the file. It refuses one that others may
// read, as a password in it is no secret, and anything but a plain file, since
// opening a pipe could block forever. Neither path nor content is shown: someone
// may have mistaken the variable for the one that holds the password.
func readPassfile(path string) ([]byte, *DSNError) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable("cannot find the file", err)
	}
	if !info.Mode().IsRegular() {
		return nil, passfileFault("must name a plain file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable("cannot open the file", err)
	}
	defer f.Close() // nothing was written, so nothing can be lost
	// Asked again of the open file: the path may lead elsewhere by now.
	if info, err = f.Stat(); err != nil {
		return nil, unreadable("cannot examine the file", err)
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 {
		return nil, passfileFault("the file is open to other users (mode %04o): make it 0600 with chmod", mode.Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, passfileLimit+1))
	if err != nil {
		return nil, unreadable("cannot read the file", err)
	}
	if len(text) > passfileLimit {
		return nil, passfileFault("the file is larger than %d bytes: it cannot be a password file", passfileLimit)
	}
	return text, nil
}

// parsePassfile reads the lines. Every line must be well formed, as a mistake
// in the line that was meant to match would otherwise go unnoticed.
func parsePassfile(text []byte) ([]passEntry, *DSNError) {
	var entries []passEntry
	number := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		number++
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		fields := splitPassLine(string(line))
		if len(fields) != 5 {
			return nil, passfileFault(`line %d: must be host:port:database:user:password, with \: and \\ for ':' and '\' in a field`, number)
		}
		entries = append(entries, passEntry{
			line: number, host: fields[0], port: fields[1], database: fields[2], user: fields[3],
			password: fields[4].text,
		})
	}
	return entries, nil
}

// splitPassLine splits at the colons without a backslash before them, and
// removes the backslashes that escape something. A last one escapes nothing.
func splitPassLine(line string) []passField {
	var fields []passField
	var field []byte
	start := 0
	for i := 0; ; i++ {
		if i == len(line) || line[i] == ':' {
			fields = append(fields, passField{text: string(field), any: line[start:i] == "*"})
			if i == len(line) {
				return fields
			}
			field, start = field[:0], i+1
			continue
		}
		if line[i] == '\\' && i+1 < len(line) {
			i++
		}
		field = append(field, line[i])
	}
}

// unreadable leaves out the path that the os package puts into its errors.
func unreadable(what string, err error) *DSNError {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return &DSNError{Param: envPassfile, Reason: what + ": " + err.Error(), err: err}
}

func passfileFault(format string, args ...any) *DSNError {
	return &DSNError{Param: envPassfile, Reason: fmt.Sprintf(format, args...)}
}
