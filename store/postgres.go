package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresDialect is PostgreSQL, and what speaks its protocol.
type postgresDialect struct{}

var errPostgresDSN = errors.New("the DSN of the database cannot be read; it looks like postgres://user:password@host:5432/database" + percent)

const percent = "; in a URL, characters such as @ / : # ? % in the user or password are written %40 %2F %3A %23 %3F %25"

// postgres reads the DSN. Its errors do not hold it.
func (c Config) postgres() (*pgx.ConnConfig, error) {
	if err := c.TLS.validate(); err != nil {
		return nil, err
	}
	dsn := c.DSN.Reveal()
	if dsn == "" {
		return nil, errPostgresDSN
	}
	more := map[string]string{}
	if c.TLS.on() {
		more["sslmode"] = "verify-full"
	} else if c.TLS.Mode == "off" {
		more["sslmode"] = "disable"
	}
	for name, file := range map[string]string{"sslrootcert": c.TLS.CA, "sslcert": c.TLS.Cert, "sslkey": c.TLS.Key} {
		if file != "" {
			more[name] = file
		}
	}
	dsn, err := withSettings(dsn, more)
	if err != nil {
		return nil, err
	}
	p, err := pgx.ParseConfig(dsn)
	switch {
	case err != nil && c.TLS.on():
		return nil, fmt.Errorf("%w, and the files of tls must be readable certificates", errPostgresDSN)
	case err != nil:
		return nil, errPostgresDSN
	case p.Database == "":
		return nil, errors.New("the DSN names no database; it looks like postgres://user:password@host:5432/database")
	}
	return p, nil
}

// withSettings adds settings to a DSN of either form.
func withSettings(dsn string, more map[string]string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		for name, value := range more {
			dsn += " " + name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
		}
		return dsn, nil
	}
	u, err := parseURL(dsn)
	if err != nil {
		return "", errPostgresDSN
	}
	q := u.Query()
	for name, value := range more {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// parseURL reads a DSN that is a URL. One whose password was not encoded may be
// read as another host: it is refused.
func parseURL(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if err == nil && (strings.Contains(dsn, "#") || strings.Count(dsn, "@") > 1 || u.User == nil && strings.Contains(dsn, "@") ||
		strings.Count(u.Path, "/") > 1) {
		err = errors.New("not encoded")
	}
	return u, err
}

func (db *DB) openPostgres(ctx context.Context) error {
	db.dialect = postgresDialect{}
	p, err := db.config.postgres()
	if err != nil {
		return err
	}
	// Of several servers, the one that takes writes: a replica is behind.
	if p.ValidateConnect == nil && slices.ContainsFunc(p.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != p.Host || f.Port != p.Port }) {
		p.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if p.ConnectTimeout == 0 {
		p.ConnectTimeout = db.wait()
	}
	if _, named := p.RuntimeParams["application_name"]; !named {
		p.RuntimeParams["application_name"] = "gatehouse"
	}
	return db.openServer(ctx, stdlib.OpenDB(*p, stdlib.OptionAfterConnect(db.setUpForKeys)), stdlib.OpenDB(*p, stdlib.OptionAfterConnect(db.setUp)))
}

// setUp gives a connection the settings that commands rely on, whatever the
// database's own defaults are.
func (db *DB) setUp(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, db.wait())
	defer cancel()
	wait := db.wait().Milliseconds()
	// A node that stops in the middle of a transaction holds nobody up for long.
	_, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d;"+
		" SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED", wait, 2*wait))
	return err
}

// setUpForKeys is for connections whose queries go by keys, or in the order of an
// index up to a limit: one plan serves all values. By its own estimate PostgreSQL
// plans some of them anew each time, which takes longer than carrying them out.
func (db *DB) setUpForKeys(ctx context.Context, conn *pgx.Conn) error {
	if err := db.setUp(ctx, conn); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, db.wait())
	defer cancel()
	var e *pgconn.PgError
	_, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan")
	if errors.As(err, &e) && e.Code == "42704" { // undefined_object: before PostgreSQL 12, and some that speak its protocol
		return nil
	}
	return err
}

func (postgresDialect) goose() goose.Dialect { return goose.DialectPostgres }

// locker waits as long as a migration of a large database may take.
func (postgresDialect) locker() lock.SessionLocker {
	l, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		panic(err) // the two numbers are good
	}
	return l
}

// ddl compares all text by its bytes, as the other databases do.
func (postgresDialect) ddl(statement string) string {
	return textType.ReplaceAllString(ofNoTable(statement), `$0 COLLATE "C"`)
}

var textType = regexp.MustCompile(`\bVARCHAR\(\d+\)|\bTEXT\b`)

func (postgresDialect) tables() string {
	return "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
}

func (postgresDialect) done(error) bool { return false }

func (postgresDialect) rebind(query string) string {
	var out strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(query, "?")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		n++
		out.WriteByte('$')
		out.WriteString(strconv.Itoa(n))
		query = after
	}
}

func (postgresDialect) now() string {
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
}

func (postgresDialect) standing() string {
	return "CASE WHEN pg_is_in_recovery() THEN '" + replica + "' ELSE '' END"
}

func (postgresDialect) forUpdate() string { return " FOR UPDATE" }

func (postgresDialect) orNothing(string) string { return " ON CONFLICT DO NOTHING" }

func (postgresDialect) encrypted() string {
	return "SELECT COALESCE(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
}

func (postgresDialect) durability(context.Context, *sql.Conn, durability) error { return nil }

func (postgresDialect) statements(ctx context.Context) context.Context { return ctx }

func (postgresDialect) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

// sort goes by the classes of SQLSTATE (PostgreSQL, appendix A).
func (postgresDialect) sort(err error) trouble {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return sortNetwork(err)
	}
	switch e.Code {
	case "40001", "40P01", "53300": // serialization_failure, deadlock_detected, too_many_connections
		return again
	case "57P01", "57P02", "57P03": // the server shuts down, crashed, or starts
		return lost
	case "25006", "42501", "55P03", "57014": // read-only, no permission, lock_timeout, cancelled
		return away
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "28", "3D", "53", "58": // connection, credentials, no such database, resources, system
		return away
	}
	if connect := new(pgconn.ConnectError); errors.As(err, &connect) {
		return away // whatever keeps us out
	}
	return broken
}

func (postgresDialect) violated(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" {
		return e.ConstraintName
	}
	return ""
}
