package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var invitationTests = map[string]func(*world){
	"invitation: accepted":                invitations,
	"invitation: who comes by one":        invitedOnly,
	"invitation: what withdraws it":       invitationsWithdrawn,
	"invitation: one, at once":            raceForOffer,
	"invitation: the last place, at once": raceOfOffers,
	"invitation: accepted and taken back": raceToRevoke,
}

// invite makes an invitation, with a code to register.
func (w *world) invite(o authcore.Organization, by authcore.User, email string, role authcore.Role) (authcore.Invitation, authcore.TokenHash) {
	w.Helper()
	_, hash := authcore.NewToken()
	i := authcore.Invitation{ID: authcore.InvitationID(authcore.NewUserID()), Organization: o.ID, Email: email, Role: role, CreatedBy: by.ID, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	code := authcore.Code{Hash: hash, Purpose: authcore.PurposeInvite, Data: email, CreatedAt: w.now, ExpiresAt: i.ExpiresAt}
	w.must(w.db().CreateInvitation(w.Context(), i, hash, w.event(authcore.InvitationCreate, ""), authcore.Post{Code: &code}))
	return i, hash
}

func (w *world) accept(db Store, i authcore.Invitation, u authcore.User) error {
	return db.AcceptInvitation(w.Context(), i, u.ID, w.event(authcore.InvitationAccept, ""))
}

// registers tells whether a code to register is good.
func (w *world) registers(hash authcore.TokenHash) bool {
	w.Helper()
	ok, err := w.db().CodeValid(w.Context(), authcore.PurposeInvite, hash, w.now)
	w.must(err)
	return ok
}

func invitations(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", func(u *authcore.User) { u.EmailVerified = false })
	o, other := w.active("acme", owner), w.active("beta", owner)
	i, hash := w.invite(o, owner, "Bob@Example.com", authcore.RoleAdmin)
	got, err := w.db().InvitationByHash(w.Context(), hash, w.now)
	w.must(err)
	w.same("what it offers", authcore.Offer{Invitation: i, Slug: "acme", Name: o.Name}, got)
	w.same("registers", true, w.registers(hash))
	byID, err := w.db().InvitationByID(w.Context(), o.ID, i.ID)
	w.must(err)
	w.same("by the id", i, byID)
	_, err = w.db().InvitationByID(w.Context(), other.ID, i.ID)
	w.is("of another organization", err, authcore.ErrInvitationNotFound)
	w.is("by somebody else", w.accept(w.db(), i, cleo), authcore.ErrInvitationAddress)
	forCleo, _ := w.invite(o, owner, cleo.Email, authcore.RoleMember)
	w.is("to an address that is not verified", w.accept(w.db(), forCleo, cleo), authcore.ErrInvitationAddress)
	elsewhere := i
	elsewhere.Organization = other.ID
	w.is("to another organization", w.accept(w.db(), elsewhere, bob), authcore.ErrInvitationInvalid)
	w.is("taken back there", w.db().DeleteInvitation(w.Context(), elsewhere, w.event(authcore.InvitationRevoke, "")), authcore.ErrInvitationNotFound)
	again, second := w.invite(o, owner, "bob@example.com", authcore.RoleMember)
	_, err = w.db().InvitationByHash(w.Context(), hash, w.now)
	w.is("in whose place another came", err, authcore.ErrInvitationInvalid)
	w.same("registers no more", false, w.registers(hash))
	all, err := w.db().Invitations(w.Context(), o.ID, w.now, authcore.ListQuery{Limit: 10})
	w.must(err)
	w.same("those that wait", []authcore.Invitation{forCleo, again}, all)
	all, err = w.db().Invitations(w.Context(), o.ID, again.ExpiresAt, authcore.ListQuery{Limit: 10})
	w.must(err)
	w.same("later", 0, len(all))
	_, err = w.db().InvitationByHash(w.Context(), second, again.ExpiresAt)
	w.is("that has ended", err, authcore.ErrInvitationInvalid)
	w.must(w.accept(w.db(), again, bob))
	w.same("registers no more", false, w.registers(second))
	w.is("used again", w.accept(w.db(), again, bob), authcore.ErrInvitationInvalid)
	link, _ := w.invite(o, owner, "", authcore.RoleOwner)
	w.is("a member", w.accept(w.db(), link, bob), authcore.ErrAlreadyMember)
	role, err := w.db().RoleOf(w.Context(), o.ID, bob.ID)
	w.must(err)
	w.same("the role of before", authcore.RoleMember, role)
	w.must(w.accept(w.db(), link, cleo)) // the fourth is one too many for the tier
	w.is("no place", func() error {
		late, _ := w.invite(o, owner, "", authcore.RoleMember)
		return w.accept(w.db(), late, w.add("dan", nil))
	}(), authcore.ErrMemberLimit)
	left, err := w.db().Invitations(w.Context(), o.ID, w.now, authcore.ListQuery{Limit: 10})
	w.must(err)
	w.same("what was not used is left", 2, len(left))
	w.must(w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended))
	w.is("suspended", w.accept(w.db(), forCleo, owner), authcore.ErrInvitationInvalid)
	for n := 2; n < authcore.MaxInvitations; n++ {
		w.invite(o, owner, fmt.Sprintf("x%d@example.com", n), authcore.RoleMember)
	}
	_, hash = authcore.NewToken()
	i.ID, i.Email = authcore.InvitationID(authcore.NewUserID()), ""
	w.is("too many", w.db().CreateInvitation(w.Context(), i, hash, w.event(authcore.InvitationCreate, "")), authcore.ErrTooManyInvitations)
	i.Role = "helper"
	w.is("a role that is not there", w.db().CreateInvitation(w.Context(), i, hash, w.event(authcore.InvitationCreate, "")), authcore.ErrRoleNotFound)
}

