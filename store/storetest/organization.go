package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var organizationTests = map[string]func(*world){
	"organization: its life":                organizationLife,
	"organization: members":                 organizationMembers,
	"organization: what a session reads":    organizationSessions,
	"organization: deletion":                organizationDeletion,
	"organization: two owners leave":        raceToLeave,
	"organization: the last place, at once": raceForPlace,
}

// organization makes one with an owner.
func (w *world) organization(slug string, owner authcore.User) authcore.Organization {
	w.Helper()
	o := authcore.Organization{ID: authcore.OrganizationID(authcore.NewUserID()), Slug: slug, Name: "Name of " + slug + " 😀", Status: authcore.OrganizationPending,
		Tier: authcore.DefaultTier, CreatedAt: w.now, UpdatedAt: w.now}
	w.must(w.db().CreateOrganization(w.Context(), o, owner.ID, w.event(authcore.OrganizationCreate, slug)))
	return o
}

func (w *world) status(o authcore.Organization, from, to authcore.OrganizationStatus) error {
	return w.db().SetOrganizationStatus(w.Context(), o.ID, []authcore.OrganizationStatus{from}, to, "why", w.event(authcore.OrganizationApprove, o.Slug))
}

func organizationLife(w *world) {
	u := w.add("alice", nil)
	o := w.organization("acme", u)
	got, err := w.db().OrganizationBySlug(w.Context(), "acme")
	w.must(err)
	w.same("as it was made", o, got)
	_, err = w.db().OrganizationBySlug(w.Context(), "ACME")
	w.is("another slug", err, authcore.ErrOrganizationNotFound)
	twin := o
	twin.ID = authcore.OrganizationID(authcore.NewUserID())
	w.is("the same slug", w.db().CreateOrganization(w.Context(), twin, u.ID, w.event(authcore.OrganizationCreate, "")), authcore.ErrSlugTaken)
	twin.Slug = "other"
	w.is("of nobody", w.db().CreateOrganization(w.Context(), twin, authcore.NewUserID(), w.event(authcore.OrganizationCreate, "")), authcore.ErrUserNotFound)
	w.is("from a status that it does not have", w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended), authcore.ErrOrganizationState)
	w.must(w.status(o, authcore.OrganizationPending, authcore.OrganizationActive))
	w.is("one that is not there", w.status(twin, authcore.OrganizationPending, authcore.OrganizationActive), authcore.ErrOrganizationNotFound)
	w.must(w.db().SetOrganizationTier(w.Context(), o.ID, "pro", w.event(authcore.OrganizationTier, "")))
	got, err = w.db().OrganizationBySlug(w.Context(), "acme")
	w.must(err)
	w.same("afterwards", []any{authcore.OrganizationActive, "why", authcore.Tier("pro")}, []any{got.Status, got.Reason, got.Tier})
	second := w.organization("beta", u)
	list := func(what string, status authcore.OrganizationStatus, after string, want ...string) {
		w.Helper()
		all, err := w.db().FindOrganizations(w.Context(), authcore.OrganizationQuery{Status: status, After: after, Limit: 10})
		w.must(err)
		var got []string
		for _, o := range all {
			got = append(got, o.Slug)
		}
		w.same(what, want, got)
	}
	list("all", "", "", "acme", "beta")
	list("after one", "", "acme", "beta")
	list("that wait", authcore.OrganizationPending, "", "beta")
	w.must(w.db().DeleteOrganization(w.Context(), second.ID, w.event(authcore.OrganizationDelete, "")))
	w.is("again", w.db().DeleteOrganization(w.Context(), second.ID, w.event(authcore.OrganizationDelete, "")), authcore.ErrOrganizationNotFound)
	list("after the deletion", "", "", "acme")
	w.changed("user "+string(u.ID), "organization "+string(o.ID), "all ", "user "+string(u.ID), "organization "+string(second.ID), "all ")
}

// setMember gives a user a place, whatever it was before.
func (w *world) setMember(db Store, o authcore.Organization, u authcore.User, role authcore.Role) error {
	was, err := db.RoleOf(w.Context(), o.ID, u.ID)
	w.must(err)
	return db.SetMember(w.Context(), authcore.MemberChange{Organization: o.ID, User: u.ID, From: was, To: role}, w.event(authcore.MemberSet, u.Username))
}

// removeMember takes a user out, whatever the role was.
func (w *world) removeMember(db Store, o authcore.Organization, u authcore.User) error {
	was, err := db.RoleOf(w.Context(), o.ID, u.ID)
	w.must(err)
	return db.RemoveMember(w.Context(), o.ID, u.ID, was, w.event(authcore.MemberRemove, u.Username))
}

// most says how many services and members an organization can have; 0 is as many as it
// likes.
func (w *world) most(o authcore.Organization, services, members int) {
	w.Helper()
	w.must(w.db().SetOverrides(w.Context(), o.ID, authcore.Overrides{Services: &services, Members: &members}, w.event(authcore.OrganizationLimits, o.Slug)))
}

