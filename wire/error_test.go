package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestAnErrorOfSQLExplainsItselfInOneLine(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{&Error{Code: "42601", Message: "syntax error"}, "syntax error (SQLSTATE 42601)"},
		{&Error{Code: "23505", Message: "duplicate key", Detail: "id 7 exists", Hint: "use another id", Node: "1", Position: 14},
			"duplicate key: id 7 exists (SQLSTATE 23505, node 1, position 14; use another id)"},
		{NewError(Error{Code: "57014", Message: "cancelled"}, context.Canceled), "cancelled: context canceled (SQLSTATE 57014)"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestAnErrorOfSQLWrapsItsCauseWhichDoesNotTravel(t *testing.T) {
	sent := NewError(Error{Code: "57014", Message: "cancelled"}, context.Canceled)
	if !errors.Is(fmt.Errorf("query: %w", sent), context.Canceled) {
		t.Error("the cause is not found")
	}
	var got Error
	if err := got.Decode(sent.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if got.Unwrap() != nil || errors.Is(&got, context.Canceled) {
		t.Error("the cause has travelled")
	}
	if d := difference(sent, &got); d != "" {
		t.Error(d)
	}
}
