package store

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const accessColumns = "t.id, t.user_id, t.name, t.hosts, t.paths, t.scopes, t.created_at, t.last_seen_at, t.expires_at, t.second_factor"

// accessByHash gives one row for each group of the user.
const accessByHash = "SELECT " + accessColumns + ", " + liveColumns + ", g.name FROM access_tokens t" +
	" JOIN users u ON u.id = t.user_id LEFT JOIN user_groups g ON g.user_id = u.id WHERE t.token_hash = ? ORDER BY g.name"

// accessRow receives accessColumns.
type accessRow struct {
	t                      authcore.AccessToken
	hosts, paths, scopes   string
	created, seen, expires int64
	second                 int64
}

func (r *accessRow) fields(more ...any) []any {
	return append([]any{(*string)(&r.t.ID), (*string)(&r.t.UserID), &r.t.Name, &r.hosts, &r.paths, &r.scopes, &r.created, &r.seen, &r.expires, &r.second}, more...)
}

func (r *accessRow) token() authcore.AccessToken {
	t := r.t
	t.Grant.Hosts, t.Grant.Paths, t.Grant.Scopes = fields(r.hosts), fields(r.paths), fields(r.scopes)
	t.CreatedAt, t.ExpiresAt = fromMicros(r.created), fromMicros(r.expires)
	t.SecondFactor = r.second != 0
	if r.seen != 0 {
		t.LastUsed = fromMicros(r.seen)
	}
	return t
}

// fields reads a list; nil is none.
func fields(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Fields(text)
}

// AccessTokenByHash implements authcore.SessionReader.
func (db *DB) AccessTokenByHash(ctx context.Context, token authcore.TokenHash) (authcore.AccessToken, authcore.User, error) {
	var r accessRow
	var of userRow
	groups, n, err := db.withGroups(ctx, accessByHash, token.Hex(), r.fields(of.live()...))
	if err != nil {
		return authcore.AccessToken{}, authcore.User{}, err
	}
	if n == 0 {
		return authcore.AccessToken{}, authcore.User{}, authcore.ErrNoSession
	}
	u := of.user()
	if u.Groups = groups; of.organizations > 0 {
		u.Memberships, err = db.Memberships(ctx, u.ID)
	}
	return r.token(), u, err
}

// CreateAccessToken implements authcore.AccessStore.
func (db *DB) CreateAccessToken(ctx context.Context, t authcore.AccessToken, hash authcore.TokenHash, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, t.UserID); err != nil {
			return err
		}
		if err := insertAccessToken(tx, t, hash); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// insertAccessToken adds an access token of a user who is locked, where there is room.
func insertAccessToken(tx *tx, t authcore.AccessToken, hash authcore.TokenHash) error {
	var n int
	if err := tx.scan("SELECT count(*) FROM access_tokens WHERE user_id = ?", []any{t.UserID}, &n); err != nil {
		return err
	}
	if n >= authcore.MaxAccessTokens {
		return authcore.ErrTooManyTokens
	}
	_, err := tx.exec("INSERT INTO access_tokens (id, user_id, name, token_hash, hosts, paths, scopes, created_at, last_seen_at, expires_at, second_factor)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)", t.ID, t.UserID, t.Name, hash.Hex(), words(t.Grant.Hosts), words(t.Grant.Paths), words(t.Grant.Scopes),
		micros(t.CreatedAt), micros(t.ExpiresAt), flag(t.SecondFactor))
	return err
}

// AccessTokens implements authcore.AccessStore.
func (db *DB) AccessTokens(ctx context.Context, user authcore.UserID, after authcore.SessionID, limit int) ([]authcore.AccessToken, error) {
	query, args := "SELECT "+accessColumns+", u.username FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.id > ?", []any{after}
	if user != "" {
		query += " AND t.user_id = ?"
		args = append(args, user)
	}
	return collect(db, ctx, func(row scanner, t *authcore.AccessToken) error {
		var r accessRow
		if err := row.Scan(r.fields(&r.t.Username)...); err != nil {
			return err
		}
		*t = r.token()
		return nil
	}, query+" ORDER BY t.id LIMIT ?", append(args, limit)...)
}

// RevokeAccessToken implements authcore.AccessStore.
func (db *DB) RevokeAccessToken(ctx context.Context, id authcore.SessionID, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		query, args := "DELETE FROM access_tokens WHERE id = ?", []any{id}
		if user != "" {
			query += " AND user_id = ?"
			args = append(args, user)
		}
		found, err := affected(tx.exec(query, args...))
		if err == nil && !found {
			return authcore.ErrTokenNotFound
		}
		if err != nil {
			return err
		}
		return note(tx, authcore.ChangeSession, string(id), ev)
	})
}

// expiredKept is how long an access token that expired is still listed.
const expiredKept = 30 * 24 * time.Hour
