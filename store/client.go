package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ClientStore = (*DB)(nil)

const clientColumns = "p.name, p.client_id, p.sealed, p.created_at, p.updated_at"

// clientRow receives clientColumns.
type clientRow struct {
	c                authcore.ProviderClient
	created, updated int64
}

func (r *clientRow) fields() []any {
	return []any{&r.c.Name, &r.c.ClientID, &r.c.Sealed, &r.created, &r.updated}
}

func (r *clientRow) client() authcore.ProviderClient {
	c := r.c
	c.CreatedAt, c.UpdatedAt = fromMicros(r.created), fromMicros(r.updated)
	return c
}

// SetProviderClient implements authcore.ClientStore.
func (db *DB) SetProviderClient(ctx context.Context, id authcore.OrganizationID, c authcore.ProviderClient, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		there, n := 0, 0
		if err := tx.scan("SELECT count(*) FROM organization_providers WHERE organization_id = ? AND name = ?", []any{id, c.Name}, &there); err != nil {
			return err
		}
		if err := tx.scan("SELECT count(*) FROM organization_providers WHERE organization_id = ?", []any{id}, &n); err != nil {
			return err
		}
		var err error
		switch {
		case there > 0:
			_, err = tx.exec("UPDATE organization_providers SET client_id = ?, sealed = ?, updated_at = ? WHERE organization_id = ? AND name = ?", c.ClientID, c.Sealed, micros(c.UpdatedAt), id, c.Name)
		case n >= authcore.MaxProviderClients:
			err = authcore.ErrTooManyClients
		default:
			_, err = tx.exec("INSERT INTO organization_providers (organization_id, name, client_id, sealed, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)", id, c.Name, c.ClientID, c.Sealed, micros(c.CreatedAt), micros(c.UpdatedAt))
		}
		if err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// ProviderClients implements authcore.ClientStore.
func (db *DB) ProviderClients(ctx context.Context, id authcore.OrganizationID) ([]authcore.ProviderClient, error) {
	return collect(db, ctx, func(row scanner, c *authcore.ProviderClient) error {
		var r clientRow
		err := row.Scan(r.fields()...)
		*c = r.client()
		return err
	}, "SELECT "+clientColumns+" FROM organization_providers p WHERE p.organization_id = ? ORDER BY p.name", id)
}

// ProviderClient implements authcore.ClientStore.
func (db *DB) ProviderClient(ctx context.Context, slug, name string) (id authcore.OrganizationID, c authcore.ProviderClient, err error) {
	var r clientRow
	found, err := db.first(ctx, "SELECT "+clientColumns+", o.id FROM organization_providers p JOIN organizations o ON o.id = p.organization_id WHERE o.slug = ? AND o.status = ? AND p.name = ?",
		[]any{slug, authcore.OrganizationActive, name}, append(r.fields(), (*string)(&id))...)
	if err == nil && !found {
		err = authcore.ErrClientNotFound
	}
	return id, r.client(), err
}

// DeleteProviderClient implements authcore.ClientStore.
func (db *DB) DeleteProviderClient(ctx context.Context, id authcore.OrganizationID, name string, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if found, err := affected(tx.exec("DELETE FROM organization_providers WHERE organization_id = ? AND name = ?", id, name)); err != nil {
			return err
		} else if !found {
			return authcore.ErrClientNotFound
		}
		return insertEvents(tx, ev)
	})
}
