package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The kinds of OpenID providers, named for their npm packages. Nobody here wrote them.
const (
	oidcProvider = "oidc-provider"      // all of OpenID Connect, with pages on which one signs in
	mockProvider = "oauth2-mock-server" // has no pages: it signs everybody in at once
)

// openIDProvider is a provider that runs as a process of its own, with its own port,
// keys and people. It knows everybody who signs in: somebody has the login as subject
// and preferred_username, and an email address at example.com, until a test says
// otherwise.
type openIDProvider struct {
	Issuer string
	Kind   string
	Addr   string // host and port where it listens

	state []byte // what it begins with
	admin string // the address of its admin side
	log   logBuffer
	mu    sync.Mutex
	cmd   *exec.Cmd
	done  chan struct{} // closed when cmd has ended
}

// openIDSettings is how a provider begins; integration/openid/common.mjs says more.
// Its zero value does for most tests.
type openIDSettings struct {
	Host   string `json:"-"`                // of the issuer, else 127.0.0.1
	Path   string `json:"-"`                // of the issuer, as "/realms/staff"
	Issuer string `json:"issuer,omitempty"` // all of it, where a proxy stands before the provider
	Port   int    `json:"port,omitempty"`   // chosen when it starts

	Alg             string                    `json:"alg,omitempty"`             // signs ID tokens; else RS256
	PKCE            bool                      `json:"pkce,omitempty"`            // refuses who sends no code challenge
	UserinfoOnly    bool                      `json:"userinfoOnly,omitempty"`    // ID tokens tell nothing but the subject
	AccessTokenLife int                       `json:"accessTokenLife,omitempty"` // seconds, else an hour
	Rotate          bool                      `json:"rotate,omitempty"`          // a refresh token is good once
	Login           string                    `json:"login,omitempty"`           // whom a mockProvider signs in, else alice
	People          map[string]map[string]any `json:"people,omitempty"`          // claims by login; nil leaves a claim out
}

// openIDClient is what a provider knows of us. A mockProvider takes any client.
type openIDClient struct {
	ID                 string   `json:"client_id"`
	Secret             string   `json:"client_secret,omitempty"`
	Redirects          []string `json:"redirect_uris"`
	AfterLogout        []string `json:"post_logout_redirect_uris,omitempty"`
	BackChannel        string   `json:"backchannel_logout_uri,omitempty"`
	BackChannelSession bool     `json:"backchannel_logout_session_required,omitempty"` // sid is in logout and ID tokens only with this
	ResponseModes      []string `json:"response_modes,omitempty"`                      // else all
	AuthMethod         string   `json:"token_endpoint_auth_method,omitempty"`          // else client_secret_basic
	GrantTypes         []string `json:"grant_types,omitempty"`                         // else authorization_code and refresh_token
}

// startOpenID starts a provider and stops it when the test ends.
func startOpenID(t testing.TB, kind string, settings openIDSettings) *openIDProvider {
	t.Helper()
	p, err := launchOpenID(kind, settings)
	must(t, err)
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("end of %s's log:\n%s", kind, tail(p.log.String(), 40))
		}
	})
	return p
}

// launchOpenID starts a provider that nobody stops before all tests are done: one for a
// shared server, whose option can put the issuer into Vars.
func launchOpenID(kind string, settings openIDSettings) (*openIDProvider, error) {
	if _, err := os.Stat(filepath.Join("openid", "node_modules")); err != nil {
		return nil, errors.New("the OpenID providers are not installed: run integration/setup.sh")
	}
	var err error
	for range 3 { // another program may take the port in between
		settings := settings
		settings.Port = freePort()
		settings.Issuer = cmp.Or(settings.Issuer, fmt.Sprintf("http://%s:%d%s", cmp.Or(settings.Host, "127.0.0.1"), settings.Port, settings.Path))
		p := &openIDProvider{Issuer: settings.Issuer, Kind: kind, Addr: fmt.Sprintf("127.0.0.1:%d", settings.Port)}
		if p.state, err = json.Marshal(settings); err != nil {
			return nil, err
		}
		if err = p.run(); err == nil {
			return p, nil
		}
		if !strings.Contains(err.Error(), "EADDRINUSE") {
			break
		}
	}
	return nil, err
}

var openIDReady = regexp.MustCompile(`(?m)^ready (\d+)$`)

