package wire

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// referenceFrames are frames whose bytes the reference client fixes.
func referenceFrames() (list []namedBytes) {
	add := func(name string, m Message) { list = append(list, namedBytes{name, plainFrame(m)}) }
	for kind := TypePing; kind <= TypeFeatureNegotiation; kind++ {
		e := Envelope{Recipient: 1, Sequence: 7, Timestamp: 1704067200123, Type: kind}
		add(fmt.Sprintf("frame.%v.empty", kind), Message{Envelope: e})
		add(fmt.Sprintf("frame.%v.small", kind), Message{e, []byte{1, 2, 3, 4, 5}})
		add(fmt.Sprintf("frame.%v.unicode", kind), Message{e, []byte("héllo, wörld — 日本語 🚀 \x00end")})
	}
	plain := Message{Envelope{0, 1, 2, 3, TypeData}, []byte{0xaa}}
	for _, x := range []struct {
		name string
		n    uint64
	}{{"0", 0}, {"1", 1}, {"i64max", math.MaxInt64}, {"i64max_plus1", math.MaxInt64 + 1}, {"u64max", math.MaxUint64}, {"2pow32", 1 << 32}} {
		sender, recipient, sequence := plain, plain, plain
		sender.Sender, recipient.Recipient, sequence.Sequence = x.n, x.n, x.n
		add("frame.extreme.sender."+x.name, sender)
		add("frame.extreme.recipient."+x.name, recipient)
		add("frame.extreme.sequence."+x.name, sequence)
	}
	for _, x := range []struct {
		name string
		n    int64
	}{{"0", 0}, {"1", 1}, {"-1", -1}, {"i64min", math.MinInt64}, {"i64max", math.MaxInt64}} {
		m := plain
		m.Timestamp = x.n
		add("frame.extreme.timestamp."+x.name, m)
	}
	add("frame.extreme.all_max_min", Message{
		Envelope{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MinInt64, TypeFeatureNegotiation}, []byte{0xff, 0xff, 0xff}})
	add("frame.extreme.all_zero", Message{})
	add("frame.sdk_unit_test_message", Message{Envelope{1, 2, 100, 1704067200000, TypeData}, []byte{1, 2, 3, 4, 5}})
	return list
}

// namedValue is a value under the name of a vector.
type namedValue struct {
	name string
	v    Value
}

// referenceValues are values and rows whose bytes the reference client fixes.
func referenceValues(t *testing.T) (list []namedBytes) {
	t.Helper()
	all := []namedValue{{"Null", Null()}, {"Bool.true", Bool(true)}, {"Bool.false", Bool(false)}}
	for _, n := range []int64{0, 1, -1, 42, 255, 256, -256, math.MaxInt32, math.MinInt32, 1 << 53, math.MaxInt64, math.MinInt64} {
		all = append(all, namedValue{fmt.Sprintf("Int.%d", n), Int(n)})
	}
	all = append(all, referenceFloats()...)
	all = append(all, referenceTexts()...)
	all = append(all, referenceTimestamps()...)
	for _, n := range all {
		b, err := n.v.AppendReference(nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, namedBytes{"value." + n.name, b})
	}
	mixed := []Value{Int(-7), String("Ålice"), Null(), Bool(true), Float(math.Copysign(0, -1)), Bytes([]byte{0, 0xff}),
		Timestamp(time.Date(2024, 2, 29, 23, 59, 59, 123_000_000, time.UTC))}
	for _, r := range []struct {
		name string
		row  []Value
	}{{"row.empty", nil}, {"row.one_int", []Value{Int(1)}}, {"row.mixed", mixed}} {
		b, err := AppendReferenceRow(nil, r.row)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, namedBytes{r.name, b})
	}
	return list
}

