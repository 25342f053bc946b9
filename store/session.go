package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// The last-seen time is the root's: children share it.
const sessionColumns = "s.id, s.root_id, s.user_id, s.host, s.amr, s.auth_time, s.created_at, r.last_seen_at, s.expires_at, s.address, s.agent, s.identity_id, s.provider, s.provider_session, s.act_id"

// sessionByToken gives one row for each group of the user.
const sessionByToken = "SELECT " + sessionColumns + ", " + liveColumns + ", g.name FROM sessions s" +
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
		&r.s.Address, &r.s.Agent, (*string)(&r.s.Identity), &r.s.Provider, &r.s.ProviderSession, (*string)(&r.s.Act)}, more...)
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
	groups, n, err := db.withGroups(ctx, sessionByToken, token.Hex(), r.fields(of.live()...))
	if err != nil {
		return authcore.Session{}, authcore.User{}, err
	}
	if n == 0 {
		return authcore.Session{}, authcore.User{}, authcore.ErrNoSession
	}
	u := of.user()
	if u.Groups = groups; of.organizations > 0 {
		u.Memberships, err = db.Memberships(ctx, u.ID)
	}
	if r.s.Act != "" && err == nil {
		err = db.mayStillAct(ctx, r.s.Act)
	}
	return r.session(), u, err
}

// CreateSession implements authcore.SessionStore. A power cut may take the last
// of the sign-ins: those users sign in again.
func (db *DB) CreateSession(ctx context.Context, s authcore.Session, token authcore.TokenHash, proven password.Hash, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockProven(tx, s.UserID, proven); err != nil {
			return err
		}
		if err := beginSession(tx, s, token); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// lockProven locks an active user who still has the password hash that was proven;
// else it returns ErrLoginFailed.
func (db *DB) lockProven(tx *tx, id authcore.UserID, proven password.Hash) error {
	var one int
	err := tx.scan("SELECT 1 FROM users u JOIN passwords p ON p.user_id = u.id WHERE u.id = ? AND u.status = ? AND p.hash = ?"+
		db.dialect.forUpdate(), []any{id, authcore.Active, proven}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrLoginFailed
	}
	return err
}

// RenewProof implements authcore.SessionStore.
func (db *DB) RenewProof(ctx context.Context, root authcore.SessionID, user authcore.UserID, proven password.Hash, at time.Time, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockProven(tx, user, proven); errors.Is(err, authcore.ErrLoginFailed) {
			return authcore.ErrSessionNotFound
		} else if err != nil {
			return err
		}
		if err := db.renewRoot(tx, root, user, at); err != nil {
			return err
		}
		return note(tx, authcore.ChangeSession, string(root), ev)
	})
}

// renewRoot makes all sessions of a root of the user as if they were proven at a time.
func (db *DB) renewRoot(tx *tx, root authcore.SessionID, user authcore.UserID, at time.Time) error {
	var one int
	err := tx.scan("SELECT 1 FROM sessions WHERE id = ? AND root_id = ? AND user_id = ?"+db.dialect.forUpdate(), []any{root, root, user}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrSessionNotFound
	}
	if err != nil {
		return err
	}
	_, err = tx.exec("UPDATE sessions SET auth_time = ? WHERE root_id = ?", micros(at), root)
	return err
}

// beginSession adds the session of a sign-in of a user who is locked. Whoever has a second
// factor begins none without it: ErrFactorRequired.
func beginSession(tx *tx, s authcore.Session, token authcore.TokenHash) error {
	if !slices.Contains(s.AMR, "mfa") {
		if needs, err := needsFactor(tx, s.UserID); err != nil {
			return err
		} else if needs {
			return authcore.ErrFactorRequired
		}
	}
	return insertSession(tx, s, token)
}

