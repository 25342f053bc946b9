package authcore_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/totp"
)

// forTheUser are the services that refuse whoever acts as a user.
var forTheUser = map[string]func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error{
	"SetPassword": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetPassword(ctx, by, by.User, "x")
	},
	"UpdateProfile": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.UpdateProfile(ctx, by, "x", "x@example.com")
	},
	"ChangeProfile": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.ChangeProfile(ctx, by, "x", "x@example.com", ""))
	},
	"AskVerification": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.AskVerification(ctx, by, "")
	},
	"VerifyEmail": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.VerifyEmail(ctx, by, "x")
	},
	"CancelEmail": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.CancelEmail(ctx, by)
	},
	"SetEmail": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetEmail(ctx, by, by.User, "x@example.com")
	},
	"EnrolTOTP": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.EnrolTOTP(ctx, by, nil, totp.NewSecret(), "", "", true))
	},
	"CheckFactor": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.CheckFactor(ctx, by, "1")
	},
	"ProveFactor": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.ProveFactor(ctx, by, nil, "1")
	},
	"RenewRecoveryCodes": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RenewRecoveryCodes(ctx, by))
	},
	"RemoveFactors": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RemoveFactors(ctx, by, by.User)
	},
	"AddPasskey": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.AddPasskey(ctx, by, authcore.Passkey{}, "x", authcore.Code{})
	},
	"RenamePasskey": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RenamePasskey(ctx, by, "x", "x")
	},
	"RemovePasskey": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RemovePasskey(ctx, by, "x")
	},
	"RemovePassword": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RemovePassword(ctx, by)
	},
	"ProveByPasskey": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.ProveByPasskey(ctx, by, nil, nil)
	},
	"Confirm": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.Confirm(ctx, by, "x")
	},
	"StepUp": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.StepUp(ctx, by, authcore.StepUp{})
	},
	"TrustDevice": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.TrustDevice(ctx, by))
	},
	"DistrustDevice": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.DistrustDevice(ctx, by, "x")
	},
	"Link": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.Link(ctx, by, authcore.Vouched{}, authcore.Code{})
	},
	"Unlink": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.Unlink(ctx, by, by.User, "x")
	},
	"ConfirmWith": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.ConfirmWith(ctx, by, authcore.Vouched{}, authcore.Code{})
	},
	"CreateAccessToken": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.CreateAccessToken(ctx, by, by.User, authcore.NewAccessToken{}))
	},
	"RevokeAccessToken": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RevokeAccessToken(ctx, by, authcore.NewSessionID())
	},
	"RevokeAccessTokens": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RevokeAccessTokens(ctx, by, by.User))
	},
	"Revoke": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.Revoke(ctx, by, authcore.NewSessionID())
	},
	"RevokeAll": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RevokeAll(ctx, by, by.User))
	},
	"DeleteUser": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.DeleteUser(ctx, by, by.User, 0))
	},
	"Export": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Export(ctx, by))
	},
	"Impersonate": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.Impersonate(ctx, by, "x", "x", "x"))
	},

	"TransferOwnership": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.TransferOwnership(ctx, by, "acme", "x")
	},
	"LeaveOrganization": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.LeaveOrganization(ctx, by, "acme")
	},
	"DeleteOrganization": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.DeleteOrganization(ctx, by, "acme")
	},
	"InviteMember": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.InviteMember(ctx, by, "acme", authcore.NewInvitation{}))
	},
	"AcceptInvitation": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.AcceptInvitation(ctx, by, "x"))
	},
	"DeclineInvitation": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.DeclineInvitation(ctx, by, "x")
	},
	"CreateService": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.CreateService(ctx, by, "acme", authcore.ServiceWeb, authcore.ServiceSettings{}))
	},
	"RotateServiceSecret": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RotateServiceSecret(ctx, by, "acme", "x", 0))
	},
	"CreateServiceKey": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.CreateServiceKey(ctx, by, "acme", "x", authcore.NewServiceKey{}))
	},
	"SetOrganizationProvider": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetOrganizationProvider(ctx, by, "acme", "x", "x", "x")
	},
	"CreateWebhook": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err3(a.CreateWebhook(ctx, by, "acme", authcore.NewWebhook{}))
	},
	"RotateWebhookSecret": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RotateWebhookSecret(ctx, by, "acme", "x"))
	},
	"RegisterOrganization": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RegisterOrganization(ctx, by, "acme", "", by.User, false))
	},

	"MayRunPlatform": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.MayRunPlatform(ctx, by)
	},
	"Users": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Users(ctx, by, authcore.UserQuery{}))
	},
	"LiveSessions": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.LiveSessions(ctx, by, authcore.SessionQuery{}))
	},
	"RevokeSession": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.RevokeSession(ctx, by, authcore.NewSessionID())
	},
	"RevokeEverything": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.RevokeEverything(ctx, by))
	},
	"Events": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Events(ctx, by, authcore.EventQuery{}))
	},
	"CreateUser": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.CreateUser(ctx, by, authcore.NewUser{}))
	},
	"ImportUser": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.ImportUser(ctx, by, authcore.NewUser{}, "", authcore.Active))
	},
	"Consent": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.Consent(ctx, by, authcore.Service{}, nil)
	},
	"WithdrawConsent": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.WithdrawConsent(ctx, by, "x")
	},
	"CommandLineToken": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		_, _, err := a.CommandLineToken(ctx, by, authcore.DeviceGrant{}, time.Hour)
		return err
	},
	"ChangeGroups": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.ChangeGroups(ctx, by, by.User, nil, nil)
	},
	"SetStatus": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetStatus(ctx, by, by.User, authcore.Disabled)
	},
	"SetOwner": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetOwner(ctx, by, by.User, true)
	},
	"AdmitUser": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.AdmitUser(ctx, by, by.User, false)
	},
	"SetFactorRequired": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetFactorRequired(ctx, by, by.User, true)
	},
	"Invite": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Invite(ctx, by, time.Hour))
	},
	"InviteByMail": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.InviteByMail(ctx, by, "x@example.com", "", time.Hour)
	},
	"RecoverUser": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		_, _, err := a.RecoverUser(ctx, by, by.User, "")
		return err
	},
	"Statistics": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Statistics(ctx, by))
	},
	"OrganizationBySlug": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.OrganizationBySlug(ctx, by, "acme"))
	},
	"StepOrganization": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.StepOrganization(ctx, by, "acme", "suspend", "x")
	},
	"AddMember": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.AddMember(ctx, by, "acme", by.User, authcore.RoleMember)
	},
	"SetServiceTrust": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetServiceTrust(ctx, by, "acme", "x", true)
	},
	"Tiers": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return err2(a.Tiers(ctx, by))
	},
	"SetTier": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetTier(ctx, by, authcore.TierLimits{})
	},
	"SetOrganizationTier": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetOrganizationTier(ctx, by, "acme", authcore.DefaultTier)
	},
	"SetOverrides": func(a *authcore.Accounts, ctx context.Context, by authcore.Actor) error {
		return a.SetOverrides(ctx, by, "acme", authcore.Overrides{})
	},
}

