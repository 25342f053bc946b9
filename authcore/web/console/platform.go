package console

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// platformPages are those for who runs the installation.
var platformPages = []Link{{Text: "Overview", URL: "admin"}, {Text: "Organizations", URL: "admin/organizations"}, {Text: "Users", URL: "admin/users"}, {Text: "Sessions", URL: "admin/sessions"},
	{Text: "Audit log", URL: "admin/audit"}, {Text: "Webhooks", URL: "admin/webhooks"}, {Text: "Tiers", URL: "admin/tiers"}, {Text: "Who may pass?", URL: "admin/explain"}}

func (v *Visit) onPlatform(title string) Page {
	p := Page{Title: title, Above: &Link{Text: "This site", URL: Base + "admin"}}
	for _, one := range platformPages {
		one.Here = v.Path == one.URL || one.URL != "admin" && strings.HasPrefix(v.Path, one.URL+"/")
		one.URL = Base + one.URL
		p.Nav = append(p.Nav, one)
	}
	return p
}

// atAGlance is how many rows of a list the overview shows.
const atAGlance = 5

func showPlatform(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Overview")
	p.Above = &Link{Text: "Your account", URL: Base + "account"}
	waiting, err := v.Accounts.Organizations(ctx, v.Actor, authcore.OrganizationQuery{Status: authcore.OrganizationPending, Limit: atAGlance})
	if err != nil {
		return p, err
	}
	t := &Table{Columns: []string{"Organization", "Name", "Since"}, Empty: "No organization waits for your approval."}
	for _, o := range waiting.Organizations {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: o.Slug, URL: Base + "admin/organizations/" + o.Slug}, {Text: o.Name}, {Time: o.CreatedAt}}})
	}
	if waiting.Next != "" {
		t.Next = Base + "admin/organizations?status=pending"
	}
	p.Parts = append(p.Parts, Part{ID: "waiting", Title: "Waiting for approval", Table: t})
	return p, addStatistics(ctx, v, &p)
}

// addStatistics adds what has happened lately.
func addStatistics(ctx context.Context, v *Visit, p *Page) error {
	s, err := v.Accounts.Statistics(ctx, v.Actor)
	if err != nil {
		return err
	}
	p.Parts = append(p.Parts, Part{ID: "signins", Title: "Sign-ins", About: "Of the last two weeks.", Plot: signInPlot(s.SignIns, v.Now)},
		Part{ID: "counts", Title: "How many", Facts: []Fact{{"Users", Cell{Text: strconv.Itoa(s.Users), URL: Base + "admin/users"}}, {"Owners of this site", Cell{Text: strconv.Itoa(s.Owners), URL: Base + "admin/users?owners=yes"}},
			{"Sessions", Cell{Text: strconv.Itoa(s.Sessions), URL: Base + "admin/sessions"}}, {"Organizations", Cell{Text: strconv.Itoa(s.Organizations), URL: Base + "admin/organizations"}}}})
	t := &Table{Columns: []string{"Organization", "Members", "Users of its services"}, Empty: "There is none yet."}
	for _, o := range s.Top {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: o.Slug, URL: Base + "admin/organizations/" + o.Slug}, {Text: strconv.Itoa(o.Members)}, {Text: strconv.Itoa(o.EndUsers)}}})
	}
	p.Parts = append(p.Parts, Part{ID: "top", Title: "Largest organizations", Table: t})
	health := []Fact{{"Database", Cell{Text: "answers", Tag: "good"}}}
	if err := v.Ready(ctx); err != nil {
		health = []Fact{{"Database", Cell{Text: "does not answer", Tag: "bad"}}}
	}
	p.Parts = append(p.Parts, Part{ID: "health", Title: "Health", Facts: append(health, Fact{"Time", Cell{Time: v.Now}}), About: "The metrics say more, and so does the command caddy gate doctor."})
	return nil
}