func organizationMembers(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	o := w.organization("acme", owner)
	w.most(o, 0, 2)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	w.is("too many", w.setMember(w.db(), o, cleo, authcore.RoleMember), authcore.ErrMemberLimit)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleAdmin)) // another role needs no place
	w.must(w.setMember(w.db(), o, bob, authcore.RoleAdmin)) // the same changes nothing
	w.most(o, 0, 0)
	w.must(w.setMember(w.db(), o, cleo, authcore.RoleMember))
	w.is("a role that is not there", w.setMember(w.db(), o, cleo, "helper"), authcore.ErrRoleNotFound)
	w.is("changed meanwhile", w.db().SetMember(w.Context(), authcore.MemberChange{Organization: o.ID, User: cleo.ID, From: authcore.RoleAdmin, To: authcore.RoleOwner}, w.event(authcore.MemberSet, "")), authcore.ErrMemberChanged)
	w.is("removed, changed meanwhile", w.db().RemoveMember(w.Context(), o.ID, cleo.ID, authcore.RoleAdmin, w.event(authcore.MemberRemove, "")), authcore.ErrMemberChanged)
	w.is("nobody", w.setMember(w.db(), o, authcore.User{ID: authcore.NewUserID()}, authcore.RoleMember), authcore.ErrUserNotFound)
	members := func(what string, q authcore.MemberQuery, want ...string) {
		w.Helper()
		q.Limit = 10
		all, err := w.db().Members(w.Context(), o.ID, q)
		w.must(err)
		var got []string
		for _, m := range all {
			got = append(got, m.Username+" "+string(m.Role))
		}
		w.same(what, want, got)
	}
	members("all", authcore.MemberQuery{}, "bob admin", "cleo member", "owner owner")
	members("after one", authcore.MemberQuery{After: "bob"}, "cleo member", "owner owner")
	members("by a prefix", authcore.MemberQuery{Prefix: "CL"}, "cleo member")
	members("by a prefix, after one", authcore.MemberQuery{Prefix: "o", After: "owner"})
	members("by what no name has", authcore.MemberQuery{Prefix: "%"})
	members("by what is no name", authcore.MemberQuery{Prefix: "a b"})
	_, err := w.db().MemberOf(w.Context(), o.ID, authcore.NewUserID())
	w.is("no member", err, authcore.ErrMemberNotFound)
	m, err := w.db().MemberOf(w.Context(), o.ID, bob.ID)
	w.must(err)
	w.same("a member", authcore.Member{User: bob.ID, Username: "bob", Name: bob.Name, Role: authcore.RoleAdmin, Status: authcore.Active, CreatedAt: w.now}, m)
	remove := func(u authcore.User) error { return w.removeMember(w.db(), o, u) }
	w.is("the last owner leaves", remove(owner), authcore.ErrLastOrganizationOwner)
	w.is("the last owner steps down", w.setMember(w.db(), o, owner, authcore.RoleAdmin), authcore.ErrLastOrganizationOwner)
	members("refused", authcore.MemberQuery{}, "bob admin", "cleo member", "owner owner")
	w.must(w.setMember(w.db(), o, bob, authcore.RoleOwner))
	w.must(remove(owner))
	w.is("again", remove(owner), authcore.ErrMemberNotFound)
	members("with another owner", authcore.MemberQuery{}, "bob owner", "cleo member")
}

func organizationSessions(w *world) {
	u := w.add("alice", func(u *authcore.User) { u.Groups = []string{"ops", "staff"} })
	_, token := w.signIn(u, nil)
	a, b := w.organization("acme", u), w.organization("beta", w.add("bob", nil))
	w.must(w.setMember(w.db(), b, u, authcore.RoleMember))
	w.must(w.status(a, authcore.OrganizationPending, authcore.OrganizationActive))
	_, got, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	want := []authcore.Membership{{Organization: a.ID, Slug: "acme", Role: authcore.RoleOwner, Status: authcore.OrganizationActive},
		{Organization: b.ID, Slug: "beta", Role: authcore.RoleMember, Status: authcore.OrganizationPending}}
	w.same("memberships", want, got.Memberships)
	w.same("groups", u.Groups, got.Groups)
	all, err := w.db().Memberships(w.Context(), u.ID)
	w.must(err)
	w.same("asked for alone", want, all)
	reads := func(what string, want int) {
		w.Helper()
		_, got, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, len(got.Memberships))
	}
	w.must(w.removeMember(w.db(), b, u))
	reads("out of one", 1)
	w.must(w.db().DeleteOrganization(w.Context(), a.ID, w.event(authcore.OrganizationDelete, "")))
	reads("of none", 0)
	w.must(w.setMember(w.db(), b, u, authcore.RoleMember))
	reads("of one again", 1)
}

func organizationDeletion(w *world) {
	w.add("owner", func(u *authcore.User) { u.Owner = true })
	u, bob := w.add("alice", nil), w.add("bob", nil)
	o := w.organization("acme", u)
	w.is("the last owner of an organization", w.deletes(u, time.Time{}), authcore.ErrLastOrganizationOwner)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleOwner))
	w.must(w.deletes(u, time.Time{}))
	all, err := w.db().Members(w.Context(), o.ID, authcore.MemberQuery{Limit: 10})
	w.must(err)
	w.same("who is left", 1, len(all))
}

// raceToLeave: of two owners who leave at once, one stays.
func raceToLeave(w *world) {
	u, bob := w.add("alice", nil), w.add("bob", nil)
	o := w.organization("acme", u)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleOwner))
	w.oneWon(w.atOnce(2, func(i int, db Store) error {
		return db.RemoveMember(w.Context(), o.ID, []authcore.UserID{u.ID, bob.ID}[i], authcore.RoleOwner, w.event(authcore.MemberRemove, ""))
	}), authcore.ErrLastOrganizationOwner)
}

// raceForPlace: of many who take the last place at once, one has it.
func raceForPlace(w *world) {
	o := w.organization("acme", w.add("owner", nil))
	w.most(o, 0, 2)
	var users []authcore.User
	for _, name := range []string{"u1", "u2", "u3", "u4", "u5", "u6"} {
		users = append(users, w.add(name, nil))
	}
	w.oneWon(w.atOnce(len(users), func(i int, db Store) error { return w.setMember(db, o, users[i], authcore.RoleMember) }), authcore.ErrMemberLimit)
}
