package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// PendingEmail implements authcore.MailStore.
func (db *DB) PendingEmail(ctx context.Context, user authcore.UserID, now time.Time) (email string, err error) {
	_, err = db.first(ctx, "SELECT data FROM codes WHERE user_id = ? AND purpose = ? AND expires_at > ? ORDER BY created_at DESC LIMIT 1",
		[]any{user, authcore.PurposeVerify, micros(now)}, &email)
	return email, err
}

// CancelEmail implements authcore.MailStore.
func (db *DB) CancelEmail(ctx context.Context, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND purpose = ? AND data <> (SELECT email FROM users WHERE id = ?)", user, authcore.PurposeVerify, user); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// VerifyEmail implements authcore.MailStore.
func (db *DB) VerifyEmail(ctx context.Context, code authcore.TokenHash, user authcore.UserID, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		of, email, err := redeemOf(tx, authcore.PurposeVerify, code, ev.Time)
		if err != nil {
			return err
		}
		if of != user {
			return authcore.ErrCodeInvalid
		}
		if err := asCode(db.lockActive(tx, user)); err != nil {
			return err
		}
		if err := takeUnproven(tx, email, user, ev); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return db.setUser(tx, user, ev, "email = ?, email_verified = 1, email_key = ?", email, emailKey(email))
	})
}

// takeUnproven takes an address from another user, if one has it who never proved it.
func takeUnproven(tx *tx, email string, besides authcore.UserID, ev authcore.Event) error {
	var holder authcore.UserID
	err := tx.scan("SELECT id FROM users WHERE email_key = ? AND id <> ? AND email_verified = 0", []any{authcore.EmailKey(email), besides}, (*string)(&holder))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return takeEmail(tx, holder, email, ev)
}

// dropLinks deletes the codes of links in mails to a user, but for one that verifies the
// address that the user has.
func dropLinks(tx *tx, user authcore.UserID) error {
	_, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND (purpose IN (?, ?, ?, ?) OR purpose = ? AND data <> (SELECT email FROM users WHERE id = ?))",
		user, authcore.PurposeRecover, authcore.PurposeMailLink, authcore.PurposeMailCode, authcore.PurposeDisown, authcore.PurposeVerify, user)
	return err
}
