package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const eventColumns = "(id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id)"

// eventRow is one row of placeholders for eventColumns.
const eventRow = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

const insertEvent = "INSERT INTO events " + eventColumns + " VALUES " + eventRow

// InsertEvents writes a batch in one statement, leaving out what is there
// already.
func (db *DB) InsertEvents(ctx context.Context, events []authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		return writeEvents(tx, db.dialect.orNothing("id"), events)
	})
}

// insertEvents writes the events of a command.
func insertEvents(tx *tx, events ...authcore.Event) error { return writeEvents(tx, "", events) }

func writeEvents(tx *tx, suffix string, events []authcore.Event) error {
	if len(events) == 0 {
		return nil
	}
	args := make([]any, 0, 12*len(events))
	for _, e := range events {
		args = append(args, e.ID, micros(e.Time), e.Actor.Kind, e.Actor.User, e.Actor.Session, e.Action, e.Target,
			e.Outcome, e.Details, e.Actor.Client.Address, e.Actor.Client.Agent, e.Actor.Client.RequestID)
	}
	if len(events) == 1 {
		_, err := tx.exec(insertEvent+suffix, args...)
		return err
	}
	_, err := tx.once(insertEvent+strings.Repeat(", "+eventRow, len(events)-1)+suffix, args...)
	return err
}

// EventsAfter reads events in the order of their ids, after one of them.
func (db *DB) EventsAfter(ctx context.Context, after string, limit int) ([]authcore.Event, error) {
	return collect(db, ctx, func(row scanner, e *authcore.Event) error {
		var at int64
		err := row.Scan(&e.ID, &at, &e.Actor.Kind, &e.Actor.User, &e.Actor.Session, &e.Action, &e.Target, &e.Outcome,
			&e.Details, &e.Actor.Client.Address, &e.Actor.Client.Agent, &e.Actor.Client.RequestID)
		e.Time = fromMicros(at)
		return err
	}, "SELECT "+strings.Trim(eventColumns, "()")+" FROM events WHERE id > ? ORDER BY id LIMIT ?", after, limit)
}

// Latest gives the time of the newest audit event, or zero: no honest clock
// is far behind it.
func (db *DB) Latest(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	if _, err := db.first(ctx, "SELECT max(occurred_at) FROM events", nil, &at); err != nil || !at.Valid {
		return time.Time{}, err
	}
	return fromMicros(at.Int64), nil
}
