package authcore

import (
	"context"
	"strings"
)

// UpdateProfile changes a user's own name and email address. A new address is
// unverified until somebody proves it.
func (a *Accounts) UpdateProfile(ctx context.Context, actor Actor, name, email string) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if err := CheckName(name); err != nil {
		return err
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	err := a.Store.UpdateProfile(ctx, actor.User, name, email, a.event(actor, UserUpdate, TargetUser(actor.User), Success, "profile"))
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}

// ChangeGroups puts a user into groups and takes the user out of others.
func (a *Accounts) ChangeGroups(ctx context.Context, actor Actor, id UserID, add, remove []string) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	for _, g := range add {
		if err := CheckGroup(g); err != nil {
			return err
		}
	}
	details := "in: " + strings.Join(add, ",") + "; out: " + strings.Join(remove, ",")
	if err := a.Store.ChangeGroups(ctx, id, add, remove, a.event(actor, UserGroups, TargetUser(id), Success, details)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// SetEmail gives a user an address for which whoever acts vouches.
func (a *Accounts) SetEmail(ctx context.Context, actor Actor, id UserID, email string) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	u, _, err := a.Store.UserByID(ctx, id)
	if err != nil {
		return err
	}
	var post []Post
	if EmailKey(u.Email) != EmailKey(email) {
		if post, err = a.tell(ctx, u, Letter{Kind: MailAddress, Address: email}); err != nil {
			return err
		}
	}
	err = a.Store.SetEmail(ctx, id, email, a.event(actor, UserUpdate, TargetUser(id), Success, "email"), post...)
	if err == nil {
		a.changed(ChangeUser, string(id))
	}
	return err
}

// SetPassword gives a user a new password and ends all of the user's sessions
// but the one that actor acts in.
func (a *Accounts) SetPassword(ctx context.Context, actor Actor, id UserID, pw Secret) error {
	if err := a.over(ctx, actor, id); err != nil {
		return err
	}
	u, _, err := a.Store.UserByID(ctx, id)
	if err != nil {
		return err
	}
	hash, err := a.newPassword(ctx, actor, pw, u)
	if err != nil {
		return err
	}
	keep := SessionID("")
	if actor.User == id {
		keep = actor.Session
	}
	ev := a.event(actor, PasswordChange, TargetUser(id), Success, "")
	post, err := a.tell(ctx, u, Letter{Kind: MailPassword, Since: ev.Time})
	if err != nil {
		return err
	}
	if err := a.Store.SetPassword(ctx, id, hash, keep, ev, post...); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// SetStatus enables or disables a user. Disabling ends the user's sessions.
func (a *Accounts) SetStatus(ctx context.Context, actor Actor, id UserID, status Status) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	if err := status.Validate(); err != nil {
		return err
	}
	action := UserEnable
	if status == Disabled {
		action = UserDisable
	}
	if err := a.Store.SetStatus(ctx, id, status, a.event(actor, action, TargetUser(id), Success, "")); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// SetFactorRequired says whether a user needs a second factor for everything.
func (a *Accounts) SetFactorRequired(ctx context.Context, actor Actor, id UserID, required bool) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	details := "required"
	if !required {
		details = "not required any more"
	}
	if err := a.Store.SetFactorRequired(ctx, id, required, a.event(actor, FactorRequire, TargetUser(id), Success, details)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// AdmitUser lets a user who belongs to organizations only into the installation, so that
// every rule of a policy counts; with only it takes that back.
func (a *Accounts) AdmitUser(ctx context.Context, actor Actor, id UserID, only bool) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	details := "admitted"
	if only {
		details = "in organizations only"
	}
	if err := a.Store.SetOrganizationOnly(ctx, id, only, a.event(actor, UserAdmit, TargetUser(id), Success, details)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// SetOwner makes a user a platform owner, or takes that away.
func (a *Accounts) SetOwner(ctx context.Context, actor Actor, id UserID, owner bool) error {
	if err := a.platform(ctx, actor); err != nil {
		return err
	}
	details := "given"
	if !owner {
		details = "taken away"
	}
	if err := a.Store.SetOwner(ctx, id, owner, a.event(actor, UserOwner, TargetUser(id), Success, details)); err != nil {
		return err
	}
	a.changed(ChangeUser, string(id))
	return nil
}

// FindUser finds a user by username or email address.
func (a *Accounts) FindUser(ctx context.Context, login string) (User, error) {
	key, isEmail := LoginKey(login)
	u, _, err := a.Store.UserByLogin(ctx, key, isEmail)
	if err == nil {
		u.Memberships, err = a.Store.Memberships(ctx, u.ID)
	}
	return u, err
}

// Revoke ends a session by its root, with its children. A user can end only
// their own; the command line any.
func (a *Accounts) Revoke(ctx context.Context, actor Actor, root SessionID) error {
	if !root.plausible() {
		return ErrSessionNotFound
	}
	action := SessionRevoke
	if root == actor.Session {
		action = UserLogout
	} else if err := actor.inPerson(); err != nil {
		return err
	}
	err := a.Store.RevokeSession(ctx, root, actor.User, a.event(actor, action, TargetSession(root), Success, ""))
	if err == nil || ErrSessionNotFound.is(err) { // what the database has not, memory must not honour
		a.changed(ChangeSession, string(root))
	}
	return err
}

// RevokeAll ends all sessions of a user and tells how many.
func (a *Accounts) RevokeAll(ctx context.Context, actor Actor, id UserID) (int, error) {
	if err := a.over(ctx, actor, id); err != nil {
		return 0, err
	}
	n, err := a.Store.RevokeSessionsOf(ctx, id, "", a.event(actor, SessionRevoke, TargetUser(id), Success, "all"))
	if err != nil {
		return 0, err
	}
	a.changed(ChangeUser, string(id))
	return n, nil
}

// RevokeEverything signs everybody out, on every node.
func (a *Accounts) RevokeEverything(ctx context.Context, actor Actor) (int, error) {
	if err := a.platform(ctx, actor); err != nil {
		return 0, err
	}
	n, err := a.Store.RevokeEverySession(ctx, a.event(actor, SessionRevoke, "", Success, "all of everybody"))
	if err == nil {
		a.changed(ChangeAll, "")
	}
	return n, err
}

// SessionsOf lists a user's sessions that live, with the last-seen times that
// memory knows better.
func (a *Accounts) SessionsOf(ctx context.Context, id UserID) ([]Session, error) {
	now := a.Now()
	all, err := a.Store.SessionsOf(ctx, id, now)
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, s := range all {
		s.LastSeen = a.Sessions.lastSeen(s)
		if now.Sub(s.LastSeen) < a.Lifetime.Idle {
			live = append(live, s)
		}
	}
	return live, nil
}
