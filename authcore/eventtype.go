package authcore

import (
	"slices"
	"strings"
)

// Actions are all actions of the catalogue: what a webhook can be told of.
var Actions = []Action{
	UserLogin, LoginAlarm, UserLogout, UserConfirm, UserCreate, InvitationCreate, UserUpdate, UserDisable, UserEnable, UserDelete, UserImpersonate, UserExport,
	UserGroups, UserOwner, UserAdmit, PasswordChange, EmailVerify, PasswordRecover, MailAsk, SessionCreate, SessionRevoke, TokenCreate, TokenRevoke,
	KeyCreate, FactorSet, FactorCodes, FactorRemove, PasskeyAdd, PasskeyRename, PasskeyRemove, PasswordRemove, FactorRequire, DeviceAdd,
	DeviceRemove, FactorAlarm, IdentityLink, IdentityUnlink, IdentityExpel, AccessDenied, AccessObserved, MailLost, OrganizationCreate,
	OrganizationApprove, OrganizationReject, OrganizationSuspend, OrganizationActivate, OrganizationTier, OrganizationDelete,
	OrganizationUpdate, OrganizationLimits, MemberSet, MemberRemove, MemberLeave, OwnershipTransfer, TierSet, RoleCreate, RoleChange,
	RoleDelete, InvitationAccept, InvitationDecline, InvitationRevoke, ServiceCreate, ServiceUpdate, ServiceSecret, ServiceTrust,
	ServiceDelete, ServiceGrant, ServiceWithdraw, ServiceLogin, ServiceReplay, ServiceUntold, ConsentGrant, ConsentWithdraw, APIKeyCreate, APIKeyRevoke, EndUserBar, EndUserUnbar, EndUserRevoke, ProviderSet,
	ProviderDelete, SetupOpen, SetupClose, WebhookCreate, WebhookUpdate, WebhookRotate, WebhookDelete, WebhookDisable, AuditDelete,
	AuditAlarm, AuditLost,
}

// EventTypes choose events by their actions: an action such as "user.login", all of one
// noun such as "user.*", or "*" for all.
type EventTypes []string

// maxEventTypes is the most that are kept, in bytes with a space between them.
const maxEventTypes = 1024

// ErrEventTypes says that events were chosen that do not exist.
var ErrEventTypes = &Error{Kind: Invalid, Code: "event_type_unknown", Field: "events",
	Message: "Choose events by name, such as member.set or member.*, or * for all."}

// ParseEventTypes reads a choice, in any order; what is there twice is kept once. It
// returns ErrEventTypes where a word chooses nothing.
func ParseEventTypes(words []string) (EventTypes, error) {
	var types EventTypes
	for _, w := range words {
		if w = strings.TrimSpace(w); !chooses(w) {
			return nil, ErrEventTypes
		}
		types = append(types, w)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	if len(types) == 0 || len(types.String()) > maxEventTypes {
		return nil, ErrEventTypes
	}
	return types, nil
}

// chooses tells whether a word chooses any action of the catalogue.
func chooses(word string) bool {
	return slices.ContainsFunc(Actions, func(a Action) bool { return matches(word, a) })
}

func matches(word string, a Action) bool {
	noun, all := strings.CutSuffix(word, "*")
	if !all {
		return word == string(a)
	}
	return noun == "" || strings.HasSuffix(noun, ".") && strings.HasPrefix(string(a), noun)
}

// Want tells whether an action is chosen.
func (t EventTypes) Want(a Action) bool {
	return slices.ContainsFunc(t, func(word string) bool { return matches(word, a) })
}

// String is the form in which a choice is stored: the words with a space between.
func (t EventTypes) String() string { return strings.Join(t, " ") }
