package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// liveColumns are what a session or a token needs to know of its user: each one that
// is read with every one of them costs, so that two that few users have are read as one.
const liveColumns = "u.id, u.username, u.email, u.email_verified, u.name, u.status, u.owner, u.factor_required + 2 * u.organization_only, u.organizations"

const userColumns = liveColumns + ", u.delete_at, u.created_at, u.updated_at"

// userRow receives userColumns, or liveColumns. The targets of a scan are plain strings and
// int64: for any other type, database/sql takes its long way round.
type userRow struct {
	u                                 authcore.User
	verified, owner, created, updated int64
	marks, deleted                    int64 // marks: 1 for FactorRequired, 2 for OrganizationOnly
	organizations                     int64 // that the user is a member of: few are, so that memberships are read only for those
}

func (r *userRow) live(more ...any) []any {
	return append([]any{(*string)(&r.u.ID), &r.u.Username, &r.u.Email, &r.verified, &r.u.Name, (*string)(&r.u.Status), &r.owner, &r.marks, &r.organizations}, more...)
}

func (r *userRow) fields(more ...any) []any {
	return append(r.live(&r.deleted, &r.created, &r.updated), more...)
}

func (r *userRow) user() authcore.User {
	u := r.u
	u.EmailVerified, u.Owner, u.FactorRequired, u.OrganizationOnly = r.verified != 0, r.owner != 0, r.marks&1 != 0, r.marks&2 != 0
	if r.deleted != 0 {
		u.DeleteAt = fromMicros(r.deleted)
	}
	if r.created != 0 { // not of liveColumns
		u.CreatedAt, u.UpdatedAt = fromMicros(r.created), fromMicros(r.updated)
	}
	return u
}

// CreateUser implements authcore.UserStore.
func (db *DB) CreateUser(ctx context.Context, u authcore.User, hash password.Hash, invite *authcore.TokenHash, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.admitUser(tx, &u, nil, invite); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if u.EmailVerified {
			if err := takeUnproven(tx, u.Email, u.ID, ev); err != nil {
				return err
			}
		}
		return db.insertUser(tx, u, hash, ev)
	})
}

// CreateFirstOwner implements authcore.UserStore.
func (db *DB) CreateFirstOwner(ctx context.Context, u authcore.User, hash password.Hash, code authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.admitUser(tx, &u, &code, nil); err != nil {
			return err
		}
		return db.insertUser(tx, u, hash, ev)
	})
}

// admitUser redeems what a new user needs: the code of the setup for the first owner,
// that of an invitation, or nothing. Any owner closes the setup. Whoever comes by an
// invitation belongs to organizations only, if at all, where it is an organization's: the
// command that deletes one deletes its code as well.
func (db *DB) admitUser(tx *tx, u *authcore.User, setup, invite *authcore.TokenHash) error {
	if setup != nil {
		if err := closeSetup(tx, false); err != nil {
			if db.dialect.violated(err) != "" {
				return authcore.ErrSetupClosed.With(err)
			}
			return err
		}
		if ok, err := redeem(tx, authcore.PurposeSetup, *setup, u.CreatedAt); err != nil || !ok {
			return cmp.Or(err, error(authcore.ErrSetupToken))
		}
		return nil
	}
	if invite != nil {
		if ok, err := redeem(tx, authcore.PurposeInvite, *invite, u.CreatedAt); err != nil || !ok {
			return cmp.Or(err, error(authcore.ErrInviteInvalid))
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM invitations WHERE hash = ?", []any{invite.Hex()}, &n); err != nil {
			return err
		}
		u.OrganizationOnly = u.OrganizationOnly && n > 0
	}
	if u.Owner {
		return closeSetup(tx, true)
	}
	return nil
}

func (db *DB) insertUser(tx *tx, u authcore.User, hash password.Hash, ev authcore.Event) error {
	_, err := tx.exec("INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, organization_only, created_at, updated_at)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", u.ID, u.Username, authcore.UsernameKey(u.Username), u.Email, emailKey(u.Email),
		flag(u.EmailVerified), u.Name, u.Status, flag(u.Owner), flag(u.OrganizationOnly), micros(u.CreatedAt), micros(u.UpdatedAt))
	if err != nil {
		return db.conflict(err)
	}
	if hash != "" {
		if _, err := tx.exec("INSERT INTO passwords (user_id, hash, updated_at) VALUES (?, ?, ?)",
			u.ID, hash, micros(u.CreatedAt)); err != nil {
			return err
		}
	}
	if err := insertGroups(tx, u); err != nil {
		return err
	}
	return insertEvents(tx, ev)
}

