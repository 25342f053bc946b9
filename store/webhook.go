package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.WebhookStore = (*DB)(nil)

const webhookColumns = "id, organization_id, name, url, events, status, reason, sealed, failing_since, created_at, updated_at"

func scanWebhook(row scanner, w *authcore.Webhook) error {
	var types string
	var failing, created, updated int64
	err := row.Scan((*string)(&w.ID), (*string)(&w.Organization), &w.Name, &w.URL, &types, (*string)(&w.Status), &w.Reason, &w.Sealed, &failing, &created, &updated)
	w.Events, w.FailingSince = strings.Fields(types), orZero(failing)
	w.CreatedAt, w.UpdatedAt = fromMicros(created), fromMicros(updated)
	return err
}

// orZero is a time of which 0 says that it never was.
func orZero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return fromMicros(us)
}

// microsOrZero is the other way round.
func microsOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// cursor is a place in the audit chain up to which somebody has followed it: behind an
// event of a batch.
type cursor struct {
	Batch int64
	Place int
}

func (c cursor) text() string { return fmt.Sprintf("%d %d", c.Batch, c.Place) }

func parseCursor(text string) (c cursor, err error) {
	if _, err = fmt.Sscanf(text, "%d %d", &c.Batch, &c.Place); err != nil {
		err = fmt.Errorf("the setting that says how far the audit chain was followed, %q, cannot be read", text)
	}
	return c, err
}

// webhookCursor is the setting with how far webhooks were told. Whoever has its row locked
// is the only one who changes it, or makes the first webhook.
const webhookCursor = "webhook_cursor"

// lockCursor locks a cursor and gives it; one that is new begins with the first batch.
func (t *tx) lockCursor(name string) (c cursor, err error) {
	if _, err := t.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+t.db.dialect.orNothing("name"), name, c.text()); err != nil {
		return c, err
	}
	var text string
	if err := t.scan("SELECT value FROM settings WHERE name = ?"+t.db.dialect.forUpdate(), []any{name}, &text); err != nil {
		return c, err
	}
	return parseCursor(text)
}

func (t *tx) moveCursor(name string, c cursor) error {
	_, err := t.exec("UPDATE settings SET value = ? WHERE name = ?", c.text(), name)
	return err
}

// newest is the place behind all that is sealed.
func (t *tx) newest() (c cursor, err error) {
	var number sql.NullInt64
	err = t.scan("SELECT max(number) FROM event_batches", nil, &number)
	return cursor{Batch: number.Int64 + 1}, err
}

