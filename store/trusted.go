package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.DeviceStore = (*DB)(nil)

// TrustDevice implements authcore.DeviceStore.
func (db *DB) TrustDevice(ctx context.Context, d authcore.TrustedDevice, root authcore.SessionID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := asSession(db.lockActive(tx, d.User)); err != nil {
			return err
		}
		if err := isRootOf(tx, root, d.User); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO devices (id, user_id, hash, agent, address, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			d.ID, d.User, d.Hash.Hex(), d.Agent, d.Address, micros(d.CreatedAt), micros(d.UsedAt), micros(d.ExpiresAt)); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// TrustedDevices implements authcore.DeviceStore.
func (db *DB) TrustedDevices(ctx context.Context, user authcore.UserID, now time.Time) ([]authcore.TrustedDevice, error) {
	return collect(db, ctx, func(row scanner, d *authcore.TrustedDevice) error {
		var created, used, expires int64
		err := row.Scan((*string)(&d.ID), (*string)(&d.User), &d.Agent, &d.Address, &created, &used, &expires)
		d.CreatedAt, d.UsedAt, d.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(expires)
		return err
	}, "SELECT id, user_id, agent, address, created_at, used_at, expires_at FROM devices WHERE user_id = ? AND expires_at > ? ORDER BY created_at DESC, id", user, micros(now))
}

// DistrustDevice implements authcore.DeviceStore.
func (db *DB) DistrustDevice(ctx context.Context, id authcore.DeviceID, user authcore.UserID, keep authcore.SessionID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		ok, err := affected(tx.exec("DELETE FROM devices WHERE id = ? AND user_id = ?", id, user))
		if err != nil {
			return err
		}
		if !ok {
			return authcore.ErrDeviceNotFound
		}
		if _, _, err := endRoots(tx, ev.Time, keep, "user_id = ? AND amr LIKE ?", user, "%device%"); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// useDevice lets a trusted device of a user stand in for the second factor.
func useDevice(tx *tx, user authcore.UserID, hash authcore.TokenHash, at time.Time) error {
	ok, err := affected(tx.exec("UPDATE devices SET used_at = ? WHERE user_id = ? AND hash = ? AND expires_at > ?", micros(at), user, hash.Hex(), micros(at)))
	if err == nil && !ok {
		err = authcore.ErrFactorWrong
	}
	return err
}

// distrust takes all trusted devices from a user: what was proven on them counts no more.
func distrust(tx *tx, user authcore.UserID) error {
	_, err := tx.exec("DELETE FROM devices WHERE user_id = ?", user)
	return err
}
