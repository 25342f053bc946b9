package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// ExpelIdentity implements authcore.IdentityStore.
func (db *DB) ExpelIdentity(ctx context.Context, id authcore.IdentityID, version int64, ways authcore.Ways, ev authcore.Event) (n int, err error) {
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
		if n, _, err = endRoots(tx, ev.Time, "", "identity_id = ?", id); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM user_groups WHERE user_id = ? AND given_by = ?", user, id); err != nil {
			return err
		}
		without := id
		if ways.Identity {
			without = ""
		}
		if other, err := waysIn(tx, user, without, ways); err != nil {
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
		if n, of, err = endRoots(tx, ev.Time, "", where, args...); err != nil {
			return err
		}
		for k, user := range of {
			one := ev
			one.ID, one.Target = changeID(ev.ID, k), authcore.TargetUser(user)
			if err := noteUser(tx, user, one); err != nil {
				return err
			}
		}
		if len(of) == 0 {
			return insertEvents(tx, withCount(ev, n))
		}
		return nil
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
