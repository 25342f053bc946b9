package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.FactorStore = (*DB)(nil)

// factorAsked is the condition that a second factor is asked of a user u wherever there is
// one, passkeys too.
const factorAsked = "(u.factor_required = 1 OR u.owner = 1 OR u.organizations > 0 AND EXISTS (SELECT 1 FROM members m JOIN organizations o ON o.id = m.organization_id" +
	" WHERE m.user_id = u.id AND o.factor_required = 1 AND o.status = 'active'))"

// Factors implements authcore.FactorStore.
func (db *DB) Factors(ctx context.Context, user authcore.UserID) (authcore.Factors, error) {
	var f authcore.Factors
	var t authcore.TOTP
	var created int64
	var required int64
	found, err := db.first(ctx, "SELECT CASE WHEN "+factorAsked+" THEN 1 ELSE 0 END, (SELECT count(*) FROM passkeys k WHERE k.user_id = u.id), (SELECT count(*) FROM recovery_codes r WHERE r.user_id = u.id),"+
		" COALESCE(t.sealed, ''), COALESCE(t.last_step, 0), COALESCE(t.created_at, 0) FROM users u LEFT JOIN totps t ON t.user_id = u.id WHERE u.id = ?",
		[]any{user}, &required, &f.Passkeys, &f.Codes, &t.Sealed, &t.LastStep, &created)
	if err != nil || !found {
		return authcore.Factors{}, err
	}
	if f.Required = required > 0; t.Sealed != "" {
		t.CreatedAt = fromMicros(created)
		f.TOTP = &t
	}
	return f, nil
}

