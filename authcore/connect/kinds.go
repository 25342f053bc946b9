package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// decode reads claims with numbers as they are written.
func decode(claims func(any) error, into *map[string]any) error {
	var raw json.RawMessage
	if err := claims(&raw); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if *into == nil {
		return errors.New("the claims are no object")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// microsoftPersonal is the tenant of personal accounts.
// Source: Microsoft identity platform, "ID token claims reference", iss.
const microsoftPersonal = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenant is what the address of Microsoft names in place of one tenant, or that tenant.
func (p *Provider) tenant() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.Issuer, microsoftBase), "/v2.0")
}

// anyTenant gives the issuer that Microsoft's document has where the address names no
// tenant by its id: then the document's issuer is not the address.
// Source: Microsoft identity platform, "Access tokens", "Validate the issuer"; "OpenID
// Connect", "Find your app's OpenID configuration document URI".
func (p *Provider) anyTenant() string {
	if p.Kind != Microsoft {
		return ""
	}
	switch p.tenant() {
	case "common", "organizations":
		return microsoftBase + "{tenantid}/v2.0"
	case "consumers":
		return microsoftBase + microsoftPersonal + "/v2.0"
	}
	return ""
}

// takes tells whether the address of more than one tenant stands for a tenant. Whoever
// signs in can put another word into the address of the page there.
func (p *Provider) takes(tenant string) bool {
	if id, err := uuid.Parse(tenant); err != nil || id.String() != tenant {
		return false
	}
	switch p.tenant() {
	case "consumers":
		return tenant == microsoftPersonal
	case "organizations":
		return tenant != microsoftPersonal
	}
	return true
}

// microsoftPerson checks the issuer, which names the tenant that signed, and believes
// only what is not for anybody to choose. An email address is whatever the tenant's
// administrators wrote, unless xms_edov says that the domain is theirs; email_verified
// may be of their making too, xms_edov never.
// Source: Microsoft identity platform, "Optional claims reference", xms_edov; "Claims
// mapping policy type", "JSON Web Token (JWT) restricted claim set".
func microsoftPerson(_ context.Context, p *Provider, who *Person, _ *Tokens, _ url.Values) error {
	tenant := text(who.Claims, "tid")
	if p.anyTenant() != "" && (!p.takes(tenant) || who.Issuer != microsoftBase+tenant+"/v2.0") {
		return ErrAnswer.With(fmt.Errorf("the ID token is of issuer %q and tenant %q", who.Issuer, tenant))
	}
	who.EmailVerified = truth(who.Claims, "xms_edov") || text(who.Claims, "xms_edov") == "1"
	if p.anyTenant() != "" || tenant == microsoftPersonal {
		ofNoTenant(who)
	}
	noOverage(who.Claims)
	return nil
}

// ofNoTenant drops what means something within the tenant that says it only, where that
// may be anybody's: everybody can have a tenant, and name people, groups and roles in
// it. A username stays where it is the address that is verified; groups stay by their
// ids, which nobody chooses.
// Source: Microsoft identity platform, "Secure applications and APIs by validating
// claims", "Validate the subject".
func ofNoTenant(who *Person) {
	if !who.EmailVerified || access.FoldAddress(who.Username) != access.FoldAddress(who.Email) {
		who.Username = ""
	}
	delete(who.Claims, "roles")
	delete(who.Claims, "wids")
	if groups, ok := who.Claims["groups"].([]any); ok {
		who.Claims["groups"] = slices.DeleteFunc(groups, func(g any) bool {
			id, _ := g.(string)
			return uuid.Validate(id) != nil
		})
	} else {
		delete(who.Claims, "groups")
	}
}

// noOverage drops claims that the token says are elsewhere, as groups are of whoever is
// in more than 200: nobody is in a group by a list that is not the whole one.
// Source: Microsoft identity platform, "ID token claims reference", "Groups overage
// claim".
func noOverage(claims map[string]any) {
	elsewhere, _ := claims["_claim_names"].(map[string]any)
	for name := range elsewhere {
		delete(claims, name)
	}
	if truth(claims, "hasgroups") {
		delete(claims, "groups")
	}
}