// run starts the process and waits until it listens.
func (p *openIDProvider) run() error {
	cmd := exec.Command("node", filepath.Join("openid", p.Kind+".mjs"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(p.state), &p.log, &p.log
	from := len(p.log.String())
	if err := launch(cmd); err != nil {
		return err
	}
	watch(cmd.Process, true)
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		watch(cmd.Process, false)
		close(done)
	}()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	err := await(func() bool { return openIDReady.MatchString(p.log.String()[from:]) || ended(done) })
	ready := openIDReady.FindStringSubmatch(p.log.String()[from:])
	if ready == nil || ended(done) {
		p.end()
		return fmt.Errorf("%s does not start (%v):\n%s", p.Kind, err, p.log.String()[from:])
	}
	p.admin = "http://127.0.0.1:" + ready[1]
	return nil
}

// end stops the process, if it runs.
func (p *openIDProvider) end() {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
	}
}

// stop ends the process: nobody listens at its port any more.
func (p *openIDProvider) stop(t testing.TB) {
	t.Helper()
	var state json.RawMessage
	p.ask(t, "state", struct{}{}, &state)
	p.state = state
	p.end()
}

// restart starts a process anew, which has the port, the keys, people, clients, sessions
// and tokens of the one before, but counts from 0 and fails nowhere.
func (p *openIDProvider) restart(t testing.TB) {
	t.Helper()
	if p.running() {
		p.stop(t)
	}
	must(t, p.run())
}

func (p *openIDProvider) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// ask sends a request to the admin side.
func (p *openIDProvider) ask(t testing.TB, what string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	must(t, err)
	resp, err := (&http.Client{Timeout: patience}).Post(p.admin+"/"+what, "application/json", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, asked for %s: %s\n%s", p.Kind, what, resp.Status, text)
	}
	if out != nil {
		must(t, json.Unmarshal(text, out))
	}
}

// client registers us, with the secret that we prove ourselves with and the addresses
// that people may come back to.
func (p *openIDProvider) client(t testing.TB, id, secret string, redirects ...string) {
	t.Helper()
	p.register(t, openIDClient{ID: id, Secret: secret, Redirects: redirects})
}

// register registers a client, or changes it.
func (p *openIDProvider) register(t testing.TB, c openIDClient) {
	t.Helper()
	p.ask(t, "client", c, nil)
}

// set changes a setting by its JSON name, as "accessTokenLife".
func (p *openIDProvider) set(t testing.TB, name string, value any) {
	t.Helper()
	p.ask(t, "settings", map[string]any{name: value}, nil)
}

// setClaims changes the claims that are named and leaves the others. A claim that is
// nil is left out. An account that was removed is there again.
func (p *openIDProvider) setClaims(t testing.TB, login string, claims map[string]any) {
	t.Helper()
	p.ask(t, "person", map[string]any{"login": login, "claims": claims}, nil)
}

// remove has an account disabled: it cannot sign in, its sessions are gone and refresh
// tokens give invalid_grant. Clients are not told.
func (p *openIDProvider) remove(t testing.TB, login string) {
	t.Helper()
	p.ask(t, "remove", map[string]any{"login": login}, nil)
}

// revoke takes back what somebody has granted to clients; the account stays.
func (p *openIDProvider) revoke(t testing.TB, login string) {
	t.Helper()
	p.ask(t, "revoke", map[string]any{"login": login}, nil)
}

// openIDTold is what became of telling a client that somebody has signed out.
type openIDTold struct{ Client, Sub, Error string }

// signOut ends the sessions of a person at an oidcProvider, as its administrator would,
// and gives what the clients said when they were told.
func (p *openIDProvider) signOut(t testing.TB, login string) (told []openIDTold) {
	t.Helper()
	p.ask(t, "signout", map[string]any{"login": login}, &told)
	return told
}

// told is what clients of an oidcProvider said so far to the news of a sign-out.
func (p *openIDProvider) told(t testing.TB) (told []openIDTold) {
	t.Helper()
	p.ask(t, "told", struct{}{}, &told)
	return told
}

// openIDGrant is a refresh token that is good.
type openIDGrant struct{ Login, Client, Scope string }

func (p *openIDProvider) grants(t testing.TB) (grants []openIDGrant) {
	t.Helper()
	p.ask(t, "grants", struct{}{}, &grants)
	return grants
}

