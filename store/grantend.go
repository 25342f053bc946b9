package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// grantsKept is how long codes and device grants stay after they expired, so that
	// whoever comes late hears what they were.
	grantsKept = time.Hour
	// noticesKept is how long a service is told of a sign-out that does not listen.
	noticesKept = 3 * 24 * time.Hour
	// mostNoted is how many users one command tells other nodes of. Where there are more,
	// memory is read anew for everybody.
	mostNoted = 50
)

// endedGrants are sessions at services that a command has ended.
type endedGrants struct {
	n     int
	users []authcore.UserID // whose they were
}

// note writes a change record for each user but those whose changes the command notes itself.
func (e endedGrants) note(tx *tx, noted ...authcore.UserID) error {
	users := slices.DeleteFunc(slices.Clone(e.users), func(u authcore.UserID) bool { return slices.Contains(noted, u) })
	if len(users) > mostNoted {
		return noteAll(tx)
	}
	for _, u := range users {
		if err := noteChange(tx, authcore.ChangeUser, string(u), string(authcore.NewSessionID())); err != nil {
			return err
		}
	}
	return nil
}

const endingGrants = "SELECT id, service_id, user_id FROM service_sessions WHERE "

// endGrants ends the sessions at services for whose rows something holds, with their codes
// and tokens, and writes a notice of each for a service that wants to know. What is to hold is
// a text with few variants.
func endGrants(tx *tx, at time.Time, where string, args ...any) (endedGrants, error) {
	rows, err := tx.query(endingGrants+where+" ORDER BY id"+tx.db.dialect.forUpdate(), args...)
	return tx.endGrants(rows, err, at)
}

// endGrantsIn is endGrants by keys, of which there is one at least.
func endGrantsIn(tx *tx, at time.Time, where string, keys []string) (endedGrants, error) {
	rows, err := tx.QueryContext(tx.ctx, tx.db.dialect.rebind(endingGrants+where+" IN "+marks(len(keys))+" ORDER BY id"+tx.db.dialect.forUpdate()), anys(keys)...)
	return tx.endGrants(rows, err, at)
}

// endGrantsUnder ends the sessions at services that end with portal sessions.
func endGrantsUnder(tx *tx, at time.Time, roots []string) (all endedGrants, err error) {
	if len(roots) == 1 {
		return endGrants(tx, at, "offline = 0 AND root_id = ?", roots[0])
	}
	for part := range slices.Chunk(roots, cleanupBatch) {
		ended, err := endGrantsIn(tx, at, "offline = 0 AND root_id", part)
		if err != nil {
			return all, err
		}
		all.n += ended.n
		for _, u := range ended.users {
			if !slices.Contains(all.users, u) {
				all.users = append(all.users, u)
			}
		}
	}
	return all, nil
}

// endGrants ends the sessions that a query of endingGrants has found and locked.
func (t *tx) endGrants(rows *sql.Rows, err error, at time.Time) (ended endedGrants, _ error) {
	if err != nil {
		return ended, err
	}
	defer rows.Close()
	type grant struct{ id, service, user string }
	var all []grant
	var ids []string
	known := make(map[string]bool)
	for rows.Next() {
		var g grant
		if err := rows.Scan(&g.id, &g.service, &g.user); err != nil {
			return ended, err
		}
		all, ids = append(all, g), append(ids, g.id)
		if !known[g.user] {
			known[g.user] = true
			ended.users = append(ended.users, authcore.UserID(g.user))
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return ended, err
	}
	wants, err := t.wantNotices(func(yield func(string) bool) {
		for _, g := range all {
			if !yield(g.service) {
				return
			}
		}
	})
	if err != nil {
		return ended, err
	}
	var notices []any
	for _, g := range all {
		if wants[g.service] {
			notices = append(notices, authcore.NewSessionID(), g.service, g.user, g.id, 0, micros(at), micros(at))
		}
	}
	if err := t.inserts("INSERT INTO logout_notices (id, service_id, user_id, session_id, tries, created_at, due_at) VALUES ", 7, notices); err != nil {
		return ended, err
	}
	ended.n = len(all)
	return ended, t.dropGrants(ids)
}

// wantNotices tells of services whether they are there and want to know of sign-outs.
func (t *tx) wantNotices(services func(yield func(string) bool)) (map[string]bool, error) {
	wants := make(map[string]bool)
	for id := range services {
		if _, asked := wants[id]; asked {
			continue
		}
		var uri string
		if err := t.scan("SELECT logout_uri FROM services WHERE id = ?", []any{id}, &uri); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		wants[id] = uri != ""
	}
	return wants, nil
}

// dropGrants deletes sessions at services with their codes and tokens.
func (t *tx) dropGrants(ids []string) error {
	if err := t.dropTokens(ids); err != nil {
		return err
	}
	return t.deletes("DELETE FROM service_sessions WHERE id IN ", ids)
}

// dropTokens deletes the codes and tokens of sessions at services.
func (t *tx) dropTokens(ids []string) error {
	for _, remove := range []string{"DELETE FROM grant_codes WHERE session_id IN ", "DELETE FROM refresh_tokens WHERE session_id IN ", "DELETE FROM grant_tokens WHERE session_id IN "} {
		if err := t.deletes(remove, ids); err != nil {
			return err
		}
	}
	return nil
}

// dropGrantsUnder deletes the sessions at services that end with portal sessions which
// expired: nobody is told of that.
func (t *tx) dropGrantsUnder(roots []string) error {
	ids, err := t.texts("SELECT id FROM service_sessions WHERE offline = 0 AND root_id IN "+marks(len(roots))+" ORDER BY id"+t.db.dialect.forUpdate(), anys(roots)...)
	if err != nil {
		return err
	}
	return t.dropGrants(ids)
}

// dropGranted deletes all that was granted to a service which is no more.
func dropGranted(tx *tx, id authcore.ServiceID, at time.Time) error {
	if _, err := endGrants(tx, at, "service_id = ?", id); err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM grant_tokens WHERE service_id = ?", "DELETE FROM pushed_requests WHERE service_id = ?", "DELETE FROM device_grants WHERE service_id = ?",
		"DELETE FROM consents WHERE service_id = ?", "DELETE FROM logout_notices WHERE service_id = ?"} {
		if _, err := tx.exec(q, id); err != nil {
			return err
		}
	}
	return nil
}

// thinGrants ends sessions at services as endGrants does, a batch at a time, while there are
// more of them than one command should end. A command that ends the rest comes after it.
func (db *DB) thinGrants(ctx context.Context, at time.Time, where string, args ...any) error {
	for {
		ids, err := collect(db, ctx, func(row scanner, id *string) error { return row.Scan(id) },
			"SELECT id FROM service_sessions WHERE "+where+" ORDER BY id LIMIT ?", append(slices.Clone(args), cleanupBatch)...)
		if err != nil || len(ids) < cleanupBatch {
			return err
		}
		if err := db.command(ctx, quick, func(tx *tx) error {
			ended, err := endGrantsIn(tx, at, "id", ids)
			if err != nil {
				return err
			}
			return ended.note(tx)
		}); err != nil {
			return err
		}
	}
}