// CreateWebhook implements authcore.WebhookStore. The chain is followed only while there
// are webhooks: the first begins at its end.
func (db *DB) CreateWebhook(ctx context.Context, w authcore.Webhook, most int, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := tx.lockCursor(webhookCursor); err != nil {
			return err
		}
		if w.Organization != "" {
			if _, err := db.lockOrganization(tx, w.Organization); err != nil {
				return err
			}
		}
		all, there := 0, 0
		if err := tx.scan("SELECT count(*) FROM webhooks", nil, &all); err != nil {
			return err
		}
		if all == 0 {
			end, err := tx.newest()
			if err == nil {
				err = tx.moveCursor(webhookCursor, end)
			}
			if err != nil {
				return err
			}
		}
		if err := tx.scan("SELECT count(*) FROM webhooks WHERE organization_id = ?", []any{w.Organization}, &there); err != nil {
			return err
		}
		if there >= most {
			return authcore.ErrWebhookLimit
		}
		if _, err := tx.exec("INSERT INTO webhooks ("+webhookColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", w.ID, w.Organization, w.Name, w.URL, w.Events.String(),
			w.Status, w.Reason, w.Sealed, microsOrZero(w.FailingSince), micros(w.CreatedAt), micros(w.UpdatedAt)); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// WebhookByID implements authcore.WebhookStore.
func (db *DB) WebhookByID(ctx context.Context, id authcore.WebhookID) (authcore.Webhook, error) {
	found, err := collect(db, ctx, scanWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE id = ?", id)
	if err == nil && len(found) == 0 {
		err = authcore.ErrWebhookNotFound
	}
	if err != nil {
		return authcore.Webhook{}, err
	}
	return found[0], nil
}

// Webhooks implements authcore.WebhookStore.
func (db *DB) Webhooks(ctx context.Context, o authcore.OrganizationID, q authcore.ListQuery) ([]authcore.Webhook, error) {
	l := listing{query: "SELECT " + webhookColumns + " FROM webhooks"}
	l.that("organization_id = ?", o)
	l.byID(authcore.WebhookOrders.Of(q.Order), "id", q.After)
	return list(db, ctx, scanWebhook, &l, q.Limit)
}

// told is the condition that a webhook is told of events: it is active, and so is its
// organization.
const told = "status = ? AND (organization_id = '' OR EXISTS (SELECT 1 FROM organizations o WHERE o.id = webhooks.organization_id AND o.status = 'active'))"

// ActiveWebhooks lists all that are told of events.
func (db *DB) ActiveWebhooks(ctx context.Context) ([]authcore.Webhook, error) {
	return collect(db, ctx, scanWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE "+told+" ORDER BY id", authcore.WebhookActive)
}

// HasWebhooks tells whether there are any.
func (db *DB) HasWebhooks(ctx context.Context) (bool, error) {
	var one int
	return db.first(ctx, "SELECT 1 FROM webhooks LIMIT 1", nil, &one)
}

func (db *DB) webhookIDs(ctx context.Context, o authcore.OrganizationID) ([]authcore.WebhookID, error) {
	return collect(db, ctx, func(row scanner, id *authcore.WebhookID) error { return row.Scan((*string)(id)) }, "SELECT id FROM webhooks WHERE organization_id = ?", o)
}

// UpdateWebhook implements authcore.WebhookStore. What waits is given up by whoever
// delivers, a few at a time: it can be much.
func (db *DB) UpdateWebhook(ctx context.Context, w authcore.Webhook, was time.Time, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		ok, err := affected(tx.exec("UPDATE webhooks SET name = ?, url = ?, events = ?, status = ?, reason = ?, sealed = ?, failing_since = ?, updated_at = ? WHERE id = ? AND updated_at = ?",
			w.Name, w.URL, w.Events.String(), w.Status, w.Reason, w.Sealed, microsOrZero(w.FailingSince), micros(w.UpdatedAt), w.ID, micros(was)))
		if err == nil && !ok {
			err = authcore.ErrWebhookMoved
		}
		if err == nil {
			err = post(tx, mail)
		}
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// DeleteWebhook implements authcore.WebhookStore.
func (db *DB) DeleteWebhook(ctx context.Context, id authcore.WebhookID, ev authcore.Event) error {
	err := db.command(ctx, durable, func(tx *tx) error {
		ok, err := affected(tx.exec("DELETE FROM webhooks WHERE id = ?", id))
		if err == nil && !ok {
			err = authcore.ErrWebhookNotFound
		}
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
	if err == nil {
		err = db.dropDeliveries(ctx, id)
	}
	return err
}

// OwnersOf implements authcore.WebhookStore.
func (db *DB) OwnersOf(ctx context.Context, o authcore.OrganizationID) ([]authcore.User, error) {
	query, args := "SELECT id FROM users WHERE owner = 1 AND status = ? ORDER BY id", []any{authcore.Active}
	if o != "" {
		query, args = "SELECT u.id FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? AND m.role = ? AND u.status = ? ORDER BY u.id", []any{o, authcore.RoleOwner, authcore.Active}
	}
	ids, err := collect(db, ctx, func(row scanner, id *authcore.UserID) error { return row.Scan((*string)(id)) }, query, args...)
	var all []authcore.User
	for _, id := range ids {
		u, _, err := db.UserByID(ctx, id)
		if errors.Is(err, authcore.ErrUserNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, err
}

// Followed gives a place in the chain up to which somebody has followed it, by a name;
// where that is new it is the end of the chain, from now on.
func (db *DB) Followed(ctx context.Context, name string) (batch int64, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		var text string
		err := tx.scan("SELECT value FROM settings WHERE name = ?", []any{name}, &text)
		if errors.Is(err, sql.ErrNoRows) {
			c, err := tx.newest()
			if err != nil {
				return err
			}
			batch = c.Batch - 1
			_, err = tx.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+db.dialect.orNothing("name"), name, cursor{Batch: batch}.text())
			return err
		}
		if err != nil {
			return err
		}
		c, err := parseCursor(text)
		batch = c.Batch
		return err
	})
	return batch, err
}

// Follow moves such a place on.
func (db *DB) Follow(ctx context.Context, name string, batch int64) error {
	return db.command(ctx, durable, func(tx *tx) error {
		return tx.moveCursor(name, cursor{Batch: batch})
	})
}

// SlugsOf gives the slugs of organizations by their ids, as far as they are there.
func (db *DB) SlugsOf(ctx context.Context, ids []authcore.OrganizationID) (map[authcore.OrganizationID]string, error) {
	all := make(map[authcore.OrganizationID]string, len(ids))
	for _, id := range ids {
		var slug string
		found, err := db.first(ctx, "SELECT slug FROM organizations WHERE id = ?", []any{id}, &slug)
		if err != nil {
			return nil, err
		}
		if found {
			all[id] = slug
		}
	}
	return all, nil
}
