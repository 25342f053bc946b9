package console

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func showUsers(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Users")
	order, sort := v.sorted(sortBy, authcore.UserOrders, headings{"Username": byName, "Since": byTime})
	q := authcore.UserQuery{Prefix: v.Query.Get("q"), Status: authcore.Status(v.Query.Get("status")), Owners: v.Query.Get("owners") != "", Order: order, After: v.after(), Limit: PerPage}
	found, err := v.Accounts.Users(ctx, v.Actor, q)
	if err != nil {
		return p, err
	}
	t := &Table{Search: &Search{Label: "Username or email begins with", Value: q.Prefix, Kept: v.kept(), Fields: []Field{choice("status", "Status", string(q.Status), "", "active", "disabled"),
		{Name: "owners", Label: "Owners of this site only", Kind: Check, Options: []Option{{"yes", "", q.Owners}}}}},
		Columns: []string{"Username", "Name", "Email", "Status", "Since"}, Sort: sort, Empty: "Nobody like that."}
	t.goesOn(v, found.Next)
	for _, u := range found.Users {
		state := status(string(u.Status))
		if u.Owner {
			state = Cell{Text: "owner", Tag: "good"}
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: u.Username, URL: Base + "admin/users/" + string(u.ID)}, {Text: u.Name}, {Text: u.Email}, state, {Time: u.CreatedAt}}})
	}
	p.Parts = append(p.Parts, Part{ID: "users", Title: "Users", Table: t})
	return p, nil
}

func showUser(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("User")
	u, err := v.Accounts.UserByID(ctx, v.Actor, authcore.UserID(v.id))
	if err != nil {
		return p, err
	}
	factors, err := v.Accounts.Factors(ctx, u.ID)
	if err != nil {
		return p, err
	}
	p.Title, p.Above = u.Username, &Link{Text: "Users", URL: Base + "admin/users"}
	tag := status(string(u.Status))
	p.Tag = &tag
	verified := " (not verified)"
	if u.EmailVerified {
		verified = ""
	}
	var places []string
	for _, m := range u.Memberships {
		places = append(places, m.Slug+" ("+string(m.Role)+")")
	}
	facts := []Fact{{"Name", Cell{Text: u.Name}}, {"Email", Cell{Text: u.Email + verified}}, {"Groups", Cell{Text: strings.Join(u.Groups, " ")}}, {"Organizations", Cell{Text: strings.Join(places, ", ")}},
		{"Second factor", Cell{Text: factorWords(factors)}}, {"Since", Cell{Time: u.CreatedAt}}, {"Audit log", Cell{Text: "what the user did", URL: Base + "admin/audit?actor=" + string(u.ID)}}}
	p.Parts = append(p.Parts, Part{ID: "user", Title: "At a glance", Facts: facts})
	if err := addUserSessions(ctx, v, &p, u.ID); err != nil {
		return p, err
	}
	if u.ID == v.Actor.User {
		p.Parts = append(p.Parts, Part{ID: "own", Title: "This is you", About: "Your own account is changed on its page.", Forms: []Form{{To: Base + "account", Button: "Your account"}}})
		return p, nil
	}
	p.Parts = append(p.Parts, Part{ID: "factor", Title: "Second factor", About: "Make sure that it is the user who asks. The user is told by mail.", Forms: userFactorForms(&u, factors)}, Part{ID: "account", Title: "Account", Forms: userForms(&u)})
	return p, nil
}

func factorWords(f authcore.Factors) string {
	var words []string
	if f.TOTP != nil {
		words = append(words, "an app")
	}
	if f.Passkeys > 0 {
		words = append(words, "passkeys")
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, " and ")
}

func userFactorForms(u *authcore.User, f authcore.Factors) []Form {
	var forms []Form
	if f.TOTP != nil {
		forms = append(forms, Form{Do: "factor", Button: "Take the app away", Folded: "Reset…", Danger: true, Confirm: u.Username, Hint: "App and recovery codes are gone then, and the sessions end. Passkeys stay."})
	}
	if u.FactorRequired {
		return append(forms, Form{Do: "require", Button: "Stop requiring it", Hidden: []Field{{Name: "required", Value: "no"}}})
	}
	return append(forms, Form{Do: "require", Button: "Require a second factor", Hidden: []Field{{Name: "required", Value: "yes"}}, Hint: "For everything, whatever the policies say."})
}

func userForms(u *authcore.User) []Form {
	forms := []Form{{Do: "out", Button: "Sign out everywhere"}}
	if u.Status == authcore.Active && !u.Owner {
		forms = append(forms, Form{Do: "act", Button: "Sign in as " + u.Username, Folded: "Sign in as…", Fields: []Field{{Name: "reason", Label: "Reason", Max: 512, Hint: "The audit log keeps it, and the user is told by mail where that is set up."}},
			Hint: "For 15 minutes, in place of your own session. Everything that you do is recorded with your name; nothing of the security of the account can be changed. Afterwards you sign in again."})
	}
	if u.Status == authcore.Active {
		forms = append(forms, Form{Do: "disable", Button: "Disable", Folded: "Disable…", Danger: true, Hint: "Ends all sessions and tokens; nobody signs in with the account."})
	} else {
		forms = append(forms, Form{Do: "enable", Button: "Enable"})
	}
	if u.OrganizationOnly {
		forms = append(forms, Form{Do: "admit", Button: "Let in everywhere", Hidden: []Field{{Name: "only", Value: "no"}}, Hint: "The user belongs to an organization only: a rule of a policy lets in if it names an organization of the user's."})
	} else if !u.Owner {
		forms = append(forms, Form{Do: "admit", Button: "Let in by organizations only", Hidden: []Field{{Name: "only", Value: "yes"}}, Hint: "Then only a rule of a policy lets in that names an organization of the user's."})
	}
	if u.Owner {
		forms = append(forms, Form{Do: "owner", Button: "Remove as owner", Folded: "Remove as owner…", Danger: true, Hidden: []Field{{Name: "owner", Value: "no"}}})
	} else {
		forms = append(forms, Form{Do: "owner", Button: "Make an owner of this site", Folded: "Make an owner…", Danger: true, Confirm: u.Username, Hidden: []Field{{Name: "owner", Value: "yes"}}, Hint: "Owners may do everything on these pages."})
	}
	return append(forms, Form{Do: "delete", Button: "Delete the account", Folded: "Delete…", Danger: true, Confirm: u.Username, Hint: "With all that is kept of the user, but for the events of the audit log. This cannot be undone."})
}

