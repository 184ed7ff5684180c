package qdb

import (
	"database/sql/driver"

	"github.com/qdb-go/qdb/internal/session"
)

// result is what an Exec did.
type result struct{ sum session.Summary }

var _ driver.Result = result{}

// LastInsertId gives the key of the last row that the statement inserted, or 0
// when it inserted none.
func (r result) LastInsertId() (int64, error) { return r.sum.LastInsertID, nil }

// RowsAffected gives the number of rows inserted, updated or deleted; of a text
// of several statements, by all of them together.
func (r result) RowsAffected() (int64, error) { return r.sum.RowsAffected, nil }
