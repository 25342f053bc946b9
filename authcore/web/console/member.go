package console

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func showMembers(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Members")
	order, sort := v.sorted(sortBy, authcore.MemberOrders, headings{"Username": byName, "Since": byTime})
	q := authcore.MemberQuery{Prefix: v.Query.Get("q"), Order: order, After: v.after(), Limit: PerPage + 1}
	members, err := v.Accounts.Members(ctx, v.Actor, v.slug, q)
	if err != nil {
		return p, err
	}
	roles, err := v.Accounts.Roles(ctx, v.Actor, v.slug)
	if err != nil {
		return p, err
	}
	manage := v.changes(authcore.MembersManage)
	t := paged(v, &Table{Search: &Search{Label: "Username begins with", Value: q.Prefix, Kept: v.kept()}, Columns: []string{"Username", "Name", "Role", "Since"}, Sort: sort, Empty: "Nobody like that."}, members, q.Place,
		func(m authcore.Member) Row {
			row := Row{Cells: []Cell{{Text: m.Username}, {Text: m.Name}, {Text: roleName(roles, m.Role)}, {Time: m.CreatedAt}}}
			if m.Status != authcore.Active {
				row.Cells[0].Tag = "bad"
			}
			if manage && m.User != v.Actor.User {
				user := []Field{{Name: "user", Value: string(m.User)}}
				row.Forms = []Form{
					{Do: "role", Button: "Give the role", Of: m.Username, Folded: "Role…", Hidden: user, Fields: []Field{{Name: "role", Label: "Role", Kind: Choice, Options: roleOptions(roles, m.Role)}}},
					{Do: "remove", Button: "Remove", Of: m.Username, Folded: "Remove…", Danger: true, Hidden: user, Hint: "They lose access to the organization at once."}}
			}
			return row
		})
	p.Parts = append(p.Parts, Part{ID: "members", Title: "Members", Table: t})
	if manage {
		if err := addInvitations(ctx, v, &p, roles); err != nil {
			return p, err
		}
	}
	return p, nil
}

func roleName(roles []authcore.RoleDefinition, role authcore.Role) string {
	for _, r := range roles {
		if r.Slug == role && r.Name != "" {
			return r.Name
		}
	}
	return string(role)
}

func roleOptions(roles []authcore.RoleDefinition, chosen authcore.Role) []Option {
	var all []Option
	for _, r := range roles {
		all = append(all, Option{string(r.Slug), roleName(roles, r.Slug), r.Slug == chosen})
	}
	return all
}

// addInvitations adds those that wait, and the form for another one.
func addInvitations(ctx context.Context, v *Visit, p *Page, roles []authcore.RoleDefinition) error {
	order, sort := v.sorted("invitations", authcore.InvitationOrders, headings{"Good until": {authcore.Oldest, authcore.Newest}}) // all are good for as long
	waiting, err := v.Accounts.Invitations(ctx, v.Actor, v.slug, authcore.ListQuery{Order: order, Limit: authcore.MaxInvitations})
	if err != nil {
		return err
	}
	t := &Table{Caption: "Invitations that wait", Columns: []string{"For", "Role", "Good until"}, Sort: sort, Empty: "None waits."}
	for _, i := range waiting {
		who := i.Email
		if who == "" {
			who = "whoever has the link"
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: who}, {Text: roleName(roles, i.Role)}, {Time: i.ExpiresAt}},
			Forms: []Form{{Do: "revoke", Button: "Revoke", Of: "the invitation for " + who, Hidden: []Field{{Name: "id", Value: string(i.ID)}}}}})
	}
	hint := "Nobody is written to: you get a link to hand on."
	fields := []Field{{Name: "role", Label: "Role", Kind: Choice, Options: roleOptions(roles, authcore.RoleMember)}}
	if v.Accounts.Mail != nil {
		hint = "The invitation is sent there. Leave it empty to get a link to hand on."
		fields = append([]Field{{Name: "email", Label: "Email", Kind: Email, Optional: true, Hint: hint, Complete: "off"}}, fields...)
		hint = ""
	}
	p.Parts = append(p.Parts, Part{ID: "invitations", Title: "Invitations", About: "Good for seven days, and once.", Secret: v.secret, Table: t,
		Forms: []Form{{Do: "invite", Button: "Invite", Fields: fields, Hint: hint}}})
	return nil
}

func setRole(ctx context.Context, v *Visit) (string, error) {
	return "role", v.Accounts.SetMember(ctx, v.Actor, v.slug, authcore.UserID(v.text("user")), authcore.Role(v.text("role")))
}

func removeMember(ctx context.Context, v *Visit) (string, error) {
	return "removed", v.Accounts.RemoveMember(ctx, v.Actor, v.slug, authcore.UserID(v.text("user")))
}

func inviteMember(ctx context.Context, v *Visit) (string, error) {
	link, i, err := v.Accounts.InviteMember(ctx, v.Actor, v.slug, authcore.NewInvitation{Email: v.text("email"), Role: authcore.Role(v.text("role")), Origin: v.Origin})
	if err == nil && link != "" {
		v.secret = &Secret{"Link to hand on", link.Reveal(), "It is shown this once, and good until " + i.ExpiresAt.UTC().Format("2 January 2006") + " for whoever opens it first."}
	}
	return "invited", err
}

func revokeInvitation(ctx context.Context, v *Visit) (string, error) {
	return "revoked", v.Accounts.RevokeInvitation(ctx, v.Actor, v.slug, authcore.InvitationID(v.text("id")))
}

