package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// PROTOCOL.md is compared with the code, so that it stays true.
func protocolText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// documentedField is a row of a payload's table.
type documentedField struct{ name, kind string }

// section gives what stands under a heading, up to the next one.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no section %q", heading)
	}
	own, _, _ := strings.Cut(rest, "\n#")
	return own
}

var fieldRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\|")

func documentedFields(t *testing.T, text, name string) (fields []documentedField) {
	t.Helper()
	for _, m := range fieldRow.FindAllStringSubmatch(section(t, text, "### "+name), -1) {
		fields = append(fields, documentedField{m[1], m[2]})
	}
	return fields
}

// structFields gives a payload's fields as the documentation should.
func structFields(of reflect.Type) (fields []documentedField) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.IsExported() {
			fields = append(fields, documentedField{snakeCase(f.Name), wireType(f.Type)})
		}
	}
	return fields
}

func snakeCase(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// wireType is the primitive that a Go type travels as.
func wireType(of reflect.Type) string {
	switch of.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("u%d", of.Bits())
	case reflect.Int64:
		return "i64"
	case reflect.String:
		return "string"
	case reflect.Array:
		return "id"
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "list of " + wireType(of.Elem())
	}
	if of == reflect.TypeFor[Value]() {
		return "value"
	}
	return of.Name()
}

// documentedTypes are the structs whose fields are the wire's, in order.
func documentedTypes() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[ClientHandshake](), reflect.TypeFor[Setting](), reflect.TypeFor[ServerHandshake](), reflect.TypeFor[Auth](),
		reflect.TypeFor[Topology](), reflect.TypeFor[Node](), reflect.TypeFor[TopologyChange](), reflect.TypeFor[Pong](),
		reflect.TypeFor[Prepare](), reflect.TypeFor[StatementDescription](), reflect.TypeFor[Parameter](), reflect.TypeFor[Execute](),
		reflect.TypeFor[Argument](), reflect.TypeFor[Column](), reflect.TypeFor[Complete](), reflect.TypeFor[Error](),
		reflect.TypeFor[Cancel](), reflect.TypeFor[Credit](), reflect.TypeFor[CloseStatement](), reflect.TypeFor[Transaction](),
		reflect.TypeFor[Ack](),
	}
}

func TestEveryFieldOfEveryPayloadIsDocumentedInItsPlace(t *testing.T) {
	text := protocolText(t)
	for _, of := range documentedTypes() {
		want := structFields(of)
		if of == reflect.TypeFor[Error]() {
			want[0].kind = "5 bytes" // an SQLSTATE has no length
		}
		got := documentedFields(t, text, of.Name())
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is documented as\n%v\nand is\n%v", of.Name(), got, want)
		}
	}
	// The header's two flags are one byte, and its columns depend on them.
	header := []documentedField{{"flags", "u8"}, {"description", "u64"}, {"width", "uvarint"}, {"columns", "list of Column"}, {"count", "u32"}}
	if got := documentedFields(t, text, "RowsHeader"); !reflect.DeepEqual(got, header) {
		t.Errorf("RowsHeader is documented as %v", got)
	}
	for _, name := range []string{"`First`", "`HasColumns`"} {
		if !strings.Contains(section(t, text, "### RowsHeader"), name) {
			t.Errorf("RowsHeader's %s is not documented", name)
		}
	}
}

func TestEveryPayloadHasADiagramOfItsFields(t *testing.T) {
	text := protocolText(t)
	names := []string{"RowsHeader"}
	for _, of := range documentedTypes() {
		names = append(names, of.Name())
	}
	for _, name := range names {
		own := section(t, text, "### "+name)
		_, rest, _ := strings.Cut(own, "```text\n")
		drawn, _, found := strings.Cut(rest, "```")
		if !found {
			t.Errorf("%s has no diagram", name)
			continue
		}
		var boxes []documentedField
		lines := strings.Split(strings.TrimSpace(drawn), "\n")
		for i := 0; i+2 < len(lines); i += 3 {
			names, kinds := strings.Split(lines[i+1], "|"), strings.Split(lines[i+2], "|")
			for k := 1; k < len(names)-1; k++ {
				boxes = append(boxes, documentedField{strings.TrimSpace(names[k]), strings.TrimSpace(kinds[k])})
			}
		}
		if want := documentedFields(t, text, name); !reflect.DeepEqual(boxes, want) {
			t.Errorf("the diagram of %s shows\n%v\nits table\n%v", name, boxes, want)
		}
	}
}

