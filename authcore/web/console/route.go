package console

import (
	"context"
	"slices"
	"strings"
)

// page is what is served at a path, and what its forms do.
type page struct {
	pattern  string // of the path: {slug} is an organization, {id} anything
	platform bool   // for those who run the installation
	show     func(ctx context.Context, v *Visit) (Page, error)
	deeds    map[string]deed
	// proven are the deeds that ask for a proof that is fresh.
	proven []string
}

// deeds of one page.
type deeds = map[string]deed

// pages are all that there are.
var pages = []page{
	{pattern: "org", show: showOrganizations, deeds: deeds{"register": registerOrganization}},
	{pattern: "org/{slug}", show: showOrganization, deeds: deeds{"leave": leaveOrganization}},
	{pattern: "org/{slug}/settings", show: showSettings, deeds: deeds{"rename": renameOrganization, "factor": requireFactor, "transfer": transferOwnership, "delete": deleteOrganization}, proven: []string{"transfer", "delete"}},
	{pattern: "org/{slug}/members", show: showMembers, deeds: deeds{"role": setRole, "remove": removeMember, "invite": inviteMember, "revoke": revokeInvitation}},
	{pattern: "org/{slug}/roles", show: showRoles, deeds: deeds{"create": createRole}},
	{pattern: "org/{slug}/roles/{id}", show: showRole, deeds: deeds{"change": changeRole, "delete": deleteRole}},
	{pattern: "org/{slug}/services", show: showServices, deeds: deeds{"create": createService}},
	{pattern: "org/{slug}/services/{id}", show: showService, deeds: deeds{"change": changeService, "advanced": changeAdvanced, "rotate": rotateSecret, "delete": deleteService,
		"grant": grantService, "withdraw": withdrawService, "key": createKey, "unkey": revokeKey, "trust": trustService}},
	{pattern: "org/{slug}/users", show: showEndUsers, deeds: deeds{"unbar": unbarEndUser}},
	{pattern: "org/{slug}/users/{id}", show: showEndUser, deeds: deeds{"end": endServiceSessions, "bar": barEndUser}},
	{pattern: "org/{slug}/providers", show: showClients, deeds: deeds{"set": setClient, "delete": deleteClient}},
	{pattern: "org/{slug}/webhooks", show: showWebhooks, deeds: deeds{"create": createWebhook}},
	{pattern: "org/{slug}/webhooks/{id}", show: showWebhook, deeds: webhookDeeds},
	{pattern: "org/{slug}/audit", show: showOrganizationAudit},
	{pattern: "invitation", show: showInvitation, deeds: deeds{"accept": acceptInvitation, "decline": declineInvitation}},

	{pattern: "admin", platform: true, show: showPlatform},
	{pattern: "admin/organizations", platform: true, show: showAllOrganizations, deeds: deeds{"create": createOrganization}},
	{pattern: "admin/organizations/{slug}", platform: true, show: showOneOrganization, proven: []string{"delete"},
		deeds: deeds{"approve": step, "reject": step, "suspend": step, "activate": step, "tier": setTier, "limits": setLimits, "delete": deleteAnyOrganization}},
	{pattern: "admin/users", platform: true, show: showUsers},
	{pattern: "admin/users/{id}", platform: true, show: showUser, proven: []string{"owner", "delete", "act"},
		deeds: deeds{"enable": setStatus, "disable": setStatus, "owner": setOwner, "factor": resetFactor, "require": requireOfUser, "admit": admitUser, "out": signOutUser, "end": endSession, "delete": deleteUser, "act": actAs}},
	{pattern: "admin/sessions", platform: true, show: showSessions, deeds: deeds{"end": endSession}},
	{pattern: "admin/audit", platform: true, show: showAudit},
	{pattern: "admin/webhooks", platform: true, show: showWebhooks, deeds: deeds{"create": createWebhook}},
	{pattern: "admin/webhooks/{id}", platform: true, show: showWebhook, deeds: webhookDeeds},
	{pattern: "admin/tiers", platform: true, show: showTiers, deeds: deeds{"set": setTierLimits}},
}

var webhookDeeds = deeds{"change": changeWebhook, "rotate": rotateWebhook, "test": testWebhook, "resend": resendDelivery, "delete": deleteWebhook}

// Lists are the fields of which a form can have several.
var Lists = []string{"events", "capability", "scope"}

// find gives the page of a path, and what its pattern names.
func find(path string) (p *page, slug, id string) {
	parts := strings.Split(path, "/")
	for i := range pages {
		if slug, id, ok := match(strings.Split(pages[i].pattern, "/"), parts); ok {
			return &pages[i], slug, id
		}
	}
	return nil, "", ""
}

// match holds the parts of a path against those of a pattern.
func match(want, parts []string) (slug, id string, ok bool) {
	if len(want) != len(parts) {
		return "", "", false
	}
	for i, w := range want {
		switch {
		case w == "{slug}" && parts[i] != "":
			slug = parts[i]
		case w == "{id}" && parts[i] != "":
			id = parts[i]
		case w != parts[i]:
			return "", "", false
		}
	}
	return slug, id, true
}

// Known tells whether there is a page at a path, and whether it is for those who run the
// installation.
func Known(path string) (known, platform bool) {
	p, _, _ := find(path)
	return p != nil, p != nil && p.platform
}

// NeedsProof tells whether a form of a page asks for a proof that is fresh.
func NeedsProof(path, do string) bool {
	p, _, _ := find(path)
	return p != nil && slices.Contains(p.proven, do)
}
