package connect

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The kinds of provider.
const (
	Google    = "google"
	Microsoft = "microsoft"
	GitHub    = "github"
	GitLab    = "gitlab"
	Discord   = "discord"
	Apple     = "apple"
	OIDC      = "oidc"
	OAuth2    = "oauth2"
)

const (
	googleIssuer = "https://accounts.google.com"
	// The address of Microsoft's "common" and "organizations" names no tenant; tokens do.
	microsoftBase = "https://login.microsoftonline.com/"
)

// Settings say which provider it is and how it is reached.
type Settings struct {
	Name   string // in addresses and in rules
	Kind   string
	Label  string // for people
	Issuer string // oidc and gitlab: the issuer; microsoft: the tenant
	// Authorize, Token and UserInfo are the endpoints of kind oauth2.
	Authorize, Token, UserInfo string
	AuthInHeader               bool   // the token endpoint wants the client's secret as HTTP Basic; oauth2
	Fields                     Fields // what the answer of UserInfo means; oauth2
	ClientID                   string
	ClientSecret               authcore.Secret
	AppleKey                   AppleKey
	Scopes                     []string // in place of the kind's own
	FormPost                   bool     // the answer comes as a form (OAuth 2.0 Form Post Response Mode)
	Allow                      []Rule   // any one lets in
	Grants                     []Grant
	GroupsFrom                 []ClaimGroups
	NewUsers                   authcore.NewUsers
	RecheckEvery               time.Duration // how often the provider is asked again for somebody signed in; 0: never
	TrustMFA                   bool          // what the provider says of a second factor is believed
	HandsOutTokens             bool          // services may ask for people's tokens
	SignOut                    bool          // whoever signs out here signs out there, where that is offered
}

// ClaimGroups makes groups of ours of the values of a claim.
type ClaimGroups struct{ Claim, Prefix string }

// Fields name what an answer of a UserInfo endpoint holds that is none of OpenID
// Connect. Nested names have dots.
type Fields struct {
	Subject, Username, Name, Email, EmailVerified string
}

// Provider is one outside provider, as one client of it.
type Provider struct {
	Settings
	Own    *authcore.OwnClient // of an organization; nil for the platform's
	kind   kind
	client *http.Client
	now    func() time.Time
	*heard
}

// heard is what is known of a provider, whichever client asks.
type heard struct {
	asking sync.Mutex // held by who asks for the metadata
	known  atomic.Pointer[metadata]
	failed atomic.Pointer[failure]
	mute   atomic.Bool // it was told that the provider gives no refresh tokens
}

// kind is what differs between the kinds of provider.
type kind struct {
	scopes []string
	// endpoint is that of kinds without OpenID Connect; api is where people are looked
	// up.
	endpoint oauth2.Endpoint
	api      string
	// person completes or makes a Person; nil where the claims are enough.
	person func(ctx context.Context, p *Provider, who *Person, t *authcore.ProviderTokens, answer url.Values) error
	// options are parameters of the authorization request.
	options []oauth2.AuthCodeOption
	// fresh are those by which a provider is told to ask for a proof, as far as it can
	// be; nil for those of OpenID Connect.
	fresh []oauth2.AuthCodeOption
}

var kinds = map[string]kind{
	Google: {scopes: []string{"openid", "profile", "email"}, person: googlePerson, fresh: selectAccount,
		options: []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("access_type", "offline")}},
	Microsoft: {scopes: []string{"openid", "profile", "email", "offline_access"}, person: microsoftPerson},
	GitLab:    {scopes: []string{"openid", "profile", "email"}},
	Apple: {scopes: []string{"openid", "name", "email"}, person: applePerson,
		options: []oauth2.AuthCodeOption{formPost}},
	OIDC: {scopes: []string{"openid", "profile", "email"}},
	GitHub: {scopes: []string{"read:user", "user:email"}, person: githubPerson, fresh: selectAccount, api: "https://api.github.com",
		endpoint: oauth2.Endpoint{AuthURL: "https://github.com/login/oauth/authorize", TokenURL: "https://github.com/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams}},
	Discord: {scopes: []string{"identify", "email"}, person: discordPerson, fresh: []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("prompt", "consent")}, api: "https://discord.com/api/v10",
		endpoint: oauth2.Endpoint{AuthURL: "https://discord.com/oauth2/authorize", TokenURL: "https://discord.com/api/oauth2/token", AuthStyle: oauth2.AuthStyleInParams}},
	OAuth2: {person: fieldsPerson, fresh: []oauth2.AuthCodeOption{}},
}

