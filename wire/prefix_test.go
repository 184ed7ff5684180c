package wire

import (
	"bytes"
	"errors"
	"testing"
)

// A payload that ends early is one of two things. It comes from an older peer,
// which does not know the last fields: then it ends between two fields of the
// outermost level, and what is missing counts as zero. Or it is damaged.
func TestEveryPrefixOfAPayloadIsRefusedOrLacksWholeFields(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		if s.name == "RowsHeader" {
			t.Skip("see TestEveryCutOfARowsHeaderIsRefused")
		}
		payload, accepted := s.payload(), 0
		for n := range len(payload) + 1 {
			m := s.fresh()
			err := m.Decode(payload[:n:n])
			if err != nil {
				checkMalformed(t, err)
				continue
			}
			accepted++
			// All zero values are zero bytes, so what was missing shows
			// as zeros when the message is encoded again.
			again := m.AppendTo(nil)
			if !bytes.HasPrefix(again, payload[:n]) || len(bytes.TrimRight(again[n:], "\x00")) > 0 {
				t.Errorf("%d of %d bytes decode to something else: %+v", n, len(payload), m)
			}
		}
		if accepted != s.fields+1 {
			t.Errorf("%d prefixes were accepted; %d fields allow %d", accepted, s.fields, s.fields+1)
		}
	})
}

func TestEveryCutOfARowsHeaderIsRefused(t *testing.T) {
	for _, header := range []RowsHeader{
		{},
		{First: true, Description: 9},
		{First: true, HasColumns: true, Description: 9, Width: 2, Columns: sampleColumns},
	} {
		payload := header.AppendTo(nil)
		for n := range payload {
			var m RowsHeader
			if _, err := m.Decode(payload[:n:n]); err == nil {
				t.Errorf("%d of %d bytes of %+v decode to %+v", n, len(payload), header, m)
			} else {
				checkMalformed(t, err)
			}
		}
	}
}

// checkMalformed makes sure that a decoder's error is typed and says where.
func checkMalformed(t testing.TB, err error) {
	t.Helper()
	var pe *ProtocolError
	if !errors.As(err, &pe) || !errors.Is(err, ErrMalformed) || pe.What == "" || pe.Detail == "" || pe.Offset < 0 {
		t.Errorf("not a complete *ProtocolError of kind ErrMalformed: %#v", err)
	}
}

// checkMalformedAt makes sure of the field that the error names, too.
func checkMalformedAt(t testing.TB, err error, where string) {
	t.Helper()
	checkMalformed(t, err)
	var pe *ProtocolError
	if errors.As(err, &pe) && pe.What != where {
		t.Errorf("the error is about %s, not %s: %v", pe.What, where, err)
	}
}

func TestAListThatEndsEarlyIsRefused(t *testing.T) {
	// The count says two, the first element has taken all bytes.
	settings := (&ClientHandshake{}).AppendTo(nil)[:22]
	described := append([]byte{5, 0, 0, 0, 1, 1, 0}, make([]byte, 8)...)
	for where, c := range map[string]struct {
		m       codec
		payload []byte
	}{
		"Handshake.setting.name":              {&ClientHandshake{}, appendString(appendString(appendUvarint(settings, 2), "name"), "value")},
		"Topology.node.id":                    {&topologyField{}, append(appendString(appendString(appendUvarint(appendU64(nil, 7), 2), "1"), "host"), 0, 0)},
		"StatementDescription.parameter.name": {&StatementDescription{}, appendString(appendUvarint([]byte{5, 0, 0, 0, 1, 1}, 2), "id")},
		"StatementDescription.column.scale":   {&StatementDescription{}, appendColumns(described, sampleColumns[:1])[:15+1+3+8+5+2+16]},
		"Execute.argument.name":               {&Execute{}, AppendArgument((&Execute{}).AppendHead(nil, 2), "a long name", Int(1))},
		"Execute.argument.value":              {&Execute{}, appendString((&Execute{}).AppendHead(nil, 1), "a long name")},
	} {
		checkMalformedAt(t, c.m.Decode(c.payload), where)
	}
}

func TestACountThatTheBytesCannotHoldIsRefused(t *testing.T) {
	head := (&Execute{}).AppendHead(nil, 0)
	head = head[:len(head)-1]
	for _, c := range []struct {
		where   string
		m       codec
		payload []byte
	}{
		{"Execute.arguments", &Execute{}, append(appendUvarint(head, 1<<40), make([]byte, 100)...)},
		{"Execute.arguments", &Execute{}, append(head, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"CloseStatement.statements", &CloseStatement{}, append(appendUvarint(nil, maxElements+1), make([]byte, 4*(maxElements+1))...)},
		{"CloseStatement.statements", &CloseStatement{}, append(appendUvarint(nil, 3), make([]byte, 11)...)},
		{"Rows.count", &rowsPayload{}, append(appendU32([]byte{0}, 3), 0, 0)},
		{"Rows.width", &rowsPayload{}, append(appendUvarint(appendU64([]byte{rowsFirst}, 9), maxElements+1), 0, 0, 0, 0)},
	} {
		checkMalformedAt(t, c.m.Decode(c.payload), c.where)
	}
	most := CloseStatement{Statements: make([]uint32, maxElements)}
	var m CloseStatement
	if err := m.Decode(most.AppendTo(nil)); err != nil || len(m.Statements) != maxElements {
		t.Errorf("a list of the greatest length: %v", err)
	}
}

func TestARowsHeaderThatContradictsItselfIsRefused(t *testing.T) {
	for _, c := range []struct {
		where   string
		payload []byte
	}{
		{"Rows.flags", []byte{4, 0, 0, 0, 0}},
		{"Rows.columns", (&RowsHeader{HasColumns: true, Columns: sampleColumns}).AppendTo(nil)},
		{"Rows.columns", (&RowsHeader{First: true, HasColumns: true, Width: 1, Columns: sampleColumns}).AppendTo(nil)},
		{"Rows.columns", (&RowsHeader{First: true, HasColumns: true, Width: 3, Columns: sampleColumns}).AppendTo(nil)},
		{"Rows.count", (&RowsHeader{First: true, Width: 0, Count: 1}).AppendTo(nil)},
		{"Rows.count", append((&RowsHeader{First: true, Width: 1, Count: 3}).AppendTo(nil), 0, 0)},
	} {
		var m RowsHeader
		_, err := m.Decode(c.payload)
		checkMalformedAt(t, err, c.where)
	}
}

func TestABoolThatIsNeitherZeroNorOneIsRefused(t *testing.T) {
	payload := (&Transaction{Op: TxBegin, ReadOnly: true}).AppendTo(nil)
	payload[len(payload)-1] = 2
	var m Transaction
	err := m.Decode(payload)
	checkMalformed(t, err)
	var pe *ProtocolError
	if errors.As(err, &pe) && (pe.Offset != len(payload)-1 || pe.What != "Transaction.read_only") {
		t.Errorf("the error names %s at %d", pe.What, pe.Offset)
	}
}

func TestAnErrorCodeIsFiveDigitsOrCapitalLetters(t *testing.T) {
	for _, code := range []string{"", "2350", "235055", "2350x", "2350\n", "ГГ"} {
		var got Error
		if err := got.Decode((&Error{Code: code, Message: "m"}).AppendTo(nil)); err != nil || got.Code != "" || got.Message != "m" {
			t.Errorf("%q travelled as %q, %q, %v", code, got.Code, got.Message, err)
		}
	}
	payload := (&Error{Code: "23505"}).AppendTo(nil)
	payload[4] = '\n'
	var m Error
	checkMalformed(t, m.Decode(payload))
}
