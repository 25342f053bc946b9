package caddymodule

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// ProviderSettings are one outside provider to sign in with.
type ProviderSettings struct {
	// google, microsoft, github, gitlab, discord, apple, oidc or oauth2.
	Kind string `json:"kind"`
	// In addresses and rules. The kind's own name, but for oidc and oauth2.
	Name string `json:"name"`
	// For people. Default: that of the kind, or the name.
	Label string `json:"label,omitempty"`
	// oidc: where the provider is. gitlab: the same, for one of one's own.
	Issuer string `json:"issuer,omitempty"`
	// microsoft: the tenant.
	Tenant       string `json:"tenant,omitempty"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	// apple: the team, the id of the key, and the key (.p8).
	Team  string `json:"team,omitempty"`
	KeyID string `json:"key_id,omitempty"`
	Key   string `json:"key,omitempty"`
	// oauth2: the endpoints, and what the fields of the last one mean.
	Authorize string            `json:"authorize,omitempty"`
	Token     string            `json:"token,omitempty"`
	UserInfo  string            `json:"userinfo,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
	// oauth2: how the secret is sent: form (default) or header.
	Auth string `json:"auth,omitempty"`
	// In place of the scopes that the kind asks for.
	Scopes []string `json:"scopes,omitempty"`
	// The answer comes as a form.
	FormPost bool `json:"form_post,omitempty"`
	// Who may come in: any one term.
	Allow []string `json:"allow,omitempty"`
	// Groups that people get.
	Groups []ProviderGroup `json:"groups,omitempty"`
	// Claims whose values are groups.
	GroupsFrom []ClaimGroups `json:"groups_from,omitempty"`
	// Who gets an account at the first sign-in: create (default), invite or ask.
	NewUsers string `json:"new_users,omitempty"`
	// How often the provider is asked again about people who are signed in, or off. Default: 1h.
	Recheck string `json:"recheck,omitempty"`
	// Whether to believe the provider that it asked for two factors.
	TrustMFA bool `json:"trust_mfa,omitempty"`
	// Whether services may ask for people's tokens at the provider.
	Broker bool `json:"broker,omitempty"`
	// Where a sign-out ends: both (default) or here.
	SignOut string `json:"sign_out,omitempty"`

	at string // where it stands in a Caddyfile
}

// ProviderGroup is a group for those for whom any one of the terms holds.
type ProviderGroup struct {
	Group string   `json:"group"`
	When  []string `json:"when"`
}

// ClaimGroups is a claim whose values are groups.
type ClaimGroups struct {
	Claim string `json:"claim"`
	// Before each of them. Default: the provider's name and a slash.
	Prefix *string `json:"prefix,omitempty"`
}

// providerKind is what the Caddyfile's line of a kind of provider is like.
type providerKind struct {
	label string
	named bool     // several may be there, each with a name
	args  []string // what stands in the line, after the name
	open  bool     // everybody there may come in unless an allow line says otherwise
}

var providerKinds = map[string]providerKind{
	connect.Google:    {label: "Google", args: []string{"CLIENT_ID", "SECRET"}},
	connect.Microsoft: {label: "Microsoft", args: []string{"CLIENT_ID", "SECRET"}},
	connect.GitHub:    {label: "GitHub", args: []string{"CLIENT_ID", "SECRET"}},
	connect.GitLab:    {label: "GitLab", args: []string{"CLIENT_ID", "SECRET"}},
	connect.Discord:   {label: "Discord", args: []string{"CLIENT_ID", "SECRET"}},
	connect.Apple:     {label: "Apple", args: []string{"CLIENT_ID"}},
	connect.OIDC:      {named: true, args: []string{"ISSUER", "CLIENT_ID", "SECRET"}, open: true},
	connect.OAuth2:    {named: true, args: []string{"CLIENT_ID", "SECRET"}},
}

// everyone is the term that lets in whoever the provider knows.
const everyone = "everyone"

// providers reads all providers.
func (r *resolver) providers(all []ProviderSettings) []connect.Settings {
	var out []connect.Settings
	for i := range all {
		if slices.ContainsFunc(all[:i], func(q ProviderSettings) bool { return q.Name == all[i].Name }) {
			r.fail("provider %s is there twice", all[i].Name)
		}
		out = append(out, r.wholeProvider(&all[i]))
	}
	return out
}

