package console

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func showServices(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Services")
	p.Lead = "Applications that people sign in to with their accounts here, by OpenID Connect or OAuth 2.0."
	order, sort := v.sorted(sortBy, authcore.ServiceOrders, headings{"Service": byName, "Since": byTime})
	q := authcore.ServiceQuery{Search: v.Query.Get("q"), Order: order, After: v.after(), Limit: PerPage + 1}
	all, err := v.Accounts.Services(ctx, v.Actor, v.slug, q)
	if err != nil {
		return p, err
	}
	empty := "None yet. The first one is made below."
	if q.Search != "" {
		empty = "None like that."
	}
	t := paged(v, &Table{Search: &Search{Label: "Name contains", Value: q.Search, Kept: v.kept()}, Columns: []string{"Service", "Type", "Status", "Since"}, Sort: sort, Empty: empty}, all, q.Place,
		func(s authcore.Service) Row {
			return Row{Cells: []Cell{{Text: s.Name, URL: Base + "org/" + v.slug + "/services/" + string(s.ID)}, {Text: typeWords[s.Type]}, status(string(s.Status)), {Time: s.CreatedAt}}}
		})
	p.Parts = append(p.Parts, Part{ID: "services", Title: "Services", Table: t, Secret: v.secret})
	if v.changes(authcore.ServicesCreate) {
		p.Parts = append(p.Parts, Part{ID: "new", Title: "A new one", Forms: []Form{{Do: "create", Button: "Make the service", Fields: []Field{
			{Name: "name", Label: "Name", Hint: "People see it when they sign in."},
			{Name: "type", Label: "Type", Kind: Choice, Options: []Option{{"web", "Web application with a server", true}, {"api", "API", false}, {"mobile", "Mobile app", false}, {"desktop", "Desktop app", false}}},
			{Name: "redirect_uris", Label: "Redirect addresses", Kind: Lines, Optional: true, Hint: "One a line, exactly as the application sends them."},
		}}}})
	}
	return p, nil
}

var typeWords = map[authcore.ServiceType]string{authcore.ServiceWeb: "Web", authcore.ServiceAPI: "API", authcore.ServiceMobile: "Mobile", authcore.ServiceDesktop: "Desktop"}

func createService(ctx context.Context, v *Visit) (string, error) {
	secret, s, err := v.Accounts.CreateService(ctx, v.Actor, v.slug, authcore.ServiceType(v.text("type")), authcore.ServiceSettings{Name: v.text("name"), RedirectURIs: v.lines("redirect_uris")})
	if err != nil {
		return "", err
	}
	if secret == "" {
		return Base + "org/" + v.slug + "/services/" + string(s.ID) + "?done=created-service", nil
	}
	v.secret = serviceSecret(s, secret)
	return "", nil
}

func serviceSecret(s authcore.Service, secret authcore.Secret) *Secret {
	return &Secret{"Secret of " + s.Name + " (client id " + s.ClientID + ")", secret.Reveal(), "It is shown this once: keep it where the application reads it."}
}