// maxPages is the most pages that are read of one list, so that each ends.
const maxPages = 20

var errNoEnd = fmt.Errorf("the list does not end within %d pages", maxPages)

// googlePerson believes an address where it is Google's own, or of an organization that
// Google hosts (hd): of others it knows only that they were somebody's once. It looks up
// groups where a rule names some, for accounts of an organization: Google answers others
// with 403.
// Source: Google, "Verify the Google ID token on your server side", hd; "OpenID Connect",
// "Validating an ID token"; Cloud Identity API,
// groups.memberships.searchTransitiveGroups.
func googlePerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	who.Issuer = googleIssuer // which some tokens name without https
	hosted := text(who.Claims, "hd") != ""
	_, domain, _ := strings.Cut(access.FoldAddress(who.Email), "@")
	who.EmailVerified = who.EmailVerified && (hosted || domain == "gmail.com" || domain == "googlemail.com")
	if !p.asksFor("google_group") || !hosted || !who.EmailVerified || who.Email == "" || authcore.CheckEmail(who.Email) != nil {
		return nil
	}
	query := "member_key_id == '" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(who.Email) + "'" +
		" && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
	next := ""
	for range maxPages {
		var found googleGroups
		if err := p.googleGroups(ctx, url.Values{"query": {query}, "pageToken": {next}}, t, &found); err != nil {
			return err
		}
		for _, m := range found.Memberships {
			// A group with a namespace is no Google Group: who makes it chooses its id freely.
			if m.GroupKey.Namespace == "" {
				who.Member = append(who.Member, "google_group:"+access.FoldAddress(m.GroupKey.ID))
			}
		}
		if next = found.Next; next == "" {
			return nil
		}
	}
	return ErrAway.With(errNoEnd)
}

// googleGroups is a page of the groups that somebody is in.
// Source: Cloud Identity API, GroupRelation and EntityKey.
type googleGroups struct {
	Memberships []struct {
		GroupKey struct {
			ID        string `json:"id"`
			Namespace string `json:"namespace"`
		} `json:"groupKey"`
	} `json:"memberships"`
	Next string `json:"nextPageToken"`
}

func (p *Provider) googleGroups(ctx context.Context, query url.Values, t *Tokens, into *googleGroups) error {
	base := "https://cloudidentity.googleapis.com"
	if p.kind.api != "" {
		base = p.kind.api
	}
	err := getJSON(ctx, p.client, base+"/v1/groups/-/memberships:searchTransitiveGroups?"+query.Encode(), t.Access.Reveal(), into)
	switch {
	case err == nil:
		return nil
	case hasStatus(err, http.StatusForbidden):
		err = fmt.Errorf("google_group: switch the Cloud Identity API on for the project of the client, and have an edition that searches transitive groups: %w", err)
	}
	return ErrAway.With(err)
}

func hasStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

func (p *Provider) asksFor(kind string) bool {
	for _, r := range append(whens(p.Grants), p.Allow...) {
		if r.kind == kind {
			return true
		}
	}
	return false
}

const appleIssuer = "https://appleid.apple.com"

// applePerson takes the name, which Apple sends beside the code and at the first
// sign-in only. It comes by way of the browser and is no more than what the person says:
// the address that is there too is not taken.
// Source: Sign in with Apple REST API, "Request an authorization to the Sign in with
// Apple server".
func applePerson(_ context.Context, _ *Provider, who *Person, _ *Tokens, answer url.Values) error {
	who.Username = "" // Apple has none
	var user struct {
		Name struct{ FirstName, LastName string }
	}
	if first := answer.Get("user"); first == "" || json.Unmarshal([]byte(first), &user) != nil {
		return nil
	}
	name := strings.TrimSpace(user.Name.FirstName + " " + user.Name.LastName)
	if name != "" && authcore.CheckName(name) == nil {
		who.Name = name
	}
	return nil
}

