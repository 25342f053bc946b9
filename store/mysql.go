package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// mysqlDialect is MySQL, MariaDB, and what speaks their protocol.
type mysqlDialect struct{}

var errMySQLDSN = errors.New("the DSN of the database cannot be read; it looks like mysql://user:password@host:3306/database " +
	"or user:password@tcp(host:3306)/database" + percent)

// mysql reads the DSN. Its errors do not hold it.
func (c Config) mysql() (*mysql.Config, error) {
	if err := c.TLS.validate(); err != nil {
		return nil, err
	}
	dsn, err := mysqlDSN(c.DSN.Reveal())
	if err != nil {
		return nil, err
	}
	m, err := mysql.ParseDSN(dsn)
	if err != nil || dsn == "" {
		return nil, errMySQLDSN
	}
	if m.DBName == "" {
		return nil, errors.New("the DSN names no database; it looks like mysql://user:password@host:3306/database")
	}
	m.ClientFoundRows = true // an UPDATE that changes nothing has found its row
	m.ParseTime, m.MultiStatements = false, false
	switch {
	case c.TLS.on():
		m.TLS, err = c.TLS.config(m.Addr)
		m.AllowFallbackToPlaintext = false
	case c.TLS.Mode == "off":
		m.TLSConfig, m.TLS = "false", nil
	case m.TLSConfig == "" && m.TLS == nil && m.Net == "tcp":
		m.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // what "preferred" means in MySQL: better than none
		m.AllowFallbackToPlaintext = true
	}
	if err == nil {
		// Without something to do before each connection, the driver gives up TLS
		// for good once a server did not offer it.
		err = m.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin"), mysql.BeforeConnect(func(context.Context, *mysql.Config) error { return nil }))
	}
	return m, err
}

// mysqlDSN makes the driver's form of a URL.
func mysqlDSN(dsn string) (string, error) {
	if !strings.HasPrefix(dsn, "mysql://") {
		return dsn, nil
	}
	u, err := parseURL(dsn)
	if err != nil || u.Hostname() == "" {
		return "", errMySQLDSN
	}
	m := mysql.NewConfig()
	m.User = u.User.Username()
	m.Passwd, _ = u.User.Password()
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	m.Net, m.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	m.DBName = strings.TrimPrefix(u.Path, "/")
	out := m.FormatDSN()
	if u.RawQuery != "" {
		joint := "?"
		if strings.Contains(out[strings.LastIndexByte(out, '/'):], "?") {
			joint = "&"
		}
		out += joint + u.RawQuery
	}
	return out, nil
}

// config makes TLS that verifies the server's name.
func (t TLS) config(addr string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	out := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("the certificates of the database cannot be read: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("there is no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate for the database cannot be read: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

func (db *DB) openMySQL(ctx context.Context) error {
	db.dialect = mysqlDialect{}
	m, err := db.config.mysql()
	if err != nil {
		return err
	}
	if m.Timeout == 0 {
		m.Timeout = db.wait()
	}
	m.Logger = &mysql.NopLogger{} // it would write to the standard error
	connector, err := mysql.NewConnector(m)
	if err != nil {
		return errMySQLDSN
	}
	session := []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
		fmt.Sprintf("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', SESSION time_zone = '+00:00', SESSION innodb_lock_wait_timeout = %d",
			max(1, int(db.wait()/time.Second))),
	}
	c := sessionConnector{connector, session, db.wait()}
	return db.openServer(ctx, sql.OpenDB(c), sql.OpenDB(c))
}

// sessionConnector sets up each connection that it makes: what a DSN can set
// differs between MySQL and MariaDB.
type sessionConnector struct {
	driver.Connector
	statements []string
	wait       time.Duration
}

// Connect implements driver.Connector. A pool makes some of its connections one
// after the other and without a limit, so that a server which accepts and says
// nothing would keep it from all others.
func (c sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, &refusedError{err}
	}
	for _, s := range c.statements {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, s, nil); err != nil {
			conn.Close()
			return nil, &refusedError{err}
		}
	}
	// MariaDB ends the transaction of a node that stopped in the middle of it; MySQL
	// has no such setting.
	idle := fmt.Sprintf("SET SESSION idle_transaction_timeout = %d", max(2, int(2*c.wait/time.Second)))
	var unknown *mysql.MySQLError
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, idle, nil); err != nil && (!errors.As(err, &unknown) || unknown.Number != mysqlNoVariable) {
		conn.Close()
		return nil, &refusedError{err}
	}
	return watchedConn{conn.(mysqlConn)}, nil
}

// mysqlConn is what the driver's connections can do.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// watchedConn has transactions that end when their context does. The driver's
// own wait for a server to answer a COMMIT for ever.
type watchedConn struct{ mysqlConn }

// BeginTx implements driver.ConnBeginTx.
func (c watchedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if _, err := c.mysqlConn.BeginTx(ctx, opts); err != nil {
		return nil, err
	}
	return watchedTx{c.mysqlConn, ctx}, nil
}

type watchedTx struct {
	conn mysqlConn
	ctx  context.Context
}

// Commit implements driver.Tx.
func (t watchedTx) Commit() error {
	_, err := t.conn.ExecContext(t.ctx, "COMMIT", nil)
	return err
}

