package authcore_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// withOrganization gives a bench an active organization with an owner.
func withOrganization(t *testing.T, b *bench) authcore.Actor {
	t.Helper()
	owner := person(t, b, "owner")
	_, err := b.RegisterOrganization(t.Context(), authcore.CommandLine(), "acme", "Acme <b>", owner.User, true)
	check(t, err)
	return owner
}

// person is a user with a verified address.
func person(t *testing.T, b *bench, name string) authcore.Actor {
	t.Helper()
	u := must(b.CreateUser(t.Context(), authcore.CommandLine(), authcore.NewUser{Username: name, Email: name + "@example.com", EmailVerified: true}))(t)
	return actorOf(u.ID)
}

// tokenIn is the token of a link.
func tokenIn(t *testing.T, link authcore.Secret) authcore.Secret {
	t.Helper()
	u, err := url.Parse(link.Reveal())
	check(t, err)
	if u.Path != authcore.InvitationPath || u.Host != "auth.example.com" {
		t.Errorf("the link is %s", u)
	}
	return authcore.Secret(u.Query().Get("token"))
}

// A newcomer registers with the invitation that came by mail, which verifies the address,
// and accepts with the same.
func TestInvitedNewcomer(t *testing.T) {
	t.Parallel()
	b := withMail(newBench(t, 0))
	b.Register, b.Invites = authcore.RegisterInvite, true
	owner := withOrganization(t, b)
	const origin = "https://auth.example.com"
	link, i, err := b.InviteMember(t.Context(), owner, "acme", authcore.NewInvitation{Email: "new@example.com", Role: authcore.RoleAdmin, Origin: origin})
	check(t, err)
	if link != "" {
		t.Error("the link that verifies an address was given to whoever invited")
	}
	letters := b.letters(t)
	if len(letters) != 1 || letters[0].To != "new@example.com" || letters[0].Organization != "Acme <b>" || !letters[0].Until.Equal(clockStart.Add(7*24*time.Hour)) {
		t.Fatalf("%+v", letters)
	}
	token := tokenIn(t, letters[0].Link)
	offer, err := b.InvitationBy(t.Context(), token)
	if err != nil || offer.Name != "Acme <b>" || offer.Slug != "acme" || offer.RoleName != "admin" || offer.Email != i.Email {
		t.Errorf("%+v, %v", offer, err)
	}
	if _, err := b.AcceptInvitation(t.Context(), visitor("192.0.2.1"), token); !errors.Is(err, authcore.ErrNoSession) {
		t.Errorf("by nobody: %v", err)
	}
	_, s, err := b.RegisterUser(t.Context(), visitor("192.0.2.1"), authcore.NewUser{Username: "new", Email: "new@example.com", Password: "a long enough password"}, token, "auth.example.com", origin)
	check(t, err)
	for _, c := range []struct {
		who  authcore.Actor
		want error
	}{{owner, authcore.ErrInvitationAddress}, {actorOf(s.UserID), nil}, {actorOf(s.UserID), authcore.ErrInvitationInvalid}} {
		if _, err := b.AcceptInvitation(t.Context(), c.who, token); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	standing, err := b.Standing(t.Context(), actorOf(s.UserID), "acme")
	if err != nil || standing.Role != authcore.RoleAdmin {
		t.Errorf("%+v, %v", standing, err)
	}
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	bob, cat := person(t, b, "bob"), person(t, b, "cat")
	invite := func(email string) (authcore.Secret, error) {
		link, _, err := b.InviteMember(t.Context(), owner, "acme", authcore.NewInvitation{Email: email, Role: authcore.RoleMember, Origin: "https://auth.example.com"})
		return link, err
	}
	if _, err := invite("bob@example.com"); !errors.Is(err, authcore.ErrInviteMailOff) {
		t.Errorf("without mail: %v", err)
	}
	withMail(b)
	if _, err := invite("bob"); err == nil {
		t.Error("bob is taken for an address")
	}
	token := tokenIn(t, must(invite(""))(t))
	if ok, err := b.db.CodeValid(t.Context(), authcore.PurposeInvite, authcore.HashToken(token.Reveal()), clockStart); ok || err != nil {
		t.Errorf("it registers where invitations do not: %v", err)
	}
	check(t, b.DeclineInvitation(t.Context(), bob, token))
	if _, err := b.AcceptInvitation(t.Context(), bob, token); !errors.Is(err, authcore.ErrInvitationInvalid) {
		t.Errorf("declined: %v", err)
	}
	check(t, err2(invite("bob@example.com")))
	token = tokenIn(t, b.letters(t)[0].Link)
	if err := b.DeclineInvitation(t.Context(), cat, token); !errors.Is(err, authcore.ErrInvitationAddress) {
		t.Errorf("declined by another: %v", err)
	}
	machine := bob
	machine.Kind = authcore.ActorToken
	if _, err := b.AcceptInvitation(t.Context(), machine, token); !errors.Is(err, authcore.ErrNoSession) {
		t.Errorf("by an access token: %v", err)
	}
	check(t, err2(b.AcceptInvitation(t.Context(), bob, token)))
	if _, err := b.AcceptInvitation(t.Context(), bob, tokenIn(t, must(invite(""))(t))); !errors.Is(err, authcore.ErrAlreadyMember) {
		t.Errorf("a member: %v", err)
	}
	for _, text := range []authcore.Secret{"", "x", authcore.Secret(strings.Repeat("x", 43))} {
		if _, err := b.InvitationBy(t.Context(), text); !errors.Is(err, authcore.ErrInvitationInvalid) {
			t.Errorf("%q: %v", text.Reveal(), err)
		}
	}
	// The mailbox of somebody is not filled by those who invite.
	var err error
	for range 5 {
		_, err = invite("victim@example.com")
	}
	if !errors.Is(err, authcore.ErrTooManyMails) {
		t.Errorf("the fifth to one address: %v", err)
	}
}

// Users register organizations for themselves, and not without end.
func TestRegisterOrganization(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	bob := person(t, b, "bob")
	if _, err := b.RegisterOrganization(t.Context(), bob, "one", "", bob.User, false); !errors.Is(err, authcore.ErrOrganizationsOff) {
		t.Errorf("where only platform owners do: %v", err)
	}
	b.OrganizationsOpen = true
	for n, slug := range []string{"one", "two", "three", "four"} {
		o, err := b.RegisterOrganization(t.Context(), bob, slug, "", bob.User, false)
		if n < 3 && (err != nil || o.Status != authcore.OrganizationPending) || n == 3 && !errors.Is(err, authcore.ErrTooManyWaiting) {
			t.Errorf("%s: %+v, %v", slug, o, err)
		}
	}
	if err := b.RenameOrganization(t.Context(), bob, "one", "x"); !errors.Is(err, authcore.ErrOrganizationState) {
		t.Errorf("while it waits: %v", err)
	}
	check(t, b.DeleteOrganization(t.Context(), bob, "one"))
	check(t, err2(b.RegisterOrganization(t.Context(), bob, "four", "", bob.User, false)))
}

// Who may do all that an owner may is no owner: only owners make and unmake owners.
func TestOwnersAreOwners(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	bob, cat := person(t, b, "bob"), person(t, b, "cat")
	check(t, b.CreateRole(t.Context(), owner, "acme", authcore.RoleDefinition{Slug: "all", Capabilities: authcore.Capabilities}))
	check(t, b.AddMember(t.Context(), authcore.CommandLine(), "acme", bob.User, "all"))
	check(t, b.AddMember(t.Context(), authcore.CommandLine(), "acme", cat.User, authcore.RoleMember))
	for what, err := range map[string]error{
		"makes an owner": b.SetMember(t.Context(), bob, "acme", cat.User, authcore.RoleOwner),
		"becomes one":    b.SetMember(t.Context(), bob, "acme", bob.User, authcore.RoleOwner),
		"demotes one":    b.SetMember(t.Context(), bob, "acme", owner.User, authcore.RoleMember),
		"removes one":    b.RemoveMember(t.Context(), bob, "acme", owner.User),
		"invites one":    err3(b.InviteMember(t.Context(), bob, "acme", authcore.NewInvitation{Role: authcore.RoleOwner})),
	} {
		if !errors.Is(err, authcore.ErrBeyondOwn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, b.SetMember(t.Context(), bob, "acme", cat.User, "all"))
	if err := b.SetStatus(t.Context(), authcore.CommandLine(), owner.User, authcore.Disabled); !errors.Is(err, authcore.ErrLastOrganizationOwner) {
		t.Errorf("the last owner is disabled: %v", err)
	}
	check(t, b.TransferOwnership(t.Context(), owner, "acme", cat.User))
	check(t, b.SetStatus(t.Context(), authcore.CommandLine(), owner.User, authcore.Disabled))
	// What a role allows counts at once.
	check(t, b.ChangeRole(t.Context(), cat, "acme", authcore.RoleDefinition{Slug: "all"}))
	if _, err := b.Members(t.Context(), bob, "acme", authcore.MemberQuery{Limit: 10}); !errors.Is(err, authcore.ErrNotAllowed) {
		t.Errorf("after the change: %v", err)
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	owner := withOrganization(t, b)
	by := authcore.CommandLine()
	if err := b.SetTier(t.Context(), by, authcore.TierLimits{Tier: "free", Limits: authcore.Limits{Services: -1}}); !errors.Is(err, authcore.ErrLimitInvalid) {
		t.Errorf("below zero: %v", err)
	}
	if err := b.SetTier(t.Context(), by, authcore.TierLimits{Tier: "free", Limits: authcore.Limits{Features: []string{"A b"}}}); !errors.Is(err, authcore.ErrFeatureInvalid) {
		t.Errorf("a feature with a space: %v", err)
	}
	check(t, b.SetTier(t.Context(), by, authcore.TierLimits{Tier: "free", Limits: authcore.Limits{Services: 1, Members: 5, Features: []string{"risk", "webhooks", "risk"}}}))
	got, err := b.AllowanceOf(t.Context(), owner, "acme")
	if err != nil || got.Services != 1 || got.Members != 5 || !got.Has("risk") || len(got.Features) != 2 || got.UsedMembers != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	two, none := 2, []string{}
	check(t, b.SetOverrides(t.Context(), by, "acme", authcore.Overrides{Services: &two, Features: &none}))
	got, err = b.AllowanceOf(t.Context(), owner, "acme")
	if err != nil || got.Services != 2 || got.Members != 5 || got.Has("risk") || got.Tier.Services != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
