package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.InvitationStore = (*DB)(nil)

const invitationColumns = "i.id, i.organization_id, i.email, i.role, i.created_by, i.created_at, i.expires_at"

// invitationRow receives invitationColumns.
type invitationRow struct {
	i                authcore.Invitation
	created, expires int64
}

func (r *invitationRow) fields(more ...any) []any {
	return append([]any{(*string)(&r.i.ID), (*string)(&r.i.Organization), &r.i.Email, (*string)(&r.i.Role), (*string)(&r.i.CreatedBy), &r.created, &r.expires}, more...)
}

func (r *invitationRow) invitation() authcore.Invitation {
	i := r.i
	i.CreatedAt, i.ExpiresAt = fromMicros(r.created), fromMicros(r.expires)
	return i
}

func scanInvitation(row scanner, i *authcore.Invitation) error {
	var r invitationRow
	err := row.Scan(r.fields()...)
	*i = r.invitation()
	return err
}

// CreateInvitation implements authcore.InvitationStore.
func (db *DB) CreateInvitation(ctx context.Context, i authcore.Invitation, token authcore.TokenHash, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, i.Organization); err != nil {
			return err
		}
		if err := roleExists(tx, i.Organization, i.Role); err != nil {
			return err
		}
		key := authcore.EmailKey(i.Email)
		if key != "" {
			if err := deleteInvitations(tx, "organization_id = ? AND email_key = ?", i.Organization, key); err != nil {
				return err
			}
		}
		n := 0
		if err := tx.scan("SELECT count(*) FROM invitations WHERE organization_id = ? AND expires_at > ?", []any{i.Organization, micros(ev.Time)}, &n); err != nil {
			return err
		}
		if n >= authcore.MaxInvitations {
			return authcore.ErrTooManyInvitations
		}
		_, err := tx.exec("INSERT INTO invitations (id, organization_id, hash, email, email_key, role, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			i.ID, i.Organization, token.Hex(), i.Email, key, i.Role, i.CreatedBy, micros(i.CreatedAt), micros(i.ExpiresAt))
		if err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}

// deleteInvitations deletes invitations by what holds for their rows, with the codes to
// register that they have.
func deleteInvitations(tx *tx, where string, args ...any) error {
	for _, q := range []string{"DELETE FROM codes WHERE hash IN (SELECT hash FROM invitations WHERE " + where + ")", "DELETE FROM invitations WHERE " + where} {
		if _, err := tx.exec(q, args...); err != nil {
			return err
		}
	}
	return nil
}

// withdrawInvitations deletes those that a member has made.
func withdrawInvitations(tx *tx, id authcore.OrganizationID, by authcore.UserID) error {
	return deleteInvitations(tx, "organization_id = ? AND created_by = ?", id, by)
}

// Invitations implements authcore.InvitationStore.
func (db *DB) Invitations(ctx context.Context, id authcore.OrganizationID, now time.Time, q authcore.ListQuery) ([]authcore.Invitation, error) {
	l := listing{query: "SELECT " + invitationColumns + " FROM invitations i"}
	l.that("i.organization_id = ? AND i.expires_at > ?", id, micros(now))
	l.byID(authcore.InvitationOrders.Of(q.Order), "i.id", q.After)
	return list(db, ctx, scanInvitation, &l, q.Limit)
}

// InvitationByID implements authcore.InvitationStore.
func (db *DB) InvitationByID(ctx context.Context, id authcore.OrganizationID, of authcore.InvitationID) (authcore.Invitation, error) {
	return one(db, ctx, scanInvitation, authcore.ErrInvitationNotFound, "SELECT "+invitationColumns+" FROM invitations i WHERE i.organization_id = ? AND i.id = ?", id, of)
}

// InvitationByHash implements authcore.InvitationStore.
func (db *DB) InvitationByHash(ctx context.Context, token authcore.TokenHash, now time.Time) (authcore.Offer, error) {
	return one(db, ctx, func(row scanner, o *authcore.Offer) error {
		var r invitationRow
		err := row.Scan(r.fields(&o.Slug, &o.Name)...)
		o.Invitation = r.invitation()
		return err
	}, authcore.ErrInvitationInvalid, "SELECT "+invitationColumns+", o.slug, o.name FROM invitations i JOIN organizations o ON o.id = i.organization_id WHERE i.hash = ? AND i.expires_at > ? AND o.status = ?",
		token.Hex(), micros(now), authcore.OrganizationActive)
}

// DeleteInvitation implements authcore.InvitationStore.
func (db *DB) DeleteInvitation(ctx context.Context, i authcore.Invitation, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, i.Organization); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM codes WHERE hash IN (SELECT hash FROM invitations WHERE id = ?)", i.ID); err != nil {
			return err
		}
		if found, err := affected(tx.exec("DELETE FROM invitations WHERE id = ? AND organization_id = ?", i.ID, i.Organization)); err != nil {
			return err
		} else if !found {
			return authcore.ErrInvitationNotFound
		}
		return insertEvents(tx, ev)
	})
}

// AcceptInvitation implements authcore.InvitationStore. Whoever's DELETE finds the row has
// won.
func (db *DB) AcceptInvitation(ctx context.Context, i authcore.Invitation, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		status, err := db.lockOrganization(tx, i.Organization)
		if errors.Is(err, authcore.ErrOrganizationNotFound) || err == nil && status != authcore.OrganizationActive {
			return authcore.ErrInvitationInvalid
		}
		if err != nil {
			return err
		}
		if err := db.lockPerson(tx, user); err != nil {
			return err
		}
		role, err := invitedTo(tx, i.ID, user)
		if err != nil {
			return err
		}
		if was, err := roleOf(tx, i.Organization, user); err != nil {
			return err
		} else if was != "" {
			return authcore.ErrAlreadyMember
		}
		if _, err := tx.exec("DELETE FROM codes WHERE hash IN (SELECT hash FROM invitations WHERE id = ?)", i.ID); err != nil {
			return err
		}
		if found, err := affected(tx.exec("DELETE FROM invitations WHERE id = ? AND organization_id = ? AND expires_at > ?", i.ID, i.Organization, micros(ev.Time))); err != nil {
			return err
		} else if !found {
			return authcore.ErrInvitationInvalid
		}
		if err := db.admitMember(tx, i.Organization, user, role, ev.Time); err != nil {
			return err
		}
		return noteUser(tx, user, ev)
	})
}

// invitedTo is the role that an invitation offers to a user who is locked.
func invitedTo(tx *tx, id authcore.InvitationID, user authcore.UserID) (role authcore.Role, err error) {
	var key string
	if err := tx.scan("SELECT email_key, role FROM invitations WHERE id = ?", []any{id}, &key, (*string)(&role)); errors.Is(err, sql.ErrNoRows) {
		return "", authcore.ErrInvitationInvalid
	} else if err != nil {
		return "", err
	}
	if key == "" {
		return role, nil
	}
	n := 0
	err = tx.scan("SELECT count(*) FROM users WHERE id = ? AND email_key = ? AND email_verified = 1", []any{user, key}, &n)
	if err == nil && n == 0 {
		err = authcore.ErrInvitationAddress
	}
	return role, err
}
