package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.MemberStore = (*DB)(nil)

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

// SetMember implements authcore.MemberStore. The organization is locked, so that two
// owners cannot remove each other, nor two members take the last place.
func (db *DB) SetMember(ctx context.Context, c authcore.MemberChange, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, c.Organization); err != nil {
			return err
		}
		if err := db.lockUser(tx, c.User); err != nil {
			return err
		}
		was, err := roleOf(tx, c.Organization, c.User)
		if err == nil && was != c.From {
			err = authcore.ErrMemberChanged
		}
		if err == nil {
			err = roleExists(tx, c.Organization, c.To)
		}
		if err != nil {
			return err
		}
		if was == "" {
			err = db.admitMember(tx, c.Organization, c.User, c.To, ev.Time)
		} else {
			err = changeRole(tx, c)
		}
		if err != nil {
			return err
		}
		return noteUser(tx, c.User, ev)
	})
}

// admitMember adds a member to an organization, where there is room and the user is not
// barred. Both are locked.
func (db *DB) admitMember(tx *tx, id authcore.OrganizationID, user authcore.UserID, role authcore.Role, at time.Time) error {
	if err := notBarred(tx, id, user); err != nil {
		return err
	}
	_, most, err := limitsOf(tx, id)
	if err != nil {
		return err
	}
	n := 0
	if err := tx.scan("SELECT count(*) FROM members WHERE organization_id = ?", []any{id}, &n); err != nil {
		return err
	}
	if most > 0 && n >= most {
		return authcore.ErrMemberLimit
	}
	return insertMember(tx, id, user, role, at)
}

// changeRole gives a member another role. What somebody offered who was more before is
// withdrawn.
func changeRole(tx *tx, c authcore.MemberChange) error {
	if c.From == c.To {
		return nil
	}
	if _, err := tx.exec("UPDATE members SET role = ? WHERE organization_id = ? AND user_id = ?", c.To, c.Organization, c.User); err != nil {
		return err
	}
	if c.To != authcore.RoleOwner {
		if err := withdrawInvitations(tx, c.Organization, c.User); err != nil {
			return err
		}
	}
	if c.From != authcore.RoleOwner {
		return nil
	}
	return ownedStill(tx, c.Organization)
}

// RemoveMember implements authcore.MemberStore.
func (db *DB) RemoveMember(ctx context.Context, id authcore.OrganizationID, user authcore.UserID, role authcore.Role, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := db.lockUser(tx, user); errors.Is(err, authcore.ErrUserNotFound) {
			return authcore.ErrMemberNotFound
		} else if err != nil {
			return err
		}
		switch was, err := roleOf(tx, id, user); {
		case err != nil:
			return err
		case was == "":
			return authcore.ErrMemberNotFound
		case was != role:
			return authcore.ErrMemberChanged
		}
		for _, q := range []string{"DELETE FROM members WHERE organization_id = ? AND user_id = ?", "DELETE FROM service_access WHERE organization_id = ? AND user_id = ?"} {
			if _, err := tx.exec(q, id, user); err != nil {
				return err
			}
		}
		if _, err := endGrants(tx, ev.Time, "organization_id = ? AND user_id = ?", id, user); err != nil {
			return err
		}
		if err := withdrawInvitations(tx, id, user); err != nil {
			return err
		}
		if err := countOrganizations(tx, user); err != nil {
			return err
		}
		if role == authcore.RoleOwner {
			if err := ownedStill(tx, id); err != nil {
				return err
			}
		}
		return noteUser(tx, user, ev)
	})
}

