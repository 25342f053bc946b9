package authcore

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Action names what happened, as "noun.verb".
type Action string

// The catalogue of actions.
const (
	UserLogin            Action = "user.login"
	LoginAlarm           Action = "login.alarm" // one address tries many accounts
	UserLogout           Action = "user.logout"
	UserConfirm          Action = "user.confirm" // a signed-in user proved it again
	UserCreate           Action = "user.create"
	InvitationCreate     Action = "invitation.create" // to register, or to an organization
	UserUpdate           Action = "user.update"
	UserDisable          Action = "user.disable"
	UserEnable           Action = "user.enable"
	UserDelete           Action = "user.delete"
	UserImpersonate      Action = "user.impersonate" // a platform owner acts as the user from now on
	UserExport           Action = "user.export"      // what is kept of a user, to that user
	UserGroups           Action = "user.groups"
	UserOwner            Action = "user.owner"
	UserAdmit            Action = "user.admit" // from organizations only to the installation, or back
	PasswordChange       Action = "password.change"
	EmailVerify          Action = "email.verify"
	PasswordRecover      Action = "password.recover" // a link to choose a new one was asked for
	MailAsk              Action = "mail.ask"         // a link and a code to sign in with were asked for
	SessionCreate        Action = "session.create"
	SessionRevoke        Action = "session.revoke"
	TokenCreate          Action = "token.create" // an access token
	TokenRevoke          Action = "token.revoke"
	KeyCreate            Action = "key.create"   // a signing key
	FactorSet            Action = "factor.set"   // a second factor
	FactorCodes          Action = "factor.codes" // new recovery codes
	FactorRemove         Action = "factor.remove"
	PasskeyAdd           Action = "passkey.add"
	PasskeyRename        Action = "passkey.rename"
	PasskeyRemove        Action = "passkey.remove"
	PasswordRemove       Action = "password.remove"
	FactorRequire        Action = "factor.require" // of a user
	DeviceAdd            Action = "device.add"     // a browser that is not asked for the second factor
	DeviceRemove         Action = "device.remove"
	FactorAlarm          Action = "factor.alarm"  // somebody guesses codes
	IdentityLink         Action = "identity.link" // an account at a provider
	IdentityUnlink       Action = "identity.unlink"
	IdentityExpel        Action = "identity.expel"  // the provider vouches for somebody no more
	AccessDenied         Action = "access.denied"   // a policy refused a request
	AccessObserved       Action = "access.observed" // a policy that observes would have
	MailLost             Action = "mail.lost"       // a message that could not be sent
	OrganizationCreate   Action = "organization.create"
	OrganizationApprove  Action = "organization.approve"
	OrganizationReject   Action = "organization.reject"
	OrganizationSuspend  Action = "organization.suspend"
	OrganizationActivate Action = "organization.activate"
	OrganizationTier     Action = "organization.tier"
	OrganizationDelete   Action = "organization.delete"
	OrganizationUpdate   Action = "organization.update" // its name
	OrganizationLimits   Action = "organization.limits" // its own, in place of its tier's
	MemberSet            Action = "member.set"          // added, or with another role
	MemberRemove         Action = "member.remove"
	MemberLeave          Action = "member.leave"
	OwnershipTransfer    Action = "organization.transfer" // to another member
	TierSet              Action = "tier.set"              // what a tier allows
	RoleCreate           Action = "role.create"
	RoleChange           Action = "role.change"
	RoleDelete           Action = "role.delete"
	InvitationAccept     Action = "invitation.accept"
	InvitationDecline    Action = "invitation.decline"
	InvitationRevoke     Action = "invitation.revoke"
	ServiceCreate        Action = "service.create"
	ServiceUpdate        Action = "service.update"
	ServiceSecret        Action = "service.secret" // another one
	ServiceTrust         Action = "service.trust"  // as the platform's own, or no more
	ServiceDelete        Action = "service.delete"
	ServiceGrant         Action = "service.grant" // a user may use it
	ServiceWithdraw      Action = "service.withdraw"
	ServiceLogin         Action = "service.login"  // a user signed in to it
	ServiceReplay        Action = "service.replay" // a code or a token was used twice: the session there ended
	ServiceUntold        Action = "service.untold" // of a sign-out, for it did not answer
	ConsentGrant         Action = "consent.grant"  // a user lets a service know or do something
	ConsentWithdraw      Action = "consent.withdraw"
	APIKeyCreate         Action = "api_key.create"
	APIKeyRevoke         Action = "api_key.revoke"
	EndUserBar           Action = "end_user.bar" // from an organization's services
	EndUserUnbar         Action = "end_user.unbar"
	EndUserRevoke        Action = "end_user.revoke" // sessions at an organization's services
	ProviderSet          Action = "provider.set"    // an organization's own client at a provider
	ProviderDelete       Action = "provider.delete"
	SetupOpen            Action = "setup.open"
	SetupClose           Action = "setup.close"
	WebhookCreate        Action = "webhook.create"
	WebhookUpdate        Action = "webhook.update"
	WebhookRotate        Action = "webhook.rotate" // a new secret
	WebhookDelete        Action = "webhook.delete"
	WebhookDisable       Action = "webhook.disable" // it failed for too long, or is gone
	AuditDelete          Action = "audit.delete"    // old events, for their age
	AuditAlarm           Action = "audit.alarm"     // the log was changed by somebody else
	AuditLost            Action = "audit.lost"      // events that the database does not take
)

// Outcome tells how it ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure" // tried and not achieved, e.g. a wrong password
	Refused Outcome = "refused" // stopped by a limit or a rule
)

// Event is one audit record.
type Event struct {
	ID      string // UUIDv7: a replay cannot write it twice
	Time    time.Time
	Actor   Actor
	Action  Action
	Target  string // what it was done to, as "kind:id"; may be empty
	Outcome Outcome
	Details string // short text for people: the reason, never a secret
	// Organization is the one that the event is about; empty where it is about none.
	Organization OrganizationID
}

// In gives the event as one that is about an organization.
func (e Event) In(o OrganizationID) Event {
	e.Organization = o
	return e
}

// NewEvent makes an event that happened now.
func NewEvent(now time.Time, actor Actor, action Action, target string, outcome Outcome, details string) Event {
	return Event{ID: newID(), Time: now, Actor: actor, Action: action, Target: target,
		Outcome: outcome, Details: clean(details, 512)}
}

// TargetUser is the target text for a user.
func TargetUser(id UserID) string {
	if id == "" {
		return ""
	}
	return "user:" + string(id)
}

// TargetSession is the target text for a session.
func TargetSession(id SessionID) string { return "session:" + string(id) }

// TargetToken is the target text for an access token.
func TargetToken(id SessionID) string { return "token:" + string(id) }

// clean cuts text to max bytes at a character's border and replaces control
// characters, so that foreign text can neither grow a row nor forge a line.
func clean(s string, max int) string {
	if len(s) > max {
		s = s[:max]
		for len(s) > 0 && !utf8.ValidString(s) && len(s) > max-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !hasControl(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if hasControl(string(r)) {
			return '\uFFFD'
		}
		return r
	}, s)
}