// forActors are the others: sign-ins and links, which nobody who is signed in begins; reading;
// and what people do in organizations, where both are recorded.
var forActors = strings.Fields(`SignIn FinishSignIn LinkBySigningIn SignInWith ProviderFailed ClientFailed ServiceRefused AdmitProvider SignedOut AskMailSignIn SignInByMail SignInWithPasskey
	FinishWithPasskey FinishOnDevice FinishHandoff AskRecovery Recover RegisterUser Setup KeepUser Disown Denied
	UserByID Standing Organizations OrganizationEvents OrganizationProviders OrganizationProvider DeleteOrganizationProvider Webhook Deliveries ResendDelivery TestWebhook
	EndUsers EndUser EndUserSessions RevokeEndUserSessions BarEndUser UnbarEndUser BarredUsers Invitations RevokeInvitation Members Member SetMember RemoveMember
	RequireFactor RenameOrganization Roles Role CreateRole ChangeRole DeleteRole Services Service UpdateService DeleteService GrantService WithdrawService Grantees
	ServiceKeys RevokeServiceKey ServiceOf AllowanceOf UpdateWebhook DeleteWebhook Webhooks`)

// Whoever acts as a user is refused what is the user's alone before anything is looked at:
// these services have no database.
func TestActingIsRefused(t *testing.T) {
	t.Parallel()
	a := &authcore.Accounts{Now: time.Now, Invites: true}
	by := actorOf("ann")
	by.Act = "owner"
	for name, do := range forTheUser {
		t.Run(name, func(t *testing.T) {
			if err := do(a, t.Context(), by); !errors.Is(err, authcore.ErrImpersonating) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Every service that takes an actor is one or the other.
func TestActingIsThoughtOf(t *testing.T) {
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
			if !ok || f.Recv == nil || !f.Name.IsExported() || !named(f.Type.Params, "actor") || f.Name.Name == "Rotate" { // of keys, for the command line
				continue
			}
			if _, refused := forTheUser[f.Name.Name]; refused == slices.Contains(forActors, f.Name.Name) {
				t.Errorf("%s: whether somebody who acts as a user may %s is not said, or said twice", file, f.Name.Name)
			}
		}
	}
}

// Who may act as whom.
func TestImpersonate(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a, done := openAt(t, w.file)
	t.Cleanup(done)
	owner := w.actors["platform"]
	user := w.own.member
	second := must(a.CreateUser(t.Context(), authcore.CommandLine(), authcore.NewUser{Username: "second", Owner: true}))(t).ID
	off := must(a.CreateUser(t.Context(), authcore.CommandLine(), authcore.NewUser{Username: "off"}))(t).ID
	check(t, a.SetStatus(t.Context(), authcore.CommandLine(), off, authcore.Disabled))
	ordinary, tokened := owner, owner
	ordinary.Ordinary, tokened.Kind = true, authcore.ActorToken
	for name, tt := range map[string]struct {
		by     authcore.Actor
		user   authcore.UserID
		reason string
		want   error
	}{
		"a member":                    {w.actors["member"], w.own.helper, "why", authcore.ErrNotOwner},
		"an organization's owner":     {w.actors["owner"], user, "why", authcore.ErrNotOwner},
		"an owner without the factor": {ordinary, user, "why", authcore.ErrNotOwner},
		"an access token":             {tokened, user, "why", authcore.ErrActInSession},
		"the command line":            {authcore.CommandLine(), user, "why", authcore.ErrActInSession},
		"oneself":                     {owner, owner.User, "why", authcore.ErrActAsSelf},
		"no reason":                   {owner, user, " ", authcore.ErrActReason},
		"another owner":               {owner, second, "why", authcore.ErrActAsOwner},
		"a disabled user":             {owner, off, "why", authcore.ErrActAsDisabled},
		"nobody":                      {owner, authcore.NewUserID(), "why", authcore.ErrUserNotFound},
		"a session that is none":      {owner, user, "why", authcore.ErrNoSession},
	} {
		if _, _, err := a.Impersonate(t.Context(), tt.by, tt.user, tt.reason, "auth.example.com"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// What an event says of who acts is under the chain, and events from before it verify.
func TestChainHasActing(t *testing.T) {
	t.Parallel()
	chain := authcore.NewChain(townKey)
	e := authcore.NewEvent(time.UnixMicro(1), actorOf("ann"), authcore.MemberSet, "", authcore.Success, "")
	leaves := map[string]bool{chain.Leaf(&e, "salt"): true}
	in := e.In("x")
	leaves[chain.Leaf(&in, "salt")] = true
	e.Actor.Act = "x"
	leaves[chain.Leaf(&e, "salt")] = true
	in.Actor.Act = "x"
	leaves[chain.Leaf(&in, "salt")] = true
	if len(leaves) != 4 {
		t.Errorf("%d leaves of four events", len(leaves))
	}
}