// wholeProvider is provider, and looks for what is missing.
func (r *resolver) wholeProvider(p *ProviderSettings) connect.Settings {
	s := r.provider(p)
	need := func(value, what string) {
		if value == "" {
			r.fail("%s: %s", p.Kind, what)
		}
	}
	need(p.ClientID, "the client id is missing, which the provider gave you")
	switch p.Kind {
	case connect.OIDC:
		need(p.Issuer, "the issuer is missing, as in https://id.example.com")
	case connect.Apple:
		need(p.Team, "its block needs a line: team ID")
		need(p.KeyID, "its block needs a line: key_id ID")
		need(p.Key, "its block needs a line: key {file./path/to/the/key.p8}")
	case connect.OAuth2:
		need(p.Authorize, "its block needs a line: authorize URL")
		need(p.Token, "its block needs a line: token URL")
		need(p.UserInfo, "its block needs a line: userinfo URL")
		need(p.Fields["subject"], "its block needs: fields { subject NAME }, which says who it is")
	}
	if p.Kind != connect.OIDC && p.Kind != connect.Apple {
		need(p.ClientSecret, "the client's secret is missing")
	}
	if len(p.Allow) == 0 && !providerKinds[p.Kind].open {
		r.fail("%s: it lacks an allow line: anybody can have an account at %s; say who may come in, as in: allow domain:example.com, or for all of them: allow everyone",
			p.Name, cmp.Or(providerKinds[p.Kind].label, p.Name))
	}
	return s
}

// provider reads the settings of one provider as far as they are there.
func (r *resolver) provider(p *ProviderSettings) connect.Settings {
	kind, known := providerKinds[p.Kind]
	if !known {
		r.fail("unknown kind of provider %q; known: %s", p.Kind, strings.Join(sortedKeys(providerKinds), ", "))
		return connect.Settings{}
	}
	if !validProvider(p.Name) {
		r.fail("%q cannot be the name of a provider: use up to 32 lower-case letters, digits, - and _", p.Name)
	}
	s := connect.Settings{Name: p.Name, Kind: p.Kind, Label: cmp.Or(r.text("label", p.Label), kind.label, p.Name),
		Issuer: cmp.Or(r.text("issuer", p.Issuer), r.text("tenant", p.Tenant)), ClientID: r.text("client id", p.ClientID),
		ClientSecret: authcore.Secret(r.text("secret", p.ClientSecret)),
		AppleKey:     connect.AppleKey{Team: r.text("team", p.Team), ID: r.text("key_id", p.KeyID), Key: authcore.Secret(r.text("key", p.Key))},
		Authorize:    r.text("authorize", p.Authorize), Token: r.text("token", p.Token), UserInfo: r.text("userinfo", p.UserInfo),
		Fields: connect.Fields{Subject: p.Fields["subject"], Username: p.Fields["username"], Name: p.Fields["name"], Email: p.Fields["email"], EmailVerified: p.Fields["email_verified"]},
		Scopes: r.texts("scopes", p.Scopes), FormPost: p.FormPost, TrustMFA: p.TrustMFA, HandsOutTokens: p.Broker}
	if len(s.Scopes) > 0 && p.Kind != connect.GitHub && p.Kind != connect.Discord && p.Kind != connect.OAuth2 && !slices.Contains(s.Scopes, "openid") {
		r.fail("scopes: openid must be among them: without it the provider does not say who it is")
	}
	s.Allow = r.rules(p.Kind, p.Allow)
	if len(p.Allow) == 0 && kind.open {
		s.Allow = r.rules(p.Kind, []string{everyone})
	}
	for _, g := range p.Groups {
		s.Grants = append(s.Grants, r.grants(p.Kind, g)...)
	}
	for _, from := range p.GroupsFrom {
		prefix := p.Name + "/"
		if from.Prefix != nil {
			prefix = *from.Prefix
		}
		if !access.ValidGroup(prefix + "x") {
			r.fail("groups_from: %q cannot begin the name of a group", prefix)
		}
		s.GroupsFrom = append(s.GroupsFrom, connect.ClaimGroups{Claim: from.Claim, Prefix: prefix})
	}
	switch t := r.text("auth", p.Auth); t {
	case "", "form":
	case "header":
		s.AuthInHeader = true
	default:
		r.fail("auth is form or header, not %q", t)
	}
	s.NewUsers, s.SignOut, s.RecheckEvery = r.newUsers(p.NewUsers), r.signOut(p.SignOut), r.recheck(p.Recheck)
	if known := r.expand != nil || !slices.ContainsFunc([]string{p.Issuer, p.Tenant, p.Authorize, p.Token, p.UserInfo, p.Key}, isPlaceholder); known && r.err == nil {
		if _, err := connect.New(s, nil, time.Now); err != nil {
			r.fail("%s: %w", p.Name, err)
		}
	}
	return s
}

