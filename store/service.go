package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ServiceStore = (*DB)(nil)

const serviceColumns = "s.id, s.organization_id, s.name, s.type, s.status, s.client_id, s.secret_hash, s.old_secret_hash, s.old_secret_until," +
	" s.redirect_uris, s.logout_uris, s.device, s.first_party, s.access, s.token_format, s.access_life, s.refresh_life, s.created_at, s.updated_at," +
	" s.algorithm, s.scopes, COALESCE(s.jwks, ''), s.logout_uri, s.no_pkce, s.pushed_only, s.dpop"

// serviceRow receives serviceColumns.
type serviceRow struct {
	s                      authcore.Service
	secret, old            string
	redirects, logouts     string
	device, first          int64
	until, access, refresh int64
	created, updated       int64
	scopes                 string
	noPKCE, pushed, dpop   int64
}

func (r *serviceRow) fields(more ...any) []any {
	s := &r.s
	return append([]any{(*string)(&s.ID), (*string)(&s.Organization), &s.Name, (*string)(&s.Type), (*string)(&s.Status), &s.ClientID, &r.secret, &r.old, &r.until,
		&r.redirects, &r.logouts, &r.device, &r.first, (*string)(&s.Access), (*string)(&s.TokenFormat), &r.access, &r.refresh, &r.created, &r.updated,
		(*string)(&s.Algorithm), &r.scopes, &s.Keys, &s.LogoutURI, &r.noPKCE, &r.pushed, &r.dpop}, more...)
}

func (r *serviceRow) service() authcore.Service {
	s := r.s
	s.Secret, s.OldSecret = hashOf(r.secret), hashOf(r.old)
	if r.until != 0 {
		s.OldUntil = fromMicros(r.until)
	}
	s.RedirectURIs, s.LogoutURIs = fields(r.redirects), fields(r.logouts)
	s.Device, s.FirstParty = r.device != 0, r.first != 0
	s.AccessLife, s.RefreshLife = time.Duration(r.access)*time.Second, time.Duration(r.refresh)*time.Second
	s.CreatedAt, s.UpdatedAt = fromMicros(r.created), fromMicros(r.updated)
	s.Scopes, s.NoPKCE, s.PushedOnly, s.DPoP = fields(r.scopes), r.noPKCE != 0, r.pushed != 0, r.dpop != 0
	return s
}

func scanService(row scanner, s *authcore.Service) error {
	var r serviceRow
	err := row.Scan(r.fields()...)
	*s = r.service()
	return err
}

// hashOf reads a hash; the zero hash for none.
func hashOf(text string) (h authcore.TokenHash) {
	_, _ = hex.Decode(h[:], []byte(text))
	return h
}

// hashText writes a hash; empty for the zero hash.
func hashText(h authcore.TokenHash) string {
	if h == (authcore.TokenHash{}) {
		return ""
	}
	return h.Hex()
}

func lines(all []string) string { return strings.Join(all, "\n") }

func words(all []string) string { return strings.Join(all, " ") }

// CreateService implements authcore.ServiceStore.
func (db *DB) CreateService(ctx context.Context, s authcore.Service, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, s.Organization); err != nil {
			return err
		}
		most, _, err := limitsOf(tx, s.Organization)
		if err != nil {
			return err
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM services WHERE organization_id = ?", []any{s.Organization}, &n); err != nil {
			return err
		}
		if most > 0 && n >= most {
			return authcore.ErrServiceLimit
		}
		_, err = tx.exec("INSERT INTO services (id, organization_id, name, type, status, client_id, secret_hash, old_secret_hash, old_secret_until, redirect_uris, logout_uris,"+
			" device, first_party, access, token_format, access_life, refresh_life, created_at, updated_at, algorithm, scopes, jwks, logout_uri, no_pkce, pushed_only, dpop)"+
			" VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.ID, s.Organization, s.Name, s.Type, s.Status, s.ClientID, hashText(s.Secret), lines(s.RedirectURIs), lines(s.LogoutURIs), flag(s.Device), flag(s.FirstParty),
			s.Access, s.TokenFormat, int64(s.AccessLife/time.Second), int64(s.RefreshLife/time.Second), micros(s.CreatedAt), micros(s.UpdatedAt),
			s.Algorithm, words(s.Scopes), s.Keys, s.LogoutURI, flag(s.NoPKCE), flag(s.PushedOnly), flag(s.DPoP))
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// Services implements authcore.ServiceStore.
func (db *DB) Services(ctx context.Context, id authcore.OrganizationID, q authcore.ServiceQuery) ([]authcore.Service, error) {
	l := listing{query: "SELECT " + serviceColumns + " FROM services s"}
	l.that("s.organization_id = ?", id)
	if q.Search != "" { // the second for letters that SQLite cannot lower
		l.that("(LOWER(s.name) LIKE ? ESCAPE '!' OR s.name LIKE ? ESCAPE '!')", "%"+likely(strings.ToLower(q.Search))+"%", "%"+likely(q.Search)+"%")
	}
	after, name, _ := strings.Cut(q.After, " ")
	switch order := authcore.ServiceOrders.Of(q.Order); {
	case order.ByTime():
		l.byID(order, "s.id", after)
	case q.After == "":
		l.by(order.Down(), []string{"s.name", "s.id"})
	default:
		l.by(order.Down(), []string{"s.name", "s.id"}, name, after)
	}
	return list(db, ctx, scanService, &l, q.Limit)
}

