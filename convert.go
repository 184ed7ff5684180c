package qdb

import (
	"database/sql/driver"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/qdb-go/qdb/wire"
)

// CheckNamedValue converts an argument to one of the kinds that can travel:
// every kind that database/sql knows, what a driver.Valuer gives, unsigned
// integers up to the largest int64, and decimals of other libraries as text.
// Nothing is changed on the way without a word.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	v, err := plainValue(nv.Value)
	if err != nil {
		return argumentError(nv, "07006", err.Error(), "")
	}
	switch x := v.(type) {
	case uint64:
		if x > math.MaxInt64 {
			return argumentError(nv, "22003", fmt.Sprintf("the unsigned integer %d is over the largest integer, %d", x, int64(math.MaxInt64)), "pass it as text")
		}
		v = int64(x)
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

// decomposer is a decimal of another library, in the form that database/sql
// expects of them: sign, coefficient (big-endian) and power of ten.
type decomposer interface {
	Decompose(buf []byte) (form byte, negative bool, coefficient []byte, exponent int32)
}

// plainValue reduces an argument to a basic type; an unsigned integer of whatever
// kind becomes a uint64.
func plainValue(v any) (any, error) {
	switch x := v.(type) {
	case nil, int64, float64, bool, string, []byte, time.Time:
		return v, nil
	case driver.Valuer:
		return valueOf(x)
	case decomposer:
		return decimalText(x)
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer:
		if rv.IsNil() {
			return nil, nil
		}
		return plainValue(rv.Elem().Interface())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return rv.Uint(), nil
	}
	return driver.DefaultParameterConverter.ConvertValue(v)
}

// valueOf asks a Valuer. As in database/sql, a nil pointer whose type has the
// method on its value is NULL.
func valueOf(x driver.Valuer) (any, error) {
	rv := reflect.ValueOf(x)
	if rv.Kind() == reflect.Pointer && rv.IsNil() && rv.Type().Elem().Implements(reflect.TypeFor[driver.Valuer]()) {
		return nil, nil
	}
	v, err := x.Value()
	if err != nil {
		return nil, err
	}
	if _, again := v.(driver.Valuer); again {
		return nil, fmt.Errorf("the Valuer %T gives another Valuer, %T", x, v)
	}
	return plainValue(v)
}

// maxExponent is the most digits that a decimal's power of ten may add.
const maxExponent = 10_000

// decimalText writes a decimal out in full.
func decimalText(d decomposer) (any, error) {
	form, negative, coefficient, exponent := d.Decompose(nil)
	switch {
	case form == 1 && negative:
		return math.Inf(-1), nil
	case form == 1:
		return math.Inf(1), nil
	case form != 0:
		return math.NaN(), nil
	case exponent > maxExponent || exponent < -maxExponent:
		return nil, fmt.Errorf("a decimal with the power of ten %d is too long to be written out", exponent)
	}
	digits := new(big.Int).SetBytes(coefficient).String()
	if exponent >= 0 {
		digits += strings.Repeat("0", int(exponent))
	} else {
		point := int(-exponent)
		if missing := point + 1 - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		digits = digits[:len(digits)-point] + "." + digits[len(digits)-point:]
	}
	if negative {
		digits = "-" + digits
	}
	return digits, nil
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
