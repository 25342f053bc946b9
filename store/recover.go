package store

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// CodeOf implements authcore.MailStore.
func (db *DB) CodeOf(ctx context.Context, purpose authcore.Purpose, hash authcore.TokenHash, now time.Time) (authcore.Code, error) {
	c := authcore.Code{Hash: hash, Purpose: purpose}
	var created, expires int64
	found, err := db.first(ctx, "SELECT user_id, browser, data, created_at, expires_at FROM codes WHERE hash = ? AND purpose = ? AND expires_at > ?",
		[]any{hash.Hex(), purpose, micros(now)}, (*string)(&c.User), &c.Browser, &c.Data, &created, &expires)
	if err == nil && !found {
		err = authcore.ErrCodeInvalid
	}
	c.CreatedAt, c.ExpiresAt = fromMicros(created), fromMicros(expires)
	return c, err
}

// Recover implements authcore.MailStore.
func (db *DB) Recover(ctx context.Context, code authcore.TokenHash, hash password.Hash, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		user, state, err := redeemOf(tx, authcore.PurposeRecover, code, ev.Time)
		if err != nil {
			return err
		}
		if err := asCode(db.lockActive(tx, user)); err != nil {
			return err
		}
		if now, err := recoveryState(tx, user); err != nil {
			return err
		} else if now != state {
			return authcore.ErrCodeInvalid
		}
		return setPassword(tx, user, hash, "", ev, mail)
	})
}

// recoveryState is RecoveryState of a user as the user is now.
func recoveryState(tx *tx, user authcore.UserID) (string, error) {
	var email string
	var since int64
	if err := tx.scan("SELECT u.email, COALESCE(p.updated_at, 0) FROM users u LEFT JOIN passwords p ON p.user_id = u.id WHERE u.id = ?", []any{user}, &email, &since); err != nil {
		return "", noCode(err)
	}
	var at time.Time
	if since != 0 {
		at = fromMicros(since)
	}
	return authcore.RecoveryState(at, email), nil
}

// redeemOf uses a code of a user up, and gives the user and what the code holds.
func redeemOf(tx *tx, purpose authcore.Purpose, hash authcore.TokenHash, now time.Time) (user authcore.UserID, data string, err error) {
	if err := tx.scan("SELECT user_id, data FROM codes WHERE hash = ? AND purpose = ?", []any{hash.Hex(), purpose}, (*string)(&user), &data); err != nil {
		return "", "", noCode(err)
	}
	ok, err := redeem(tx, purpose, hash, now)
	if err == nil && !ok {
		err = authcore.ErrCodeInvalid
	}
	return user, data, err
}

// asCode makes of a user who is not active a code that is no good.
func asCode(err error) error {
	if errors.Is(err, authcore.ErrLoginFailed) {
		return authcore.ErrCodeInvalid.With(err)
	}
	return err
}