func validProvider(name string) bool {
	return name != "" && len(name) <= 32 && name[0] != '-' && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// rules reads terms; what a placeholder hides is looked at when the gate starts.
func (r *resolver) rules(kind string, terms []string) []connect.Rule {
	var all []connect.Rule
	for _, term := range terms {
		text := r.text("allow", term)
		if text == "" {
			continue
		}
		rule, err := connect.ParseRule(text, kind)
		if err != nil {
			r.fail("%w", err)
		}
		all = append(all, rule)
	}
	return all
}

// grants reads a line that gives a group.
func (r *resolver) grants(kind string, g ProviderGroup) []connect.Grant {
	if len(g.When) == 0 {
		r.fail("group takes a name and at least one term, as in: group staff domain:example.com")
		return nil
	}
	name := r.text("group", g.Group)
	if name != "" && !access.ValidGroup(name) {
		r.fail("%q cannot be the name of a group: use up to 64 lower-case letters, digits and . _ - : / @", name)
	}
	var all []connect.Grant
	for _, rule := range r.rules(kind, g.When) {
		all = append(all, connect.Grant{Group: name, When: rule})
	}
	return all
}

func (r *resolver) newUsers(s string) authcore.NewUsers {
	switch v := authcore.NewUsers(r.text("new_users", s)); v {
	case "":
		return authcore.NewUsersCreate
	case authcore.NewUsersCreate, authcore.NewUsersInvite, authcore.NewUsersAsk:
		return v
	default:
		r.fail("new_users is create, invite or ask, not %q", s)
	}
	return authcore.NewUsersInvite
}

func (r *resolver) signOut(s string) bool {
	switch t := r.text("sign_out", s); t {
	case "", "both":
		return true
	case "here":
	default:
		r.fail("sign_out is both or here, not %q", t)
	}
	return false
}

const defaultRecheck = "1h"

func (r *resolver) recheck(s string) time.Duration {
	if r.text("recheck", s) == "off" {
		return 0
	}
	return r.duration("recheck", s, defaultRecheck)
}

// invites tells whether an invitation is good for something.
func (v *values) invites() bool {
	return v.register == authcore.RegisterInvite || slices.ContainsFunc(v.providers, func(p connect.Settings) bool { return p.NewUsers == authcore.NewUsersInvite })
}

// providerNames are the names of all providers.
func (v *values) providerNames() []string {
	names := []string{}
	for _, p := range v.providers {
		names = append(names, p.Name)
	}
	return names
}

// providerTransport reaches providers. It is one for all configurations, so that a
// reload leaves no connections behind.
var providerTransport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32, IdleConnTimeout: 90 * time.Second,
	TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext}

func newProviders(all []connect.Settings) (*connect.Providers, error) {
	var providers []*connect.Provider
	for _, s := range all {
		p, err := connect.New(s, providerTransport, time.Now)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", s.Name, err)
		}
		if same := slices.IndexFunc(providers, func(q *connect.Provider) bool { return p.Issuer != "" && q.Issuer == p.Issuer }); same >= 0 {
			return nil, fmt.Errorf("providers %s and %s are the same one (%s), so that their people could not be told apart: keep one", providers[same].Name, p.Name, p.Issuer)
		}
		providers = append(providers, p)
	}
	return connect.NewProviders(providers, nil), nil // those of organizations come with the database
}

func noProvider(name string) error {
	return fmt.Errorf("there is no provider %q; define it in the global option gate", name)
}

// knowsProvider refuses a name that no provider has.
func (a *App) knowsProvider(name string) error {
	if _, err := a.providers.Find(a.ctx, "", name); err != nil {
		return noProvider(name)
	}
	return nil
}

// asking is what goes on with the providers of one configuration while it runs.
type asking struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// start asks each provider where its endpoints are, and again and again about those who
// are signed in by it.
func (a *asking) start(rt *instance) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, p := range rt.app.providers.All() {
		a.ended.Go(func() { p.Run(ctx, rt.core.complaint("provider "+p.Name+" does not answer as it should").report) })
		a.ended.Go(func() {
			rt.broker.Recheck(ctx, p, rt.core.complaint("provider "+p.Name+" cannot be asked who is still there").report)
		})
	}
}

func (a *asking) end() {
	if a.cancel != nil {
		a.cancel()
	}
	a.ended.Wait()
}

// pagesOrigins are the origins that have pages to sign in.
func (rt *instance) pagesOrigins() []string {
	if rt.portal.host != "" {
		return []string{rt.portal.String()}
	}
	var all []string
	for _, s := range rt.sites {
		if s.host != "" {
			all = append(all, s.origin.String())
		}
	}
	return all
}
