package main

import (
	"strings"
	"testing"
)

func TestTransactionsOfTheScriptAreFollowed(t *testing.T) {
	for script, open := range map[string]bool{
		"SELECT 1":                         false,
		"BEGIN":                            true,
		"begin exclusive transaction":      true,
		"BEGIN; COMMIT":                    false,
		"BEGIN; END":                       false,
		"BEGIN; commit transaction":        false,
		"BEGIN; ROLLBACK":                  false,
		"BEGIN; ROLLBACK TRANSACTION a":    false,
		"BEGIN; SAVEPOINT a; RELEASE a":    true,
		"BEGIN; SAVEPOINT a; ROLLBACK":     false,
		"SAVEPOINT a":                      true,
		"SAVEPOINT a; COMMIT":              false,
		"SAVEPOINT a; RELEASE a":           false,
		"SAVEPOINT 'A'; RELEASE [a]":       false,
		"SAVEPOINT a; RELEASE SAVEPOINT a": false,
		"SAVEPOINT a; ROLLBACK TO a":       true,
		"SAVEPOINT a; ROLLBACK TRANSACTION x TO SAVEPOINT a":              true,
		"SAVEPOINT a; SAVEPOINT b; RELEASE a":                             false,
		"SAVEPOINT a; SAVEPOINT b; RELEASE b":                             true,
		"SAVEPOINT a; SAVEPOINT a; RELEASE a":                             true,
		"SAVEPOINT a; SAVEPOINT a; RELEASE a; RELEASE a":                  false,
		"SAVEPOINT a; SAVEPOINT b; ROLLBACK TO a; SAVEPOINT c; RELEASE c": true,
		"SAVEPOINT savepoint; RELEASE savepoint savepoint":                false,
	} {
		all, err := statements(strings.NewReader(script), maxStatement)
		if err != nil {
			t.Fatal(err)
		}
		var tx transaction
		for i := range all {
			tx.follow(&all[i])
		}
		if tx.open() != open {
			t.Errorf("after %q open is %v, want %v", script, tx.open(), open)
		}
	}
}

// Statements that SQLite refuses are not followed, as the loader stops there.
func TestSavepointsAreFollowedAsSQLiteHasThem(t *testing.T) {
	for _, script := range []string{
		"SAVEPOINT a; SAVEPOINT b; ROLLBACK TO a; ROLLBACK TO a; RELEASE A",
		"SAVEPOINT 'a b'; SAVEPOINT [A B]; RELEASE \"a B\"; ROLLBACK TRANSACTION TO `a b`",
		"BEGIN; SAVEPOINT a; SAVEPOINT b; RELEASE a; SAVEPOINT c; ROLLBACK TO c; END",
		"SAVEPOINT a; BEGIN_IS_NO_VERB",
		"SAVEPOINT savepoint; SAVEPOINT x; RELEASE SAVEPOINT savepoint",
	} {
		all, err := statements(strings.NewReader(script), maxStatement)
		if err != nil {
			t.Fatal(err)
		}
		db := newSQLite(t)
		var tx transaction
		for i := range all {
			if db.Exec(all[i].text) == nil {
				tx.follow(&all[i])
			}
			if open := !db.GetAutocommit(); tx.open() != open {
				t.Errorf("%q: after %q open is %v, and in SQLite %v", script, all[i].text, tx.open(), open)
			}
		}
	}
}

func TestStatementsThatMustStandAloneAreKnown(t *testing.T) {
	for sql, alone := range map[string]bool{
		"pragma x": true, "VACUUM": true, "Attach 'a' AS b": true, "DETACH b": true, "BEGIN": true, "end": true,
		"COMMIT": true, "rollback": true, "SAVEPOINT a": true, "RELEASE a": true, "/**/PRAGMA x": true,
		"INSERT INTO t VALUES (1)": false, "CREATE TABLE begin (a)": false, "EXPLAIN VACUUM": false, "(": false, "[PRAGMA]": false,
	} {
		all, err := statements(strings.NewReader(sql), maxStatement)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		if all[0].alone() != alone {
			t.Errorf("%q: alone is %v, want %v", sql, !alone, alone)
		}
	}
}
