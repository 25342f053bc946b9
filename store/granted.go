package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.GrantReader = (*DB)(nil)

const (
	// grantedColumns are what a token stands for. Of the portal session r only the times count.
	grantedColumns = serviceSessionColumns + ", " + serviceColumns + ", " + ofOrganizations + ", " + liveColumns + ", " + relationColumns +
		", COALESCE(r.expires_at, 0), COALESCE(r.last_seen_at, 0)"
	// grantedJoins give one row for each group of the user of a session x.
	grantedJoins = " JOIN services s ON s.id = x.service_id JOIN organizations o ON o.id = s.organization_id JOIN users u ON u.id = x.user_id" +
		" LEFT JOIN members m ON m.organization_id = s.organization_id AND m.user_id = x.user_id LEFT JOIN sessions r ON r.id = x.root_id AND r.root_id = r.id" +
		" LEFT JOIN user_groups g ON g.user_id = u.id "
	grantBySession = "SELECT " + grantedColumns + ", g.name FROM service_sessions x" + grantedJoins + "WHERE x.id = ? ORDER BY g.name"
	grantByCode    = "SELECT " + grantedColumns + ", c.redirect_uri, c.challenge, c.nonce, c.created_at, c.expires_at, g.name FROM grant_codes c" +
		" JOIN service_sessions x ON x.id = c.session_id" + grantedJoins + "WHERE c.hash = ? ORDER BY g.name"
	grantByRefresh = "SELECT " + grantedColumns + ", t.salt, t.used_at, t.created_at, t.expires_at, g.name FROM refresh_tokens t" +
		" JOIN service_sessions x ON x.id = t.session_id" + grantedJoins + "WHERE t.hash = ? ORDER BY g.name"
)

// granted carries out a query of grantedColumns, of more, and of a group in each row. lives is
// false where there is none, where the session has ended, or where the user may not use the
// service any more.
func (db *DB) granted(ctx context.Context, query, key string, now, idleSince time.Time, more ...any) (g authcore.Granted, lives bool, err error) {
	var x serviceSessionRow
	var s serviceRow
	var o organizationRow
	var of userRow
	var rel relation
	var expires, seen int64
	groups, n, err := db.withGroups(ctx, query, key, x.fields(s.fields(o.fields(of.live(rel.fields(append([]any{&expires, &seen}, more...)...)...)...)...)...))
	if err != nil || n == 0 {
		return g, false, err
	}
	g = authcore.Granted{Session: x.session(), Service: s.service(), Organization: o.organization(), User: of.user(), RootSeen: orZero(seen)}
	u := &g.User
	switch {
	case x.expires <= micros(now),
		x.offline == 0 && (expires <= micros(now) || seen <= micros(idleSince)),
		u.Status != authcore.Active,
		rel.mayUse(g.Service.Status, g.Service.Access, g.Organization.Status, u.OrganizationOnly && !u.Owner) != nil:
		return g, false, nil
	}
	if g.Session.Act != "" {
		if err := db.mayStillAct(ctx, g.Session.Act); errors.Is(err, authcore.ErrNoSession) {
			return g, false, nil
		} else if err != nil {
			return g, false, err
		}
	}
	if u.Groups = groups; of.organizations > 0 {
		u.Memberships, err = db.Memberships(ctx, u.ID)
	}
	return g, err == nil, err
}

// GrantBySession implements authcore.GrantReader.
func (db *DB) GrantBySession(ctx context.Context, id authcore.SessionID, now, idleSince time.Time) (authcore.Granted, error) {
	g, lives, err := db.granted(ctx, grantBySession, string(id), now, idleSince)
	if err == nil && !lives {
		err = authcore.ErrNoSession
	}
	if err != nil {
		return authcore.Granted{}, err
	}
	return g, nil
}

