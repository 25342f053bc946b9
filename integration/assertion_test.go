package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// signing is a Caddy that tells an app behind it, and another proxy, who is there in
// an assertion.
const signing = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		trusted_proxies 127.0.0.1
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate {
		headers jwt
	}
	reverse_proxy {{.Upstream}}
}
http://:{{.HTTP}} {
	gate_verify {
		host other.example.com
		headers jwt
	}
}
`

// claims checks an assertion as an app does, with the keys that the server gives
// out, and gives what it says.
func (s *server) claims(t *testing.T, from, assertion string) (map[string]any, error) {
	t.Helper()
	got := s.Client(t).fetch(from + "/.gate/oauth/jwks")
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(got.Body), &keys); err != nil || got.StatusCode != 200 || got.Header.Get("Content-Type") != "application/jwk-set+json" ||
		got.Header.Get("Cache-Control") != "public, max-age=300" || got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%v: %s %v\n%s", err, got.Status, got.Header, got.Body)
	}
	for _, k := range keys.Keys { // where there is a portal, services may want RS256
		if !k.IsPublic() || k.Algorithm != "ES256" && k.Algorithm != "RS256" || k.Use != "sig" {
			t.Errorf("key %s", got.Body)
		}
	}
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("%v: %q", err, assertion)
	}
	all, std := make(map[string]any), jwt.Claims{}
	if err := token.Claims(&keys, &all, &std); err != nil {
		return nil, err
	}
	if now := time.Now(); std.Expiry.Time().Sub(std.IssuedAt.Time()) != time.Minute || now.Sub(std.IssuedAt.Time()) > 31*time.Second || now.After(std.Expiry.Time()) {
		t.Errorf("at %s it is good from %s to %s", now, std.IssuedAt.Time(), std.Expiry.Time())
	}
	for _, name := range []string{"iat", "exp"} {
		delete(all, name)
	}
	return all, nil
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	s := start(t, signing)
	people(t, s)
	app, auth := s.at("app.example.com", ""), s.at("auth.example.com", "")
	b := s.Client(t)
	got := b.arrive(app+"/page", carol)
	passes(t, got)
	told := got.echo(t)
	first := told.get("Gate-Assertion")
	says, err := s.claims(t, app, first)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"iss": auth, "aud": "app.example.com", "sub": says["sub"], "preferred_username": "carol", "groups": []any{"staff"},
		"email": carol.Email, "email_verified": true}
	if says["name"] != nil {
		want["name"] = says["name"]
	}
	if diff := cmp.Diff(want, says); diff != "" || len(says["sub"].(string)) != 36 {
		t.Errorf("it says (-want +got):\n%s", diff)
	}
	if told.get("Remote-User") != "" {
		t.Errorf("the app is told %v", told.Header)
	}
	if again := b.fetch(app+"/page", header{"Gate-Assertion", "forged"}).echo(t); again.get("Gate-Assertion") != first && again.get("Gate-Assertion") == "forged" {
		t.Errorf("the app is told %v", again.Header)
	}

	// What another host was told is for that host alone.
	cookie := s.siteCookie(t, "other.example.com", carol)
	ask := func() page {
		return s.exchange(t, cookie, "GET /verify/traefik", "verifier", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example.com", "X-Forwarded-Uri: /")
	}
	if says, err := s.claims(t, auth, ask().Header.Get("Gate-Assertion")); err != nil || says["aud"] != "other.example.com" || says["iss"] != auth {
		t.Errorf("%v, %v", says, err)
	}

	// The next key is published before it signs; a leaked one is not good any more.
	keys := func() string { // "old signs next" of ES256
		var states []string
		for line := range strings.Lines(s.must(t, "", "key", "list")) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == "ES256" {
				states = append(states, f[2])
			}
		}
		return strings.Join(states, " ")
	}
	if got := keys(); got != "signs" {
		t.Errorf("listed: %s", got)
	}
	s.must(t, "", "key", "rotate")
	if got := keys(); got != "signs next" {
		t.Errorf("listed: %s", got)
	}
	if _, err := s.claims(t, app, b.fetch(app+"/page").echo(t).get("Gate-Assertion")); err != nil {
		t.Error(err)
	}
	s.must(t, "", "key", "rotate", "--now")
	if _, err := s.claims(t, app, first); err == nil {
		t.Error("what a dropped key signed is still good")
	}
	if _, err := s.claims(t, app, b.fetch(app+"/page").echo(t).get("Gate-Assertion")); err != nil {
		t.Error(err)
	}
	if n := s.count(t, "SELECT count(*) FROM events WHERE action = 'key.create' AND details LIKE '%ES256%'"); n != 3 {
		t.Errorf("%d keys are in the audit log", n)
	}

	// Keys live on across a restart.
	kept := ask().Header.Get("Gate-Assertion")
	s.Restart(t)
	if _, err := s.claims(t, app, kept); err != nil {
		t.Error(err)
	}
}

// Where there is no key that can sign, nobody passes, and the log says why.
func TestAssertionsWithoutKey(t *testing.T) {
	t.Parallel()
	s := start(t, signing)
	people(t, s)
	app := s.at("app.example.com", "")
	b := s.Client(t)
	passes(t, b.arrive(app+"/page", carol))
	cookie := s.siteCookie(t, "other.example.com", carol)
	s.Stop(t)
	s.edit(t, "UPDATE signing_keys SET sealed = 'spoiled'")
	s.Restart(t)
	if got := b.fetch(app + "/page"); got.StatusCode != 503 || !strings.Contains(got.Body, "signing_key_unavailable") {
		t.Errorf("the gate says %s %s", got.Status, got.Body)
	}
	got := s.exchange(t, cookie, "GET /verify/traefik", "verifier", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example.com", "X-Forwarded-Uri: /")
	if got.StatusCode != 503 || got.Header.Get("Gate-Assertion") != "" {
		t.Errorf("the verifier says %s %v", got.Status, got.Header)
	}
	if text := "caddy gate key rotate --now"; !strings.Contains(s.Log(), text) {
		t.Errorf("the log does not say %q", text)
	}
	s.must(t, "", "key", "rotate", "--now")
	passes(t, b.fetch(app+"/page"))
}
