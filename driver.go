package qdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// DriverName is the name under which the driver is registered.
const DriverName = "qdb"

func init() { sql.Register(DriverName, &Driver{}) }

// Driver is the database/sql driver. The one of a sql.DB knows its cluster, so
// that Stats and RunTx can find it. It is safe for concurrent use.
type Driver struct {
	connector *Connector // nil in the registered one
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.DriverContext = (*Driver)(nil)
)

// Open opens a single handle with a cluster of its own, which is closed with the
// handle. database/sql does not call it: it uses OpenConnector.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	connector, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	handle, err := connector.Connect(context.Background())
	if err != nil {
		return nil, errors.Join(err, connector.(*Connector).Close())
	}
	handle.(*conn).owner = true
	return handle, nil
}

// OpenConnector parses the DSN, once for all connections. It does not connect.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	cfg, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return NewConnector(cfg)
}
