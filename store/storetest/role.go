package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var roleTests = map[string]func(*world){
	"role: of an organization's own":          rolesOfOnesOwn,
	"role: deleted while somebody gets it":    raceForRole,
	"tier: limits and overrides":              tiers,
	"owner: the last active one":              lastActiveOwner,
	"owner: ownership is handed on":           transfers,
	"owner: two are disabled at once":         raceToDisable,
	"owner: leaves while another is disabled": raceToEnd,
}

// active makes an active organization with an owner.
func (w *world) active(slug string, owner authcore.User) authcore.Organization {
	w.Helper()
	o := w.organization(slug, owner)
	w.must(w.status(o, authcore.OrganizationPending, authcore.OrganizationActive))
	o, err := w.db().OrganizationBySlug(w.Context(), slug)
	w.must(err)
	return o
}

// role makes a role of an organization.
func (w *world) role(o authcore.Organization, slug authcore.Role, all ...authcore.Capability) authcore.RoleDefinition {
	w.Helper()
	r := authcore.RoleDefinition{Slug: slug, Name: "Role É. 😀", Capabilities: all, CreatedAt: w.now, UpdatedAt: w.now}
	w.must(w.db().CreateRole(w.Context(), o.ID, r, w.event(authcore.RoleCreate, string(slug))))
	return r
}

func (w *world) deleteRole(db Store, o authcore.Organization, r authcore.Role) error {
	return db.DeleteRole(w.Context(), o.ID, r, w.event(authcore.RoleDelete, string(r)))
}

func rolesOfOnesOwn(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	r := w.role(o, "helper", authcore.MembersView, authcore.EndUsersView)
	w.is("again", w.db().CreateRole(w.Context(), o.ID, r, w.event(authcore.RoleCreate, "")), authcore.ErrRoleTaken)
	got, err := w.db().RoleBySlug(w.Context(), o.ID, "helper")
	w.must(err)
	w.same("as it was made", r, got)
	_, err = w.db().RoleBySlug(w.Context(), other.ID, "helper")
	w.is("of another organization", err, authcore.ErrRoleNotFound)
	r.Name, r.Capabilities, r.UpdatedAt = "Other", nil, w.now.Add(time.Second)
	w.must(w.db().ChangeRole(w.Context(), o.ID, r, w.event(authcore.RoleChange, "")))
	w.is("changed elsewhere", w.db().ChangeRole(w.Context(), other.ID, r, w.event(authcore.RoleChange, "")), authcore.ErrRoleNotFound)
	all, err := w.db().Roles(w.Context(), o.ID)
	w.must(err)
	w.same("all", []authcore.RoleDefinition{r}, all)
	w.must(w.setMember(w.db(), o, bob, "helper"))
	w.is("in use", w.deleteRole(w.db(), o, "helper"), authcore.ErrRoleInUse)
	places, err := w.db().Memberships(w.Context(), bob.ID)
	w.must(err)
	w.same("a place", []authcore.Membership{{Organization: o.ID, Slug: "acme", Role: "helper", Status: authcore.OrganizationActive}}, places)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	i, _ := w.invite(o, owner, "x@example.com", "helper")
	w.is("offered", w.deleteRole(w.db(), o, "helper"), authcore.ErrRoleInUse)
	w.must(w.db().DeleteInvitation(w.Context(), i, w.event(authcore.InvitationRevoke, "")))
	w.is("elsewhere", w.deleteRole(w.db(), other, "helper"), authcore.ErrRoleNotFound)
	w.must(w.deleteRole(w.db(), o, "helper"))
	w.is("again", w.deleteRole(w.db(), o, "helper"), authcore.ErrRoleNotFound)
	for n := range authcore.MaxRoles {
		w.role(o, authcore.Role(fmt.Sprint("role", n)))
	}
	w.is("too many", w.db().CreateRole(w.Context(), o.ID, r, w.event(authcore.RoleCreate, "")), authcore.ErrTooManyRoles)
}

