package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.IdentityStore = (*DB)(nil)

const identityColumns = "i.id, i.user_id, i.provider, i.issuer, i.subject, i.username, i.email, i.tokens, i.tokens_version, i.created_at, i.used_at, i.checked_at"

// identityRow receives identityColumns.
type identityRow struct {
	i                      authcore.Identity
	created, used, checked int64
}

func (r *identityRow) fields(more ...any) []any {
	i := &r.i
	return append([]any{(*string)(&i.ID), (*string)(&i.User), &i.Provider, &i.Issuer, &i.Subject, &i.Username, &i.Email, &i.Tokens, &i.Version,
		&r.created, &r.used, &r.checked}, more...)
}

func (r *identityRow) identity() authcore.Identity {
	i := r.i
	i.CreatedAt, i.UsedAt, i.CheckedAt = fromMicros(r.created), fromMicros(r.used), fromMicros(r.checked)
	return i
}

func scanIdentity(row scanner, i *authcore.Identity) error {
	var r identityRow
	err := row.Scan(r.fields()...)
	*i = r.identity()
	return err
}

// identityBy gives one row for each group of the user.
const identityBy = "SELECT " + identityColumns + ", " + userColumns + ", g.name FROM identities i JOIN users u ON u.id = i.user_id" +
	" LEFT JOIN user_groups g ON g.user_id = u.id WHERE i.subject_key = ? ORDER BY g.name"

// IdentityBy implements authcore.IdentityStore.
func (db *DB) IdentityBy(ctx context.Context, issuer, subject string) (authcore.Identity, authcore.User, error) {
	var r identityRow
	var of userRow
	groups, n, err := db.withGroups(ctx, identityBy, authcore.SubjectKey(issuer, subject), r.fields(of.fields()...))
	if err != nil {
		return authcore.Identity{}, authcore.User{}, err
	}
	if n == 0 {
		return authcore.Identity{}, authcore.User{}, authcore.ErrIdentityNotFound
	}
	u := of.user()
	u.Groups = groups
	return r.identity(), u, nil
}

// IdentitiesOf implements authcore.IdentityStore.
func (db *DB) IdentitiesOf(ctx context.Context, user authcore.UserID) ([]authcore.Identity, error) {
	return collect(db, ctx, scanIdentity, "SELECT "+identityColumns+" FROM identities i WHERE i.user_id = ? ORDER BY i.created_at, i.id", user)
}

// SignInIdentity implements authcore.IdentityStore.
func (db *DB) SignInIdentity(ctx context.Context, in authcore.IdentitySignIn) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := useOnce(tx, in.Once); err != nil {
			return err
		}
		events := in.Events
		if in.NewUser != nil {
			if err := db.admitUser(tx, *in.NewUser, in.Setup, in.Invite); err != nil {
				return err
			}
			if err := db.insertUser(tx, *in.NewUser, "", events[0]); err != nil {
				return err
			}
			events = events[1:]
		} else if err := db.lockActive(tx, in.Identity.User); err != nil {
			return err
		}
		if err := db.keepIdentity(tx, in); err != nil {
			return err
		}
		if in.Session.ID == "" {
			return insertEvents(tx, events...)
		}
		if err := insertSession(tx, in.Session, in.Token); err != nil {
			return err
		}
		return insertEvents(tx, events...)
	})
}

// keepIdentity adds or updates the identity of a sign-in, with its groups.
func (db *DB) keepIdentity(tx *tx, in authcore.IdentitySignIn) error {
	var err error
	if in.Link {
		err = db.insertIdentity(tx, in.Identity)
	} else {
		err = updateIdentity(tx, in.Identity)
	}
	if err != nil {
		return err
	}
	changed, err := giveGroups(tx, in.Identity)
	if err != nil || !changed || in.NewUser != nil { // whom no node knows yet
		return err
	}
	return noteChange(tx, authcore.ChangeUser, string(in.Identity.User), in.Events[len(in.Events)-1].ID)
}

// useOnce keeps a code that nobody redeems: who finds that of another command is too
// late.
func useOnce(tx *tx, c authcore.Code) error {
	err := insertCode(tx, c)
	if tx.db.dialect.violated(err) != "" {
		return authcore.ErrCodeInvalid.With(err)
	}
	return err
}

