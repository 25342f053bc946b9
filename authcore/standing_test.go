package authcore_test

import (
	"context"
	"database/sql"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// things are what an organization has, by their ids.
type things struct {
	slug                                  string
	service                               authcore.ServiceID
	key                                   authcore.ServiceKeyID
	invitation                            authcore.InvitationID
	session                               authcore.SessionID
	member, coOwner, helper, endUser, out authcore.UserID // out is barred
	role, rich, provider                  string          // rich is a role that may do what admins may not
	hook                                  authcore.WebhookID
	delivery                              authcore.DeliveryID
}

// town is two organizations, with everybody who could try something in the first one.
type town struct {
	file       string
	own, other things
	actors     map[string]authcore.Actor
	able       map[authcore.Capability]authcore.Actor // members with one capability each
}

// townKey is the secret key of every copy of the town.
var townKey = authcore.NewSecretKey()

// openAt gives account services on a database file.
func openAt(t *testing.T, file string) (*authcore.Accounts, func()) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Driver: "sqlite", Path: file})
	if err != nil {
		t.Fatal(err)
	}
	b := newAccounts(t, db)
	b.ClientSealer = townKey.NewSealer("client", b.Now)
	b.Webhooking = authcore.Webhooking{Sealer: townKey.NewSealer("webhook", b.Now), CheckURL: func(*url.URL) error { return nil }, Wake: func() {}}
	return b, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// copyOf copies a database file that nobody has open.
func copyOf(t *testing.T, file string) string {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "gate.db")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func actorOf(u authcore.UserID) authcore.Actor {
	return authcore.Actor{Kind: authcore.ActorUser, User: u, Session: authcore.NewSessionID(), Client: authcore.NewClient("192.0.2.1", "test", "")}
}

// newTown builds one.
func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{file: filepath.Join(t.TempDir(), "gate.db"), actors: make(map[string]authcore.Actor), able: make(map[authcore.Capability]authcore.Actor)}
	a, done := openAt(t, w.file)
	defer done()
	person := func(name string, platform bool) authcore.UserID {
		t.Helper()
		return must(a.CreateUser(t.Context(), authcore.CommandLine(), authcore.NewUser{Username: name, Email: name + "@example.com", EmailVerified: true, Owner: platform}))(t).ID
	}
	w.actors["platform"] = actorOf(person("platform", true))
	w.actors["stranger"] = actorOf(person("stranger", false))
	w.actors["command"], w.actors["anonymous"] = authcore.CommandLine(), visitor("192.0.2.1")
	w.own = w.furnish(t, a, "acme", person)
	w.other = w.furnish(t, a, "beta", person)
	for _, c := range authcore.Capabilities {
		role := authcore.Role("only-" + strings.NewReplacer(".", "-").Replace(string(c)))
		check(t, a.CreateRole(t.Context(), authcore.CommandLine(), "acme", authcore.RoleDefinition{Slug: role, Capabilities: []authcore.Capability{c}}))
		w.able[c] = actorOf(person(string(role), false))
		check(t, a.AddMember(t.Context(), authcore.CommandLine(), "acme", w.able[c].User, role))
	}
	w.actors["unable"] = w.able[authcore.RiskView]
	return w
}

