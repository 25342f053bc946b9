package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// openServer opens the pools of a database that is a server, and sees whether it
// answers.
func (db *DB) openServer(ctx context.Context, open func() *sql.DB) error {
	db.write = open()
	db.read = db.write
	size := db.config.Connections
	if size == 0 {
		size = DefaultConnections
	}
	db.write.SetMaxOpenConns(size)
	db.write.SetMaxIdleConns(size)
	// A load balancer in between, or the server, drops what is idle for long, and
	// after a failover connections find their way to the new primary.
	db.write.SetConnMaxIdleTime(5 * time.Minute)
	db.write.SetConnMaxLifetime(30 * time.Minute)
	db.pulse = open()
	db.pulse.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(ctx, db.wait)
	defer cancel()
	if err := db.write.PingContext(ctx); err != nil {
		return fmt.Errorf("database %s does not let us in: %w; see whether it runs, and check the host, port, user, password and database of the DSN", db.config, err)
	}
	return nil
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
