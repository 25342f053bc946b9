package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// DB is an open database.
type DB struct {
	dialect dialect
	config  Config
	limit   atomic.Int64 // Config.Wait, which may change

	// On SQLite, one writer and its readers; elsewhere one pool for both. pulse is
	// a connection for the changes of other nodes, which wait for nobody.
	write, read, pulse *sql.DB
	writes, reads      statements
	heard              statements
	moved              atomic.Bool   // the server that pulse is connected to takes no writes
	ended              chan struct{} // closed by Close
	background         sync.WaitGroup

	key      authcore.SecretKey // of the audit chain
	now      func() time.Time   // this node's clock
	sealed   atomic.Int64       // the newest batch that this node knows of: the chain's head is never before it
	onSealed func()             // may be nil
	unsealed atomic.Bool        // there may be events that are in no batch yet

	unavailable, refused atomic.Uint64 // calls that failed; see Errors
}

var _ authcore.Store = (*DB)(nil)

// Open opens the database of a configuration, creating a SQLite file where
// there is none, and brings its schema up to date. The errors say what to do.
func Open(ctx context.Context, c Config) (*DB, error) {
	db, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	err = db.migrate(ctx)
	if err == nil {
		err = db.notUnfinished(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// notUnfinished refuses a database that only a part of another was copied into.
func (db *DB) notUnfinished(ctx context.Context) error {
	_, found, err := db.setting(ctx, copying)
	if err == nil && found {
		err = fmt.Errorf("database %s cannot be used: %w", db.config, errUnfinished)
	}
	return err
}

// connect opens the database with whatever schema it has.
func connect(ctx context.Context, c Config) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	db := &DB{config: c, ended: make(chan struct{}), now: time.Now}
	db.unsealed.Store(true)
	db.Configure(c)
	var err error
	switch c.Driver {
	case Postgres:
		err = db.openPostgres(ctx)
	case MySQL:
		err = db.openMySQL(ctx)
	default:
		if err = db.openSQLite(ctx); err == nil {
			db.background.Go(func() { db.checkpoints(checkpointEvery, walLimit) })
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for into, pool := range map[*statements]*sql.DB{&db.writes: db.write, &db.reads: db.read, &db.heard: db.pulse} {
		into.pool, into.dialect = pool, db.dialect
	}
	return db, nil
}

// Configure changes what a configuration can change while the database is open:
// Wait and Connections.
func (db *DB) Configure(c Config) {
	db.limit.Store(int64(cmp.Or(c.Wait, DefaultWait)))
	if db.write != nil && db.read == db.write {
		size := cmp.Or(c.Connections, DefaultConnections)
		db.write.SetMaxOpenConns(size)
		db.write.SetMaxIdleConns(size)
	}
}

func (db *DB) wait() time.Duration { return time.Duration(db.limit.Load()) }

// closeLimit is how long Close waits for a server that does not answer.
const closeLimit = time.Second

// Close closes all connections. A server that does not answer is not waited for.
func (db *DB) Close() error {
	close(db.ended)
	db.background.Wait()
	closed := make(chan error, 1)
	go func() { closed <- db.closePools() }()
	if db.config.Driver == SQLite {
		return <-closed
	}
	t := time.NewTimer(closeLimit)
	defer t.Stop()
	select {
	case err := <-closed:
		return err
	case <-t.C:
		return nil
	}
}

func (db *DB) closePools() error {
	for _, s := range []*statements{&db.writes, &db.reads, &db.heard} {
		s.close()
	}
	var errs []error
	for i, pool := range []*sql.DB{db.pulse, db.read, db.write} {
		if pool != nil && (i != 1 || pool != db.write) {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// Config is what the database was opened with.
func (db *DB) Config() Config { return db.config }

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	_, err := db.first(ctx, "SELECT 1", nil, &one)
	return err
}

// Encrypted tells whether nobody can read on the way to the database.
func (db *DB) Encrypted(ctx context.Context) (bool, error) {
	rows, err := db.write.QueryContext(ctx, db.dialect.encrypted())
	if err != nil {
		return false, db.failure(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return false, db.failure(errors.Join(err, rows.Err()))
	}
	texts := make([]any, len(columns)) // MySQL puts the name of the variable before it
	for i := range texts {
		texts[i] = new(string)
	}
	if err := rows.Scan(texts...); err != nil {
		return false, db.failure(err)
	}
	return *texts[len(texts)-1].(*string) != "", nil
}

// A durability says what a commit must survive.
type durability bool

const (
	// quick commits survive the end of the process; a power cut may take the
	// last of them (SQLite: synchronous NORMAL).
	quick durability = false
	// durable commits survive a power cut: what security rests on.
	durable durability = true
)

// command runs one transaction, and again where the database undid it or the
// connection was lost before it was being committed: f may be called more than
// once. It takes no longer than the configured wait.
func (db *DB) command(ctx context.Context, d durability, f func(tx *tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.wait())
	defer cancel()
	for try := 1; ; try++ {
		committing, err := db.transact(ctx, d, f)
		if err == nil {
			return nil
		}
		t := db.dialect.sort(err)
		if t != again && (t != lost || committing) || !pause(ctx, try) {
			return db.failure(err)
		}
	}
}

// transact runs one transaction once. committing tells whether it was being
// committed when it failed, so that it may have happened.
func (db *DB) transact(ctx context.Context, d durability, f func(tx *tx) error) (committing bool, err error) {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return false, err
	}
	this := &tx{asked: ctx, ctx: db.dialect.statements(ctx), db: db}
	defer this.keep()
	defer conn.Close()
	if err := db.dialect.durability(ctx, conn, d); err != nil {
		return false, err
	}
	if this.Tx, err = conn.BeginTx(this.ctx, nil); err != nil {
		return false, err
	}
	defer this.Rollback()
	if err := f(this); err != nil {
		return false, err
	}
	err = this.Commit()
	if this.unsealed { // also where nobody knows whether it was committed
		db.unsealed.Store(true)
	}
	return true, err
}

// ask reads, and again where the connection was lost: a database that was
// restarted leaves dead ones in the pool. It takes no longer than the configured
// wait.
func (db *DB) ask(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.wait())
	defer cancel()
	for try := 1; ; try++ {
		err := f(ctx)
		if err == nil {
			return nil
		}
		t := db.dialect.sort(err)
		if t == lost && try < askTries && pause(ctx, 1) {
			continue
		}
		if t != again || !pause(ctx, try) {
			return db.failure(err)
		}
	}
}

// askTries is how many connections are tried that were lost: where a server has cut all of
// them, each that waits in the pool is found out by the one who asks it.
const askTries = DefaultConnections + 1

// pause waits before another try, longer each time and never as long as another
// process that waits for the same. It tells whether there is time for one.
func pause(ctx context.Context, try int) bool {
	most := min(5*time.Millisecond<<min(try, 10), 250*time.Millisecond)
	var chance [1]byte
	_, _ = rand.Read(chance[:])
	t := time.NewTimer(most/2 + most/2*time.Duration(chance[0])/256)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// failure sorts an error: ours stay, a database that is away or busy becomes
// ErrUnavailable, the rest is internal.
func (db *DB) failure(err error) error {
	var ours *authcore.Error
	switch {
	case err == nil, errors.As(err, &ours):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone), db.dialect.sort(err) != broken:
		db.unavailable.Add(1)
		return authcore.ErrUnavailable.With(err)
	}
	if db.dialect.violated(err) == "" { // which whoever called makes something of
		db.refused.Add(1)
	}
	return fmt.Errorf("database: %w", err)
}

// Errors counts the calls that failed: because the database was away or busy, and
// because it refused what it was asked to do.
func (db *DB) Errors() (unavailable, refused uint64) { return db.unavailable.Load(), db.refused.Load() }

// conflict turns a violated unique index into the error for it.
func (db *DB) conflict(err error) error {
	switch db.dialect.violated(err) {
	case "users_username_key":
		return authcore.ErrUsernameTaken.With(err)
	case "users_email_key":
		return authcore.ErrEmailTaken.With(err)
	case "identities_subject_key":
		return authcore.ErrIdentityTaken.With(err)
	}
	return err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
