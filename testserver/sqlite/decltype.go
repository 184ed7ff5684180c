package sqlite

import (
	"strconv"
	"strings"

	"github.com/qdb-go/qdb/wire"
)

// meaningKind is what a column's declared type says about its values.
type meaningKind uint8

const (
	meansItself meaningKind = iota // the value's own type is all there is
	meansBool
	meansTimestamp
	meansDecimal
	meansFloat
)

// maxPadding is the largest scale to which decimals are padded.
const maxPadding = 1000

// meaning is how a column's values are read.
type meaning struct {
	kind  meaningKind
	scale int // of a decimal, in digits after the point; -1 when it is not declared
}

// declaredType is a column's type taken apart.
type declaredType struct {
	name    string // upper case, without arguments
	kind    wire.Kind
	meaning meaning
	flags   wire.ColumnFlags
	length  int64
	// precision and scale are those of a decimal.
	precision, scale int64
}

// parseDeclaredType reads a type as CREATE TABLE has it. SQLite takes any words
// for one; which storage they lead to is section 3.1 of its datatype3.html, and
// the rest of the types that are told apart here are those of other databases.
func parseDeclaredType(decl string) declaredType {
	name, args := splitDeclaration(decl)
	t := declaredType{name: name, meaning: meaning{scale: -1}}
	t.kind, t.meaning.kind = classify(name)
	switch {
	case len(args) == 0:
	case t.meaning.kind == meansDecimal:
		t.flags |= wire.DecimalKnown
		t.precision = args[0]
		if len(args) > 1 {
			t.scale = args[1]
		}
		if t.scale >= 0 && t.scale <= maxPadding {
			t.meaning.scale = int(t.scale)
		}
	case t.meaning.kind == meansItself && (t.kind == wire.KindString || t.kind == wire.KindBytes):
		t.flags |= wire.LengthKnown
		t.length = args[0]
	}
	return t
}

// splitDeclaration takes the first pair of parentheses out of a declaration and
// reads the numbers in it. Arguments that are no numbers are left out.
func splitDeclaration(decl string) (name string, args []int64) {
	head, rest, found := strings.Cut(decl, "(")
	if found {
		list, tail, _ := strings.Cut(rest, ")")
		head += " " + tail
		for arg := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(arg), 10, 64)
			if err != nil {
				args = nil
				break
			}
			args = append(args, n)
		}
	}
	return strings.ToUpper(strings.Join(strings.Fields(head), " ")), args
}

// classify gives the kind that a type promises and how its values are read.
func classify(name string) (wire.Kind, meaningKind) {
	for word := range strings.FieldsSeq(name) {
		switch {
		case word == "BOOL" || word == "BOOLEAN":
			return wire.KindFalse, meansBool
		case word == "DATE" || word == "SMALLDATETIME" ||
			strings.HasPrefix(word, "DATETIME") || strings.HasPrefix(word, "TIMESTAMP"):
			return wire.KindTimestamp, meansTimestamp
		case word == "DECIMAL" || word == "NUMERIC" || word == "DEC" || word == "MONEY":
			return wire.KindString, meansDecimal
		case word == "TIME" || word == "TIMETZ":
			return wire.KindString, meansItself
		}
	}
	contains := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case contains("INT"):
		return wire.KindInt, meansItself
	case contains("CHAR"), contains("CLOB"), contains("TEXT"):
		return wire.KindString, meansItself
	case contains("BLOB"), contains("BINARY"):
		return wire.KindBytes, meansItself
	case contains("REAL"), contains("FLOA"), contains("DOUB"):
		return wire.KindFloat, meansFloat
	}
	return wire.KindNull, meansItself
}