// Rollback implements driver.Tx.
func (t watchedTx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), closeLimit)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, "ROLLBACK", nil)
	return err
}

// refusedError is why there is no connection.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

func (mysqlDialect) goose() goose.Dialect { return goose.DialectMySQL }

func (mysqlDialect) locker() lock.SessionLocker { return mysqlLocker{} }

// mysqlLocker holds a lock that is named after the database: GET_LOCK's names are
// the server's.
type mysqlLocker struct{}

const mysqlLockName = "CONCAT('gatehouse ', SHA1(DATABASE()))"

// SessionLock implements lock.SessionLocker.
func (mysqlLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+mysqlLockName+", 600)").Scan(&got)
	if err == nil && got.Int64 != 1 {
		err = errors.New("another node has held the migration lock for ten minutes")
	}
	return err
}

// SessionUnlock implements lock.SessionLocker.
func (mysqlLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK("+mysqlLockName+")")
	return err
}

func (mysqlDialect) tables() string {
	return "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name"
}

// ddl compares all text by its bytes, as the other databases do.
func (mysqlDialect) ddl(statement string) string {
	if strings.HasPrefix(statement, "CREATE TABLE ") {
		statement += " ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	}
	return statement
}

// Numbers of errors that MySQL and MariaDB share, and some of TiDB's.
const (
	mysqlDiskFull          = 1021
	mysqlTooMany           = 1040
	mysqlNoDatabaseAccess  = 1044
	mysqlNoAccess          = 1045
	mysqlNoDatabase        = 1049
	mysqlTableExists       = 1050
	mysqlShutdown          = 1053
	mysqlColumnExists      = 1060
	mysqlIndexExists       = 1061
	mysqlDuplicate         = 1062
	mysqlCannotDrop        = 1091
	mysqlNoVariable        = 1193
	mysqlTableFull         = 1114
	mysqlNoCommandAccess   = 1142
	mysqlUserConnections   = 1203
	mysqlUserLimit         = 1226
	mysqlLockWait          = 1205
	mysqlDeadlock          = 1213
	mysqlOption            = 1290 // read-only, above all
	mysqlInterrupted       = 1317
	mysqlReadOnlyTx        = 1792
	mysqlReadOnlyMode      = 1836
	mysqlKilled            = 1927
	mysqlStatementTime     = 1969
	mysqlExecutionTime     = 3024
	tidbWriteConflict      = 9007
	tidbSchemaChanged      = 8028
	mysqlInnoDBForced      = 1874
	mysqlConnectionRefused = 1129
)

func (mysqlDialect) done(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case mysqlTableExists, mysqlColumnExists, mysqlIndexExists, mysqlCannotDrop:
		return true
	}
	return false
}

func (mysqlDialect) rebind(query string) string { return query }

func (mysqlDialect) now() string { return "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)" }

// standing cannot tell a replica from a server that is read-only for a while.
func (mysqlDialect) standing() string {
	return "CASE WHEN @@global.read_only <> 0 THEN '" + readOnly + "' ELSE '' END"
}

func (mysqlDialect) forUpdate() string { return " FOR UPDATE" }

// orNothing does not use INSERT IGNORE, which forgives much else.
func (mysqlDialect) orNothing(column string) string {
	return " ON DUPLICATE KEY UPDATE " + column + " = " + column
}

func (mysqlDialect) encrypted() string { return "SHOW SESSION STATUS LIKE 'Ssl_version'" }

func (mysqlDialect) durability(context.Context, *sql.Conn, durability) error { return nil }

func (mysqlDialect) statements(ctx context.Context) context.Context { return ctx }

func (mysqlDialect) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (mysqlDialect) sort(err error) trouble {
	if errors.Is(err, mysql.ErrInvalidConn) {
		return lost
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return sortNetwork(err)
	}
	refused := new(refusedError)
	switch e.Number {
	case mysqlDeadlock, mysqlTooMany, mysqlUserConnections, mysqlUserLimit, tidbWriteConflict, tidbSchemaChanged:
		return again
	case mysqlShutdown, mysqlKilled, mysqlInterrupted:
		return lost
	case mysqlDiskFull, mysqlNoDatabaseAccess, mysqlNoAccess, mysqlNoDatabase, mysqlTableFull, mysqlNoCommandAccess,
		mysqlLockWait, mysqlOption, mysqlReadOnlyTx, mysqlReadOnlyMode, mysqlStatementTime, mysqlExecutionTime,
		mysqlInnoDBForced, mysqlConnectionRefused:
		return away
	}
	if errors.As(err, &refused) {
		return away // whatever keeps us out
	}
	return broken
}

// violated reads the index from "Duplicate entry 'value' for key 'table.index'";
// MariaDB leaves the table out.
func (mysqlDialect) violated(err error) string {
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != mysqlDuplicate {
		return ""
	}
	name := e.Message[strings.LastIndex(e.Message, " ")+1:]
	name = strings.Trim(name, "'")
	if _, index, ok := strings.Cut(name, "."); ok {
		name = index
	}
	if name == "" {
		return "unknown"
	}
	return name
}
