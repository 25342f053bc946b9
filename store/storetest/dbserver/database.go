package dbserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// The users of every server.
const (
	Admin = "dbadmin"   // may do everything
	User  = "gatehouse" // may do everything in the databases of NewDatabase
)

// Password is that of all users, another one in each server. It has nothing in it
// that must be quoted.
func (s *Server) Password() string { return s.password }

// DSN tells the driver how to open the database over TCP in a user's name. No
// database, "", is one that is always there, or none.
func (s *Server) DSN(database, user string) string { return s.product.dsn(s, database, user) }

// NewDatabase makes an empty database that User may do everything in.
func (s *Server) NewDatabase(ctx context.Context) (name string, err error) {
	name = fmt.Sprintf("gatehouse%d", s.databases.Add(1))
	return name, s.exec(ctx, s.product.newDatabase(name)...)
}

// CopyDatabase makes a database of User with the tables of another one, without foreign keys,
// and with their rows. Nobody may use that one meanwhile.
func (s *Server) CopyDatabase(ctx context.Context, from string) (name string, err error) {
	name = fmt.Sprintf("gatehouse%d", s.databases.Add(1))
	db, err := s.open()
	if err != nil {
		return name, err
	}
	defer db.Close()
	statements, err := s.product.copyDatabase(ctx, db, from, name)
	if err != nil {
		return name, err
	}
	return name, s.exec(ctx, statements...)
}

// DropDatabase removes a database, whoever is connected to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.exec(ctx, s.product.dropDatabase(name))
}

// exec has Admin execute statements on a connection of their own.
func (s *Server) exec(ctx context.Context, statements ...string) error {
	db, err := s.open()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("dbserver: %s: %w", statement, err)
		}
	}
	return nil
}

func (s *Server) ping(ctx context.Context) error {
	db, err := s.open()
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// open opens a pool of Admin. The driver for MariaDB would tell the tests' output
// of each connection that a server breaks, as one does that is just starting.
func (s *Server) open() (*sql.DB, error) {
	dsn := s.DSN("", Admin)
	if s.Kind == PostgreSQL {
		return sql.Open(s.Kind.Driver(), dsn)
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