func showAllOrganizations(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Organizations")
	order, sort := v.sorted(sortBy, authcore.OrganizationOrders, headings{"Organization": byName, "Status": byStatus, "Since": byTime})
	q := authcore.OrganizationQuery{Prefix: strings.ToLower(v.Query.Get("q")), Status: authcore.OrganizationStatus(v.Query.Get("status")), Order: order, After: v.after(), Limit: PerPage}
	found, err := v.Accounts.Organizations(ctx, v.Actor, q)
	if err != nil {
		return p, err
	}
	t := &Table{Search: &Search{Label: "Short name begins with", Value: q.Prefix, Kept: v.kept(), Fields: []Field{choice("status", "Status", string(q.Status), "", "pending", "active", "suspended", "rejected")}},
		Columns: []string{"Organization", "Name", "Status", "Tier", "Since"}, Sort: sort, Empty: "None like that."}
	t.goesOn(v, found.Next)
	for _, o := range found.Organizations {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: o.Slug, URL: Base + "admin/organizations/" + o.Slug}, {Text: o.Name}, status(string(o.Status)), {Text: string(o.Tier)}, {Time: o.CreatedAt}}})
	}
	p.Parts = append(p.Parts, Part{ID: "organizations", Title: "All", Table: t}, Part{ID: "new", Title: "A new one", About: "Active at once.", Forms: []Form{{Do: "create", Button: "Make it", Fields: []Field{
		{Name: "name", Label: "Name"}, {Name: "slug", Label: "Short name", Hint: "2 to 40 lower-case letters, digits, - and _."}, {Name: "username", Label: "Username of its owner", Value: v.User.Username}}}}})
	return p, nil
}

// choice is a field with options that are their own text; the empty one is all.
func choice(name, label, chosen string, options ...string) Field {
	f := Field{Name: name, Label: label, Kind: Choice}
	for _, o := range options {
		text := o
		if o == "" {
			text = "all"
		}
		f.Options = append(f.Options, Option{o, text, o == chosen})
	}
	return f
}

func createOrganization(ctx context.Context, v *Visit) (string, error) {
	u, err := v.Accounts.FindUser(ctx, v.text("username"))
	if known := new(authcore.Error); errors.As(err, &known) && known.Kind == authcore.NotFound {
		e := *known
		e.Field = "username"
		err = &e
	}
	if err != nil {
		return "", err
	}
	_, err = v.Accounts.RegisterOrganization(ctx, v.Actor, v.text("slug"), v.text("name"), u.ID, true)
	return "created", err
}

// steps are what can be done to an organization as it is.
var steps = map[authcore.OrganizationStatus][]Form{
	authcore.OrganizationPending:   {{Do: "approve", Button: "Approve"}, {Do: "reject", Button: "Reject", Folded: "Reject…", Danger: true, Fields: []Field{{Name: "reason", Label: "Why", Hint: "The organization is told."}}}},
	authcore.OrganizationActive:    {{Do: "suspend", Button: "Suspend", Folded: "Suspend…", Danger: true, Fields: []Field{{Name: "reason", Label: "Why", Hint: "The organization is told."}}, Hint: "Its services let nobody in from the next request on."}},
	authcore.OrganizationSuspended: {{Do: "activate", Button: "Activate"}},
	authcore.OrganizationRejected:  {{Do: "approve", Button: "Approve after all"}},
}

func showOneOrganization(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Organization")
	o := v.stands.Organization
	if o.ID == "" {
		return p, authcore.ErrOrganizationNotFound
	}
	p.Title, p.Above = o.Name, &Link{Text: "Organizations", URL: Base + "admin/organizations"}
	tag := status(string(o.Status))
	p.Tag = &tag
	a, err := v.Accounts.AllowanceOf(ctx, v.Actor, v.slug)
	if err != nil {
		return p, err
	}
	facts := []Fact{{"Its own pages", Cell{Text: o.Slug, URL: Base + "org/" + o.Slug}}, {"Since", Cell{Time: o.CreatedAt}}, {"Members", Cell{Text: of(a.UsedMembers, a.Members)}}, {"Services", Cell{Text: of(a.UsedServices, a.Services)}}}
	if o.Reason != "" {
		facts = append(facts, Fact{"Reason", Cell{Text: o.Reason}})
	}
	forms := make([]Form, len(steps[o.Status])) // a copy: what was typed is put into it
	for i, f := range steps[o.Status] {
		f.Fields = append([]Field(nil), f.Fields...)
		forms[i] = f
	}
	p.Parts = append(p.Parts, Part{ID: "organization", Title: "At a glance", Facts: facts, Forms: forms})
	tiers, err := v.Accounts.Tiers(ctx, v.Actor)
	if err != nil {
		return p, err
	}
	tier := Field{Name: "tier", Label: "Tier", Kind: Choice}
	for _, t := range tiers {
		tier.Options = append(tier.Options, Option{string(t.Tier), string(t.Tier), t.Tier == o.Tier})
	}
	over := a.Overrides
	features := ""
	if over.Features != nil {
		features = strings.Join(*over.Features, " ")
	}
	p.Parts = append(p.Parts, Part{ID: "tier", Title: "Tier", Forms: []Form{{Do: "tier", Button: "Save", Fields: []Field{tier}}, {Do: "limits", Button: "Save", Folded: "Limits of its own…", Hint: "Empty is what the tier says; 0 is no limit.", Fields: []Field{
		{Name: "members", Label: "Members", Kind: Number, Optional: true, Value: number(over.Members)}, {Name: "services", Label: "Services", Kind: Number, Optional: true, Value: number(over.Services)},
		{Name: "features", Label: "Features", Optional: true, Value: features, Hint: "With spaces between them."}}}}},
		Part{ID: "delete", Title: "Delete", About: "With all that is the organization's. Its members stay users.", Forms: []Form{{Do: "delete", Button: "Delete the organization", Folded: "Delete…", Danger: true, Confirm: o.Slug, Hint: "This cannot be undone."}}})
	return p, nil
}

