package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ConsentStore = (*DB)(nil)

const consentQuery = "SELECT c.user_id, c.service_id, s.organization_id, s.name, o.slug, c.scopes, c.created_at, c.updated_at" +
	" FROM consents c JOIN services s ON s.id = c.service_id JOIN organizations o ON o.id = s.organization_id WHERE c.user_id = ?"

func scanConsent(row scanner, c *authcore.Consent) error {
	var scopes string
	var created, updated int64
	err := row.Scan((*string)(&c.User), (*string)(&c.Service), (*string)(&c.Organization), &c.ServiceName, &c.Slug, &scopes, &created, &updated)
	c.Scopes = fields(scopes)
	c.CreatedAt, c.UpdatedAt = fromMicros(created), fromMicros(updated)
	return err
}

// Consents implements authcore.ConsentStore.
func (db *DB) Consents(ctx context.Context, user authcore.UserID, now time.Time) ([]authcore.Consent, error) {
	all, err := collect(db, ctx, scanConsent, consentQuery, user)
	if err != nil {
		return nil, err
	}
	lasting, err := collect(db, ctx, scanConsent, "SELECT x.user_id, x.service_id, s.organization_id, s.name, o.slug, COALESCE(x.scopes, ''), x.created_at, x.created_at"+
		" FROM service_sessions x JOIN services s ON s.id = x.service_id JOIN organizations o ON o.id = s.organization_id"+
		" WHERE x.user_id = ? AND x.offline = 1 AND x.act_id = '' AND x.expires_at > ? ORDER BY x.created_at, x.id", user, micros(now))
	if err != nil {
		return nil, err
	}
	for _, c := range lasting {
		i := slices.IndexFunc(all, func(had authcore.Consent) bool { return had.Service == c.Service })
		if i < 0 {
			all, i = append(all, c), len(all)
		}
		all[i].Scopes, all[i].Lasting = union(all[i].Scopes, c.Scopes), true
	}
	slices.SortFunc(all, func(a, b authcore.Consent) int {
		return cmp.Or(cmp.Compare(a.ServiceName, b.ServiceName), cmp.Compare(a.Service, b.Service))
	})
	return all, nil
}

// union is some texts and those of others that are not among them.
func union(some, others []string) []string {
	for _, s := range others {
		if !slices.Contains(some, s) {
			some = append(some, s)
		}
	}
	return some
}

// ConsentTo implements authcore.ConsentStore.
func (db *DB) ConsentTo(ctx context.Context, user authcore.UserID, service authcore.ServiceID) (authcore.Consent, error) {
	c, err := one(db, ctx, scanConsent, authcore.ErrConsentNotFound, consentQuery+" AND c.service_id = ?", user, service)
	if errors.Is(err, authcore.ErrConsentNotFound) {
		return authcore.Consent{User: user, Service: service}, nil
	}
	return c, err
}

// SetConsent implements authcore.ConsentStore. The user is locked, so that no scope is lost
// of two that come at once.
func (db *DB) SetConsent(ctx context.Context, c authcore.Consent, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		if err := db.lockUser(tx, c.User); err != nil {
			return err
		}
		var one int
		if err := tx.scan("SELECT 1 FROM services WHERE organization_id = ? AND id = ?", []any{c.Organization, c.Service}, &one); errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrServiceNotFound
		} else if err != nil {
			return err
		}
		var had string
		err := tx.scan("SELECT scopes FROM consents WHERE user_id = ? AND service_id = ?", []any{c.User, c.Service}, &had)
		scopes := union(fields(had), c.Scopes)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.exec("INSERT INTO consents (user_id, service_id, scopes, created_at, updated_at) VALUES (?, ?, ?, ?, ?)", c.User, c.Service, words(scopes), micros(c.CreatedAt), micros(c.UpdatedAt))
		case err == nil:
			_, err = tx.exec("UPDATE consents SET scopes = ?, updated_at = ? WHERE user_id = ? AND service_id = ?", words(scopes), micros(c.UpdatedAt), c.User, c.Service)
		}
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// WithdrawConsent implements authcore.ConsentStore.
func (db *DB) WithdrawConsent(ctx context.Context, user authcore.UserID, service authcore.ServiceID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, user); errors.Is(err, authcore.ErrUserNotFound) {
			return authcore.ErrConsentNotFound
		} else if err != nil {
			return err
		}
		found, err := affected(tx.exec("DELETE FROM consents WHERE user_id = ? AND service_id = ?", user, service))
		if err != nil {
			return err
		}
		ended, err := endGrants(tx, ev.Time, "service_id = ? AND user_id = ?", service, user)
		if err == nil && !found && ended.n == 0 {
			err = authcore.ErrConsentNotFound
		}
		if err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}
