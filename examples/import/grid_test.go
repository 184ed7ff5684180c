package main

import (
	"math"
	"strings"
	"testing"
)

func TestNumbersAreWrittenExactly(t *testing.T) {
	for _, c := range []struct {
		kind kind
		n    int64
		want string
	}{
		{asCount, 15607, "15607"},
		{asMoney, 232860, "2328.60"},
		{asMoney, 0, "0.00"},
		{asMoney, 5, "0.05"},
		{asMoney, 99, "0.99"},
		{asMoney, 100, "1.00"},
		{asMoney, -1, "-0.01"},
		{asMoney, -12345, "-123.45"},
		{asMoney, math.MaxInt64, "92233720368547758.07"},
		{asShare, 355, "35.5%"},
		{asShare, 4, "0.4%"},
		{asShare, 1000, "100.0%"},
	} {
		if got := c.kind.format(c.n); got != c.want {
			t.Errorf("%d is written as %q, want %q", c.n, got, c.want)
		}
	}
}

func TestGridsAlignTextLeftAndNumbersRight(t *testing.T) {
	g := grid{
		columns: []column{{"customer", asText}, {"n", asCount}, {"spent", asMoney}, {"note", asText}},
		rows:    [][]string{{"Helena Holý", "7", "49.62", "x"}, {"日本", "123", "0.05", "a\tb\x1b"}, {"", "", "", ""}},
	}
	var b strings.Builder
	if err := g.write(&b); err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"customer       n  spent  note\n" +
		"Helena Holý    7  49.62  x\n" +
		"日本           123   0.05  a\ufffdb\ufffd\n" +
		"\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
