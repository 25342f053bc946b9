package connect

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// githubPerson asks GitHub's API, which has the addresses on another page, and
// organizations and teams on two more. Whose account it is says the id alone: a login
// that somebody gives up is free for others.
// Source: GitHub REST API, "Users", "Emails"; GitHub Docs, "Changing your GitHub
// username".
func githubPerson(ctx context.Context, p *Provider, who *Person, t *authcore.ProviderTokens, _ url.Values) error {
	get := func(path string, into any) error {
		return getJSON(ctx, p.client, p.kind.api+path, t.Access.Reveal(), into)
	}
	if err := get("/user", &who.Claims); err != nil {
		return unanswered(err)
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "login"), text(who.Claims, "name")
	err := pages(get, "/user/emails?", func(a githubEmail) {
		if a.Primary && a.Email != "" && who.Email == "" {
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
		return unanswered(err)
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