var (
	// proveAgain asks for a proof (OpenID Connect Core section 3.1.2.1).
	proveAgain = []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0")}
	// selectAccount is for those that cannot be asked for one: there is a page at least.
	selectAccount = []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("prompt", "select_account")}
)

// New makes a provider. It asks for nothing yet: one that is away keeps nobody from
// starting. The error is for people.
func New(s Settings, rt http.RoundTripper, now func() time.Time) (*Provider, error) {
	k, found := kinds[s.Kind]
	if !found {
		return nil, fmt.Errorf("unknown kind of provider %q", s.Kind)
	}
	switch s.Kind {
	case Google:
		s.Issuer = googleIssuer
	case Microsoft:
		if err := checkTenant(&s); err != nil {
			return nil, err
		}
		s.Issuer = microsoftBase + cmp.Or(s.Issuer, "common") + "/v2.0"
	case GitLab:
		s.Issuer = cmp.Or(s.Issuer, "https://gitlab.com")
	case Apple:
		s.Issuer = appleIssuer
		if s.AppleKey.Key != "" {
			if _, err := parseKey(s.AppleKey.Key); err != nil {
				return nil, err
			}
		}
	case OAuth2:
		k.endpoint = oauth2.Endpoint{AuthURL: s.Authorize, TokenURL: s.Token, AuthStyle: oauth2.AuthStyleInParams}
		if s.AuthInHeader {
			k.endpoint.AuthStyle = oauth2.AuthStyleInHeader
		}
		k.api = s.UserInfo
	}
	for what, address := range map[string]string{"issuer": s.Issuer, "authorize": k.endpoint.AuthURL, "token": k.endpoint.TokenURL, "userinfo": k.api} {
		if address != "" {
			if err := checkAddress(address); err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	if len(s.Scopes) == 0 {
		s.Scopes = k.scopes
		for _, r := range slices.Concat(s.Allow, whens(s.Grants)) {
			if extra := scopeOf[r.kind]; extra != "" && !slices.Contains(s.Scopes, extra) {
				s.Scopes = append(slices.Clip(s.Scopes), extra)
			}
		}
	}
	if s.FormPost {
		k.options = append(slices.Clip(k.options), formPost)
	}
	return &Provider{Settings: s, kind: k, client: newClient(rt), now: now, heard: new(heard)}, nil
}

var formPost = oauth2.SetAuthURLParam("response_mode", "form_post")

// scopeOf are the scopes without which a rule cannot be decided.
var scopeOf = map[string]string{
	"github":       "read:org",
	"google_group": "https://www.googleapis.com/auth/cloud-identity.groups.readonly",
}

func whens(grants []Grant) []Rule {
	all := make([]Rule, 0, len(grants))
	for _, g := range grants {
		all = append(all, g.When)
	}
	return all
}

// checkTenant refuses what Microsoft's document would not agree with, and rules that
// anybody could meet who makes a tenant of their own.
// Source: Microsoft identity platform, "Secure applications and APIs by validating
// claims".
func checkTenant(s *Settings) error {
	switch s.Issuer {
	case "", "common", "organizations", "consumers":
	default:
		id, err := uuid.Parse(s.Issuer)
		if err != nil {
			return fmt.Errorf("tenant: %q is none: write its id, which the overview of Microsoft Entra shows, or common, organizations or consumers", s.Issuer)
		}
		s.Issuer = id.String()
		return nil
	}
	for _, r := range slices.Concat(s.Allow, whens(s.Grants)) {
		name, _, _ := strings.Cut(r.value, "=")
		if r.kind == "claim" && !slices.Contains([]string{"tid", "oid", "sub", "iss"}, name) {
			return fmt.Errorf("%s: with people of any tenant, each tenant says what it likes there; name one tenant, or use a term with claim:tid=, claim:oid=, email: or domain: instead", r)
		}
	}
	for _, from := range s.GroupsFrom {
		if from.Claim != "groups" && from.Claim != "tid" {
			return fmt.Errorf("groups_from %s: with people of any tenant, each tenant says what it likes there; name one tenant", from.Claim)
		}
	}
	return nil
}

// checkAddress refuses what is no URL of an endpoint. Plain HTTP is for loopback
// hosts.
func checkAddress(address string) error {
	if issuer, whole := strings.CutSuffix(address, wellKnown); whole {
		return fmt.Errorf("write the issuer alone: %s", issuer)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q is not an address such as https://id.example.com", address)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("%s is plain HTTP, over which anybody on the way could sign in as anybody: use https", address)
	}
	return nil
}
