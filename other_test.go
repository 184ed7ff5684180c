package qdb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
)

// nil2 is a connector of another driver.
type nil2 struct{}

func (nil2) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("not meant to be used")
}
func (nil2) Driver() driver.Driver { return otherDriver{} }

type otherDriver struct{}

func (otherDriver) Open(string) (driver.Conn, error) { return nil, errors.New("not meant to be used") }

func contains(s, part string) bool { return strings.Contains(s, part) }