func addUserSessions(ctx context.Context, v *Visit, p *Page, user authcore.UserID) error {
	all, err := v.Accounts.SessionsOf(ctx, user)
	if err != nil {
		return err
	}
	t := &Table{Columns: []string{"Device", "Address", "Since", "Last seen"}, Empty: "Signed in nowhere."}
	for _, s := range all {
		if !s.IsRoot() {
			continue
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: authcore.AgentName(s.Agent)}, {Text: s.Address, Code: true}, {Time: s.CreatedAt}, {Time: s.LastSeen}},
			Forms: []Form{{Do: "end", Button: "End", Of: "the session", Hidden: []Field{{Name: "session", Value: string(s.ID)}}}}})
	}
	p.Parts = append(p.Parts, Part{ID: "sessions", Title: "Sessions", Table: t})
	return nil
}

func (v *Visit) subject() authcore.UserID { return authcore.UserID(v.id) }

func setStatus(ctx context.Context, v *Visit) (string, error) {
	if v.Form.Get("do") == "enable" {
		return "enabled", v.Accounts.SetStatus(ctx, v.Actor, v.subject(), authcore.Active)
	}
	return "disabled", v.Accounts.SetStatus(ctx, v.Actor, v.subject(), authcore.Disabled)
}

// confirmedUser returns an error unless the username was typed.
func (v *Visit) confirmedUser(ctx context.Context) error {
	u, err := v.Accounts.UserByID(ctx, v.Actor, v.subject())
	if err == nil {
		err = v.confirmed(u.Username)
	}
	return err
}

func setOwner(ctx context.Context, v *Visit) (string, error) {
	give := v.text("owner") == "yes"
	if give {
		if err := v.confirmedUser(ctx); err != nil {
			return "", err
		}
	}
	return "owner", v.Accounts.SetOwner(ctx, v.Actor, v.subject(), give)
}

func resetFactor(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmedUser(ctx); err != nil {
		return "", err
	}
	return "factor", v.Accounts.RemoveFactors(ctx, v.Actor, v.subject())
}

func requireOfUser(ctx context.Context, v *Visit) (string, error) {
	return "required", v.Accounts.SetFactorRequired(ctx, v.Actor, v.subject(), v.text("required") == "yes")
}

func admitUser(ctx context.Context, v *Visit) (string, error) {
	return "required", v.Accounts.AdmitUser(ctx, v.Actor, v.subject(), v.text("only") == "yes")
}

func signOutUser(ctx context.Context, v *Visit) (string, error) {
	_, err := v.Accounts.RevokeAll(ctx, v.Actor, v.subject())
	return "signed-out", err
}

// actAs puts the browser into a session of the user.
func actAs(ctx context.Context, v *Visit) (string, error) {
	token, s, err := v.Accounts.Impersonate(ctx, v.Actor, v.subject(), v.text("reason"), v.Host)
	v.enter = &Result{Token: token, Session: &s}
	return Base + "account", err
}

func endSession(ctx context.Context, v *Visit) (string, error) {
	return "signed-out", v.Accounts.RevokeSession(ctx, v.Actor, authcore.SessionID(v.text("session")))
}

func deleteUser(ctx context.Context, v *Visit) (string, error) {
	if err := v.confirmedUser(ctx); err != nil {
		return "", err
	}
	_, err := v.Accounts.DeleteUser(ctx, v.Actor, v.subject(), 0)
	return Base + "admin/users?done=deleted", err
}

func showSessions(ctx context.Context, v *Visit) (Page, error) {
	p := v.onPlatform("Sessions")
	p.Lead = "Who is signed in at present."
	order, sort := v.sorted(sortBy, authcore.SessionOrders, headings{"Since": byTime})
	all, err := v.Accounts.LiveSessions(ctx, v.Actor, authcore.SessionQuery{Order: order, After: v.after(), Limit: PerPage + 1})
	if err != nil {
		return p, err
	}
	t := paged(v, &Table{Columns: []string{"User", "Device", "Address", "Since", "Last seen"}, Sort: sort, Empty: "Nobody is signed in."}, all,
		func(s authcore.UserSession) string { return string(s.ID) },
		func(s authcore.UserSession) Row {
			return Row{Cells: []Cell{{Text: s.Username, URL: Base + "admin/users/" + string(s.UserID)}, {Text: authcore.AgentName(s.Agent)}, {Text: s.Address, Code: true}, {Time: s.CreatedAt}, {Time: s.LastSeen}},
				Forms: []Form{{Do: "end", Button: "End", Of: "the session of " + s.Username, Hidden: []Field{{Name: "session", Value: string(s.ID)}}}}}
		})
	p.Parts = append(p.Parts, Part{ID: "sessions", Title: "Sessions", Table: t})
	return p, nil
}