// furnish makes an organization that has one of everything.
func (w *town) furnish(t *testing.T, a *authcore.Accounts, slug string, person func(string, bool) authcore.UserID) things {
	t.Helper()
	ctx, by := t.Context(), authcore.CommandLine()
	x := things{slug: slug, role: slug + "-role", rich: slug + "-rich", provider: slug + "-idp"}
	owner := person(slug+"-owner", false)
	_, err := a.RegisterOrganization(ctx, by, slug, "", owner, true)
	check(t, err)
	none := 0
	check(t, a.SetOverrides(ctx, by, slug, authcore.Overrides{Services: &none, Members: &none}))
	check(t, a.CreateRole(ctx, by, slug, authcore.RoleDefinition{Slug: authcore.Role(x.role)}))
	check(t, a.CreateRole(ctx, by, slug, authcore.RoleDefinition{Slug: "nothing-" + authcore.Role(slug)}))
	check(t, a.CreateRole(ctx, by, slug, authcore.RoleDefinition{Slug: authcore.Role(x.rich), Capabilities: []authcore.Capability{authcore.BillingManage}}))
	add := func(name string, role authcore.Role) authcore.UserID {
		t.Helper()
		id := person(slug+"-"+name, false)
		check(t, a.AddMember(ctx, by, slug, id, role))
		return id
	}
	admin := add("admin", authcore.RoleAdmin)
	x.member, x.coOwner, x.helper = add("member", authcore.RoleMember), add("co-owner", authcore.RoleOwner), add("helper", "nothing-"+authcore.Role(slug))
	x.endUser, x.out = person(slug+"-customer", false), person(slug+"-out", false)
	_, service, err := a.CreateService(ctx, by, slug, authcore.ServiceWeb, authcore.ServiceSettings{Name: "Shop", Access: authcore.ReachEveryone})
	check(t, err)
	x.service = service.ID
	_, key, err := a.CreateServiceKey(ctx, by, slug, x.service, authcore.NewServiceKey{Name: "server", Scopes: authcore.ServiceScopes})
	check(t, err)
	x.key = key.ID
	for _, u := range []authcore.UserID{x.endUser, x.out} {
		if session := signedInTo(t, a, service, u); u == x.endUser {
			x.session = session
		}
	}
	check(t, a.BarEndUser(ctx, by, slug, x.out, ""))
	check(t, a.GrantService(ctx, by, slug, x.service, x.member))
	check(t, a.SetOrganizationProvider(ctx, by, slug, x.provider, "client", "secret"))
	_, i, err := a.InviteMember(ctx, by, slug, authcore.NewInvitation{Role: authcore.RoleMember})
	check(t, err)
	x.invitation = i.ID
	hook, _, err := a.CreateWebhook(ctx, by, slug, exampleHook)
	check(t, err)
	x.hook = hook.ID
	x.delivery, err = a.TestWebhook(ctx, by, slug, x.hook)
	check(t, err)
	actors := map[string]authcore.Actor{"owner": actorOf(owner), "admin": actorOf(admin), "member": actorOf(x.member), "key": key.Actor(authcore.Client{})}
	if slug == "acme" {
		for name, actor := range actors {
			w.actors[name] = actor
		}
	} else {
		w.actors["foreign owner"], w.actors["foreign key"] = actors["owner"], actors["key"]
	}
	return x
}

// signedInTo begins a session of a user at a service.
func signedInTo(t *testing.T, a *authcore.Accounts, s authcore.Service, u authcore.UserID) authcore.SessionID {
	t.Helper()
	ctx, now := t.Context(), a.Now()
	event := func(action authcore.Action) authcore.Event {
		return authcore.NewEvent(now, authcore.CommandLine(), action, "", authcore.Success, "")
	}
	check(t, a.Store.SetPassword(ctx, u, "hash", "", event(authcore.PasswordChange)))
	root := authcore.Session{ID: authcore.NewSessionID(), UserID: u, AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(time.Hour)}
	root.Root = root.ID
	check(t, a.Store.CreateSession(ctx, root, authcore.HashToken(string(root.ID)), "hash", event(authcore.UserLogin)))
	session := authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: s.Organization, Service: s.ID, User: u, Root: root.ID, AuthTime: now, CreatedAt: now, ExpiresAt: root.ExpiresAt}
	code := authcore.GrantCode{Hash: authcore.HashToken(string(session.ID)), Session: session.ID, Service: s.ID, CreatedAt: now, ExpiresAt: root.ExpiresAt}
	check(t, a.Store.BeginGrant(ctx, session, code, authcore.TokenHash{}, event(authcore.ServiceLogin)))
	return session.ID
}