// githubPerson asks GitHub's API, which has the addresses on another page, and
// organizations and teams on two more. Whose account it is says the id alone: a login
// that somebody gives up is free for others.
// Source: GitHub REST API, "Users", "Emails"; GitHub Docs, "Changing your GitHub
// username".
func githubPerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	get := func(path string, into any) error {
		return getJSON(ctx, p.client, p.kind.api+path, t.Access.Reveal(), into)
	}
	if err := get("/user", &who.Claims); err != nil {
		return ErrAway.With(err)
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "login"), text(who.Claims, "name")
	err := pages(get, "/user/emails?", func(a githubEmail) {
		if a.Primary && who.Email == "" {
			who.Email, who.EmailVerified = a.Email, a.Verified
		}
	})
	if hasStatus(err, http.StatusNotFound) {
		err = nil // the scopes that are configured do not show it
	}
	if err == nil && p.asksFor("github") {
		err = githubMember(get, who)
	}
	if err != nil {
		return ErrAway.With(err)
	}
	return nil
}

type githubEmail struct {
	Email             string
	Primary, Verified bool
}

type githubOrganization struct{ Login string }

// githubMember finds organizations and teams. Whoever is invited and has not accepted is
// in neither, and who only pays the bills is no member. A team counts within such an
// organization alone.
// Source: GitHub REST API, "Organization members", "List organization memberships for
// the authenticated user"; "Teams", "List teams for the authenticated user".
func githubMember(get func(path string, into any) error, who *Person) error {
	member := make(map[string]bool)
	err := pages(get, "/user/memberships/orgs?state=active&", func(m struct {
		State, Role  string
		Organization githubOrganization
	}) {
		name := strings.ToLower(m.Organization.Login)
		if name != "" && !member[name] && m.State == "active" && (m.Role == "member" || m.Role == "admin") {
			member[name] = true
			who.Member = append(who.Member, "github:"+name)
		}
	})
	if err != nil || len(member) == 0 {
		return err
	}
	return pages(get, "/user/teams?", func(team struct {
		Slug         string
		Organization githubOrganization
	}) {
		if name := strings.ToLower(team.Organization.Login); member[name] && team.Slug != "" {
			who.Member = append(who.Member, "github:"+name+"/"+strings.ToLower(team.Slug))
		}
	})
}

// pages reads a list of GitHub's API to its end.
// Source: GitHub REST API, "Using pagination in the REST API".
func pages[T any](get func(path string, into any) error, path string, each func(T)) error {
	const size = 100 // the most that there is
	for page := range maxPages {
		var list []T
		if err := get(fmt.Sprintf("%sper_page=%d&page=%d", path, size, page+1), &list); err != nil {
			return err
		}
		for _, one := range list {
			each(one)
		}
		if len(list) < size {
			return nil
		}
	}
	return errNoEnd
}

// discordPerson asks Discord's API. Of accounts that have a discriminator yet several
// can have one username.
// Source: Discord developer documentation, "User Object".
func discordPerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	if err := getJSON(ctx, p.client, p.kind.api+"/users/@me", t.Access.Reveal(), &who.Claims); err != nil {
		return ErrAway.With(err)
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "username"), text(who.Claims, "global_name")
	if tag := text(who.Claims, "discriminator"); who.Username != "" && tag != "" && tag != "0" {
		who.Username += "#" + tag
	}
	who.Email, who.EmailVerified = text(who.Claims, "email"), truth(who.Claims, "verified")
	return nil
}

// fieldsPerson asks a UserInfo endpoint whose fields the configuration names.
func fieldsPerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	if err := getJSON(ctx, p.client, p.kind.api, t.Access.Reveal(), &who.Claims); err != nil {
		return ErrAway.With(err)
	}
	one := func(name string) string {
		if all := values(who.Claims, name); len(all) > 0 {
			return all[0]
		}
		return ""
	}
	f := p.Fields
	who.Subject, who.Username, who.Name, who.Email = one(f.Subject), one(f.Username), one(f.Name), one(f.Email)
	if who.Subject == "true" || who.Subject == "false" || len(values(who.Claims, f.Subject)) > 1 {
		who.Subject = "" // many would share it
	}
	who.EmailVerified = f.EmailVerified != "" && strings.EqualFold(one(f.EmailVerified), "true")
	return nil
}
