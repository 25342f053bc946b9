package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// What a database is filled with. Every user has sessionsEach sessions and two
// groups. Every other session is the site session of the one before, so that
// its last-seen time is in another row, as it is where a portal serves many
// hosts.
const (
	sessionsEach = 10
	smallSize    = 10_000
	bigSize      = 5_000_000
	provenHash   = password.Hash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g")
	browserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)

// tokenOf is the hash of the n-th session's token. It is not kept anywhere: five
// million of them would fill the memory that is being measured.
func tokenOf(n int) authcore.TokenHash {
	return authcore.HashToken(fmt.Sprintf("session %d", n))
}

// userOf is the id of the n-th user. The ids of users and sessions grow with
// time, as a UUIDv7 does.
func userOf(n int) authcore.UserID {
	return authcore.UserID(fmt.Sprintf("0198%04x-%04x-7000-8000-000000000000", n>>16, n&0xffff))
}

func sessionOf(n int) authcore.SessionID {
	return authcore.SessionID(fmt.Sprintf("0199%04x-%04x-7000-8000-000000000000", n>>16, n&0xffff))
}

// rows gives the rows of one kind: the table, its columns, and what is in the
// n-th row.
type rows struct {
	table   string
	columns string
	count   int
	row     func(n int) []any
}

// contents is everything in a database with so many sessions.
func contents(sessions int, now time.Time) []rows {
	users := max(1, sessions/sessionsEach)
	at := func(n int) int64 { return now.Add(-time.Duration(sessions-n) * 500 * time.Millisecond).UnixMicro() }
	month := int64(30 * 24 * time.Hour / time.Microsecond)
	return []rows{
		{"users", "id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at", users, func(n int) []any {
			name := fmt.Sprintf("user%d", n)
			mail := name + "@example.com"
			return []any{userOf(n), name, name, mail, mail, 1, "User Number " + name, authcore.Active, 0, at(0), at(0)}
		}},
		{"user_groups", "user_id, name", 2 * users, func(n int) []any {
			return []any{userOf(n / 2), [2]string{"ops", "staff"}[n%2]}
		}},
		{"passwords", "user_id, hash, updated_at", users, func(n int) []any {
			return []any{userOf(n), provenHash, at(0)}
		}},
		{"sessions", "id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent", sessions, func(n int) []any {
			host := [2]string{"auth.example.com", "wiki.example.com"}[n%2]
			return []any{sessionOf(n), sessionOf(n &^ 1), userOf(n / 2 * 2 % users), tokenOf(n).Hex(), host, "pwd otp",
				at(n), at(n), at(n), at(n) + month, "192.0.2.1", browserAgent}
		}},
	}
}

// fillBatch is how many rows one statement inserts.
const fillBatch = 100

// fill fills a database in one transaction, with statements of many rows.
func fill(ctx context.Context, db *sql.DB, rebind func(string) string, sessions int, now time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, r := range contents(sessions, now) {
		if err := r.insert(ctx, tx, rebind); err != nil {
			return fmt.Errorf("fill %s: %w", r.table, err)
		}
	}
	return tx.Commit()
}

func (r rows) insert(ctx context.Context, tx *sql.Tx, rebind func(string) string) error {
	one := "(?" + strings.Repeat(", ?", strings.Count(r.columns, ",")) + ")"
	var stmt *sql.Stmt
	for size, from := 0, 0; from < r.count; from += size {
		if n := min(fillBatch, r.count-from); n != size { // the first and the last batch
			size = n
			var err error
			stmt, err = tx.PrepareContext(ctx, rebind("INSERT INTO "+r.table+" ("+r.columns+") VALUES "+one+strings.Repeat(", "+one, size-1)))
			if err != nil {
				return err
			}
			defer stmt.Close()
		}
		var args []any
		for n := from; n < from+size; n++ {
			args = append(args, r.row(n)...)
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