func TestEverySampleIsOfADocumentedPayload(t *testing.T) {
	text := protocolText(t)
	for _, s := range samples() {
		section(t, text, "### "+s.name)
	}
}

func TestEveryMessageTypeIsDocumentedWithItsNumber(t *testing.T) {
	text := section(t, protocolText(t), "## 3. Message")
	for kind := range Type(typeCount) {
		if !strings.Contains(text, fmt.Sprintf("\n| %d | %v |", kind, kind)) {
			t.Errorf("type %d, %v, is not documented", kind, kind)
		}
	}
	if strings.Contains(text, fmt.Sprintf("\n| %d |", typeCount)) {
		t.Errorf("type %d is documented, and unknown", typeCount)
	}
}

// constants are all named numbers that travel, by the type that they have.
var constants = map[string]map[string]int{
	"Kind": {"KindNull": int(KindNull), "KindFalse": int(KindFalse), "KindTrue": int(KindTrue), "KindInt": int(KindInt),
		"KindFloat": int(KindFloat), "KindString": int(KindString), "KindBytes": int(KindBytes), "KindTimestamp": int(KindTimestamp)},
	"Protocols": {"ProtocolTLS": int(ProtocolTLS), "ProtocolTCP": int(ProtocolTCP), "ProtocolUDP": int(ProtocolUDP)},
	"Features": {"FeatureLZ4": int(FeatureLZ4), "FeatureIdempotency": int(FeatureIdempotency),
		"FeatureTxStatus": int(FeatureTxStatus), "FeatureTopology": int(FeatureTopology)},
	"AuthStatus":  {"AuthOK": int(AuthOK), "AuthContinue": int(AuthContinue)},
	"Role":        {"RolePrimary": int(RolePrimary), "RoleReplica": int(RoleReplica)},
	"NodeStatus":  {"StatusUp": int(StatusUp), "StatusDraining": int(StatusDraining), "StatusDown": int(StatusDown)},
	"LeaveReason": {"LeaveDraining": int(LeaveDraining), "LeaveShutdown": int(LeaveShutdown), "LeaveGone": int(LeaveGone)},
	"ExecuteFlags": {"WantRows": int(WantRows), "InTransaction": int(InTransaction), "KeepStatement": int(KeepStatement),
		"ReadOnly": int(ReadOnly)},
	"Consistency": {"ConsistencyStrong": int(ConsistencyStrong), "ConsistencyEventual": int(ConsistencyEventual)},
	"ColumnFlags": {"NullableKnown": int(NullableKnown), "Nullable": int(Nullable), "LengthKnown": int(LengthKnown),
		"DecimalKnown": int(DecimalKnown)},
	"TxState": {"TxNone": int(TxNone), "TxActive": int(TxActive), "TxFailed": int(TxFailed)},
	"TxOp":    {"TxBegin": int(TxBegin), "TxCommit": int(TxCommit), "TxRollback": int(TxRollback), "TxStatus": int(TxStatus)},
	"Isolation": {"IsolationDefault": int(IsolationDefault), "IsolationReadUncommitted": int(IsolationReadUncommitted),
		"IsolationReadCommitted": int(IsolationReadCommitted), "IsolationWriteCommitted": int(IsolationWriteCommitted),
		"IsolationRepeatableRead": int(IsolationRepeatableRead), "IsolationSnapshot": int(IsolationSnapshot),
		"IsolationSerializable": int(IsolationSerializable), "IsolationLinearizable": int(IsolationLinearizable)},
	"Outcome": {"OutcomeUnknown": int(OutcomeUnknown), "OutcomeInProgress": int(OutcomeInProgress),
		"OutcomeCommitted": int(OutcomeCommitted), "OutcomeAborted": int(OutcomeAborted)},
	"Severity": {"SeverityError": int(SeverityError), "SeverityFatal": int(SeverityFatal)},
	"Effect":   {"EffectUnknown": int(EffectUnknown), "EffectNone": int(EffectNone), "EffectDone": int(EffectDone)},
}

