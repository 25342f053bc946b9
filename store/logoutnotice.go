package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.LogoutNoticeStore = (*DB)(nil)

// LogoutNotices implements authcore.LogoutNoticeStore.
func (db *DB) LogoutNotices(ctx context.Context, now time.Time, each, limit int) ([]authcore.LogoutNotice, error) {
	return collect(db, ctx, func(row scanner, n *authcore.LogoutNotice) error {
		var s serviceRow
		var created int64
		err := row.Scan(s.fields(&n.ID, (*string)(&n.User), (*string)(&n.Session), &created, &n.Tries)...)
		n.Service, n.CreatedAt = s.service(), fromMicros(created)
		return err
	}, "SELECT "+serviceColumns+", n.id, n.user_id, n.session_id, n.created_at, n.tries FROM "+
		"(SELECT id, service_id, user_id, session_id, created_at, tries, due_at, ROW_NUMBER() OVER (PARTITION BY service_id ORDER BY due_at, id) AS place FROM logout_notices WHERE due_at <= ?) n "+
		"JOIN services s ON s.id = n.service_id WHERE n.place <= ? ORDER BY n.due_at, n.id LIMIT ?", micros(now), each, limit)
}

// LogoutNoticeDone implements authcore.LogoutNoticeStore.
func (db *DB) LogoutNoticeDone(ctx context.Context, id string, ev *authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM logout_notices WHERE id = ?", id); err != nil || ev == nil {
			return err
		}
		return insertEvents(tx, *ev)
	})
}

// LogoutNoticeLater implements authcore.LogoutNoticeStore.
func (db *DB) LogoutNoticeLater(ctx context.Context, n authcore.LogoutNotice, until time.Time, others bool) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("UPDATE logout_notices SET tries = tries + 1, due_at = ? WHERE id = ?", micros(until), n.ID)
		if err == nil && others {
			_, err = tx.exec("UPDATE logout_notices SET due_at = ? WHERE service_id = ? AND due_at < ?", micros(until), string(n.Service.ID), micros(until))
		}
		return err
	})
}
