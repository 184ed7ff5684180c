package qdb

import "context"

type contextKey int

const (
	keyTarget contextKey = iota
	keyConsistency
)

// WithTarget returns a context under which a checkout goes to a node of the given
// role, whatever the DSN says. It applies where a statement or a transaction
// begins on a fresh checkout, not within a transaction or on an sql.Conn that
// has its session already.
func WithTarget(ctx context.Context, t Target) context.Context {
	return context.WithValue(ctx, keyTarget, t)
}

func targetOf(ctx context.Context, otherwise Target) Target {
	if t, ok := ctx.Value(keyTarget).(Target); ok {
		return t
	}
	return otherwise
}

// WithConsistency returns a context under which reads have the given freshness,
// whatever the DSN says.
func WithConsistency(ctx context.Context, c Consistency) context.Context {
	return context.WithValue(ctx, keyConsistency, c)
}

func consistencyOf(ctx context.Context, otherwise Consistency) Consistency {
	if c, ok := ctx.Value(keyConsistency).(Consistency); ok {
		return c
	}
	return otherwise
}
