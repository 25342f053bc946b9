package console

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// organizationPages are those of an organization in their order, with what somebody must be
// able to do there.
var organizationPages = []struct {
	path, text string
	need       authcore.Capability
}{
	{"", "Overview", ""},
	{"/members", "Members", authcore.MembersView},
	{"/roles", "Roles", authcore.MembersView},
	{"/services", "Services", authcore.ServicesView},
	{"/users", "Users", authcore.EndUsersView},
	{"/providers", "Providers", authcore.IntegrationsManage},
	{"/webhooks", "Webhooks", authcore.WebhooksManage},
	{"/audit", "Audit log", authcore.AuditView},
	{"/settings", "Settings", authcore.SettingsManage},
}

// inOrganization is a page of the organization that the visit is about.
func (v *Visit) inOrganization(title string) Page {
	p := Page{Title: title}
	base := Base + "org/" + v.slug
	for _, one := range organizationPages {
		if one.need == "" || v.changes(one.need) {
			to := base + one.path
			p.Nav = append(p.Nav, Link{one.text, to, to == Base+v.Path || one.path != "" && strings.HasPrefix(Base+v.Path, to+"/")})
		}
	}
	p.Above = &Link{Text: v.stands.Organization.Name, URL: base}
	if v.stands.Organization.Status != authcore.OrganizationActive {
		tag := status(string(v.stands.Organization.Status))
		p.Tag = &tag
	}
	return p
}

// can tells whether who asks may do something here.
func (v *Visit) can(need authcore.Capability) bool {
	return v.stands.Platform || slices.Contains(v.stands.Capabilities, need)
}

// changes is can for what changes something, which nobody but a platform owner does in an
// organization that is not active.
func (v *Visit) changes(need authcore.Capability) bool { return v.stands.May(need) == nil }

// showOrganizations lists the organizations of who asks, and lets a new one be registered.
func showOrganizations(ctx context.Context, v *Visit) (Page, error) {
	p := Page{Title: "Organizations", Lead: "Those in which you have a place.", Above: &Link{Text: "Your account", URL: Base + "account"}}
	t := &Table{Columns: []string{"Organization", "Status", "Your role"}, Empty: "None yet. Somebody can invite you, or you register one."}
	places, err := v.Accounts.Store.Memberships(ctx, v.Actor.User)
	if err != nil {
		return p, err
	}
	for _, m := range places {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: m.Slug, URL: Base + "org/" + m.Slug}, status(string(m.Status)), {Text: string(m.Role)}}})
	}
	p.Parts = append(p.Parts, Part{ID: "mine", Title: "Yours", Table: t})
	if v.Accounts.OrganizationsOpen || v.Accounts.MayRunPlatform(ctx, v.Actor) == nil {
		p.Parts = append(p.Parts, Part{ID: "new", Title: "A new one", About: "Whoever runs this site looks at it before it begins.", Forms: []Form{{Do: "register", Button: "Register it", Fields: []Field{
			{Name: "name", Label: "Name", Complete: "organization"},
			{Name: "slug", Label: "Short name", Hint: "2 to 40 lower-case letters, digits, - and _. It stands in addresses and never changes."},
		}}}})
	}
	return p, nil
}

func registerOrganization(ctx context.Context, v *Visit) (string, error) {
	o, err := v.Accounts.RegisterOrganization(ctx, v.Actor, v.text("slug"), v.text("name"), v.Actor.User, false)
	if err != nil {
		return "", err
	}
	return Base + "org/" + o.Slug + "?done=registered", nil
}

// statusWords say what the status of an organization means to its members.
var statusWords = map[authcore.OrganizationStatus]string{
	authcore.OrganizationPending:   "It waits until somebody who runs this site has approved it. Until then nothing can be changed.",
	authcore.OrganizationRejected:  "It was turned down.",
	authcore.OrganizationSuspended: "It is suspended: its services let nobody in, and nothing can be changed.",
}

