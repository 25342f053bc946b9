package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.OrganizationStore = (*DB)(nil)

const (
	organizationColumns = "id, slug, name, status, reason, tier, factor_required, created_at, updated_at"
	// ofOrganizations are organizationColumns where other tables are read along.
	ofOrganizations = "o.id, o.slug, o.name, o.status, o.reason, o.tier, o.factor_required, o.created_at, o.updated_at"
)

// organizationRow receives organizationColumns.
type organizationRow struct {
	o                          authcore.Organization
	required, created, updated int64
}

func (r *organizationRow) fields(more ...any) []any {
	o := &r.o
	return append([]any{(*string)(&o.ID), &o.Slug, &o.Name, (*string)(&o.Status), &o.Reason, (*string)(&o.Tier), &r.required, &r.created, &r.updated}, more...)
}

func (r *organizationRow) organization() authcore.Organization {
	o := r.o
	o.FactorRequired = r.required != 0
	o.CreatedAt, o.UpdatedAt = fromMicros(r.created), fromMicros(r.updated)
	return o
}

func scanOrganization(row scanner, o *authcore.Organization) error {
	var r organizationRow
	err := row.Scan(r.fields()...)
	*o = r.organization()
	return err
}

// CreateOrganization implements authcore.OrganizationStore.
func (db *DB) CreateOrganization(ctx context.Context, o authcore.Organization, owner authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockPerson(tx, owner); err != nil {
			return err
		}
		var one int
		switch err := tx.scan("SELECT 1 FROM retired_slugs WHERE slug = ?", []any{o.Slug}, &one); {
		case err == nil: // policies may still name the one that had it
			return authcore.ErrSlugTaken
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		_, err := tx.exec("INSERT INTO organizations ("+organizationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Tier, flag(o.FactorRequired), micros(o.CreatedAt), micros(o.UpdatedAt))
		if db.dialect.violated(err) != "" {
			return authcore.ErrSlugTaken.With(err)
		}
		if err != nil {
			return err
		}
		if err := insertMember(tx, o.ID, owner, authcore.RoleOwner, ev.Time); err != nil {
			return err
		}
		return noteUser(tx, owner, ev)
	})
}

// OrganizationBySlug implements authcore.OrganizationStore.
func (db *DB) OrganizationBySlug(ctx context.Context, slug string) (authcore.Organization, error) {
	return one(db, ctx, scanOrganization, authcore.ErrOrganizationNotFound, "SELECT "+organizationColumns+" FROM organizations WHERE slug = ?", slug)
}

// OrganizationByID implements authcore.OrganizationStore.
func (db *DB) OrganizationByID(ctx context.Context, id authcore.OrganizationID) (authcore.Organization, error) {
	return one(db, ctx, scanOrganization, authcore.ErrOrganizationNotFound, "SELECT "+organizationColumns+" FROM organizations WHERE id = ?", id)
}

// lockOrganization locks an organization and gives its status, or returns
// ErrOrganizationNotFound.
func (db *DB) lockOrganization(tx *tx, id authcore.OrganizationID) (status authcore.OrganizationStatus, err error) {
	err = tx.scan("SELECT status FROM organizations WHERE id = ?"+db.dialect.forUpdate(), []any{id}, (*string)(&status))
	if errors.Is(err, sql.ErrNoRows) {
		err = authcore.ErrOrganizationNotFound
	}
	return status, err
}

// SetOrganizationStatus implements authcore.OrganizationStore.
func (db *DB) SetOrganizationStatus(ctx context.Context, id authcore.OrganizationID, from []authcore.OrganizationStatus, to authcore.OrganizationStatus, reason string, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		status, err := db.lockOrganization(tx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(from, status) {
			return authcore.ErrOrganizationState
		}
		if _, err := tx.exec("UPDATE organizations SET status = ?, reason = ?, updated_at = ? WHERE id = ?", to, reason, micros(ev.Time), id); err != nil {
			return err
		}
		if err := noteAll(tx); err != nil { // those who use its services need not be members
			return err
		}
		return note(tx, authcore.ChangeOrganization, string(id), ev)
	})
}

// RenameOrganization implements authcore.OrganizationStore.
func (db *DB) RenameOrganization(ctx context.Context, id authcore.OrganizationID, name string, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE organizations SET name = ?, updated_at = ? WHERE id = ?", name, micros(ev.Time), id); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// SetOrganizationFactor implements authcore.OrganizationStore.
func (db *DB) SetOrganizationFactor(ctx context.Context, id authcore.OrganizationID, required bool, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE organizations SET factor_required = ?, updated_at = ? WHERE id = ?", flag(required), micros(ev.Time), id); err != nil {
			return err
		}
		return note(tx, authcore.ChangeOrganization, string(id), ev)
	})
}

// ofOrganization are the tables with rows of an organization, in the order in which they
// are emptied.
var ofOrganization = []string{"UPDATE users SET organizations = organizations - 1 WHERE id IN (SELECT user_id FROM members WHERE organization_id = ?)",
	"DELETE FROM codes WHERE hash IN (SELECT hash FROM invitations WHERE organization_id = ?)", "DELETE FROM invitations WHERE organization_id = ?",
	"DELETE FROM members WHERE organization_id = ?", "DELETE FROM roles WHERE organization_id = ?", "DELETE FROM overrides WHERE organization_id = ?",
	"DELETE FROM service_access WHERE organization_id = ?", "DELETE FROM end_users WHERE organization_id = ?",
	"DELETE FROM barred WHERE organization_id = ?", "DELETE FROM api_keys WHERE organization_id = ?", "DELETE FROM services WHERE organization_id = ?",
	"DELETE FROM organization_providers WHERE organization_id = ?", "DELETE FROM webhooks WHERE organization_id = ?", "DELETE FROM organizations WHERE id = ?"}

// DeleteOrganization implements authcore.OrganizationStore.
func (db *DB) DeleteOrganization(ctx context.Context, id authcore.OrganizationID, ev authcore.Event) error {
	hooks, err := db.webhookIDs(ctx, id)
	if err == nil {
		err = db.thinGrants(ctx, ev.Time, "organization_id = ?", id)
	}
	if err != nil {
		return err
	}
	err = db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO retired_slugs (slug, retired_at) SELECT slug, ? FROM organizations WHERE id = ?", micros(ev.Time), id); err != nil {
			return err
		}
		services, err := tx.texts("SELECT id FROM services WHERE organization_id = ?", id)
		if err != nil {
			return err
		}
		for _, q := range ofOrganization {
			if _, err := tx.exec(q, id); err != nil {
				return err
			}
		}
		for _, s := range services {
			if err := dropGranted(tx, authcore.ServiceID(s), ev.Time); err != nil {
				return err
			}
		}
		if err := noteAll(tx); err != nil {
			return err
		}
		return note(tx, authcore.ChangeOrganization, string(id), ev)
	})
	if err == nil {
		err = db.dropDeliveries(ctx, hooks...)
	}
	return err
}
