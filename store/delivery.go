package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	deliveryColumns = "id, webhook_id, event_id, type, status, tries, created_at, due_at, tried_at, took, answer_status, answer, failure"
	deliveryRow     = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	insertDelivery  = "INSERT INTO deliveries (" + deliveryColumns + ") VALUES " + deliveryRow
	// deliverySelect reads them with their events.
	deliverySelect = "SELECT d.id, d.webhook_id, d.event_id, d.type, d.status, d.tries, d.created_at, d.due_at, d.tried_at, d.took, d.answer_status, d.answer, d.failure," +
		" e.id, e.occurred_at, e.actor_kind, e.actor_id, e.action, e.target, e.outcome, e.details, e.address, e.organization_id, e.act_id, o.slug" +
		" FROM deliveries d LEFT JOIN events e ON e.id = d.event_id LEFT JOIN organizations o ON o.id = e.organization_id"
	// rowsAtOnce is how many rows one statement inserts.
	rowsAtOnce = 50
)

var insertDeliveries = insertDelivery + strings.Repeat(", "+deliveryRow, rowsAtOnce-1)

func scanDelivery(row scanner, d *authcore.Delivery) error {
	var created, due, tried, took int64
	var id, kind, actor, action, target, outcome, details, address, organization, act, slug sql.NullString
	var at sql.NullInt64
	err := row.Scan((*string)(&d.ID), (*string)(&d.Webhook), &d.EventID, &d.Type, (*string)(&d.Status), &d.Tries, &created, &due, &tried, &took, &d.AnswerStatus, &d.Answer, &d.Failure,
		&id, &at, &kind, &actor, &action, &target, &outcome, &details, &address, &organization, &act, &slug)
	d.CreatedAt, d.DueAt, d.TriedAt, d.Took = fromMicros(created), fromMicros(due), orZero(tried), time.Duration(took)*time.Microsecond
	if id.Valid {
		e := authcore.Event{ID: id.String, Time: fromMicros(at.Int64), Action: authcore.Action(action.String), Target: target.String, Outcome: authcore.Outcome(outcome.String),
			Details: details.String, Organization: authcore.OrganizationID(organization.String)}
		e.Actor.Kind, e.Actor.User, e.Actor.Act, e.Actor.Client.Address = authcore.ActorKind(kind.String), authcore.UserID(actor.String), authcore.UserID(act.String), address.String
		d.Event, d.Slug = &e, slug.String
	}
	return err
}

func deliveryArgs(args []any, d *authcore.Delivery) []any {
	return append(args, d.ID, d.Webhook, d.EventID, d.Type, d.Status, d.Tries, micros(d.CreatedAt), micros(d.DueAt), microsOrZero(d.TriedAt), d.Took.Microseconds(), d.AnswerStatus, d.Answer, d.Failure)
}

