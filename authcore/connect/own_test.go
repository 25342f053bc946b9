package connect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// An organization that has a client of its own at a provider signs in with it, any other
// with the platform's.
func TestOwnClients(t *testing.T) {
	t.Parallel()
	p, err := New(Settings{Name: "google", Kind: Google, ClientID: "platform", ClientSecret: "secret"}, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	ps := NewProviders([]*Provider{p}, nil).WithOwn(func(_ context.Context, organization, name string) (*authcore.OwnClient, error) {
		switch organization {
		case "acme":
			return &authcore.OwnClient{Slug: organization, ClientID: "own", Secret: "hidden"}, nil
		case "broken":
			return nil, away
		}
		return nil, nil
	})
	for _, c := range []struct {
		organization, name, want string
		err                      error
	}{{"", "google", "platform", nil}, {"acme", "google", "own", nil}, {"beta", "google", "platform", nil}, {"broken", "google", "", away}, {"acme", "github", "", ErrUnknownProvider}} {
		got, err := ps.Find(t.Context(), c.organization, c.name)
		if !errors.Is(err, c.err) || err == nil && (got.ClientID != c.want || got.Issuer != p.Issuer) {
			t.Errorf("%s at %s: %+v, %v", c.organization, c.name, got, err)
		}
	}
	if p.ClientID != "platform" {
		t.Error("the platform's was changed")
	}
}

// acme is a client of an organization at an issuer.
var acme = authcore.OwnClient{Organization: "1", Slug: "acme", ClientID: "own", Secret: "hidden"}

// An organization's client is known by its own id and secret, and takes ID tokens that are
// issued to it alone; the provider is asked once what it says of itself.
func TestOwnFinish(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	var by, secret string
	is.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
		by, secret, _ = r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "r", "id_token": is.sign(is.claims)})
	}
	p := is.provider(t, nil)
	own := p.with(&acme)
	is.claims["aud"] = "own"
	who, tokens, err := is.finish(t, own, nil)
	if err != nil {
		t.Fatal(err)
	}
	if by != "own" || secret != "hidden" || tokens.To != (authcore.IssuedTo{Organization: "acme", Client: "own"}) {
		t.Errorf("the provider is asked by %s with %s; the tokens are of %+v", by, secret, tokens.To)
	}
	if v := own.Vouched(who, tokens); v.Organization != "acme" || v.Provider != "corp" || v.Issuer != is.URL {
		t.Errorf("it vouches so: %+v", v)
	}
	delete(is.claims, "nonce")
	if _, _, err := is.finish(t, p, nil); !errors.Is(err, ErrAnswer) {
		t.Errorf("an ID token for the organization, at the platform's client: %v", err)
	}
	delete(is.claims, "nonce")
	is.claims["aud"] = client
	if _, _, err := is.finish(t, own, nil); !errors.Is(err, ErrAnswer) {
		t.Errorf("an ID token for the platform, at the organization's client: %v", err)
	}
	delete(is.claims, "nonce")
	if _, tokens, err = is.finish(t, p, nil); err != nil || by != client || tokens.To != (authcore.IssuedTo{}) {
		t.Errorf("the platform's client: by %s, %+v, %v", by, tokens, err)
	}
	if n := is.asked["/.well-known/openid-configuration"].Load(); n != 1 {
		t.Errorf("the provider was asked %d times what it says of itself", n)
	}
}

// The rules of the configuration hold for an organization's client too.
func TestOwnRules(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	p := is.provider(t, func(s *Settings) { s.Allow = []Rule{{"domain", "example.org"}} })
	is.claims["aud"] = "own"
	if _, _, err := is.finish(t, p.with(&acme), nil); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("alice@example.com: %v", err)
	}
}

