package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// dialect is what differs between databases.
type dialect interface {
	goose() goose.Dialect
	// durability sets what the next transaction on the connection must survive.
	durability(ctx context.Context, conn *sql.Conn, d durability) error
	// unavailable tells whether an error means that the database is away, busy or
	// cannot be written now: to try again later may help.
	unavailable(err error) bool
	// violated names the unique index that an error is about, as "table.column",
	// or is empty.
	violated(err error) string
	// forUpdate is appended to a SELECT whose rows must not change until commit.
	forUpdate() string
	// insertIgnore stands for "INSERT INTO" so that rows whose key exists are left out.
	insertIgnore() string
}
