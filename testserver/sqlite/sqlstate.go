package sqlite

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

const stateSyntax = "42601"

// states maps SQLite's codes to SQLSTATEs: extended ones first, then the
// primary ones that they belong to. sqlite3.ERROR says little; its message is
// looked up in phrases.
var states = map[sqlite3.ExtendedErrorCode]string{
	sqlite3.CONSTRAINT_UNIQUE:     "23505",
	sqlite3.CONSTRAINT_PRIMARYKEY: "23505",
	sqlite3.CONSTRAINT_ROWID:      "23505",
	sqlite3.CONSTRAINT_NOTNULL:    "23502",
	sqlite3.CONSTRAINT_FOREIGNKEY: "23503",
	sqlite3.CONSTRAINT_CHECK:      "23514",
	sqlite3.CONSTRAINT_DATATYPE:   "22018",
	sqlite3.CONSTRAINT_TRIGGER:    "45000", // RAISE, as SIGNAL in ISO/IEC 9075-4
	sqlite3.BUSY_SNAPSHOT:         "40001",
	sqlite3.ABORT_ROLLBACK:        "40000",
	sqlite3.READONLY_DBMOVED:      "58030",
	sqlite3.READONLY_CANTLOCK:     "58030",
	sqlite3.READONLY_RECOVERY:     "58030",
	sqlite3.READONLY_CANTINIT:     "58030",
	sqlite3.READONLY_DIRECTORY:    "58030",
	sqlite3.IOERR_CORRUPTFS:       "XX001",
	sqlite3.IOERR_DATA:            "XX001",

	primary(sqlite3.CONSTRAINT): "23000",
	primary(sqlite3.INTERNAL):   "XX000",
	primary(sqlite3.PERM):       "42501",
	primary(sqlite3.ABORT):      "57014",
	primary(sqlite3.LOCKED):     "55006",
	primary(sqlite3.READONLY):   "25006",
	primary(sqlite3.IOERR):      "58030",
	primary(sqlite3.CORRUPT):    "XX001",
	primary(sqlite3.NOTADB):     "XX001",
	primary(sqlite3.FORMAT):     "XX001",
	primary(sqlite3.NOTFOUND):   "XX000",
	primary(sqlite3.FULL):       "53100",
	primary(sqlite3.CANTOPEN):   "58030",
	primary(sqlite3.PROTOCOL):   "55P03",
	primary(sqlite3.SCHEMA):     "40001",
	primary(sqlite3.TOOBIG):     "54000",
	primary(sqlite3.MISMATCH):   "22018",
	primary(sqlite3.MISUSE):     "XX000",
	primary(sqlite3.NOLFS):      "58030",
	primary(sqlite3.AUTH):       "42501",
	primary(sqlite3.RANGE):      "07009",
}

func primary(code sqlite3.ErrorCode) sqlite3.ExtendedErrorCode {
	return sqlite3.ExtendedErrorCode(code)
}

// stateGeneral is for a fault of the statement that nothing else fits.
const stateGeneral = "HY000"

// phrase tells an error by its message: what it begins with and holds.
type phrase struct{ begins, holds, state string }

