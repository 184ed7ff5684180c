package sqlite

import (
	"testing"

	"github.com/qdb-go/qdb/wire"
)

func TestDeclaredTypesAreTakenApart(t *testing.T) {
	const length, decimal = wire.LengthKnown, wire.DecimalKnown
	itself := meaning{kind: meansItself, scale: -1}
	scaled := func(scale int) meaning { return meaning{meansDecimal, scale} }
	of := func(k meaningKind) meaning { return meaning{k, -1} }
	for decl, want := range map[string]declaredType{
		"":                              {meaning: itself},
		"integer":                       {name: "INTEGER", kind: wire.KindInt, meaning: itself},
		"UNSIGNED  BIG\tINT":            {name: "UNSIGNED BIG INT", kind: wire.KindInt, meaning: itself},
		"INT(11)":                       {name: "INT", kind: wire.KindInt, meaning: itself},
		"VARCHAR(20)":                   {name: "VARCHAR", kind: wire.KindString, meaning: itself, flags: length, length: 20},
		"NVARCHAR ( 160 )":              {name: "NVARCHAR", kind: wire.KindString, meaning: itself, flags: length, length: 160},
		"varchar(max)":                  {name: "VARCHAR", kind: wire.KindString, meaning: itself},
		"TEXT":                          {name: "TEXT", kind: wire.KindString, meaning: itself},
		"CLOB":                          {name: "CLOB", kind: wire.KindString, meaning: itself},
		"blob":                          {name: "BLOB", kind: wire.KindBytes, meaning: itself},
		"VARBINARY(16)":                 {name: "VARBINARY", kind: wire.KindBytes, meaning: itself, flags: length, length: 16},
		"REAL":                          {name: "REAL", kind: wire.KindFloat, meaning: of(meansFloat)},
		"DOUBLE PRECISION":              {name: "DOUBLE PRECISION", kind: wire.KindFloat, meaning: of(meansFloat)},
		"FLOAT(24)":                     {name: "FLOAT", kind: wire.KindFloat, meaning: of(meansFloat)},
		"BOOLEAN":                       {name: "BOOLEAN", kind: wire.KindFalse, meaning: of(meansBool)},
		"bool":                          {name: "BOOL", kind: wire.KindFalse, meaning: of(meansBool)},
		"DATE":                          {name: "DATE", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"DATETIME":                      {name: "DATETIME", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"datetime2(7)":                  {name: "DATETIME2", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"TIMESTAMPTZ":                   {name: "TIMESTAMPTZ", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"TIMESTAMP(6) WITH TIME ZONE":   {name: "TIMESTAMP WITH TIME ZONE", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"TIMESTAMP WITHOUT TIME ZONE":   {name: "TIMESTAMP WITHOUT TIME ZONE", kind: wire.KindTimestamp, meaning: of(meansTimestamp)},
		"TIME":                          {name: "TIME", kind: wire.KindString, meaning: itself},
		"UPDATED":                       {name: "UPDATED", meaning: itself},
		"DECIMAL(10,2)":                 {name: "DECIMAL", kind: wire.KindString, meaning: scaled(2), flags: decimal, precision: 10, scale: 2},
		"numeric( 5 )":                  {name: "NUMERIC", kind: wire.KindString, meaning: scaled(0), flags: decimal, precision: 5},
		"DEC":                           {name: "DEC", kind: wire.KindString, meaning: scaled(-1)},
		"MONEY":                         {name: "MONEY", kind: wire.KindString, meaning: scaled(-1)},
		"DECIMAL(10,2000000000)":        {name: "DECIMAL", kind: wire.KindString, meaning: scaled(-1), flags: decimal, precision: 10, scale: 2000000000},
		"DECIMAL(10,-2)":                {name: "DECIMAL", kind: wire.KindString, meaning: scaled(-1), flags: decimal, precision: 10, scale: -2},
		"UUID":                          {name: "UUID", meaning: itself},
		"VARCHAR(99999999999999999999)": {name: "VARCHAR", kind: wire.KindString, meaning: itself},
		"VARCHAR(":                      {name: "VARCHAR", kind: wire.KindString, meaning: itself},
	} {
		if got := parseDeclaredType(decl); got != want {
			t.Errorf("%q: got %+v, want %+v", decl, got, want)
		}
	}
}
