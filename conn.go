package qdb

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/hashicorp/go-multierror"

	"github.com/qdb-go/qdb/cluster"
	"github.com/qdb-go/qdb/internal/session"
	"github.com/qdb-go/qdb/wire"
)

// conn is the handle that database/sql calls a connection. It holds a session
// from its first use after a checkout until it is checked in. database/sql calls
// it from one goroutine at a time.
type conn struct {
	connector *Connector
	pool      *cluster.Cluster[*session.Session]
	lease     cluster.Lease[*session.Session] // valid while leased
	leased    bool
	tx        *tx
	gone      error           // why state that the caller made by SQL is lost; until check-in
	args      []wire.Argument // reused
	owner     bool            // the connector belongs to this handle alone
	closed    bool
}

var (
	_ driver.Conn               = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

// session gives the leased session, or nil.
func (c *conn) session() *session.Session {
	if !c.leased {
		return nil
	}
	return c.lease.Conn()
}

// run performs op on the handle's session, leasing one where it has none. It
// performs op again, on another node, as far as that is safe: see retryClass.
func (c *conn) run(ctx context.Context, holder cluster.Holder, sql string, op func(*session.Session) error) error {
	if c.closed {
		return driver.ErrBadConn
	}
	if c.leased {
		err, again := c.attempt(sql, op)
		if !again {
			return err
		}
	} else if c.tx != nil {
		return lostTx(c.tx)
	} else if c.gone != nil {
		return wire.NewError(wire.Error{Code: "08003", Effect: EffectNone,
			Message: "the transaction or the temporary tables of this connection were lost with its session; give it back and take another"}, c.gone)
	}
	retry := c.pool.Retry(cluster.Request{Target: clusterTarget(targetOf(ctx, c.connector.cfg.Target)), Holder: holder})
	for {
		lease, err := retry.Acquire(ctx)
		if err != nil {
			return acquireError(err)
		}
		c.lease, c.leased = lease, true
		if c.tx != nil {
			c.session().Begin(c.tx.isolation, c.tx.readOnly)
		}
		err = op(c.session())
		if err == nil {
			c.settled()
			return nil
		}
		class := c.retryClass(err)
		if class == cluster.Final {
			return c.failed(err, sql)
		}
		c.giveUp(err, class)
		if !retry.Again(lease, err, class) {
			return c.unsuccessful(retry.Err())
		}
	}
}

// attempt performs op on the session that the handle already has. It reports
// whether op should be performed on another one: only if the session had nothing
// yet that another one lacks.
func (c *conn) attempt(sql string, op func(*session.Session) error) (error, bool) {
	s := c.session()
	fresh := c.tx == nil && s.Tx() == wire.TxNone && !s.Dirty() || c.tx != nil && !c.tx.started
	err := op(s)
	if err == nil {
		c.settled()
		return nil, false
	}
	if !fresh || c.retryClass(err) == cluster.Final {
		return c.failed(err, sql), false
	}
	c.giveUp(err, c.retryClass(err))
	return err, true
}

// giveUp ends the lease of a session on which an operation failed that will be
// performed elsewhere.
func (c *conn) giveUp(err error, class cluster.Class) {
	c.leased = false
	if class == cluster.Refused {
		c.lease.Draining()
		c.lease.Discard()
		return
	}
	c.lease.Fail(err)
}

// unsuccessful is the error of an operation that has failed on several nodes, or
// on the only one. None of the attempts had an effect.
func (c *conn) unsuccessful(err error) error {
	var list *multierror.Error
	if !errors.As(err, &list) {
		return public(err)
	}
	return wire.NewError(wire.Error{Code: "08006", Effect: EffectNone, Message: "no attempt was answered, and none had an effect"}, err)
}

// settled notes that the node has answered.
func (c *conn) settled() {
	if c.tx != nil {
		c.tx.started = true
	}
}

// retryClass says whether a failed operation may be performed again.
func (c *conn) retryClass(err error) cluster.Class {
	var lost *session.LostError
	if errors.As(err, &lost) {
		switch {
		case lost.Context != nil:
			return cluster.Final
		case !lost.Sent:
			return cluster.NeverSent
		case lost.ReadOnly || c.tx != nil && !c.tx.started:
			return cluster.SafeOnce
		}
		return cluster.Final
	}
	var e *Error
	if errors.As(err, &e) && e.Elsewhere && e.Effect == EffectNone {
		return cluster.Refused
	}
	return cluster.Final
}

// failed is for an operation's error that the caller will see. A session that is
// of no more use is given up, and a transaction on it is lost.
func (c *conn) failed(err error, sql string) error {
	s := c.session()
	if s == nil || s.Broken() == nil {
		c.settled()
		return public(err)
	}
	c.leased = false
	c.lease.Fail(s.Broken())
	if c.tx == nil {
		if s.Tx() != wire.TxNone || s.Dirty() {
			// What follows must not run as if the state were still there.
			c.gone = err
		}
		return public(err)
	}
	if mayCommit(sql) {
		err = public(err)
	} else {
		err = lostTransaction(err)
	}
	c.tx.lost = err
	return err
}

func lostTx(t *tx) error {
	return wire.NewError(wire.Error{Code: "08003", Effect: EffectNone,
		Message: "the transaction was lost with its connection, and nothing of it remains"}, t.lost)
}

// release returns the session to the pool: the handle goes idle.
func (c *conn) release() {
	c.tx, c.gone = nil, nil
	c.dropArguments()
	if !c.leased {
		return
	}
	c.leased = false
	if s := c.lease.Conn(); s.Recycle() {
		c.lease.Release()
	} else {
		c.lease.Fail(s.Broken())
	}
}

// ResetSession is called at a checkout. There is nothing to reset: the handle
// has no session.
func (c *conn) ResetSession(context.Context) error {
	if c.closed || c.connector.isClosed() {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid is called at check-in: the session goes back to the cluster's pool.
func (c *conn) IsValid() bool {
	c.release()
	return !c.closed
}

// Close gives the handle up.
func (c *conn) Close() error {
	c.release()
	c.closed = true
	if c.owner {
		return c.connector.Close()
	}
	return nil
}

// Ping leases a session if the handle has none, and asks its node for an answer.
func (c *conn) Ping(ctx context.Context) error {
	ctx, cancel := c.bound(ctx)
	if cancel != nil {
		defer cancel()
	}
	return c.run(ctx, cluster.HolderStatement, "", func(s *session.Session) error {
		_, err := s.Ping(ctx)
		return err
	})
}

// bound applies query_timeout. cancel is nil where there is none.
func (c *conn) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if limit := c.connector.cfg.QueryTimeout; limit > 0 {
		return context.WithTimeout(ctx, limit)
	}
	return ctx, nil
}

// ExecContext runs the text, of one or several statements.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, cancel := c.bound(ctx)
	if cancel != nil {
		defer cancel()
	}
	req := c.request(ctx, query, args)
	defer c.dropArguments()
	var sum session.Summary
	err := c.run(ctx, cluster.HolderStatement, query, func(s *session.Session) (err error) {
		sum, err = s.Exec(ctx, &req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result{sum}, nil
}

// QueryContext runs the text and reads the rows of its results.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, cancel := c.bound(ctx)
	r := &rows{conn: c, cancel: cancel}
	req := c.request(ctx, query, args)
	defer c.dropArguments()
	err := c.run(ctx, cluster.HolderRows, query, func(s *session.Session) error {
		return s.Query(ctx, &r.r, &req)
	})
	if err != nil {
		if cancel != nil {
			cancel()
		}
		return nil, err
	}
	return r, nil
}

func (c *conn) request(ctx context.Context, query string, args []driver.NamedValue) session.Request {
	return session.Request{SQL: query, Arguments: c.arguments(args), Consistency: wireConsistency(consistencyOf(ctx, c.connector.cfg.Consistency))}
}

// PrepareContext checks the statement on a node, unless a session of this
// connector has done so before.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if d, ok := c.connector.described(query); ok {
		return &stmt{conn: c, sql: query, desc: d}, nil
	}
	ctx, cancel := c.bound(ctx)
	if cancel != nil {
		defer cancel()
	}
	var got session.Description
	err := c.run(ctx, cluster.HolderStatement, query, func(s *session.Session) (err error) {
		got, err = s.Prepare(ctx, query)
		return err
	})
	if err != nil {
		return nil, err
	}
	d := &description{params: len(got.Parameters)}
	c.connector.describe(query, d)
	return &stmt{conn: c, sql: query, desc: d}, nil
}

// Prepare is not used by database/sql, which calls PrepareContext.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}