// raceForRole: nobody has a role that is not there.
func raceForRole(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	w.role(o, "helper")
	w.oneWon(w.atOnce(2, func(i int, db Store) error {
		if i == 0 {
			return w.deleteRole(db, o, "helper")
		}
		return w.setMember(db, o, bob, "helper")
	}), authcore.ErrRoleInUse, authcore.ErrRoleNotFound)
}

func tiers(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", owner)
	all, err := w.db().Tiers(w.Context())
	w.must(err)
	limits := func(services, members int, features ...string) authcore.Limits {
		return authcore.Limits{Services: services, Members: members, Features: features}
	}
	w.same("those that come along", []authcore.TierLimits{{Tier: "enterprise"}, {Tier: "free", Limits: limits(2, 3)},
		{Tier: "pro", Limits: limits(50, 50)}, {Tier: "starter", Limits: limits(10, 10)}}, all)
	w.must(w.db().SetTier(w.Context(), authcore.TierLimits{Tier: "free", Limits: limits(1, 2, "risk", "webhooks")}, w.event(authcore.TierSet, "")))
	w.must(w.db().SetTier(w.Context(), authcore.TierLimits{Tier: "free", Limits: limits(1, 2, "risk", "webhooks")}, w.event(authcore.TierSet, ""))) // the same changes nothing
	w.must(w.db().SetTier(w.Context(), authcore.TierLimits{Tier: "big", Limits: limits(0, 1)}, w.event(authcore.TierSet, "")))
	all, err = w.db().Tiers(w.Context())
	w.must(err)
	w.same("one more, one changed", []authcore.TierLimits{{Tier: "big", Limits: limits(0, 1)}, {Tier: "enterprise"}, {Tier: "free", Limits: limits(1, 2, "risk", "webhooks")}}, all[:3])
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	w.is("one more", w.setMember(w.db(), o, cleo, authcore.RoleMember), authcore.ErrMemberLimit)
	w.is("no such tier", w.db().SetOrganizationTier(w.Context(), o.ID, "none", w.event(authcore.OrganizationTier, "")), authcore.ErrTierInvalid)
	w.must(w.db().SetOrganizationTier(w.Context(), o.ID, "big", w.event(authcore.OrganizationTier, "")))
	over, err := w.db().Overrides(w.Context(), o.ID)
	w.must(err)
	w.same("none", authcore.Overrides{}, over)
	three, features := 3, []string{"risk"}
	want := authcore.Overrides{Members: &three, Features: &features}
	w.must(w.db().SetOverrides(w.Context(), o.ID, want, w.event(authcore.OrganizationLimits, "")))
	over, err = w.db().Overrides(w.Context(), o.ID)
	w.must(err)
	w.same("some", want, over)
	w.must(w.setMember(w.db(), o, cleo, authcore.RoleMember))
	services, members, err := w.db().Used(w.Context(), o.ID)
	w.must(err)
	w.same("used", []int{0, 3}, []int{services, members})
}

func (w *world) disable(db Store, u authcore.User) error {
	return db.SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, u.Username))
}

// An organization keeps an active owner, whatever it is that ends.
func lastActiveOwner(w *world) {
	w.add("platform", func(u *authcore.User) { u.Owner = true })
	u, bob, cleo := w.add("alice", nil), w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", u)
	w.must(w.setMember(w.db(), o, cleo, authcore.RoleAdmin))
	w.is("disabled", w.disable(w.db(), u), authcore.ErrLastOrganizationOwner)
	w.is("deleted", w.deletes(u, time.Time{}), authcore.ErrLastOrganizationOwner)
	w.is("deleted later", w.deletes(u, w.now.Add(time.Hour)), authcore.ErrLastOrganizationOwner)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleOwner))
	w.must(w.disable(w.db(), bob))
	w.is("beside one who is disabled", w.disable(w.db(), u), authcore.ErrLastOrganizationOwner)
	w.is("deleted beside one", w.deletes(u, time.Time{}), authcore.ErrLastOrganizationOwner)
	w.is("leaves beside one", w.removeMember(w.db(), o, u), authcore.ErrLastOrganizationOwner)
	w.is("steps down beside one", w.setMember(w.db(), o, u, authcore.RoleAdmin), authcore.ErrLastOrganizationOwner)
	w.must(w.removeMember(w.db(), o, cleo)) // no owner
	w.must(w.db().SetStatus(w.Context(), bob.ID, authcore.Active, w.event(authcore.UserEnable, "")))
	w.must(w.disable(w.db(), u))
	w.is("the other one", w.disable(w.db(), bob), authcore.ErrLastOrganizationOwner)
	w.is("an owner who is disabled", w.db().CreateOrganization(w.Context(), authcore.Organization{ID: "x", Slug: "beta", Tier: "free"}, u.ID, w.event(authcore.OrganizationCreate, "")), authcore.ErrMemberDisabled)
}