// deed is something that may be done in an organization: who may, besides the platform's
// owners and the command line, who may unless platform says no.
type deed struct {
	name     string
	need     authcore.Capability // that of the actor "able"
	may      string
	platform platformMay
	foreign  bool // it takes ids, and those of another organization are tried as well
	do       func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error
}

type platformMay int

const (
	platformToo   platformMay = iota
	platformNot               // it is about the actor's own place
	platformAdds              // with the id of a user elsewhere it makes a member
	platformOwned             // it is for the platform only, and others are told so
)

// err forgets what a call gave besides its error.
func err2[T any](_ T, err error) error         { return err }
func err3[T, U any](_ T, _ U, err error) error { return err }

const (
	everybody = "owner admin member able"
	managers  = "owner admin able"
	admins    = "owner admin" // able is not enough, since it would give or take what it lacks
	owners    = "owner"
)

var role = authcore.RoleMember

var exampleHook = authcore.NewWebhook{URL: "https://hooks.example.com/x", Events: []string{"member.*"}}

// deeds are all that the services offer, each with its own ids.
var deeds = []deed{
	{"Organizations", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Organizations(ctx, by, authcore.OrganizationQuery{Limit: 10}))
	}},
	{"OrganizationBySlug", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.OrganizationBySlug(ctx, by, "acme"))
	}},
	{"MayRunPlatform", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.MayRunPlatform(ctx, by)
	}},
	{"Users", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Users(ctx, by, authcore.UserQuery{Limit: 10}))
	}},
	{"CreateUser", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.CreateUser(ctx, by, authcore.NewUser{Username: "new", Owner: true}))
	}},
	{"ImportUser", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.ImportUser(ctx, by, authcore.NewUser{Username: "new"}, "", authcore.Active))
	}},
	{"DeleteUser", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.DeleteUser(ctx, by, x.helper, 0))
	}},
	{"UserByID", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.UserByID(ctx, by, x.coOwner))
	}},
	{"LiveSessions", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.LiveSessions(ctx, by, authcore.SessionQuery{Limit: 10}))
	}},
	{"Events", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Events(ctx, by, authcore.EventQuery{Limit: 10}))
	}},
	{"StepOrganization", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.StepOrganization(ctx, by, "acme", "suspend", "why")
	}},
	{"Tiers", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Tiers(ctx, by))
	}},
	{"SetTier", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.SetTier(ctx, by, authcore.TierLimits{Tier: "free", Limits: authcore.Limits{Services: 9}})
	}},
	{"SetOrganizationTier", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.SetOrganizationTier(ctx, by, "acme", "pro")
	}},
	{"SetOverrides", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.SetOverrides(ctx, by, "acme", authcore.Overrides{})
	}},
	{"AddMember", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.AddMember(ctx, by, "acme", x.endUser, authcore.RoleMember)
	}},
	{"SetServiceTrust", "", "", platformOwned, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetServiceTrust(ctx, by, "acme", x.service, true)
	}},
	{"RegisterOrganization for another", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.RegisterOrganization(ctx, by, "gamma", "", x.helper, false))
	}},
	{"RegisterOrganization at once", "", "", platformOwned, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		owner := by.User
		if owner == "" {
			owner = x.member
		}
		return err2(a.RegisterOrganization(ctx, by, "gamma", "", owner, true))
	}},

	{"RenameOrganization", authcore.SettingsManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.RenameOrganization(ctx, by, "acme", "Other")
	}},
	{"RequireFactor", authcore.SettingsManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.RequireFactor(ctx, by, "acme", true)
	}},
	{"DeleteOrganization", authcore.SettingsManage, owners, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.DeleteOrganization(ctx, by, "acme")
	}},
	{"AllowanceOf", authcore.MembersView, everybody, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.AllowanceOf(ctx, by, "acme"))
	}},

	{"OrganizationEvents", authcore.AuditView, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.OrganizationEvents(ctx, by, "acme", authcore.EventQuery{Limit: 10}))
	}},
	{"Members", authcore.MembersView, everybody, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Members(ctx, by, "acme", authcore.MemberQuery{Limit: 10}))
	}},
	{"Member", authcore.MembersManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Member(ctx, by, "acme", x.member))
	}},
	{"SetMember", authcore.MembersManage, admins, platformAdds, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetMember(ctx, by, "acme", x.member, authcore.RoleAdmin)
	}},
	{"SetMember to an own role", authcore.MembersManage, managers, platformAdds, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetMember(ctx, by, "acme", x.helper, authcore.Role(x.role))
	}},
	{"SetMember to a role elsewhere", authcore.MembersManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		u, _ := a.FindUser(ctx, "acme-helper")
		return a.SetMember(ctx, by, "acme", u.ID, authcore.Role(x.role))
	}},
	{"SetMember to owner", authcore.MembersManage, owners, platformAdds, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetMember(ctx, by, "acme", x.member, authcore.RoleOwner)
	}},
	{"SetMember to what admins lack", authcore.MembersManage, owners, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetMember(ctx, by, "acme", x.member, authcore.Role(x.rich))
	}},
	{"SetMember of an owner", authcore.MembersManage, owners, platformAdds, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.SetMember(ctx, by, "acme", x.coOwner, authcore.RoleMember)
	}},
	{"RemoveMember", authcore.MembersManage, admins, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.RemoveMember(ctx, by, "acme", x.member)
	}},
	{"RemoveMember with no more", authcore.MembersManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.RemoveMember(ctx, by, "acme", x.helper)
	}},
	{"RemoveMember, an owner", authcore.MembersManage, owners, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.RemoveMember(ctx, by, "acme", x.coOwner)
	}},
	{"LeaveOrganization", authcore.MembersView, everybody + " unable", platformNot, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.LeaveOrganization(ctx, by, "acme")
	}},
	{"TransferOwnership", authcore.MembersManage, owners, platformNot, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.TransferOwnership(ctx, by, "acme", x.member)
	}},

	{"Roles", authcore.MembersView, everybody, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Roles(ctx, by, "acme"))
	}},
	{"Role", authcore.RolesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Role(ctx, by, "acme", authcore.Role(x.role)))
	}},
	{"CreateRole", authcore.RolesManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.CreateRole(ctx, by, "acme", authcore.RoleDefinition{Slug: "new", Capabilities: []authcore.Capability{authcore.RolesManage}})
	}},
	{"CreateRole beyond members", authcore.RolesManage, admins, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.CreateRole(ctx, by, "acme", authcore.RoleDefinition{Slug: "new", Capabilities: []authcore.Capability{authcore.MembersManage}})
	}},
	{"CreateRole beyond admins", authcore.RolesManage, owners, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.CreateRole(ctx, by, "acme", authcore.RoleDefinition{Slug: "new", Capabilities: []authcore.Capability{authcore.BillingManage}})
	}},
	{"ChangeRole", authcore.RolesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.ChangeRole(ctx, by, "acme", authcore.RoleDefinition{Slug: authcore.Role(x.role), Name: "Other"})
	}},
	{"ChangeRole to more", authcore.RolesManage, owners, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.ChangeRole(ctx, by, "acme", authcore.RoleDefinition{Slug: authcore.Role(x.role), Capabilities: []authcore.Capability{authcore.BillingManage}})
	}},
	{"ChangeRole to less", authcore.RolesManage, owners, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.ChangeRole(ctx, by, "acme", authcore.RoleDefinition{Slug: authcore.Role(x.rich)})
	}},
	{"DeleteRole", authcore.RolesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.DeleteRole(ctx, by, "acme", authcore.Role(x.role))
	}},

	{"InviteMember", authcore.MembersManage, admins, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err3(a.InviteMember(ctx, by, "acme", authcore.NewInvitation{Role: role}))
	}},
	{"InviteMember to an own role", authcore.MembersManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err3(a.InviteMember(ctx, by, "acme", authcore.NewInvitation{Role: authcore.Role(x.role)}))
	}},
	{"InviteMember as owner", authcore.MembersManage, owners, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err3(a.InviteMember(ctx, by, "acme", authcore.NewInvitation{Role: authcore.RoleOwner}))
	}},
	{"Invitations", authcore.MembersManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Invitations(ctx, by, "acme", "", 10))
	}},
	{"RevokeInvitation", authcore.MembersManage, admins, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.RevokeInvitation(ctx, by, "acme", x.invitation)
	}},

	{"Services", authcore.ServicesView, everybody, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Services(ctx, by, "acme", authcore.ServiceQuery{Limit: 10}))
	}},
	{"Service", authcore.ServicesView, everybody, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Service(ctx, by, "acme", x.service))
	}},
	{"CreateService", authcore.ServicesCreate, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err3(a.CreateService(ctx, by, "acme", authcore.ServiceAPI, authcore.ServiceSettings{Name: "New"}))
	}},
	{"UpdateService", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.UpdateService(ctx, by, "acme", x.service, authcore.ServiceSettings{Name: "Other"}))
	}},
	{"RotateServiceSecret", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.RotateServiceSecret(ctx, by, "acme", x.service, time.Hour))
	}},
	{"DeleteService", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.DeleteService(ctx, by, "acme", x.service)
	}},
	{"GrantService", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.GrantService(ctx, by, "acme", x.service, x.helper)
	}},
	{"GrantService to somebody elsewhere", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		all, err := a.Services(ctx, authcore.CommandLine(), "acme", authcore.ServiceQuery{Limit: 1})
		if err != nil {
			return err
		}
		return a.GrantService(ctx, by, "acme", all[0].ID, x.helper)
	}},
	{"WithdrawService", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.WithdrawService(ctx, by, "acme", x.service, x.member)
	}},
	{"Grantees", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Grantees(ctx, by, "acme", x.service, "", 10))
	}},
	{"CreateServiceKey", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err3(a.CreateServiceKey(ctx, by, "acme", x.service, authcore.NewServiceKey{Name: "x", Scopes: []authcore.ServiceScope{authcore.ScopeTokensRead}}))
	}},
	{"CreateServiceKey for users", authcore.ServicesManage, admins, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err3(a.CreateServiceKey(ctx, by, "acme", x.service, authcore.NewServiceKey{Name: "x", Scopes: []authcore.ServiceScope{authcore.ScopeUsersRead}}))
	}},
	{"ServiceKeys", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.ServiceKeys(ctx, by, "acme", x.service, "", 10))
	}},
	{"RevokeServiceKey", authcore.ServicesManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.RevokeServiceKey(ctx, by, "acme", x.service, x.key)
	}},

	{"EndUsers", authcore.EndUsersView, managers + " key", platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.EndUsers(ctx, by, "acme", authcore.EndUserQuery{Limit: 10}))
	}},
	{"EndUsers of a service", authcore.EndUsersView, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.EndUsers(ctx, by, "acme", authcore.EndUserQuery{Service: x.service, Limit: 10}))
	}},
	{"EndUser", authcore.EndUsersView, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.EndUser(ctx, by, "acme", x.endUser))
	}},
	{"EndUserSessions", authcore.EndUsersView, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.EndUserSessions(ctx, by, "acme", x.endUser))
	}},
	{"RevokeEndUserSessions", authcore.EndUsersManage, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.RevokeEndUserSessions(ctx, by, "acme", x.endUser, ""))
	}},
	{"RevokeEndUserSessions, one", authcore.EndUsersManage, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		u, _ := a.FindUser(ctx, "acme-customer")
		return err2(a.RevokeEndUserSessions(ctx, by, "acme", u.ID, x.session))
	}},
	{"BarEndUser", authcore.EndUsersManage, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.BarEndUser(ctx, by, "acme", x.endUser, "")
	}},
	{"UnbarEndUser", authcore.EndUsersManage, managers + " key", platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.UnbarEndUser(ctx, by, "acme", x.out)
	}},
	{"BarredUsers", authcore.EndUsersView, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.BarredUsers(ctx, by, "acme", "", 10))
	}},

	{"OrganizationEvents", authcore.AuditView, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.OrganizationEvents(ctx, by, "acme", authcore.EventQuery{Limit: 10}))
	}},
	{"Webhooks", authcore.WebhooksManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.Webhooks(ctx, by, "acme", "", 10))
	}},
	{"CreateWebhook", authcore.WebhooksManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err3(a.CreateWebhook(ctx, by, "acme", exampleHook))
	}},
	{"Webhook of its own", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Webhook(ctx, by, "acme", x.hook))
	}},
	{"UpdateWebhook", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.UpdateWebhook(ctx, by, "acme", x.hook, authcore.WebhookChange{Events: []string{"*"}}))
	}},
	{"RotateWebhookSecret", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.RotateWebhookSecret(ctx, by, "acme", x.hook))
	}},
	{"TestWebhook", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.TestWebhook(ctx, by, "acme", x.hook))
	}},
	{"Deliveries", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.Deliveries(ctx, by, "acme", x.hook, "", 10))
	}},
	{"ResendDelivery", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.ResendDelivery(ctx, by, "acme", x.delivery)
	}},
	{"DeleteWebhook", authcore.WebhooksManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.DeleteWebhook(ctx, by, "acme", x.hook)
	}},

	{"SetOrganizationProvider", authcore.IntegrationsManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return a.SetOrganizationProvider(ctx, by, "acme", "google", "client", "secret")
	}},
	{"OrganizationProviders", authcore.IntegrationsManage, managers, platformToo, false, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, _ things) error {
		return err2(a.OrganizationProviders(ctx, by, "acme"))
	}},
	{"OrganizationProvider", authcore.IntegrationsManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return err2(a.OrganizationProvider(ctx, by, "acme", x.provider))
	}},
	{"DeleteOrganizationProvider", authcore.IntegrationsManage, managers, platformToo, true, func(a *authcore.Accounts, ctx context.Context, by authcore.Actor, x things) error {
		return a.DeleteOrganizationProvider(ctx, by, "acme", x.provider)
	}},
}

