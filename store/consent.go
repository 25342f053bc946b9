package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

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
func (db *DB) Consents(ctx context.Context, user authcore.UserID) ([]authcore.Consent, error) {
	return collect(db, ctx, scanConsent, consentQuery+" ORDER BY s.name, s.id", user)
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
		scopes := fields(had)
		for _, s := range c.Scopes {
			if !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
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
		if found, err := affected(tx.exec("DELETE FROM consents WHERE user_id = ? AND service_id = ?", user, service)); err != nil {
			return err
		} else if !found {
			return authcore.ErrConsentNotFound
		}
		if _, err := endGrants(tx, ev.Time, "service_id = ? AND user_id = ?", service, user); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}