func referenceFloats() []namedValue {
	bits := func(b uint64) Value { return Value{Kind: KindFloat, Num: int64(b)} }
	return []namedValue{
		{"Float.zero", Float(0)}, {"Float.neg_zero", Float(math.Copysign(0, -1))}, {"Float.one", Float(1)},
		{"Float.neg_2_5", Float(-2.5)}, {"Float.pi", Float(math.Pi)}, {"Float.third", Float(1.0 / 3)},
		{"Float.max", Float(math.MaxFloat64)}, {"Float.min", Float(-math.MaxFloat64)},
		{"Float.min_positive_normal", Float(0x1p-1022)}, {"Float.epsilon", Float(0x1p-52)},
		{"Float.subnormal_smallest", Float(math.SmallestNonzeroFloat64)}, {"Float.subnormal_largest", bits(0x000fffffffffffff)},
		{"Float.neg_subnormal", Float(-math.SmallestNonzeroFloat64)},
		{"Float.inf", Float(math.Inf(1))}, {"Float.neg_inf", Float(math.Inf(-1))},
		{"Float.nan", bits(0x7ff8000000000000)}, {"Float.nan_negative", bits(0xfff8000000000000)},
		{"Float.nan_payload", bits(0x7ff80000deadbeef)}, {"Float.nan_signalling", bits(0x7ff0000000000001)},
	}
}

func referenceTexts() []namedValue {
	all256 := make([]byte, 256)
	for i := range all256 {
		all256[i] = byte(i)
	}
	return []namedValue{
		{"String.empty", String("")}, {"String.ascii", String("hello")}, {"String.nul", String("a\x00b")},
		{"String.accents", String("héllo wörld ÀÉ")}, {"String.cjk", String("日本語テキスト")},
		{"String.emoji", String("\U0001f680\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3f3\ufe0f\u200d\U0001f308")},
		{"String.combining", String("e\u0301")}, {"String.rtl", String("שלום مرحبا")},
		{"String.max_codepoint", String("\U0010ffff")}, {"String.bom", String("\ufeffx")},
		{"String.quotes", String("it's \"quoted\" \\ back\nline\ttab")},
		{"String.surrogate_neighbours", String("\ud7ff\ue000\ufffd")},
		{"Bytes.empty", Bytes(nil)}, {"Bytes.one_zero", Bytes([]byte{0})}, {"Bytes.deadbeef", Bytes([]byte{0xde, 0xad, 0xbe, 0xef})},
		{"Bytes.all256", Bytes(all256)}, {"Bytes.not_utf8", Bytes([]byte{0xff, 0xfe, 0xc0, 0x80})},
	}
}

func referenceTimestamps() []namedValue {
	leapDay := func(nanos int) Value { return Timestamp(time.Date(2024, 2, 29, 23, 59, 59, nanos, time.UTC)) }
	day := func(year, month, day int) Value {
		return Timestamp(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC))
	}
	leapSecond := Value{Kind: KindTimestamp, Num: 1483228799, Nanos: leapNanos}
	leapSecondFrac := Value{Kind: KindTimestamp, Num: 1483228799, Nanos: leapNanos + 500_000_000}
	return []namedValue{
		{"Timestamp.whole_second", Timestamp(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))}, {"Timestamp.epoch", Timestamp(time.Unix(0, 0))},
		{"Timestamp.before_epoch", Timestamp(time.Unix(-1, 0))}, {"Timestamp.before_epoch_ns", Timestamp(time.Unix(0, -1))},
		{"Timestamp.ms_123", leapDay(123_000_000)}, {"Timestamp.ms_100", leapDay(100_000_000)}, {"Timestamp.ms_001", leapDay(1_000_000)},
		{"Timestamp.us_123456", leapDay(123_456_000)}, {"Timestamp.us_000001", leapDay(1_000)},
		{"Timestamp.us_trailing_zero_120_000", leapDay(120_000_000)}, {"Timestamp.us_100_100", leapDay(100_100_000)},
		{"Timestamp.ns_123456789", leapDay(123_456_789)}, {"Timestamp.ns_000000001", leapDay(1)}, {"Timestamp.ns_100_000_001", leapDay(100_000_001)},
		{"Timestamp.ns_999999999", Timestamp(time.Date(2024, 12, 31, 23, 59, 59, 999_999_999, time.UTC))},
		{"Timestamp.leap_second", leapSecond}, {"Timestamp.leap_second_frac", leapSecondFrac},
		{"Timestamp.year_0001", day(1, 1, 1)}, {"Timestamp.year_0000", day(0, 1, 1)},
		{"Timestamp.year_9999", Timestamp(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))},
		{"Timestamp.year_10000", day(10000, 1, 1)}, {"Timestamp.year_minus_1", day(-1, 12, 31)}, {"Timestamp.year_minus_44", day(-44, 3, 15)},
	}
}
