package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// providerGate is a portal whose provider serves the services of organizations, one of which
// is behind another site here, and a site that takes the provider's tokens on some paths.
const providerGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		second_factor {
			owners off
		}
		webhooks {
			allow 127.0.0.0/8
		}
		limits {
			address off
			account off
		}
		policy orders {
			allow org:acme
			tokens /api/*
			tokens /api/orders/* scope:orders.read
			public /public/*
		}
	}
}
https://auth.example.org:{{.HTTPS}} {
	log
	gate_portal
}
https://api.example.com:{{.HTTPS}} {
	gate orders
	reverse_proxy {{.Upstream}}
}
https://api.example.com:{{.HTTPS2}}, https://auth.example.org:{{.HTTPS2}} {
	gate orders
	reverse_proxy {{.Upstream}}
}
https://app.example.com:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://shop.example.net:{{.HTTPS}} {
	reverse_proxy {{.Upstream}}
}
`

// providerWorld is a server with an organization, whose owner is ann, and with a customer.
type providerWorld struct {
	*server
	t             testing.TB
	portal, shop  string // origins
	ann, customer person
	boss          *browser // of ann
}

func providerStart(t testing.TB, opts ...option) *providerWorld {
	t.Helper()
	s := start(t, providerGate, opts...)
	w := &providerWorld{server: s, t: t, portal: s.URL("HTTPS", "auth.example.org"), shop: s.URL("HTTPS", "shop.example.net"), ann: someone("ann"), customer: someone("carol")}
	withOwner(t, s)
	s.addUser(t, w.ann)
	s.addUser(t, w.customer)
	s.must(t, "", "org", "add", "acme", "--name", "Acme Inc.", "--owner", "ann")
	s.must(t, "", "org", "tier", "acme", "pro")
	w.boss = s.Client(t)
	w.boss.signIn(w.portal, w.ann)
	return w
}

// relying is a service of the organization, as its server sees it: an OAuth client.
type relying struct {
	*providerWorld
	api.ServiceMade
	callback string
	program  *browser // that is no browser: it has no cookies
}

// service makes a service by the API; settings are those that it has besides its name.
func (w *providerWorld) service(name string, settings map[string]any) *relying {
	w.t.Helper()
	a := &relying{providerWorld: w, callback: w.shop + "/callback", program: w.Client(w.t)}
	body := map[string]any{"type": "web", "name": name, "access": "everyone", "redirect_uris": []string{a.callback}, "logout_uris": []string{w.shop + "/bye"}}
	for k, v := range settings {
		body[k] = v
	}
	text, err := json.Marshal(body)
	must(w.t, err)
	got := w.boss.do("POST", w.portal+"/.gate/api/v1/organizations/acme/services", string(text), header{"Content-Type", "application/json"}, header{"Sec-Fetch-Site", "same-origin"})
	if got.StatusCode != http.StatusCreated {
		w.t.Fatalf("making the service: %s\n%s", got.Status, got.Body)
	}
	must(w.t, json.Unmarshal([]byte(got.Body), &a.ServiceMade))
	return a
}

// verifier is the one of the tests (RFC 7636), and s256 its challenge.
const verifier = "a-verifier-of-forty-three-characters-at-least"

func s256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asks is the address of an authorization request; more takes the place of what is usual,
// where it is empty nothing.
func (a *relying) asks(more ...string) string {
	q := url.Values{"client_id": {a.ClientID}, "redirect_uri": {a.callback}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"st&te"}, "nonce": {"n0nce"},
		"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(more); i += 2 {
		if q.Set(more[i], more[i+1]); more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return a.portal + "/.gate/oauth/authorize?" + q.Encode()
}

// proofFor proves that a new key is there, for a request (RFC 9449 section 4.2).
func proofFor(t testing.TB, method, to string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	must(t, err)
	text, err := jwt.Signed(signer).Claims(map[string]any{"htm": method, "htu": to, "iat": time.Now().Unix(), "jti": rand.Text()}).Serialize()
	must(t, err)
	return text
}

// basic is the header by which a client proves who it is (RFC 6749 section 2.3.1).
func basic(id, secret string) header {
	return header{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))}
}

// answer is what a page at the service's callback was told, or one that posts it there tells.
func (a *relying) answer(p page) url.Values {
	a.t.Helper()
	if strings.Contains(p.Body, "data-send") {
		if to, form := formOf(p); to == a.callback {
			return form
		}
	}
	if got := p.Request.URL; got.Scheme+"://"+got.Host+got.Path != a.callback {
		a.t.Fatalf("%s is not at the callback: %s\n%.600s", got, p.Status, p.Body)
	}
	return p.Request.URL.Query()
}

// enter signs somebody in to the service, with all pages that it takes, and gives the code.
func (a *relying) enter(b *browser, p person, more ...string) (code string) {
	a.t.Helper()
	got := b.open(a.asks(more...))
	if got.Request.URL.Path == "/.gate/login" {
		form := hiddenOf(got)
		form.Set("username", p.Username)
		form.Set("password", p.Password)
		got = b.follow(b.post(a.portal+"/.gate/login", form))
	}
	if got.Request.URL.Path == "/.gate/oauth/consent" {
		got = b.consents(got, "allow")
	}
	said := a.answer(got)
	if said.Get("code") == "" || said.Get("iss") != a.portal {
		a.t.Fatalf("the answer is %v", said)
	}
	return said.Get("code")
}

// consents presses a button on the page of consent.
func (b *browser) consents(p page, do string) page {
	b.t.Helper()
	form := hiddenOf(p)
	form.Set("do", do)
	return b.follow(b.post(p.Request.URL.Scheme+"://"+p.Request.URL.Host+"/.gate/oauth/consent", form))
}

// issued is an answer of the token endpoint.
type issued struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
	Expires int    `json:"expires_in"`
}

// sends sends a form to an endpoint of the provider as the service, with its secret.
func (a *relying) sends(endpoint string, form ...string) page {
	a.t.Helper()
	q := url.Values{}
	for i := 0; i < len(form); i += 2 {
		q.Add(form[i], form[i+1])
	}
	headers := []header{{"Content-Type", "application/x-www-form-urlencoded"}}
	if a.Secret != "" {
		headers = append(headers, basic(a.ClientID, a.Secret))
	} else {
		q.Set("client_id", a.ClientID)
	}
	return a.program.do("POST", a.portal+"/.gate/oauth/"+endpoint, q.Encode(), headers...)
}

// redeems gives what a code brings.
func (a *relying) redeems(code string) issued {
	a.t.Helper()
	return a.gets(a.sends("token", "grant_type", "authorization_code", "code", code, "redirect_uri", a.callback, "code_verifier", verifier))
}

func (a *relying) refreshes(token string) page {
	a.t.Helper()
	return a.sends("token", "grant_type", "refresh_token", "refresh_token", token)
}

func (a *relying) gets(p page) (i issued) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(p.Body), &i); err != nil || p.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %s, %v\n%s", p.Request.URL.Path, p.Status, err, p.Body)
	}
	if len(p.Header["Set-Cookie"]) > 0 || p.Header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s answers with %v", p.Request.URL.Path, p.Header)
	}
	return i
}

// object reads a JSON object of an answer.
func object(t testing.TB, p page) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.Body), &o); err != nil {
		t.Fatalf("%s: %s, %v\n%s", p.Request.URL, p.Status, err, p.Body)
	}
	return o
}

// claimsOf checks a JWT of the provider by the keys that it publishes.
func (a *relying) claimsOf(text string) (claims map[string]any) {
	a.t.Helper()
	var keys jose.JSONWebKeySet
	must(a.t, json.Unmarshal([]byte(a.program.fetch(a.portal+"/.gate/oauth/jwks").Body), &keys))
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	must(a.t, err)
	must(a.t, token.Claims(&keys, &claims))
	return claims
}

// says fails the test unless claims have these values.
func says(t testing.TB, what string, claims map[string]any, want map[string]any) {
	t.Helper()
	got := make(map[string]any)
	for name := range want {
		got[name] = claims[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (a *relying) userinfo(token string) page {
	return a.program.fetch(a.portal+"/.gate/oauth/userinfo", header{"Authorization", "Bearer " + token})
}

func (a *relying) active(token string) bool {
	a.t.Helper()
	return object(a.t, a.sends("introspect", "token", token))["active"] == true
}

// The way of a code, as a client of any library goes it: found out, signed in with all pages,
// redeemed, told about, refreshed, revoked. Then again without a question, until the user
// withdraws what was allowed.
func TestProvider(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := providerStart(t, c.gate)
		a := w.service("Shop", nil)
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			got := a.program.fetch(w.portal + path)
			says(t, path, object(t, got), map[string]any{"issuer": w.portal, "token_endpoint": w.portal + "/.gate/oauth/token", "jwks_uri": w.portal + "/.gate/oauth/jwks"})
			if got.Header.Get("Access-Control-Allow-Origin") != "*" || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s answers with %v", path, got.Header)
			}
		}
		if got := a.program.do("OPTIONS", w.portal+"/.gate/oauth/token", "", header{"Origin", "https://spa.example.com"}, header{"Access-Control-Request-Method", "POST"}); got.StatusCode != http.StatusNoContent {
			t.Errorf("a script asks before it asks: %s", got.Status)
		}

		b := w.Client(t)
		got := b.open(a.asks("login_hint", "carol"))
		if got.Request.URL.Path != "/.gate/login" || !strings.Contains(got.Body, "to continue to <strong>Shop</strong>") || !strings.Contains(got.Body, `value="carol"`) {
			t.Fatalf("%s does not sign in: %s\n%s", got.Request.URL, got.Status, got.Body)
		}
		form := hiddenOf(got)
		form.Set("username", "carol")
		form.Set("password", w.customer.Password)
		got = b.follow(b.post(w.portal+"/.gate/login", form))
		for _, words := range []string{"Let Shop in?", "Acme Inc.", "runs it, not auth.example.org", "see your email address", "shop.example.net"} {
			if !strings.Contains(got.Body, words) {
				t.Errorf("the page of consent does not say %q:\n%s", words, got.Body)
			}
		}
		if said := a.answer(b.consents(got, "refuse")); said.Get("error") != "access_denied" || said.Get("state") != "st&te" || said.Get("iss") != w.portal {
			t.Errorf("refused: %v", said)
		}
		got = b.consents(b.open(a.asks()), "allow")
		said := a.answer(got)
		if said.Get("state") != "st&te" || said.Get("iss") != w.portal || got.Request.Header.Get("Referer") != "" {
			t.Errorf("allowed: %v", said)
		}

		first := a.redeems(said.Get("code"))
		if first.Type != "Bearer" || first.Expires != 600 || first.Scope != "openid profile email" || first.Refresh == "" {
			t.Errorf("a code brings %+v", first)
		}
		who := a.claimsOf(first.ID)
		says(t, "the ID token", who, map[string]any{"iss": w.portal, "aud": a.ClientID, "nonce": "n0nce", "preferred_username": "carol", "email": "carol@example.com", "acr": "single-factor"})
		says(t, "the access token", a.claimsOf(first.Access), map[string]any{"iss": w.portal, "aud": []any{w.portal, a.ClientID}, "sub": who["sub"], "client_id": a.ClientID, "scope": "openid profile email"})
		says(t, "userinfo", object(t, a.userinfo(first.Access)), map[string]any{"sub": who["sub"], "name": "Carol", "email": "carol@example.com"})
		says(t, "introspection", object(t, a.sends("introspect", "token", first.Access)), map[string]any{"active": true, "sub": who["sub"], "username": "carol", "client_id": a.ClientID})

		second := a.gets(a.refreshes(first.Refresh))
		if second.Refresh == first.Refresh || second.Access == first.Access || second.ID == "" {
			t.Errorf("a refresh brings %+v after %+v", second, first)
		}
		says(t, "userinfo", object(t, a.userinfo(second.Access)), map[string]any{"sub": who["sub"]})
		if got := a.sends("revoke", "token", second.Access); got.StatusCode != http.StatusOK || a.active(second.Access) || !a.active(second.Refresh) {
			t.Errorf("revoking the access token: %s, it is good: %v, the refresh token: %v", got.Status, a.active(second.Access), a.active(second.Refresh))
		}
		if got := a.sends("revoke", "token", second.Refresh); got.StatusCode != http.StatusOK || a.active(first.Access) || a.active(second.Refresh) || a.userinfo(first.Access).StatusCode != http.StatusUnauthorized {
			t.Errorf("revoking the refresh token: %s", got.Status)
		}

		// What was allowed is not asked again, and nothing is shown where nothing may be.
		direct := b.get(a.asks("prompt", "none"))
		if direct.StatusCode != http.StatusFound || direct.Header.Get("Referrer-Policy") != "no-referrer" || direct.Header.Get("Cache-Control") != "no-store" || !strings.Contains(direct.location(), "code=") {
			t.Errorf("without a question: %s %v", direct.Status, direct.Header)
		}
		for name, ask := range map[string]string{"consent_required": a.asks("prompt", "none", "scope", "openid groups"), "login_required": a.asks("prompt", "none", "max_age", "0"), "interaction_required": a.asks("prompt", "none", "acr_values", "mfa")} {
			if got := a.answer(b.open(ask)); got.Get("error") != name {
				t.Errorf("%s: %v", name, got)
			}
		}
		if got := a.answer(w.Client(t).open(a.asks("prompt", "none"))); got.Get("error") != "login_required" {
			t.Errorf("nobody is signed in: %v", got)
		}
		if got := b.open(a.asks("prompt", "consent")); got.Request.URL.Path != "/.gate/oauth/consent" {
			t.Errorf("a consent that is wanted anew: %s", got.Request.URL)
		}
		got = b.open(a.asks("prompt", "login"))
		if got.Request.URL.Path != "/.gate/confirm" || !strings.Contains(got.Body, "<strong>Shop</strong>") {
			t.Fatalf("a sign-in that is wanted anew: %s\n%s", got.Request.URL, got.Body)
		}
		form = hiddenOf(got)
		form.Set("password", w.customer.Password)
		before := a.claimsOf(first.ID)["auth_time"].(float64)
		if at := a.claimsOf(a.redeems(a.answer(b.follow(b.post(w.portal+"/.gate/confirm", form))).Get("code")).ID)["auth_time"].(float64); at < before {
			t.Errorf("it was proven at %v, before at %v", at, before)
		}

		account := b.open(w.portal + "/.gate/account")
		if !strings.Contains(account.Body, "Apps you let in") || !strings.Contains(account.Body, "see your email address") {
			t.Errorf("the account page:\n%s", account.Body)
		}
		mustGo(t, b.post(w.portal+"/.gate/account/consents/withdraw", url.Values{"id": {string(a.ServiceMade.ID)}}))
		if got := a.answer(b.open(a.asks("prompt", "none"))); got.Get("error") != "consent_required" {
			t.Errorf("withdrawn: %v", got)
		}
		if got := b.post(w.portal+"/.gate/account/data", url.Values{}); !strings.Contains(got.Body, `"consents": []`) {
			t.Errorf("the data: %s", got.Body)
		}
		if lines := w.logged(a.ClientID); len(lines) > 0 || len(w.logged("/.gate/account")) == 0 {
			t.Errorf("the access log has what is between a service and its user: %v", lines)
		}
	})
}

// logged are the lines of the log that hold a text.
func (s *server) logged(text string) (lines []string) {
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// The tokens of the provider at the gate of a site: good where the policy accepts tokens, for
// the site that they are for and with its scopes. What is somebody else's is left alone.
func TestProviderAtTheGate(t *testing.T) {
	t.Parallel()
	w := providerStart(t)
	site := w.URL("HTTPS", "api.example.com")
	for format, settings := range map[string]map[string]any{"jwt": {"scopes": []string{"orders.read"}}, "opaque": {"scopes": []string{"orders.read"}, "token_format": "opaque"}} {
		a := w.service("Shop "+format, settings)
		b := w.Client(t)
		plain := a.redeems(a.enter(b, w.ann))
		forSite := a.redeems(a.enter(b, w.ann, "resource", site+"/"))
		reads := a.redeems(a.enter(b, w.ann, "resource", site, "scope", "openid orders.read"))
		stranger := a.redeems(a.enter(w.Client(t), w.customer, "resource", site))
		itself := a.gets(a.sends("token", "grant_type", "client_credentials", "resource", site))
		foreign := plain.Access[:len(plain.Access)-8] + "AAAAAAAA"
		if format == "jwt" {
			foreign = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0." + strings.Repeat("A", 86)
		}
		for _, tt := range []struct {
			name, path, token string
			status            int
			code              string // of the error
			user, kept        string // what the site is told; "-" for whatever was sent
		}{
			{"for the site", "/api/x", forSite.Access, 200, "", "ann", ""},
			{"again", "/api/x", forSite.Access, 200, "", "ann", ""},
			{"without the scope", "/api/orders/1", forSite.Access, 403, "insufficient_scope", "", ""},
			{"with the scope", "/api/orders/1", reads.Access, 200, "", "ann", ""},
			{"for the provider", "/api/x", plain.Access, 403, "token_not_granted", "", ""},
			{"of who may not", "/api/x", stranger.Access, 403, "access_denied", "", ""},
			{"of nobody", "/api/x", itself.Access, 401, "token_invalid", "", ""},
			{"somebody else's", "/api/x", foreign, 401, "login_required", "", ""},
			{"elsewhere", "/other", forSite.Access, 401, "login_required", "", ""},
		} {
			got := a.program.fetch(site+tt.path, header{"Authorization", "Bearer " + tt.token})
			if got.StatusCode != tt.status || tt.code != "" && !strings.Contains(got.Body, `"code":"`+tt.code) && tt.code != "login_required" {
				t.Errorf("%s, %s: %s\n%s", format, tt.name, got.Status, got.Body)
			} else if tt.status == 200 {
				if e := got.echo(t); e.get("Remote-User") != tt.user || e.get("Authorization") != tt.kept {
					t.Errorf("%s, %s: the site is told %v", format, tt.name, e.Header)
				}
			}
		}
		// A session goes on beside a token of the app's own, which the app gets; one of ours it
		// never does.
		s := w.visitor(t, "api.example.com", w.ann)
		for path, token := range map[string]string{"/api/x": foreign, "/other": forSite.Access, "/public/x": forSite.Access} {
			got := s.fetch(site+path, header{"Authorization", "Bearer " + token})
			passes(t, got)
			kept := ""
			if token == foreign {
				kept = "Bearer " + token
			}
			if e := got.echo(t); e.get("Authorization") != kept || path != "/public/x" && e.get("Remote-User") != "ann" {
				t.Errorf("%s, %s: the site is told %v", format, path, e.Header)
			}
		}
		// The same names on other ports are other sites.
		for at, status := range map[string]int{w.URL("HTTPS2", "api.example.com"): 403, w.URL("HTTPS2", "auth.example.org"): 403} {
			for name, token := range map[string]string{"for a site": forSite.Access, "for the provider": plain.Access} {
				if got := a.program.fetch(at+"/api/x", header{"Authorization", "Bearer " + token}); got.StatusCode != status || !strings.Contains(got.Body, "token_not_granted") {
					t.Errorf("%s, a token %s at %s: %s\n%s", format, name, at, got.Status, got.Body)
				}
			}
		}
		if got := a.sends("revoke", "token", forSite.Access); got.StatusCode != 200 {
			t.Errorf("revoke: %s", got.Status)
		}
		if got := a.program.fetch(site+"/api/x", header{"Authorization", "Bearer " + forSite.Access}); got.StatusCode != 401 {
			t.Errorf("%s, revoked: %s", format, got.Status)
		}
		must(t, b.post(w.portal+"/.gate/logout", url.Values{}).Response.Body.Close())
		if got := a.program.fetch(site+"/api/orders/1", header{"Authorization", "Bearer " + reads.Access}); got.StatusCode != 401 {
			t.Errorf("%s, signed out: %s", format, got.Status)
		}
	}
	// A token that is bound to a key is no good without it, which the gate does not look at.
	bound := w.service("Bound", map[string]any{"dpop": true})
	form := url.Values{"grant_type": {"authorization_code"}, "code": {bound.enter(w.Client(t), w.ann, "resource", site)}, "redirect_uri": {bound.callback}, "code_verifier": {verifier}}
	to := w.portal + "/.gate/oauth/token"
	token := bound.gets(bound.program.do("POST", to, form.Encode(), basic(bound.ClientID, bound.Secret), header{"Content-Type", "application/x-www-form-urlencoded"}, header{"DPoP", proofFor(t, "POST", to)}))
	if token.Type != "DPoP" {
		t.Errorf("the token is of type %q", token.Type)
	}
	for _, scheme := range []string{"Bearer", "DPoP"} {
		if got := bound.program.fetch(site+"/api/x", header{"Authorization", scheme + " " + token.Access}); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a bound token as %s: %s", scheme, got.Status)
		}
	}
	if got := w.service("None", nil); !slices.Contains([]string{"invalid_target"}, got.answer(w.boss.open(got.asks("resource", w.URL("HTTPS", "app.example.com")))).Get("error")) {
		t.Error("a site that takes no tokens is a resource")
	}
}
