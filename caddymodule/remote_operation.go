package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// errOnlyThere says that a command does not go through the API.
var errOnlyThere = errors.New("this command works only on the machine of the server, without --at and " + atVariable +
	"; \"caddy gate api\" does all that the API can")

// remoteOperation is what an operation is elsewhere: calls of the API.
type remoteOperation func(r *remote, args json.RawMessage) (any, error)

// remoteOperations holds those that there are, by the names of operations.
var remoteOperations = map[string]remoteOperation{
	"user.list": elsewhere(func(r *remote, a pageArgs) (any, error) {
		return pages(r, a.After, "platform/users", nil, remoteUser)
	}),
	"user.show": elsewhere(remoteShowUser),
	"user.status": onUser(http.MethodPost, func(a userArgs) (string, any) {
		return map[authcore.Status]string{authcore.Active: "enable", authcore.Disabled: "disable"}[a.Status], nil
	}),
	"user.owner":   onUser(http.MethodPut, func(a userArgs) (string, any) { return "owner", api.OwnerChange{Owner: a.Owner} }),
	"user.factor":  onUser(http.MethodPost, func(userArgs) (string, any) { return "reset-factor", nil }),
	"user.require": onUser(http.MethodPut, func(a userArgs) (string, any) { return "factor-required", api.FactorChange{Required: a.Required} }),
	"user.admit": onUser(http.MethodPut, func(a userArgs) (string, any) {
		return "organization-only", api.AdmitChange{OrganizationOnly: a.OrgOnly}
	}),
	"session.list":   elsewhere(remoteSessions),
	"session.revoke": elsewhere(remoteRevoke),
	"audit.list":     elsewhere(remoteEvents),
	"org.list":       elsewhere(remoteOrganizations),
	"org.show": elsewhere(func(r *remote, a organizationArgs) (any, error) {
		return organizationNow(get[api.OrganizationView](r, "organizations/"+url.PathEscape(a.Slug), nil))
	}),
	"org.step": elsewhere(remoteStep),
	"org.tier": elsewhere(func(r *remote, a organizationArgs) (any, error) {
		return organizationNow(put[api.OrganizationView](r, http.MethodPut, "platform/organizations/"+url.PathEscape(a.Slug)+"/tier", api.TierChange{Tier: a.Tier}))
	}),
	"org.members": elsewhere(func(r *remote, a organizationArgs) (any, error) {
		return pages(r, a.After, "organizations/"+url.PathEscape(a.Slug)+"/members", nil, func(m *api.Member) memberLine {
			return memberLine{m.UserID, m.Username, m.Name, m.Role, m.CreatedAt}
		})
	}),
	"webhook.list": elsewhere(func(r *remote, a webhookArgs) (any, error) {
		of := "platform"
		if a.Org != "" {
			of = "organizations/" + url.PathEscape(a.Org)
		}
		return pages(r, a.After, of+"/webhooks", nil, func(w *api.Webhook) webhookLine {
			return webhookLine{ID: w.ID, Name: w.Name, URL: w.URL, Events: w.Events, Status: w.Status, Reason: w.Reason, Failing: w.FailingSince, Created: w.CreatedAt}
		})
	}),
}

// elsewhere reads the arguments of an operation.
func elsewhere[A any](f func(*remote, A) (any, error)) remoteOperation {
	return func(r *remote, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, err
		}
		return f(r, args)
	}
}

// user finds a user by username or email address.
func (r *remote) user(login string) (api.User, error) {
	key, isEmail := authcore.LoginKey(login)
	for after := ""; ; after = "more" {
		found, err := pages(r, after, "platform/users", url.Values{"q": {login}}, func(u *api.User) api.User { return *u })
		if err != nil {
			return api.User{}, err
		}
		for _, u := range found {
			if !isEmail && authcore.UsernameKey(u.Username) == key || isEmail && authcore.EmailKey(u.Email) == key {
				return u, nil
			}
		}
		if len(found) == 0 {
			return api.User{}, authcore.ErrUserNotFound
		}
	}
}

func remoteUser(u *api.User) userLine {
	return userLine{ID: u.ID, Username: u.Username, Email: u.Email, Name: u.Name, Status: u.Status, Owner: u.Owner, Groups: u.Groups,
		Created: u.CreatedAt, DeleteAt: u.DeleteAt, Required: u.FactorRequired, OrgOnly: u.OrganizationOnly}
}

// onUser changes a user: to says where, under the user, and with which body.
func onUser(method string, to func(userArgs) (path string, body any)) remoteOperation {
	return elsewhere(func(r *remote, a userArgs) (any, error) {
		u, err := r.user(a.User)
		if err != nil {
			return nil, err
		}
		path, body := to(a)
		u, err = put[api.User](r, method, "platform/users/"+string(u.ID)+"/"+path, body)
		return remoteUser(&u), err
	})
}

func remoteShowUser(r *remote, a userArgs) (any, error) {
	u, err := r.user(a.User)
	if err != nil {
		return nil, err
	}
	c, err := get[api.UserCredentials](r, "platform/users/"+string(u.ID)+"/credentials", nil)
	d := userDetails{userLine: remoteUser(&u), Verified: u.EmailVerified, RecoveryCodes: c.RecoveryCodes, Passkeys: c.Passkeys, Password: c.Password, Identities: []identityLine{}}
	if c.AppSince != nil {
		d.Factor = &factorLine{"totp", *c.AppSince}
	}
	for _, i := range c.Identities {
		d.Identities = append(d.Identities, identityLine{i.ID, i.Provider, i.Issuer, i.Subject, i.Username, i.Email, i.LinkedAt, i.LastUsedAt})
	}
	return d, err
}

