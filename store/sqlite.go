package store

import (
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
	"github.com/pressly/goose/v3/lock"
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
func (db *DB) openSQLite(ctx context.Context) error {
	db.dialect = new(sqliteDialect)
	for try := 1; ; try++ {
		err := db.openFile(ctx)
		if err == nil || try == openTries || db.dialect.sort(err) != again || !pause(ctx, try) {
			return err
		}
	}
}

const openTries = 10

func (db *DB) openFile(ctx context.Context) error {
	path := db.config.Path
	fail := func(do string, err error) error {
		return fmt.Errorf("database %s cannot be opened: %w; %s", path, err, do)
	}
	if err := prepareFile(path); err != nil {
		return fail("make the folder writable for the user Caddy runs as, or choose another with \"database sqlite FILE\"", err)
	}
	if err := lookAt(ctx, path); err != nil {
		return fail(explained(db.dialect, err))
	}
	for _, p := range []struct {
		pool    **sql.DB
		size    int
		options string
	}{
		{&db.write, 1, "&_txlock=immediate"},
		{&db.read, max(4, 2*runtime.GOMAXPROCS(0)), "&_pragma=query_only(1)"},
		{&db.pulse, 1, "&_pragma=query_only(1)"},
	} {
		if *p.pool == nil {
			pool, err := sql.Open("sqlite", sqliteDSN(path, db.wait(), p.options))
			if err != nil {
				return fail("check its name", err)
			}
			pool.SetMaxOpenConns(p.size)
			pool.SetMaxIdleConns(p.size)
			*p.pool = pool
		}
	}
	if _, err := db.write.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		return fail(explained(db.dialect, err))
	}
	return nil
}

// explained gives what is wrong with a file, and what to do about it.
func explained(d dialect, err error) (do string, _ error) {
	var e *sqlite.Error
	switch {
	case errors.As(err, &e) && e.Code() == sqlite3.SQLITE_NOTADB:
		return "choose another file, or restore this one from a backup", errors.New("the file is not a SQLite database")
	case d.sort(err) != broken:
		return "check that the disk has room, that the file and its folder are writable, and that no other program holds it", err
	}
	return "choose another file, or restore this one from a backup", err
}

func sqliteURI(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

func sqliteDSN(path string, wait time.Duration, more string) string {
	return sqliteURI(path) + fmt.Sprintf("?_pragma=busy_timeout(%d)", wait.Milliseconds()) + "&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		fmt.Sprintf("&_pragma=wal_autocheckpoint(%d)", checkpointPages) +
		fmt.Sprintf("&_pragma=journal_size_limit(%d)&_pragma=cache_size(-%d)", walLimit, cacheKiB) + "&_pragma=temp_store(MEMORY)" + more
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

func (*sqliteDialect) sort(err error) trouble {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return broken
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return again
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM:
		return away
	}
	return broken
}

// violated makes the index's name of what SQLite names: "users.email_key".
func (*sqliteDialect) violated(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && e.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return ""
	}
	_, column, _ := strings.Cut(e.Error(), "UNIQUE constraint failed: ")
	column, _, _ = strings.Cut(column, " ")
	if column == "" {
		return "unknown"
	}
	return strings.ReplaceAll(column, ".", "_")
}

func (*sqliteDialect) locker() lock.SessionLocker { return nil }

func (*sqliteDialect) ddl(statement string) string { return ofNoTable(statement) }

func (*sqliteDialect) tables() string {
	return "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
}

func (*sqliteDialect) done(error) bool { return false }

func (*sqliteDialect) rebind(query string) string { return query }

// now is this machine's clock, which every process that opens the file shares.
func (*sqliteDialect) now() string {
	return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
}

func (*sqliteDialect) standing() string { return "''" }

func (*sqliteDialect) forUpdate() string { return "" }

func (*sqliteDialect) orNothing(string) string { return " ON CONFLICT DO NOTHING" }

func (*sqliteDialect) encrypted() string { return "SELECT 'a file'" }

// statements: a statement runs in this process and is short, and for one that may be
// interrupted the driver and database/sql begin a goroutine each.
func (*sqliteDialect) statements(ctx context.Context) context.Context {
	return context.WithoutCancel(ctx)
}

func (*sqliteDialect) snapshot() *sql.TxOptions { return nil }

// Measured: docs/adr/0009-sqlite-measured.md.
const (
	// checkpointEvery is how often what the log holds is put into the file. The
	// writer's own checkpoint, at checkpointPages, is for when that is not enough.
	checkpointEvery = 500 * time.Millisecond
	checkpointPages = 8192
	// walLimit is the size at which the log is cut off, which makes writers wait
	// for readers, for walWait at most.
	walLimit = 64 << 20
	walWait  = 200 * time.Millisecond
	// cacheKiB is each connection's cache. More is slower: the system has the pages
	// in memory as well, and what is in both takes room from the processor's caches.
	cacheKiB = 4 << 10
)

// checkpoints keeps the write-ahead log short without making commits wait for
// it, until the database is closed. A log that grows although its pages are in the
// file has readers who always overlap: at the limit, in bytes, it is cut off.
func (db *DB) checkpoints(every time.Duration, limit int64) {
	pool, err := sql.Open("sqlite", sqliteDSN(db.config.Path, walWait, ""))
	if err != nil {
		return // the name is one that was opened before
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-db.ended:
			return
		case <-tick.C:
		}
		if info, err := os.Stat(db.config.Path + "-wal"); err == nil && info.Size() > limit {
			db.cutLog(pool)
		} else {
			checkpoint(pool, "PASSIVE")
		}
	}
}

// cutLog makes the log empty, which takes that nobody writes and that readers look
// at the file alone. Our writers queue for their connection meanwhile: those who
// write without rest would hardly ever leave the lock to a checkpoint.
func (db *DB) cutLog(pool *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), db.wait())
	defer cancel()
	if conn, err := db.write.Conn(ctx); err == nil {
		defer conn.Close()
	}
	checkpoint(pool, "TRUNCATE")
}

func checkpoint(pool *sql.DB, mode string) {
	var busy, logged, moved int // what is not moved now is moved later
	_ = pool.QueryRow("PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &logged, &moved)
}

// CheckIntegrity reads the whole database and reports damage. PostgreSQL and
// MySQL see to that themselves.
func (db *DB) CheckIntegrity(ctx context.Context) error {
	if db.config.Driver != SQLite {
		return nil
	}
	return db.failure(integrity(ctx, db.read))
}

func integrity(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check")
	if err != nil {
		return err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found) != 1 || found[0] != "ok" {
		return errors.New(strings.Join(found, "; "))
	}
	return nil
}
