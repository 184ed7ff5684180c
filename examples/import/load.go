package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/qdb-go/qdb"
)

// rollbackTimeout bounds a rollback, which must not depend on the context that
// may be the reason for it.
const rollbackTimeout = 5 * time.Second

// loadScript runs the script on a connection of its own, as o says, and gives the
// number of its statements.
func loadScript(ctx context.Context, db *sql.DB, o options, r io.Reader, p *progress) (statements int, err error) {
	conn, err := db.Conn(ctx)
	if err == nil {
		defer closing(conn, &err)
		err = conn.PingContext(ctx) // so that a cluster out of reach is not the first statement's fault
	}
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	if !o.foreignKeys {
		if _, err := conn.ExecContext(ctx, "PRAGMA foreign_keys = off"); err != nil {
			return 0, fmt.Errorf("switch foreign keys off: %w", err)
		}
	}
	l := loader{conn: conn, file: o.script, limit: o.group, progress: p.at}
	err = l.load(ctx, newScript(r, maxStatement))
	p.end()
	if err == nil && !o.foreignKeys {
		err = checkForeignKeys(ctx, conn)
	}
	return l.loaded, err
}

// checkForeignKeys makes up for what was not checked while the script ran.
func checkForeignKeys(ctx context.Context, conn *sql.Conn) error {
	const check = `SELECT count(*), coalesce(min("table" || ' row ' || coalesce(rowid, '?') || ' refers to ' || parent), '')
		FROM pragma_foreign_key_check`
	var broken int
	var example string
	if err := conn.QueryRowContext(ctx, check).Scan(&broken, &example); err != nil {
		return fmt.Errorf("check the foreign keys: %w", err)
	}
	if broken > 0 {
		return fmt.Errorf("the script is loaded, but %d rows refer to rows that do not exist; one is %s", broken, example)
	}
	return nil
}

// loader runs the statements of a script, one by one, on one connection: a script
// may begin transactions and change settings, and both belong to a connection.
// Where the script has no transaction of its own, as many statements as limit
// says share one.
type loader struct {
	conn  *sql.Conn
	file  string // the script's name, for errors
	limit int
	// progress is told how many bytes of the script are done.
	progress func(int64)

	group  *sql.Tx // open while the script's next statements share it; or nil
	first  int     // line of the group's first statement
	size   int     // statements in it
	own    transaction
	loaded int // statements carried out
}

// failure is why loading stopped.
type failure struct {
	file string
	line int
	// text is how the statement at fault begins; empty when there is none.
	text string
	// undone is the line from which on everything was rolled back; 0: nothing was.
	undone int
	err    error
}

func (f *failure) Unwrap() error { return f.err }

// Error says where, what, why, and what became of the statements before.
func (f *failure) Error() string {
	s := fmt.Sprintf("%s:%d: ", f.file, f.line)
	if f.text != "" {
		s += f.text + ": "
	}
	s += f.err.Error()
	switch {
	case errors.Is(f.err, qdb.ErrOutcomeUnknown):
		s += "; look at the data before you load anything again"
	case f.undone > 0:
		s += fmt.Sprintf("; everything from line %d on is rolled back", f.undone)
	}
	return s
}

// load runs all of s. When it fails, which it says by a *failure, the group or
// the script's own transaction in which that happened is rolled back, and what
// was committed before stays.
func (l *loader) load(ctx context.Context, s *script) error {
	for {
		st, err := s.next()
		if errors.Is(err, io.EOF) {
			return l.finish(s.line)
		}
		if err != nil {
			return l.fail(ctx, l.scriptFailure(s, err))
		}
		if err := l.run(ctx, &st); err != nil {
			return l.fail(ctx, err)
		}
		l.progress(s.offset)
	}
}

func (l *loader) scriptFailure(s *script, err error) *failure {
	var fault *scriptError
	if errors.As(err, &fault) {
		return &failure{file: l.file, line: fault.line, err: err}
	}
	return &failure{file: l.file, line: s.line, err: fmt.Errorf("read the script: %w", err)}
}

