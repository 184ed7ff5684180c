package sqlite

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/qdb-go/qdb/testserver/backend"
)

// Sync is what an acknowledged commit in a file survives.
type Sync uint8

// The levels of Sync.
const (
	// SyncNormal: the end of the process, kill -9 included. After the end of
	// the power the last commits may be missing; the file stays consistent.
	SyncNormal Sync = iota
	// SyncFull: the end of the power too. Each commit waits for the disk.
	SyncFull
	// SyncOff: the end of the process. After the end of the power the file may
	// be corrupt.
	SyncOff
)

// String gives SQLite's word for the level.
func (s Sync) String() string {
	switch s {
	case SyncNormal:
		return "normal"
	case SyncFull:
		return "full"
	case SyncOff:
		return "off"
	}
	return fmt.Sprintf("Sync(%d)", uint8(s))
}

// Defaults of Options.
const (
	DefaultBusyTimeout = 5 * time.Second
	DefaultMaxIdle     = 16
	DefaultMaxMemory   = 256 << 20
)

// Options say where the data is and how it is treated. The zero value is a
// database in memory.
type Options struct {
	// Path is the database file, which is created when it does not exist; its
	// folder must exist. Empty: the data is in memory and ends with Close.
	Path string
	// BusyTimeout is how long a writer waits for its turn before it fails with
	// SQLSTATE 55P03. 0: DefaultBusyTimeout. It must not be negative.
	BusyTimeout time.Duration
	// Sync is what an acknowledged commit survives, for a file.
	Sync Sync
	// MaxIdle is how many engine connections are kept for later sessions. 0:
	// DefaultMaxIdle. It must not be negative.
	MaxIdle int
	// MaxMemory is how much memory each connection may use, in bytes, between
	// 1 MiB and 4 GiB. 0: DefaultMaxMemory. A statement that needs more fails
	// with SQLSTATE 53200.
	MaxMemory int64
}

func (o Options) withDefaults() (Options, error) {
	if o.BusyTimeout < 0 || o.MaxIdle < 0 {
		return o, fmt.Errorf("sqlite: BusyTimeout %v and MaxIdle %d must not be negative", o.BusyTimeout, o.MaxIdle)
	}
	if o.Sync > SyncOff {
		return o, fmt.Errorf("sqlite: unknown %v; SyncNormal, SyncFull and SyncOff are known", o.Sync)
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = DefaultBusyTimeout
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = DefaultMaxIdle
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.MaxMemory < 1<<20 || o.MaxMemory > 4<<30 {
		return o, fmt.Errorf("sqlite: MaxMemory %d must be between 1 MiB and 4 GiB", o.MaxMemory)
	}
	return o, nil
}

// database is the Backend: the data and what its connections share.
type database struct {
	options Options
	name    string // what engines open: an absolute path, or a URI of the memory
	gate    gate
	pool    pool
	inUse   atomic.Int64
	epoch   atomic.Uint64
	version atomic.Int64 // the highest schema version that was seen
	// anchor keeps a database in memory alive while it has no other
	// connection. It is never used for anything else.
	anchor *engine
}

var _ backend.Backend = (*database)(nil)

// Open opens the database, and creates the file when it is missing. The result
// is safe for concurrent use; it must be closed. It fails when the options are
// out of range, and when the file cannot be opened or is no database.
func Open(o Options) (backend.Backend, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &database{options: o}
	db.pool.limit = o.MaxIdle
	db.epoch.Store(1)
	if err := db.locate(); err != nil {
		return nil, err
	}
	first, err := db.openEngine(context.Background())
	if err != nil {
		return nil, err
	}
	if err := db.enableLog(first); err != nil {
		_ = first.close()
		return nil, fmt.Errorf("sqlite: open %s: %w", db.describe(), err)
	}
	version, err := first.schemaVersion()
	if err != nil {
		_ = first.close()
		return nil, fmt.Errorf("sqlite: open %s: %w", db.describe(), err)
	}
	db.version.Store(version)
	if o.Path == "" {
		db.anchor = first
	} else {
		db.pool.put(first)
	}
	return db, nil
}

// locate finds the name under which engines open the data. It never begins with
// "file:" for a path, so that no path is taken for a URI.
func (db *database) locate() error {
	if db.options.Path == "" {
		db.name = "file:/" + rand.Text() + "?vfs=mvcc"
		return nil
	}
	path, err := filepath.Abs(db.options.Path)
	if err != nil {
		return fmt.Errorf("sqlite: open %q: %w", db.options.Path, err)
	}
	db.name = path
	return nil
}

func (db *database) describe() string {
	if db.options.Path == "" {
		return "the database in memory"
	}
	return fmt.Sprintf("%q", db.options.Path)
}

// enableLog switches a file to the write-ahead log, where it stays. SQLite does
// not call the busy handler at every step of the change, so another process
// that creates the same file at this moment makes it fail; it is tried again.
func (db *database) enableLog(e *engine) error {
	if db.options.Path == "" {
		return nil
	}
	e.guard.trusted = true
	defer func() { e.guard.trusted = false }()
	until := time.Now().Add(db.options.BusyTimeout)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		mode, err := e.text("PRAGMA journal_mode=wal")
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("the file system has no write-ahead log: journal mode stays %q", mode)
		case !isBusy(err) || time.Now().After(until):
			return err
		}
		time.Sleep(pause)
	}
}

// Dialect is "sqlite".
func (db *database) Dialect() string { return "sqlite" }

// Connect gives a session its connection: one of the pool, or a new one.
func (db *database) Connect(ctx context.Context, id backend.Identity) (backend.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &conn{db: db, id: id, intr: newInterrupter(), ticket: newTicket()}
	if err := c.attach(ctx); err != nil {
		return nil, err
	}
	db.inUse.Add(1)
	c.epoch = db.epoch.Load()
	return c, nil
}

// SchemaEpoch grows with each schema change that this process made or met.
func (db *database) SchemaEpoch() uint64 { return db.epoch.Load() }

// noteSchema takes note of the schema version that a connection has read. They
// only grow, so an older one comes from an older snapshot and says nothing.
func (db *database) noteSchema(version int64) {
	for {
		known := db.version.Load()
		if version <= known {
			return
		}
		if db.version.CompareAndSwap(known, version) {
			db.epoch.Add(1)
			return
		}
	}
}

// Close closes the idle connections; one that is still in use closes with its
// session, and is reported.
func (db *database) Close() error {
	err := db.pool.close()
	if db.anchor != nil {
		if e := db.anchor.close(); err == nil {
			err = e
		}
		db.anchor = nil
	}
	if n := db.inUse.Load(); n > 0 && err == nil {
		err = fmt.Errorf("sqlite: close %s: %d connections are still open; close them first", db.describe(), n)
	}
	return err
}

// isBusy reports whether err says that somebody else has the lock.
func isBusy(err error) bool {
	return errorCode(err).Code() == sqlite3.BUSY
}