// count is how many requests an endpoint has had since the process started: discovery,
// authorization, token, userinfo, jwks, logout, revocation or introspection. Those
// that it failed count too.
func (p *openIDProvider) count(t testing.TB, endpoint string) int {
	t.Helper()
	var counts map[string]int
	p.ask(t, "counts", struct{}{}, &counts)
	return counts[endpoint]
}

// fail has an endpoint fail from now on, or work again where mode is "":
//
//	hang     requests wait, and are answered as usual once the mode is another
//	drop     the connection closes without an answer
//	garbage  200 with what is no JSON
//	503      this status, or any other
//	WORD     400 with this OAuth error, as "invalid_grant"
func (p *openIDProvider) fail(t testing.TB, endpoint, mode string) {
	t.Helper()
	p.ask(t, "fail", map[string]string{"endpoint": endpoint, "mode": mode}, nil)
}

// rotateKeys makes a new key that signs from now on. The old ones are still published.
func (p *openIDProvider) rotateKeys(t testing.TB) {
	t.Helper()
	p.ask(t, "rotate", map[string]bool{"alone": false}, nil)
}

// replaceKeys is rotateKeys where the old keys are published no more.
func (p *openIDProvider) replaceKeys(t testing.TB) {
	t.Helper()
	p.ask(t, "rotate", map[string]bool{"alone": true}, nil)
}

