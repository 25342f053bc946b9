package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.EndUserStore = (*DB)(nil)

// NoteEndUser implements authcore.EndUserStore. The organization is not locked, so that
// sign-ins do not wait for one another; the user is, and Bar locks the user too: so is
// nobody let in who was barred before.
func (db *DB) NoteEndUser(ctx context.Context, s authcore.Service, user authcore.UserID, at time.Time, session *authcore.ServiceSession) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockPerson(tx, user); err != nil {
			return err
		}
		if err := mayUse(tx, s, user); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO end_users (service_id, user_id, organization_id, first_at, last_at) VALUES (?, ?, ?, ?, ?)"+db.dialect.orNothing("user_id"), s.ID, user, s.Organization, micros(at), micros(at)); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE end_users SET last_at = ? WHERE service_id = ? AND user_id = ? AND last_at < ?", micros(at), s.ID, user, micros(at)); err != nil {
			return err
		}
		if session == nil {
			return nil
		}
		_, err := tx.exec("INSERT INTO service_sessions (id, organization_id, service_id, user_id, root_id, address, agent, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			session.ID, s.Organization, s.ID, user, session.Root, session.Address, session.Agent, micros(session.CreatedAt), micros(session.ExpiresAt))
		return err
	})
}

// MayUse implements authcore.EndUserStore.
func (db *DB) MayUse(ctx context.Context, s authcore.Service, user authcore.UserID) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockPerson(tx, user); err != nil {
			return err
		}
		return mayUse(tx, s, user)
	})
}

// mayUse judges whether a user who is active may use a service as it is by now.
func mayUse(tx *tx, s authcore.Service, user authcore.UserID) error {
	var status authcore.Status
	var reach authcore.Reach
	var of authcore.OrganizationStatus
	err := tx.scan("SELECT s.status, s.access, o.status FROM services s JOIN organizations o ON o.id = s.organization_id WHERE s.id = ? AND s.organization_id = ?",
		[]any{s.ID, s.Organization}, (*string)(&status), (*string)(&reach), (*string)(&of))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return authcore.ErrServiceNotFound
	case err != nil:
		return err
	case status != authcore.Active || of != authcore.OrganizationActive:
		return authcore.ErrServiceDisabled
	}
	if err := notBarred(tx, s.Organization, user); err != nil || reach == authcore.ReachEveryone {
		return err
	}
	role, err := roleOf(tx, s.Organization, user)
	if err != nil {
		return err
	}
	n := 1
	if reach == authcore.ReachChosen {
		if err := tx.scan("SELECT count(*) FROM service_access WHERE service_id = ? AND user_id = ?", []any{s.ID, user}, &n); err != nil {
			return err
		}
	}
	if role == "" || n == 0 {
		return authcore.ErrServiceNotAllowed
	}
	return nil
}

// notBarred returns ErrBarred for a user whom an organization keeps out.
func notBarred(tx *tx, id authcore.OrganizationID, user authcore.UserID) error {
	n := 0
	err := tx.scan("SELECT count(*) FROM barred WHERE organization_id = ? AND user_id = ?", []any{id, user}, &n)
	if err == nil && n > 0 {
		err = authcore.ErrBarred
	}
	return err
}

// EndUsers implements authcore.EndUserStore. Of the four queries that there can be, each
// has a fixed text.
func (db *DB) EndUsers(ctx context.Context, id authcore.OrganizationID, q authcore.EndUserQuery) ([]authcore.EndUser, error) {
	query := "SELECT u.id, u.username, u.name, u.email, MIN(e.first_at), MAX(e.last_at), (SELECT count(*) FROM barred b WHERE b.organization_id = ? AND b.user_id = u.id)" +
		" FROM end_users e JOIN services s ON s.id = e.service_id JOIN users u ON u.id = e.user_id WHERE e.organization_id = ? AND u.username_key > ?"
	args := []any{id, id, q.After}
	if q.Service != "" {
		query += " AND e.service_id = ?"
		args = append(args, q.Service)
	}
	if q.User != "" {
		query += " AND e.user_id = ?"
		args = append(args, q.User)
	}
	if q.Search != "" {
		query += " AND (u.username_key LIKE ? ESCAPE '!' OR u.email_key LIKE ? ESCAPE '!')"
		begins := likely(q.Search) + "%"
		args = append(args, begins, begins)
	}
	return collect(db, ctx, func(row scanner, u *authcore.EndUser) error {
		var first, last, barred int64
		err := row.Scan((*string)(&u.User), &u.Username, &u.Name, &u.Email, &first, &last, &barred)
		u.FirstAt, u.LastAt, u.Barred = fromMicros(first), fromMicros(last), barred > 0
		return err
	}, query+" GROUP BY u.id, u.username, u.name, u.email, u.username_key ORDER BY u.username_key LIMIT ?", append(args, q.Limit)...)
}