// showInvitation is where the link of an invitation leads, for somebody who is signed in.
func showInvitation(ctx context.Context, v *Visit) (Page, error) {
	token := authcore.Secret(v.Query.Get("token"))
	if v.Form != nil {
		token = authcore.Secret(v.Form.Get("token"))
	}
	offer, err := v.Accounts.InvitationBy(ctx, token)
	if err != nil {
		return Page{}, err
	}
	p := Page{Title: "Join " + offer.Name, Lead: "You are invited as " + offer.RoleName + "."}
	if offer.Email != "" {
		p.Lead += " The invitation is for " + offer.Email + "."
	}
	hidden := []Field{{Name: "token", Value: token.Reveal()}}
	p.Parts = []Part{{ID: "offer", Title: "Your answer", About: "You are signed in as " + v.User.Username + ".", Forms: []Form{
		{Do: "accept", Button: "Accept", Hidden: hidden}, {Do: "decline", Button: "Decline", Hidden: hidden, Folded: "Decline…", Hint: "The link stops working."}}}}
	return p, nil
}

func acceptInvitation(ctx context.Context, v *Visit) (string, error) {
	offer, err := v.Accounts.AcceptInvitation(ctx, v.Actor, authcore.Secret(v.Form.Get("token")))
	return Base + "org/" + offer.Slug + "?done=joined", err
}

func declineInvitation(ctx context.Context, v *Visit) (string, error) {
	return Base + "org?done=declined", v.Accounts.DeclineInvitation(ctx, v.Actor, authcore.Secret(v.Form.Get("token")))
}

func showRoles(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Roles")
	p.Lead = "What members may do. Policies name roles as well: role:" + v.slug + "/admin."
	roles, err := v.Accounts.Roles(ctx, v.Actor, v.slug)
	if err != nil {
		return p, err
	}
	t := &Table{Columns: []string{"Role", "Short name", "May"}}
	for _, r := range roles {
		name := Cell{Text: roleName(roles, r.Slug)}
		if !r.BuiltIn {
			name.URL = Base + "org/" + v.slug + "/roles/" + string(r.Slug)
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{name, {Text: string(r.Slug), Code: true}, {Text: mayWords(r)}}})
	}
	p.Parts = append(p.Parts, Part{ID: "roles", Title: "Roles", Table: t})
	if v.changes(authcore.RolesManage) {
		p.Parts = append(p.Parts, Part{ID: "new", Title: "A role of your own", Forms: []Form{{Do: "create", Button: "Make the role", Fields: append([]Field{
			{Name: "name", Label: "Name"}, {Name: "slug", Label: "Short name", Hint: "It stands in policies and never changes."}}, capabilityField(v, nil))}}})
	}
	return p, nil
}

// mayWords sum up what a role may do.
func mayWords(r authcore.RoleDefinition) string {
	switch len(r.Capabilities) {
	case 0:
		return "nothing but be a member"
	case len(authcore.Capabilities):
		return "everything"
	case len(authcore.Capabilities) - 1:
		return "everything but manage billing and owners"
	}
	var words []string
	for _, c := range r.Capabilities {
		words = append(words, lower(capabilityNames[c]))
	}
	return strings.Join(words, "; ")
}

func lower(s string) string { return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):] }

// capabilityField lets those be chosen that who asks has.
func capabilityField(v *Visit, chosen []authcore.Capability) Field {
	f := Field{Name: "capability", Label: "What they may do", Kind: Checks, Optional: true}
	for _, c := range authcore.Capabilities {
		if v.can(c) || slices.Contains(chosen, c) {
			f.Options = append(f.Options, Option{string(c), capabilityNames[c], slices.Contains(chosen, c)})
		}
	}
	return f
}

func (v *Visit) role(slug authcore.Role) authcore.RoleDefinition {
	r := authcore.RoleDefinition{Slug: slug, Name: v.text("name")}
	for _, c := range v.Form["capability"] {
		r.Capabilities = append(r.Capabilities, authcore.Capability(c))
	}
	return r
}

func createRole(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.CreateRole(ctx, v.Actor, v.slug, v.role(authcore.Role(v.text("slug"))))
}

func changeRole(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.ChangeRole(ctx, v.Actor, v.slug, v.role(authcore.Role(v.id)))
}

func deleteRole(ctx context.Context, v *Visit) (string, error) {
	return Base + "org/" + v.slug + "/roles?done=deleted", v.Accounts.DeleteRole(ctx, v.Actor, v.slug, authcore.Role(v.id))
}

func showRole(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Role")
	roles, err := v.Accounts.Roles(ctx, v.Actor, v.slug)
	if err != nil {
		return p, err
	}
	for _, r := range roles {
		if r.Slug != authcore.Role(v.id) || r.BuiltIn {
			continue
		}
		p.Title, p.Above = roleName(roles, r.Slug), &Link{Text: "Roles", URL: Base + "org/" + v.slug + "/roles"}
		if !v.changes(authcore.RolesManage) {
			p.Lead = "May " + mayWords(r) + "."
			return p, nil
		}
		p.Parts = append(p.Parts,
			Part{ID: "role", Title: "What it may do", Forms: []Form{{Do: "change", Button: "Save", Fields: []Field{{Name: "name", Label: "Name", Value: r.Name}, capabilityField(v, r.Capabilities)}}}},
			Part{ID: "delete", Title: "Delete", About: "Only a role that nobody has.", Forms: []Form{{Do: "delete", Button: "Delete the role", Folded: "Delete…", Danger: true}}})
		return p, nil
	}
	return p, authcore.ErrRoleNotFound
}
