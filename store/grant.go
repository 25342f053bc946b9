package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var (
	_ authcore.GrantStore  = (*DB)(nil)
	_ authcore.PushedStore = (*DB)(nil)
)

// BeginGrant implements authcore.GrantStore.
func (db *DB) BeginGrant(ctx context.Context, s authcore.ServiceSession, c authcore.GrantCode, pushed authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.beginServiceSession(tx, s); err != nil {
			return err
		}
		if pushed != (authcore.TokenHash{}) {
			ok, err := affected(tx.exec("DELETE FROM pushed_requests WHERE hash = ? AND service_id = ? AND expires_at > ?", pushed.Hex(), s.Service, micros(s.CreatedAt)))
			if err == nil && !ok {
				err = authcore.ErrGrantUsed
			}
			if err != nil {
				return err
			}
		}
		_, err := tx.exec("INSERT INTO grant_codes (hash, session_id, redirect_uri, challenge, nonce, used_at, created_at, expires_at) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
			c.Hash.Hex(), s.ID, c.RedirectURI, c.Challenge, c.Nonce, micros(c.CreatedAt), micros(c.ExpiresAt))
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// beginServiceSession adds a session at a service of a user who may use it, and whose portal
// session lives. It counts the sign-in.
func (db *DB) beginServiceSession(tx *tx, s authcore.ServiceSession) error {
	if err := db.noteEndUser(tx, s.Organization, s.Service, s.User, s.CreatedAt); err != nil {
		return err
	}
	var one int // whoever ends the portal session waits, and then finds what came of it
	err := tx.scan("SELECT 1 FROM sessions WHERE id = ? AND root_id = ? AND user_id = ? AND act_id = ? AND expires_at > ?"+db.dialect.forUpdate(),
		[]any{s.Root, s.Root, s.User, s.Act, micros(s.CreatedAt)}, &one)
	if err == nil && s.Act != "" {
		err = tx.scan("SELECT 1 FROM users WHERE id = ? AND status = ? AND owner = 1", []any{s.Act, authcore.Active}, &one)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrSessionNotFound
	}
	if err != nil {
		return err
	}
	return insertServiceSession(tx, s)
}

// RedeemGrantCode implements authcore.GrantStore. As with a sign-in, a power cut may take the
// last of them.
func (db *DB) RedeemGrantCode(ctx context.Context, hash authcore.TokenHash, until time.Time, keyHash string, refresh *authcore.RefreshToken, access *authcore.GrantToken, replay authcore.Event) error {
	return db.redeemOnce(ctx, redeemed{
		session: "SELECT session_id FROM grant_codes WHERE hash = ?",
		use:     "UPDATE grant_codes SET used_at = ? WHERE hash = ? AND used_at = 0 AND expires_at > ?",
		args:    []any{micros(replay.Time), hash.Hex(), micros(replay.Time)},
		used:    "SELECT 1 FROM grant_codes WHERE hash = ? AND used_at > 0",
		key:     hash,
	}, until, keyHash, refresh, access, replay)
}

// redeemed is what brings the first tokens of a session.
type redeemed struct {
	session string // a query for the session, by the key
	use     string // whoever's statement finds it unused has won
	args    []any  // of use
	used    string // a query that finds it where it was used before, by the key
	key     authcore.TokenHash
}

// redeemOnce uses up what brings the tokens of a session. What was used before ends the
// session. The session is locked first, as by whoever ends it.
func (db *DB) redeemOnce(ctx context.Context, r redeemed, until time.Time, keyHash string, refresh *authcore.RefreshToken, access *authcore.GrantToken, replay authcore.Event) error {
	used := false
	err := db.command(ctx, quick, func(tx *tx) error {
		used = false // of a try that was undone
		var session authcore.SessionID
		if err := tx.scan(r.session, []any{r.key.Hex()}, (*string)(&session)); errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrGrantInvalid
		} else if err != nil {
			return err
		}
		if err := extend(tx, session, until, replay.Time, ", key_hash = ?", keyHash); err != nil {
			return err
		}
		ok, err := affected(tx.exec(r.use, r.args...))
		if err != nil {
			return err
		}
		if !ok {
			var one int
			if err := tx.scan(r.used, []any{r.key.Hex()}, &one); errors.Is(err, sql.ErrNoRows) {
				return authcore.ErrGrantInvalid
			} else if err != nil {
				return err
			}
			used = true
			return endGrant(tx, replay, "id = ?", session)
		}
		if refresh != nil {
			if err := insertRefresh(tx, session, *refresh); err != nil {
				return err
			}
		}
		return insertAccess(tx, session, access)
	})
	if err == nil && used {
		err = authcore.ErrGrantUsed
	}
	return err
}