// UsedServices implements authcore.EndUserStore.
func (db *DB) UsedServices(ctx context.Context, user authcore.UserID) ([]authcore.UsedService, error) {
	return collect(db, ctx, func(row scanner, s *authcore.UsedService) error {
		var first, last int64
		err := row.Scan(&s.Organization, &s.Name, &first, &last)
		s.FirstAt, s.LastAt = fromMicros(first), fromMicros(last)
		return err
	}, "SELECT o.slug, s.name, e.first_at, e.last_at FROM end_users e JOIN services s ON s.id = e.service_id JOIN organizations o ON o.id = e.organization_id WHERE e.user_id = ? ORDER BY o.slug, s.name, s.id", user)
}

// IsEndUser implements authcore.EndUserStore.
func (db *DB) IsEndUser(ctx context.Context, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID) (bool, error) {
	var one int
	if service != "" {
		return db.first(ctx, "SELECT 1 FROM end_users WHERE organization_id = ? AND user_id = ? AND service_id = ?", []any{id, user, service}, &one)
	}
	return db.first(ctx, "SELECT 1 FROM end_users e JOIN services s ON s.id = e.service_id WHERE e.organization_id = ? AND e.user_id = ? LIMIT 1", []any{id, user}, &one)
}

// ServiceSessions implements authcore.EndUserStore.
func (db *DB) ServiceSessions(ctx context.Context, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID, now time.Time) ([]authcore.ServiceSession, error) {
	query, args := "SELECT id, organization_id, service_id, user_id, root_id, address, agent, created_at, expires_at FROM service_sessions WHERE organization_id = ? AND user_id = ? AND expires_at > ?",
		[]any{id, user, micros(now)}
	if service != "" {
		query += " AND service_id = ?"
		args = append(args, service)
	}
	return collect(db, ctx, func(row scanner, s *authcore.ServiceSession) error {
		var created, expires int64
		err := row.Scan((*string)(&s.ID), (*string)(&s.Organization), (*string)(&s.Service), (*string)(&s.User), (*string)(&s.Root), &s.Address, &s.Agent, &created, &expires)
		s.CreatedAt, s.ExpiresAt = fromMicros(created), fromMicros(expires)
		return err
	}, query+" ORDER BY id DESC", args...)
}

// ServiceSessionLives implements authcore.EndUserStore.
func (db *DB) ServiceSessionLives(ctx context.Context, id authcore.SessionID, now time.Time) (bool, error) {
	var one int
	return db.first(ctx, "SELECT 1 FROM service_sessions x JOIN services s ON s.id = x.service_id JOIN organizations o ON o.id = x.organization_id WHERE x.id = ? AND x.expires_at > ? AND s.status = ? AND o.status = ?",
		[]any{id, micros(now), authcore.Active, authcore.OrganizationActive}, &one)
}

// EndServiceSessions implements authcore.EndUserStore.
func (db *DB) EndServiceSessions(ctx context.Context, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID, one authcore.SessionID, ev authcore.Event) (n int, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		query, args := "DELETE FROM service_sessions WHERE organization_id = ? AND user_id = ?", []any{id, user}
		if service != "" {
			query += " AND service_id = ?"
			args = append(args, service)
		}
		if one != "" {
			query += " AND id = ?"
			args = append(args, one)
		}
		res, err := tx.exec(query, args...)
		if err != nil {
			return err
		}
		all, err := res.RowsAffected()
		if n = int(all); err != nil || n == 0 {
			return err
		}
		return insertEvents(tx, ev)
	})
	return n, err
}

// Bar implements authcore.EndUserStore.
func (db *DB) Bar(ctx context.Context, id authcore.OrganizationID, user authcore.UserID, reason string, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		if role, err := roleOf(tx, id, user); err != nil {
			return err
		} else if role != "" {
			return authcore.ErrBarMember
		}
		if _, err := tx.exec("INSERT INTO barred (organization_id, user_id, reason, created_at) VALUES (?, ?, ?, ?)"+db.dialect.orNothing("user_id"), id, user, reason, micros(ev.Time)); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM service_sessions WHERE organization_id = ? AND user_id = ?", id, user); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// Unbar implements authcore.EndUserStore.
func (db *DB) Unbar(ctx context.Context, id authcore.OrganizationID, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if found, err := affected(tx.exec("DELETE FROM barred WHERE organization_id = ? AND user_id = ?", id, user)); err != nil {
			return err
		} else if !found {
			return authcore.ErrNotBarred
		}
		return insertEvents(tx, ev)
	})
}

// BarredUsers implements authcore.EndUserStore.
func (db *DB) BarredUsers(ctx context.Context, id authcore.OrganizationID, after string, limit int) ([]authcore.Barred, error) {
	return collect(db, ctx, func(row scanner, b *authcore.Barred) error {
		var created int64
		err := row.Scan((*string)(&b.User), &b.Username, &b.Reason, &created)
		b.CreatedAt = fromMicros(created)
		return err
	}, "SELECT u.id, u.username, b.reason, b.created_at FROM barred b JOIN users u ON u.id = b.user_id WHERE b.organization_id = ? AND u.username_key > ? ORDER BY u.username_key LIMIT ?", id, after, limit)
}

// likely is a text for LIKE … ESCAPE '!' that stands for itself.
func likely(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}