func insertSession(tx *tx, s authcore.Session, token authcore.TokenHash) error {
	_, err := tx.exec("INSERT INTO sessions (id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent, identity_id, provider, provider_session, act_id)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", s.ID, s.Root, s.UserID, token.Hex(), s.Host, strings.Join(s.AMR, " "),
		micros(s.AuthTime), micros(s.CreatedAt), micros(s.LastSeen), micros(s.ExpiresAt), s.Address, s.Agent, s.Identity, s.Provider, s.ProviderSession, s.Act)
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
		ended, err := endGrantsUnder(tx, ev.Time, []string{string(root)})
		if err != nil {
			return err
		}
		if err := ended.note(tx); err != nil {
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
		if n, err = db.endAll(tx, user, keep, ev.Time); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
	return n, err
}

// endAll ends the sessions of a user who is locked but for those under keep, and all that
// was proven before: what devices remember (ProofSince), links in mails, trusted devices.
// It counts the roots.
func (db *DB) endAll(tx *tx, user authcore.UserID, keep authcore.SessionID, at time.Time) (int, error) {
	n, err := deleteSessions(tx, user, keep, at)
	if err != nil {
		return 0, err
	}
	if _, err := tx.exec("UPDATE passwords SET updated_at = ? WHERE user_id = ?", micros(at), user); err != nil {
		return 0, err
	}
	if err := dropLinks(tx, user); err != nil {
		return 0, err
	}
	return n, distrust(tx, user)
}

// deleteSessions deletes the sessions of a user who is locked but those under the root keep,
// also those at services, and what the user has let in on the way to one. It counts the roots.
func deleteSessions(tx *tx, user authcore.UserID, keep authcore.SessionID, at time.Time) (int, error) {
	var n int
	err := tx.scan("SELECT count(*) FROM sessions WHERE user_id = ? AND id = root_id AND root_id <> ?", []any{user, keep}, &n)
	if err != nil {
		return 0, err
	}
	if _, err := tx.exec("DELETE FROM sessions WHERE user_id = ? AND root_id <> ?", user, keep); err != nil {
		return n, err
	}
	if err := endActs(tx, user, at); err != nil {
		return n, err
	}
	if _, err := endGrants(tx, at, "user_id = ? AND (root_id <> ? OR root_id = '' OR offline = 1)", user, keep); err != nil {
		return n, err
	}
	_, err = tx.exec("UPDATE device_grants SET status = ? WHERE user_id = ? AND status = ? AND service_id = ''", authcore.DeviceDenied, user, authcore.DeviceApproved)
	return n, err
}

// TouchSessions implements authcore.SessionReader.
func (db *DB) TouchSessions(ctx context.Context, seen []authcore.Seen) error {
	return db.command(ctx, quick, func(tx *tx) error {
		for _, s := range seen {
			query := "UPDATE sessions SET last_seen_at = ? WHERE id = ? AND last_seen_at < ?"
			if s.Access {
				query = "UPDATE access_tokens SET last_seen_at = ? WHERE id = ? AND last_seen_at < ?"
			}
			if _, err := tx.exec(query, micros(s.At), s.Session, micros(s.At)); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	// cleanupBatch bounds how many rows one transaction of a cleanup deletes.
	cleanupBatch = 500
	// cleanupPage is how many sessions one reading of a cleanup looks at.
	cleanupPage = 5000
	// cleanupEnd comes after every id.
	cleanupEnd = "~"
)

// DeleteEnded deletes a batch each of the sessions that ended, the access tokens that
// expired a month ago, the codes, invitations and idempotency keys that expired, what was
// granted to services and is over, and the changes that every node has read by now. idleBefore
// is the last-seen time before which a session has ended; those are looked for after an id,
// a page at a time. It gives the id to go on after, and tells whether more is left.
// Readers find the rows, so that the writer is held for the deletion only, and
// nothing here grows with the size of a table.
func (db *DB) DeleteEnded(ctx context.Context, now, idleBefore time.Time, after string) (next string, more bool, err error) {
	next, idle, err := db.deleteIdle(ctx, idleBefore, after)
	errs := []error{err}
	more = idle
	for _, c := range []struct {
		find, remove string
		args         []any
		along        func(tx *tx, keys []string) error // what else goes; may be nil
	}{
		{"SELECT id FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM sessions WHERE id IN ", []any{micros(now), cleanupBatch}, (*tx).dropGrantsUnder},
		{"SELECT id FROM access_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM access_tokens WHERE id IN ", []any{micros(now.Add(-expiredKept)), cleanupBatch}, nil},
		{"SELECT id FROM devices WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM devices WHERE id IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT hash FROM codes WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM codes WHERE hash IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT id FROM idempotency_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM idempotency_keys WHERE id IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT id FROM invitations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM invitations WHERE id IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT id FROM service_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM service_sessions WHERE id IN ", []any{micros(now), cleanupBatch}, (*tx).dropTokens},
		{"SELECT hash FROM grant_codes WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM grant_codes WHERE hash IN ", []any{micros(now.Add(-grantsKept)), cleanupBatch}, nil},
		{"SELECT device FROM device_grants WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM device_grants WHERE device IN ", []any{micros(now.Add(-grantsKept)), cleanupBatch}, nil},
		{"SELECT hash FROM refresh_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM refresh_tokens WHERE hash IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT hash FROM grant_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM grant_tokens WHERE hash IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT hash FROM revoked_tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM revoked_tokens WHERE hash IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT hash FROM pushed_requests WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", "DELETE FROM pushed_requests WHERE hash IN ", []any{micros(now), cleanupBatch}, nil},
		{"SELECT id FROM logout_notices WHERE id < ? ORDER BY id LIMIT ?", "DELETE FROM logout_notices WHERE id IN ", []any{idBefore(now.Add(-noticesKept)), cleanupBatch}, nil},
		{"SELECT id FROM deliveries WHERE id < ? AND status <> 'waiting' ORDER BY id LIMIT ?", "DELETE FROM deliveries WHERE id IN ", []any{idBefore(now.Add(-authcore.DeliveryKept)), cleanupBatch}, nil},
		{"SELECT id FROM changes WHERE changed_at < " + db.dialect.now() + fmt.Sprintf(" - %d ORDER BY changed_at LIMIT ?", authcore.ChangesKept.Microseconds()), "DELETE FROM changes WHERE id IN ", []any{cleanupBatch}, nil},
	} {
		keys, err := collect(db, ctx, func(row scanner, key *string) error { return row.Scan(key) }, c.find, c.args...)
		if err == nil && len(keys) > 0 {
			err = db.command(ctx, quick, func(tx *tx) error {
				if err := tx.deletes(c.remove, keys); err != nil || c.along == nil {
					return err
				}
				return c.along(tx, keys)
			})
		}
		errs = append(errs, err)
		more = more || len(keys) == cleanupBatch
	}
	if err := errors.Join(errs...); err != nil {
		return next, false, err
	}
	return next, more, nil
}

// deleteIdle looks at a page of sessions, and deletes the roots that nobody used
// for too long, with their children.
func (db *DB) deleteIdle(ctx context.Context, before time.Time, after string) (next string, more bool, err error) {
	type seen struct {
		id, root string
		last     int64
	}
	page, err := collect(db, ctx, func(row scanner, s *seen) error { return row.Scan(&s.id, &s.root, &s.last) },
		"SELECT id, root_id, last_seen_at FROM sessions WHERE id > ? ORDER BY id LIMIT ?", after, cleanupPage)
	if err != nil {
		return after, false, err
	}
	var ended []string
	next = cleanupEnd
	for i, s := range page {
		if s.id == s.root && s.last < micros(before) {
			ended = append(ended, s.id)
		}
		if len(ended) == cleanupBatch || i+1 == cleanupPage {
			next, more = s.id, true
			break
		}
	}
	if len(ended) > 0 {
		err = db.command(ctx, quick, func(tx *tx) error { return tx.deleteRoots(ended, before) })
	}
	return next, more, err
}

// deleteRoots deletes those of some roots that are still idle, and their children.
func (t *tx) deleteRoots(roots []string, before time.Time) error {
	still, err := t.texts("SELECT id FROM sessions WHERE id IN "+marks(len(roots))+" AND last_seen_at < ?"+t.db.dialect.forUpdate(), append(anys(roots), micros(before))...)
	if err != nil || len(still) == 0 {
		return err
	}
	if _, err := t.once("DELETE FROM sessions WHERE root_id IN "+marks(len(still)), anys(still)...); err != nil {
		return err
	}
	return t.dropGrantsUnder(still)
}

// RevokeEverySession implements authcore.SessionStore: batch by batch, then the
// codes that would make new ones, and every node is told. Sessions that begin meanwhile stay.
func (db *DB) RevokeEverySession(ctx context.Context, ev authcore.Event) (int, error) {
	n := 0
	for {
		type session struct{ id, root string }
		batch, err := collect(db, ctx, func(row scanner, s *session) error { return row.Scan(&s.id, &s.root) },
			"SELECT id, root_id FROM sessions WHERE created_at <= ? LIMIT ?", micros(ev.Time), cleanupBatch)
		if err != nil {
			return n, err
		}
		if len(batch) == 0 {
			if err := db.thinGrants(ctx, ev.Time, "created_at <= ?", micros(ev.Time)); err != nil {
				return n, err
			}
			return n, db.command(ctx, durable, func(tx *tx) error {
				if _, err := tx.exec("DELETE FROM codes WHERE purpose IN (?, ?, ?, ?)", authcore.PurposeHandoff, authcore.PurposeRecover, authcore.PurposeMailLink, authcore.PurposeMailCode); err != nil {
					return err
				}
				if _, err := tx.exec("UPDATE device_grants SET status = ? WHERE user_id > '' AND status = ?", authcore.DeviceDenied, authcore.DeviceApproved); err != nil {
					return err
				}
				if _, err := endGrants(tx, ev.Time, "created_at <= ?", micros(ev.Time)); err != nil {
					return err
				}
				return note(tx, authcore.ChangeAll, "", ev)
			})
		}
		var ids []string
		roots := 0
		for _, s := range batch {
			if ids = append(ids, s.id); s.id == s.root {
				roots++
			}
		}
		if err := db.command(ctx, durable, func(tx *tx) error {
			_, err := tx.once("DELETE FROM sessions WHERE id IN "+marks(len(ids)), anys(ids)...)
			return err
		}); err != nil {
			return n, err
		}
		n += roots
	}
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
