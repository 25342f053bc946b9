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

const serviceSessionColumns = "x.id, x.organization_id, x.service_id, x.user_id, x.root_id, x.offline, COALESCE(x.scopes, ''), COALESCE(x.resources, '')," +
	" x.amr, x.auth_time, x.act_id, x.key_hash, x.address, x.agent, x.created_at, x.expires_at"

// serviceSessionRow receives serviceSessionColumns.
type serviceSessionRow struct {
	s                               authcore.ServiceSession
	scopes, resources, amr          string
	offline, auth, created, expires int64
}

func (r *serviceSessionRow) fields(more ...any) []any {
	s := &r.s
	return append([]any{(*string)(&s.ID), (*string)(&s.Organization), (*string)(&s.Service), (*string)(&s.User), (*string)(&s.Root), &r.offline, &r.scopes, &r.resources,
		&r.amr, &r.auth, (*string)(&s.Act), &s.KeyHash, &s.Address, &s.Agent, &r.created, &r.expires}, more...)
}

func (r *serviceSessionRow) session() authcore.ServiceSession {
	s := r.s
	s.Offline, s.Scopes, s.Resources, s.AMR = r.offline != 0, fields(r.scopes), fields(r.resources), fields(r.amr)
	s.AuthTime, s.CreatedAt, s.ExpiresAt = orZero(r.auth), fromMicros(r.created), fromMicros(r.expires)
	return s
}

// insertServiceSession adds a session at a service. One in which somebody acts as the user
// ends with the portal session whatever was asked for.
func insertServiceSession(tx *tx, s authcore.ServiceSession) error {
	_, err := tx.exec("INSERT INTO service_sessions (id, organization_id, service_id, user_id, root_id, offline, scopes, resources, amr, auth_time, act_id, key_hash, address, agent, created_at, expires_at)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", s.ID, s.Organization, s.Service, s.User, s.Root, flag(s.Offline && s.Act == ""), words(s.Scopes), words(s.Resources),
		words(s.AMR), microsOrZero(s.AuthTime), s.Act, s.KeyHash, s.Address, s.Agent, micros(s.CreatedAt), micros(s.ExpiresAt))
	return err
}

// NoteEndUser implements authcore.EndUserStore. The organization is not locked, so that
// sign-ins do not wait for one another; the user is, and Bar locks the user too: so is
// nobody let in who was barred before.
func (db *DB) NoteEndUser(ctx context.Context, s authcore.Service, user authcore.UserID, at time.Time) error {
	return db.command(ctx, quick, func(tx *tx) error {
		return db.noteEndUser(tx, s.Organization, s.ID, user, at)
	})
}

// noteEndUser locks a user who may use a service, and counts the sign-in.
func (db *DB) noteEndUser(tx *tx, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID, at time.Time) error {
	if err := db.lockPerson(tx, user); err != nil {
		return err
	}
	if err := mayUse(tx, id, service, user); err != nil {
		return err
	}
	if _, err := tx.exec("INSERT INTO end_users (service_id, user_id, organization_id, first_at, last_at) VALUES (?, ?, ?, ?, ?)"+db.dialect.orNothing("user_id"), service, user, id, micros(at), micros(at)); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE end_users SET last_at = ? WHERE service_id = ? AND user_id = ? AND last_at < ?", micros(at), service, user, micros(at))
	return err
}

// MayUse implements authcore.EndUserStore.
func (db *DB) MayUse(ctx context.Context, s authcore.Service, user authcore.UserID) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockPerson(tx, user); err != nil {
			return err
		}
		return mayUse(tx, s.Organization, s.ID, user)
	})
}

// relationColumns are what a user u is to a service s: a member m of its organization, one
// who is barred from it, one who was chosen.
const relationColumns = "CASE WHEN m.user_id IS NULL THEN 0 ELSE 1 END, (SELECT count(*) FROM barred b WHERE b.organization_id = s.organization_id AND b.user_id = u.id)," +
	" (SELECT count(*) FROM service_access a WHERE a.service_id = s.id AND a.user_id = u.id)"

// relation receives relationColumns.
type relation struct{ member, barred, chosen int64 }

func (r *relation) fields(more ...any) []any {
	return append([]any{&r.member, &r.barred, &r.chosen}, more...)
}