// ServiceByID implements authcore.ServiceStore.
func (db *DB) ServiceByID(ctx context.Context, id authcore.OrganizationID, of authcore.ServiceID) (authcore.Service, error) {
	return one(db, ctx, scanService, authcore.ErrServiceNotFound, "SELECT "+serviceColumns+" FROM services s WHERE s.organization_id = ? AND s.id = ?", id, of)
}

// ServiceByClientID implements authcore.ServiceStore.
func (db *DB) ServiceByClientID(ctx context.Context, clientID string) (authcore.Service, authcore.OrganizationStatus, error) {
	var r serviceRow
	var status authcore.OrganizationStatus
	found, err := db.first(ctx, "SELECT "+serviceColumns+", o.status FROM services s JOIN organizations o ON o.id = s.organization_id WHERE s.client_id = ?",
		[]any{clientID}, r.fields((*string)(&status))...)
	if err == nil && !found {
		err = authcore.ErrServiceNotFound
	}
	return r.service(), status, err
}

// setService sets columns of a service inside a command; what is set is a text of this
// file. It locks the row, and what depends on it waits.
func setService(tx *tx, s authcore.Service, ev authcore.Event, set string, values ...any) error {
	found, err := affected(tx.exec("UPDATE services SET "+set+", updated_at = ? WHERE organization_id = ? AND id = ?", append(values, micros(ev.Time), s.Organization, s.ID)...))
	if err == nil && !found {
		err = authcore.ErrServiceNotFound
	}
	if err != nil {
		return err
	}
	return note(tx, authcore.ChangeService, string(s.ID), ev)
}

// UpdateService implements authcore.ServiceStore.
func (db *DB) UpdateService(ctx context.Context, s authcore.Service, ev authcore.Event) error {
	if s.Status != authcore.Active {
		if err := db.thinGrants(ctx, ev.Time, "organization_id = ? AND service_id = ?", s.Organization, s.ID); err != nil {
			return err
		}
	}
	return db.command(ctx, durable, func(tx *tx) error {
		var status, reach string
		err := tx.scan("SELECT status, access FROM services WHERE organization_id = ? AND id = ?"+db.dialect.forUpdate(), []any{s.Organization, s.ID}, &status, &reach)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrServiceNotFound
		}
		if err != nil {
			return err
		}
		err = setService(tx, s, ev, "name = ?, status = ?, redirect_uris = ?, logout_uris = ?, device = ?, access = ?, token_format = ?, access_life = ?, refresh_life = ?,"+
			" algorithm = ?, scopes = ?, jwks = ?, logout_uri = ?, no_pkce = ?, pushed_only = ?, dpop = ?",
			s.Name, s.Status, lines(s.RedirectURIs), lines(s.LogoutURIs), flag(s.Device), s.Access, s.TokenFormat, int64(s.AccessLife/time.Second), int64(s.RefreshLife/time.Second),
			s.Algorithm, words(s.Scopes), s.Keys, s.LogoutURI, flag(s.NoPKCE), flag(s.PushedOnly), flag(s.DPoP))
		if err == nil && s.Status != authcore.Active {
			_, err = endGrants(tx, ev.Time, "service_id = ?", s.ID)
		}
		if err == nil && (string(s.Status) != status || string(s.Access) != reach) {
			err = noteAll(tx) // of whoever uses it
		}
		return err
	})
}

