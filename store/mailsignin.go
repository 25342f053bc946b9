package store

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// SignInByMail implements authcore.MailStore.
func (db *DB) SignInByMail(ctx context.Context, in authcore.MailSignIn) (waits bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		waits = false // of a try that was undone
		var browser string
		if err := tx.scan("SELECT browser FROM codes WHERE hash = ?", []any{in.Code.Hex()}, &browser); err != nil {
			return noCode(err)
		}
		user, data, err := redeemOf(tx, in.Purpose, in.Code, in.Event.Time)
		if err != nil {
			return err
		}
		if browser != in.Browser || user != in.Session.UserID {
			return authcore.ErrCodeInvalid
		}
		if _, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND browser = ? AND purpose IN (?, ?)", user, browser, authcore.PurposeMailLink, authcore.PurposeMailCode); err != nil {
			return err
		}
		if err := asCode(db.lockActive(tx, user)); err != nil {
			return err
		}
		var bound struct{ State string }
		if err := json.Unmarshal([]byte(data), &bound); err != nil {
			return err
		}
		if state, err := recoveryState(tx, user); err != nil {
			return err
		} else if state != bound.State {
			return authcore.ErrCodeInvalid
		}
		if waits, err = needsFactor(tx, user); err != nil {
			return err
		}
		if waits {
			return insertEvents(tx, in.Waits)
		}
		if err := insertSession(tx, in.Session, in.Token); err != nil {
			return err
		}
		return insertEvents(tx, in.Event)
	})
	return waits && err == nil, err
}
