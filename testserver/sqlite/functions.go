package sqlite

import (
	"errors"

	"github.com/ncruces/go-sqlite3"
)

// register adds the server's SQL functions. They tell about the session that
// the engine serves when they are called, so they are not deterministic.
func (e *engine) register() error {
	tell := func(name string, value func() string) error {
		return e.db.CreateFunction(name, 0, sqlite3.INNOCUOUS, func(ctx sqlite3.Context, _ ...sqlite3.Value) {
			// A panic for want of memory must not tear through SQLite's frames.
			defer func() {
				if recover() != nil {
					ctx.ResultError(sqlite3.NOMEM)
				}
			}()
			ctx.ResultText(value())
		})
	}
	return errors.Join(
		tell("qdb_node_id", func() string { return e.identity.NodeID }),
		tell("qdb_session_id", func() string { return e.identity.SessionID }),
		tell("qdb_version", func() string { return e.identity.Version }),
	)
}
