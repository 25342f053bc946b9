package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.PasskeyStore = (*DB)(nil)

const passkeyColumns = "id, user_id, domain, name, credential, public_key, sign_count, backup_eligible, backed_up, transports, created_at, used_at"

func scanPasskey(row scanner, p *authcore.Passkey) error {
	var credential, key, transports string
	var count, eligible, backed, created, used int64
	if err := row.Scan((*string)(&p.ID), (*string)(&p.User), &p.Domain, &p.Name, &credential, &key, &count, &eligible, &backed, &transports, &created, &used); err != nil {
		return err
	}
	var err1, err2 error
	p.Credential, err1 = base64.RawStdEncoding.DecodeString(credential)
	p.PublicKey, err2 = base64.RawStdEncoding.DecodeString(key)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("passkey %s: %w", p.ID, err)
	}
	p.SignCount, p.BackupEligible, p.BackedUp, p.Transports = uint32(count), eligible != 0, backed != 0, strings.Fields(transports)
	p.CreatedAt, p.UsedAt = fromMicros(created), fromMicros(used)
	return nil
}

// Passkeys implements authcore.PasskeyStore.
func (db *DB) Passkeys(ctx context.Context, user authcore.UserID) ([]authcore.Passkey, error) {
	return collect(db, ctx, scanPasskey, "SELECT "+passkeyColumns+" FROM passkeys WHERE user_id = ? ORDER BY created_at, id", user)
}

// PasskeyByID implements authcore.PasskeyStore.
func (db *DB) PasskeyByID(ctx context.Context, id authcore.PasskeyID) (authcore.Passkey, error) {
	found, err := collect(db, ctx, scanPasskey, "SELECT "+passkeyColumns+" FROM passkeys WHERE id = ?", string(id))
	if err == nil && len(found) == 0 {
		err = authcore.ErrPasskeyWrong
	}
	if err != nil {
		return authcore.Passkey{}, err
	}
	return found[0], nil
}

// insertPasskey adds a passkey of a user who is locked, and uses its challenge up.
func insertPasskey(tx *tx, p authcore.Passkey, once authcore.Code) error {
	if err := useOnce(tx, once); err != nil {
		return err
	}
	n := 0
	if err := tx.scan("SELECT count(*) FROM passkeys WHERE user_id = ?", []any{p.User}, &n); err != nil {
		return err
	}
	if n >= authcore.MaxPasskeys {
		return authcore.ErrTooManyPasskeys
	}
	_, err := tx.exec("INSERT INTO passkeys ("+passkeyColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", p.ID, p.User, p.Domain, p.Name,
		base64.RawStdEncoding.EncodeToString(p.Credential), base64.RawStdEncoding.EncodeToString(p.PublicKey), int64(p.SignCount),
		flag(p.BackupEligible), flag(p.BackedUp), strings.Join(p.Transports, " "), micros(p.CreatedAt), micros(p.UsedAt))
	if tx.db.dialect.violated(err) != "" {
		return authcore.ErrPasskeyExists.With(err)
	}
	return err
}

// CreatePasskeyUser implements authcore.PasskeyStore.
func (db *DB) CreatePasskeyUser(ctx context.Context, n authcore.NewPasskeyUser, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		var one int
		if err := tx.scan("SELECT 1 FROM erased WHERE user_id = ?", []any{n.User.ID}, &one); err == nil {
			return authcore.ErrPasskeyOld // nobody becomes who was deleted
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := db.admitUser(tx, &n.User, n.Setup, n.Invite); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if n.User.EmailVerified {
			if err := takeUnproven(tx, n.User.Email, n.User.ID, n.Created); err != nil {
				return err
			}
		}
		if err := db.insertUser(tx, n.User, "", n.Created); err != nil {
			return err
		}
		if err := insertPasskey(tx, n.Passkey, n.Once); err != nil {
			return err
		}
		if err := insertSession(tx, n.Session, n.Token); err != nil {
			return err
		}
		return insertEvents(tx, n.Began)
	})
}