var (
	pageForm   = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	pageHidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// formOf reads the form of a provider's page: where it goes, and its hidden fields.
func formOf(p page) (action string, fields url.Values) {
	m := pageForm.FindStringSubmatch(p.Body)
	if m == nil {
		return "", nil
	}
	fields = make(url.Values)
	for _, field := range pageHidden.FindAllStringSubmatch(p.Body, -1) {
		fields.Set(field[1], html.UnescapeString(field[2]))
	}
	return html.UnescapeString(m[1]), fields
}

// atProvider goes on from a redirect to a provider: it signs in there where it is asked
// to, agrees to everything (a sign-out too), and stops at the answer that leads back. That
// is a redirect, or a page with a form (handOver takes either); or the provider's page
// where it went wrong.
func (b *browser) atProvider(p page, login string) page {
	b.t.Helper()
	there, err := p.Response.Location()
	if err != nil {
		b.t.Fatalf("%s does not lead to a provider: %s\n%s", p.Request.URL, p.Status, p.Body)
	}
	p = b.get(there.String())
	for range 12 {
		if to, err := p.Response.Location(); err == nil {
			if to.Host != there.Host {
				return p
			}
			p = b.get(to.String())
			continue
		}
		action, fields := formOf(p)
		if to, err := p.Request.URL.Parse(action); action == "" || err != nil || to.Host != there.Host {
			return p
		}
		if strings.Contains(p.Body, `name="login"`) {
			fields.Set("login", login)
			fields.Set("password", "any is right")
		}
		fields.Set("logout", "yes") // what other forms do not know
		p = b.post(action, fields)
	}
	b.t.Fatalf("going in circles at %s", p.Request.URL)
	return p
}

// handOver takes a provider's answer to us as a browser would, which comes from another
// site: it follows the redirect or sends the form. But cookies go along whatever their
// SameSite; of these only Chromium tells the truth.
func (b *browser) handOver(p page) page {
	b.t.Helper()
	foreign := []header{{"Accept", "text/html"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "cross-site"}}
	if to := p.location(); to != "" {
		return b.do("GET", to, "", foreign...)
	}
	action, fields := formOf(p)
	if action == "" {
		b.t.Fatalf("%s does not lead back: %s\n%s", p.Request.URL, p.Status, p.Body)
	}
	return b.do("POST", action, fields.Encode(), append(foreign, header{"Origin", p.Request.URL.Scheme + "://" + p.Request.URL.Host},
		header{"Content-Type", "application/x-www-form-urlencoded"})...)
}

// signInAtProvider signs in on the pages of an oidcProvider and agrees to what they ask.
// It returns when the tab has left them, or shows one that asks nothing: an account that
// is gone.
func (w *tab) signInAtProvider(login string) {
	w.t.Helper()
	asking := func(url string) bool { return strings.Contains(url, "/interaction/") }
	w.arrives("the provider's page", asking)
	there, err := url.Parse(w.address())
	must(w.t, err)
	away := func(to string) bool { return !strings.HasPrefix(to, there.Scheme+"://"+there.Host+"/") }
	for asking(w.address()) {
		switch eval[string](w, `document.querySelector("form [name=prompt]")?.value ?? ""`) {
		case "login":
			w.fill("[name=login]", login)
			w.fill("[name=password]", "any is right")
			w.press("Sign-in")
		case "consent":
			w.press("Continue")
		default:
			return
		}
		w.arrives("the provider's next page, or another's", func(to string) bool { return asking(to) || away(to) })
	}
}

// signOutAtProvider agrees to sign out on the page of an oidcProvider.
func (w *tab) signOutAtProvider() {
	w.t.Helper()
	w.arrives("the provider's page", func(url string) bool { return strings.Contains(url, "/session/end?") })
	w.press("Yes, sign me out")
}

// openIDParty plays the client of a provider in the tests of this harness.
type openIDParty struct {
	*browser
	oauth2.Config
	p       *openIDProvider
	checker *oidc.IDTokenVerifier
}

const openIDCallback = "https://app.example.com/callback"

func newOpenIDParty(t testing.TB, p *openIDProvider) *openIDParty {
	t.Helper()
	party := &openIDParty{browser: new(server).Client(t), p: p}
	found, err := oidc.NewProvider(party.context(), p.Issuer)
	must(t, err)
	party.Config = oauth2.Config{ClientID: "app", ClientSecret: "the secret of app", Endpoint: found.Endpoint(), RedirectURL: openIDCallback,
		Scopes: []string{"openid", "profile", "email"}}
	party.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	party.checker = found.VerifierContext(party.context(), &oidc.Config{ClientID: "app", SupportedSigningAlgs: []string{"RS256", "ES256", "EdDSA"}})
	p.client(t, party.ClientID, party.ClientSecret, openIDCallback)
	return party
}

func (party *openIDParty) context() context.Context {
	return oidc.ClientContext(context.Background(), party.browser.Client)
}

// answer signs in at the provider and gives what it answers, and the code verifier.
func (party *openIDParty) answer(login string, more ...oauth2.AuthCodeOption) (page, string) {
	party.t.Helper()
	verifier := oauth2.GenerateVerifier()
	more = append(more, oauth2.S256ChallengeOption(verifier), oidc.Nonce("once"), oauth2.SetAuthURLParam("login_hint", login))
	return party.atProvider(redirectTo(party.AuthCodeURL("state", more...)), login), verifier
}

// redirectTo is an answer of ours that leads to a provider.
func redirectTo(to string) page {
	return page{Response: &http.Response{Header: http.Header{"Location": {to}}}}
}

// signIn signs in and redeems the code.
func (party *openIDParty) signIn(login string) *oauth2.Token {
	party.t.Helper()
	got, verifier := party.answer(login)
	back, err := url.Parse(got.location())
	if err != nil || !strings.HasPrefix(got.location(), openIDCallback) || back.Query().Get("state") != "state" {
		party.t.Fatalf("%s: %s to %q\n%s", got.Request.URL, got.Status, got.location(), got.Body)
	}
	token, err := party.Exchange(party.context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	must(party.t, err)
	return token
}

// refresh redeems the refresh token.
func (party *openIDParty) refresh(token *oauth2.Token) (*oauth2.Token, error) {
	return party.TokenSource(party.context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

// claims verifies the ID token that came with another.
func (party *openIDParty) claims(token *oauth2.Token) map[string]any {
	party.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	verified, err := party.checker.Verify(party.context(), raw)
	must(party.t, err)
	var claims map[string]any
	must(party.t, verified.Claims(&claims))
	return claims
}

// refused fails the test unless a provider said no with this OAuth error.
func refused(t testing.TB, err error, code string) {
	t.Helper()
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.ErrorCode != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// eachOpenID runs a test with each kind of provider.
func eachOpenID(t *testing.T, settings openIDSettings, test func(t *testing.T, party *openIDParty)) {
	t.Parallel()
	for _, kind := range []string{oidcProvider, mockProvider} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newOpenIDParty(t, startOpenID(t, kind, settings)))
		})
	}
}

// Somebody signs in, is refreshed, changes, and goes.
func TestOpenIDFlow(t *testing.T) {
	eachOpenID(t, openIDSettings{PKCE: true, People: map[string]map[string]any{
		"alice": {"sub": "4711", "groups": []string{"staff", "wiki"}, "desk": "north", "name": nil},
	}}, func(t *testing.T, party *openIDParty) {
		p := party.p
		token := party.signIn("alice")
		claims := party.claims(token)
		if claims["sub"] != "4711" || claims["email"] != "alice@example.com" || claims["email_verified"] != true || claims["preferred_username"] != "alice" ||
			claims["name"] != nil || fmt.Sprint(claims["groups"]) != "[staff wiki]" || claims["desk"] != "north" || claims["nonce"] != "once" {
			t.Errorf("the ID token says %v", claims)
		}
		if life := token.ExpiresIn; life != 3600 {
			t.Errorf("the access token lives for %d s", life)
		}
		if grants := p.grants(t); len(grants) != 1 || grants[0].Login != "alice" || grants[0].Client != "app" {
			t.Errorf("granted: %+v", grants)
		}

		p.setClaims(t, "alice", map[string]any{"groups": []string{"wiki"}})
		p.set(t, "accessTokenLife", 5)
		again, err := party.refresh(token)
		must(t, err)
		claims = party.claims(again)
		if claims["sub"] != "4711" || fmt.Sprint(claims["groups"]) != "[wiki]" || claims["desk"] != "north" || again.ExpiresIn != 5 {
			t.Errorf("refreshed: %v, for %d s", claims, again.ExpiresIn)
		}

		p.remove(t, "alice")
		_, err = party.refresh(again)
		refused(t, err, "invalid_grant")
		if got, _ := party.answer("alice"); got.StatusCode != http.StatusForbidden && !strings.Contains(got.location(), "error=access_denied") {
			t.Errorf("who is gone signs in: %s to %q", got.Status, got.location())
		}
		p.setClaims(t, "alice", nil)
		if claims = party.claims(party.signIn("alice")); claims["sub"] != "4711" {
			t.Errorf("who is there again: %v", claims)
		}
		if grants := p.grants(t); len(grants) == 0 {
			t.Error("nothing is granted")
		}
		p.revoke(t, "alice")
		if grants := p.grants(t); len(grants) != 0 {
			t.Errorf("granted after all was revoked: %+v", grants)
		}
		if n := p.count(t, "token"); n != 4 {
			t.Errorf("%d requests to the token endpoint", n)
		}
		if n := p.count(t, "discovery"); n != 1 {
			t.Errorf("%d requests to the discovery document", n)
		}
	})
}

// Claims are left to the userinfo endpoint, refresh tokens rotate, and another algorithm
// signs.
func TestOpenIDSettings(t *testing.T) {
	eachOpenID(t, openIDSettings{UserinfoOnly: true, Rotate: true, Alg: "ES256"}, func(t *testing.T, party *openIDParty) {
		token := party.signIn("bob")
		if claims := party.claims(token); claims["sub"] != "bob" || claims["email"] != nil {
			t.Errorf("the ID token says %v", claims)
		}
		got := party.fetch(cmp.Or(map[string]string{oidcProvider: party.p.Issuer + "/me"}[party.p.Kind], party.p.Issuer+"/userinfo"),
			header{"Authorization", "Bearer " + token.AccessToken})
		if !strings.Contains(got.Body, `"email":"bob@example.com"`) || party.p.count(t, "userinfo") != 1 {
			t.Errorf("userinfo: %s %s", got.Status, got.Body)
		}
		again, err := party.refresh(token)
		must(t, err)
		_, err = party.refresh(token)
		refused(t, err, "invalid_grant")
		if again.RefreshToken == token.RefreshToken {
			t.Error("the refresh token is the one of before")
		}
	})
}

// A provider's keys change while tokens of the old ones are about.
func TestOpenIDKeys(t *testing.T) {
	eachOpenID(t, openIDSettings{}, func(t *testing.T, party *openIDParty) {
		old := party.signIn("alice")
		party.claims(old)
		party.p.rotateKeys(t)
		before := party.p.count(t, "jwks")
		fresh, err := party.refresh(old)
		must(t, err)
		party.claims(fresh)
		if party.p.count(t, "jwks") == before {
			t.Error("the new token is signed with the old key")
		}
		party.claims(old)

		party.p.replaceKeys(t)
		if published := party.fetch(party.p.Issuer + "/jwks"); strings.Count(published.Body, `"kid"`) != 1 {
			t.Errorf("published: %s", published.Body)
		}
		if fresh, err = party.refresh(fresh); err != nil {
			t.Fatal(err)
		}
		party.claims(fresh)
	})
}

// Endpoints fail in every way, and work again.
func TestOpenIDFails(t *testing.T) {
	eachOpenID(t, openIDSettings{}, func(t *testing.T, party *openIDParty) {
		p := party.p
		token := party.signIn("alice")
		for mode, want := range map[string]string{"503": "503 Service Unavailable", "drop": "EOF", "garbage": "cannot parse json", "invalid_grant": "invalid_grant"} {
			p.fail(t, "token", mode)
			if _, err := party.refresh(token); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", mode, err)
			}
		}
		p.fail(t, "token", "hang")
		before, answered := p.count(t, "token"), make(chan error)
		go func() {
			_, err := party.refresh(token)
			answered <- err
		}()
		eventually(t, "the request to wait", func() bool { return p.count(t, "token") > before })
		select {
		case err := <-answered:
			t.Errorf("answered while it hangs: %v", err)
		default:
		}
		p.fail(t, "token", "")
		must(t, <-answered)
		p.fail(t, "discovery", "503")
		if got := party.fetch(p.Issuer + "/.well-known/openid-configuration"); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("discovery: %s", got.Status)
		}
	})
}

