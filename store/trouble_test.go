package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// What a database says, and what that means for who asked.
func TestTrouble(t *testing.T) {
	pg := func(code string) error { return &pgconn.PgError{Code: code} }
	my := func(number uint16) error { return &mysql.MySQLError{Number: number} }
	tests := []struct {
		name string
		on   dialect
		err  error
		want trouble
	}{
		{"too many connections", postgresDialect{}, pg("53300"), again},
		{"disk full", postgresDialect{}, pg("53100"), away},
		{"read-only", postgresDialect{}, pg("25006"), away},
		{"not our syntax", postgresDialect{}, pg("42601"), broken},
		{"too many connections", mysqlDialect{}, my(1040), again},
		{"too many connections of a user", mysqlDialect{}, my(1226), again},
		{"too many connections of a user", mysqlDialect{}, my(1203), again},
		{"read-only", mysqlDialect{}, my(1290), away},
		{"an account that is locked", mysqlDialect{}, &refusedError{my(4151)}, away},
		{"a server that stops, while connecting", mysqlDialect{}, &refusedError{my(1053)}, lost},
		{"the same number for a statement", mysqlDialect{}, my(4151), broken},
		{"not our syntax", mysqlDialect{}, my(1064), broken},
	}
	for _, test := range tests {
		if got := test.on.sort(fmt.Errorf("in a command: %w", test.err)); got != test.want {
			t.Errorf("%T: %s is sorted %d, want %d", test.on, test.name, got, test.want)
		}
	}
}

// A transaction whose time is over is as good as a database that is away.
func TestFailure(t *testing.T) {
	db := &DB{dialect: postgresDialect{}}
	for _, err := range []error{context.DeadlineExceeded, sql.ErrTxDone, sql.ErrConnDone} {
		if got := db.failure(err); !errors.Is(got, authcore.ErrUnavailable) {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	for _, err := range []error{&pgconn.PgError{Code: "42601"}, &pgconn.PgError{Code: "23505", ConstraintName: "users_email_key"}, context.Canceled, authcore.ErrUserNotFound, nil} {
		_ = db.failure(err)
	}
	if unavailable, refused := db.Errors(); unavailable != 3 || refused != 1 {
		t.Errorf("%d times away and %d times refused are counted, want 3 and 1", unavailable, refused)
	}
}