// GrantByCode implements authcore.GrantStore. It finds a code that was used, too.
func (db *DB) GrantByCode(ctx context.Context, hash authcore.TokenHash, now time.Time) (authcore.GrantCode, authcore.Granted, error) {
	c := authcore.GrantCode{Hash: hash}
	var created, expires int64
	g, lives, err := db.granted(ctx, grantByCode, hash.Hex(), now, time.Time{}, &c.RedirectURI, &c.Challenge, &c.Nonce, &created, &expires)
	if err == nil && (!lives || expires <= micros(now)) {
		err = authcore.ErrGrantInvalid
	}
	if err != nil {
		return authcore.GrantCode{}, authcore.Granted{}, err
	}
	c.Session, c.Service = g.Session.ID, g.Session.Service
	c.CreatedAt, c.ExpiresAt = fromMicros(created), fromMicros(expires)
	return c, g, nil
}

// GrantByRefresh implements authcore.GrantStore.
func (db *DB) GrantByRefresh(ctx context.Context, hash authcore.TokenHash, now, idleSince time.Time) (authcore.RefreshToken, authcore.Granted, error) {
	t := authcore.RefreshToken{Hash: hash}
	var used, created, expires int64
	g, lives, err := db.granted(ctx, grantByRefresh, hash.Hex(), now, idleSince, &t.Salt, &used, &created, &expires)
	if err == nil && (!lives || expires <= micros(now)) {
		err = authcore.ErrGrantInvalid
	}
	if err != nil {
		return authcore.RefreshToken{}, authcore.Granted{}, err
	}
	t.Session, t.UsedAt = g.Session.ID, orZero(used)
	t.CreatedAt, t.ExpiresAt = fromMicros(created), fromMicros(expires)
	return t, g, nil
}

// GrantTokenByHash implements authcore.GrantReader.
func (db *DB) GrantTokenByHash(ctx context.Context, hash authcore.TokenHash, now time.Time) (authcore.GrantToken, error) {
	t := authcore.GrantToken{Hash: hash}
	var scopes, resources string
	var created, expires int64
	found, err := db.first(ctx, "SELECT session_id, service_id, scopes, resources, key_hash, created_at, expires_at FROM grant_tokens WHERE hash = ? AND expires_at > ?",
		[]any{hash.Hex(), micros(now)}, (*string)(&t.Session), (*string)(&t.Service), &scopes, &resources, &t.KeyHash, &created, &expires)
	if err == nil && !found {
		err = authcore.ErrNoSession
	}
	if err != nil {
		return authcore.GrantToken{}, err
	}
	t.Scopes, t.Resources = fields(scopes), fields(resources)
	t.CreatedAt, t.ExpiresAt = fromMicros(created), fromMicros(expires)
	return t, nil
}

// ServiceForToken implements authcore.GrantReader.
func (db *DB) ServiceForToken(ctx context.Context, id authcore.ServiceID) (authcore.Service, authcore.Organization, error) {
	var s serviceRow
	var o organizationRow
	found, err := db.first(ctx, "SELECT "+serviceColumns+", "+ofOrganizations+" FROM services s JOIN organizations o ON o.id = s.organization_id WHERE s.id = ?", []any{id}, s.fields(o.fields()...)...)
	if err == nil && (!found || s.s.Status != authcore.Active || o.o.Status != authcore.OrganizationActive) {
		err = authcore.ErrNoSession
	}
	if err != nil {
		return authcore.Service{}, authcore.Organization{}, err
	}
	return s.service(), o.organization(), nil
}

// TokenRevoked implements authcore.GrantReader.
func (db *DB) TokenRevoked(ctx context.Context, hash authcore.TokenHash) (bool, error) {
	var one int
	return db.first(ctx, "SELECT 1 FROM revoked_tokens WHERE hash = ?", []any{hash.Hex()}, &one)
}

// RevokeGrantToken implements authcore.GrantStore.
func (db *DB) RevokeGrantToken(ctx context.Context, hash authcore.TokenHash, expires time.Time, user authcore.UserID, ev authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if _, err := tx.exec("INSERT INTO revoked_tokens (hash, expires_at) VALUES (?, ?)"+db.dialect.orNothing("hash"), hash.Hex(), micros(expires)); err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM grant_tokens WHERE hash = ?", hash.Hex()); err != nil {
			return err
		}
		if user == "" { // all tokens of the service that acts for itself are read again
			return note(tx, authcore.ChangeSession, strings.TrimPrefix(ev.Target, authcore.TargetService("")), ev)
		}
		return note(tx, authcore.ChangeUser, string(user), ev)
	})
}