func showService(ctx context.Context, v *Visit) (Page, error) {
	p := v.inOrganization("Service")
	s, err := v.Accounts.Service(ctx, v.Actor, v.slug, authcore.ServiceID(v.id))
	if err != nil {
		return p, err
	}
	p.Title, p.Above = s.Name, &Link{Text: "Services", URL: Base + "org/" + v.slug + "/services"}
	tag := status(string(s.Status))
	p.Tag = &tag
	facts := []Fact{{"Type", Cell{Text: typeWords[s.Type]}}, {"Since", Cell{Time: s.CreatedAt}}}
	if s.FirstParty {
		facts = append(facts, Fact{"Consent", Cell{Text: "nobody is asked: it is the platform's own"}})
	}
	if s.OldUntil.After(v.Now) {
		facts = append(facts, Fact{"Old secret", Cell{Text: "good until " + s.OldUntil.UTC().Format("2 January 2006 15:04 UTC")}})
	}
	p.Parts = append(p.Parts, Part{ID: "service", Title: "At a glance", Facts: facts, Secret: v.secret}, v.forTheApp(s))
	if !v.changes(authcore.ServicesManage) {
		return p, nil
	}
	p.Parts = append(p.Parts, Part{ID: "settings", Title: "Settings", Forms: []Form{{Do: "change", Button: "Save", Fields: serviceFields(s)},
		{Do: "advanced", Button: "Save the advanced settings", Folded: "Advanced…", Fields: advancedFields(s)}}})
	for _, add := range []func(context.Context, *Visit, *Page, authcore.Service) error{addGrantees, addKeys} {
		if err := add(ctx, v, &p, s); err != nil {
			return p, err
		}
	}
	if s.Type.Confidential() {
		p.Parts = append(p.Parts, Part{ID: "secret", Title: "Another secret", About: "The old secret keeps working for as long as you choose.", Forms: []Form{{Do: "rotate", Button: "Make another secret", Folded: "Make another…",
			Fields: []Field{{Name: "overlap", Label: "The old one is good for", Kind: Choice, Options: []Option{{"0", "no longer: it ends now", false}, {"1", "an hour", false}, {"24", "a day", true}, {"168", "a week", false}}}}}}})
	}
	if v.stands.Platform {
		f := Form{Do: "trust", Button: "Ask nobody for consent", Hidden: []Field{{Name: "trust", Value: "yes"}}, Hint: "For applications of your own."}
		if s.FirstParty {
			f = Form{Do: "trust", Button: "Ask people for consent", Hidden: []Field{{Name: "trust", Value: "no"}}}
		}
		p.Parts = append(p.Parts, Part{ID: "trust", Title: "Consent", Forms: []Form{f}})
	}
	p.Parts = append(p.Parts, Part{ID: "delete", Title: "Delete", About: "With its secrets, keys and sessions.", Forms: []Form{{Do: "delete", Button: "Delete the service", Folded: "Delete…", Danger: true, Confirm: s.Name, Hint: "This cannot be undone."}}})
	return p, nil
}

// forTheApp is what the people who make the application copy into it.
func (v *Visit) forTheApp(s authcore.Service) Part {
	p := Part{ID: "app", Title: "For the app", About: "What its settings for OpenID Connect or OAuth 2.0 ask for. Most applications find the rest by themselves.",
		Facts: []Fact{{"Issuer", Cell{Text: v.Origin, Code: true}}, {"Discovery", Cell{Text: v.Origin + "/.well-known/openid-configuration", Code: true}}, {"Client id", Cell{Text: s.ClientID, Code: true}}}}
	if !s.Type.Confidential() {
		p.Facts = append(p.Facts, Fact{"Secret", Cell{Text: "none: it proves itself by PKCE"}})
	}
	return p
}

