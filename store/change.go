package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// note writes the change record and the audit event of a change. The event's id
// serves both.
func note(ctx context.Context, tx *sql.Tx, kind authcore.ChangeKind, subject string, ev authcore.Event) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO changes (id, changed_at, kind, subject) VALUES (?, ?, ?, ?)",
		ev.ID, micros(ev.Time), kind, subject)
	if err != nil {
		return err
	}
	return insertEvents(ctx, tx, "INSERT INTO", ev)
}

// ChangesSince implements authcore.SessionReader.
func (db *DB) ChangesSince(ctx context.Context, since time.Time) ([]authcore.Change, error) {
	return collect(db, ctx, func(row scanner, c *authcore.Change) error {
		var at int64
		err := row.Scan(&c.ID, &at, &c.Kind, &c.Subject)
		c.At = fromMicros(at)
		return err
	}, "SELECT id, changed_at, kind, subject FROM changes WHERE changed_at >= ?", micros(since))
}
