package main

import (
	"slices"
	"strings"
)

// verb gives the keyword that the statement begins with, in capitals.
func (st *statement) verb() string { return strings.ToUpper(st.head[0]) }

// controls reports whether the statement begins, ends or parts a transaction.
func (st *statement) controls() bool {
	switch st.verb() {
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE":
		return true
	}
	return false
}

// alone reports whether the statement must not be put into a transaction that
// the script knows nothing of: there it would fail, or have no effect.
func (st *statement) alone() bool {
	switch st.verb() {
	case "PRAGMA", "VACUUM", "ATTACH", "DETACH":
		return true
	}
	return st.controls()
}

// transaction is what the script itself has begun and not ended yet. The zero
// value is none.
type transaction struct {
	begun      bool     // by BEGIN
	savepoints []string // by SAVEPOINT, the outermost first
	line       int      // where it was begun
}

func (t *transaction) open() bool { return t.begun || len(t.savepoints) > 0 }

// follow takes note of a statement that was carried out.
func (t *transaction) follow(st *statement) {
	if !t.open() {
		t.line = st.line
	}
	switch st.verb() {
	case "BEGIN":
		t.begun = true
	case "COMMIT", "END":
		*t = transaction{}
	case "SAVEPOINT":
		t.savepoints = append(t.savepoints, nameAfter(st.head, 0))
	case "RELEASE":
		i := t.find(nameAfter(st.head, 0))
		t.savepoints = t.savepoints[:max(i, 0)]
	case "ROLLBACK":
		to := indexWord(st.head, "TO")
		if to < 0 {
			*t = transaction{}
		} else if i := t.find(nameAfter(st.head, to)); i >= 0 {
			t.savepoints = t.savepoints[:i+1]
		}
	}
}

// find gives the innermost savepoint of that name, or -1.
func (t *transaction) find(name string) int {
	for i, s := range slices.Backward(t.savepoints) {
		if s == name {
			return i
		}
	}
	return -1
}

// nameAfter gives the savepoint's name behind the i-th token, over the word
// SAVEPOINT. Names in quotes and in other letters are the same name.
func nameAfter(head []string, i int) string {
	rest := head[min(i+1, len(head)):]
	if len(rest) > 1 && strings.EqualFold(rest[0], "SAVEPOINT") {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return ""
	}
	name := rest[0]
	if len(name) > 1 && closingQuote(name[0]) != 0 {
		name = name[1 : len(name)-1]
	}
	return strings.ToLower(name)
}

func indexWord(head []string, word string) int {
	return slices.IndexFunc(head, func(s string) bool { return strings.EqualFold(s, word) })
}
