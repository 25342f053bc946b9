package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// CreateCode implements authcore.CodeStore.
func (db *DB) CreateCode(ctx context.Context, c authcore.Code, ev *authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := insertCode(tx, c); err != nil || ev == nil {
			return err
		}
		return insertEvents(tx, *ev)
	})
}

// insertCode adds a code.
func insertCode(tx *tx, c authcore.Code) error {
	_, err := tx.exec("INSERT INTO codes (hash, purpose, session_id, user_id, host, browser, data, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.Hash.Hex(), c.Purpose, c.Session, c.User, c.Host, c.Browser, c.Data, micros(c.CreatedAt), micros(c.ExpiresAt))
	return err
}

// CodeValid implements authcore.CodeStore.
func (db *DB) CodeValid(ctx context.Context, purpose authcore.Purpose, hash authcore.TokenHash, now time.Time) (bool, error) {
	var one int
	return db.first(ctx, "SELECT 1 FROM codes WHERE hash = ? AND purpose = ? AND expires_at > ?", []any{hash.Hex(), purpose, micros(now)}, &one)
}

// redeem uses a code up: whoever's DELETE finds the row has won.
func redeem(tx *tx, purpose authcore.Purpose, hash authcore.TokenHash, now time.Time) (bool, error) {
	return affected(tx.exec("DELETE FROM codes WHERE hash = ? AND purpose = ? AND expires_at > ?", hash.Hex(), purpose, micros(now)))
}

// RedeemHandoff implements authcore.CodeStore. The code of another browser or
// host is left as it is: only the one it is bound to can use it up.
func (db *DB) RedeemHandoff(ctx context.Context, h authcore.Handoff, s authcore.Session, token authcore.TokenHash, ev authcore.Event) (authcore.Session, authcore.Code, error) {
	var code authcore.Code
	err := db.command(ctx, durable, func(tx *tx) error {
		err := tx.scan("SELECT session_id, data FROM codes WHERE hash = ? AND purpose = ? AND host = ? AND browser = ?",
			[]any{h.Code.Hex(), authcore.PurposeHandoff, h.Host, h.Browser}, &code.Session, &code.Data)
		if err != nil {
			return noCode(err)
		}
		ok, err := redeem(tx, authcore.PurposeHandoff, h.Code, h.Now)
		if err != nil {
			return err
		}
		if !ok {
			return authcore.ErrCodeInvalid
		}
		if err := db.fromRoot(tx, code.Session, &s, h.Now); err != nil {
			return err
		}
		if err := insertSession(tx, s, token); err != nil {
			return err
		}
		ev.Actor.Kind, ev.Actor.User, ev.Actor.Session, ev.Actor.Act = authcore.ActorUser, s.UserID, s.Root, s.Act
		return insertEvents(tx, ev)
	})
	return s, code, err
}

// fromRoot completes a child with what it has from its root, which must live
// and belong to an active user.
func (db *DB) fromRoot(tx *tx, root authcore.SessionID, s *authcore.Session, now time.Time) error {
	var amr string
	var auth, expires int64
	err := tx.scan("SELECT r.user_id, r.amr, r.auth_time, r.expires_at, r.identity_id, r.provider, r.act_id FROM sessions r JOIN users u ON u.id = r.user_id"+
		" WHERE r.id = ? AND r.root_id = r.id AND r.expires_at > ? AND u.status = ?"+db.dialect.forUpdate(),
		[]any{root, micros(now), authcore.Active}, &s.UserID, &amr, &auth, &expires, &s.Identity, &s.Provider, &s.Act)
	if err != nil {
		return noCode(err)
	}
	s.Root, s.AMR = root, strings.Fields(amr)
	s.AuthTime, s.ExpiresAt = fromMicros(auth), fromMicros(expires)
	return nil
}

func noCode(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrCodeInvalid
	}
	return err
}
