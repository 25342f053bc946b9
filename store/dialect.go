package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// dialect is what differs between databases. SQL is written with ? for what a
// caller gives; everything else that one of them wants otherwise is a method here.
type dialect interface {
	goose() goose.Dialect
	// locker keeps two processes from migrating at once; nil where the writer's
	// transactions do.
	locker() lock.SessionLocker
	// tables is a query for the names of all tables.
	tables() string
	// ddl gives a statement of a migration in the words of this database.
	ddl(statement string) string
	// done tells whether a statement of a migration failed because it had been
	// carried out before, where statements that change the schema are no part of
	// a transaction.
	done(err error) bool
	// rebind puts this database's placeholders in the place of ?.
	rebind(query string) string
	// now is an expression for the database's clock, in microseconds UTC.
	now() string
	// standing is an expression that tells what the server is: '' where it takes
	// writes, readOnly or replica.
	standing() string
	// forUpdate is appended to a SELECT whose rows must not change until commit.
	forUpdate() string
	// orNothing is appended to an INSERT so that rows whose key exists are left
	// out. column is one of the table, which MySQL wants named.
	orNothing(column string) string
	// encrypted is a query that gives a text, which is empty where the connection
	// to the database can be read on the way.
	encrypted() string
	// durability sets what the next transaction on the connection must survive.
	durability(ctx context.Context, conn *sql.Conn, d durability) error
	// statements gives the context for the statements of a transaction that was asked
	// for with ctx: where none of them takes long, one that does not end.
	statements(ctx context.Context) context.Context
	// snapshot is how a transaction begins that reads one state of all tables.
	snapshot() *sql.TxOptions
	// sort tells what an error of the driver means.
	sort(err error) trouble
	// violated names the unique index that an error is about, or is empty.
	violated(err error) string
}

// trouble is what an error of a database means for whoever asked.
type trouble int

const (
	// broken: the statement or the data is wrong, and stays so.
	broken trouble = iota
	// away: the database does not answer, or refuses for now. To try again later
	// may help.
	away
	// lost: the connection broke. A command that was not being committed has not
	// happened.
	lost
	// again: the database undid the transaction for the sake of another one, or has
	// no connection left for us while others have them.
	again
)

// ofNoTable takes from DROP INDEX the table that only MySQL wants named.
func ofNoTable(statement string) string {
	if strings.HasPrefix(statement, "DROP INDEX ") {
		statement, _, _ = strings.Cut(statement, " ON ")
	}
	return statement
}
