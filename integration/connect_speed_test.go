package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// swiftProvider is a provider that answers at once and knows how long it took: what a
// sign-in costs beside it is ours. Codes are "NONCE.PERSON".
type swiftProvider struct {
	*httptest.Server
	keys atomic.Pointer[[]jose.JSONWebKey] // the last one signs
	jwks atomic.Int64                      // how often the keys were asked for
	took sync.Map                          // code: how long the token endpoint took
}

func newSwiftProvider(t testing.TB) *swiftProvider {
	p := new(swiftProvider)
	p.keys.Store(new([]jose.JSONWebKey))
	p.rotate(t)
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// rotate adds a key, which signs from now on.
func (p *swiftProvider) rotate(t testing.TB) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	all := append(slices.Clone(*p.keys.Load()), jose.JSONWebKey{Key: key, KeyID: fmt.Sprint("key-", len(*p.keys.Load())), Algorithm: "ES256", Use: "sig"})
	p.keys.Store(&all)
}

func (p *swiftProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w.Header().Set("Content-Type", "application/json")
	at := "http://" + r.Host
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": at, "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token",
			"jwks_uri": at + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
	case "/keys":
		p.jwks.Add(1)
		var set jose.JSONWebKeySet
		for _, key := range *p.keys.Load() {
			set.Keys = append(set.Keys, key.Public())
		}
		_ = json.NewEncoder(w).Encode(set)
	case "/token":
		code := r.FormValue("code")
		body, err := p.issue(at, code)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(body)
		p.took.Store(code, time.Since(began))
	}
}

// issue makes the answer of the token endpoint.
func (p *swiftProvider) issue(at, code string) ([]byte, error) {
	nonce, who, err := cutLast(code)
	if err != nil {
		return nil, err
	}
	keys := *p.keys.Load()
	key := keys[len(keys)-1]
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	id, err := jwt.Signed(s).Claims(map[string]any{"iss": at, "aud": "gate", "sub": who, "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"preferred_username": who, "email": who + "@example.com", "email_verified": true}).Serialize()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"access_token": "access-" + who, "refresh_token": "refresh-" + who, "token_type": "Bearer", "expires_in": 3600, "id_token": id})
}

func cutLast(code string) (nonce, who string, err error) {
	for i := len(code) - 1; i >= 0; i-- {
		if code[i] == '.' {
			return code[:i], code[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("code %q", code)
}

// signIn visits the provider as somebody and gives how long the callback took in all, and
// how much of it the provider.
func (p *swiftProvider) signIn(b *browser, portal, who string) (all, theirs time.Duration, err error) {
	b.forget() // a new session in place of another ends that one too
	to, err := url.Parse(b.get(portal + "/.gate/connect/corp").location())
	if err != nil {
		return 0, 0, err
	}
	q := to.Query()
	code := q.Get("nonce") + "." + who
	back := portal + "/.gate/connect/corp/callback?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	began := time.Now()
	got := b.get(back)
	all = time.Since(began)
	if got.StatusCode != http.StatusSeeOther {
		return 0, 0, fmt.Errorf("%s\n%.600s", got.Status, got.Body)
	}
	took, _ := p.took.Load(code)
	theirs, _ = took.(time.Duration)
	return all, theirs, nil
}

// 100 people a second sign in with a provider, half of them for the first time, while its
// keys change: nobody fails, and the keys are fetched once for all who wait for them.
// In the suite it is 80 in all, eight at once. With GATE_SIGNINS=3000 and -v it shows how long the callback takes; without -race, as
// the product is built.
func TestConnectSpeed(t *testing.T) {
	t.Parallel()
	p := newSwiftProvider(t)
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		limits {
			address off
			account off
		}
		oidc corp {{.Issuer}} gate secret
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
`, func(s *server) { s.Vars["Issuer"] = p.URL })
	withOwner(t, s)
	portal := s.URL("HTTPS", "auth.example.org")
	const rate = 100
	n, browsers := times(t, "GATE_SIGNINS", 80), 8
	if n > 80 {
		browsers = 64 // else beside other tests, where a database may take its time
	}
	free := make(chan *browser, browsers)
	for range cap(free) {
		b := s.Client(t)
		b.get(portal + "/.gate/login")
		free <- b
	}
	var mu sync.Mutex
	var own []time.Duration
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		if i%(n/4) == n/8 {
			p.rotate(t)
		}
		b := <-free
		all.Go(func() {
			defer func() { free <- b }()
			took, theirs, err := p.signIn(b, portal, fmt.Sprint("person-", i/2))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("sign-in %d: %v", i, err)
				return
			}
			own = append(own, took-theirs)
		})
	}
	all.Wait()
	if rotations := int64(len(*p.keys.Load())); p.jwks.Load() > rotations {
		t.Errorf("the keys were fetched %d times, for %d keys", p.jwks.Load(), rotations)
	}
	if users := s.count(t, "SELECT count(*) FROM users"); users != n/2+1 {
		t.Errorf("%d users were made of %d people", users-1, n/2)
	}
	slices.Sort(own)
	if len(own) > 0 {
		t.Logf("%d sign-ins, %d a second: the callback's own part: p50 %s, p95 %s, worst %s; keys fetched %d times for %d keys", len(own), rate,
			own[len(own)/2], own[len(own)*95/100], own[len(own)-1], p.jwks.Load(), len(*p.keys.Load()))
	}
}
