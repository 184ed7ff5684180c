package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestOtherFilesAreOutOfReach(t *testing.T) {
	s := connect(t, openFile(t, Options{}))
	s.exec("create table t(x)")
	target := filepath.Join(t.TempDir(), "other.db")
	for _, sql := range []string{
		"attach '" + target + "' as other",
		"attach '' as other",
		"attach ':memory:' as other",
		"attach lower('" + target + "') as other",
		"vacuum into '" + target + "'",
		"vacuum main into lower('" + target + "')",
		"pragma temp_store_directory = '" + filepath.Dir(target) + "'",
		"pragma data_store_directory = '" + filepath.Dir(target) + "'",
	} {
		wantState(t, s.fails(sql), "0A000")
	}
	_, _, err := s.try("attach ? as other", target)
	wantState(t, err, "0A000")
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("a file was written: %v", err)
	}
	if s.Dirty() {
		t.Error("what was refused made the session dirty")
	}
	s.exec("vacuum") // which attaches a file of its own
	wantState(t, s.fails("attach '' as other"), "0A000")
}

func TestSettingsThatTheDataDependsOnAreFixed(t *testing.T) {
	s := connect(t, openFile(t, Options{}))
	for _, sql := range []string{
		"pragma journal_mode = delete", "PRAGMA main.journal_mode = OFF", "pragma locking_mode = exclusive",
		"pragma synchronous = off", "pragma synchronous(0)", "pragma writable_schema = on", "pragma wal_checkpoint",
		"pragma wal_checkpoint(truncate)", "pragma wal_autocheckpoint = 0", "pragma schema_version = 1",
		"pragma busy_timeout = 0", "pragma busy_timeout = ''", "pragma journal_size_limit = 0", "pragma nonsense", "pragma nonsense = 1",
		"explain pragma journal_mode = delete",
	} {
		e := wantState(t, s.fails(sql), "0A000")
		if !strings.Contains(e.Message, "pragma ") {
			t.Errorf("%s: the message does not say what it is about: %v", sql, e)
		}
	}
	wantValue(t, s.value("pragma journal_mode"), "wal")
	wantValue(t, s.value("pragma synchronous"), 1)
	wantValue(t, s.value("pragma locking_mode"), "normal")
	if s.Dirty() {
		t.Error("what was refused made the session dirty")
	}
}

func TestHarmlessPragmasAreServed(t *testing.T) {
	s := inMemory(t)
	s.exec("create table p(id integer primary key); create table t(x unique references p, y)")
	for _, sql := range []string{
		"pragma table_info(t)", "pragma table_xinfo(t)", "pragma table_list", "pragma index_list(t)",
		"pragma index_info(sqlite_autoindex_t_1)", "pragma foreign_key_list(t)", "pragma foreign_key_check",
		"pragma foreign_key_check(t)", "pragma integrity_check", "pragma quick_check(10)", "pragma foreign_keys",
		"pragma encoding", "pragma page_size", "pragma database_list", "pragma compile_options", "pragma user_version",
		"pragma user_version = 7", "pragma application_id = 9", "pragma journal_mode", "pragma optimize",
		"pragma incremental_vacuum(3)", "select * from pragma_table_info('t')", "select * from pragma_index_list('t')",
	} {
		if _, _, err := s.try(sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		if s.Dirty() {
			t.Fatalf("%s made the session dirty", sql)
		}
	}
	wantValue(t, s.value("pragma user_version"), 7)
}

func TestSettingsMakeTheSessionDirtyAndTakeEffect(t *testing.T) {
	for sql, ask := range map[string]string{
		"pragma foreign_keys = off":          "select not foreign_keys from pragma_foreign_keys",
		"PRAGMA Foreign_Keys(off)":           "select not foreign_keys from pragma_foreign_keys",
		"pragma case_sensitive_like = 1":     "select 'a' not like 'A'",
		"pragma recursive_triggers = 1":      "pragma recursive_triggers",
		"pragma reverse_unordered_selects=1": "pragma reverse_unordered_selects",
		"pragma defer_foreign_keys = 1":      "pragma defer_foreign_keys",
		"pragma ignore_check_constraints=1":  "pragma ignore_check_constraints",
		"pragma query_only = 1":              "pragma query_only",
		"create temp table tt(x)":            "select count(*) from temp.sqlite_schema",
		"create table temp.tt(x)":            "select count(*) from temp.sqlite_schema",
		"create temp view tv as select 1":    "select count(*) from temp.sqlite_schema",
	} {
		s := inMemory(t)
		s.exec(sql)
		if !s.Dirty() {
			t.Errorf("%s did not make the session dirty", sql)
		}
		if got := s.value(ask); got != int64(1) {
			t.Errorf("%s did not take effect: %s gives %v", sql, ask, got)
		}
		check(t, s.Reset())
		if got := s.value(ask); got != int64(0) {
			t.Errorf("%s outlives Reset: %s gives %v", sql, ask, got)
		}
	}
}

func TestDangerousFunctionsAreRefused(t *testing.T) {
	s := inMemory(t)
	c := s.Conn.(*conn)
	for _, name := range []string{"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"} {
		// As if the engine had them.
		check(t, c.eng.db.CreateFunction(name, -1, 0, nothing))
		wantState(t, s.fails("select "+name+"('x')"), "0A000")
	}
}

func TestForeignKeysAreEnforcedUnlessTheSessionSaysNo(t *testing.T) {
	s := inMemory(t)
	s.exec("create table p(id integer primary key); create table t(p references p)")
	wantState(t, s.fails("insert into t values (1)"), "23503")
	s.exec("pragma foreign_keys = off; insert into t values (1)")
	check(t, s.Reset())
	wantState(t, s.fails("insert into t values (2)"), "23503")
}

func TestFirstWordsAreFound(t *testing.T) {
	for sql, want := range map[string]string{
		"select 1": "SELECT", "  \t\r\n Begin;": "BEGIN", "-- a\n/* b */;; commit": "COMMIT",
		"/* open": "", "-- only": "", "": "", "(select 1)": "", "\ufeffselect 1": "SELECT",
	} {
		if got := firstWord(sql); got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}

func TestValuesOfPragmasAreFound(t *testing.T) {
	for sql, want := range map[string]bool{
		"pragma a": false, "pragma a = ''": true, "pragma a()": true, ";; pragma a; select (1)": false, "pragma a;": false,
	} {
		if got := givesValue(sql); got != want {
			t.Errorf("%q: got %v, want %v", sql, got, want)
		}
	}
}

func nothing(sqlite3.Context, ...sqlite3.Value) {}
