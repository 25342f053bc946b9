package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
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

// anyTenant gives the issuer that Microsoft's document has for an address of more than
// one tenant.
// Source: Microsoft identity platform, "Access tokens", "Validate the issuer".
func (p *Provider) anyTenant() string {
	if p.Kind != Microsoft {
		return ""
	}
	switch strings.TrimSuffix(strings.TrimPrefix(p.Issuer, microsoftBase), "/v2.0") {
	case "common", "organizations":
		return microsoftBase + "{tenantid}/v2.0"
	}
	return ""
}

// microsoftPerson checks the issuer, which names the tenant that signed. An email
// address is whatever the tenant's administrators wrote, unless xmds_edov says that the
// domain is theirs.
// Source: Microsoft identity platform, "Optional claims reference", xms_edov.
func microsoftPerson(_ context.Context, p *Provider, who *Person, _ *Tokens, _ url.Values) error {
	if p.anyTenant() != "" {
		tenant := text(who.Claims, "tid")
		if tenant == "" || strings.ContainsAny(tenant, "/{}") || who.Issuer != microsoftBase+tenant+"/v2.0" {
			return ErrAnswer.With(fmt.Errorf("the ID token is of issuer %q and tenant %q", who.Issuer, tenant))
		}
	}
	who.EmailVerified = truth(who.Claims, "xms_edov") || text(who.Claims, "xms_edov") == "1"
	return nil
}

// googlePerson looks up groups where a rule names some.
// Source: Cloud Identity API, groups.memberships.searchTransitiveGroups.
func googlePerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	if !p.asksFor("google_group") || who.Email == "" {
		return nil
	}
	base := "https://cloudidentity.googleapis.com"
	if p.kind.api != "" {
		base = p.kind.api
	}
	for page := ""; ; {
		var found struct {
			Memberships []struct {
				GroupKey struct {
					ID string `json:"id"`
				} `json:"groupKey"`
			} `json:"memberships"`
			Next string `json:"nextPageToken"`
		}
		query := url.Values{"query": {"member_key_id == '" + strings.ReplaceAll(who.Email, "'", `\'`) +
			"' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"}, "pageToken": {page}}
		if err := getJSON(ctx, p.client, base+"/v1/groups/-/memberships:searchTransitiveGroups?"+query.Encode(), t.Access.Reveal(), &found); err != nil {
			return ErrAway.With(err)
		}
		for _, m := range found.Memberships {
			who.Member = append(who.Member, "google_group:"+strings.ToLower(m.GroupKey.ID))
		}
		if page = found.Next; page == "" || len(who.Member) > maxMember {
			return nil
		}
	}
}

// maxMember is the most groups that are read of one person.
const maxMember = 2000

func (p *Provider) asksFor(kind string) bool {
	for _, r := range append(whens(p.Grants), p.Allow...) {
		if r.kind == kind {
			return true
		}
	}
	return false
}

const appleIssuer = "https://appleid.apple.com"

// AppleKey makes the client secrets that Apple asks for.
type AppleKey struct {
	Team, ID string
	Key      authcore.Secret // PKCS #8 in PEM
}

// secret makes a client secret of five minutes.
// Source: Sign in with Apple, "Creating a client secret".
func (k *AppleKey) secret(client string, now time.Time) (string, error) {
	private, err := parseKey(k.Key)
	if err != nil {
		return "", err
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.ID}}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(s).Claims(jwt.Claims{Issuer: k.Team, Subject: client, Audience: jwt.Audience{appleIssuer},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute))}).Serialize()
}

// applePerson takes the name, which Apple sends beside the code and at the first
// sign-in only.
// Source: Sign in with Apple, "Request an authorization".
func applePerson(_ context.Context, _ *Provider, who *Person, _ *Tokens, answer url.Values) error {
	var user struct {
		Name struct{ FirstName, LastName string }
	}
	if first := answer.Get("user"); first != "" && json.Unmarshal([]byte(first), &user) == nil {
		who.Name = strings.TrimSpace(user.Name.FirstName + " " + user.Name.LastName)
	}
	return nil
}

// githubPerson asks GitHub's API, which has the address on another page, and
// organizations and teams on two more.
// Source: GitHub REST API, "Users", "Emails", "Organizations", "Teams".
func githubPerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	get := func(path string, into any) error {
		if err := getJSON(ctx, p.client, p.kind.api+path, t.Access.Reveal(), into); err != nil {
			return ErrAway.With(err)
		}
		return nil
	}
	if err := get("/user", &who.Claims); err != nil {
		return err
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "login"), text(who.Claims, "name")
	var addresses []struct {
		Email             string
		Primary, Verified bool
	}
	if err := get("/user/emails", &addresses); err != nil {
		return err
	}
	for _, a := range addresses {
		if a.Primary {
			who.Email, who.EmailVerified = a.Email, a.Verified
		}
	}
	if !p.asksFor("github") {
		return nil
	}
	var orgs []struct{ Login string }
	if err := get("/user/orgs?per_page=100", &orgs); err != nil {
		return err
	}
	for _, o := range orgs {
		who.Member = append(who.Member, "github:"+strings.ToLower(o.Login))
	}
	for page := 1; ; page++ {
		var teams []struct {
			Slug         string
			Organization struct{ Login string }
		}
		if err := get(fmt.Sprintf("/user/teams?per_page=100&page=%d", page), &teams); err != nil {
			return err
		}
		for _, team := range teams {
			who.Member = append(who.Member, "github:"+strings.ToLower(team.Organization.Login+"/"+team.Slug))
		}
		if len(teams) < 100 || len(who.Member) > maxMember {
			return nil
		}
	}
}

// discordPerson asks Discord's API.
// Source: Discord developer documentation, "User resource".
func discordPerson(ctx context.Context, p *Provider, who *Person, t *Tokens, _ url.Values) error {
	if err := getJSON(ctx, p.client, p.kind.api+"/users/@me", t.Access.Reveal(), &who.Claims); err != nil {
		return ErrAway.With(err)
	}
	who.Subject, who.Username, who.Name = text(who.Claims, "id"), text(who.Claims, "username"), text(who.Claims, "global_name")
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
	who.EmailVerified = f.EmailVerified != "" && strings.EqualFold(one(f.EmailVerified), "true")
	return nil
}
