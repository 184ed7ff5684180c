package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryPayloadDecodesToWhatWasEncoded(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		got := s.fresh()
		if err := got.Decode(s.payload()); err != nil {
			t.Fatal(err)
		}
		if d := difference(s.full, got); d != "" {
			t.Fatalf("decoded differs (-sent +got):\n%s", d)
		}
	})
}

func TestEveryRandomPayloadDecodesToWhatWasEncoded(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		rapid.Check(t, func(t *rapid.T) {
			want := s.random.Draw(t, "payload")
			got := s.fresh()
			if err := got.Decode(want.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
			if d := difference(want, got); d != "" {
				t.Fatalf("decoded differs (-sent +got):\n%s", d)
			}
		})
	})
}

func TestDecodingForgetsWhatTheMessageHeldBefore(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		if s.name == "RowsHeader" {
			t.Skip("a Rows payload cannot be empty: see TestEveryCutOfARowsHeaderIsRefused")
		}
		m := s.fresh()
		if err := m.Decode(s.payload()); err != nil {
			t.Fatal(err)
		}
		if err := m.Decode(nil); err != nil {
			t.Fatal(err)
		}
		if d := difference(s.fresh(), m); d != "" {
			t.Fatalf("an empty payload left something (-zero +got):\n%s", d)
		}
	})
}

func TestAppendToKeepsWhatIsInTheBuffer(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		got := s.full.AppendTo([]byte("before"))
		if !bytes.Equal(got, append([]byte("before"), s.payload()...)) {
			t.Fatalf("got %q", got)
		}
	})
}

func TestTrailingBytesOfANewerPeerAreIgnored(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		if s.name == "RowsHeader" {
			t.Skip("rows follow the header to the payload's end: Rows is not extended this way")
		}
		rapid.Check(t, func(t *rapid.T) {
			tail := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "tail")
			got := s.fresh()
			if err := got.Decode(append(s.payload(), tail...)); err != nil {
				t.Fatal(err)
			}
			if d := difference(s.full, got); d != "" {
				t.Fatalf("decoded differs (-sent +got):\n%s", d)
			}
		})
	})
}

func TestArgumentsAppendedOneByOneEqualThoseOfTheMessage(t *testing.T) {
	s := requestSamples()[2]
	m := s.full.(*Execute)
	got := m.AppendHead(nil, len(m.Arguments))
	for _, a := range m.Arguments {
		got = AppendArgument(got, a.Name, a.Value)
	}
	if !bytes.Equal(got, s.payload()) {
		t.Fatalf("got  %x\nwant %x", got, s.payload())
	}
}

func TestExecuteReusesItsArguments(t *testing.T) {
	s := requestSamples()[2]
	m := Execute{Arguments: make([]Argument, 0, 8)}
	first := &m.Arguments[:1][0]
	if err := m.Decode(s.payload()); err != nil {
		t.Fatal(err)
	}
	if &m.Arguments[0] != first {
		t.Fatal("the slice was allocated anew")
	}
}

func TestEveryValueIsParsedAsItWasAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := randomValue().Draw(t, "value")
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		got, rest, ok := ParseValue(append(want.AppendTo(nil), tail...))
		if !ok || !bytes.Equal(rest, tail) {
			t.Fatalf("parsed %v, rest %x, want rest %x", ok, rest, tail)
		}
		if d := difference(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestNoPrefixOfAValueIsAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := randomValue().Draw(t, "value").AppendTo(nil)
		for n := range b {
			v, rest, ok := ParseValue(b[:n:n])
			if ok || len(rest) != n {
				t.Fatalf("%d of %d bytes gave %v, %v, rest of %d", n, len(b), v, ok, len(rest))
			}
		}
	})
}

func TestAValueThatBreaksTheRulesIsRefused(t *testing.T) {
	second := func(s int64, nanos uint32) []byte {
		return Value{Kind: KindTimestamp, Num: s, Nanos: nanos}.AppendTo(nil)
	}
	for name, b := range map[string][]byte{
		"unknown tag":             {8},
		"highest tag":             {255},
		"length beyond the bytes": {byte(KindString), 2, 'a'},
		"length over 64 bits":     append([]byte{byte(KindBytes)}, bytes.Repeat([]byte{0xff}, 11)...),
		"length of 2^64-1":        {byte(KindBytes), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"length without end":      {byte(KindString), 0x80},
		"before the year 1":       second(MinTimestamp-1, 0),
		"after the year 9999":     second(MaxTimestamp+1, 0),
		"a second of nanoseconds": second(0, 1_000_000_000),
	} {
		if v, _, ok := ParseValue(b); ok {
			t.Errorf("%s: %x was accepted as %+v", name, b, v)
		}
	}
}

func TestTextThatIsNotUTF8IsRefusedInEveryString(t *testing.T) {
	var m Execute
	bad := Execute{Arguments: []Argument{{Value: Value{Kind: KindString, Raw: []byte{0xff}}}}}
	if err := m.Decode(bad.AppendTo(nil)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "Execute.argument.value") {
		t.Errorf("a String value: %v", err)
	}
	var p Prepare
	if err := p.Decode((&Prepare{SQL: "\xc3("}).AppendTo(nil)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "Prepare.sql") {
		t.Errorf("a field: %v", err)
	}
}

func TestTimestampsKeepTheirInstantAndRange(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Unix(-1, 999999999),
		time.Date(2024, 2, 29, 12, 0, 0, 1, time.FixedZone("", 5*3600+1800)),
	} {
		v, _, ok := ParseValue(Timestamp(at).AppendTo(nil))
		if !ok || !v.Time().Equal(at) || v.Time().Location() != time.UTC {
			t.Errorf("%v came back as %v, %v", at, v.Time(), ok)
		}
		if !InRange(at) {
			t.Errorf("%v is said to be out of range", at)
		}
	}
	for _, at := range []time.Time{time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if InRange(at) {
			t.Errorf("%v is said to be in range", at)
		}
	}
}

func TestFloatsKeepEveryBit(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64, 0.1} {
		if got := Float(f).Float(); math.Float64bits(got) != math.Float64bits(f) {
			t.Errorf("%v became %v", f, got)
		}
	}
	signalling := math.Float64frombits(0x7ff0000000000001)
	if got := math.Float64bits(Float(signalling).Float()); got != 0x7ff0000000000001 {
		t.Errorf("a signalling NaN became %#x", got)
	}
}

func TestNamesOfKindsAndTypes(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{KindNull.String(), "Null"}, {KindTrue.String(), "Bool"}, {KindTimestamp.String(), "Timestamp"}, {Kind(8).String(), "Kind(8)"},
		{TypePing.String(), "Ping"}, {TypeTerminate.String(), "Terminate"}, {Type(23).String(), "Type(23)"},
		{EffectNone.String(), "none"}, {EffectDone.String(), "done"}, {Effect(9).String(), "unknown"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestAStringViewIsAStringWithoutACopy(t *testing.T) {
	for _, s := range []string{"", "größe"} {
		if got, want := StringView(s).AppendTo(nil), String(s).AppendTo(nil); !bytes.Equal(got, want) {
			t.Errorf("%q became %x, want %x", s, got, want)
		}
	}
	text, buf := strings.Repeat("x", 1000), make([]byte, 0, 2000)
	if n := testing.AllocsPerRun(10, func() { StringView(text).AppendTo(buf) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