// lockActive locks an active user; else it returns ErrLoginFailed.
func (db *DB) lockActive(tx *tx, id authcore.UserID) error {
	var one int
	err := tx.scan("SELECT 1 FROM users WHERE id = ? AND status = ?"+db.dialect.forUpdate(), []any{id, authcore.Active}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrLoginFailed
	}
	return err
}

func (db *DB) insertIdentity(tx *tx, i authcore.Identity) error {
	_, err := tx.exec("INSERT INTO identities (id, user_id, provider, issuer, subject, subject_key, username, email, tokens, tokens_version, created_at, used_at, checked_at, lease_holder, leased_until)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0)", i.ID, i.User, i.Provider, i.Issuer, i.Subject, authcore.SubjectKey(i.Issuer, i.Subject), i.Username, i.Email,
		i.Tokens, i.Version, micros(i.CreatedAt), micros(i.UsedAt), micros(i.CheckedAt))
	return db.conflict(err)
}

// updateIdentity takes over what the provider said at a sign-in. An identity that was
// unlinked meanwhile signs nobody in.
func updateIdentity(tx *tx, i authcore.Identity) error {
	ok, err := affected(tx.exec("UPDATE identities SET provider = ?, username = ?, email = ?, tokens = ?, tokens_version = tokens_version + 1, used_at = ?, checked_at = ?"+
		" WHERE id = ? AND user_id = ?", i.Provider, i.Username, i.Email, i.Tokens, micros(i.UsedAt), micros(i.CheckedAt), i.ID, i.User))
	if err == nil && !ok {
		err = authcore.ErrLoginFailed
	}
	return err
}

// giveGroups makes the groups that an identity gives those that it has, and tells
// whether any changed. A group that the user has otherwise stays as it is. The user is
// locked.
func giveGroups(tx *tx, i authcore.Identity) (changed bool, err error) {
	given, err := tx.texts("SELECT name FROM user_groups WHERE user_id = ? AND given_by = ?", i.User, i.ID)
	if err != nil {
		return false, err
	}
	otherwise, err := tx.texts("SELECT name FROM user_groups WHERE user_id = ? AND given_by <> ?", i.User, i.ID)
	if err != nil {
		return false, err
	}
	for _, g := range given {
		if slices.Contains(i.Groups, g) {
			continue
		}
		changed = true
		if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND name = ? AND given_by = ?", i.User, g, i.ID); err != nil {
			return false, err
		}
	}
	has := append(given, otherwise...)
	for _, g := range i.Groups {
		if slices.Contains(has, g) {
			continue
		}
		has, changed = append(has, g), true
		if _, err := tx.exec("INSERT INTO user_groups (user_id, name, given_by) VALUES (?, ?, ?)", i.User, g, i.ID); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// LinkIdentity implements authcore.IdentityStore.
func (db *DB) LinkIdentity(ctx context.Context, i authcore.Identity, once authcore.Code, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := useOnce(tx, once); err != nil {
			return err
		}
		if err := db.lockActive(tx, i.User); err != nil {
			return err
		}
		if err := db.insertIdentity(tx, i); err != nil {
			return err
		}
		if _, err := giveGroups(tx, i); err != nil {
			return err
		}
		return noteUser(tx, i.User, ev)
	})
}

// ConfirmIdentity implements authcore.IdentityStore.
func (db *DB) ConfirmIdentity(ctx context.Context, i authcore.Identity, root authcore.SessionID, once authcore.Code, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := useOnce(tx, once); err != nil {
			return err
		}
		if err := asSession(db.lockActive(tx, i.User)); err != nil {
			return err
		}
		if err := asSession(updateIdentity(tx, i)); err != nil {
			return err
		}
		if _, err := giveGroups(tx, i); err != nil {
			return err
		}
		if err := db.renewRoot(tx, root, i.User, i.UsedAt); err != nil {
			return err
		}
		return noteUser(tx, i.User, ev)
	})
}

// asSession makes of a sign-in that failed a session that is not there.
func asSession(err error) error {
	if errors.Is(err, authcore.ErrLoginFailed) {
		return authcore.ErrSessionNotFound
	}
	return err
}