// phrases are the messages of sqlite3.ERROR, the more telling ones first.
var phrases = []phrase{
	{"near ", "syntax error", stateSyntax},
	{"incomplete input", "", stateSyntax},
	{"unrecognized token", "", stateSyntax},
	{"no such table", "", "42P01"},
	{"no such view", "", "42P01"},
	{"no such column", "", "42703"},
	{"table ", " has no column named ", "42703"},
	{"unknown column ", " in foreign key definition", "42703"},
	{"ambiguous column name", "", "42702"},
	{"no such function", "", "42883"},
	{"wrong number of arguments to function", "", "42883"},
	{"no such index", "", "42704"},
	{"no such trigger", "", "42704"},
	{"no such collation sequence", "", "42704"},
	{"no such module", "", "42704"},
	{"unable to identify the object to be reindexed", "", "42704"},
	{"table ", " already exists", "42P07"},
	{"view ", " already exists", "42P07"},
	{"there is already ", "", "42P07"},
	{"index ", " already exists", "42710"},
	{"trigger ", " already exists", "42710"},
	{"duplicate column name", "", "42701"},
	{"duplicate WITH table name", "", "42712"},
	{"misuse of aggregate", "", "42803"},
	{"misuse of window function", "", "42P20"},
	{"HAVING clause on a non-aggregate query", "", "42803"},
	{"foreign key mismatch", "", "42830"},
	{"table ", " values were supplied", stateSyntax},
	{"", " values for ", stateSyntax},
	{"all VALUES must have the same number of terms", "", stateSyntax},
	{"SELECTs to the left and right of", "", stateSyntax},
	{"sub-select returns ", "", stateSyntax},
	{"row value misused", "", stateSyntax},
	{"ORDER BY clause should come after", "", stateSyntax},
	{"LIMIT clause should come after", "", stateSyntax},
	{"cannot start a transaction within a transaction", "", "25001"},
	{"cannot VACUUM from within a transaction", "", "25001"},
	{"cannot VACUUM - ", "statements in progress", "55006"},
	{"cannot commit - no transaction is active", "", "25P01"},
	{"cannot rollback - no transaction is active", "", "25P01"},
	{"no such savepoint", "", "3B001"},
	{"integer overflow", "", "22003"},
	{"malformed JSON", "", "22032"},
	{"bad JSON path", "", "22033"},
	{"too many columns", "", "54011"},
	{"triggers nested too deep", "", "54001"},
	{"too many ", "", "54000"},
	{"string or blob too big", "", "54000"},
	{"at most ", "", "54000"},
	{"Expression tree is too large", "", "54001"},
	{"Recursion limit", "", "54001"},
	{"LIKE or GLOB pattern too complex", "", "54001"},
	{"cannot modify ", " because it is a view", "42809"},
	{"table ", " may not be ", "42501"},
	{"object name reserved for internal use", "", "42939"},
	{"unsupported ", "", "0A000"},
	{"Cannot add ", "", "0A000"},
	{"cannot ", "", "0A000"}, // of ALTER TABLE, generated columns and the like
}

// translate gives the error for one of SQLite's codes and its message.
func translate(code sqlite3.ExtendedErrorCode, message string) *wire.Error {
	e := &wire.Error{Code: stateOf(code, message), Effect: wire.EffectNone, Message: lowerFirst(message)}
	if code == sqlite3.CONSTRAINT_TRIGGER {
		e.Message = message // the words are those of the trigger's author
	}
	switch e.Code {
	case "40001":
		e.Message = "the data that the transaction has read was changed by another one before it wrote"
		e.Hint = "roll back and repeat the whole transaction; begin it as read-write to avoid this"
	case "53100":
		e.Hint = "nothing was changed; make room on the disk"
	case "23503":
		e.Hint = "the row that is referred to is missing, or the row is still referred to"
	}
	if code == primary(sqlite3.SCHEMA) {
		e.Message, e.Hint = "the schema kept changing while the statement was compiled", "repeat it"
	}
	return e
}

func stateOf(code sqlite3.ExtendedErrorCode, message string) string {
	if state, ok := states[code]; ok {
		return state
	}
	if state, ok := states[primary(code.Code())]; ok {
		return state
	}
	for _, p := range phrases {
		if strings.HasPrefix(message, p.begins) && strings.Contains(message, p.holds) {
			return p.state
		}
	}
	return stateGeneral
}

// lowerFirst makes a message begin in lower case: the name of a constraint, a
// first word that is all capitals, or else the first letter.
func lowerFirst(message string) string {
	head, tail, _ := strings.Cut(message, " ")
	if kind, rest, found := strings.Cut(message, " constraint failed"); found {
		return strings.ToLower(kind) + " constraint failed" + rest
	}
	if tail != "" && head == strings.ToUpper(head) {
		return strings.ToLower(head) + " " + tail
	}
	r, n := utf8.DecodeRuneInString(message)
	if n == 0 {
		return ""
	}
	return string(unicode.ToLower(r)) + message[n:]
}
