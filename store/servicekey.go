package store

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ServiceKeyStore = (*DB)(nil)

const serviceKeyColumns = "k.id, k.organization_id, k.service_id, k.name, k.scopes, k.created_by, k.created_at, k.last_used_at, k.expires_at"

// serviceKeyRow receives serviceKeyColumns.
type serviceKeyRow struct {
	k                      authcore.ServiceKey
	scopes                 string
	created, used, expires int64
}

func (r *serviceKeyRow) fields(more ...any) []any {
	k := &r.k
	return append([]any{(*string)(&k.ID), (*string)(&k.Organization), (*string)(&k.Service), &k.Name, &r.scopes, (*string)(&k.CreatedBy), &r.created, &r.used, &r.expires}, more...)
}

func (r *serviceKeyRow) key() authcore.ServiceKey {
	k := r.k
	for s := range strings.FieldsSeq(r.scopes) {
		k.Scopes = append(k.Scopes, authcore.ServiceScope(s))
	}
	k.CreatedAt = fromMicros(r.created)
	if r.used != 0 {
		k.LastUsed = fromMicros(r.used)
	}
	if r.expires != 0 {
		k.ExpiresAt = fromMicros(r.expires)
	}
	return k
}

// CreateServiceKey implements authcore.ServiceKeyStore.
func (db *DB) CreateServiceKey(ctx context.Context, k authcore.ServiceKey, hash authcore.TokenHash, ev authcore.Event) error {
	scopes := make([]string, 0, len(k.Scopes))
	for _, s := range k.Scopes {
		scopes = append(scopes, string(s))
	}
	expires := int64(0)
	if !k.ExpiresAt.IsZero() {
		expires = micros(k.ExpiresAt)
	}
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockService(tx, authcore.Service{ID: k.Service, Organization: k.Organization}); err != nil {
			return err
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM api_keys WHERE service_id = ?", []any{k.Service}, &n); err != nil {
			return err
		}
		if n >= authcore.MaxServiceKeys {
			return authcore.ErrTooManyKeys
		}
		if _, err := tx.exec("INSERT INTO api_keys (id, organization_id, service_id, name, hash, scopes, created_by, created_at, last_used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
			k.ID, k.Organization, k.Service, k.Name, hash.Hex(), strings.Join(scopes, " "), k.CreatedBy, micros(k.CreatedAt), expires); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// ServiceKeys implements authcore.ServiceKeyStore.
func (db *DB) ServiceKeys(ctx context.Context, s authcore.Service, q authcore.ListQuery) ([]authcore.ServiceKey, error) {
	l := listing{query: "SELECT " + serviceKeyColumns + " FROM api_keys k"}
	l.that("k.service_id = ? AND k.organization_id = ?", s.ID, s.Organization)
	l.byID(authcore.ServiceKeyOrders.Of(q.Order), "k.id", q.After)
	return list(db, ctx, func(row scanner, k *authcore.ServiceKey) error {
		var r serviceKeyRow
		err := row.Scan(r.fields()...)
		*k = r.key()
		return err
	}, &l, q.Limit)
}

// RevokeServiceKey implements authcore.ServiceKeyStore.
func (db *DB) RevokeServiceKey(ctx context.Context, s authcore.Service, id authcore.ServiceKeyID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if found, err := affected(tx.exec("DELETE FROM api_keys WHERE id = ? AND service_id = ? AND organization_id = ?", id, s.ID, s.Organization)); err != nil {
			return err
		} else if !found {
			return authcore.ErrKeyNotFound
		}
		return insertEvents(tx, ev)
	})
}

const serviceKeyBy = "SELECT " + serviceKeyColumns + ", " + serviceColumns + ", o.status FROM api_keys k JOIN services s ON s.id = k.service_id JOIN organizations o ON o.id = s.organization_id WHERE "

// ServiceKeyByHash implements authcore.ServiceKeyStore.
func (db *DB) ServiceKeyByHash(ctx context.Context, hash authcore.TokenHash) (authcore.ServiceKey, authcore.Service, authcore.OrganizationStatus, error) {
	return db.serviceKey(ctx, serviceKeyBy+"k.hash = ?", hash.Hex())
}

// ServiceKeyByID implements authcore.ServiceKeyStore.
func (db *DB) ServiceKeyByID(ctx context.Context, id authcore.ServiceKeyID) (authcore.ServiceKey, authcore.Service, authcore.OrganizationStatus, error) {
	return db.serviceKey(ctx, serviceKeyBy+"k.id = ?", string(id))
}

func (db *DB) serviceKey(ctx context.Context, query, key string) (authcore.ServiceKey, authcore.Service, authcore.OrganizationStatus, error) {
	var k serviceKeyRow
	var s serviceRow
	var status authcore.OrganizationStatus
	found, err := db.first(ctx, query, []any{key}, k.fields(s.fields((*string)(&status))...)...)
	if err == nil && !found {
		err = authcore.ErrKeyInvalid
	}
	return k.key(), s.service(), status, err
}

// TouchServiceKey implements authcore.ServiceKeyStore.
func (db *DB) TouchServiceKey(ctx context.Context, id authcore.ServiceKeyID, at time.Time) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("UPDATE api_keys SET last_used_at = ? WHERE id = ? AND last_used_at < ?", micros(at), id, micros(at))
		return err
	})
}