// TransferOwnership implements authcore.MemberStore.
func (db *DB) TransferOwnership(ctx context.Context, id authcore.OrganizationID, from, to authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := db.lockOrganization(tx, id); err != nil {
			return err
		}
		if err := db.lockPerson(tx, to); errors.Is(err, authcore.ErrUserNotFound) {
			return authcore.ErrMemberNotFound
		} else if err != nil {
			return err
		}
		was, err := roleOf(tx, id, to)
		if err != nil {
			return err
		}
		gives, err := roleOf(tx, id, from)
		switch {
		case err != nil:
			return err
		case was == "":
			return authcore.ErrMemberNotFound
		case gives != authcore.RoleOwner:
			return authcore.ErrMemberChanged
		}
		for _, c := range []authcore.MemberChange{
			{Organization: id, User: to, From: was, To: authcore.RoleOwner}, {Organization: id, User: from, From: gives, To: authcore.RoleAdmin}} {
			if err := changeRole(tx, c); err != nil {
				return err
			}
		}
		if err := noteChange(tx, authcore.ChangeUser, string(from), changeID(ev.ID, 1)); err != nil {
			return err
		}
		return noteUser(tx, to, ev)
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

// RoleOf implements authcore.MemberStore.
func (db *DB) RoleOf(ctx context.Context, id authcore.OrganizationID, user authcore.UserID) (role authcore.Role, err error) {
	_, err = db.first(ctx, "SELECT role FROM members WHERE organization_id = ? AND user_id = ?", []any{id, user}, (*string)(&role))
	return role, err
}

// ownedStill returns ErrLastOrganizationOwner where an organization has no active owner.
func ownedStill(tx *tx, id authcore.OrganizationID) error {
	n := 0
	err := tx.scan("SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? AND m.role = ? AND u.status = ?",
		[]any{id, authcore.RoleOwner, authcore.Active}, &n)
	if err == nil && n == 0 {
		err = authcore.ErrLastOrganizationOwner
	}
	return err
}

// Memberships implements authcore.MemberStore.
func (db *DB) Memberships(ctx context.Context, user authcore.UserID) ([]authcore.Membership, error) {
	return collect(db, ctx, func(row scanner, m *authcore.Membership) error {
		var required int64
		err := row.Scan((*string)(&m.Organization), &m.Slug, (*string)(&m.Status), (*string)(&m.Role), &required)
		m.FactorRequired = required != 0
		return err
	}, "SELECT o.id, o.slug, o.status, m.role, o.factor_required FROM members m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = ? ORDER BY o.slug", user)
}

const memberQuery = "SELECT u.id, u.username, u.name, u.status, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id"

func scanMember(row scanner, m *authcore.Member) error {
	var created int64
	err := row.Scan((*string)(&m.User), &m.Username, &m.Name, (*string)(&m.Status), (*string)(&m.Role), &created)
	m.CreatedAt = fromMicros(created)
	return err
}

// Members implements authcore.MemberStore.
func (db *DB) Members(ctx context.Context, id authcore.OrganizationID, q authcore.MemberQuery) ([]authcore.Member, error) {
	prefix := authcore.UsernameKey(q.Prefix)
	if prefix == "" && q.Prefix != "" {
		return nil, nil // no username begins so
	}
	l := listing{query: memberQuery}
	l.that("m.organization_id = ?", id)
	order := authcore.MemberOrders.Of(q.Order)
	if !order.ByTime() {
		l.byText(order.Down(), "u.username_key", prefix, q.After)
		return list(db, ctx, scanMember, &l, q.Limit)
	}
	if prefix != "" {
		s := span{"u.username_key", prefix}
		l.held(s.condition(), s.args()...)
	}
	var place []any
	since, user, _ := strings.Cut(q.After, " ")
	if at, err := strconv.ParseInt(since, 10, 64); err == nil {
		place = []any{at, user}
	}
	l.by(order.Down(), []string{"m.created_at", "m.user_id"}, place...)
	return list(db, ctx, scanMember, &l, q.Limit)
}

// MemberOf implements authcore.MemberStore.
func (db *DB) MemberOf(ctx context.Context, id authcore.OrganizationID, user authcore.UserID) (authcore.Member, error) {
	return one(db, ctx, scanMember, authcore.ErrMemberNotFound, memberQuery+" WHERE m.organization_id = ? AND m.user_id = ?", id, user)
}
