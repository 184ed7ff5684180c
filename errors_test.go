package qdb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/cluster"
)

func TestErrorsOfStatementsSayWhatIsWrong(t *testing.T) {
	db, _ := open(t, 1, "")
	mustExec(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INTEGER CHECK (age >= 0))")
	mustExec(t, db, "CREATE TABLE c (p INTEGER REFERENCES p (id))")
	mustExec(t, db, "INSERT INTO p VALUES (1, 'ada', 36)")
	for _, tc := range []struct {
		query string
		args  []any
		code  string
		check func(*qdb.Error) bool
	}{
		{"SELEC 1", nil, "42601", func(e *qdb.Error) bool { return e.Position == 1 }},
		{"SELECT * FROM p WHERE", nil, "42601", nil},
		{"SELECT * FROM nowhere", nil, "42P01", func(e *qdb.Error) bool { return strings.Contains(e.Message, "nowhere") }},
		{"SELECT missing FROM p", nil, "42703", nil},
		{"SELECT nofunction(1)", nil, "42883", nil},
		{"SELECT ?, ?", []any{1}, "07001", nil},
		{"SELECT ?", []any{1, 2}, "07001", nil},
		{"SELECT :a", []any{sql.Named("b", 1)}, "07001", nil},
		{"INSERT INTO p VALUES (2, 'ada', 1)", nil, "23505", func(e *qdb.Error) bool { return e.Table == "p" && e.Column == "name" }},
		{"INSERT INTO p VALUES (1, 'bob', 1)", nil, "23505", func(e *qdb.Error) bool { return e.Table == "p" && e.Column == "id" }},
		{"INSERT INTO p VALUES (2, NULL, 1)", nil, "23502", func(e *qdb.Error) bool { return e.Column == "name" }},
		{"INSERT INTO p VALUES (2, 'bob', -1)", nil, "23514", nil},
		{"INSERT INTO c VALUES (99)", nil, "23503", nil},
		{"CREATE TABLE p (x)", nil, "42P07", nil},
	} {
		_, err := db.Exec(tc.query, tc.args...)
		e := wantError(t, err, tc.code, qdb.EffectNone)
		if tc.check != nil && !tc.check(e) {
			t.Errorf("%s: %+v", tc.query, e)
		}
		if qdb.IsRetryable(err) {
			t.Errorf("%s: an error that would come again is called retryable", tc.query)
		}
	}
	if n := scanOne[int](t, db, "SELECT count(*) FROM p"); n != 1 {
		t.Errorf("%d rows after statements that all failed, want 1", n)
	}
}

type (
	myUint  uint64
	badChar struct{}
)

func (badChar) Value() (driver.Value, error) { return "\xff", nil }

func TestArgumentsThatCannotTravelAreRefused(t *testing.T) {
	db, _ := open(t, 1, "")
	large := uint64(1 << 63)
	for _, tc := range []struct {
		code string
		arg  any
	}{
		{"22003", large}, {"22003", uint(large)}, {"22003", myUint(large)}, {"22003", &large},
		{"22021", "\xff"}, {"22021", badChar{}},
		{"22008", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"07006", struct{}{}},
	} {
		_, err := db.Exec("SELECT ?", tc.arg)
		var e *qdb.Error
		if !errors.As(err, &e) || e.Code != tc.code || e.Effect != qdb.EffectNone {
			t.Errorf("%T(%v): got %v, want SQLSTATE %s", tc.arg, tc.arg, err, tc.code)
		}
	}
}

// decimal is a decimal as other libraries have it.
type decimal struct {
	negative    bool
	coefficient byte
	exponent    int32
}

func (d decimal) Decompose([]byte) (byte, bool, []byte, int32) {
	return 0, d.negative, []byte{d.coefficient}, d.exponent
}

func TestArgumentsOfEveryKindTravel(t *testing.T) {
	db, _ := open(t, 1, "")
	small, none := uint16(7), (*int)(nil)
	for _, tc := range []struct{ arg, want any }{
		{uint(5), int64(5)}, {myUint(6), int64(6)}, {&small, int64(7)}, {none, nil}, {int8(-1), int64(-1)},
		{sql.Null[uint64]{V: 8, Valid: true}, int64(8)}, {sql.NullString{}, nil}, {(*sql.NullString)(nil), nil},
		{float32(0.5), 0.5}, {json.RawMessage(`{"a":1}`), []byte(`{"a":1}`)},
		{decimal{true, 125, -2}, "-1.25"}, {decimal{false, 5, -3}, "0.005"}, {decimal{false, 5, 2}, "500"},
	} {
		var got any
		if err := db.QueryRow("SELECT ?", tc.arg).Scan(&got); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%T(%v): got %#v, %v, want %#v", tc.arg, tc.arg, got, err, tc.want)
		}
	}
}

func TestTextsAtTheLimits(t *testing.T) {
	db, _ := open(t, 1, "connect_timeout=0")
	for _, empty := range []string{"", "  ;; ", "-- nothing"} {
		if _, err := db.Exec(empty); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
	_, err := db.Exec("SELECT '" + strings.Repeat("x", 1000100) + "'")
	wantError(t, err, "54000", qdb.EffectNone)
}

func TestAMessageOverTheLimitIsRefusedUnsent(t *testing.T) {
	db, _ := open(t, 1, "max_message_size=65536")
	_, err := db.Exec("SELECT ?", strings.Repeat("x", 70000))
	wantError(t, err, "54000", qdb.EffectNone)
	if got := scanOne[int](t, db, "SELECT 1"); got != 1 {
		t.Error("the session does not go on")
	}
}

func TestAClosedDatabaseSaysSo(t *testing.T) {
	db, _ := open(t, 1, "")
	scanOne[int](t, db, "SELECT 1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("SELECT 1"); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
}

func TestAMalformedDSNFailsAtOpen(t *testing.T) {
	_, err := sql.Open("qdb", "qdb://u:hunter2@h/?pool_max_conn=3")
	var de *qdb.DSNError
	if !errors.As(err, &de) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v (%T)", err, err)
	}
}

// peer listens and does with each connection what serve says.
func peer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestAPeerThatIsNoNodeGivesAClearErrorInTime(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	garbage := []byte(strings.Repeat("\xde\xad\xbe\xef", 1024))
	for name, tc := range map[string]struct {
		addr string
		says string
	}{
		"a closed port": {closed.Addr().String(), "refused"},
		"HTTP":          {peer(t, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }), "HTTP"},
		"TLS":           {peer(t, func(c net.Conn) { c.Write([]byte{0x15, 3, 3, 0, 2, 2, 70}) }), "TLS"},
		"silence": {peer(t, func(c net.Conn) {
			buf := make([]byte, 1024)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}), ""},
		"endless garbage": {peer(t, func(c net.Conn) {
			for {
				if _, err := c.Write(garbage); err != nil {
					return
				}
			}
		}), "does not speak"},
	} {
		t.Run(name, func(t *testing.T) {
			db := openDSN(t, "qdb://"+tc.addr+"/?connect_timeout=300ms&health_timeout=300ms&retry_initial=10ms")
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			start := time.Now()
			_, err := db.ExecContext(ctx, "SELECT 1")
			wantError(t, err, "08001", qdb.EffectNone)
			var none *cluster.NoNodeError
			if !errors.As(err, &none) || len(none.Nodes) != 1 || !strings.Contains(err.Error(), tc.addr) {
				t.Errorf("the error does not list the node: %v", err)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the error does not say %q: %v", tc.says, err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}
