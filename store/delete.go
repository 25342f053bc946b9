package store

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.DeletionStore = (*DB)(nil)

// ofUser are the tables with rows of a user.
var ofUser = []string{"DELETE FROM passwords WHERE user_id = ?", "DELETE FROM user_groups WHERE user_id = ?", "DELETE FROM totps WHERE user_id = ?",
	"DELETE FROM recovery_codes WHERE user_id = ?", "DELETE FROM passkeys WHERE user_id = ?", "DELETE FROM devices WHERE user_id = ?",
	"DELETE FROM sessions WHERE user_id = ?", "DELETE FROM access_tokens WHERE user_id = ?", "DELETE FROM codes WHERE user_id = ?",
	"DELETE FROM identities WHERE user_id = ?", "DELETE FROM mails WHERE user_id = ?", "DELETE FROM members WHERE user_id = ?",
	"DELETE FROM codes WHERE hash IN (SELECT hash FROM invitations WHERE created_by = ?)", "DELETE FROM invitations WHERE created_by = ?",
	"DELETE FROM service_access WHERE user_id = ?", "DELETE FROM end_users WHERE user_id = ?", "DELETE FROM consents WHERE user_id = ?", "DELETE FROM device_grants WHERE user_id = ?",
	"DELETE FROM barred WHERE user_id = ?", "DELETE FROM users WHERE id = ?"}

// DeleteUser implements authcore.DeletionStore.
func (db *DB) DeleteUser(ctx context.Context, id authcore.UserID, at time.Time, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockToEnd(tx, id); err != nil {
			return err
		}
		if err := distrust(tx, id); err != nil {
			return err
		}
		for _, q := range []string{"DELETE FROM sessions WHERE user_id = ?", "DELETE FROM access_tokens WHERE user_id = ?", "DELETE FROM codes WHERE user_id = ?",
			"DELETE FROM device_grants WHERE user_id = ?"} {
			if _, err := tx.exec(q, id); err != nil {
				return err
			}
		}
		if _, err := endGrants(tx, ev.Time, "user_id = ?", id); err != nil {
			return err
		}
		if !at.IsZero() {
			if err := post(tx, mail); err != nil {
				return err
			}
			return db.setUser(tx, id, ev, "status = ?, delete_at = ?", authcore.Disabled, micros(at))
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return db.purge(tx, id, ev)
	})
}

// purge deletes all rows of a user who is locked. Notices of sign-outs stay until services
// know: they hold no more of the user than the id.
func (db *DB) purge(tx *tx, id authcore.UserID, ev authcore.Event) error {
	if _, err := endGrants(tx, ev.Time, "user_id = ?", id); err != nil {
		return err
	}
	for _, q := range ofUser {
		if _, err := tx.exec(q, id); err != nil {
			return err
		}
	}
	_, err := tx.exec("INSERT INTO erased (user_id, signature, erased_at) VALUES (?, ?, ?)"+db.dialect.orNothing("user_id"), id, db.chain().Erasure(id), micros(ev.Time))
	if err != nil {
		return err
	}
	return noteUser(tx, id, ev)
}

// DeleteDue deletes a user whose time has come, and who was not brought back meanwhile. It
// tells whether it did.
func (db *DB) DeleteDue(ctx context.Context, id authcore.UserID, ev authcore.Event) (deleted bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		var one int
		err := tx.scan("SELECT 1 FROM users WHERE id = ? AND delete_at > 0 AND delete_at <= ?"+db.dialect.forUpdate(), []any{id, micros(ev.Time)}, &one)
		if deleted = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return db.purge(tx, id, ev)
	})
	return deleted && err == nil, err
}

// UsersToDelete implements authcore.DeletionStore.
func (db *DB) UsersToDelete(ctx context.Context, now time.Time, limit int) ([]authcore.UserID, error) {
	return collect(db, ctx, func(row scanner, id *authcore.UserID) error { return row.Scan((*string)(id)) },
		"SELECT id FROM users WHERE delete_at > 0 AND delete_at <= ? ORDER BY delete_at LIMIT ?", micros(now), limit)
}

// KeepUser implements authcore.DeletionStore.
func (db *DB) KeepUser(ctx context.Context, code authcore.TokenHash, id authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		of, _, err := redeemOf(tx, authcore.PurposeKeep, code, ev.Time)
		if err != nil {
			return err
		}
		if of != id {
			return authcore.ErrCodeInvalid
		}
		var one int
		if err := tx.scan("SELECT 1 FROM users WHERE id = ? AND delete_at > 0"+db.dialect.forUpdate(), []any{id}, &one); err != nil {
			return noCode(err)
		}
		return db.setUser(tx, id, ev, "status = ?, delete_at = 0", authcore.Active)
	})
}

// EventsOf implements authcore.DeletionStore.
func (db *DB) EventsOf(ctx context.Context, user authcore.UserID, after string, limit int) ([]authcore.SealedEvent, error) {
	return collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE actor_id = ? AND id > ? UNION SELECT "+eventColumns+" FROM events WHERE target = ? AND id > ? ORDER BY id LIMIT ?",
		user, after, authcore.TargetUser(user), after, limit)
}

// erased gives the users who were deleted, as far as the gate has signed that.
func (db *DB) erased(ctx context.Context) (map[authcore.UserID]bool, error) {
	type row struct {
		user      authcore.UserID
		signature string
	}
	rows, err := collect(db, ctx, func(s scanner, r *row) error { return s.Scan((*string)(&r.user), &r.signature) }, "SELECT user_id, signature FROM erased")
	if err != nil {
		return nil, err
	}
	all, chain := make(map[authcore.UserID]bool, len(rows)), db.chain()
	for _, r := range rows {
		if subtle.ConstantTimeCompare([]byte(chain.Erasure(r.user)), []byte(r.signature)) == 1 {
			all[r.user] = true
		}
	}
	return all, nil
}

// EraseEvents takes what is personal from the events of users who were deleted since a
// time: some may be written after their deletion. It tells how many events that were.
func (db *DB) EraseEvents(ctx context.Context, since time.Time) (n int, err error) {
	users, err := collect(db, ctx, func(row scanner, id *authcore.UserID) error { return row.Scan((*string)(id)) },
		"SELECT user_id FROM erased WHERE erased_at >= ? ORDER BY erased_at", micros(since))
	for _, user := range users {
		for after := ""; err == nil; {
			var page []authcore.SealedEvent
			if page, err = db.EventsOf(ctx, user, after, retentionBatch); err != nil || len(page) == 0 {
				break
			}
			after = page[len(page)-1].ID
			err = db.command(ctx, quick, func(tx *tx) error {
				for _, e := range page {
					switch {
					case e.Anonymous():
						continue
					case e.Batch >= 0: // else it is from before the chain
						e.Anonymise()
					}
					if _, err := tx.exec("UPDATE events SET details = '', address = '', agent = '', request_id = '', blinding = ? WHERE id = ?", e.Blinding, e.ID); err != nil {
						return err
					}
					n++
				}
				return nil
			})
		}
	}
	return n, err
}
