package console

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

func showEndUsers(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Users")
	p.Lead = "Who has signed in to the organization's services."
	order, sort := v.sorted(sortBy, authcore.EndUserOrders, headings{"Username": byName})
	q := authcore.EndUserQuery{Search: v.Query.Get("q"), Service: authcore.ServiceID(v.Query.Get("service")), Order: order, After: v.after(), Limit: PerPage + 1}
	all, err := v.Accounts.EndUsers(ctx, v.Actor, v.slug, q)
	if err != nil {
		return p, err
	}
	empty := "Nobody has signed in to a service yet."
	if q.Search != "" || q.Service != "" {
		empty = "Nobody like that."
	}
	t := paged(v, &Table{Search: &Search{Label: "Username or email begins with", Value: q.Search, Kept: v.kept()}, Columns: []string{"Username", "Name", "Email", "First", "Last"}, Sort: sort, Empty: empty}, all, q.Place,
		func(u authcore.EndUser) Row {
			row := Row{Cells: []Cell{{Text: u.Username, URL: Base + "org/" + v.slug + "/users/" + string(u.User)}, {Text: u.Name}, {Text: u.Email}, {Time: u.FirstAt}, {Time: u.LastAt}}}
			if u.Barred {
				row.Cells[1] = Cell{Text: "barred", Tag: "bad"}
			}
			return row
		})
	if v.can(authcore.ServicesView) {
		services, err := v.Accounts.Services(ctx, v.Actor, v.slug, authcore.ServiceQuery{Limit: 200})
		if err != nil {
			return p, err
		}
		f := Field{Name: "service", Label: "Service", Kind: Choice, Options: []Option{{"", "all", q.Service == ""}}}
		for _, s := range services {
			f.Options = append(f.Options, Option{string(s.ID), s.Name, s.ID == q.Service})
		}
		t.Search.Fields = []Field{f}
	}
	p.Parts = append(p.Parts, Part{ID: "users", Title: "Users", Table: t})
	return p, addBarred(ctx, v, &p)
}

// addBarred adds who is kept out.
func addBarred(ctx context.Context, v *Visit, p *Page) error {
	all, err := v.Accounts.BarredUsers(ctx, v.Actor, v.slug, "", 200)
	if err != nil || len(all) == 0 {
		return err
	}
	t := &Table{Columns: []string{"Username", "Why", "Since"}}
	for _, b := range all {
		row := Row{Cells: []Cell{{Text: b.Username}, {Text: b.Reason}, {Time: b.CreatedAt}}}
		if v.changes(authcore.EndUsersManage) {
			row.Forms = []Form{{Do: "unbar", Button: "Let in again", Of: b.Username, Hidden: []Field{{Name: "user", Value: string(b.User)}}}}
		}
		t.Rows = append(t.Rows, row)
	}
	p.Parts = append(p.Parts, Part{ID: "barred", Title: "Kept out", About: "From the services of this organization, and nothing else.", Table: t})
	return nil
}

func unbarEndUser(ctx context.Context, v *Visit) (string, error) {
	return "unbarred", v.Accounts.UnbarEndUser(ctx, v.Actor, v.slug, authcore.UserID(v.text("user")))
}