// watch tells whether a database file was written to since it was asked before.
type watch struct {
	conn *sql.Conn
	was  int
}

func newWatch(t *testing.T, file string) *watch {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	check(t, err)
	conn, err := db.Conn(t.Context())
	check(t, err)
	t.Cleanup(func() { conn.Close(); db.Close() })
	w := &watch{conn: conn}
	w.changed(t)
	return w
}

func (w *watch) changed(t *testing.T) bool {
	t.Helper()
	now := 0
	check(t, w.conn.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&now))
	was := w.was
	w.was = now
	return was != now
}

// TestWhoMayDoWhat walks through everything that can be done in an organization, by
// everybody who could try, with the ids of the organization and those of another one.
// Whoever may not changes nothing; whoever has no place in the organization is not told
// that it is there; ids of another organization are not found, whoever tries.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	file := copyOf(t, w.file)
	shared, done := openAt(t, file)
	t.Cleanup(done)
	guard := newWatch(t, file)
	calls, allowed := 0, 0
	for _, d := range deeds {
		actors := map[string]authcore.Actor{"able": w.able[d.need]}
		for name, actor := range w.actors {
			actors[name] = actor
		}
		if d.need == "" {
			delete(actors, "able")
		}
		for name, by := range actors {
			may := slices.Contains(strings.Fields(d.may), name) || (name == "platform" || name == "command") && d.platform != platformNot
			calls++
			if may {
				allowed++
				a, done := openAt(t, copyOf(t, w.file))
				if err := d.do(a, t.Context(), by, w.own); err != nil {
					t.Errorf("%s by %s: %v", d.name, name, err)
				}
				done()
			} else {
				err := d.do(shared, t.Context(), by, w.own)
				refused(t, d, name, err)
				if guard.changed(t) {
					t.Errorf("%s by %s: something was changed", d.name, name)
				}
			}
			if !d.foreign || d.platform == platformAdds && (name == "platform" || name == "command") {
				continue
			}
			calls++
			err := d.do(shared, t.Context(), by, w.other)
			var e *authcore.Error
			if err == nil || may && (!errors.As(err, &e) || e.Kind != authcore.NotFound) {
				t.Errorf("%s with ids of another organization, by %s: %v", d.name, name, err)
			}
			if guard.changed(t) {
				t.Errorf("%s with ids of another organization, by %s: something was changed", d.name, name)
			}
		}
	}
	t.Logf("%d calls of %d methods and cases by %d actors: %d allowed, %d refused", calls, len(deeds), len(w.actors)+1, allowed, calls-allowed)
}