// extend gives a session that lives until a time, or returns ErrGrantInvalid. It locks it.
// more is a text of this file.
func extend(tx *tx, id authcore.SessionID, until, now time.Time, more string, args ...any) error {
	ok, err := affected(tx.exec("UPDATE service_sessions SET expires_at = ?"+more+" WHERE id = ? AND expires_at > ?", append(append([]any{micros(until)}, args...), id, micros(now))...))
	if err == nil && !ok {
		err = authcore.ErrGrantInvalid
	}
	return err
}

func insertRefresh(tx *tx, session authcore.SessionID, t authcore.RefreshToken) error {
	_, err := tx.exec("INSERT INTO refresh_tokens (hash, session_id, salt, used_at, created_at, expires_at) VALUES (?, ?, '', 0, ?, ?)",
		t.Hash.Hex(), session, micros(t.CreatedAt), micros(t.ExpiresAt))
	return err
}

// insertAccess adds an access token of a session; none where it is nil.
func insertAccess(tx *tx, session authcore.SessionID, t *authcore.GrantToken) error {
	if t == nil {
		return nil
	}
	_, err := tx.exec("INSERT INTO grant_tokens (hash, session_id, service_id, scopes, resources, key_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		t.Hash.Hex(), session, t.Service, words(t.Scopes), words(t.Resources), t.KeyHash, micros(t.CreatedAt), micros(t.ExpiresAt))
	return err
}

// RotateRefresh implements authcore.GrantStore.
func (db *DB) RotateRefresh(ctx context.Context, used authcore.RefreshToken, until time.Time, next authcore.RefreshToken, access *authcore.GrantToken) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := extend(tx, used.Session, until, next.CreatedAt, ""); err != nil {
			return err
		}
		ok, err := affected(tx.exec("UPDATE refresh_tokens SET used_at = ?, salt = ? WHERE hash = ? AND session_id = ? AND used_at = 0", micros(next.CreatedAt), used.Salt, used.Hash.Hex(), used.Session))
		if err == nil && !ok {
			err = authcore.ErrGrantUsed
		}
		if err != nil {
			return err
		}
		if err := insertRefresh(tx, used.Session, next); err != nil {
			return err
		}
		return insertAccess(tx, used.Session, access)
	})
}

// AddGrantToken implements authcore.GrantStore.
func (db *DB) AddGrantToken(ctx context.Context, t authcore.GrantToken) error {
	return db.command(ctx, quick, func(tx *tx) error {
		var one int
		if err := tx.scan("SELECT 1 FROM services WHERE id = ?", []any{t.Service}, &one); errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrServiceNotFound
		} else if err != nil {
			return err
		}
		return insertAccess(tx, t.Session, &t)
	})
}

// EndGrant implements authcore.GrantStore.
func (db *DB) EndGrant(ctx context.Context, service authcore.ServiceID, id authcore.SessionID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		return endGrant(tx, ev, "id = ? AND service_id = ?", id, service)
	})
}

// endGrant ends a session at a service, or returns ErrSessionNotFound.
func endGrant(tx *tx, ev authcore.Event, where string, args ...any) error {
	ended, err := endGrants(tx, ev.Time, where, args...)
	if err == nil && ended.n == 0 {
		err = authcore.ErrSessionNotFound
	}
	if err != nil {
		return err
	}
	if err := ended.note(tx); err != nil {
		return err
	}
	return insertEvents(tx, ev)
}

// PushRequest implements authcore.PushedStore.
func (db *DB) PushRequest(ctx context.Context, p authcore.PushedRequest) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO pushed_requests (hash, service_id, form, expires_at) VALUES (?, ?, ?, ?)", p.Hash.Hex(), p.Service, p.Form, micros(p.ExpiresAt))
		return err
	})
}

// PushedRequest implements authcore.PushedStore.
func (db *DB) PushedRequest(ctx context.Context, hash authcore.TokenHash, now time.Time) (authcore.PushedRequest, error) {
	p := authcore.PushedRequest{Hash: hash}
	var expires int64
	found, err := db.first(ctx, "SELECT service_id, form, expires_at FROM pushed_requests WHERE hash = ? AND expires_at > ?", []any{hash.Hex(), micros(now)}, (*string)(&p.Service), &p.Form, &expires)
	if err == nil && !found {
		err = authcore.ErrGrantInvalid
	}
	if err != nil {
		return authcore.PushedRequest{}, err
	}
	p.ExpiresAt = fromMicros(expires)
	return p, nil
}
