package qdb

import (
	"database/sql/driver"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/qdb-go/qdb/wire"
)

// CheckNamedValue converts an argument to one of the kinds that can travel:
// every kind that database/sql knows, what a driver.Valuer gives, and nothing
// that would be changed on the way without a word.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	v := nv.Value
	if u, ok := v.(uint64); ok {
		if u > math.MaxInt64 {
			return argumentError(nv, "22003", fmt.Sprintf("the uint64 %d is over the largest integer, %d", u, int64(math.MaxInt64)), "pass it as text")
		}
		nv.Value = int64(u)
		return nil
	}
	if !driver.IsValue(v) {
		var err error
		if v, err = driver.DefaultParameterConverter.ConvertValue(v); err != nil {
			return argumentError(nv, "07006", err.Error(), "")
		}
	}
	switch x := v.(type) {
	case string:
		if !utf8.ValidString(x) {
			return argumentError(nv, "22021", "the string is not valid UTF-8", "pass it as []byte")
		}
	case time.Time:
		if !wire.InRange(x) {
			return argumentError(nv, "22008", fmt.Sprintf("the year %d is outside 1 to 9999 in UTC", x.UTC().Year()), "")
		}
	}
	nv.Value = v
	return nil
}

func argumentError(nv *driver.NamedValue, code, message, hint string) error {
	name := fmt.Sprintf("argument %d", nv.Ordinal)
	if nv.Name != "" {
		name = "argument " + nv.Name
	}
	return &Error{Code: code, Effect: EffectNone, Message: name + ": " + message, Hint: hint}
}

// arguments puts the arguments in the protocol's form, into the handle's own
// slice. Text and bytes are not copied.
func (c *conn) arguments(named []driver.NamedValue) []wire.Argument {
	args := c.args[:0]
	for i := range named {
		args = append(args, wire.Argument{Name: named[i].Name, Value: toWire(named[i].Value)})
	}
	c.args = args
	return args
}

// dropArguments lets go of the caller's text and bytes.
func (c *conn) dropArguments() {
	clear(c.args)
	c.args = c.args[:0]
}

func toWire(v driver.Value) wire.Value {
	switch x := v.(type) {
	case int64:
		return wire.Int(x)
	case float64:
		return wire.Float(x)
	case bool:
		return wire.Bool(x)
	case string:
		return wire.StringView(x)
	case []byte:
		if x == nil {
			return wire.Null()
		}
		return wire.Bytes(x)
	case time.Time:
		return wire.Timestamp(x)
	}
	return wire.Null()
}

// fromWire gives a value as database/sql takes it. Bytes stay a window into the
// batch: database/sql copies them where its caller keeps them.
func fromWire(v wire.Value, loc *time.Location) driver.Value {
	switch v.Kind {
	case wire.KindFalse:
		return false
	case wire.KindTrue:
		return true
	case wire.KindInt:
		return v.Num
	case wire.KindFloat:
		return v.Float()
	case wire.KindString:
		return string(v.Raw)
	case wire.KindBytes:
		if v.Raw == nil {
			return []byte{}
		}
		return v.Raw
	case wire.KindTimestamp:
		return time.Unix(v.Num, int64(v.Nanos)).In(loc)
	}
	return nil
}
