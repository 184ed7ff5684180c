package wire

import (
	"reflect"

	"pgregory.net/rapid"
)

// randomOf generates payloads with any content that the type allows, numbers
// beyond the named constants included: a newer peer may send them.
func randomOf[T any]() *rapid.Generator[T] {
	return rapid.MakeCustom[T](rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
		reflect.TypeFor[Value](): randomValue().AsAny(),
	}})
}

// randomValue generates values of session mode.
func randomValue() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.SampledFrom([]Value{Null(), Bool(false), Bool(true)}),
		rapid.Map(rapid.Int64(), Int),
		rapid.Map(rapid.Uint64(), func(bits uint64) Value { return Value{Kind: KindFloat, Num: int64(bits)} }),
		rapid.Map(rapid.String(), String),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), Bytes),
		rapid.Custom(func(t *rapid.T) Value {
			return Value{
				Kind:  KindTimestamp,
				Num:   rapid.Int64Range(MinTimestamp, MaxTimestamp).Draw(t, "seconds"),
				Nanos: rapid.Uint32Range(0, 999_999_999).Draw(t, "nanos"),
			}
		}),
	)
}

// randomReferenceValue generates values of reference mode: its timestamps have
// more years, and leap seconds.
func randomReferenceValue() *rapid.Generator[Value] {
	return rapid.OneOf(randomValue(), rapid.Custom(func(t *rapid.T) Value {
		v := Value{
			Kind:  KindTimestamp,
			Num:   rapid.Int64Range(referenceMinSecond, referenceMaxSecond).Draw(t, "seconds"),
			Nanos: rapid.OneOf(rapid.Uint32Range(0, 999_999_999), rapid.SampledFrom([]uint32{0, 1_000, 100_000, 1_000_000, 120_000_000})).Draw(t, "nanos"),
		}
		if rapid.Bool().Draw(t, "leap") {
			v.Num -= (v.Num%60 + 60) % 60
			v.Num = max(v.Num, referenceMinSecond) + 59
			v.Nanos += leapNanos
		}
		return v
	}))
}

func randomError() *rapid.Generator[Error] {
	return rapid.Custom(func(t *rapid.T) Error {
		text := rapid.String()
		return Error{
			Code:     rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[0-9A-Z]{5}`)).Draw(t, "code"),
			Severity: rapid.Make[Severity]().Draw(t, "severity"), Effect: rapid.Make[Effect]().Draw(t, "effect"),
			Elsewhere: rapid.Bool().Draw(t, "elsewhere"), Tx: rapid.Make[TxState]().Draw(t, "tx"),
			Position: rapid.Uint32().Draw(t, "position"), Message: text.Draw(t, "message"),
			Detail: text.Draw(t, "detail"), Hint: text.Draw(t, "hint"), Constraint: text.Draw(t, "constraint"),
			Table: text.Draw(t, "table"), Column: text.Draw(t, "column"), Node: text.Draw(t, "node"),
		}
	})
}

func randomRows() *rapid.Generator[rowsPayload] {
	return rapid.Custom(func(t *rapid.T) rowsPayload {
		m := rowsPayload{RowsHeader: RowsHeader{First: rapid.Bool().Draw(t, "first")}}
		if m.First {
			m.Description = rapid.Uint64().Draw(t, "description")
			m.Width = rapid.IntRange(0, maxElements).Draw(t, "width")
			if m.HasColumns = rapid.Bool().Draw(t, "has columns"); m.HasColumns {
				m.Columns = rapid.SliceOf(randomOf[Column]()).Draw(t, "columns")
				m.Width = len(m.Columns)
			}
		}
		for _, v := range rapid.SliceOf(randomValue()).Draw(t, "rows") {
			m.Rows = v.AppendTo(m.Rows)
			m.Count++
		}
		return m
	})
}