// Who could not come but by an invitation of an organization belongs to organizations only,
// until somebody admits them.
func invitedOnly(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	n := 0
	comes := func(what string, only, want bool, invite *authcore.TokenHash, come func(u authcore.User, invite *authcore.TokenHash) error) authcore.User {
		w.Helper()
		n++
		u := authcore.User{ID: authcore.NewUserID(), Username: fmt.Sprintf("new%d", n), Status: authcore.Active, OrganizationOnly: only, CreatedAt: w.now, UpdatedAt: w.now}
		w.must(come(u, invite))
		got, _, err := w.db().UserByID(w.Context(), u.ID)
		w.must(err)
		w.same(what, want, got.OrganizationOnly)
		return u
	}
	byForm := func(u authcore.User, invite *authcore.TokenHash) error {
		return w.db().CreateUser(w.Context(), u, hashOf("old"), invite, w.event(authcore.UserCreate, ""))
	}
	byPasskey := func(u authcore.User, invite *authcore.TokenHash) error {
		s, token := w.session(u)
		return w.db().CreatePasskeyUser(w.Context(), authcore.NewPasskeyUser{User: u, Passkey: w.passkey(u, u.Username), Once: w.challenge(), Invite: invite,
			Session: s, Token: token, Created: w.event(authcore.UserCreate, ""), Began: w.event(authcore.UserLogin, "")})
	}
	byProvider := func(u authcore.User, invite *authcore.TokenHash) error {
		in := w.newcomer(u.Username)
		s, token := w.session(u)
		in.NewUser, in.Identity.User, in.Session, in.Token, in.Invite = &u, u.ID, s, token, invite
		return w.db().SignInIdentity(w.Context(), in)
	}
	offer := func() *authcore.TokenHash { _, hash := w.invite(o, owner, "", authcore.RoleMember); return &hash }
	for way, come := range map[string]func(authcore.User, *authcore.TokenHash) error{"form": byForm, "passkey": byPasskey, "provider": byProvider} {
		_, plain := authcore.NewToken()
		w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: plain, Purpose: authcore.PurposeInvite, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
		comes(way+", by an organization's invitation", true, true, offer(), come)
		comes(way+", by one that was not needed", false, false, offer(), come)
		comes(way+", by one of the installation", true, false, &plain, come)
	}
	u := comes("for an organization's service", true, true, nil, byForm)
	_, token := w.signIn(u, nil)
	for _, only := range []bool{false, true} {
		w.must(w.db().SetOrganizationOnly(w.Context(), u.ID, only, w.event(authcore.UserAdmit, "")))
		_, live, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same("with the session", only, live.OrganizationOnly)
		w.same("and not another mark", false, live.FactorRequired)
	}
	w.is("nobody", w.db().SetOrganizationOnly(w.Context(), authcore.NewUserID(), true, w.event(authcore.UserAdmit, "")), authcore.ErrUserNotFound)
	link, _ := w.invite(o, owner, "", authcore.RoleMember)
	old := w.add("old", nil)
	w.must(w.accept(w.db(), link, old))
	got, _, err := w.db().UserByID(w.Context(), old.ID)
	w.must(err)
	w.same("who was there before", false, got.OrganizationOnly)
}