func serviceFields(s authcore.Service) []Field {
	return []Field{
		{Name: "name", Label: "Name", Value: s.Name},
		{Name: "status", Label: "Status", Kind: Choice, Options: []Option{{"active", "active", s.Status == authcore.Active}, {"disabled", "disabled: nobody signs in to it", s.Status == authcore.Disabled}}},
		{Name: "redirect_uris", Label: "Redirect addresses", Kind: Lines, Optional: true, Value: strings.Join(s.RedirectURIs, "\n"), Hint: "One a line, exactly as the application sends them."},
		{Name: "logout_uris", Label: "Addresses after a sign-out", Kind: Lines, Optional: true, Value: strings.Join(s.LogoutURIs, "\n")},
		{Name: "access", Label: "Who may use it", Kind: Choice, Options: []Option{{"members", "members of the organization", s.Access == authcore.ReachMembers},
			{"chosen", "members who are given access below", s.Access == authcore.ReachChosen}, {"everyone", "everybody with an account here", s.Access == authcore.ReachEveryone}}},
		{Name: "device", Label: "People may sign it in from another device", Kind: Check, Optional: true, Options: []Option{{"yes", "", s.Device}}},
		{Name: "token_format", Label: "Access tokens", Kind: Choice, Options: []Option{{"jwt", "JWT: the application checks them", s.TokenFormat == authcore.TokenJWT}, {"opaque", "opaque: it asks about them here", s.TokenFormat == authcore.TokenOpaque}}},
		{Name: "access_minutes", Label: "Access tokens are good for, in minutes", Kind: Number, Value: strconv.Itoa(int(s.AccessLife / time.Minute))},
		{Name: "refresh_days", Label: "Refresh tokens are good for, in days", Kind: Number, Value: strconv.FormatFloat(s.RefreshLife.Hours()/24, 'f', -1, 64)},
		{Name: "scopes", Label: "Scopes of its own", Kind: Lines, Optional: true, Value: strings.Join(s.Scopes, "\n"), Hint: "What it may ask for besides " + strings.Join(authcore.ProviderScopes, ", ") + ". One a line."},
	}
}

// advancedFields are the settings that few applications need.
func advancedFields(s authcore.Service) []Field {
	fields := []Field{
		{Name: "algorithm", Label: "Tokens are signed with", Kind: Choice, Options: []Option{{"ES256", "ES256", s.Algorithm == authcore.ES256}, {"RS256", "RS256: for applications that know nothing newer", s.Algorithm == authcore.RS256}}},
		{Name: "backchannel_logout_uri", Label: "Address that is told of sign-outs", Kind: URL, Optional: true, Value: s.LogoutURI, Hint: "The application's server ends its own session then (back-channel logout)."},
		{Name: "pushed_only", Label: "Sign-ins begin with a pushed request", Kind: Check, Optional: true, Options: []Option{{"yes", "", s.PushedOnly}}, Hint: "The application sends what it asks for from server to server first (PAR)."},
		{Name: "dpop", Label: "Tokens are bound to a key", Kind: Check, Optional: true, Options: []Option{{"yes", "", s.DPoP}}, Hint: "A token that is stolen is good for nothing without the application's key (DPoP)."},
	}
	if !s.Type.Confidential() {
		return fields
	}
	return append(fields,
		Field{Name: "no_pkce", Label: "It cannot do PKCE", Kind: Check, Optional: true, Options: []Option{{"yes", "", s.NoPKCE}}, Hint: "For old applications: a code that is stolen on its way is not protected then."},
		Field{Name: "keys", Label: "Public keys", Kind: Lines, Optional: true, Value: indented(s.Keys), Hint: "A JWK Set, by which the application proves itself in place of the secret, which is good no longer then (private_key_jwt). Public keys only."})
}

// indented is JSON for people to read.
func indented(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}

func changeService(ctx context.Context, v *Visit) (string, error) {
	// What the form does not name stays as it is.
	s, err := v.Accounts.Service(ctx, v.Actor, v.slug, authcore.ServiceID(v.id))
	if err != nil {
		return "", err
	}
	n := s.ServiceSettings
	n.Name, n.Status, n.RedirectURIs, n.LogoutURIs = v.text("name"), authcore.Status(v.text("status")), v.lines("redirect_uris"), v.lines("logout_uris")
	n.Scopes = strings.Fields(v.Form.Get("scopes"))
	n.Access, n.Device, n.TokenFormat = authcore.Reach(v.text("access")), v.text("device") != "", authcore.TokenFormat(v.text("token_format"))
	if n.AccessLife, err = v.number("access_minutes", "access_life", time.Minute); err != nil {
		return "", err
	}
	if n.RefreshLife, err = v.number("refresh_days", "refresh_life", 24*time.Hour); err != nil {
		return "", err
	}
	_, err = v.Accounts.UpdateService(ctx, v.Actor, v.slug, s.ID, n)
	return "saved", err
}