// SetTOTP implements authcore.FactorStore.
func (db *DB) SetTOTP(ctx context.Context, user authcore.UserID, t authcore.TOTP, replaces string, codes []authcore.TokenHash, root authcore.SessionID, amr []string, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := post(tx, mail); err != nil {
			return err
		}
		if err := asSession(db.lockActive(tx, user)); err != nil {
			return err
		}
		if replaced, err := affected(tx.exec("DELETE FROM totps WHERE user_id = ? AND sealed = ?", user, replaces)); err != nil {
			return err
		} else if has, err := hasTOTP(tx, user); err != nil {
			return err
		} else if has || replaced != (replaces != "") {
			return authcore.ErrFactorExists
		}
		if _, err := tx.exec("INSERT INTO totps (user_id, sealed, last_step, created_at) VALUES (?, ?, ?, ?)", user, t.Sealed, t.LastStep, micros(t.CreatedAt)); err != nil {
			return err
		}
		if err := replaceCodes(tx, user, codes, ev); err != nil {
			return err
		}
		if err := distrust(tx, user); err != nil {
			return err
		}
		if err := proveRoot(tx, root, user, amr); err != nil {
			return err
		}
		if _, err := deleteSessions(tx, user, root, ev.Time); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

func replaceCodes(tx *tx, user authcore.UserID, codes []authcore.TokenHash, ev authcore.Event) error {
	if _, err := tx.exec("DELETE FROM recovery_codes WHERE user_id = ?", user); err != nil {
		return err
	}
	for _, code := range codes {
		if _, err := tx.exec("INSERT INTO recovery_codes (user_id, hash, created_at) VALUES (?, ?, ?)", user, code.Hex(), micros(ev.Time)); err != nil {
			return err
		}
	}
	return nil
}

// lockTOTP locks a user who has a TOTP, or returns ErrNoFactor.
func (db *DB) lockTOTP(tx *tx, user authcore.UserID) error {
	if err := db.lockUser(tx, user); err != nil {
		return err
	}
	has, err := hasTOTP(tx, user)
	if err == nil && !has {
		err = authcore.ErrNoFactor
	}
	return err
}

// needsFactor tells whether a user signs in by two factors alone.
func needsFactor(tx *tx, user authcore.UserID) (bool, error) {
	var n int
	err := tx.scan("SELECT (SELECT count(*) FROM totps t WHERE t.user_id = u.id) + (SELECT count(*) FROM passkeys k WHERE k.user_id = u.id AND "+factorAsked+")"+
		" FROM users u WHERE u.id = ?", []any{user}, &n)
	return n > 0, err
}

func hasTOTP(tx *tx, user authcore.UserID) (bool, error) {
	var n int
	err := tx.scan("SELECT count(*) FROM totps WHERE user_id = ?", []any{user}, &n)
	return n > 0, err
}

// ReplaceRecoveryCodes implements authcore.FactorStore.
func (db *DB) ReplaceRecoveryCodes(ctx context.Context, user authcore.UserID, codes []authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockTOTP(tx, user); err != nil {
			return err
		}
		if err := replaceCodes(tx, user, codes, ev); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// RemoveFactors implements authcore.FactorStore.
func (db *DB) RemoveFactors(ctx context.Context, user authcore.UserID, keep authcore.SessionID, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := post(tx, mail); err != nil {
			return err
		}
		if err := db.lockTOTP(tx, user); err != nil {
			return err
		}
		if err := distrust(tx, user); err != nil {
			return err
		}
		for _, table := range []string{"DELETE FROM totps WHERE user_id = ?", "DELETE FROM recovery_codes WHERE user_id = ?"} {
			if _, err := tx.exec(table, user); err != nil {
				return err
			}
		}
		if _, err := deleteSessions(tx, user, keep, ev.Time); err != nil {
			return err
		}
		if err := forgetProof(tx, keep, user, "otp", "device"); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// forgetProof makes the sessions of a root, if it is one of a user, as if they had not been
// proven in some ways. Whether two factors are left, the others say.
func forgetProof(tx *tx, root authcore.SessionID, user authcore.UserID, ways ...string) error {
	var text string
	err := tx.scan("SELECT amr FROM sessions WHERE id = ? AND user_id = ?", []any{root, user}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	was := strings.Fields(text)
	if err != nil || !slices.ContainsFunc(was, func(m string) bool { return slices.Contains(ways, m) }) {
		return err
	}
	amr := slices.DeleteFunc(was, func(m string) bool { return slices.Contains(ways, m) })
	if !slices.ContainsFunc(amr, func(m string) bool { return slices.Contains([]string{"otp", "hwk", "swk"}, m) }) {
		amr = slices.DeleteFunc(amr, func(m string) bool { return m == "mfa" })
	}
	_, err = tx.exec("UPDATE sessions SET amr = ? WHERE root_id = ?", strings.Join(amr, " "), root)
	return err
}

// useFactor uses a second factor up: whoever's statement finds it unused has won.
func useFactor(tx *tx, user authcore.UserID, use authcore.FactorUse) error {
	query, args := "UPDATE totps SET last_step = ? WHERE user_id = ? AND sealed = ? AND last_step < ?", []any{use.Step, user, use.Sealed, use.Step}
	switch {
	case use.Passkey != nil && use.Passkey.Passkey.User != user:
		return authcore.ErrPasskeyWrong
	case use.Passkey != nil:
		return usePasskey(tx, *use.Passkey)
	case use.Device != nil:
		return useDevice(tx, user, *use.Device, use.At)
	case use.Code != nil:
		query, args = "DELETE FROM recovery_codes WHERE user_id = ? AND hash = ?", []any{user, use.Code.Hex()}
	}
	ok, err := affected(tx.exec(query, args...))
	if err == nil && !ok {
		err = authcore.ErrFactorWrong
	}
	return err
}

// UseFactor implements authcore.FactorStore.
func (db *DB) UseFactor(ctx context.Context, user authcore.UserID, use authcore.FactorUse, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := useFactor(tx, user, use); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// CreateProvenSession implements authcore.FactorStore.
func (db *DB) CreateProvenSession(ctx context.Context, s authcore.Session, token authcore.TokenHash, first authcore.FirstProof, use authcore.FactorUse, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockActive(tx, s.UserID); err != nil {
			return err
		}
		query, args := "SELECT 1 FROM passwords WHERE user_id = ? AND updated_at = ?", []any{s.UserID, micros(first.Since)}
		if s.Identity != "" {
			query, args = "SELECT 1 FROM identities WHERE user_id = ? AND id = ?", []any{s.UserID, s.Identity}
			if first.Tokens {
				query += " AND tokens <> ''"
			}
		}
		if first.Mail != "" {
			if state, err := recoveryState(tx, s.UserID); err != nil {
				return err
			} else if state != first.Mail {
				return authcore.ErrLoginFailed
			}
			query, args = "SELECT 1 FROM users WHERE id = ?", []any{s.UserID}
		}
		var one int
		if err := tx.scan(query, args, &one); errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrLoginFailed
		} else if err != nil {
			return err
		}
		if err := useFactor(tx, s.UserID, use); err != nil {
			return err
		}
		if err := insertSession(tx, s, token); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// isRootOf returns ErrSessionNotFound where a root session is none of the user.
func isRootOf(tx *tx, root authcore.SessionID, user authcore.UserID) error {
	var one int
	err := tx.scan("SELECT 1 FROM sessions WHERE id = ? AND root_id = ? AND user_id = ?", []any{root, root, user}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrSessionNotFound
	}
	return err
}

// proveRoot says how the sessions of a root of the user were proven, or returns
// ErrSessionNotFound.
func proveRoot(tx *tx, root authcore.SessionID, user authcore.UserID, amr []string) error {
	err := isRootOf(tx, root, user)
	if err == nil {
		_, err = tx.exec("UPDATE sessions SET amr = ? WHERE root_id = ?", strings.Join(amr, " "), root)
	}
	return err
}

// ProveFactor implements authcore.FactorStore.
func (db *DB) ProveFactor(ctx context.Context, root authcore.SessionID, user authcore.UserID, amr []string, use authcore.FactorUse, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := asSession(db.lockActive(tx, user)); err != nil {
			return err
		}
		if err := useFactor(tx, user, use); err != nil {
			return err
		}
		if err := proveRoot(tx, root, user, amr); err != nil {
			return err
		}
		return note(tx, authcore.ChangeSession, string(root), ev)
	})
}