func invitationsWithdrawn(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	good := func(what string, want bool, hash authcore.TokenHash) {
		w.Helper()
		_, err := w.db().InvitationByHash(w.Context(), hash, w.now)
		w.same(what, want, err == nil)
		w.same(what+", registers", want, w.registers(hash))
	}
	w.must(w.setMember(w.db(), o, bob, authcore.RoleAdmin))
	_, mine := w.invite(o, owner, "", authcore.RoleMember)
	_, hash := w.invite(o, bob, "", authcore.RoleMember)
	good("of an admin", true, hash)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	good("of one who is less now", false, hash)
	_, hash = w.invite(o, bob, "", authcore.RoleMember)
	w.must(w.removeMember(w.db(), o, bob))
	good("of one who left", false, hash)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleAdmin))
	_, hash = w.invite(o, bob, "", authcore.RoleMember)
	w.must(w.deletes(bob, time.Time{}))
	good("of one who was deleted", false, hash)
	good("of the owner", true, mine)
	w.must(w.db().DeleteOrganization(w.Context(), o.ID, w.event(authcore.OrganizationDelete, "")))
	good("of an organization that was deleted", false, mine)
}

// raceForOffer: one invitation makes one member.
func raceForOffer(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	w.most(o, 0, 0)
	i, _ := w.invite(o, owner, "", authcore.RoleMember)
	var users []authcore.User
	for n := range 8 {
		users = append(users, w.add(fmt.Sprint("user", n), nil))
	}
	w.oneWon(w.atOnce(16, func(n int, db Store) error { return w.accept(db, i, users[n%8]) }), authcore.ErrInvitationInvalid, authcore.ErrAlreadyMember)
	_, members, err := w.db().Used(w.Context(), o.ID)
	w.must(err)
	w.same("members", 2, members)
}

// raceOfOffers: many accept at once, and one has the last place.
func raceOfOffers(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	w.most(o, 0, 2)
	var all []authcore.Invitation
	var users []authcore.User
	for n := range 8 {
		u := w.add(fmt.Sprint("user", n), nil)
		i, _ := w.invite(o, owner, u.Email, authcore.RoleMember)
		all, users = append(all, i), append(users, u)
	}
	w.oneWon(w.atOnce(8, func(n int, db Store) error { return w.accept(db, all[n], users[n]) }), authcore.ErrMemberLimit)
}

func raceToRevoke(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	i, _ := w.invite(o, owner, "", authcore.RoleMember)
	w.oneWon(w.atOnce(2, func(n int, db Store) error {
		if n == 0 {
			return db.DeleteInvitation(w.Context(), i, w.event(authcore.InvitationRevoke, ""))
		}
		return w.accept(db, i, bob)
	}), authcore.ErrInvitationInvalid, authcore.ErrInvitationNotFound)
}
