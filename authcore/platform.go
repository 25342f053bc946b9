package authcore

import "context"

// MayRunPlatform returns ErrNotOwner unless the actor runs the installation.
func (a *Accounts) MayRunPlatform(ctx context.Context, actor Actor) error {
	return a.platform(ctx, actor)
}

// Users reads a page of the users of the installation.
func (a *Accounts) Users(ctx context.Context, actor Actor, q UserQuery) (UserPage, error) {
	if err := a.platform(ctx, actor); err != nil {
		return UserPage{}, err
	}
	return a.Store.FindUsers(ctx, q)
}

// UserByID finds a user, with memberships: the actor's own account, or any for who runs
// the installation.
func (a *Accounts) UserByID(ctx context.Context, actor Actor, id UserID) (User, error) {
	if id == "" || actor.User != id {
		if err := a.platform(ctx, actor); err != nil {
			return User{}, err
		}
	}
	u, _, err := a.Store.UserByID(ctx, id)
	if err == nil {
		u.Memberships, err = a.Store.Memberships(ctx, id)
	}
	return u, err
}

// LiveSessions reads a page of the portal sessions of the installation, with the last-seen
// times that memory knows better.
func (a *Accounts) LiveSessions(ctx context.Context, actor Actor, q SessionQuery) ([]UserSession, error) {
	if err := a.platform(ctx, actor); err != nil {
		return nil, err
	}
	q.Now = a.Now()
	q.IdleBefore = q.Now.Add(-a.Lifetime.Idle)
	found, err := a.Store.FindSessions(ctx, q)
	for i := range found {
		found[i].LastSeen = a.Sessions.lastSeen(found[i].Session)
	}
	return found, err
}

// RevokeSession ends any portal session, with its children.
func (a *Accounts) RevokeSession(ctx context.Context, actor Actor, root SessionID) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	if !root.plausible() {
		return ErrSessionNotFound
	}
	err := a.Store.RevokeSession(ctx, root, "", a.event(actor, SessionRevoke, TargetSession(root), Success, ""))
	if err == nil || ErrSessionNotFound.is(err) {
		a.changed(ChangeSession, string(root))
	}
	return err
}

// Events reads a page of the audit log.
func (a *Accounts) Events(ctx context.Context, actor Actor, q EventQuery) (EventPage, error) {
	if err := a.platform(ctx, actor); err != nil {
		return EventPage{}, err
	}
	return a.Store.FindEvents(ctx, q)
}

// OrganizationEvents reads a page of what the audit log has about an organization, whatever
// organization the query names: without sessions, addresses and browsers, which may be
// those of people who run the installation.
func (a *Accounts) OrganizationEvents(ctx context.Context, actor Actor, slug string, q EventQuery) (EventPage, error) {
	o, err := a.authorize(ctx, actor, slug, AuditView)
	if err != nil {
		return EventPage{}, err
	}
	q.Organization = o.ID
	page, err := a.Store.FindEvents(ctx, q)
	for i := range page.Events {
		page.Events[i].Actor.Session, page.Events[i].Actor.Client = "", Client{}
	}
	return page, err
}

// Organizations reads a page of the organizations: of those in which the actor has a place
// where the query says so, else of all, for who runs the installation.
func (a *Accounts) Organizations(ctx context.Context, actor Actor, q OrganizationQuery) (OrganizationPage, error) {
	if q.Member == "" || q.Member != actor.User {
		if err := a.platform(ctx, actor); err != nil {
			return OrganizationPage{}, err
		}
	}
	return a.Store.FindOrganizations(ctx, q)
}

// OrganizationBySlug finds any organization, for who runs the installation.
func (a *Accounts) OrganizationBySlug(ctx context.Context, actor Actor, slug string) (Organization, error) {
	if err := a.platform(ctx, actor); err != nil {
		return Organization{}, err
	}
	return a.Store.OrganizationBySlug(ctx, slug)
}