func insertGroups(tx *tx, u authcore.User) error {
	for _, g := range u.Groups {
		if _, err := tx.exec("INSERT INTO user_groups (user_id, name) VALUES (?, ?)", u.ID, g); err != nil {
			return err
		}
	}
	return nil
}

// emailKey is NULL for no address: many users may have none.
func emailKey(email string) sql.NullString {
	return sql.NullString{String: authcore.EmailKey(email), Valid: email != ""}
}

// One row for each group of the user.
const (
	userBy = "SELECT " + userColumns + ", p.hash, g.name FROM users u LEFT JOIN passwords p ON p.user_id = u.id" +
		" LEFT JOIN user_groups g ON g.user_id = u.id WHERE "
	userByID       = userBy + "u.id = ? ORDER BY g.name"
	userByUsername = userBy + "u.username_key = ? ORDER BY g.name"
	userByEmail    = userBy + "u.email_key = ? ORDER BY g.name"
)

// UserByLogin implements authcore.UserStore.
func (db *DB) UserByLogin(ctx context.Context, key string, isEmail bool) (authcore.User, password.Hash, error) {
	if isEmail {
		return db.user(ctx, userByEmail, key)
	}
	return db.user(ctx, userByUsername, key)
}

// UserByID implements authcore.UserStore.
func (db *DB) UserByID(ctx context.Context, id authcore.UserID) (authcore.User, password.Hash, error) {
	return db.user(ctx, userByID, string(id))
}

// ProofSince implements authcore.UserStore. Rehash leaves the time as it is: the
// password is the same.
func (db *DB) ProofSince(ctx context.Context, id authcore.UserID) (time.Time, error) {
	found, err := collect(db, ctx, func(row scanner, us *int64) error { return row.Scan(us) },
		"SELECT updated_at FROM passwords WHERE user_id = ?", id)
	if err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	return fromMicros(found[0]), nil
}

func (db *DB) user(ctx context.Context, query, key string) (authcore.User, password.Hash, error) {
	var r userRow
	var hash sql.NullString
	groups, n, err := db.withGroups(ctx, query, key, r.fields(&hash))
	if err != nil {
		return authcore.User{}, "", err
	}
	if n == 0 {
		return authcore.User{}, "", authcore.ErrUserNotFound
	}
	u := r.user()
	u.Groups = groups
	return u, password.Hash(hash.String), nil
}

// withGroups carries out a query that gives one row for each group of a user,
// with the group in the last column and the rest always the same.
func (db *DB) withGroups(ctx context.Context, query, key string, dest []any) (groups []string, n int, err error) {
	var group sql.NullString
	dest = append(dest, &group)
	n, err = db.each(ctx, &db.reads, query, []any{key}, func(n int, row scanner) error {
		if err := row.Scan(dest...); err != nil {
			return err
		}
		if n == 0 {
			groups = nil
		}
		if group.Valid {
			groups = append(groups, group.String)
		}
		return nil
	})
	return groups, n, err
}

func (db *DB) groups(ctx context.Context, id authcore.UserID) ([]string, error) {
	return collect(db, ctx, func(row scanner, g *string) error { return row.Scan(g) },
		"SELECT name FROM user_groups WHERE user_id = ? ORDER BY name", id)
}

// Users implements authcore.UserStore.
func (db *DB) Users(ctx context.Context, after string, limit int) ([]authcore.User, error) {
	users, err := collect(db, ctx, func(row scanner, u *authcore.User) error {
		var r userRow
		err := row.Scan(r.fields()...)
		*u = r.user()
		return err
	},
		"SELECT "+userColumns+" FROM users u WHERE u.username_key > ? ORDER BY u.username_key LIMIT ?", after, limit)
	if err != nil {
		return nil, err
	}
	for i := range users {
		if users[i].Groups, err = db.groups(ctx, users[i].ID); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// UpdateProfile implements authcore.UserStore.
func (db *DB) UpdateProfile(ctx context.Context, id authcore.UserID, name, email string, ev authcore.Event, mail ...authcore.Post) error {
	key := emailKey(email)
	return db.updateUser(ctx, id, ev, mail, "name = ?, email = ?, email_verified = CASE WHEN email_key = ? THEN email_verified ELSE 0 END, email_key = ?",
		name, email, key, key) // MySQL assigns from left to right
}

// SetEmail implements authcore.UserStore.
func (db *DB) SetEmail(ctx context.Context, id authcore.UserID, email string, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND purpose = ?", id, authcore.PurposeVerify); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if email != "" {
			if err := takeUnproven(tx, email, id, ev); err != nil {
				return err
			}
		}
		return db.setUser(tx, id, ev, "email = ?, email_verified = ?, email_key = ?", email, flag(email != ""), emailKey(email))
	})
}

