package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// openServer takes the pools of a database that is a server, and sees whether it
// answers.
func (db *DB) openServer(ctx context.Context, pool, pulse *sql.DB) error {
	db.write, db.read, db.pulse = pool, pool, pulse
	db.Configure(db.config)
	// A load balancer in between, or the server, drops what is idle for long, and
	// after a failover connections find their way to the new primary.
	db.write.SetConnMaxIdleTime(5 * time.Minute)
	db.write.SetConnMaxLifetime(2 * time.Minute)
	db.pulse.SetMaxOpenConns(1)
	db.pulse.SetConnMaxLifetime(5 * time.Minute)
	ctx, cancel := context.WithTimeout(ctx, db.wait())
	defer cancel()
	if err := db.write.PingContext(ctx); err != nil {
		return fmt.Errorf("database %s does not let us in: %w; %s", db.config, &shortError{err}, advice(err))
	}
	return nil
}

// shortError says each of the reasons of a driver once, on one line. PostgreSQL's
// tries without TLS what was refused with TLS: then only the last counts.
type shortError struct{ error }

func (e *shortError) Unwrap() error { return e.error }

func (e *shortError) Error() string {
	var lines []string
	for line := range strings.Lines(e.error.Error()) {
		line = strings.TrimSpace(line)
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, refusedTLS) }); i > 0 {
			lines = slices.Delete(lines, i, i+1)
		}
		if line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

const refusedTLS = "server refused TLS connection"

// advice is what to do when there is no connection.
func advice(err error) string {
	text := (&shortError{err}).Error()
	if strings.Contains(text, refusedTLS) || errors.Is(err, mysql.ErrNoTLS) {
		return "the server offers no TLS: turn it on there, or say \"tls off\" where nobody can listen on the way"
	}
	return "see whether it runs, and check the host, port, user, password and database of the DSN"
}

// NotYet tells whether a database server was not there at all, or was starting:
// it may be soon.
func NotYet(err error) bool {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var certificate *tls.CertificateVerificationError
	var file *fs.PathError
	switch {
	case errors.As(err, &file): // its cause would pass for a net.Error
		return false
	case errors.As(err, &pg):
		return pg.Code == "57P03" // cannot_connect_now
	case errors.As(err, &my):
		return my.Number == mysqlShutdown
	case errors.As(err, &certificate), errors.Is(err, mysql.ErrNoTLS), err != nil && strings.Contains(err.Error(), refusedTLS):
		return false
	}
	return sortNetwork(err) != broken
}

// sortNetwork sorts what a driver says when it has no answer from a server.
func sortNetwork(err error) trouble {
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &connect), errors.Is(err, syscall.ECONNREFUSED):
		return away
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &network):
		return lost
	}
	return broken
}