// mayUse judges whether a user who is active may use a service. Whoever belongs to
// organizations only, only is true, uses none of others.
func (r *relation) mayUse(service authcore.Status, reach authcore.Reach, of authcore.OrganizationStatus, only bool) error {
	switch member := r.member != 0; {
	case service != authcore.Active || of != authcore.OrganizationActive:
		return authcore.ErrServiceDisabled
	case r.barred != 0:
		return authcore.ErrBarred
	case reach == authcore.ReachEveryone && (member || !only), reach == authcore.ReachMembers && member, reach == authcore.ReachChosen && member && r.chosen != 0:
		return nil
	}
	return authcore.ErrServiceNotAllowed
}

// mayUse judges whether a user who is active may use a service as it is by now.
func mayUse(tx *tx, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID) error {
	var status authcore.Status
	var reach authcore.Reach
	var of authcore.OrganizationStatus
	var owner, only int64
	var r relation
	err := tx.scan("SELECT s.status, s.access, o.status, u.owner, u.organization_only, "+relationColumns+" FROM services s JOIN organizations o ON o.id = s.organization_id JOIN users u ON u.id = ?"+
		" LEFT JOIN members m ON m.organization_id = s.organization_id AND m.user_id = u.id WHERE s.id = ? AND s.organization_id = ?", []any{user, service, id},
		append([]any{(*string)(&status), (*string)(&reach), (*string)(&of), &owner, &only}, r.fields()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return authcore.ErrServiceNotFound
	}
	if err != nil {
		return err
	}
	return r.mayUse(status, reach, of, only != 0 && owner == 0)
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

// EndUsers implements authcore.EndUserStore. Of the queries that there can be, each has
// a fixed text.
func (db *DB) EndUsers(ctx context.Context, id authcore.OrganizationID, q authcore.EndUserQuery) ([]authcore.EndUser, error) {
	l := listing{query: "SELECT u.id, u.username, u.name, u.email, MIN(e.first_at), MAX(e.last_at), (SELECT count(*) FROM barred b WHERE b.organization_id = ? AND b.user_id = u.id)" +
		" FROM end_users e JOIN services s ON s.id = e.service_id JOIN users u ON u.id = e.user_id", args: []any{id}, group: " GROUP BY u.id, u.username, u.name, u.email, u.username_key"}
	l.that("e.organization_id = ?", id)
	if q.Service != "" {
		l.that("e.service_id = ?", q.Service)
	}
	if q.User != "" {
		l.that("e.user_id = ?", q.User)
	}
	if q.Search != "" {
		begins := likely(q.Search) + "%"
		l.that("(u.username_key LIKE ? ESCAPE '!' OR u.email_key LIKE ? ESCAPE '!')", begins, begins)
	}
	l.byText(authcore.EndUserOrders.Of(q.Order).Down(), "u.username_key", "", q.After)
	return list(db, ctx, func(row scanner, u *authcore.EndUser) error {
		var first, last, barred int64
		err := row.Scan((*string)(&u.User), &u.Username, &u.Name, &u.Email, &first, &last, &barred)
		u.FirstAt, u.LastAt, u.Barred = fromMicros(first), fromMicros(last), barred > 0
		return err
	}, &l, q.Limit)
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
	query, args := "SELECT "+serviceSessionColumns+" FROM service_sessions x WHERE x.organization_id = ? AND x.user_id = ? AND x.expires_at > ?"+
		" AND (x.offline = 1 OR EXISTS (SELECT 1 FROM sessions r WHERE r.id = x.root_id AND r.expires_at > ?))", []any{id, user, micros(now), micros(now)}
	if service != "" {
		query += " AND x.service_id = ?"
		args = append(args, service)
	}
	return collect(db, ctx, func(row scanner, s *authcore.ServiceSession) error {
		var r serviceSessionRow
		err := row.Scan(r.fields()...)
		*s = r.session()
		return err
	}, query+" ORDER BY x.id DESC", args...)
}

// EndServiceSessions implements authcore.EndUserStore.
func (db *DB) EndServiceSessions(ctx context.Context, id authcore.OrganizationID, service authcore.ServiceID, user authcore.UserID, one authcore.SessionID, ev authcore.Event) (n int, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		where, args := "organization_id = ? AND user_id = ?", []any{id, user}
		if service != "" {
			where += " AND service_id = ?"
			args = append(args, service)
		}
		if one != "" {
			where += " AND id = ?"
			args = append(args, one)
		}
		ended, err := endGrants(tx, ev.Time, where, args...)
		if n = ended.n; err != nil || n == 0 {
			return err
		}
		return noteUser(tx, user, ev)
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
		if _, err := endGrants(tx, ev.Time, "organization_id = ? AND user_id = ?", id, user); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
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