func transfers(w *world) {
	u, bob, cleo, stranger := w.add("alice", nil), w.add("bob", nil), w.add("cleo", nil), w.add("dan", nil)
	o := w.active("acme", u)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	w.must(w.setMember(w.db(), o, cleo, authcore.RoleMember))
	w.must(w.disable(w.db(), cleo))
	hand := func(from, to authcore.User) error {
		return w.db().TransferOwnership(w.Context(), o.ID, from.ID, to.ID, w.event(authcore.OwnershipTransfer, ""))
	}
	w.is("to a stranger", hand(u, stranger), authcore.ErrMemberNotFound)
	w.is("to nobody", hand(u, w.user("x")), authcore.ErrMemberNotFound)
	w.is("to one who is disabled", hand(u, cleo), authcore.ErrMemberDisabled)
	w.is("by one who is no owner", hand(bob, u), authcore.ErrMemberChanged)
	_, token := w.invite(o, u, "", authcore.RoleOwner)
	w.must(hand(u, bob))
	for of, want := range map[authcore.UserID]authcore.Role{u.ID: authcore.RoleAdmin, bob.ID: authcore.RoleOwner} {
		got, err := w.db().RoleOf(w.Context(), o.ID, of)
		w.must(err)
		w.same("role", want, got)
	}
	_, err := w.db().InvitationByHash(w.Context(), token, w.now)
	w.is("what the owner of before offered", err, authcore.ErrInvitationInvalid)
}

// raceToDisable: of two owners who are disabled at once, one stays.
func raceToDisable(w *world) {
	users := []authcore.User{w.add("alice", nil), w.add("bob", nil)}
	o := w.active("acme", users[0])
	w.must(w.setMember(w.db(), o, users[1], authcore.RoleOwner))
	w.oneWon(w.atOnce(2, func(i int, db Store) error { return w.disable(db, users[i]) }), authcore.ErrLastOrganizationOwner)
}

// raceToEnd: an owner leaves, is deleted or disabled while the others do the like: one stays.
func raceToEnd(w *world) {
	w.add("platform", func(u *authcore.User) { u.Owner = true })
	var users []authcore.User
	for i := range 6 {
		users = append(users, w.add(fmt.Sprint("user", i), nil))
	}
	o := w.active("acme", users[0])
	w.most(o, 0, 0)
	for _, u := range users[1:] {
		w.must(w.setMember(w.db(), o, u, authcore.RoleOwner))
	}
	stayed := 0
	for _, err := range w.atOnce(6, func(i int, db Store) error {
		switch i % 3 {
		case 0:
			return w.disable(db, users[i])
		case 1:
			return db.DeleteUser(w.Context(), users[i].ID, time.Time{}, w.event(authcore.UserDelete, ""))
		}
		return db.RemoveMember(w.Context(), o.ID, users[i].ID, authcore.RoleOwner, w.event(authcore.MemberRemove, ""))
	}) {
		if err != nil {
			w.is("who stays", err, authcore.ErrLastOrganizationOwner)
			stayed++
		}
	}
	w.same("owners left", 1, stayed)
}