// updateUser is a command that sets columns of a user.
func (db *DB) updateUser(ctx context.Context, id authcore.UserID, ev authcore.Event, mail []authcore.Post, set string, values ...any) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := post(tx, mail); err != nil {
			return err
		}
		return db.setUser(tx, id, ev, set, values...)
	})
}

// setUser sets columns of a user inside a command; what is set is a text of
// this file.
func (db *DB) setUser(tx *tx, id authcore.UserID, ev authcore.Event, set string, values ...any) error {
	ok, err := affected(tx.exec("UPDATE users SET "+set+", updated_at = ? WHERE id = ?", append(values, micros(ev.Time), id)...))
	if err != nil {
		return db.conflict(err)
	}
	if !ok {
		return authcore.ErrUserNotFound
	}
	return noteUser(tx, id, ev)
}

// noteUser writes the change record and the event of a change to a user.
func noteUser(tx *tx, id authcore.UserID, ev authcore.Event) error {
	return note(tx, authcore.ChangeUser, string(id), ev)
}

// ChangeGroups implements authcore.UserStore.
func (db *DB) ChangeGroups(ctx context.Context, id authcore.UserID, add, remove []string, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, id); err != nil {
			return err
		}
		for _, g := range add {
			if _, err := tx.exec("INSERT INTO user_groups (user_id, name) VALUES (?, ?)"+db.dialect.orNothing("name"), id, g); err != nil {
				return err
			}
			if _, err := tx.exec("UPDATE user_groups SET given_by = '' WHERE user_id = ? AND name = ?", id, g); err != nil {
				return err // a provider may have given it: from now on it stays
			}
		}
		for _, g := range remove {
			if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND name = ?", id, g); err != nil {
				return err
			}
		}
		return noteUser(tx, id, ev)
	})
}

// SetPassword implements authcore.UserStore.
func (db *DB) SetPassword(ctx context.Context, id authcore.UserID, hash password.Hash, keep authcore.SessionID, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, id); err != nil {
			return err
		}
		return setPassword(tx, id, hash, keep, ev, mail)
	})
}

// setPassword is SetPassword of a user who is locked.
func setPassword(tx *tx, id authcore.UserID, hash password.Hash, keep authcore.SessionID, ev authcore.Event, mail []authcore.Post) error {
	ok, err := affected(tx.exec("UPDATE passwords SET hash = ?, updated_at = ? WHERE user_id = ?", hash, micros(ev.Time), id))
	if err == nil && !ok {
		_, err = tx.exec("INSERT INTO passwords (user_id, hash, updated_at) VALUES (?, ?, ?)", id, hash, micros(ev.Time))
	}
	if err != nil {
		return err
	}
	if _, err := deleteSessions(tx, id, keep, ev.Time); err != nil {
		return err
	}
	if err := dropLinks(tx, id); err != nil {
		return err
	}
	if err := distrust(tx, id); err != nil {
		return err
	}
	if err := post(tx, mail); err != nil {
		return err
	}
	return noteUser(tx, id, ev)
}

// lockUser makes sure the user exists and stays as it is until commit.
func (db *DB) lockUser(tx *tx, id authcore.UserID) error {
	var one int
	err := tx.scan("SELECT 1 FROM users WHERE id = ?"+db.dialect.forUpdate(), []any{id}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrUserNotFound
	}
	return err
}

// lockPerson is lockUser of a user who must be active: ErrMemberDisabled.
func (db *DB) lockPerson(tx *tx, id authcore.UserID) error {
	var status authcore.Status
	err := tx.scan("SELECT status FROM users WHERE id = ?"+db.dialect.forUpdate(), []any{id}, (*string)(&status))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return authcore.ErrUserNotFound
	case err == nil && status != authcore.Active:
		return authcore.ErrMemberDisabled
	}
	return err
}

// lockToEnd locks a user who is to be disabled or deleted, unless the platform or an
// organization would be left without an active owner: ErrLastOwner,
// ErrLastOrganizationOwner. Organizations are locked before users; what the user came to
// own in between is locked afterwards, when nothing more can come.
func (db *DB) lockToEnd(tx *tx, id authcore.UserID) error {
	if err := db.lockOwned(tx, id); err != nil {
		return err
	}
	if err := db.notLastOwner(tx, id); err != nil {
		return err
	}
	if err := db.lockUser(tx, id); err != nil { // a sign-in waits here, or is seen
		return err
	}
	if err := db.lockOwned(tx, id); err != nil {
		return err
	}
	n := 0
	err := tx.scan("SELECT count(*) FROM members m WHERE m.user_id = ? AND m.role = ? AND NOT EXISTS (SELECT 1 FROM members x JOIN users u ON u.id = x.user_id"+
		" WHERE x.organization_id = m.organization_id AND x.role = ? AND x.user_id <> ? AND u.status = ?)",
		[]any{id, authcore.RoleOwner, authcore.RoleOwner, id, authcore.Active}, &n)
	if err == nil && n > 0 {
		err = authcore.ErrLastOrganizationOwner
	}
	return err
}

