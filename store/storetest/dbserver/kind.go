package dbserver

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
)

// Kind is a database product.
type Kind string

// The products that tests run on.
const (
	PostgreSQL Kind = "postgres"
	MariaDB    Kind = "mariadb" // or MySQL, where the machine has that instead
)

// Kinds are all of them.
var Kinds = []Kind{PostgreSQL, MariaDB}

// Driver is the name that database/sql knows the product's driver by.
func (k Kind) Driver() string {
	if k == PostgreSQL {
		return "pgx"
	}
	return "mysql"
}

// product is what differs between the kinds.
type product interface {
	// accounts are the system's users that may run the server when root may not,
	// the best first.
	accounts() []string
	// create makes the data folder, with Admin and its password in it.
	create(s *Server) error
	// command is the server program and its arguments.
	command(s *Server) []string
	dsn(s *Server, database, user string) string
	// newUser, newDatabase, copyDatabase and dropDatabase are statements of Admin.
	newUser(name, password string) string
	newDatabase(name string) []string
	copyDatabase(ctx context.Context, db *sql.DB, from, name string) ([]string, error)
	dropDatabase(name string) string
}

func find(kind Kind) (product, error) {
	switch kind {
	case PostgreSQL:
		return findPostgres()
	case MariaDB:
		return findMariaDB()
	}
	return nil, fmt.Errorf("dbserver: there is no kind %q", kind)
}

// program gives the path of the first of the names that is in PATH or, since
// that may lack what only root needs, in a folder beside.
func program(names ...string) string {
	for _, name := range names {
		for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
	}
	return ""
}