func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func step(ctx context.Context, v *Visit) (string, error) {
	do := v.Form.Get("do")
	done := map[string]string{"approve": "approved", "reject": "rejected", "suspend": "suspended", "activate": "activated"}[do]
	return done, v.Accounts.StepOrganization(ctx, v.Actor, v.slug, do, v.text("reason"))
}

func setTier(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.SetOrganizationTier(ctx, v.Actor, v.slug, authcore.Tier(v.text("tier")))
}

// limit reads a limit that may be left out.
func (v *Visit) limit(field string) (*int, error) {
	text := v.text(field)
	if text == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, &authcore.Error{Kind: authcore.Invalid, Code: "limit_invalid", Field: field, Message: "A limit is a whole number, or 0 for none."}
	}
	return &n, nil
}

func setLimits(ctx context.Context, v *Visit) (string, error) {
	members, err := v.limit("members")
	if err != nil {
		return "", err
	}
	services, err := v.limit("services")
	if err != nil {
		return "", err
	}
	over := authcore.Overrides{Members: members, Services: services}
	if features := strings.Fields(v.text("features")); len(features) > 0 {
		over.Features = &features
	}
	return "saved", v.Accounts.SetOverrides(ctx, v.Actor, v.slug, over)
}

func deleteAnyOrganization(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmed(v.slug); err != nil {
		return "", err
	}
	return Base + "admin/organizations?done=deleted", v.Accounts.DeleteOrganization(ctx, v.Actor, v.slug)
}

func showTiers(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Tiers")
	p.Lead = "What an organization may have."
	all, err := v.Accounts.Tiers(ctx, v.Actor)
	if err != nil {
		return p, err
	}
	t := &Table{Columns: []string{"Tier", "Members", "Services", "Features"}}
	for _, one := range all {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: string(one.Tier)}, {Text: bound(one.Members)}, {Text: bound(one.Services)}, {Text: strings.Join(one.Features, " ")}},
			Forms: []Form{{Do: "set", Button: "Save", Of: string(one.Tier), Folded: "Change…", Hidden: []Field{{Name: "tier", Value: string(one.Tier)}}, Hint: "0 is no limit.", Fields: []Field{
				{Name: "members", Label: "Members", Kind: Number, Value: strconv.Itoa(one.Members)}, {Name: "services", Label: "Services", Kind: Number, Value: strconv.Itoa(one.Services)},
				{Name: "features", Label: "Features", Optional: true, Value: strings.Join(one.Features, " "), Hint: "With spaces between them."}}}}})
	}
	p.Parts = append(p.Parts, Part{ID: "tiers", Title: "Tiers", Table: t})
	return p, nil
}

func bound(n int) string {
	if n == 0 {
		return "no limit"
	}
	return strconv.Itoa(n)
}

func setTierLimits(ctx context.Context, v *Visit) (string, error) {
	members, err := v.limit("members")
	if err != nil {
		return "", err
	}
	services, err := v.limit("services")
	if err != nil {
		return "", err
	}
	t := authcore.TierLimits{Tier: authcore.Tier(v.text("tier")), Limits: authcore.Limits{Features: strings.Fields(v.text("features"))}}
	if members != nil {
		t.Members = *members
	}
	if services != nil {
		t.Services = *services
	}
	return "saved", v.Accounts.SetTier(ctx, v.Actor, t)
}