// lockOwned locks the organizations that a user owns.
func (db *DB) lockOwned(tx *tx, id authcore.UserID) error {
	owned, err := tx.texts("SELECT organization_id FROM members WHERE user_id = ? AND role = ? ORDER BY organization_id", id, authcore.RoleOwner)
	for _, o := range owned {
		if _, err := db.lockOrganization(tx, authcore.OrganizationID(o)); err != nil && !errors.Is(err, authcore.ErrOrganizationNotFound) {
			return err
		}
	}
	return err
}

// Rehash implements authcore.UserStore.
func (db *DB) Rehash(ctx context.Context, id authcore.UserID, old, fresh password.Hash) error {
	return db.command(ctx, quick, func(tx *tx) error {
		ok, err := affected(tx.exec("UPDATE passwords SET hash = ? WHERE user_id = ? AND hash = ?", fresh, id, old))
		if err == nil && !ok {
			err = authcore.ErrUserNotFound
		}
		return err
	})
}

// SetStatus implements authcore.UserStore.
func (db *DB) SetStatus(ctx context.Context, id authcore.UserID, status authcore.Status, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if status != authcore.Active {
			if err := db.lockToEnd(tx, id); err != nil {
				return err
			}
			if _, err := deleteSessions(tx, id, "", ev.Time); err != nil {
				return err
			}
			if err := dropLinks(tx, id); err != nil {
				return err
			}
			if err := distrust(tx, id); err != nil {
				return err
			}
		}
		if _, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND purpose = ?", id, authcore.PurposeKeep); err != nil {
			return err // what an operator says counts
		}
		if status == authcore.Active {
			return db.setUser(tx, id, ev, "status = ?, delete_at = 0", status)
		}
		return db.setUser(tx, id, ev, "status = ?", status)
	})
}

// SetOwner implements authcore.UserStore.
func (db *DB) SetOwner(ctx context.Context, id authcore.UserID, owner bool, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if !owner {
			if err := db.notLastOwner(tx, id); err != nil {
				return err
			}
		} else if err := closeSetup(tx, true); err != nil {
			return err
		}
		return db.setUser(tx, id, ev, "owner = ?", flag(owner))
	})
}

// SetFactorRequired implements authcore.UserStore.
func (db *DB) SetFactorRequired(ctx context.Context, id authcore.UserID, required bool, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, id); err != nil {
			return err
		}
		if required {
			if _, _, err := endRoots(tx, ev.Time, "", "user_id = ? AND amr NOT LIKE ?", id, "%mfa%"); err != nil {
				return err
			}
		}
		return db.setUser(tx, id, ev, "factor_required = ?", flag(required))
	})
}

// SetOrganizationOnly implements authcore.UserStore.
func (db *DB) SetOrganizationOnly(ctx context.Context, id authcore.UserID, only bool, ev authcore.Event) error {
	return db.updateUser(ctx, id, ev, nil, "organization_only = ?", flag(only))
}

// notLastOwner refuses what would leave the platform without an active owner.
// It locks all owners, so that two of them cannot remove each other.
func (db *DB) notLastOwner(tx *tx, id authcore.UserID) error {
	rows, err := tx.query("SELECT id FROM users WHERE owner = 1 AND status = ? ORDER BY id"+db.dialect.forUpdate(), authcore.Active)
	if err != nil {
		return err
	}
	defer rows.Close()
	is, others := false, 0
	for rows.Next() {
		var owner authcore.UserID
		if err := rows.Scan(&owner); err != nil {
			return err
		}
		if owner == id {
			is = true
		} else {
			others++
		}
	}
	if is && others == 0 {
		return authcore.ErrLastOwner
	}
	return rows.Err()
}

// OwnerExists tells whether an active platform owner exists.
func (db *DB) OwnerExists(ctx context.Context) (bool, error) {
	var id string
	return db.first(ctx, "SELECT id FROM users WHERE owner = 1 AND status = ? LIMIT 1", []any{authcore.Active}, &id)
}

// OwnerWithoutPasswordExists tells whether an active platform owner can sign in with a
// provider or a passkey.
func (db *DB) OwnerWithoutPasswordExists(ctx context.Context) (bool, error) {
	var id string
	return db.first(ctx, "SELECT u.id FROM users u WHERE u.owner = 1 AND u.status = ? AND (EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id)"+
		" OR EXISTS (SELECT 1 FROM passkeys k WHERE k.user_id = u.id)) LIMIT 1", []any{authcore.Active}, &id)
}