func showEndUser(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("User")
	p.Above = &Link{Text: "Users", URL: Base + "org/" + v.slug + "/users"}
	user := authcore.UserID(v.id)
	sessions, err := v.Accounts.EndUserSessions(ctx, v.Actor, v.slug, user)
	if err != nil {
		return p, err
	}
	u, _, err := v.Accounts.Store.UserByID(ctx, user) // who is an end user here, as the sessions have shown
	if err != nil {
		return p, err
	}
	p.Title = u.Username
	p.Parts = append(p.Parts, Part{ID: "user", Title: "At a glance", Facts: []Fact{{"Name", Cell{Text: u.Name}}, {"Email", Cell{Text: u.Email}}}})
	manage := v.changes(authcore.EndUsersManage)
	t := &Table{Columns: []string{"Device", "Address", "Since", "Ends"}, Empty: "None at present."}
	for _, s := range sessions {
		row := Row{Cells: []Cell{{Text: authcore.AgentName(s.Agent)}, {Text: s.Address, Code: true}, {Time: s.CreatedAt}, {Time: s.ExpiresAt}}}
		if manage {
			row.Forms = []Form{{Do: "end", Button: "End", Of: "the session", Hidden: []Field{{Name: "session", Value: string(s.ID)}}}}
		}
		t.Rows = append(t.Rows, row)
	}
	part := Part{ID: "sessions", Title: "Sessions", About: "At the organization's services.", Table: t}
	if manage && len(sessions) > 0 {
		part.Forms = []Form{{Do: "end", Button: "End them all", Hidden: []Field{{Name: "session", Value: ""}}}}
	}
	p.Parts = append(p.Parts, part)
	if manage {
		p.Parts = append(p.Parts, Part{ID: "bar", Title: "Keep out", About: "From this organization's services only. The account stays.", Forms: []Form{{Do: "bar", Button: "Keep the user out", Folded: "Keep out…", Danger: true,
			Fields: []Field{{Name: "reason", Label: "Why", Hint: "For those who manage the organization."}}}}})
	}
	return p, nil
}

func endServiceSessions(ctx context.Context, v *Visit) (string, error) {
	_, err := v.Accounts.RevokeEndUserSessions(ctx, v.Actor, v.slug, authcore.UserID(v.id), authcore.SessionID(v.text("session")))
	return "signed-out", err
}

func barEndUser(ctx context.Context, v *Visit) (string, error) {
	return Base + "org/" + v.slug + "/users?done=barred", v.Accounts.BarEndUser(ctx, v.Actor, v.slug, authcore.UserID(v.id), v.text("reason"))
}

func showClients(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Providers")
	p.Lead = "Clients of your own at sign-in providers, for the sign-ins to your services. Where there is none, the platform's is used."
	all, err := v.Accounts.OrganizationProviders(ctx, v.Actor, v.slug)
	if err != nil {
		return p, err
	}
	t := &Table{Columns: []string{"Provider", "Client id", "Changed"}, Empty: "None. The platform's clients are used."}
	for _, c := range all {
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: c.Name}, {Text: c.ClientID, Code: true}, {Time: c.UpdatedAt}},
			More: []Fact{{"Redirect address", Cell{Text: connect.Redirect(v.Origin, c.Name), Code: true}}, {"After a sign-out", Cell{Text: v.Origin + Base + "logout", Code: true}},
				{"Back-channel logout", Cell{Text: connect.BackChannelLogout(v.Origin, c.Name, v.slug), Code: true}}},
			Forms: []Form{{Do: "delete", Button: "Remove", Of: c.Name, Folded: "Remove…", Danger: true, Hidden: []Field{{Name: "provider", Value: c.Name}}, Hint: "The platform's client is used then. Who signed in by yours has to sign in again."}}})
	}
	form := Form{Do: "set", Button: "Save", Hint: "Register " + connect.Redirect(v.Origin, "NAME") + " at the provider, with its name in place of NAME, as redirect address (callback URL). The secret is kept encrypted, and never shown again.", Fields: []Field{
		{Name: "provider", Label: "Provider", Hint: "Its name in the configuration: google, github, …"}, {Name: "client_id", Label: "Client id"}, {Name: "client_secret", Label: "Client secret", Complete: "off"}}}
	p.Parts = append(p.Parts, Part{ID: "providers", Title: "Your clients", Table: t, Forms: []Form{form}})
	return p, nil
}

func setClient(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.SetOrganizationProvider(ctx, v.Actor, v.slug, v.text("provider"), v.text("client_id"), authcore.Secret(v.text("client_secret")))
}

func deleteClient(ctx context.Context, v *Visit) (string, error) {
	return "deleted", v.Accounts.DeleteOrganizationProvider(ctx, v.Actor, v.slug, v.text("provider"))
}
