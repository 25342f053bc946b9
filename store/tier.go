package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.TierStore = (*DB)(nil)

// asTier stands for a limit that is as the tier says.
const asTier = -1

// Tiers implements authcore.TierStore.
func (db *DB) Tiers(ctx context.Context) ([]authcore.TierLimits, error) {
	return collect(db, ctx, func(row scanner, t *authcore.TierLimits) error {
		var features string
		err := row.Scan((*string)(&t.Tier), &t.Services, &t.Members, &features)
		t.Features = fields(features)
		return err
	}, "SELECT name, services, members, features FROM tiers ORDER BY name")
}

// SetTier implements authcore.TierStore.
func (db *DB) SetTier(ctx context.Context, t authcore.TierLimits, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		features := strings.Join(t.Features, " ")
		if _, err := tx.exec("INSERT INTO tiers (name, services, members, features) VALUES (?, ?, ?, ?)"+db.dialect.orNothing("name"), t.Tier, t.Services, t.Members, features); err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE tiers SET services = ?, members = ?, features = ? WHERE name = ?", t.Services, t.Members, features, t.Tier); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// SetOrganizationTier implements authcore.TierStore.
func (db *DB) SetOrganizationTier(ctx context.Context, id authcore.OrganizationID, tier authcore.Tier, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		var one int
		if err := tx.scan("SELECT 1 FROM tiers WHERE name = ?", []any{tier}, &one); errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrTierInvalid
		} else if err != nil {
			return err
		}
		if _, err := tx.exec("UPDATE organizations SET tier = ?, updated_at = ? WHERE id = ?", tier, micros(ev.Time), id); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// SetOverrides implements authcore.TierStore.
func (db *DB) SetOverrides(ctx context.Context, id authcore.OrganizationID, o authcore.Overrides, ev authcore.Event) error {
	services, members, features := asTier, asTier, ""
	if o.Services != nil {
		services = *o.Services
	}
	if o.Members != nil {
		members = *o.Members
	}
	if o.Features != nil {
		features = strings.Join(*o.Features, " ")
	}
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM overrides WHERE organization_id = ?", id); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO overrides (organization_id, services, members, own_features, features) VALUES (?, ?, ?, ?, ?)", id, services, members, flag(o.Features != nil), features); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// Overrides implements authcore.TierStore.
func (db *DB) Overrides(ctx context.Context, id authcore.OrganizationID) (authcore.Overrides, error) {
	var o authcore.Overrides
	var services, members, own int
	var features string
	found, err := db.first(ctx, "SELECT services, members, own_features, features FROM overrides WHERE organization_id = ?", []any{id}, &services, &members, &own, &features)
	if err != nil || !found {
		return o, err
	}
	if services != asTier {
		o.Services = &services
	}
	if members != asTier {
		o.Members = &members
	}
	if own != 0 {
		all := strings.Fields(features)
		o.Features = &all
	}
	return o, nil
}

// Used implements authcore.TierStore.
func (db *DB) Used(ctx context.Context, id authcore.OrganizationID) (services, members int, err error) {
	_, err = db.first(ctx, "SELECT (SELECT count(*) FROM services WHERE organization_id = ?), (SELECT count(*) FROM members WHERE organization_id = ?)", []any{id, id}, &services, &members)
	return services, members, err
}

// limitsOf are the limits that hold for an organization, which is locked; 0 is none.
func limitsOf(tx *tx, id authcore.OrganizationID) (services, members int, err error) {
	var own [2]int
	err = tx.scan("SELECT t.services, t.members, COALESCE(v.services, -1), COALESCE(v.members, -1) FROM organizations o JOIN tiers t ON t.name = o.tier"+
		" LEFT JOIN overrides v ON v.organization_id = o.id WHERE o.id = ?", []any{id}, &services, &members, &own[0], &own[1])
	if own[0] != asTier {
		services = own[0]
	}
	if own[1] != asTier {
		members = own[1]
	}
	return services, members, err
}