// A provider is away for a while, and nothing is lost.
func TestOpenIDRestarts(t *testing.T) {
	eachOpenID(t, openIDSettings{}, func(t *testing.T, party *openIDParty) {
		token := party.signIn("alice")
		party.p.stop(t)
		party.CloseIdleConnections() // it may not have noticed yet that they are dead
		if _, err := party.refresh(token); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("while it is away: %v", err)
		}
		party.p.restart(t)
		party.claims(token)
		again, err := party.refresh(token)
		must(t, err)
		party.claims(again)
		party.signIn("alice")
	})
}

// An issuer can have another host, a path, or HTTPS by a proxy before it.
func TestOpenIDIssuers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{oidcProvider, mockProvider} {
		for _, settings := range []openIDSettings{{Host: "localhost"}, {Host: "staff.localhost", Path: "/realms/staff"}, {Issuer: "https"}} {
			t.Run(kind+" "+settings.Host+settings.Issuer, func(t *testing.T) {
				t.Parallel()
				front := httptest.NewUnstartedServer(nil)
				defer front.Close()
				if settings.Issuer == "https" {
					settings.Issuer += strings.Replace("://"+front.Listener.Addr().String(), "127.0.0.1", "id.example.com", 1)
				}
				p := startOpenID(t, kind, settings)
				front.Config.Handler = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(&url.URL{Scheme: "http", Host: p.Addr})
					r.Out.Host = r.In.Host
					r.SetXForwarded()
				}}
				front.StartTLS()
				party := newOpenIDParty(t, p)
				if !strings.HasPrefix(party.Endpoint.TokenURL, p.Issuer+"/") {
					t.Errorf("the token endpoint of %s is %s", p.Issuer, party.Endpoint.TokenURL)
				}
				party.claims(party.signIn("alice"))
			})
		}
	}
}

