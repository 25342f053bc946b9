package connect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// issuer is a provider that says whatever a test wants of it.
type issuer struct {
	*httptest.Server
	key      *ecdsa.PrivateKey
	document map[string]any
	claims   map[string]any
	answers  map[string]http.HandlerFunc // in place of its own
	sign     func(claims map[string]any) string
	asked    map[string]*atomic.Int64
}

const client = "the-client"

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &issuer{key: key, answers: make(map[string]http.HandlerFunc), asked: make(map[string]*atomic.Int64)}
	is.sign = func(claims map[string]any) string { return signed(t, is.key, "one", claims) }
	for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/token", "/me"} {
		is.asked[path] = new(atomic.Int64)
	}
	is.Server = httptest.NewServer(is)
	t.Cleanup(is.Close)
	is.document = map[string]any{"issuer": is.URL, "authorization_endpoint": is.URL + "/auth", "token_endpoint": is.URL + "/token", "jwks_uri": is.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "authorization_response_iss_parameter_supported": true}
	is.claims = map[string]any{"iss": is.URL, "aud": client, "sub": "248289761001", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
		"email": "alice@example.com", "email_verified": true, "name": "Alice", "preferred_username": "alice"}
	return is
}

func signed(t *testing.T, key *ecdsa.PrivateKey, id string, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := is.asked[r.URL.Path]; n != nil {
		n.Add(1)
	}
	if answer := is.answers[r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(is.document)
	case "/keys":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: is.key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		answer := map[string]any{"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "a-refresh-token"}
		if is.claims != nil {
			answer["id_token"] = is.sign(is.claims)
		}
		_ = json.NewEncoder(w).Encode(answer)
	default:
		http.NotFound(w, r)
	}
}

func (is *issuer) provider(t *testing.T, change func(*Settings)) *Provider {
	t.Helper()
	s := Settings{Name: "corp", Kind: OIDC, Issuer: is.URL, ClientID: client, ClientSecret: "hush", Allow: []Rule{{kind: "everyone"}}}
	if change != nil {
		change(&s)
	}
	p, err := New(s, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// finish ends a flow whose nonce the ID token has.
func (is *issuer) finish(t *testing.T, p *Provider, answer url.Values) (*Person, *authcore.ProviderTokens, error) {
	t.Helper()
	f := NewFlow("https://auth.example.com/.gate/connect/corp/callback")
	if is.claims != nil && is.claims["nonce"] == nil {
		is.claims["nonce"] = f.Nonce
	}
	if answer == nil {
		answer = url.Values{"code": {"a-code"}, "iss": {is.URL}}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	return p.Finish(ctx, f, answer)
}

func TestFinish(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	var form url.Values
	is.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		delete(is.answers, "/token")
		is.ServeHTTP(w, r)
	}
	p := is.provider(t, nil)
	f := NewFlow("https://auth.example.com/cb")
	is.claims["nonce"] = f.Nonce
	to, err := p.Begin(t.Context(), f, "the-state")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(to)
	q := u.Query()
	for name, want := range map[string]string{"response_type": "code", "client_id": client, "state": "the-state", "nonce": f.Nonce, "code_challenge_method": "S256",
		"redirect_uri": f.Redirect, "scope": "openid profile email"} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if q.Get("code_challenge") == "" || strings.Contains(to, f.Verifier) {
		t.Errorf("the challenge in %s", to)
	}
	who, tokens, err := p.Finish(t.Context(), f, url.Values{"code": {"a-code"}, "iss": {is.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "248289761001" || who.Issuer != is.URL || who.Email != "alice@example.com" || !who.EmailVerified || who.Name != "Alice" || who.Username != "alice" {
		t.Errorf("it is %+v", who)
	}
	if tokens.Refresh.Reveal() != "a-refresh-token" || tokens.Expires.Before(time.Now()) {
		t.Errorf("tokens %v", tokens)
	}
	if form.Get("code_verifier") != f.Verifier || form.Get("code") != "a-code" || form.Get("grant_type") != "authorization_code" {
		t.Errorf("the token endpoint gets %v", form)
	}
}

// Whatever is wrong with what a provider says, nobody is signed in.
func TestFinishRefuses(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(*testing.T, *issuer) {
		return func(_ *testing.T, is *issuer) { is.claims[name] = value }
	}
	say := func(path string, status int, header http.Header, body io.Reader) func(*testing.T, *issuer) {
		return func(_ *testing.T, is *issuer) {
			is.answers[path] = func(w http.ResponseWriter, _ *http.Request) {
				for name, v := range header {
					w.Header()[name] = v
				}
				w.WriteHeader(status)
				_, _ = io.Copy(w, body)
			}
		}
	}
	hang := func(path string) func(*testing.T, *issuer) {
		return func(t *testing.T, is *issuer) {
			end := make(chan struct{})
			t.Cleanup(func() { close(end) })
			is.answers[path] = func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-end:
				case <-r.Context().Done():
				}
			}
		}
	}
	document := func(name string, value any) func(*testing.T, *issuer) {
		return func(_ *testing.T, is *issuer) { is.document[name] = value }
	}
	const found = "/.well-known/openid-configuration"
	html := http.Header{"Content-Type": {"text/html"}}
	elsewhere := http.Header{"Location": {"https://example.com/"}}
	asJSON := http.Header{"Content-Type": {"application/json"}}
	for name, tt := range map[string]struct {
		do   func(*testing.T, *issuer)
		want error
	}{
		"issuer":              {claim("iss", "https://evil.example.com"), ErrAnswer},
		"audience":            {claim("aud", "another"), ErrAnswer},
		"two audiences":       {claim("aud", []string{client, "another"}), ErrAnswer},
		"authorized party":    {claim("azp", "another"), ErrAnswer},
		"expired":             {claim("exp", time.Now().Add(-time.Hour).Unix()), ErrAnswer},
		"no expiry":           {claim("exp", nil), ErrAnswer},
		"not yet":             {claim("nbf", time.Now().Add(time.Hour).Unix()), ErrAnswer},
		"nonce":               {claim("nonce", "another"), ErrAnswer},
		"no nonce":            {claim("nonce", ""), ErrAnswer},
		"no subject":          {claim("sub", ""), ErrAnswer},
		"long subject":        {claim("sub", strings.Repeat("a", 256)), ErrAnswer},
		"subject a number":    {claim("sub", 7), ErrAnswer},
		"access token's hash": {claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), ErrAnswer},
		"no ID token":         {func(_ *testing.T, is *issuer) { is.claims = nil }, ErrAnswer},
		"algorithm none": {func(_ *testing.T, is *issuer) {
			is.sign = func(c map[string]any) string {
				body, _ := json.Marshal(c)
				return "eyJhbGciOiJub25lIn0." + b64(body) + "."
			}
		}, ErrAnswer},
		"client secret as key": {func(t *testing.T, is *issuer) {
			is.sign = func(c map[string]any) string {
				s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("hushhushhushhushhushhushhushhush")}, nil)
				if err != nil {
					t.Error(err)
				}
				text, _ := jwt.Signed(s).Claims(c).Serialize()
				return text
			}
		}, ErrAnswer},
		"another key": {func(t *testing.T, is *issuer) {
			other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			is.sign = func(c map[string]any) string { return signed(t, other, "one", c) }
		}, ErrAnswer},
		"key of no set": {func(t *testing.T, is *issuer) {
			other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			is.sign = func(c map[string]any) string { return signed(t, other, "two", c) }
		}, ErrAnswer},
		"keys that redirect":        {say("/keys", 302, elsewhere, strings.NewReader("")), ErrAnswer},
		"keys in HTML":              {say("/keys", 200, html, strings.NewReader("<html>")), ErrAnswer},
		"discovery names another":   {document("issuer", "https://evil.example.com"), ErrAway},
		"discovery redirects":       {say(found, 302, elsewhere, strings.NewReader("")), ErrAway},
		"discovery in HTML":         {say(found, 200, html, strings.NewReader("<html>")), ErrAway},
		"discovery that fails":      {say(found, 500, nil, strings.NewReader("")), ErrAway},
		"discovery that hangs":      {hang(found), ErrAway},
		"discovery of 10 MB":        {say(found, 200, asJSON, io.LimitReader(zeros{}, 10<<20)), ErrAway},
		"discovery of plain HTTP":   {document("token_endpoint", "http://id.example.com/token"), ErrAway},
		"keys by plain HTTP":        {document("jwks_uri", "http://id.example.com/keys"), ErrAway},
		"UserInfo by plain HTTP":    {document("userinfo_endpoint", "http://id.example.com/me"), ErrAway},
		"no token endpoint":         {document("token_endpoint", nil), ErrAway},
		"token endpoint in HTML":    {say("/token", 200, html, strings.NewReader("<html>")), ErrAway},
		"token endpoint redirects":  {say("/token", 307, elsewhere, strings.NewReader("")), ErrAway},
		"token endpoint hangs":      {hang("/token"), ErrAway},
		"token endpoint of 10 MB":   {say("/token", 200, asJSON, io.LimitReader(zeros{}, 10<<20)), ErrAway},
		"code that was used":        {say("/token", 400, asJSON, strings.NewReader(`{"error":"invalid_grant"}`)), ErrAnswer},
		"no access token":           {say("/token", 200, asJSON, strings.NewReader(`{"token_type":"Bearer"}`)), ErrAway},
		"UserInfo of somebody else": {userInfo(`{"sub":"another","email":"x@example.com"}`), ErrAnswer},
		"UserInfo in HTML":          {userInfo(`<html>`), ErrAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := newIssuer(t)
			tt.do(t, is)
			who, _, err := is.finish(t, is.provider(t, nil), nil)
			if !errors.Is(err, tt.want) || who != nil {
				t.Errorf("%v, %v; want %v", who, err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "a-code") || strings.Contains(err.Error(), "access-token")) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// userInfo makes the ID token poor, so that the endpoint is asked.
func userInfo(body string) func(*testing.T, *issuer) {
	return func(_ *testing.T, is *issuer) {
		delete(is.claims, "email")
		is.document["userinfo_endpoint"] = is.URL + "/me"
		is.answers["/me"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}
	}
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAnswerRefused(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	p := is.provider(t, nil)
	for name, tt := range map[string]struct {
		answer url.Values
		want   error
	}{
		"another issuer": {url.Values{"code": {"c"}, "iss": {"https://evil.example.com"}}, ErrAnswer},
		"no issuer":      {url.Values{"code": {"c"}}, ErrAnswer},
		"no code":        {url.Values{"iss": {is.URL}}, ErrAnswer},
		"two codes":      {url.Values{"code": {"c", "d"}, "iss": {is.URL}}, ErrAnswer},
		"cancelled":      {url.Values{"error": {"access_denied"}, "iss": {is.URL}}, ErrRefused},
	} {
		if who, _, err := is.finish(t, p, tt.answer); !errors.Is(err, tt.want) || who != nil {
			t.Errorf("%s: %v, %v; want %v", name, who, err, tt.want)
		}
	}
	if n := is.asked["/token"].Load(); n != 0 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
}

// A provider that is away is asked again, and not by everybody.
func TestProviderComesBack(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	const found = "/.well-known/openid-configuration"
	is.answers[found] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }
	now := time.Now()
	p, err := New(Settings{Name: "corp", Kind: OIDC, Issuer: is.URL, ClientID: client, Allow: []Rule{{kind: "everyone"}}}, http.DefaultTransport, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := p.Begin(t.Context(), NewFlow("https://a.example.com"), "s"); !errors.Is(err, ErrAway) || p.Away() == nil {
			t.Fatalf("away: %v, %v", err, p.Away())
		}
	}
	if n := is.asked[found].Load(); n != 1 {
		t.Errorf("it was asked %d times in a moment", n)
	}
	delete(is.answers, found)
	now = now.Add(retryAfter)
	if _, err := p.Begin(t.Context(), NewFlow("https://a.example.com"), "s"); err != nil || p.Away() != nil {
		t.Errorf("back: %v, %v", err, p.Away())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Settings{
		"kind": {Kind: "myspace"}, "plain HTTP": {Kind: OIDC, Issuer: "http://id.example.com"}, "no URL": {Kind: OIDC, Issuer: "id.example.com"},
		"a user": {Kind: OIDC, Issuer: "https://a:b@id.example.com"}, "endpoint": {Kind: OAuth2, Authorize: "https://a.example.com/x", Token: "ftp://a.example.com"},
	} {
		if _, err := New(s, nil, time.Now); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	alice := &Person{Issuer: "https://id.example.com", Username: "Alice", Email: "Alice@Example.com", EmailVerified: true, Member: []string{"github:acme/eng"},
		Claims: map[string]any{"groups": []any{"staff", "eng"}, "level": json.Number("3"), "realm_access": map[string]any{"roles": []any{"admin"}}}}
	doubtful := &Person{Email: "alice@example.com"}
	former := &Person{Issuer: googleIssuer, Email: "alice@example.com", EmailVerified: true}
	for term, want := range map[string]bool{"everyone": true, "domain:example.com": true, "domain:EXAMPLE.com": true, "domain:ample.com": false, "email:alice@example.com": true,
		"user:alice": true, "user:bob": false, "group:staff": true, "group:sta": false, "claim:level=3": true, "claim:realm_access.roles=admin": true,
		"claim:realm_access.roles=x": false, "claim:realm_access.x.y=z": false, "claim:none=": false, "github:acme/eng": true, "github:acme": false} {
		r, err := ParseRule(term, GitHub)
		if err != nil {
			t.Errorf("%s: %v", term, err)
			continue
		}
		if r.Holds(alice) != want {
			t.Errorf("%s: not %v", term, want)
		}
		if (r.kind == "domain" || r.kind == "email") && (r.Holds(doubtful) || r.kind == "domain" && r.Holds(former)) {
			t.Errorf("%s holds for an address that nobody verified, or that Google vouches for as a private one", term)
		}
	}
	for _, term := range []string{"", "alice", "domain:", "domain:@example.com", "domain:localhost", "email:x", "claim:x", "claim:=x", "github:a/b/c", "github:/a", "google_group:x@example.com", "org:acme"} {
		if r, err := ParseRule(term, GitHub); err == nil {
			t.Errorf("%q is taken as %v", term, r)
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	tokens := authcore.ProviderTokens{Access: "an-access-token", Refresh: "a-refresh-token", ID: "an-id-token"}
	text, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", tokens, tokens, tokens, &tokens)} {
		for _, secret := range []string{"an-access-token", "a-refresh-token", "an-id-token"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s", shown)
			}
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