func TestEveryConstantIsDocumentedWithItsValue(t *testing.T) {
	text := protocolText(t)
	for kind, names := range constants {
		for name, value := range names {
			if !strings.Contains(text, fmt.Sprintf("\n| %d | `%s` |", value, name)) {
				t.Errorf("%s = %d of %s is not documented", name, value, kind)
			}
		}
	}
	for kind, names := range declaredConstants(t) {
		for _, name := range names {
			if _, ok := constants[kind][name]; !ok && kind != "Type" {
				t.Errorf("%s of %s is not in the list above", name, kind)
			}
		}
	}
}

// declaredConstants reads the exported constants out of the sources, by their
// declared type. One without a type has that of the one before it, as with iota.
func declaredConstants(t *testing.T) map[string][]string {
	t.Helper()
	sources, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, source := range sources {
		name := source.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				collectConstants(g, found)
			}
		}
	}
	return found
}

func collectConstants(g *ast.GenDecl, found map[string][]string) {
	kind := ""
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		if id, ok := v.Type.(*ast.Ident); ok {
			kind = id.Name
		} else if len(v.Values) > 0 {
			kind = ""
		}
		for _, name := range v.Names {
			if kind != "" && name.IsExported() {
				found[kind] = append(found[kind], name.Name)
			}
		}
	}
}

func TestTheConstantsOfTheSourcesAreFound(t *testing.T) {
	found := declaredConstants(t)
	for kind, names := range constants {
		if len(found[kind]) != len(names) {
			t.Errorf("%s: the sources declare %v, the list has %d", kind, found[kind], len(names))
		}
	}
	if len(found["Type"]) != typeCount {
		t.Errorf("%d message types are declared, %d counted", len(found["Type"]), typeCount)
	}
}

func TestTheLimitsAreDocumented(t *testing.T) {
	text := section(t, protocolText(t), "## 4. Limits")
	for _, limit := range []int{HandshakeMaxMessageSize, DefaultMaxMessageSize, SessionMaxMessageSize, HighestMaxMessageSize, trustedSize, maxElements} {
		if !strings.Contains(text, withCommas(limit)) {
			t.Errorf("the limit %s is not documented", withCommas(limit))
		}
	}
	values := section(t, protocolText(t), "## 7. Values")
	for _, limit := range []int64{MinTimestamp, MaxTimestamp} {
		if !strings.Contains(values, withCommas(limit)) {
			t.Errorf("the limit %s is not documented", withCommas(limit))
		}
	}
}

func withCommas[T int | int64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

var hexLine = regexp.MustCompile(`(?m)^((?:[0-9a-f]{2} )*[0-9a-f]{2})  `)

func TestTheExampleFrameIsOne(t *testing.T) {
	var text []string
	for _, m := range hexLine.FindAllStringSubmatch(section(t, protocolText(t), "## 3. Message"), -1) {
		text = append(text, m[1])
	}
	got, err := hex.DecodeString(strings.ReplaceAll(strings.Join(text, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := goldenFrames()["Cancel"]; !bytes.Equal(got, want) {
		t.Errorf("documented is %x, a Cancel is %x", got, want)
	}
}

func TestTheExamplesOfPrimitivesAreRight(t *testing.T) {
	text := section(t, protocolText(t), "## 6. Primitives of session mode")
	for _, example := range []string{
		fmt.Sprintf("string \"größe\"   % x\n", appendString(nil, "größe")),
		fmt.Sprintf("uvarint 300      % x\n", appendUvarint(nil, 300)),
	} {
		if !strings.Contains(text, example) {
			t.Errorf("not found: %s", example)
		}
	}
}