// A client that the provider refuses is for its organization to mend, and no reason to say
// that a person is gone.
func TestOwnRefused(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	for _, code := range []string{"invalid_client", "unauthorized_client", "incorrect_client_credentials"} {
		is.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"` + code + `"}`))
		}
		own := is.provider(t, nil).with(&acme)
		_, _, err := is.finish(t, own, nil)
		var e *authcore.Error
		if !errors.As(err, &e) || !errors.Is(err, ErrMisconfigured) || !strings.Contains(e.Message, "owner or admin of the organization") || !strings.Contains(err.Error(), "of organization acme: the provider refuses the client ("+code+")") {
			t.Errorf("%s at a sign-in: %v", code, err)
		}
		old := &authcore.ProviderTokens{Access: "a", Refresh: "r", To: own.IssuedTo()}
		if _, fresh, err := own.Recheck(t.Context(), old, "248289761001"); fresh != nil || !errors.Is(err, ErrMisconfigured) || errors.Is(err, errGone) {
			t.Errorf("%s at a renewal: %v", code, err)
		}
		_, _, err = is.finish(t, is.provider(t, nil), nil)
		if !errors.As(err, &e) || e.Message != ErrMisconfigured.Message {
			t.Errorf("%s, of the platform's client: %v", code, err)
		}
	}
}

// A renewal keeps to whom the tokens belong, and those of other clients.
func TestOwnRenews(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	own := is.provider(t, nil).with(&acme)
	is.claims["aud"] = "own"
	others := []authcore.OtherRefresh{{Refresh: "the platform's"}}
	_, fresh, err := own.Recheck(t.Context(), &authcore.ProviderTokens{Refresh: "r", To: own.IssuedTo(), Others: others}, "248289761001")
	if err != nil || fresh.To != own.IssuedTo() || len(fresh.Others) != 1 || fresh.Refresh != "a-refresh-token" {
		t.Errorf("%+v, %v", fresh, err)
	}
}

// What was issued to one client is of no use with another.
func TestFindIssuer(t *testing.T) {
	t.Parallel()
	p, err := New(Settings{Name: "google", Kind: Google, ClientID: "platform", ClientSecret: "secret"}, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	ps := NewProviders([]*Provider{p}, nil).WithOwn(func(_ context.Context, organization, _ string) (*authcore.OwnClient, error) {
		switch organization {
		case "acme":
			return &acme, nil
		case "broken":
			return nil, away
		}
		return nil, nil
	})
	for _, c := range []struct {
		to   authcore.IssuedTo
		name string
		want string
		err  error
	}{
		{authcore.IssuedTo{}, "google", "platform", nil},
		{authcore.IssuedTo{Organization: "acme", Client: "own"}, "google", "own", nil},
		{authcore.IssuedTo{Organization: "acme", Client: "another"}, "google", "", ErrClientGone},
		{authcore.IssuedTo{Organization: "beta", Client: "own"}, "google", "", ErrClientGone},
		{authcore.IssuedTo{Organization: "broken", Client: "own"}, "google", "", away},
		{authcore.IssuedTo{}, "github", "", ErrUnknownProvider},
		{authcore.IssuedTo{Organization: "acme", Client: "own"}, "github", "", ErrUnknownProvider},
	} {
		got, err := ps.FindIssuer(t.Context(), c.name, c.to)
		if !errors.Is(err, c.err) || err == nil && got.ClientID != c.want {
			t.Errorf("%s of %+v: %+v, %v", c.name, c.to, got, err)
		}
	}
}

// An organization gives Apple's secret as it is: there is no key to make one with.
func TestOwnApple(t *testing.T) {
	t.Parallel()
	p, err := New(Settings{Name: "apple", Kind: Apple, ClientID: "platform"}, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.with(&acme).config(new(metadata), &Flow{})
	if err != nil || c.ClientID != "own" || c.ClientSecret != "hidden" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The roles of a Microsoft app are whatever its owner calls so: those of an organization's
// are not the platform's.
func TestOwnMicrosoftRoles(t *testing.T) {
	t.Parallel()
	p, err := New(Settings{Name: "microsoft", Kind: Microsoft, Issuer: microsoftTenant, ClientID: "platform", ClientSecret: "secret"}, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	role := Rule{"claim", "roles=admin"}
	for _, c := range []struct {
		p    *Provider
		want bool
	}{{p, true}, {p.with(&acme), false}} {
		who := &Person{Claims: map[string]any{"tid": microsoftTenant, "roles": []any{"admin"}}}
		if err := microsoftPerson(t.Context(), c.p, who, nil, nil); err != nil || role.Holds(who) != c.want {
			t.Errorf("%s: %v, %v", c.p.ClientID, who.Claims, err)
		}
	}
}