// A client is told when somebody signs out at the provider: over HTTPS with a
// certificate of its own, at a host that only tests know.
func TestOpenIDSignsOut(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 2)
	client := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Host + " " + r.FormValue("logout_token") }))
	defer client.Close()
	party := newOpenIDParty(t, startOpenID(t, oidcProvider, openIDSettings{People: map[string]map[string]any{"alice": {"sub": "4711"}}}))
	p, host := party.p, strings.Replace(client.Listener.Addr().String(), "127.0.0.1", "auth.example.com", 1)
	p.register(t, openIDClient{ID: "app", Secret: party.ClientSecret, Redirects: []string{openIDCallback}, AfterLogout: []string{"https://app.example.com/bye"},
		BackChannel: "https://" + host + "/signed-out", BackChannelSession: true})

	token := party.signIn("alice")
	sid := party.claims(token)["sid"]
	idToken, _ := token.Extra("id_token").(string)
	leave := p.Issuer + "/session/end?" + url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://app.example.com/bye"}, "state": {"s"}}.Encode()
	got := party.atProvider(redirectTo(leave), "")
	if got.location() != "https://app.example.com/bye?state=s" {
		t.Errorf("after the sign-out: %s to %q\n%s", got.Status, got.location(), got.Body)
	}
	if told := p.told(t); !slices.Equal(told, []openIDTold{{Client: "app", Sub: "4711"}}) {
		t.Fatalf("told: %+v", told)
	}
	at, raw, _ := strings.Cut(<-heard, " ")
	claims := party.claims((&oauth2.Token{}).WithExtra(map[string]any{"id_token": raw}))
	if at != host || sid == nil || claims["sid"] != sid || claims["sub"] != "4711" {
		t.Errorf("at %s, for the session %v: %v", at, sid, claims)
	}
	_, err := party.refresh(token)
	refused(t, err, "invalid_grant")

	party.signIn("alice")
	if told := p.signOut(t, "alice"); len(told) != 1 || told[0].Error != "" || len(heard) != 1 {
		t.Errorf("told by the administrator: %+v", told)
	}
	client.Close()
	party.signIn("alice")
	if told := p.signOut(t, "alice"); len(told) != 1 || told[0].Error == "" {
		t.Errorf("told a client that is away: %+v", told)
	}
}

