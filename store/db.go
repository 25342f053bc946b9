package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// DB is an open database.
type DB struct {
	dialect dialect
	read    *sql.DB
	write   *sql.DB
	session *sql.Stmt // the one statement of the request path
	wait    time.Duration
}

var _ authcore.Store = (*DB)(nil)

// Open opens the database of a configuration, creating a SQLite file where
// there is none, and brings its schema up to date. The errors say what to do.
func Open(ctx context.Context, c Config) (*DB, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	db, err := openSQLite(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		db.Close()
		return nil, err
	}
	if db.session, err = db.read.PrepareContext(ctx, sessionByToken); err != nil {
		db.Close()
		return nil, fmt.Errorf("database %s: %w", c, err)
	}
	return db, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.session != nil {
		db.session.Close()
	}
	return errors.Join(db.read.Close(), db.write.Close())
}

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.failure(db.read.QueryRowContext(ctx, "SELECT 1").Scan(&one))
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

// command runs one transaction on the writer.
func (db *DB) command(ctx context.Context, d durability, f func(tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.wait)
	defer cancel()
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return db.failure(err)
	}
	defer conn.Close()
	if err := db.dialect.durability(ctx, conn, d); err != nil {
		return db.failure(err)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return db.failure(err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return db.failure(err)
	}
	return db.failure(tx.Commit())
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone), db.dialect.unavailable(err):
		return authcore.ErrUnavailable.With(err)
	}
	return fmt.Errorf("database: %w", err)
}

// conflict turns a violated unique index on users into the error for it.
func (db *DB) conflict(err error) error {
	switch db.dialect.violated(err) {
	case "":
		return err
	case "users.username_key":
		return authcore.ErrUsernameTaken.With(err)
	case "users.email_key":
		return authcore.ErrEmailTaken.With(err)
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

// affected tells whether a statement changed anything.
func affected(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// scanner is a row of any query.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query.
func collect[T any](db *DB, ctx context.Context, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.failure(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil {
			return nil, db.failure(err)
		}
		all = append(all, one)
	}
	return all, db.failure(rows.Err())
}