func changeAdvanced(ctx context.Context, v *Visit) (string, error) {
	s, err := v.Accounts.Service(ctx, v.Actor, v.slug, authcore.ServiceID(v.id))
	if err != nil {
		return "", err
	}
	n := s.ServiceSettings
	n.Algorithm, n.LogoutURI, n.Keys = authcore.Algorithm(v.text("algorithm")), v.text("backchannel_logout_uri"), v.text("keys")
	n.PushedOnly, n.DPoP, n.NoPKCE = v.text("pushed_only") != "", v.text("dpop") != "", v.text("no_pkce") != ""
	_, err = v.Accounts.UpdateService(ctx, v.Actor, v.slug, s.ID, n)
	return "saved", err
}

// number reads so many of a unit.
func (v *Visit) number(field, what string, unit time.Duration) (time.Duration, error) {
	n, err := strconv.ParseFloat(v.text(field), 64)
	if err != nil || n <= 0 || n > 1e6 {
		return 0, &authcore.Error{Kind: authcore.Invalid, Code: "service_" + what + "_invalid", Field: field, Message: "This is not a number that can be used here."}
	}
	return time.Duration(n * float64(unit)), nil
}

func rotateSecret(ctx context.Context, v *Visit) (string, error) {
	hours, _ := strconv.Atoi(v.text("overlap"))
	s, err := v.Accounts.Service(ctx, v.Actor, v.slug, authcore.ServiceID(v.id))
	if err != nil {
		return "", err
	}
	secret, err := v.Accounts.RotateServiceSecret(ctx, v.Actor, v.slug, s.ID, time.Duration(hours)*time.Hour)
	if err == nil {
		v.secret = serviceSecret(s, secret)
	}
	return "saved", err
}

func trustService(ctx context.Context, v *Visit) (string, error) {
	return "saved", v.Accounts.SetServiceTrust(ctx, v.Actor, v.slug, authcore.ServiceID(v.id), v.text("trust") == "yes")
}

func deleteService(ctx context.Context, v *Visit) (string, error) {
	s, err := v.Accounts.Service(ctx, v.Actor, v.slug, authcore.ServiceID(v.id))
	if err == nil {
		err = v.confirmed(s.Name)
	}
	if err == nil {
		err = v.Accounts.DeleteService(ctx, v.Actor, v.slug, s.ID)
	}
	return Base + "org/" + v.slug + "/services?done=deleted", err
}

// addGrantees adds who may use a service that only some may.
func addGrantees(ctx context.Context, v *Visit, p *Page, s authcore.Service) error {
	if s.Access != authcore.ReachChosen {
		return nil
	}
	all, err := v.Accounts.Grantees(ctx, v.Actor, v.slug, s.ID, v.Query.Get("after"), PerPage+1)
	if err != nil {
		return err
	}
	t := paged(v, &Table{Columns: []string{"Username", "Name", "Since"}, Empty: "Nobody yet: nobody can use the service."}, all,
		func(g authcore.Grantee) string { return authcore.UsernameKey(g.Username) },
		func(g authcore.Grantee) Row {
			return Row{Cells: []Cell{{Text: g.Username}, {Text: g.Name}, {Time: g.CreatedAt}}, Forms: []Form{{Do: "withdraw", Button: "Take away", Of: "the access of " + g.Username, Hidden: []Field{{Name: "user", Value: string(g.User)}}}}}
		})
	p.Parts = append(p.Parts, Part{ID: "access", Title: "Who may use it", Table: t, Forms: []Form{{Do: "grant", Button: "Give access", Fields: []Field{{Name: "username", Label: "Username of a member"}}}}})
	return nil
}

func grantService(ctx context.Context, v *Visit) (string, error) {
	u, err := v.member(ctx, "username")
	if err == nil {
		err = v.Accounts.GrantService(ctx, v.Actor, v.slug, authcore.ServiceID(v.id), u)
	}
	return "granted", err
}

