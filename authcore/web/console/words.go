package console

import "github.com/gatehouse-auth/gatehouse/authcore"

// statuses are the colours of what things can be.
var statuses = map[string]string{"active": "good", "pending": "wait", "suspended": "bad", "rejected": "bad", "disabled": "bad",
	"success": "good", "failure": "wait", "refused": "bad"}

// status is a cell with what something is.
func status(s string) Cell {
	tag, ok := statuses[s]
	if !ok {
		tag = "plain"
	}
	return Cell{Text: s, Tag: tag}
}

// capabilityNames say what a capability lets somebody do.
var capabilityNames = map[authcore.Capability]string{
	authcore.SettingsManage:     "Change the settings of the organization",
	authcore.MembersView:        "See members and invitations",
	authcore.MembersManage:      "Invite, change and remove members",
	authcore.RolesManage:        "Make and change roles",
	authcore.ServicesView:       "See services",
	authcore.ServicesCreate:     "Make services",
	authcore.ServicesManage:     "Change and delete services, their secrets and keys",
	authcore.EndUsersView:       "See who uses the services",
	authcore.EndUsersManage:     "Sign users of the services out, and bar them",
	authcore.WebhooksManage:     "Manage webhooks, which are told what happens",
	authcore.IntegrationsManage: "Manage sign-in providers of the organization's own",
	authcore.AuditView:          "See the audit log",
	authcore.RiskView:           "See alarms",
	authcore.RiskManage:         "Answer alarms",
	authcore.BillingManage:      "Manage billing",
}

// Notices are what a page says after a form, by the name that the address carries.
var Notices = map[string]string{
	"registered":      "The organization is registered. It begins when somebody who runs this site has approved it.",
	"created":         "The organization is there.",
	"saved":           "Saved.",
	"created-service": "The service is there. An app of this type has no secret: it could not keep one.",
	"role":            "The member has the role now.",
	"removed":         "The member was removed.",
	"left":            "You have left the organization.",
	"transferred":     "The organization has another owner now. You are an admin of it.",
	"invited":         "The invitation is on its way.",
	"revoked":         "That is not good any more.",
	"deleted":         "Deleted.",
	"joined":          "Welcome. You are a member now.",
	"declined":        "You have declined the invitation.",
	"granted":         "Access was given.",
	"withdrawn":       "Access was taken away.",
	"signed-out":      "The sessions have ended.",
	"barred":          "The user cannot use the organization's services any more.",
	"unbarred":        "The user can use the organization's services again.",
	"approved":        "The organization is active.",
	"rejected":        "The organization was turned down.",
	"suspended":       "The organization is suspended.",
	"activated":       "The organization is active again.",
	"enabled":         "The user can sign in again.",
	"disabled":        "The user is disabled, and signed out everywhere.",
	"factor":          "App and recovery codes are gone, and the user was told. The next sign-in that needs a second factor has one set up.",
	"required":        "Saved. It counts from the next request on.",
	"owner":           "Saved.",
	"sent":            "It is sent again.",
	"tested":          "A test is on its way. Load the page again to see how it ended.",
}