func showOrganization(ctx context.Context, v *Visit) (Page, error) {
	o := v.stands.Organization
	p := v.inOrganization(o.Name)
	p.Above, p.Lead = &Link{Text: "Organizations", URL: Base + "org"}, statusWords[o.Status]
	facts := []Fact{{"Short name", Cell{Text: o.Slug, Code: true}}, {"Since", Cell{Time: o.CreatedAt}}}
	if o.Reason != "" && o.Status != authcore.OrganizationActive {
		facts = append(facts, Fact{"Reason", Cell{Text: o.Reason}})
	}
	if v.stands.Role != "" {
		facts = append(facts, Fact{"Your role", Cell{Text: string(v.stands.Role)}})
	}
	facts = append(facts, Fact{"Tier", Cell{Text: string(o.Tier)}})
	if v.changes(authcore.MembersView) {
		a, err := v.Accounts.AllowanceOf(ctx, v.Actor, v.slug)
		if err != nil {
			return p, err
		}
		facts = append(facts, Fact{"Members", Cell{Text: of(a.UsedMembers, a.Members)}}, Fact{"Services", Cell{Text: of(a.UsedServices, a.Services)}})
		if len(a.Features) > 0 {
			facts = append(facts, Fact{"Features", Cell{Text: strings.Join(a.Features, ", ")}})
		}
	}
	p.Parts = append(p.Parts, Part{ID: "overview", Title: "At a glance", Facts: facts})
	if v.stands.Role != "" {
		p.Parts = append(p.Parts, Part{ID: "leave", Title: "Leave", Forms: []Form{{Do: "leave", Button: "Leave the organization", Danger: true, Folded: "Leave…",
			Hint: "You need an invitation to come back.", Confirm: o.Slug}}})
	}
	return p, nil
}

// of says how much of how much there is.
func of(used, most int) string {
	if most == 0 {
		return strconv.Itoa(used)
	}
	return strconv.Itoa(used) + " of " + strconv.Itoa(most)
}

func leaveOrganization(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmed(v.slug); err != nil {
		return "", err
	}
	return Base + "org?done=left", v.Accounts.LeaveOrganization(ctx, v.Actor, v.slug)
}

func showSettings(ctx context.Context, v *Visit) (Page, error) {
	o := v.stands.Organization
	p := v.inOrganization("Settings")
	if err := v.stands.May(authcore.SettingsManage); err != nil {
		return p, err
	}
	p.Parts = append(p.Parts,
		Part{ID: "name", Title: "Name", About: "What people see.", Forms: []Form{{Do: "rename", Button: "Save", Fields: []Field{{Name: "name", Label: "Name", Value: o.Name, Complete: "organization"}}}}},
		Part{ID: "factor", Title: "Second factor", About: "Whether nothing opens to a member without one.", Forms: []Form{factorForm(o.FactorRequired)}})
	if v.stands.Role == authcore.RoleOwner {
		p.Parts = append(p.Parts, Part{ID: "owner", Title: "Ownership", About: "Another member takes your place; you become an admin.", Forms: []Form{{Do: "transfer", Button: "Hand it over", Folded: "Hand it over…", Danger: true,
			Fields: []Field{{Name: "user", Label: "Username of the member"}}, Confirm: o.Slug}}})
	}
	if v.stands.Role == authcore.RoleOwner || v.stands.Platform {
		p.Parts = append(p.Parts, Part{ID: "delete", Title: "Delete", About: "With services, keys, webhooks and all that is the organization's. Its members stay users.", Forms: []Form{{Do: "delete", Button: "Delete the organization", Folded: "Delete…", Danger: true,
			Hint: "This cannot be undone.", Confirm: o.Slug}}})
	}
	return p, nil
}

func factorForm(required bool) Form {
	if required {
		return Form{Do: "factor", Button: "Stop requiring it", Hidden: []Field{{Name: "required", Value: "no"}}, Hint: "It is required of every member now."}
	}
	return Form{Do: "factor", Button: "Require a second factor", Hidden: []Field{{Name: "required", Value: "yes"}}, Hint: "Members without one are asked to set it up with their next click."}
}

func renameOrganization(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.RenameOrganization(ctx, v.Actor, v.slug, v.text("name"))
}

func requireFactor(ctx context.Context, v *Visit) (string, error) {
	return "required", v.Accounts.RequireFactor(ctx, v.Actor, v.slug, v.text("required") == "yes")
}

func transferOwnership(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmed(v.slug); err != nil {
		return "", err
	}
	u, err := v.member(ctx, "user")
	if err == nil {
		err = v.Accounts.TransferOwnership(ctx, v.Actor, v.slug, u)
	}
	return Base + "org/" + v.slug + "?done=transferred", err
}

func deleteOrganization(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmed(v.slug); err != nil {
		return "", err
	}
	return Base + "org?done=deleted", v.Accounts.DeleteOrganization(ctx, v.Actor, v.slug)
}

// member finds the member whose username was typed, for who may see members: nobody learns
// here who else has an account.
func (v *Visit) member(ctx context.Context, field string) (authcore.UserID, error) {
	key := authcore.UsernameKey(v.text(field))
	found, err := v.Accounts.Members(ctx, v.Actor, v.slug, authcore.MemberQuery{Prefix: key, Limit: 1})
	if err != nil {
		return "", err
	}
	if key == "" || len(found) == 0 || authcore.UsernameKey(found[0].Username) != key {
		e := *authcore.ErrMemberNotFound
		e.Field = field
		return "", &e
	}
	return found[0].User, nil
}
