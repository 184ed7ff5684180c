package qdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// Commit and Rollback must not depend on the transaction's context, which may
// have ended: that is often why there is a rollback at all. They have these
// bounds of their own. A node that dies meanwhile is noticed long before. That of
// Rollback is short: a node that does not answer is left, and rolls back for that.
const (
	commitTimeout   = 30 * time.Second
	rollbackTimeout = time.Second
)

// tx is a transaction. Begin travels with its first statement.
type tx struct {
	conn      *conn
	isolation wire.Isolation
	readOnly  bool
	// started: a node has answered a statement of the transaction, so that it
	// cannot move to another one any more.
	started bool
	// lost is why the transaction is no more, once its session is gone.
	lost error
}

var _ driver.Tx = (*tx)(nil)

// BeginTx leases a session for the transaction. All isolation levels are
// accepted; the node may give a stronger one.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o.Isolation < 0 || o.Isolation > driver.IsolationLevel(wire.IsolationLinearizable) {
		return nil, &Error{Code: "0A000", Effect: EffectNone, Message: fmt.Sprintf("isolation level %d is not known", o.Isolation)}
	}
	if c.tx != nil {
		return nil, &Error{Code: "25001", Effect: EffectNone, Message: "a transaction is open on this connection already"}
	}
	t := &tx{conn: c, isolation: wire.Isolation(o.Isolation), readOnly: o.ReadOnly}
	if err := c.run(ctx, cluster.HolderTransaction, "", func(s *session.Session) error {
		if s.Tx() != wire.TxNone {
			return &Error{Code: "25001", Effect: EffectNone, Tx: s.Tx(), Message: "a transaction, begun by SQL, is open on this connection already"}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	c.session().Begin(t.isolation, t.readOnly)
	c.tx = t
	return t, nil
}

// Begin is not used by database/sql, which calls BeginTx.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Commit makes the transaction's effects durable. If the answer is lost the
// error wraps ErrOutcomeUnknown.
func (t *tx) Commit() error {
	return t.end(commitTimeout, (*session.Session).Commit)
}

// Rollback discards the transaction. That its connection is lost does the same.
func (t *tx) Rollback() error {
	if t.lost != nil {
		t.conn.tx = nil
		return nil
	}
	err := t.end(rollbackTimeout, (*session.Session).Rollback)
	var e *Error
	if errors.As(err, &e) && e.Effect == EffectNone && t.conn.session() == nil {
		return nil
	}
	return err
}

func (t *tx) end(limit time.Duration, op func(*session.Session, context.Context) error) error {
	c := t.conn
	c.tx = nil
	s := c.session()
	if t.lost != nil || s == nil {
		return wire.NewError(wire.Error{Code: "08003", Effect: EffectNone,
			Message: "the transaction was lost with its connection; nothing of it was committed"}, t.lost)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := op(s, ctx); err != nil {
		return c.failed(err, "COMMIT")
	}
	return nil
}
