package sqlite

import (
	"fmt"

	"github.com/qdb-go/qdb/wire"
)

// pragmaKind is what giving a PRAGMA a value does.
type pragmaKind uint8

const (
	pragmaUnknown pragmaKind = iota
	pragmaAsks               // the value says what to tell about
	pragmaStores             // it changes the database, as a statement does
	pragmaSets               // it changes the session
	pragmaAlone              // so too, but not within a transaction
	pragmaFixed              // only reading is allowed: the safety of the data depends on it
	pragmaBarred             // neither is allowed: reading has an effect already
)

// pragmas are those that are served. SQLite takes an unknown name for a wish
// without effect; here it is an error, as what was meant does not happen.
var pragmas = map[string]pragmaKind{
	"collation_list": pragmaAsks, "compile_options": pragmaAsks, "data_version": pragmaAsks,
	"database_list": pragmaAsks, "foreign_key_check": pragmaAsks, "foreign_key_list": pragmaAsks,
	"freelist_count": pragmaAsks, "function_list": pragmaAsks, "index_info": pragmaAsks,
	"index_list": pragmaAsks, "index_xinfo": pragmaAsks, "integrity_check": pragmaAsks,
	"module_list": pragmaAsks, "page_count": pragmaAsks, "pragma_list": pragmaAsks,
	"quick_check": pragmaAsks, "table_info": pragmaAsks, "table_list": pragmaAsks,
	"table_xinfo": pragmaAsks, "shrink_memory": pragmaAsks,

	"application_id": pragmaStores, "incremental_vacuum": pragmaStores,
	"optimize": pragmaStores, "user_version": pragmaStores,

	"analysis_limit": pragmaSets, "auto_vacuum": pragmaSets, "automatic_index": pragmaSets,
	"cache_size": pragmaSets, "cache_spill": pragmaSets, "case_sensitive_like": pragmaSets,
	"cell_size_check": pragmaSets, "defer_foreign_keys": pragmaSets, "encoding": pragmaSets,
	"ignore_check_constraints": pragmaSets, "legacy_alter_table": pragmaSets,
	"max_page_count": pragmaSets, "page_size": pragmaSets, "query_only": pragmaSets,
	"read_uncommitted": pragmaSets, "recursive_triggers": pragmaSets,
	"reverse_unordered_selects": pragmaSets, "secure_delete": pragmaSets,
	"soft_heap_limit": pragmaSets, "temp_store": pragmaSets, "threads": pragmaSets,
	"trusted_schema": pragmaSets,

	"foreign_keys": pragmaAlone,

	"busy_timeout": pragmaFixed, "checkpoint_fullfsync": pragmaFixed, "fullfsync": pragmaFixed,
	"hard_heap_limit": pragmaFixed, "journal_mode": pragmaFixed, "journal_size_limit": pragmaFixed,
	"locking_mode": pragmaFixed, "mmap_size": pragmaFixed, "schema_version": pragmaFixed,
	"synchronous": pragmaFixed, "wal_autocheckpoint": pragmaFixed, "writable_schema": pragmaFixed,

	"wal_checkpoint": pragmaBarred,
}

// pragma decides about a PRAGMA and takes note of what it changes. Those that
// set something do so while SQLite compiles them; that is postponed until they
// are compiled to be run, so that Prepare has no effect. An empty value cannot
// be told from none here; see givesValue.
func (g *guard) pragma(name, value string) *wire.Error {
	kind := pragmas[name]
	valued := value != "" || g.seen != nil && g.seen.pragma
	switch {
	case kind == pragmaUnknown:
		return refused(fmt.Sprintf("there is no pragma %s", name), "PRAGMA pragma_list names those of SQLite; not all are served")
	case kind == pragmaBarred, kind == pragmaFixed && valued:
		return refused(fmt.Sprintf("pragma %s is the server's to set", name), "")
	}
	if g.seen != nil {
		g.seen.pragma = valued && kind != pragmaAsks
		g.seen.alone = valued && kind == pragmaAlone
		g.seen.stores = kind == pragmaStores && (valued || name == "optimize" || name == "incremental_vacuum")
	}
	if valued && (kind == pragmaSets || kind == pragmaAlone) {
		g.postponed = !g.applying
		g.dirty = g.dirty || g.applying
	}
	return nil
}

// givesValue reports whether the text of a PRAGMA gives it a value, though an
// empty one: a value stands after = or in parentheses.
func givesValue(sql string) bool {
	inside := false // behind the semicolons that may stand before it
	for i := range len(sql) {
		switch {
		case sql[i] == '=' || sql[i] == '(':
			return true
		case sql[i] == ';' && inside:
			return false
		case isLetter(sql[i]):
			inside = true
		}
	}
	return false
}
