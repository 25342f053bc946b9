package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const eventColumns = "id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id," +
	" batch, place, blinding, leaf, organization_id, act_id"

// eventRow is one row of placeholders for eventColumns.
const eventRow = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

const insertEvent = "INSERT INTO events (" + eventColumns + ") VALUES " + eventRow

// insertEvents writes the events of a command, with their codes. They join the
// chain with the next batch: so commands need not wait for one another.
func insertEvents(tx *tx, events ...authcore.Event) error {
	chain, salts := tx.db.chain(), authcore.Salts(len(events))
	rows := make([]authcore.SealedEvent, len(events))
	for i, e := range events {
		rows[i] = authcore.SealedEvent{Event: e, Blinding: salts[i], Leaf: chain.Leaf(&e, salts[i])}
	}
	tx.unsealed = true
	return writeEvents(tx, rows)
}

func writeEvents(tx *tx, rows []authcore.SealedEvent) error {
	if len(rows) == 0 {
		return nil
	}
	args := make([]any, 0, 18*len(rows))
	for i := range rows {
		e := &rows[i]
		args = append(args, e.ID, micros(e.Time), e.Actor.Kind, e.Actor.User, e.Actor.Session, e.Action, e.Target,
			e.Outcome, e.Details, e.Actor.Client.Address, e.Actor.Client.Agent, e.Actor.Client.RequestID,
			e.Batch, e.Position, e.Blinding, e.Leaf, e.Organization, e.Actor.Act)
	}
	if len(rows) == 1 {
		_, err := tx.exec(insertEvent, args...)
		return err
	}
	_, err := tx.once(insertEvent+strings.Repeat(", "+eventRow, len(rows)-1), args...)
	return err
}

func scanEvent(row scanner, e *authcore.SealedEvent) error {
	var at int64
	err := row.Scan(&e.ID, &at, &e.Actor.Kind, &e.Actor.User, &e.Actor.Session, &e.Action, &e.Target, &e.Outcome,
		&e.Details, &e.Actor.Client.Address, &e.Actor.Client.Agent, &e.Actor.Client.RequestID,
		&e.Batch, &e.Position, &e.Blinding, &e.Leaf, (*string)(&e.Organization), (*string)(&e.Actor.Act))
	e.Time = fromMicros(at)
	return err
}

// EventsAfter reads events in the order of their ids, after one of them.
func (db *DB) EventsAfter(ctx context.Context, after string, limit int) ([]authcore.SealedEvent, error) {
	return collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE id > ? ORDER BY id LIMIT ?", after, limit)
}

// UnsealedEvents reads events that are in no batch yet, and those from before there
// were batches (batch -1), in the order of their ids.
func (db *DB) UnsealedEvents(ctx context.Context, after string, limit int) ([]authcore.SealedEvent, error) {
	return collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE batch <= 0 AND id > ? ORDER BY id LIMIT ?", after, limit)
}

// SealedBatches reads batches with their events, in the order of the chain, after
// one of them: as many as hold about that many events.
func (db *DB) SealedBatches(ctx context.Context, after int64, events int) ([]authcore.EventBatch, error) {
	batches, err := collect(db, ctx, func(row scanner, b *authcore.EventBatch) error {
		var at int64
		err := row.Scan(&b.Number, &b.Count, &b.Link, &at)
		b.SealedAt = fromMicros(at)
		return err
	}, "SELECT number, events, link, sealed_at FROM event_batches WHERE number > ? ORDER BY number LIMIT ?", after, events)
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	n := 0
	for i := range batches {
		if n += batches[i].Count; n >= events {
			batches = batches[:i+1]
			break
		}
	}
	rows, err := collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE batch >= ? AND batch <= ? ORDER BY batch, place, id",
		batches[0].Number, batches[len(batches)-1].Number)
	if err != nil {
		return nil, err
	}
	for i := range batches {
		b := &batches[i]
		for len(rows) > 0 && rows[0].Batch <= b.Number {
			b.Events = append(b.Events, rows[0])
			rows = rows[1:]
		}
	}
	return batches, nil
}

// BatchAt gives the number of the last batch that was sealed before a time, or 0.
func (db *DB) BatchAt(ctx context.Context, at time.Time) (int64, error) {
	var number sql.NullInt64
	_, err := db.first(ctx, "SELECT max(number) FROM event_batches WHERE sealed_at < ?", []any{micros(at)}, &number)
	return number.Int64, err
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