// run carries out one statement, in the transaction where it belongs.
func (l *loader) run(ctx context.Context, st *statement) *failure {
	var err error
	switch {
	case l.own.open() || st.alone():
		if f := l.commit(st.line); f != nil {
			return f
		}
		if _, err = l.conn.ExecContext(ctx, st.text); err == nil {
			l.own.follow(st)
		}
	default:
		if err = l.join(ctx, st); err == nil {
			_, err = l.group.ExecContext(ctx, st.text)
		}
	}
	if err != nil {
		return l.statementFailure(st, err)
	}
	l.loaded++
	if l.group != nil && l.size == l.limit {
		return l.commit(st.line)
	}
	return nil
}

// join makes the statement part of the group, which it begins if there is none.
func (l *loader) join(ctx context.Context, st *statement) (err error) {
	if l.group == nil {
		if l.group, err = l.conn.BeginTx(ctx, nil); err != nil {
			l.group = nil
			return fmt.Errorf("begin a transaction: %w", err)
		}
		l.first, l.size = st.line, 0
	}
	l.size++
	return nil
}

// commit ends the group, if there is one. line is where the script is by now.
func (l *loader) commit(line int) *failure {
	if l.group == nil {
		return nil
	}
	err := l.group.Commit()
	l.group = nil
	if err == nil {
		return nil
	}
	f := &failure{file: l.file, line: line, err: fmt.Errorf("commit the statements from line %d on: %w", l.first, err)}
	if e, ok := errors.AsType[*qdb.Error](err); !ok || e.Effect == qdb.EffectNone {
		f.undone = l.first
	}
	return f
}

// finish is for the end of the script.
func (l *loader) finish(line int) error {
	if f := l.commit(line); f != nil {
		return f
	}
	if !l.own.open() {
		return nil
	}
	began := l.own.line
	return l.fail(context.Background(), &failure{file: l.file, line: line,
		err: fmt.Errorf("the script ends within the transaction that it begins in line %d: COMMIT is missing", began)})
}

// fail rolls back what is open, and completes f with it.
func (l *loader) fail(ctx context.Context, f *failure) error {
	var err error
	switch {
	case l.group != nil:
		f.undone = l.first
		err = l.group.Rollback()
		l.group = nil
	case l.own.open():
		f.undone = l.own.line
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, err = l.conn.ExecContext(ctx, "ROLLBACK")
		l.own = transaction{}
	}
	if err != nil && !rolledBackAlready(err) {
		f.undone = 0
		f.err = fmt.Errorf("%w (and the rollback failed: %w)", f.err, err)
	}
	return f
}

// noTransaction is the SQLSTATE of a ROLLBACK where there is nothing to roll back.
const noTransaction = "25P01"

// rolledBackAlready: by database/sql when the context ended, or by the node when
// the statement failed or the connection did.
func rolledBackAlready(err error) bool {
	e, ok := errors.AsType[*qdb.Error](err)
	return errors.Is(err, sql.ErrTxDone) || ok && e.Code == noTransaction
}

// foreignKeyViolation is the SQLSTATE of a reference to a row that is not there.
const foreignKeyViolation = "23503"

// statementFailure names the line of the fault where the node has said it, and
// the flag that may help.
func (l *loader) statementFailure(st *statement, err error) *failure {
	f := &failure{file: l.file, line: st.line, text: beginning(st.text), err: err}
	e, ok := errors.AsType[*qdb.Error](err)
	if !ok {
		return f
	}
	if e.Position > 0 && int(e.Position) <= len(st.text) {
		if lines := strings.Count(st.text[:e.Position-1], "\n"); lines > 0 {
			f.err = fmt.Errorf("in line %d: %w", st.line+lines, err)
		}
	}
	if e.Code == foreignKeyViolation {
		f.err = fmt.Errorf("%w; -foreign-keys=false checks them at the end only", err)
	}
	return f
}

// beginning gives as much of a statement as fits on a line with more: its first
// 60 characters, with single spaces, and nothing in it that a terminal obeys.
func beginning(text string) string {
	const most = 60
	var b strings.Builder
	n, space := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		if space && n > 0 {
			b.WriteByte(' ')
			n++
		}
		space = false
		if n >= most {
			b.WriteRune('…')
			break
		}
		b.WriteRune(printable(r))
		n++
	}
	return b.String()
}

// printable gives r, or a substitute for what would move a terminal's cursor.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