// refused checks that somebody is refused, and told no more than is theirs to know.
func refused(t *testing.T, d deed, name string, err error) {
	t.Helper()
	var e *authcore.Error
	if !errors.As(err, &e) || e.Kind == authcore.Internal {
		t.Errorf("%s by %s: %v", d.name, name, err)
		return
	}
	switch name {
	case "stranger", "anonymous", "foreign owner", "foreign key":
		want := authcore.ErrOrganizationNotFound
		if d.platform == platformOwned {
			want = authcore.ErrNotOwner
		}
		if !errors.Is(err, want) {
			t.Errorf("%s by %s: %v", d.name, name, err)
		}
	}
}

// In an organization that is suspended nobody does anything but leave, whatever the role,
// but those who run the installation.
func TestSuspendedOrganization(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	file := copyOf(t, w.file)
	a, done := openAt(t, file)
	t.Cleanup(done)
	check(t, a.StepOrganization(t.Context(), authcore.CommandLine(), "acme", "suspend", "why"))
	guard := newWatch(t, file)
	for _, d := range deeds {
		if d.platform == platformOwned || d.name == "LeaveOrganization" {
			continue
		}
		if err := d.do(a, t.Context(), w.actors["owner"], w.own); !errors.Is(err, authcore.ErrOrganizationState) {
			t.Errorf("%s: %v", d.name, err)
		}
		if err := d.do(a, t.Context(), w.actors["key"], w.own); !errors.Is(err, authcore.ErrOrganizationNotFound) {
			t.Errorf("%s by an API key: %v", d.name, err)
		}
		if guard.changed(t) {
			t.Errorf("%s: something was changed", d.name)
		}
	}
	check(t, a.LeaveOrganization(t.Context(), w.actors["owner"], "acme"))
}

// Every service that names an organization is among the deeds.
func TestDeedsAreAll(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	check(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		check(t, err)
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !f.Name.IsExported() || f.Name.Name == "Standing" {
				continue
			}
			if named(f.Type.Params, "slug") && named(f.Type.Params, "actor") && !slices.ContainsFunc(deeds, func(d deed) bool { return strings.HasPrefix(d.name, f.Name.Name) }) {
				t.Errorf("%s: %s is not tried by everybody", file, f.Name.Name)
			}
		}
	}
}

// named tells whether one of some parameters has a name.
func named(all *ast.FieldList, name string) bool {
	return slices.ContainsFunc(all.List, func(f *ast.Field) bool {
		return slices.ContainsFunc(f.Names, func(id *ast.Ident) bool { return id.Name == name })
	})
}
