package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// The last-seen time is the root's: children share it.
const sessionColumns = "s.id, s.root_id, s.user_id, s.host, s.amr, s.auth_time, s.created_at, r.last_seen_at, s.expires_at, s.address, s.agent"

// sessionByToken gives one row for each group of the user.
const sessionByToken = "SELECT " + sessionColumns + ", " + userColumns + ", g.name FROM sessions s" +
	" JOIN sessions r ON r.id = s.root_id JOIN users u ON u.id = s.user_id" +
	" LEFT JOIN user_groups g ON g.user_id = u.id WHERE s.token_hash = ? ORDER BY g.name"

// sessionRow receives sessionColumns.
type sessionRow struct {
	s                            authcore.Session
	amr                          string
	auth, created, seen, expires int64
}

func (r *sessionRow) fields(more ...any) []any {
	return append([]any{(*string)(&r.s.ID), (*string)(&r.s.Root), (*string)(&r.s.UserID), &r.s.Host, &r.amr, &r.auth, &r.created, &r.seen, &r.expires,
		&r.s.Address, &r.s.Agent}, more...)
}

func (r *sessionRow) session() authcore.Session {
	s := r.s
	s.AMR = strings.Fields(r.amr)
	s.AuthTime, s.CreatedAt = fromMicros(r.auth), fromMicros(r.created)
	s.LastSeen, s.ExpiresAt = fromMicros(r.seen), fromMicros(r.expires)
	return s
}

// SessionByToken implements authcore.SessionReader.
func (db *DB) SessionByToken(ctx context.Context, token authcore.TokenHash) (authcore.Session, authcore.User, error) {
	var r sessionRow
	var of userRow
	groups, n, err := db.withGroups(ctx, sessionByToken, token.Hex(), r.fields(of.fields()...))
	if err != nil {
		return authcore.Session{}, authcore.User{}, err
	}
	if n == 0 {
		return authcore.Session{}, authcore.User{}, authcore.ErrNoSession
	}
	u := of.user()
	u.Groups = groups
	return r.session(), u, nil
}

// CreateSession implements authcore.SessionStore. A power cut may take the last
// of the sign-ins: those users sign in again.
func (db *DB) CreateSession(ctx context.Context, s authcore.Session, token authcore.TokenHash, proven password.Hash, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		var one int
		err := tx.scan("SELECT 1 FROM users u JOIN passwords p ON p.user_id = u.id WHERE u.id = ? AND u.status = ? AND p.hash = ?"+
			db.dialect.forUpdate(), []any{s.UserID, authcore.Active, proven}, &one)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrLoginFailed
		}
		if err != nil {
			return err
		}
		if err := insertSession(tx, s, token); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

func insertSession(tx *tx, s authcore.Session, token authcore.TokenHash) error {
	_, err := tx.exec("INSERT INTO sessions (id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", s.ID, s.Root, s.UserID, token.Hex(), s.Host, strings.Join(s.AMR, " "),
		micros(s.AuthTime), micros(s.CreatedAt), micros(s.LastSeen), micros(s.ExpiresAt), s.Address, s.Agent)
	return err
}

// SessionsOf implements authcore.SessionStore.
func (db *DB) SessionsOf(ctx context.Context, user authcore.UserID, now time.Time) ([]authcore.Session, error) {
	return collect(db, ctx, func(row scanner, s *authcore.Session) error {
		var r sessionRow
		if err := row.Scan(r.fields()...); err != nil {
			return err
		}
		*s = r.session()
		return nil
	}, "SELECT "+sessionColumns+" FROM sessions s JOIN sessions r ON r.id = s.root_id WHERE s.user_id = ? AND s.expires_at > ? ORDER BY s.created_at DESC, s.id",
		user, micros(now))
}

// RevokeSession implements authcore.SessionStore.
func (db *DB) RevokeSession(ctx context.Context, root authcore.SessionID, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		var owner authcore.UserID
		err := tx.scan("SELECT user_id FROM sessions WHERE id = ? AND root_id = ?"+db.dialect.forUpdate(), []any{root, root}, &owner)
		if errors.Is(err, sql.ErrNoRows) || err == nil && user != "" && owner != user {
			return authcore.ErrSessionNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM sessions WHERE root_id = ?", root); err != nil {
			return err
		}
		return note(tx, authcore.ChangeSession, string(root), ev)
	})
}