// UnlinkIdentity implements authcore.IdentityStore.
func (db *DB) UnlinkIdentity(ctx context.Context, user authcore.UserID, id authcore.IdentityID, keep authcore.SessionID, passwords bool, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		ok, err := affected(tx.exec("DELETE FROM identities WHERE id = ? AND user_id = ?", id, user))
		if err != nil {
			return err
		}
		if !ok {
			return authcore.ErrIdentityNotFound
		}
		other, err := waysIn(tx, user, "", passwords)
		if err != nil {
			return err
		}
		if !other {
			return authcore.ErrLastWayIn
		}
		if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND given_by = ?", user, id); err != nil {
			return err
		}
		if _, _, err := endRoots(tx, keep, "identity_id = ?", id); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// waysIn tells whether a user can sign in without an identity.
func waysIn(tx *tx, user authcore.UserID, without authcore.IdentityID, passwords bool) (bool, error) {
	var n, m int
	if err := tx.scan("SELECT count(*) FROM identities WHERE user_id = ? AND id <> ?", []any{user, without}, &n); err != nil || n > 0 || !passwords {
		return n > 0, err
	}
	err := tx.scan("SELECT count(*) FROM passwords WHERE user_id = ?", []any{user}, &m)
	return m > 0, err
}

// endRoots ends root sessions but for one, by what holds for their rows, with their
// children. It counts them and tells whose they were.
func endRoots(tx *tx, keep authcore.SessionID, where string, args ...any) (n int, of []authcore.UserID, err error) {
	// A hand-off under way is waited for, and so is who ends the same sessions.
	rows, err := tx.query("SELECT id, user_id FROM sessions WHERE id = root_id AND id <> ? AND "+where+" ORDER BY id"+tx.db.dialect.forUpdate(), append([]any{keep}, args...)...)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	var roots []string
	for rows.Next() {
		var root string
		var user authcore.UserID
		if err := rows.Scan(&root, &user); err != nil {
			return 0, nil, err
		}
		if roots = append(roots, root); !slices.Contains(of, user) {
			of = append(of, user)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, nil, err
	}
	for part := range slices.Chunk(roots, cleanupBatch) {
		if _, err := tx.once("DELETE FROM sessions WHERE root_id IN "+marks(len(part)), anys(part)...); err != nil {
			return 0, nil, err
		}
	}
	return len(roots), of, nil
}

// LeaseIdentity implements authcore.IdentityStore.
func (db *DB) LeaseIdentity(ctx context.Context, id authcore.IdentityID, holder string, d time.Duration) (i authcore.Identity, ok bool, err error) {
	err = db.command(ctx, quick, func(tx *tx) error {
		now := db.dialect.now()
		var err error
		if ok, err = affected(tx.exec("UPDATE identities SET lease_holder = ?, leased_until = "+now+" + ? WHERE id = ? AND (lease_holder = ? OR leased_until < "+now+")",
			holder, d.Microseconds(), id, holder)); err != nil {
			return err
		}
		var r identityRow
		err = tx.scan("SELECT "+identityColumns+" FROM identities i WHERE i.id = ?", []any{id}, r.fields()...)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrIdentityNotFound
		}
		i = r.identity()
		return err
	})
	return i, ok && err == nil, err
}

// DropIdentityLease implements authcore.IdentityStore.
func (db *DB) DropIdentityLease(ctx context.Context, id authcore.IdentityID, holder string) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("UPDATE identities SET leased_until = 0 WHERE id = ? AND lease_holder = ?", id, holder)
		return err
	})
}

// RenewIdentity implements authcore.IdentityStore.
func (db *DB) RenewIdentity(ctx context.Context, i authcore.Identity, ev authcore.Event) (renewed bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, i.User); err != nil {
			return err
		}
		var err error
		renewed, err = affected(tx.exec("UPDATE identities SET tokens = ?, tokens_version = tokens_version + 1, checked_at = ?, leased_until = 0 WHERE id = ? AND user_id = ? AND tokens_version = ?",
			i.Tokens, micros(i.CheckedAt), i.ID, i.User, i.Version))
		if err != nil || !renewed {
			return err
		}
		changed, err := giveGroups(tx, i)
		if err != nil || !changed {
			return err
		}
		return noteUser(tx, i.User, ev)
	})
	return renewed && err == nil, err
}

// KeepTokens implements authcore.IdentityStore.
func (db *DB) KeepTokens(ctx context.Context, id authcore.IdentityID, version int64, tokens string, checked time.Time) error {
	return db.command(ctx, durable, func(tx *tx) error {
		_, err := tx.exec("UPDATE identities SET tokens = ?, tokens_version = tokens_version + 1, checked_at = ?, leased_until = 0 WHERE id = ? AND tokens_version = ?",
			tokens, micros(checked), id, version)
		return err
	})
}

