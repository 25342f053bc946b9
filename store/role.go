package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.RoleStore = (*DB)(nil)

const roleColumns = "slug, name, capabilities, created_at, updated_at"

func scanRole(row scanner, r *authcore.RoleDefinition) error {
	var capabilities string
	var created, updated int64
	err := row.Scan((*string)(&r.Slug), &r.Name, &capabilities, &created, &updated)
	for c := range strings.FieldsSeq(capabilities) {
		r.Capabilities = append(r.Capabilities, authcore.Capability(c))
	}
	r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
	return err
}

func capabilityText(all []authcore.Capability) string {
	texts := make([]string, 0, len(all))
	for _, c := range all {
		texts = append(texts, string(c))
	}
	return strings.Join(texts, " ")
}

// CreateRole implements authcore.RoleStore.
func (db *DB) CreateRole(ctx context.Context, id authcore.OrganizationID, r authcore.RoleDefinition, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM roles WHERE organization_id = ?", []any{id}, &n); err != nil {
			return err
		}
		if n >= authcore.MaxRoles {
			return authcore.ErrTooManyRoles
		}
		_, err := tx.exec("INSERT INTO roles (organization_id, "+roleColumns+") VALUES (?, ?, ?, ?, ?, ?)", id, r.Slug, r.Name, capabilityText(r.Capabilities), micros(r.CreatedAt), micros(r.UpdatedAt))
		if db.dialect.violated(err) != "" {
			return authcore.ErrRoleTaken.With(err)
		}
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// ChangeRole implements authcore.RoleStore.
func (db *DB) ChangeRole(ctx context.Context, id authcore.OrganizationID, r authcore.RoleDefinition, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := roleExists(tx, id, r.Slug); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE roles SET name = ?, capabilities = ?, updated_at = ? WHERE organization_id = ? AND slug = ?", r.Name, capabilityText(r.Capabilities), micros(r.UpdatedAt), id, r.Slug); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// DeleteRole implements authcore.RoleStore. Nobody is given the role meanwhile: the
// organization is locked.
func (db *DB) DeleteRole(ctx context.Context, id authcore.OrganizationID, role authcore.Role, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := roleExists(tx, id, role); err != nil {
			return err
		}
		members, offers := 0, 0
		if err := tx.scan("SELECT count(*) FROM members WHERE organization_id = ? AND role = ?", []any{id, role}, &members); err != nil {
			return err
		}
		if err := tx.scan("SELECT count(*) FROM invitations WHERE organization_id = ? AND role = ? AND expires_at > ?", []any{id, role, micros(ev.Time)}, &offers); err != nil {
			return err
		}
		if members+offers > 0 {
			return authcore.ErrRoleInUse
		}
		if _, err := tx.exec("DELETE FROM roles WHERE organization_id = ? AND slug = ?", id, role); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// Roles implements authcore.RoleStore.
func (db *DB) Roles(ctx context.Context, id authcore.OrganizationID) ([]authcore.RoleDefinition, error) {
	return collect(db, ctx, scanRole, "SELECT "+roleColumns+" FROM roles WHERE organization_id = ? ORDER BY slug", id)
}

// RoleBySlug implements authcore.RoleStore.
func (db *DB) RoleBySlug(ctx context.Context, id authcore.OrganizationID, role authcore.Role) (authcore.RoleDefinition, error) {
	return one(db, ctx, scanRole, authcore.ErrRoleNotFound, "SELECT "+roleColumns+" FROM roles WHERE organization_id = ? AND slug = ?", id, role)
}

// one reads the one row of a query whose text is fixed, or returns missing.
func one[T any](db *DB, ctx context.Context, scan func(scanner, *T) error, missing error, query string, args ...any) (T, error) {
	found, err := collect(db, ctx, scan, query, args...)
	if err == nil && len(found) == 0 {
		err = missing
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// roleExists returns ErrRoleNotFound for a role that an organization, which is locked,
// does not have.
func roleExists(tx *tx, id authcore.OrganizationID, role authcore.Role) error {
	if role.BuiltIn() {
		return nil
	}
	var one int
	err := tx.scan("SELECT 1 FROM roles WHERE organization_id = ? AND slug = ?", []any{id, role}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		err = authcore.ErrRoleNotFound
	}
	return err
}