func (t *tx) insertDeliveries(all []authcore.Delivery) error {
	for chunk := range slices.Chunk(all, rowsAtOnce) {
		args := make([]any, 0, 13*len(chunk))
		for i := range chunk {
			args = deliveryArgs(args, &chunk[i])
		}
		var err error
		if len(chunk) == rowsAtOnce {
			_, err = t.exec(insertDeliveries, args...)
		} else {
			_, err = t.once(insertDelivery+strings.Repeat(", "+deliveryRow, len(chunk)-1), args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CreateDelivery implements authcore.WebhookStore.
func (db *DB) CreateDelivery(ctx context.Context, d authcore.Delivery) error {
	return db.command(ctx, durable, func(tx *tx) error { return tx.insertDeliveries([]authcore.Delivery{d}) })
}

// DeliveryByID implements authcore.WebhookStore.
func (db *DB) DeliveryByID(ctx context.Context, id authcore.DeliveryID) (authcore.Delivery, error) {
	found, err := collect(db, ctx, scanDelivery, deliverySelect+" WHERE d.id = ?", id)
	if err == nil && len(found) == 0 {
		err = authcore.ErrDeliveryNotFound
	}
	if err != nil {
		return authcore.Delivery{}, err
	}
	return found[0], nil
}

// Deliveries implements authcore.WebhookStore.
func (db *DB) Deliveries(ctx context.Context, w authcore.WebhookID, q authcore.ListQuery) ([]authcore.Delivery, error) {
	l := listing{query: deliverySelect}
	l.that("d.webhook_id = ?", w)
	l.byID(authcore.DeliveryOrders.Of(q.Order), "d.id", q.After)
	return list(db, ctx, scanDelivery, &l, q.Limit)
}

// ResendDelivery implements authcore.WebhookStore.
func (db *DB) ResendDelivery(ctx context.Context, id authcore.DeliveryID, at time.Time) error {
	return db.command(ctx, durable, func(tx *tx) error {
		ok, err := affected(tx.exec("UPDATE deliveries SET status = ?, tries = 0, due_at = ? WHERE id = ?", authcore.DeliveryWaiting, micros(at), id))
		if err == nil && !ok {
			err = authcore.ErrDeliveryNotFound
		}
		return err
	})
}

// dropDeliveries deletes all deliveries of webhooks that were deleted, some at a time. What
// a crash leaves goes with its age.
func (db *DB) dropDeliveries(ctx context.Context, hooks ...authcore.WebhookID) error {
	for _, w := range hooks {
		for {
			ids, err := collect(db, ctx, func(row scanner, id *string) error { return row.Scan(id) }, "SELECT id FROM deliveries WHERE webhook_id = ? ORDER BY id LIMIT ?", w, retentionBatch)
			if err == nil && len(ids) > 0 {
				err = db.command(ctx, quick, func(tx *tx) error {
					_, err := tx.once("DELETE FROM deliveries WHERE id IN "+marks(len(ids)), anys(ids)...)
					return err
				})
			}
			if err != nil {
				return err
			}
			if len(ids) < retentionBatch {
				break
			}
		}
	}
	return nil
}

// The most that one step along the chain takes, so that it holds up nobody else who writes.
const (
	followEvents  = 500
	followBatches = 100
	followRows    = 100
)

// FollowChain makes the deliveries of the next sealed events, and says in the same
// transaction how far it came: no event is left out, and none is told twice. more is true
// where there may be more.
func (db *DB) FollowChain(ctx context.Context, now time.Time) (made int, more bool, err error) {
	if behind, err := db.behind(ctx); err != nil || !behind {
		return 0, false, err
	}
	err = db.command(ctx, quick, func(tx *tx) error { // what a power cut takes is made again
		made, more = 0, false
		at, err := tx.lockCursor(webhookCursor)
		if err != nil {
			return err
		}
		last, full, err := tx.batchesFrom(at)
		if err != nil || last < at.Batch {
			return err
		}
		hooks, err := tx.activeWebhooks()
		if err != nil {
			return err
		}
		events, err := tx.eventsFrom(at, last)
		if err != nil {
			return err
		}
		var all []authcore.Delivery
		next := cursor{Batch: last + 1}
		for i := range events {
			if len(all) >= followRows {
				next, full = cursor{events[i-1].Batch, events[i-1].Position}, true
				break
			}
			for j := range hooks {
				if e := &events[i].Event; hooks[j].Wants(e) {
					all = append(all, authcore.NewDelivery(hooks[j].ID, e.ID, string(e.Action), now))
				}
			}
		}
		if err := tx.insertDeliveries(all); err != nil {
			return err
		}
		made, more = len(all), full
		return tx.moveCursor(webhookCursor, next)
	})
	return made, more && err == nil, err
}

// behind tells whether there are webhooks that some sealed event was not looked at for.
func (db *DB) behind(ctx context.Context) (bool, error) {
	any, err := db.HasWebhooks(ctx)
	if err != nil || !any {
		return false, err
	}
	text, found, err := db.setting(ctx, webhookCursor)
	if err != nil || !found {
		return found, err
	}
	at, err := parseCursor(text)
	if err != nil {
		return false, err
	}
	var newest sql.NullInt64
	_, err = db.first(ctx, "SELECT max(number) FROM event_batches", nil, &newest)
	return newest.Int64 >= at.Batch, err
}

// batchesFrom gives the last batch of the next that hold about followEvents.
func (t *tx) batchesFrom(at cursor) (last int64, full bool, err error) {
	rows, err := t.query("SELECT number, events FROM event_batches WHERE number >= ? ORDER BY number LIMIT ?", at.Batch, followBatches)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	sum, n := 0, 0
	for ; rows.Next() && sum < followEvents; n++ {
		events := 0
		if err := rows.Scan(&last, &events); err != nil {
			return 0, false, err
		}
		sum += events
	}
	return last, sum >= followEvents || n == followBatches, rows.Err()
}

func (t *tx) activeWebhooks() ([]authcore.Webhook, error) {
	rows, err := t.query("SELECT "+webhookColumns+" FROM webhooks WHERE "+told, authcore.WebhookActive)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []authcore.Webhook
	for rows.Next() {
		var w authcore.Webhook
		if err := scanWebhook(rows, &w); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// eventsFrom reads what webhooks choose by of events behind a place, up to a batch.
func (t *tx) eventsFrom(at cursor, last int64) ([]authcore.SealedEvent, error) {
	rows, err := t.query("SELECT id, occurred_at, action, organization_id, batch, place FROM events WHERE batch >= ? AND batch <= ? ORDER BY batch, place, id", at.Batch, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []authcore.SealedEvent
	for rows.Next() {
		var e authcore.SealedEvent
		var when int64
		if err := rows.Scan(&e.ID, &when, (*string)(&e.Action), (*string)(&e.Organization), &e.Batch, &e.Position); err != nil {
			return nil, err
		}
		if e.Time = fromMicros(when); e.Batch > at.Batch || e.Position > at.Place {
			all = append(all, e)
		}
	}
	return all, rows.Err()
}

// WaitingDeliveries tells of each webhook for which something waits how much that is, and
// when the first of it is due.
func (db *DB) WaitingDeliveries(ctx context.Context) (map[authcore.WebhookID]authcore.Waiting, error) {
	type row struct {
		id authcore.WebhookID
		authcore.Waiting
	}
	rows, err := collect(db, ctx, func(s scanner, r *row) error {
		var due int64
		err := s.Scan((*string)(&r.id), &due, &r.Count)
		r.Due = fromMicros(due)
		return err
	}, "SELECT webhook_id, min(due_at), count(*) FROM deliveries WHERE status = ? GROUP BY webhook_id", authcore.DeliveryWaiting)
	all := make(map[authcore.WebhookID]authcore.Waiting, len(rows))
	for _, r := range rows {
		all[r.id] = r.Waiting
	}
	return all, err
}

// DeliveriesDue lists what is due to a webhook, what has waited longest first.
func (db *DB) DeliveriesDue(ctx context.Context, w authcore.WebhookID, now time.Time, limit int) ([]authcore.Delivery, error) {
	return collect(db, ctx, scanDelivery, deliverySelect+" WHERE d.status = ? AND d.webhook_id = ? AND d.due_at <= ? ORDER BY d.due_at, d.id LIMIT ?",
		authcore.DeliveryWaiting, w, micros(now), limit)
}

// FinishDeliveries writes how tries ended, each with the number of tries in it: those of
// deliveries that somebody had sent again meanwhile change nothing. failing gives the
// webhooks that began to fail, and zero for those that work again.
func (db *DB) FinishDeliveries(ctx context.Context, all []authcore.Delivery, failing map[authcore.WebhookID]time.Time) error {
	return db.command(ctx, quick, func(tx *tx) error {
		for i := range all {
			d := &all[i]
			if _, err := tx.exec("UPDATE deliveries SET status = ?, tries = ?, due_at = ?, tried_at = ?, took = ?, answer_status = ?, answer = ?, failure = ? WHERE id = ? AND tries = ? AND status = ?",
				d.Status, d.Tries, micros(d.DueAt), micros(d.TriedAt), d.Took.Microseconds(), d.AnswerStatus, d.Answer, d.Failure, d.ID, d.Tries-1, authcore.DeliveryWaiting); err != nil {
				return err
			}
		}
		for id, since := range failing {
			query, args := "UPDATE webhooks SET failing_since = 0 WHERE id = ?", []any{id}
			if !since.IsZero() {
				query, args = "UPDATE webhooks SET failing_since = ? WHERE id = ? AND failing_since = 0", []any{micros(since), id}
			}
			if _, err := tx.exec(query, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// GiveUpDeliveries gives up some of what waits for a webhook that is told of nothing any
// more. It tells how much that was.
func (db *DB) GiveUpDeliveries(ctx context.Context, w authcore.WebhookID, why string) (n int, err error) {
	ids, err := collect(db, ctx, func(row scanner, id *string) error { return row.Scan(id) }, "SELECT id FROM deliveries WHERE status = ? AND webhook_id = ? LIMIT ?",
		authcore.DeliveryWaiting, w, retentionBatch)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.once("UPDATE deliveries SET status = ?, failure = ? WHERE status = ? AND id IN "+marks(len(ids)), append([]any{authcore.DeliveryLost, why, authcore.DeliveryWaiting}, anys(ids)...)...)
		return err
	})
}

// idBefore is before all UUIDv7 that are made from a time on (RFC 9562, 5.7).
func idBefore(t time.Time) string {
	ms := uint64(t.UnixMilli())
	return fmt.Sprintf("%08x-%04x-", ms>>16, ms&0xffff)
}
