package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.OrganizationStore = (*DB)(nil)

const organizationColumns = "id, slug, name, status, reason, tier, created_at, updated_at"

func scanOrganization(row scanner, o *authcore.Organization) error {
	var created, updated int64
	err := row.Scan((*string)(&o.ID), &o.Slug, &o.Name, (*string)(&o.Status), &o.Reason, (*string)(&o.Tier), &created, &updated)
	o.CreatedAt, o.UpdatedAt = fromMicros(created), fromMicros(updated)
	return err
}

// CreateOrganization implements authcore.OrganizationStore.
func (db *DB) CreateOrganization(ctx context.Context, o authcore.Organization, owner authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, owner); err != nil {
			return err
		}
		_, err := tx.exec("INSERT INTO organizations ("+organizationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)", o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Tier, micros(o.CreatedAt), micros(o.UpdatedAt))
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

func insertMember(tx *tx, id authcore.OrganizationID, user authcore.UserID, role authcore.Role, at time.Time) error {
	_, err := tx.exec("INSERT INTO members (organization_id, user_id, role, created_at) VALUES (?, ?, ?, ?)", id, user, role, micros(at))
	if err == nil {
		err = countOrganizations(tx, user)
	}
	return err
}

// countOrganizations keeps the count with the user, who is locked: a session is read
// without looking for memberships where there are none.
func countOrganizations(tx *tx, user authcore.UserID) error {
	_, err := tx.exec("UPDATE users SET organizations = (SELECT count(*) FROM members WHERE user_id = ?) WHERE id = ?", user, user)
	return err
}

// OrganizationBySlug implements authcore.OrganizationStore.
func (db *DB) OrganizationBySlug(ctx context.Context, slug string) (authcore.Organization, error) {
	found, err := collect(db, ctx, scanOrganization, "SELECT "+organizationColumns+" FROM organizations WHERE slug = ?", slug)
	if err == nil && len(found) == 0 {
		err = authcore.ErrOrganizationNotFound
	}
	if err != nil {
		return authcore.Organization{}, err
	}
	return found[0], nil
}

// Organizations implements authcore.OrganizationStore.
func (db *DB) Organizations(ctx context.Context, status authcore.OrganizationStatus, after string, limit int) ([]authcore.Organization, error) {
	if status == "" {
		return collect(db, ctx, scanOrganization, "SELECT "+organizationColumns+" FROM organizations WHERE slug > ? ORDER BY slug LIMIT ?", after, limit)
	}
	return collect(db, ctx, scanOrganization, "SELECT "+organizationColumns+" FROM organizations WHERE status = ? AND slug > ? ORDER BY slug LIMIT ?", status, after, limit)
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
		return note(tx, authcore.ChangeOrganization, string(id), ev)
	})
}

// SetOrganizationTier implements authcore.OrganizationStore.
func (db *DB) SetOrganizationTier(ctx context.Context, id authcore.OrganizationID, tier authcore.Tier, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE organizations SET tier = ?, updated_at = ? WHERE id = ?", tier, micros(ev.Time), id); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// DeleteOrganization implements authcore.OrganizationStore.
func (db *DB) DeleteOrganization(ctx context.Context, id authcore.OrganizationID, ev authcore.Event) error {
	hooks, err := db.webhookIDs(ctx, id)
	if err != nil {
		return err
	}
	err = db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		for _, q := range []string{"UPDATE users SET organizations = organizations - 1 WHERE id IN (SELECT user_id FROM members WHERE organization_id = ?)",
			"DELETE FROM members WHERE organization_id = ?", "DELETE FROM webhooks WHERE organization_id = ?", "DELETE FROM organizations WHERE id = ?"} {
			if _, err := tx.exec(q, id); err != nil {
				return err
			}
		}
		return note(tx, authcore.ChangeOrganization, string(id), ev)
	})
	if err == nil {
		err = db.dropDeliveries(ctx, hooks...)
	}
	return err
}

// SetMember implements authcore.OrganizationStore. The organization is locked, so that two
// owners cannot remove each other, nor two members take the last place.
func (db *DB) SetMember(ctx context.Context, id authcore.OrganizationID, user authcore.UserID, role authcore.Role, most int, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := db.lockUser(tx, user); err != nil {
			return err
		}
		was, err := roleOf(tx, id, user)
		if err != nil {
			return err
		}
		switch {
		case was == "":
			n := 0
			if err := tx.scan("SELECT count(*) FROM members WHERE organization_id = ?", []any{id}, &n); err != nil {
				return err
			}
			if most > 0 && n >= most {
				return authcore.ErrMemberLimit
			}
			err = insertMember(tx, id, user, role, ev.Time)
		case was != role:
			if _, err := tx.exec("UPDATE members SET role = ? WHERE organization_id = ? AND user_id = ?", role, id, user); err != nil {
				return err
			}
			err = ownedStill(tx, id)
		}
		if err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// RemoveMember implements authcore.OrganizationStore.
func (db *DB) RemoveMember(ctx context.Context, id authcore.OrganizationID, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := db.lockUser(tx, user); errors.Is(err, authcore.ErrUserNotFound) {
			return authcore.ErrMemberNotFound
		} else if err != nil {
			return err
		}
		if removed, err := affected(tx.exec("DELETE FROM members WHERE organization_id = ? AND user_id = ?", id, user)); err != nil {
			return err
		} else if !removed {
			return authcore.ErrMemberNotFound
		}
		if err := countOrganizations(tx, user); err != nil {
			return err
		}
		if err := ownedStill(tx, id); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// roleOf is the role of a user in an organization; empty for none.
func roleOf(tx *tx, id authcore.OrganizationID, user authcore.UserID) (role authcore.Role, err error) {
	err = tx.scan("SELECT role FROM members WHERE organization_id = ? AND user_id = ?", []any{id, user}, (*string)(&role))
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return role, err
}

// ownedStill returns ErrLastOrganizationOwner where an organization has no owner.
func ownedStill(tx *tx, id authcore.OrganizationID) error {
	n := 0
	err := tx.scan("SELECT count(*) FROM members WHERE organization_id = ? AND role = ?", []any{id, authcore.RoleOwner}, &n)
	if err == nil && n == 0 {
		err = authcore.ErrLastOrganizationOwner
	}
	return err
}

// Memberships implements authcore.OrganizationStore.
func (db *DB) Memberships(ctx context.Context, user authcore.UserID) ([]authcore.Membership, error) {
	return collect(db, ctx, func(row scanner, m *authcore.Membership) error {
		return row.Scan((*string)(&m.Organization), &m.Slug, (*string)(&m.Status), (*string)(&m.Role))
	}, "SELECT o.id, o.slug, o.status, m.role FROM members m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = ? ORDER BY o.slug", user)
}

// Members implements authcore.OrganizationStore.
func (db *DB) Members(ctx context.Context, id authcore.OrganizationID, after string, limit int) ([]authcore.Member, error) {
	return collect(db, ctx, func(row scanner, m *authcore.Member) error {
		var created int64
		err := row.Scan((*string)(&m.User), &m.Username, &m.Name, (*string)(&m.Role), &created)
		m.CreatedAt = fromMicros(created)
		return err
	}, "SELECT u.id, u.username, u.name, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? AND u.username_key > ? ORDER BY u.username_key LIMIT ?",
		id, after, limit)
}
