package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Impersonate implements authcore.ImpersonationStore.
func (db *DB) Impersonate(ctx context.Context, s authcore.Session, token authcore.TokenHash, by authcore.SessionID, ev authcore.Event, mail ...authcore.Post) (authcore.Session, error) {
	err := db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockActing(tx, s.Act, s.UserID); err != nil {
			return err
		}
		var amr string
		var auth int64
		err := tx.scan("SELECT amr, auth_time FROM sessions WHERE id = ? AND root_id = ? AND user_id = ? AND act_id = '' AND expires_at > ?",
			[]any{by, by, s.Act, micros(s.CreatedAt)}, &amr, &auth)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrNoSession
		}
		if err != nil {
			return err
		}
		s.AMR, s.AuthTime = strings.Fields(amr), fromMicros(auth)
		if err := insertSession(tx, s, token); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
	return s, err
}

// lockActing locks a platform owner and the user whom that owner is to act as, in the order
// of their ids.
func (db *DB) lockActing(tx *tx, owner, user authcore.UserID) error {
	type standing struct {
		status string
		owner  int64
	}
	var of [2]standing
	ids, first := [2]authcore.UserID{owner, user}, 0
	if user < owner {
		first = 1
	}
	for _, i := range []int{first, 1 - first} {
		err := tx.scan("SELECT status, owner FROM users WHERE id = ?"+db.dialect.forUpdate(), []any{ids[i]}, &of[i].status, &of[i].owner)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	active := string(authcore.Active)
	switch {
	case of[0].status != active || of[0].owner == 0:
		return authcore.ErrNotOwner
	case of[1].status == "":
		return authcore.ErrUserNotFound
	case of[1].owner != 0:
		return authcore.ErrActAsOwner
	case of[1].status != active:
		return authcore.ErrActAsDisabled
	}
	return nil
}

// mayStillAct returns ErrNoSession unless somebody is an active platform owner: a session in
// which nobody acts any more has ended.
func (db *DB) mayStillAct(ctx context.Context, owner authcore.UserID) error {
	var one int
	found, err := db.first(ctx, "SELECT 1 FROM users WHERE id = ? AND status = ? AND owner = 1", []any{owner, authcore.Active}, &one)
	if err == nil && !found {
		err = authcore.ErrNoSession
	}
	return err
}

// endActs ends the sessions in which somebody acts as others. No index finds them, since
// few sessions are such, but they are among those that end soon.
func endActs(tx *tx, owner authcore.UserID, at time.Time) error {
	roots, err := tx.texts("SELECT id FROM sessions WHERE expires_at <= ? AND act_id = ? AND id = root_id", micros(tx.db.now().Add(2*authcore.ActingLife)), owner)
	for _, root := range roots {
		if err == nil {
			_, err = tx.exec("DELETE FROM sessions WHERE root_id = ?", root)
		}
	}
	if err != nil {
		return err
	}
	ended, err := endGrantsUnder(tx, at, roots)
	if err != nil {
		return err
	}
	return ended.note(tx)
}