// IdentitiesDue implements authcore.IdentityStore.
func (db *DB) IdentitiesDue(ctx context.Context, provider string, before, now time.Time, after authcore.IdentityID, limit int) ([]authcore.Identity, error) {
	return collect(db, ctx, scanIdentity, "SELECT "+identityColumns+" FROM identities i WHERE i.provider = ? AND i.checked_at < ? AND i.tokens <> ''"+
		" AND i.id > ? AND EXISTS (SELECT 1 FROM sessions s WHERE s.identity_id = i.id AND s.expires_at > ?) ORDER BY i.id LIMIT ?", provider, micros(before), after, micros(now), limit)
}

// ExpelIdentity implements authcore.IdentityStore.
func (db *DB) ExpelIdentity(ctx context.Context, id authcore.IdentityID, version int64, passwords bool, ev authcore.Event) (n int, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		n = 0 // of a try that was undone
		var user authcore.UserID
		err := tx.scan("SELECT user_id FROM identities WHERE id = ?", []any{id}, &user)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrIdentityNotFound
		}
		if err != nil {
			return err
		}
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		ok, err := affected(tx.exec("UPDATE identities SET tokens = '', tokens_version = tokens_version + 1, leased_until = 0 WHERE id = ? AND tokens_version = ?", id, version))
		if err != nil || !ok {
			return err // somebody signed in with it meanwhile
		}
		if n, _, err = endRoots(tx, "", "identity_id = ?", id); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND given_by = ?", user, id); err != nil {
			return err
		}
		if other, err := waysIn(tx, user, id, passwords); err != nil {
			return err
		} else if !other {
			if _, err := tx.exec("DELETE FROM access_tokens WHERE user_id = ?", user); err != nil {
				return err
			}
		}
		return noteUser(tx, user, withCount(ev, n))
	})
	return n, err
}

// withCount adds to an event how many sessions ended; its details have 512 bytes.
func withCount(ev authcore.Event, sessions int) authcore.Event {
	count := fmt.Sprintf("%d sessions ended", sessions)
	if ev.Details != "" {
		count = "; " + count
	}
	ev.Details = strings.ToValidUTF8(ev.Details[:min(len(ev.Details), 512-len(count))], "") + count
	return ev
}

// SignOutIdentity implements authcore.IdentityStore.
func (db *DB) SignOutIdentity(ctx context.Context, out authcore.SignOut, ev authcore.Event) (of []authcore.UserID, err error) {
	where, args := signedOut(out)
	err = db.command(ctx, durable, func(tx *tx) (err error) {
		of = nil // of a try that was undone
		if err := useOnce(tx, out.Once); err != nil {
			return err
		}
		var n int
		if n, of, err = endRoots(tx, "", where, args...); err != nil {
			return err
		}
		for k, user := range of {
			if err := noteChange(tx, authcore.ChangeUser, string(user), changeID(ev.ID, k)); err != nil {
				return err
			}
		}
		return insertEvents(tx, withCount(ev, n))
	})
	if err != nil {
		return nil, err
	}
	return of, nil
}

// signedOut is what holds for the rows of sessions that a provider signed out. A word
// that names neither subject nor session is of nobody.
func signedOut(out authcore.SignOut) (where string, args []any) {
	const ofSubject, inSession = "identity_id IN (SELECT id FROM identities WHERE subject_key = ?)", "provider_session = ?"
	switch key := authcore.SubjectKey(out.Issuer, out.Subject); {
	case out.Subject == "":
		return "provider = ? AND provider_session <> '' AND " + inSession, []any{out.Provider, out.Session}
	case out.Session == "":
		return ofSubject, []any{key}
	default:
		return ofSubject + " AND " + inSession, []any{key, out.Session}
	}
}

// changeID makes ids of several changes of one event; the first is the event's own.
func changeID(event string, k int) string {
	id, err := uuid.Parse(event)
	if k == 0 || err != nil {
		return event
	}
	end := id[len(id)-4:] // of what is random in it
	binary.BigEndian.PutUint32(end, binary.BigEndian.Uint32(end)^uint32(k))
	return id.String()
}