// RevokeSessionsOf implements authcore.SessionStore.
func (db *DB) RevokeSessionsOf(ctx context.Context, user authcore.UserID, keep authcore.SessionID, ev authcore.Event) (int, error) {
	n := 0
	err := db.command(ctx, durable, func(tx *tx) (err error) {
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		if n, err = deleteSessions(tx, user, keep); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
	return n, err
}

// deleteSessions deletes a user's sessions but those under the root keep, and
// counts the roots.
func deleteSessions(tx *tx, user authcore.UserID, keep authcore.SessionID) (int, error) {
	var n int
	err := tx.scan("SELECT count(*) FROM sessions WHERE user_id = ? AND id = root_id AND root_id <> ?", []any{user, keep}, &n)
	if err != nil {
		return 0, err
	}
	_, err = tx.exec("DELETE FROM sessions WHERE user_id = ? AND root_id <> ?", user, keep)
	return n, err
}

// TouchSessions implements authcore.SessionReader.
func (db *DB) TouchSessions(ctx context.Context, seen []authcore.Seen) error {
	return db.command(ctx, quick, func(tx *tx) error {
		for _, s := range seen {
			if _, err := tx.exec("UPDATE sessions SET last_seen_at = ? WHERE id = ? AND last_seen_at < ?", micros(s.At), s.Session, micros(s.At)); err != nil {
				return err
			}
		}
		return nil
	})
}

// cleanupBatch bounds how many rows one transaction of DeleteEnded deletes.
const cleanupBatch = 500

// DeleteEnded deletes sessions that ended, codes that expired and change records
// that every node has read, a batch at a time, and tells whether more is left.
// idleBefore is the last-seen time before which a session has ended. Readers find
// the rows, so that the writer is held for the deletion only.
func (db *DB) DeleteEnded(ctx context.Context, now, idleBefore time.Time) (more bool, err error) {
	for _, c := range []struct {
		find, remove string
		before       time.Time
	}{
		{"SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?", "DELETE FROM sessions WHERE expires_at <= ? AND id IN ", now},
		// The roots go, and with the next round what lost its root.
		{"SELECT id FROM sessions WHERE id = root_id AND last_seen_at < ? LIMIT ?", "DELETE FROM sessions WHERE last_seen_at < ? AND id IN ", idleBefore},
		{"SELECT s.id FROM sessions s LEFT JOIN sessions r ON r.id = s.root_id WHERE r.id IS NULL AND s.created_at < ? LIMIT ?",
			"DELETE FROM sessions WHERE created_at < ? AND id IN ", now},
		{"SELECT hash FROM codes WHERE expires_at <= ? LIMIT ?", "DELETE FROM codes WHERE expires_at <= ? AND hash IN ", now},
		{"SELECT id FROM changes WHERE changed_at < ? LIMIT ?", "DELETE FROM changes WHERE changed_at < ? AND id IN ", now.Add(-time.Hour)},
	} {
		keys, err := collect(db, ctx, func(row scanner, key *string) error { return row.Scan(key) }, c.find, micros(c.before), cleanupBatch)
		if err != nil {
			return false, err
		}
		if len(keys) == 0 {
			continue
		}
		more = more || len(keys) == cleanupBatch
		marks := "(?" + strings.Repeat(", ?", len(keys)-1) + ")"
		if err := db.command(ctx, quick, func(tx *tx) error {
			_, err := tx.once(c.remove+marks, append([]any{micros(c.before)}, anys(keys)...)...)
			return err
		}); err != nil {
			return false, err
		}
	}
	return more, nil
}

// RootSession is a portal session with the name of its user.
type RootSession struct {
	authcore.Session
	Username string
}

// RootSessions lists the portal sessions that live, of one user or of all where
// user is empty, in the order of their ids, after one of them. Sessions last seen
// before idleBefore have ended.
func (db *DB) RootSessions(ctx context.Context, user authcore.UserID, after string, now, idleBefore time.Time, limit int) ([]RootSession, error) {
	query := "SELECT " + sessionColumns + ", u.username FROM sessions s JOIN sessions r ON r.id = s.id JOIN users u ON u.id = s.user_id" +
		" WHERE s.id = s.root_id AND s.id > ? AND s.expires_at > ? AND s.last_seen_at > ?"
	args := []any{after, micros(now), micros(idleBefore)}
	if user != "" {
		query += " AND s.user_id = ?"
		args = append(args, user)
	}
	return collect(db, ctx, func(row scanner, s *RootSession) error {
		var r sessionRow
		if err := row.Scan(r.fields(&s.Username)...); err != nil {
			return err
		}
		s.Session = r.session()
		return nil
	}, query+" ORDER BY s.id LIMIT ?", append(args, limit)...)
}