// The answer comes in a form where that is asked for, to clients that may; and somebody
// else can sign in where one person was.
func TestOpenIDFormPost(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	party := newOpenIDParty(t, startOpenID(t, oidcProvider, openIDSettings{}))
	party.RedirectURL = up.URL + "/callback"
	party.p.client(t, "app", party.ClientSecret, party.RedirectURL)
	got, _ := party.answer("alice", oauth2.SetAuthURLParam("response_mode", "form_post"))
	back := party.handOver(got)
	for _, part := range []string{`"Method":"POST"`, "code=", "state=state", "iss=" + url.QueryEscape(party.p.Issuer)} {
		if !strings.Contains(back.Body, part) {
			t.Errorf("without %s: %s", part, back.Body)
		}
	}
	got, verifier := party.answer("bob", oauth2.SetAuthURLParam("response_mode", "form_post"), oauth2.SetAuthURLParam("prompt", "login"))
	_, fields := formOf(got)
	token, err := party.Exchange(party.context(), fields.Get("code"), oauth2.VerifierOption(verifier))
	must(t, err)
	if claims := party.claims(token); claims["sub"] != "bob" {
		t.Errorf("after another signed in: %v", claims)
	}
	party.p.register(t, openIDClient{ID: "app", Secret: party.ClientSecret, Redirects: []string{party.RedirectURL}, ResponseModes: []string{"query"}})
	if got, _ := party.answer("alice", oauth2.SetAuthURLParam("response_mode", "form_post")); !strings.Contains(got.Body, "response_mode is not allowed") {
		t.Errorf("who may not: %s to %q\n%s", got.Status, got.location(), got.Body)
	}
}

// Chromium signs in, and has nothing against the provider's pages.
func TestOpenIDInChromium(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	callback := strings.Replace(up.URL, "127.0.0.1", "app.example.com", 1) + "/callback"
	for _, mode := range []string{"query", "form_post"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			party := newOpenIDParty(t, startOpenID(t, oidcProvider, openIDSettings{}))
			party.RedirectURL = callback
			party.p.register(t, openIDClient{ID: "app", Secret: party.ClientSecret, Redirects: []string{callback}, AfterLogout: []string{callback}})
			w := newBrowser(t)
			w.open(party.AuthCodeURL("state", oauth2.SetAuthURLParam("response_mode", mode)))
			w.signInAtProvider("alice")
			w.atPage(callback)
			w.says("app.example.com", "code=", "iss=http")
			w.open(party.AuthCodeURL("state", oauth2.SetAuthURLParam("response_mode", mode), oauth2.SetAuthURLParam("prompt", "login")))
			w.signInAtProvider("bob")
			w.atPage(callback)
			party.p.remove(t, "bob")
			w.open(party.AuthCodeURL("state"))
			w.signInAtProvider("bob")
			w.says("disabled")
			w.open(party.AuthCodeURL("state"))
			w.signInAtProvider("alice")
			w.open(party.p.Issuer + "/session/end?client_id=app&post_logout_redirect_uri=" + url.QueryEscape(callback))
			w.signOutAtProvider()
			w.at(callback)
		})
	}
}
