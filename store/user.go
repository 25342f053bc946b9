package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

const userColumns = "u.id, u.username, u.email, u.email_verified, u.name, u.status, u.owner, u.created_at, u.updated_at"

// scanUser scans userColumns into u, and more columns behind them.
func scanUser(row scanner, u *authcore.User, more ...any) error {
	var created, updated int64
	var verified, owner int
	err := row.Scan(append([]any{&u.ID, &u.Username, &u.Email, &verified, &u.Name, &u.Status, &owner, &created, &updated}, more...)...)
	u.EmailVerified, u.Owner = verified != 0, owner != 0
	u.CreatedAt, u.UpdatedAt = fromMicros(created), fromMicros(updated)
	return err
}

// CreateUser implements authcore.UserStore.
func (db *DB) CreateUser(ctx context.Context, u authcore.User, hash password.Hash, invite *authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if invite != nil {
			ok, err := redeem(tx, authcore.PurposeInvite, *invite, u.CreatedAt)
			if err != nil {
				return err
			}
			if !ok {
				return authcore.ErrInviteInvalid
			}
		}
		if u.Owner {
			if err := closeSetup(tx, true); err != nil {
				return err
			}
		}
		return db.insertUser(tx, u, hash, ev)
	})
}

// CreateFirstOwner implements authcore.UserStore.
func (db *DB) CreateFirstOwner(ctx context.Context, u authcore.User, hash password.Hash, code authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := closeSetup(tx, false); err != nil {
			if db.dialect.violated(err) != "" {
				return authcore.ErrSetupClosed.With(err)
			}
			return err
		}
		ok, err := redeem(tx, authcore.PurposeSetup, code, u.CreatedAt)
		if err != nil {
			return err
		}
		if !ok {
			return authcore.ErrSetupToken
		}
		return db.insertUser(tx, u, hash, ev)
	})
}

func (db *DB) insertUser(tx *tx, u authcore.User, hash password.Hash, ev authcore.Event) error {
	_, err := tx.exec("INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", u.ID, u.Username, authcore.UsernameKey(u.Username), u.Email, emailKey(u.Email),
		flag(u.EmailVerified), u.Name, u.Status, flag(u.Owner), micros(u.CreatedAt), micros(u.UpdatedAt))
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

// UserByLogin implements authcore.UserStore.
func (db *DB) UserByLogin(ctx context.Context, key string, isEmail bool) (authcore.User, password.Hash, error) {
	if isEmail {
		return db.user(ctx, "u.email_key = ?", key)
	}
	return db.user(ctx, "u.username_key = ?", key)
}

// UserByID implements authcore.UserStore.
func (db *DB) UserByID(ctx context.Context, id authcore.UserID) (authcore.User, password.Hash, error) {
	return db.user(ctx, "u.id = ?", id)
}

func (db *DB) user(ctx context.Context, where string, key any) (authcore.User, password.Hash, error) {
	type found struct {
		user  authcore.User
		hash  sql.NullString
		group sql.NullString
	}
	rows, err := collect(db, ctx, func(row scanner, f *found) error { return scanUser(row, &f.user, &f.hash, &f.group) },
		"SELECT "+userColumns+", p.hash, g.name FROM users u LEFT JOIN passwords p ON p.user_id = u.id"+
			" LEFT JOIN user_groups g ON g.user_id = u.id WHERE "+where+" ORDER BY g.name", key)
	if err != nil {
		return authcore.User{}, "", err
	}
	if len(rows) == 0 {
		return authcore.User{}, "", authcore.ErrUserNotFound
	}
	u := rows[0].user
	for _, row := range rows {
		if row.group.Valid {
			u.Groups = append(u.Groups, row.group.String)
		}
	}
	return u, password.Hash(rows[0].hash.String), nil
}

func (db *DB) groups(ctx context.Context, id authcore.UserID) ([]string, error) {
	return collect(db, ctx, func(row scanner, g *string) error { return row.Scan(g) },
		"SELECT name FROM user_groups WHERE user_id = ? ORDER BY name", id)
}

// Users implements authcore.UserStore.
func (db *DB) Users(ctx context.Context, after string, limit int) ([]authcore.User, error) {
	users, err := collect(db, ctx, func(row scanner, u *authcore.User) error { return scanUser(row, u) },
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
func (db *DB) UpdateProfile(ctx context.Context, id authcore.UserID, name, email string, ev authcore.Event) error {
	key := emailKey(email)
	return db.updateUser(ctx, id, ev, "name = ?, email = ?, email_verified = CASE WHEN email_key = ? THEN email_verified ELSE 0 END, email_key = ?",
		name, email, key, key) // MySQL assigns from left to right
}

// SetEmail implements authcore.UserStore.
func (db *DB) SetEmail(ctx context.Context, id authcore.UserID, email string, ev authcore.Event) error {
	return db.updateUser(ctx, id, ev, "email = ?, email_verified = ?, email_key = ?", email, flag(email != ""), emailKey(email))
}

// updateUser is a command that sets columns of a user.
func (db *DB) updateUser(ctx context.Context, id authcore.UserID, ev authcore.Event, set string, values ...any) error {
	return db.command(ctx, durable, func(tx *tx) error { return db.setUser(tx, id, ev, set, values...) })
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
func (db *DB) SetPassword(ctx context.Context, id authcore.UserID, hash password.Hash, keep authcore.SessionID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, id); err != nil {
			return err
		}
		ok, err := affected(tx.exec("UPDATE passwords SET hash = ?, updated_at = ? WHERE user_id = ?", hash, micros(ev.Time), id))
		if err == nil && !ok {
			_, err = tx.exec("INSERT INTO passwords (user_id, hash, updated_at) VALUES (?, ?, ?)", id, hash, micros(ev.Time))
		}
		if err != nil {
			return err
		}
		if _, err := deleteSessions(tx, id, keep); err != nil {
			return err
		}
		return noteUser(tx, id, ev)
	})
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
			if err := db.notLastOwner(tx, id); err != nil {
				return err
			}
			if err := db.lockUser(tx, id); err != nil { // a sign-in waits here, or is seen
				return err
			}
			if _, err := deleteSessions(tx, id, ""); err != nil {
				return err
			}
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