func withdrawService(ctx context.Context, v *Visit) (string, error) {
	return "withdrawn", v.Accounts.WithdrawService(ctx, v.Actor, v.slug, authcore.ServiceID(v.id), authcore.UserID(v.text("user")))
}

// scopeWords say what a key may do.
var scopeWords = map[authcore.ServiceScope]string{authcore.ScopeUsersRead: "See the service's users", authcore.ScopeUsersManage: "Bar users", authcore.ScopeSessionsRead: "See their sessions",
	authcore.ScopeSessionsRevoke: "Sign them out", authcore.ScopeTokensRead: "Look into the service's tokens"}

// addKeys adds the API keys of a service.
func addKeys(ctx context.Context, v *Visit, p *Page, s authcore.Service) error {
	order, sort := v.sorted("keys", authcore.ServiceKeyOrders, headings{"Since": byTime})
	all, err := v.Accounts.ServiceKeys(ctx, v.Actor, v.slug, s.ID, authcore.ListQuery{Order: order, Limit: authcore.MaxServiceKeys})
	if err != nil {
		return err
	}
	t := &Table{Columns: []string{"For", "May", "Since", "Last used", "Ends"}, Sort: sort, Empty: "None yet."}
	for _, k := range all {
		var may []string
		for _, scope := range k.Scopes {
			may = append(may, string(scope))
		}
		used, ends := Cell{Text: "never"}, Cell{Text: "never"}
		if !k.LastUsed.IsZero() {
			used = Cell{Time: k.LastUsed}
		}
		if !k.ExpiresAt.IsZero() {
			ends = Cell{Time: k.ExpiresAt}
		}
		t.Rows = append(t.Rows, Row{Cells: []Cell{{Text: k.Name}, {Text: strings.Join(may, " "), Code: true}, {Time: k.CreatedAt}, used, ends},
			Forms: []Form{{Do: "unkey", Button: "Revoke", Of: k.Name, Hidden: []Field{{Name: "id", Value: string(k.ID)}}}}})
	}
	scopes := Field{Name: "scope", Label: "It may", Kind: Checks}
	for _, scope := range authcore.ServiceScopes {
		scopes.Options = append(scopes.Options, Option{string(scope), scopeWords[scope], false})
	}
	p.Parts = append(p.Parts, Part{ID: "keys", Title: "API keys", About: "With one, the application asks about its users and their sessions.", Table: t, Forms: []Form{{Do: "key", Button: "Make a key", Folded: "Make a key…",
		Fields: []Field{{Name: "key_name", Label: "What it is for"}, scopes, {Name: "days", Label: "Good for, in days", Kind: Number, Value: "90", Optional: true, Hint: "Empty: for ever."}}}}})
	return nil
}

func createKey(ctx context.Context, v *Visit) (string, error) {
	n := authcore.NewServiceKey{Name: v.text("key_name")}
	for _, s := range v.Form["scope"] {
		n.Scopes = append(n.Scopes, authcore.ServiceScope(s))
	}
	if v.text("days") != "" {
		d, err := v.number("days", "key_life", 24*time.Hour)
		if err != nil {
			return "", err
		}
		n.ExpiresAt = v.Now.Add(d)
	}
	secret, _, err := v.Accounts.CreateServiceKey(ctx, v.Actor, v.slug, authcore.ServiceID(v.id), n)
	if err == nil {
		v.secret = &Secret{"API key for " + n.Name, secret.Reveal(), "It is shown this once. Requests carry it as X-Api-Key, or as Bearer token."}
	}
	return "saved", err
}

func revokeKey(ctx context.Context, v *Visit) (string, error) {
	return "revoked", v.Accounts.RevokeServiceKey(ctx, v.Actor, v.slug, authcore.ServiceID(v.id), authcore.ServiceKeyID(v.text("id")))
}