// AddPasskey implements authcore.PasskeyStore.
func (db *DB) AddPasskey(ctx context.Context, p authcore.Passkey, root authcore.SessionID, once authcore.Code, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := asSession(db.lockActive(tx, p.User)); err != nil {
			return err
		}
		if err := isRootOf(tx, root, p.User); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if err := insertPasskey(tx, p, once); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// RenamePasskey implements authcore.PasskeyStore.
func (db *DB) RenamePasskey(ctx context.Context, id authcore.PasskeyID, user authcore.UserID, name string, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockPasskey(tx, id, user); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE passkeys SET name = ? WHERE id = ?", name, id); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// lockPasskey locks a passkey of a user, or returns ErrPasskeyNotFound.
func (db *DB) lockPasskey(tx *tx, id authcore.PasskeyID, user authcore.UserID) error {
	var one int
	err := tx.scan("SELECT 1 FROM passkeys WHERE id = ? AND user_id = ?"+db.dialect.forUpdate(), []any{id, user}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrPasskeyNotFound
	}
	return err
}

// RemovePasskey implements authcore.PasskeyStore.
func (db *DB) RemovePasskey(ctx context.Context, id authcore.PasskeyID, user authcore.UserID, keep authcore.SessionID, ways authcore.Ways, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		if err := db.lockPasskey(tx, id, user); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM passkeys WHERE id = ?", id); err != nil {
			return err
		}
		if other, err := waysIn(tx, user, "", ways); err != nil {
			return err
		} else if !other {
			return authcore.ErrLastWayIn
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		if err := distrust(tx, user); err != nil {
			return err
		}
		if _, err := deleteSessions(tx, user, keep, ev.Time); err != nil {
			return err
		}
		if err := forgetProof(tx, keep, user, "hwk", "swk", "device"); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// usePasskey uses a proof by a passkey up, if the passkey is still there and its counter
// has gone on, where it counts.
func usePasskey(tx *tx, use authcore.PasskeyUse) error {
	if err := useOnce(tx, use.Once); err != nil {
		return err
	}
	query := "UPDATE passkeys SET sign_count = ?, backed_up = ?, used_at = ? WHERE id = ? AND user_id = ? AND sign_count "
	args := []any{int64(use.Passkey.SignCount), flag(use.Passkey.BackedUp), micros(use.Once.CreatedAt), use.Passkey.ID, use.Passkey.User}
	if use.Passkey.SignCount == 0 { // it counts nothing, and never did
		query += "= 0"
	} else {
		query, args = query+"< ?", append(args, int64(use.Passkey.SignCount))
	}
	ok, err := affected(tx.exec(query, args...))
	if err == nil && !ok {
		err = authcore.ErrPasskeyWrong.With(errCounter)
	}
	return err
}

var errCounter = errors.New("it is not there any more, or its counter went back: it may have been copied")

// SignInWithPasskey implements authcore.PasskeyStore.
func (db *DB) SignInWithPasskey(ctx context.Context, use authcore.PasskeyUse, s authcore.Session, token authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockActive(tx, s.UserID); err != nil {
			return err
		}
		if err := usePasskey(tx, use); err != nil {
			return err
		}
		if err := insertSession(tx, s, token); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// ProvePasskey implements authcore.PasskeyStore.
func (db *DB) ProvePasskey(ctx context.Context, use authcore.PasskeyUse, root authcore.SessionID, amr []string, at time.Time, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		user := use.Passkey.User
		if err := asSession(db.lockActive(tx, user)); err != nil {
			return err
		}
		if err := usePasskey(tx, use); err != nil {
			return err
		}
		if err := proveRoot(tx, root, user, amr); err != nil {
			return err
		}
		if err := db.renewRoot(tx, root, user, at); err != nil {
			return err
		}
		return note(tx, authcore.ChangeSession, string(root), ev)
	})
}

// RemovePassword implements authcore.PasskeyStore.
func (db *DB) RemovePassword(ctx context.Context, user authcore.UserID, keep authcore.SessionID, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := asSession(db.lockActive(tx, user)); err != nil {
			return err
		}
		if err := isRootOf(tx, keep, user); err != nil {
			return err
		}
		if removed, err := affected(tx.exec("DELETE FROM passwords WHERE user_id = ?", user)); err != nil {
			return err
		} else if !removed {
			return authcore.ErrNoPassword
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM passkeys WHERE user_id = ?", []any{user}, &n); err != nil {
			return err
		} else if n == 0 {
			return authcore.ErrLastWayIn
		}
		if err := dropLinks(tx, user); err != nil {
			return err
		}
		if err := distrust(tx, user); err != nil {
			return err
		}
		if _, err := deleteSessions(tx, user, keep, ev.Time); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil { // after the links of before have ended
			return err
		}
		return noteUser(tx, user, ev)
	})
}
