package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// applicationID marks a SQLite file as ours ("GATE", PRAGMA application_id).
const applicationID = 0x47415445

// sqliteDialect remembers what the writer's connection is set to. Only the
// holder of that one connection touches it.
type sqliteDialect struct {
	conn        any
	synchronous durability
}

// openSQLite opens a file with one writer, whose transactions are IMMEDIATE, and
// a pool of readers, in WAL mode.
//
// Two processes that open one file for the first time get in each other's way
// without SQLite waiting (both turn it to WAL), so that is tried again.
func openSQLite(ctx context.Context, c Config) (*DB, error) {
	for try := 1; ; try++ {
		db, err := openFile(ctx, c)
		var e *sqlite.Error
		if err == nil || try == openTries || !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY {
			return db, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

const openTries = 10

func openFile(ctx context.Context, c Config) (*DB, error) {
	path, wait := c.Path, cmp.Or(c.Wait, defaultWait)
	fail := func(do string, err error) error {
		return fmt.Errorf("database %s cannot be opened: %w; %s", path, err, do)
	}
	if err := prepareFile(path); err != nil {
		return nil, fail("make the folder writable for the user Caddy runs as, or choose another with \"database sqlite FILE\"", err)
	}
	db := &DB{dialect: &sqliteDialect{}, wait: wait}
	err := lookAt(ctx, path)
	if err != nil {
		return nil, fail(explained(db, err))
	}
	if db.write, err = sql.Open("sqlite", sqliteDSN(path, wait, "&_txlock=immediate")); err != nil {
		return nil, fail("check its name", err)
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = sql.Open("sqlite", sqliteDSN(path, wait, "&_pragma=query_only(1)")); err != nil {
		db.write.Close()
		return nil, fail("check its name", err)
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	if _, err := db.write.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		db.Close()
		return nil, fail(explained(db, err))
	}
	return db, nil
}

// explained gives what is wrong with a file, and what to do about it.
func explained(db *DB, err error) (do string, _ error) {
	var e *sqlite.Error
	switch {
	case errors.As(err, &e) && e.Code() == sqlite3.SQLITE_NOTADB:
		return "choose another file, or restore this one from a backup", errors.New("the file is not a SQLite database")
	case db.dialect.unavailable(err):
		return "check that the disk has room, that the file and its folder are writable, and that no other program holds it", err
	}
	return "choose another file, or restore this one from a backup", err
}

func sqliteURI(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

func sqliteDSN(path string, wait time.Duration, more string) string {
	return sqliteURI(path) + fmt.Sprintf("?_pragma=busy_timeout(%d)", wait.Milliseconds()) + "&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)" + more
}

// prepareFile makes the folder and the file readable for their owner alone.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// lookAt refuses a database that another program made, without changing it: our
// own connections would turn it to WAL.
func lookAt(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return err
	}
	db, err := sql.Open("sqlite", sqliteURI(path)+"?mode=ro&_pragma=busy_timeout(3000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var id, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id == applicationID {
		return nil
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if id != 0 || tables > 0 {
		return errors.New("the file belongs to another program")
	}
	return nil
}

func (*sqliteDialect) goose() goose.Dialect { return goose.DialectSQLite3 }

// durability switches the only writer's connection, where that is needed.
func (d *sqliteDialect) durability(ctx context.Context, conn *sql.Conn, want durability) error {
	var this any
	if err := conn.Raw(func(c any) error { this = c; return nil }); err != nil {
		return err
	}
	if d.conn == this && d.synchronous == want {
		return nil
	}
	level := "NORMAL"
	if want == durable {
		level = "FULL"
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = "+level); err != nil {
		return err
	}
	d.conn, d.synchronous = this, want
	return nil
}

func (*sqliteDialect) unavailable(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}

func (*sqliteDialect) violated(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && e.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return ""
	}
	_, column, _ := strings.Cut(e.Error(), "constraint failed: UNIQUE constraint failed: ")
	column, _, _ = strings.Cut(column, " ")
	if column == "" {
		return "unknown"
	}
	return column
}

func (*sqliteDialect) forUpdate() string { return "" }

func (*sqliteDialect) insertIgnore() string { return "INSERT OR IGNORE INTO" }

// CheckIntegrity reads the whole database and reports damage.
func (db *DB) CheckIntegrity(ctx context.Context) error {
	found, err := collect(db, ctx, func(row scanner, s *string) error { return row.Scan(s) }, "PRAGMA integrity_check")
	if err == nil && (len(found) != 1 || found[0] != "ok") {
		err = errors.New(strings.Join(found, "; "))
	}
	return err
}
