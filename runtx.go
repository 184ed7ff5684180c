package qdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RunTx runs f in a transaction and commits it. When f or the commit fails with
// a passing failure after which nothing was applied (see IsRetryable), such as a
// serialization failure, the whole is done again, after a wait with jitter, as
// often as the DSN's retry_max allows; f must therefore have no effects of its
// own outside the transaction. When f returns an error or panics the transaction
// is rolled back. A commit whose outcome is unknown is never repeated: the error
// wraps ErrOutcomeUnknown. A nil o means the default isolation level.
//
// It is safe for concurrent use, and works with any sql.DB; the limits on
// retries are the defaults where the driver is not qdb.
func RunTx(ctx context.Context, db *sql.DB, o *sql.TxOptions, f func(*sql.Tx) error) error {
	cfg := configOf(db)
	for attempt := 0; ; attempt++ {
		err := runOnce(ctx, db, o, f)
		if err == nil || !IsRetryable(err) || attempt >= cfg.RetryMax || ctx.Err() != nil {
			return err
		}
		if waitErr := wait(ctx, txBackoff(cfg, attempt)); waitErr != nil {
			return fmt.Errorf("%w, while waiting to repeat a transaction that failed: %w", waitErr, err)
		}
	}
}

func runOnce(ctx context.Context, db *sql.DB, o *sql.TxOptions, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // f panicked
			_ = tx.Rollback() // the panic says more
		}
	}()
	err = f(tx)
	done = true
	if err == nil {
		return tx.Commit()
	}
	if rollbackErr := tx.Rollback(); rollbackErr != nil && !errors.Is(rollbackErr, sql.ErrTxDone) {
		return fmt.Errorf("%w (and the rollback failed: %w)", err, rollbackErr)
	}
	return err
}

// txBackoff is the wait before the next attempt: full jitter over an interval
// that grows by the multiplier.
func txBackoff(cfg *Config, attempt int) time.Duration {
	d := float64(cfg.RetryInitial)
	for range attempt {
		d = min(d*cfg.RetryMultiplier, float64(cfg.RetryMaxBackoff))
	}
	return time.Duration(rand.Float64() * d)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func configOf(db *sql.DB) *Config {
	if d, ok := db.Driver().(*Driver); ok && d.connector != nil {
		return d.connector.cfg
	}
	return NewConfig()
}
