package store

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Disown implements authcore.MailStore.
func (db *DB) Disown(ctx context.Context, code authcore.TokenHash, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		of, data, err := redeemOf(tx, authcore.PurposeDisown, code, ev.Time)
		if err != nil {
			return err
		}
		state, undo, _ := strings.Cut(data, "\n")
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		if now, err := recoveryState(tx, user); err != nil {
			return err
		} else if of != user || now != state {
			return authcore.ErrCodeInvalid
		}
		if _, err := tx.exec("DELETE FROM access_tokens WHERE user_id = ?", user); err != nil {
			return err
		}
		switch kind, id, _ := strings.Cut(undo, " "); kind {
		case "passkey":
			_, err = tx.exec("DELETE FROM passkeys WHERE user_id = ? AND id = ?", user, id)
		case "identity":
			_, err = tx.exec("DELETE FROM identities WHERE user_id = ? AND id = ?", user, id)
		}
		if err != nil {
			return err
		}
		if _, err := db.endAll(tx, user, "", ev.Time); err != nil {
			return err
		}
		// The password may be the intruder's: it counts no more, until it is recovered.
		if _, err := tx.exec("UPDATE passwords SET hash = '' WHERE user_id = ?", user); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}
