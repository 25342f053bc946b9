package integration

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// issuer is a gate that issues tokens to the services of the organization acme, and of
// which everybody is an end user.
type issuer struct {
	*server
	at    string // of the portal: what clients know as the issuer
	token string // of acme's owner, for the API
}

// issuerFile is its Caddyfile.
const issuerFile = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://localhost:{{.HTTPS}}
		webhooks {
			allow 127.0.0.0/8
		}
		limits {
			address off
			account off
		}
		policy api {
			allow org:acme
			tokens /*
		}
	}
}
https://localhost:{{.HTTPS}} {
	gate_portal
}
https://api.example.com:{{.HTTPS}} {
	gate api
	reverse_proxy {{.Upstream}}
}
`

// startIssuer runs one with a database, and makes its organization.
func startIssuer(t testing.TB, c *cluster) *issuer {
	t.Helper()
	i := issuerAt(start(t, issuerFile, c.gate))
	withOwner(t, i.server)
	i.must(t, "", "org", "add", "acme", "--name", "Acme Inc.", "--owner", "owner")
	i.must(t, "", "org", "tier", "acme", "pro") // for many services
	i.token = tokenText.FindString(i.must(t, "", "token", "add", "tests", "--user", "owner", "--host", "localhost", "--expires", "1d", "--scope", "services.create", "--scope", "services.manage"))
	i.addUser(t, ann)
	eventually(t, "a key of each algorithm", func() bool { return strings.Count(i.Client(t).fetch(i.at+"/.gate/oauth/jwks").Body, `"kid"`) == 2 })
	return i
}

func issuerAt(s *server) *issuer { return &issuer{server: s, at: s.URL("HTTPS", "localhost")} }

// ann is who signs in at the services of acme.
var ann = someone("ann")

// authority is the file with the certificate that clients have to trust.
func (i *issuer) authority() string {
	return filepath.Join(i.Dir, "data", "caddy", "pki", "authorities", "local", "root.crt")
}

// service makes a service. What is left open is as a client needs it that is tried.
func (i *issuer) service(t testing.TB, n api.NewService) (made api.ServiceMade) {
	t.Helper()
	if n.Access == "" {
		n.Access = "everyone"
	}
	if n.Type == "" {
		n.Type = "web"
	}
	if n.Name == "" {
		n.Name = "Shop"
	}
	i.ask(t, "POST", "/organizations/acme/services", n, &made)
	return made
}

// ask asks the API.
func (i *issuer) ask(t testing.TB, method, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	must(t, err)
	got := i.Client(t).do(method, i.at+"/.gate/api/v1"+path, string(body), header{"Authorization", "Bearer " + i.token}, header{"Content-Type", "application/json"})
	if got.StatusCode >= 300 {
		t.Fatalf("%s %s %s: %s\n%s", method, path, body, got.Status, got.Body)
	}
	if out != nil {
		must(t, json.Unmarshal([]byte(got.Body), out))
	}
}

// leadsTo is where a page leads by itself; empty where it does not.
func leadsTo(p page) string {
	if to := p.location(); to != "" {
		return to
	}
	m := refresh.FindStringSubmatch(p.Body)
	if m == nil {
		return ""
	}
	to, err := p.Request.URL.Parse(html.UnescapeString(m[1]))
	if err != nil {
		return ""
	}
	return to.String()
}

// agree goes to an address of the issuer as a person does in a browser: signs in where that
// is asked for, and says yes to everything. It stops at what leads elsewhere, which is a
// redirect or a page with a form, or at a page where it goes no further.
func (i *issuer) agree(b *browser, to string, who person) page {
	b.t.Helper()
	got := b.get(to)
	for range 16 {
		if next := leadsTo(got); next != "" {
			if !strings.HasPrefix(next, i.at+"/") {
				return got
			}
			got = b.get(next)
			continue
		}
		form := url.Values{"flow": {got.Request.URL.Query().Get("flow")}, "username": {who.Username}, "password": {who.Password}}
		switch path := got.Request.URL.Path; {
		case got.StatusCode != http.StatusOK:
			return got
		case path == "/.gate/oauth/consent":
			_, form = formOf(got)
			form.Set("do", "allow")
			got = b.post(i.at+path, form)
		case path == "/.gate/oauth/end_session" && strings.Contains(got.Body, "Sign out?"):
			_, form = formOf(got)
			got = b.post(i.at+path+"/confirm", form)
		case path == "/.gate/login", path == "/.gate/confirm":
			if got.Request.Method == http.MethodPost {
				return got
			}
			got = b.post(i.at+path, form)
		default:
			return got
		}
	}
	b.t.Fatalf("going in circles at %s", got.Request.URL)
	return got
}

// brought is an answer that the issuer sends to a service by way of the browser.
type brought struct {
	At   string     `json:"at"`             // with the parameters of a redirect
	Form url.Values `json:"form,omitempty"` // with form_post
}

// answerOf reads the answer that a page brings; its At is empty where there is none.
func (i *issuer) answerOf(p page) (a brought) {
	if a.At = leadsTo(p); a.At == "" && strings.Contains(p.Body, "data-send") {
		a.At, a.Form = formOf(p)
	}
	if strings.HasPrefix(a.At, i.at+"/") {
		return brought{}
	}
	return a
}

// says are the parameters of an answer.
func (a brought) says() url.Values {
	if a.Form != nil {
		return a.Form
	}
	u, err := url.Parse(a.At)
	if err != nil {
		return nil
	}
	if u.RawQuery == "" {
		values, _ := url.ParseQuery(u.Fragment)
		return values
	}
	return u.Query()
}

// approve lets a device in as a person.
func (i *issuer) approve(b *browser, code string, who person) {
	b.t.Helper()
	i.agree(b, i.at+"/.gate/device?user_code="+url.QueryEscape(code), who)
	form := url.Values{"user_code": {code}}
	if got := b.post(i.at+"/.gate/device", form); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, code) {
		b.t.Fatalf("the device: %s\n%s", got.Status, got.Body)
	}
	form.Set("do", "approve")
	if got := b.post(i.at+"/.gate/device", form); !strings.Contains(got.Body, "Your device is signed in") {
		b.t.Fatalf("approve: %s\n%s", got.Status, got.Body)
	}
}

// goClient plays a client by the libraries of Go, for tests that need no other.
type goClient struct {
	*browser // of the client
	oauth2.Config
	i       *issuer
	made    api.ServiceMade
	found   *oidc.Provider
	checker *oidc.IDTokenVerifier
	person  *browser // of who signs in
}

// relyOn makes a service, and the client for it.
func (i *issuer) relyOn(t testing.TB, n api.NewService) *goClient {
	t.Helper()
	if n.RedirectURIs == nil {
		n.RedirectURIs = []string{openIDCallback}
	}
	c := &goClient{browser: i.Client(t), i: i, made: i.service(t, n), person: i.Client(t)}
	var err error
	c.found, err = oidc.NewProvider(c.context(), i.at)
	must(t, err)
	c.Config = oauth2.Config{ClientID: c.made.ClientID, ClientSecret: c.made.Secret, Endpoint: c.found.Endpoint(), RedirectURL: n.RedirectURIs[0],
		Scopes: []string{"openid", "profile", "email", "offline_access"}}
	c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if c.made.Secret == "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	c.checker = c.found.VerifierContext(c.context(), &oidc.Config{ClientID: c.made.ClientID})
	return c
}

func (c *goClient) context() context.Context {
	return oidc.ClientContext(context.Background(), c.browser.Client)
}

// code signs ann in and gives the code with its verifier.
func (c *goClient) code(more ...oauth2.AuthCodeOption) (code, verifier string) {
	c.t.Helper()
	verifier = oauth2.GenerateVerifier()
	to := c.AuthCodeURL("state", append(more, oauth2.S256ChallengeOption(verifier), oidc.Nonce("once"))...)
	got := c.i.agree(c.person, to, ann)
	says := c.i.answerOf(got).says()
	if says.Get("code") == "" || says.Get("state") != "state" || says.Get("iss") != c.i.at {
		c.t.Fatalf("%s: %s, %v\n%s", got.Request.URL, got.Status, says, got.Body)
	}
	return says.Get("code"), verifier
}

// signsIn signs ann in and redeems the code.
func (c *goClient) signsIn(more ...oauth2.AuthCodeOption) *oauth2.Token {
	c.t.Helper()
	code, verifier := c.code(more...)
	token, err := c.Exchange(c.context(), code, oauth2.VerifierOption(verifier))
	must(c.t, err)
	return token
}

// refresh redeems a refresh token.
func (c *goClient) refresh(token *oauth2.Token) (*oauth2.Token, error) {
	return c.TokenSource(c.context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

// claims verifies the ID token that came with another.
func (c *goClient) claims(token *oauth2.Token) (claims map[string]any) {
	c.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	verified, err := c.checker.Verify(c.context(), raw)
	must(c.t, err)
	must(c.t, verified.VerifyAccessToken(token.AccessToken))
	must(c.t, verified.Claims(&claims))
	return claims
}