func remoteSessions(r *remote, a sessionArgs) (any, error) {
	query := url.Values{}
	if a.User != "" {
		next := r.next // to find the user is to read a list too
		u, err := r.user(a.User)
		if err != nil {
			return nil, err
		}
		r.next = next
		query.Set("user", string(u.ID))
	}
	return pages(r, a.After, "platform/sessions", query, func(s *api.UserSession) sessionLine {
		return sessionLine{ID: s.ID, User: s.Username, Host: s.Host, Device: s.Device, Address: s.Address, Created: s.CreatedAt, LastSeen: s.LastSeenAt, Expires: s.ExpiresAt}
	})
}

func remoteRevoke(r *remote, a sessionArgs) (any, error) {
	switch {
	case a.All:
		return nil, errors.New("--all works only on the machine of the server")
	case a.User == "":
		_, err := put[struct{}](r, http.MethodDelete, "platform/sessions/"+url.PathEscape(a.ID), nil)
		return map[string]int{"revoked": 1}, err
	}
	u, err := r.user(a.User)
	if err != nil {
		return nil, err
	}
	done, err := put[api.Revoked](r, http.MethodPost, "platform/users/"+string(u.ID)+"/sign-out", nil)
	return map[string]int{"revoked": done.Revoked}, err
}

func remoteOrganization(o *api.OrganizationView) organizationLine {
	return organizationLine{o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Tier, o.FactorRequired, o.CreatedAt}
}

// organizationNow is an organization as it was read.
func organizationNow(o api.OrganizationView, err error) (any, error) {
	return remoteOrganization(&o), err
}

func remoteOrganizations(r *remote, a organizationArgs) (any, error) {
	query := url.Values{}
	if a.Status != "" {
		query.Set("status", string(a.Status))
	}
	return pages(r, a.After, "platform/organizations", query, remoteOrganization)
}

func remoteStep(r *remote, a organizationArgs) (any, error) {
	var reason any
	if a.Step == "reject" || a.Step == "suspend" {
		reason = api.Reason{Reason: a.Reason}
	}
	return organizationNow(put[api.OrganizationView](r, http.MethodPost, "platform/organizations/"+url.PathEscape(a.Slug)+"/"+a.Step, reason))
}

// remoteEvents gives all events that are asked for at once: the API has the newest first.
func remoteEvents(r *remote, a eventArgs) (any, error) {
	f, query, err := r.eventFilter(a)
	if err != nil {
		return nil, err
	}
	page := eventPage{Events: []eventLine{}, Done: true}
	for after := ""; ; after = "more" {
		found, err := pages(r, after, "platform/audit", query, remoteEvent)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if e := &found[i]; f.wants(&e.Event) {
				r.learn(f.names, e.Actor.User, e.Actor.Act, authcore.UserID(strings.TrimPrefix(e.Target, "user:")))
				page.Events = append(page.Events, f.line(r.ctx, e))
			}
		}
		if r.next == "" {
			slices.Reverse(page.Events)
			return page, nil
		}
	}
}

// eventFilter is what is asked for, and as much of it as the API can look for.
func (r *remote) eventFilter(a eventArgs) (*eventFilter, url.Values, error) {
	f := &eventFilter{eventArgs: a, names: make(map[authcore.UserID]string)}
	switch {
	case a.Follow:
		return nil, nil, errors.New("--follow works only on the machine of the server")
	case a.Since.IsZero():
		return nil, nil, errors.New("say from when on, with --since: the audit log can be long")
	}
	query := url.Values{"since": {a.Since.UTC().Format(time.RFC3339Nano)}}
	if !a.Until.IsZero() {
		query.Set("until", a.Until.UTC().Format(time.RFC3339Nano))
	}
	if a.Outcome != "" {
		query.Set("outcome", a.Outcome)
	}
	if a.Action != "" && !strings.HasSuffix(a.Action, "*") {
		query.Set("action", a.Action)
	}
	if a.Target != "" && !strings.Contains(a.Target, ":") {
		u, err := r.user(a.Target)
		if err != nil {
			return nil, nil, err
		}
		f.about = authcore.TargetUser(u.ID)
	}
	kinds := []authcore.ActorKind{"", authcore.ActorAnonymous, authcore.ActorUser, authcore.ActorToken, authcore.ActorService, authcore.ActorCommand, authcore.ActorSystem}
	if !slices.Contains(kinds, authcore.ActorKind(a.Actor)) && uuid.Validate(a.Actor) != nil {
		u, err := r.user(a.Actor)
		if err != nil {
			return nil, nil, err
		}
		f.user = u.ID
	}
	return f, query, nil
}

func remoteEvent(e *api.Event) authcore.SealedEvent {
	return authcore.SealedEvent{Event: authcore.Event{ID: e.ID, Time: e.Time, Action: e.Action, Target: e.Target, Outcome: e.Outcome, Details: e.Details, Organization: e.OrganizationID,
		Actor: authcore.Actor{Kind: e.ActorKind, User: e.ActorID, Act: e.ActID, Session: e.SessionID, Client: authcore.Client{Address: e.Address, Agent: e.Agent, RequestID: e.RequestID}}}}
}

// learn asks for the names of users that are not known yet. Who is no more has none.
func (r *remote) learn(names map[authcore.UserID]string, ids ...authcore.UserID) {
	for _, id := range ids {
		if _, known := names[id]; known {
			continue
		}
		names[id] = ""
		if uuid.Validate(string(id)) == nil {
			u, _ := get[api.User](r, "platform/users/"+string(id), nil)
			names[id] = u.Username
		}
	}
}
