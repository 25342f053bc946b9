package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// The ways to use a database that are compared.
const (
	raw    variant = "raw"   // the same statements on database/sql alone
	stored variant = "store" // the product's
)

var databaseVariants = []variant{raw, stored}

// patience is how long a command may take: a disk that halts for some seconds is a
// figure, not the end of the measurement.
const patience = 30 * time.Second

// database is a product that the store runs on.
type database struct {
	name  string
	title string
	open  func(ctx context.Context, dir string) (*openDatabase, error)

	driver string        // of the store
	kind   dbserver.Kind // of a server; empty for SQLite
	pool   func(where string) (*sql.DB, error)
	rebind func(string) string
}

var databases = []database{
	{"sqlite", "SQLite (modernc.org/sqlite), synchronous NORMAL", openSQLite, store.SQLite, "", sqliteWriter, asWritten},
	{"postgres", "PostgreSQL (pgx), on loopback, fsync on", openPostgres, store.Postgres, dbserver.PostgreSQL, postgresPool, dollars},
	{"mariadb", "MariaDB (go-sql-driver/mysql), on loopback, innodb_flush_log_at_trx_commit 1", openMariaDB, store.MySQL, dbserver.MariaDB, mariadbPool, asWritten},
}

// openDatabase is one database, filled, with both ways to use it.
type openDatabase struct {
	ways   map[variant]filled
	server *dbserver.Server // nil for SQLite
}

func (o *openDatabase) close() error {
	var errs []error
	for _, w := range o.ways {
		errs = append(errs, w.close())
	}
	if o.server != nil {
		errs = append(errs, o.server.Close())
	}
	return errors.Join(errs...)
}

func asWritten(query string) string { return query }

// dollars is what PostgreSQL wants instead of question marks.
func dollars(query string) string {
	var out strings.Builder
	n := 0
	for _, c := range query {
		if c != '?' {
			out.WriteRune(c)
			continue
		}
		n++
		out.WriteString("$" + strconv.Itoa(n))
	}
	return out.String()
}

func openSQLite(ctx context.Context, dir string) (*openDatabase, error) {
	path := filepath.Join(dir, "sqlite", "gate.db")
	db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: path, Wait: patience})
	if err != nil {
		return nil, err
	}
	o := &openDatabase{ways: map[variant]filled{stored: {viaStore{db}, smallSize}}}
	write, err := sqliteWriter(path)
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, o.addRaw(ctx, write, sqlitePool(path, max(4, 2*runtime.GOMAXPROCS(0)), "&_pragma=query_only(1)"), asWritten, "")
}

// addRaw fills the database and prepares the raw way to use it.
func (o *openDatabase) addRaw(ctx context.Context, write, read *sql.DB, rebind func(string) string, forUpdate string) error {
	if err := fill(ctx, write, rebind, smallSize, time.Now()); err != nil {
		return errors.Join(err, o.close())
	}
	way, err := newViaRaw(ctx, write, read, rebind, forUpdate)
	if err != nil {
		return errors.Join(err, o.close())
	}
	o.ways[raw] = filled{way, smallSize}
	return nil
}

// sqlitePool opens connections with the settings of store/sqlite.go.
func sqlitePool(path string, size int, more string) *sql.DB {
	name := (&url.URL{Scheme: "file", Opaque: filepath.ToSlash(path)}).String()
	db, err := sql.Open("sqlite", name+"?_pragma=busy_timeout(3000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"+
		"&_pragma=wal_autocheckpoint(8192)&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-4096)&_pragma=temp_store(MEMORY)"+more)
	if err != nil {
		panic(err) // the driver is there
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// sqliteWriter opens the one connection that writes.
func sqliteWriter(path string) (*sql.DB, error) {
	return sqlitePool(path, 1, "&_txlock=immediate"), nil
}

func openPostgres(ctx context.Context, _ string) (*openDatabase, error) {
	return openOnServer(ctx, dbserver.PostgreSQL, store.Postgres, postgresPool, dollars)
}

func openMariaDB(ctx context.Context, _ string) (*openDatabase, error) {
	return openOnServer(ctx, dbserver.MariaDB, store.MySQL, mariadbPool, asWritten)
}

// openOnServer opens both ways to use a database on a server of our own.
func openOnServer(ctx context.Context, kind dbserver.Kind, driver string, pool func(dsn string) (*sql.DB, error), rebind func(string) string) (*openDatabase, error) {
	o, dsn, err := openServer(ctx, kind, driver)
	if err != nil {
		return nil, err
	}
	raw, err := pool(dsn)
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, o.addRaw(ctx, raw, raw, rebind, " FOR UPDATE")
}

func postgresPool(dsn string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return sized(stdlib.OpenDB(*c)), nil
}

func mariadbPool(dsn string) (*sql.DB, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	c.ClientFoundRows = true
	c.TLS, c.AllowFallbackToPlaintext = &tls.Config{InsecureSkipVerify: true}, true // as the store does where the DSN says nothing
	if err := c.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sized(sql.OpenDB(readCommitted{connector})), nil
}

// readCommitted sets connections up as the store does.
type readCommitted struct{ driver.Connector }

// Connect implements driver.Connector.
func (r readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	if err == nil {
		_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil)
	}
	return conn, err
}

// sized gives a pool the size of the store's.
func sized(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(store.DefaultConnections)
	db.SetMaxIdleConns(store.DefaultConnections)
	return db
}

// openServer starts a server that waits for the disk at each commit, and opens
// the store on a new database there.
func openServer(ctx context.Context, kind dbserver.Kind, driver string) (*openDatabase, string, error) {
	server, err := dbserver.New(kind, dbserver.Durable)
	if err != nil {
		return nil, "", err
	}
	o := &openDatabase{ways: map[variant]filled{}, server: server}
	name, err := server.NewDatabase(ctx)
	if err != nil {
		return nil, "", errors.Join(err, o.close())
	}
	dsn := server.DSN(name, dbserver.User)
	db, err := store.Open(ctx, store.Config{Driver: driver, DSN: authcore.Secret(dsn), Wait: patience})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("open the store on %s: %w", kind, err), o.close())
	}
	o.ways[stored] = filled{viaStore{db}, smallSize}
	return o, dsn, nil
}
