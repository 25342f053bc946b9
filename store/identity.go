package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

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

// SignInIdentity implements authcore.IdentityStore. A power cut may take the last of the
// sign-ins, with the users whom they made: those sign in again, which takes another visit to
// the provider. It undoes no setup, no use of an invitation and no change of another user.
func (db *DB) SignInIdentity(ctx context.Context, in authcore.IdentitySignIn) error {
	survives := durability(in.Setup != nil || in.Invite != nil || in.TakeEmailFrom != "")
	return db.command(ctx, survives, func(tx *tx) error {
		if err := useOnce(tx, in.Once); err != nil {
			return err
		}
		events := in.Events
		if in.NewUser != nil {
			if err := db.admitUser(tx, in.NewUser, in.Setup, in.Invite); err != nil {
				return err
			}
			if err := takeEmail(tx, in.TakeEmailFrom, in.NewUser.Email, events[0]); err != nil {
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
		add := beginSession
		if in.NewUser != nil { // who has no second factor yet
			add = insertSession
		}
		if err := add(tx, in.Session, in.Token); err != nil {
			return err
		}
		return insertEvents(tx, events...)
	})
}

// takeEmail takes an address from a user who never proved it, if there is one to take
// it from.
func takeEmail(tx *tx, from authcore.UserID, email string, beside authcore.Event) error {
	if from == "" {
		return nil
	}
	taken, err := affected(tx.exec("UPDATE users SET email = '', email_key = NULL, updated_at = ? WHERE id = ? AND email_key = ? AND email_verified = 0", micros(beside.Time), from, emailKey(email)))
	if err != nil || !taken {
		return err
	}
	return noteUser(tx, from, authcore.NewEvent(beside.Time, beside.Actor, authcore.UserUpdate, authcore.TargetUser(from), authcore.Success,
		"the address, which was never verified, belongs to somebody else"))
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
	changed, err := giveGroups(tx, in.Identity, in.Events[len(in.Events)-1])
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

// giveGroups makes the groups that an identity gives those that it has, writes the event
// of that where any changed, and tells so. A group that the user has otherwise stays as it
// is. The user is locked.
func giveGroups(tx *tx, i authcore.Identity, beside authcore.Event) (changed bool, err error) {
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
	if !changed {
		return false, nil
	}
	return true, insertEvents(tx, authcore.GroupsEvent(beside, i))
}

// LinkIdentity implements authcore.IdentityStore.
func (db *DB) LinkIdentity(ctx context.Context, i authcore.Identity, once authcore.Code, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := useOnce(tx, once); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if err := db.lockActive(tx, i.User); err != nil {
			return err
		}
		if err := db.insertIdentity(tx, i); err != nil {
			return err
		}
		if _, err := giveGroups(tx, i, ev); err != nil {
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
		if _, err := giveGroups(tx, i, ev); err != nil {
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
func (db *DB) UnlinkIdentity(ctx context.Context, user authcore.UserID, id authcore.IdentityID, keep authcore.SessionID, ways authcore.Ways, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := post(tx, mail); err != nil {
			return err
		}
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
		other, err := waysIn(tx, user, "", ways)
		if err != nil {
			return err
		}
		if !other {
			return authcore.ErrLastWayIn
		}
		if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND given_by = ?", user, id); err != nil {
			return err
		}
		if _, _, err := endRoots(tx, ev.Time, keep, "identity_id = ?", id); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE sessions SET identity_id = '', provider = '', provider_session = '' WHERE root_id = ? AND identity_id = ?", keep, id); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// waysIn tells whether a user can sign in without an identity, by one of some ways.
func waysIn(tx *tx, user authcore.UserID, without authcore.IdentityID, ways authcore.Ways) (bool, error) {
	var n int
	err := tx.scan("SELECT count(*) FROM identities WHERE user_id = ? AND id <> ?", []any{user, without}, &n)
	if err == nil && n == 0 && ways.Passkeys {
		err = tx.scan("SELECT count(*) FROM passkeys WHERE user_id = ?", []any{user}, &n)
	}
	if err == nil && n == 0 && ways.Passwords {
		err = tx.scan("SELECT count(*) FROM passwords WHERE user_id = ?", []any{user}, &n)
	}
	return n > 0, err
}

// endRoots ends root sessions but for one, by what holds for their rows, with their
// children and the sessions at services. It counts them and tells whose they were.
func endRoots(tx *tx, at time.Time, keep authcore.SessionID, where string, args ...any) (n int, of []authcore.UserID, err error) {
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
	ended, err := endGrantsUnder(tx, at, roots)
	if err != nil {
		return 0, nil, err
	}
	return len(roots), of, ended.note(tx, of...)
}
