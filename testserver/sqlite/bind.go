package sqlite

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/wire"
)

// heavyValue is the length from which a bound value is let go of at Reset, so
// that statements that wait in a cache do not keep it.
const heavyValue = 4 << 10

// describeParameters lists the parameters by SQLite's numbers, so that there are
// as many as the highest. Those that are given as ? or ?NNN have no name.
func describeParameters(raw *sqlite3.Stmt) []wire.Parameter {
	n := raw.BindCount()
	if n == 0 {
		return nil
	}
	params := make([]wire.Parameter, n)
	for i := range params {
		if name := raw.BindName(i + 1); name != "" && name[0] != '?' {
			params[i].Name = name[1:] // without :, @ or $
		}
	}
	return params
}

// Bind sets all parameters. A named argument sets each parameter of that name,
// whatever its prefix. The others set those that are left, in order.
func (s *stmt) Bind(args []wire.Argument) (err error) {
	if err := s.c.usable(); err != nil {
		return err
	}
	if err := s.Reset(); err != nil {
		return err
	}
	defer s.catch(&err)
	if err := s.fresh(); err != nil {
		return err
	}
	if err := s.bindAll(args); err != nil {
		return err
	}
	s.c.operate()
	s.state, s.underWay = stateBound, true
	return nil
}

func (s *stmt) bindAll(args []wire.Argument) error {
	for i := range args {
		if args[i].Name != "" {
			return s.bindNamed(args)
		}
	}
	if len(args) != len(s.params) {
		return wrongArguments("the statement has %s, but %s", plural(len(s.params), "parameter"), given(len(args)))
	}
	for i := range args {
		if err := s.bindValue(i+1, &args[i].Value); err != nil {
			return err
		}
	}
	return nil
}

// bindNamed binds arguments of which at least one has a name.
func (s *stmt) bindNamed(args []wire.Argument) error {
	bound := make([]bool, len(s.params))
	for i := range args {
		if args[i].Name != "" {
			if err := s.bindName(&args[i], bound); err != nil {
				return err
			}
		}
	}
	at := 0
	for i := range args {
		if args[i].Name != "" {
			continue
		}
		for at < len(bound) && bound[at] {
			at++
		}
		if at == len(bound) {
			return wrongArguments("argument %d is surplus: the statement has %s", i+1, plural(len(s.params), "parameter"))
		}
		bound[at] = true
		if err := s.bindValue(at+1, &args[i].Value); err != nil {
			return err
		}
	}
	for i, done := range bound {
		if !done {
			return wrongArguments("%s has no argument", s.parameterName(i))
		}
	}
	return nil
}

func (s *stmt) bindName(arg *wire.Argument, bound []bool) error {
	found := false
	for i, p := range s.params {
		if p.Name != arg.Name {
			continue
		}
		if bound[i] {
			return wrongArguments("the argument %q is given twice", arg.Name)
		}
		found, bound[i] = true, true
		if err := s.bindValue(i+1, &arg.Value); err != nil {
			return err
		}
	}
	if !found {
		return wrongArguments("the statement has no parameter %q", arg.Name)
	}
	return nil
}

func (s *stmt) parameterName(i int) string {
	if name := s.params[i].Name; name != "" {
		return fmt.Sprintf("parameter %d (%s)", i+1, name)
	}
	return fmt.Sprintf("parameter %d", i+1)
}

func wrongArguments(format string, a ...any) error {
	return &wire.Error{Code: "07001", Effect: wire.EffectNone, Message: fmt.Sprintf(format, a...)}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func given(n int) string {
	if n == 1 {
		return "1 argument was given"
	}
	return fmt.Sprintf("%d arguments were given", n)
}

// bindValue sets parameter i, counted from 1.
func (s *stmt) bindValue(i int, v *wire.Value) (err error) {
	s.heavy = s.heavy || len(v.Raw) >= heavyValue
	switch v.Kind {
	case wire.KindNull:
		err = s.raw.BindNull(i)
	case wire.KindFalse, wire.KindTrue:
		err = s.raw.BindBool(i, v.Kind == wire.KindTrue)
	case wire.KindInt:
		err = s.raw.BindInt64(i, v.Num)
	case wire.KindFloat:
		err = s.bindFloat(i, v.Float())
	case wire.KindString:
		err = s.raw.BindText(i, window(v.Raw))
	case wire.KindBytes:
		err = s.bindBytes(i, v.Raw)
	case wire.KindTimestamp:
		return s.bindTimestamp(i, v)
	default:
		return &wire.Error{Code: "07006", Effect: wire.EffectNone,
			Message: fmt.Sprintf("%s cannot take a value of %v", s.parameterName(i-1), v.Kind)}
	}
	if err != nil {
		return s.c.failure(err, outcome{})
	}
	return nil
}

// bindFloat binds a NaN as text, as SQLite would turn it into NULL unasked.
func (s *stmt) bindFloat(i int, v float64) error {
	if math.IsNaN(v) {
		return s.raw.BindText(i, textNaN)
	}
	return s.raw.BindFloat(i, v)
}

// bindBytes binds an empty blob as such: for the engine a nil one is NULL.
func (s *stmt) bindBytes(i int, b []byte) error {
	if len(b) == 0 {
		return s.raw.BindZeroBlob(i, 0)
	}
	return s.raw.BindBlob(i, b)
}

func (s *stmt) bindTimestamp(i int, v *wire.Value) error {
	if !inRange(v.Num) {
		return &wire.Error{Code: "22008", Effect: wire.EffectNone,
			Message: s.parameterName(i-1) + " cannot take a timestamp outside the years 1 to 9999"}
	}
	s.scratch = appendTimestampText(s.scratch[:0], v.Time())
	if err := s.raw.BindText(i, window(s.scratch)); err != nil {
		return s.c.failure(err, outcome{})
	}
	return nil
}

// window gives b as a string without a copy, for a callee that copies it
// anyway: a value may be a megabyte.
func window(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