// SetServiceTrust implements authcore.ServiceStore.
func (db *DB) SetServiceTrust(ctx context.Context, s authcore.Service, firstParty bool, ev authcore.Event) error {
	if !firstParty {
		if err := db.thinGrants(ctx, ev.Time, "organization_id = ? AND service_id = ?", s.Organization, s.ID); err != nil {
			return err
		}
	}
	return db.command(ctx, durable, func(tx *tx) error {
		err := setService(tx, s, ev, "first_party = ?", flag(firstParty))
		if err != nil || firstParty {
			return err
		}
		if _, err := endGrants(tx, ev.Time, "service_id = ?", s.ID); err != nil {
			return err
		}
		return noteAll(tx)
	})
}

// RotateServiceSecret implements authcore.ServiceStore. MySQL assigns from left to right.
func (db *DB) RotateServiceSecret(ctx context.Context, s authcore.Service, secret authcore.TokenHash, until time.Time, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		return setService(tx, s, ev, "old_secret_hash = secret_hash, old_secret_until = ?, secret_hash = ?", micros(until), hashText(secret))
	})
}

// DeleteService implements authcore.ServiceStore.
func (db *DB) DeleteService(ctx context.Context, s authcore.Service, ev authcore.Event) error {
	if err := db.thinGrants(ctx, ev.Time, "organization_id = ? AND service_id = ?", s.Organization, s.ID); err != nil {
		return err
	}
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, s.Organization); err != nil {
			return err
		}
		if found, err := affected(tx.exec("DELETE FROM services WHERE organization_id = ? AND id = ?", s.Organization, s.ID)); err != nil {
			return err
		} else if !found {
			return authcore.ErrServiceNotFound
		}
		for _, q := range []string{"DELETE FROM service_access WHERE service_id = ?", "DELETE FROM api_keys WHERE service_id = ?",
			"DELETE FROM end_users WHERE service_id = ?"} {
			if _, err := tx.exec(q, s.ID); err != nil {
				return err
			}
		}
		if err := dropGranted(tx, s.ID, ev.Time); err != nil {
			return err
		}
		return note(tx, authcore.ChangeAll, "", ev)
	})
}

// lockService makes sure that a service is there and stays until commit, with its
// organization; the organization is locked too.
func (db *DB) lockService(tx *tx, s authcore.Service) error {
	if _, err := db.lockOrganization(tx, s.Organization); err != nil {
		return err
	}
	n := 0
	err := tx.scan("SELECT count(*) FROM services WHERE organization_id = ? AND id = ?", []any{s.Organization, s.ID}, &n)
	if err == nil && n == 0 {
		err = authcore.ErrServiceNotFound
	}
	return err
}

// GrantService implements authcore.ServiceStore.
func (db *DB) GrantService(ctx context.Context, s authcore.Service, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockService(tx, s); err != nil {
			return err
		}
		if err := db.lockUser(tx, user); errors.Is(err, authcore.ErrUserNotFound) {
			return authcore.ErrMemberNotFound
		} else if err != nil {
			return err
		}
		if role, err := roleOf(tx, s.Organization, user); err != nil {
			return err
		} else if role == "" {
			return authcore.ErrMemberNotFound
		}
		if _, err := tx.exec("INSERT INTO service_access (service_id, user_id, organization_id, created_at) VALUES (?, ?, ?, ?)"+db.dialect.orNothing("user_id"), s.ID, user, s.Organization, micros(ev.Time)); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// WithdrawService implements authcore.ServiceStore.
func (db *DB) WithdrawService(ctx context.Context, s authcore.Service, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockService(tx, s); err != nil {
			return err
		}
		if found, err := affected(tx.exec("DELETE FROM service_access WHERE service_id = ? AND user_id = ?", s.ID, user)); err != nil {
			return err
		} else if !found {
			return authcore.ErrMemberNotFound
		}
		if _, err := endGrants(tx, ev.Time, "service_id = ? AND user_id = ?", s.ID, user); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// Grantees implements authcore.ServiceStore.
func (db *DB) Grantees(ctx context.Context, s authcore.Service, after string, limit int) ([]authcore.Grantee, error) {
	return collect(db, ctx, func(row scanner, g *authcore.Grantee) error {
		var created int64
		err := row.Scan((*string)(&g.User), &g.Username, &g.Name, &created)
		g.CreatedAt = fromMicros(created)
		return err
	}, "SELECT u.id, u.username, u.name, a.created_at FROM service_access a JOIN users u ON u.id = a.user_id WHERE a.service_id = ? AND a.organization_id = ? AND u.username_key > ? ORDER BY u.username_key LIMIT ?",
		s.ID, s.Organization, after, limit)
}
