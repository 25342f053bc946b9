package oidcop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

const issuer = "https://auth.example.com"

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// bare is a provider without a database.
func bare() (*Provider, *clock) {
	c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return &Provider{Issuer: issuer, Accounts: &authcore.Accounts{Now: c.now, Notices: limit.New(limit.Pace{}, c.now)}, Log: slog.New(slog.DiscardHandler), State: NewState(nil, authcore.NewSessions(nil, c.now, nil), c.now),
		SiteOf: func(resource string) (Site, bool) {
			return Site{Host: "wiki.example.com"}, resource == "https://wiki.example.com"
		}}, c
}

func shop() *client {
	return &client{Service: authcore.Service{ID: "s", ClientID: "shop", Type: authcore.ServiceWeb, FirstParty: true, ServiceSettings: authcore.ServiceSettings{Status: authcore.Active,
		RedirectURIs: []string{"https://shop.example.com/back"}, Scopes: []string{"orders.read"}}}, status: authcore.OrganizationActive}
}

var challenge = base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))

// good is a request that is right in all.
func good() url.Values {
	return url.Values{"client_id": {"shop"}, "response_type": {"code"}, "redirect_uri": {"https://shop.example.com/back"}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
}

func TestRequestIsJudged(t *testing.T) {
	t.Parallel()
	p, _ := bare()
	for name, c := range map[string]struct {
		set  url.Values // "" takes a parameter away
		want string     // the code of the error; empty for none, "page" where nothing goes to the service
	}{
		"right":                       {url.Values{}, ""},
		"no redirect_uri":             {url.Values{"redirect_uri": {""}}, "page"},
		"another redirect_uri":        {url.Values{"redirect_uri": {"https://shop.example.com/back/"}}, "page"},
		"a user in it":                {url.Values{"redirect_uri": {"https://shop.example.com@evil.example/back"}}, "page"},
		"a port more":                 {url.Values{"redirect_uri": {"https://shop.example.com:8443/back"}}, "page"},
		"another case":                {url.Values{"redirect_uri": {"https://SHOP.example.com/back"}}, "page"},
		"bad, and prompt=none":        {url.Values{"redirect_uri": {"https://evil.example/"}, "prompt": {"none"}}, "page"},
		"no response_type":            {url.Values{"response_type": {""}}, "invalid_request"},
		"implicit":                    {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"hybrid":                      {url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
		"unknown response_mode":       {url.Values{"response_mode": {"web_message"}}, "invalid_request"},
		"form_post":                   {url.Values{"response_mode": {"form_post"}}, ""},
		"no challenge":                {url.Values{"code_challenge": {""}, "code_challenge_method": {""}}, "invalid_request"},
		"plain challenge":             {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"challenge without a method":  {url.Values{"code_challenge_method": {""}}, "invalid_request"},
		"challenge that is too short": {url.Values{"code_challenge": {"abc"}}, "invalid_request"},
		"a request object":            {url.Values{"request": {"eyJ"}}, "request_not_supported"},
		"a foreign request_uri":       {url.Values{"request_uri": {"https://evil.example/r"}}, "request_uri_not_supported"},
		"registration":                {url.Values{"registration": {"{}"}}, "registration_not_supported"},
		"none with login":             {url.Values{"prompt": {"none login"}}, "invalid_request"},
		"unknown prompt":              {url.Values{"prompt": {"create"}}, "invalid_request"},
		"login and consent":           {url.Values{"prompt": {"login consent"}}, ""},
		"negative max_age":            {url.Values{"max_age": {"-1"}}, "invalid_request"},
		"max_age that is no number":   {url.Values{"max_age": {"soon"}}, "invalid_request"},
		"huge state":                  {url.Values{"state": {strings.Repeat("x", maxState+1)}}, "invalid_request"},
		"unknown scopes beside":       {url.Values{"scope": {"openid address orders.read"}}, ""},
		"unknown scopes only":         {url.Values{"scope": {"address"}}, "invalid_scope"},
		"no scope":                    {url.Values{"scope": {""}}, ""},
		"a gated site":                {url.Values{"resource": {"https://wiki.example.com"}}, ""},
		"another site":                {url.Values{"resource": {"https://evil.example"}}, "invalid_target"},
		"no thumbprint":               {url.Values{"dpop_jkt": {"x"}}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form := good()
			for k, v := range c.set {
				if form[k] = v; v[0] == "" {
					form.Del(k)
				}
			}
			q, err := p.requestOf(t.Context(), shop(), form)
			var e *Error
			switch {
			case q == nil:
				if c.want != "page" || !errors.Is(err, ErrRedirectURI) {
					t.Fatalf("no request, %v; want %q", err, c.want)
				}
			case errors.As(err, &e):
				if e.Code != c.want {
					t.Fatalf("%v, want %q", err, c.want)
				}
			case err != nil || c.want != "":
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
	tenant, form := shop(), good()
	tenant.FirstParty = false
	form.Set("resource", "https://wiki.example.com")
	if _, err := p.requestOf(t.Context(), tenant, form); !errors.Is(err, &Error{Code: "invalid_target"}) {
		t.Errorf("a site that is not its organization's: %v", err)
	}
	without := shop()
	without.NoPKCE = true
	form = good()
	form.Del("code_challenge")
	form.Del("code_challenge_method")
	if _, err := p.requestOf(t.Context(), without, form); err != nil {
		t.Errorf("a confidential service that does without PKCE: %v", err)
	}
	without.Type = authcore.ServiceMobile
	if _, err := p.requestOf(t.Context(), without, form); err == nil {
		t.Error("a public client did without PKCE")
	}
}

func TestAnswersNameTheIssuer(t *testing.T) {
	t.Parallel()
	p, _ := bare()
	for mode, want := range map[string]string{"": "https://shop.example.com/back?code=c&iss=https%3A%2F%2Fauth.example.com&state=s", modeFragment: "https://shop.example.com/back#code=c&iss=https%3A%2F%2Fauth.example.com&state=s",
		modeForm: "https://shop.example.com/back"} {
		form := good()
		form.Set("response_mode", mode)
		if mode == "" {
			form.Del("response_mode")
		}
		q, err := p.requestOf(t.Context(), shop(), form)
		if err != nil {
			t.Fatal(err)
		}
		a := p.Succeed(q, "c")
		if a.URL != want {
			t.Errorf("%s: %s, want %s", mode, a.URL, want)
		}
		if mode == modeForm && (a.Form["code"] != "c" || a.Form["iss"] != issuer || a.Form["state"] != "s") {
			t.Errorf("form %v", a.Form)
		}
	}
}

func TestFormsAreStrict(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{"a=1&b=2": true, "resource=a&resource=b": true, "a=1&a=2": false, "a=%zz": false, "a=%00": false, "a=%ff": false, "": true,
		"a=" + strings.Repeat("x", maxParameter+1): false, strings.Repeat("a=1&", maxParameters): false} {
		if _, err := ParseForm(text); (err == nil) != good {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for name, r := range map[string]*http.Request{
		"GET":       httptest.NewRequest("GET", "/", nil),
		"a query":   httptest.NewRequest("POST", "/?client_secret=x", strings.NewReader("a=1")),
		"JSON":      httptest.NewRequest("POST", "/", strings.NewReader("{}")),
		"too large": httptest.NewRequest("POST", "/", strings.NewReader("a="+strings.Repeat("x", maxForm))),
	} {
		if r.Header.Set("Content-Type", "application/x-www-form-urlencoded"); name == "JSON" {
			r.Header.Set("Content-Type", "application/json")
		}
		if _, err := readForm(httptest.NewRecorder(), r); err == nil || err.Code != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUserCodes(t *testing.T) {
	t.Parallel()
	if got := math.Pow(float64(len(userAlphabet)), userSigns); got != userCodes {
		t.Fatalf("there are %.0f codes, not %d", got, int64(userCodes))
	}
	for range 1000 {
		_, hash := authcore.KindDevice.New()
		code := userCodeOf(hash)
		if first, last := devicesOf(code); bytes.Compare(first[:], hash[:]) > 0 || bytes.Compare(hash[:], last[:]) > 0 {
			t.Fatalf("%x has the code %s, which is that of %x to %x", hash, code, first, last)
		}
		if shown := ShowUserCode(code); len(shown) != 9 || PlainUserCode(shown) != code || PlainUserCode(strings.ToLower(shown)) != code || PlainUserCode(" "+code[:2]+" "+code[2:]+" ") != code {
			t.Fatalf("%q shown as %q", code, shown)
		}
	}
	for _, none := range []string{"", "BCDF", "BCDF-GHJ", "BCDF-GHJKL", "AEIO-UUUU", "BCDF-GHJ1", "BCDF\x00GHJK", strings.Repeat("-", 100) + "BCDFGHJK"} {
		if got := PlainUserCode(none); got != "" {
			t.Errorf("%q is taken for %q", none, got)
		}
	}
}

// The next refresh token is the same with the same salt, and nothing without either half.
func TestNextRefresh(t *testing.T) {
	t.Parallel()
	first, _ := authcore.KindRefresh.New()
	a, hash := nextRefresh(first.Reveal(), "salt")
	b, _ := nextRefresh(first.Reveal(), "salt")
	c, _ := nextRefresh(first.Reveal(), "other")
	if a != b || a == c || a == first || !authcore.KindRefresh.Plausible(a.Reveal()) || hash != authcore.HashToken(a.Reveal()) {
		t.Fatal(a.Reveal(), b.Reveal(), c.Reveal())
	}
}

func TestPollingTooFast(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	p, device := newPolls(c.now), waitingDevice("x", c)
	ask := func() bool {
		q := p.ask(authcore.DeviceKeyOf(device.Device))
		return q.early || !q.known && p.found(q, device)
	}
	for i, step := range []struct {
		wait  time.Duration
		early bool
	}{{0, false}, {pollEvery, false}, {time.Second, true}, {pollEvery, true}, {2 * pollEvery, true}, {4 * pollEvery, false}, {4 * pollEvery, false}} {
		c.pass(step.wait)
		if got := ask(); got != step.early {
			t.Fatalf("step %d: early is %v", i, got)
		}
	}
	other := waitingDevice("y", c)
	one, two := p.ask(authcore.DeviceKeyOf(other.Device)), p.ask(authcore.DeviceKeyOf(other.Device))
	if got := []bool{p.found(one, other), p.found(two, other)}; got[0] || !got[1] {
		t.Errorf("two at once are early: %v", got)
	}
	for i := range 3 * pollShards * maxPolls / 2 {
		d := waitingDevice(string(rune(i)), c)
		p.ask(authcore.DeviceKeyOf(d.Device))
		p.found(asked{}, d)
	}
	for i := range p.shards {
		if n := len(p.shards[i].all); n > maxPolls {
			t.Fatalf("%d devices in a shard", n)
		}
	}
}

func waitingDevice(name string, c *clock) *authcore.DeviceGrant {
	return &authcore.DeviceGrant{Device: authcore.HashToken(name), Service: "shop", Status: authcore.DeviceWaiting, ExpiresAt: c.now().Add(deviceLife)}
}

// A device is believed to wait until an answer is heard of, also one that came while the
// database was read.
func TestPollsBelieve(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	p, d := newPolls(c.now), waitingDevice("x", c)
	key, other := authcore.DeviceKeyOf(d.Device), authcore.DeviceKeyOf(authcore.HashToken("other"))
	asks := func(when string, waiting bool) asked {
		t.Helper()
		q := p.ask(key)
		if q.waiting != waiting {
			t.Errorf("%s: waiting is %v", when, q.waiting)
		}
		return q
	}
	for _, answer := range []authcore.DeviceKey{key, {}} {
		q := asks("nobody has read", false)
		p.answered(answer)
		p.found(q, d)
		p.found(asks("answered while the database was read", false), d)
		p.answered(other)
		asks("read, and nobody answered", true)
		p.answered(answer)
		p.found(asks("answered", false), &authcore.DeviceGrant{Device: d.Device, Service: "shop", Status: authcore.DeviceApproved, ExpiresAt: d.ExpiresAt})
		asks("approved", false)
		p.forget(key)
	}
}

func TestSeenOnce(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	s := newSeen(c.now)
	var wins int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if first, err := s.first(byClient("a"), "k", "id", c.now().Add(time.Minute)); err == nil && first {
				mu.Lock()
				wins++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if wins != 1 {
		t.Fatalf("%d of 50 were first", wins)
	}
	if first, _ := s.first(byClient("a"), "other", "id", c.now().Add(time.Minute)); !first {
		t.Error("somebody else's with the same id was not first")
	}
}

// Nobody leaves no room for others, and there is room again when ids have expired.
func TestSeenShares(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	s := newSeen(c.now)
	greedy, other := share{"greedy", 3}, share{"other", 3}
	try := func(in share, id string) bool {
		first, err := s.first(in, "k", id, c.now().Add(time.Minute))
		return first && err == nil
	}
	got := []bool{try(greedy, "1"), try(greedy, "2"), try(greedy, "3"), try(greedy, "4"), try(other, "5")}
	if !cmp.Equal(got, []bool{true, true, true, false, true}) {
		t.Errorf("beside one that is greedy: %v", got)
	}
	c.pass(2 * time.Minute)
	if !try(greedy, "4") || !try(greedy, "1") || s.in["greedy"].len() != 2 || s.n != 3 {
		t.Errorf("when all have expired: %d, and %d of the greedy", s.n, s.in["greedy"].len())
	}
	bare := &client{Service: authcore.Service{Type: authcore.ServiceDesktop, ClientID: "app"}}
	if a, b := bare.share(authcore.Client{Address: "192.0.2.1"}), bare.share(authcore.Client{Address: "192.0.2.2"}); a == b || a == byClient("app") || a.most != maxAddressSeen {
		t.Errorf("shares of a client that anybody can be: %v, %v", a, b)
	}
}

// batches takes device codes, and says how many came at a time.
type batches struct {
	authcore.DeviceGrantStore
	begun, go_ chan struct{}
	mu         sync.Mutex
	sizes      []int
	err        error
}

func (b *batches) AddDeviceGrants(_ context.Context, all []authcore.DeviceGrant) error {
	b.begun <- struct{}{}
	<-b.go_
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sizes = append(b.sizes, len(all))
	return b.err
}

// What is asked for while a batch is written goes together.
func TestDeviceCodesGoInBatches(t *testing.T) {
	t.Parallel()
	b := &batches{begun: make(chan struct{}, 100), go_: make(chan struct{})}
	q := newDeviceQueue(b)
	ctx, cancel := context.WithCancel(t.Context())
	var ran sync.WaitGroup
	ran.Go(func() { q.run(ctx) })
	defer ran.Wait()
	defer cancel()
	const many = 300
	var asked sync.WaitGroup
	ask := func() {
		if _, err := q.ask(ctx, authcore.DeviceGrant{}); err != nil {
			t.Error(err)
		}
	}
	asked.Go(ask)
	<-b.begun // the writer is busy now
	for range maxBatchWaiting {
		q.waiting <- wish[authcore.DeviceGrant, struct{}]{done: make(chan outcome[struct{}], 1)}
	}
	if _, err := q.ask(ctx, authcore.DeviceGrant{}); !errors.Is(err, errBusy) || sorted(err).Status != http.StatusTooManyRequests {
		t.Errorf("one too many: %v", err)
	}
	for range maxBatchWaiting {
		<-q.waiting
	}
	for range many {
		asked.Go(ask)
	}
	for len(q.waiting) < many {
		time.Sleep(time.Millisecond)
	}
	close(b.go_)
	asked.Wait()
	total := 0
	for _, n := range b.sizes {
		total += n
	}
	if total != many+1 || len(b.sizes) > 3 {
		t.Fatalf("batches of %v", b.sizes)
	}
}

// A wish that comes alone does not wait; those that come soon after it go together.
func TestBatchesKeepTheirPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		q := newBatcher(10, 2*time.Millisecond, func(_ context.Context, all []int) ([]int, error) {
			at = append(at, time.Since(began))
			return all, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var ran, asked sync.WaitGroup
		ran.Go(func() { q.run(ctx) })
		for i := range 3 { // at 0, 0.5 and 1 ms
			asked.Go(func() {
				if got, err := q.ask(ctx, i); got != i || err != nil {
					t.Errorf("%d became %d, %v", i, got, err)
				}
			})
			time.Sleep(time.Millisecond / 2)
		}
		asked.Wait()
		cancel()
		ran.Wait()
		if want := []time.Duration{0, 2 * time.Millisecond}; !slices.Equal(at, want) {
			t.Errorf("batches began after %v, want %v", at, want)
		}
	})
}

// proof makes a proof of a key (RFC 9449).
func proof(t *testing.T, key *ecdsa.PrivateKey, typ string, claims proofClaims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestProofs(t *testing.T) {
	t.Parallel()
	p, at := bare()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := proofClaims{ID: "1", Method: "POST", URL: issuer + PathToken, IssuedAt: jwt.NewNumericDate(at.now())}
	ask := func(proofs ...string) (string, error) {
		r := httptest.NewRequest("POST", PathToken, nil)
		r.Header["Dpop"] = proofs
		return p.proven(r, PathToken, "", byClient("app"))
	}
	once := proof(t, key, "dpop+jwt", right)
	if jkt, err := ask(once); err != nil || !isThumb(jkt) {
		t.Fatalf("a right proof: %q, %v", jkt, err)
	}
	if _, err := ask(once); !errors.Is(err, errProof) {
		t.Errorf("a second time: %v", err)
	}
	for name, change := range map[string]func(c *proofClaims) string{
		"another type":   func(*proofClaims) string { return "JWT" },
		"another method": func(c *proofClaims) string { c.Method = "GET"; return "dpop+jwt" },
		"another place":  func(c *proofClaims) string { c.URL = issuer + PathUserinfo; return "dpop+jwt" },
		"old": func(c *proofClaims) string {
			c.IssuedAt = jwt.NewNumericDate(at.now().Add(-2 * proofLife))
			return "dpop+jwt"
		},
		"of the future": func(c *proofClaims) string {
			c.IssuedAt = jwt.NewNumericDate(at.now().Add(2 * leeway))
			return "dpop+jwt"
		},
		"no id":   func(c *proofClaims) string { c.ID = ""; return "dpop+jwt" },
		"no time": func(c *proofClaims) string { c.IssuedAt = nil; return "dpop+jwt" },
	} {
		claims := right
		claims.ID = name
		typ := change(&claims)
		if _, err := ask(proof(t, key, typ, claims)); !errors.Is(err, errProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	two := right
	two.ID = "2"
	if _, err := ask(proof(t, key, "dpop+jwt", two), proof(t, key, "dpop+jwt", two)); !errors.Is(err, errProof) {
		t.Errorf("two proofs: %v", err)
	}
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	p, at := bare()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := shop()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.Keys = string(set)
	make := func(key *ecdsa.PrivateKey, claims jwt.Claims) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	right := jwt.Claims{Issuer: "shop", Subject: "shop", Audience: jwt.Audience{issuer}, ID: "1", Expiry: jwt.NewNumericDate(at.now().Add(time.Minute))}
	text := make(key, right)
	if id, err := p.subjectOf(text, ""); err != nil || id != "shop" {
		t.Fatal(id, err)
	}
	if err := p.checkAssertion(c, text); err != nil {
		t.Fatal(err)
	}
	if err := p.checkAssertion(c, text); err == nil {
		t.Error("an assertion was good twice")
	}
	for name, change := range map[string]func(*jwt.Claims) *ecdsa.PrivateKey{
		"another key":      func(*jwt.Claims) *ecdsa.PrivateKey { return other },
		"another issuer":   func(c *jwt.Claims) *ecdsa.PrivateKey { c.Issuer = "x"; return key },
		"another subject":  func(c *jwt.Claims) *ecdsa.PrivateKey { c.Subject = "x"; return key },
		"another audience": func(c *jwt.Claims) *ecdsa.PrivateKey { c.Audience = jwt.Audience{"https://evil.example"}; return key },
		"expired": func(c *jwt.Claims) *ecdsa.PrivateKey {
			c.Expiry = jwt.NewNumericDate(at.now().Add(-time.Minute))
			return key
		},
		"for too long": func(c *jwt.Claims) *ecdsa.PrivateKey {
			c.Expiry = jwt.NewNumericDate(at.now().Add(time.Hour))
			return key
		},
		"without an end": func(c *jwt.Claims) *ecdsa.PrivateKey { c.Expiry = nil; return key },
		"without an id":  func(c *jwt.Claims) *ecdsa.PrivateKey { c.ID = ""; return key },
		"not yet": func(c *jwt.Claims) *ecdsa.PrivateKey {
			c.NotBefore = jwt.NewNumericDate(at.now().Add(time.Hour))
			return key
		},
	} {
		claims := right
		claims.ID = name
		by := change(&claims)
		if err := p.checkAssertion(c, make(by, claims)); err == nil {
			t.Errorf("%s: was good", name)
		}
	}
	c.Keys = ""
	again := right
	again.ID = "keyless"
	if err := p.checkAssertion(c, make(key, again)); err == nil {
		t.Error("a service without keys was let in by an assertion")
	}
}

func TestErrorsAreOfOAuth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   string
		status int
	}{
		{authcore.ErrUnavailable, "temporarily_unavailable", 503}, {authcore.ErrGrantInvalid, "invalid_grant", 0}, {authcore.ErrGrantUsed, "invalid_grant", 0},
		{authcore.ErrServiceNotAllowed, "access_denied", 0}, {authcore.ErrBarred, "access_denied", 0}, {errors.New("x"), "server_error", 500}, {errSlowDown, "slow_down", 0},
	} {
		if got := sorted(c.err); got.Code != c.code || got.Status != c.status {
			t.Errorf("%v: %s with status %d", c.err, got.Code, got.Status)
		}
	}
	all := []*Error{errSlowDown, errPending, errExpired, errDenied, errGrant, errProof, ErrLoginRequired, ErrConsentRequired, ErrInteractionRequired, ErrDenied, ErrClass}
	for _, e := range all {
		if plain(e.Description)[:10] != e.Description[:10] || strings.ContainsAny(e.Description, "\"\\") {
			t.Errorf("%q is no description (RFC 6749 section 5.2)", e.Description)
		}
	}
	if got := plain("<b>\"\\\x00é"); strings.ContainsAny(got, "<>\"\\") || !slices.Equal([]byte(got), []byte("."+"b"+".....")) {
		t.Errorf("%q", got)
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add("a=1&b=2")
	f.Add("resource=a&resource=b&a=%41")
	f.Add("a=1&a=2")
	f.Fuzz(func(t *testing.T, text string) {
		form, err := ParseForm(text)
		if err != nil {
			return
		}
		for name, values := range form {
			if len(values) != 1 && !lists[name] {
				t.Fatalf("%q has %d values", name, len(values))
			}
		}
	})
}

// Whatever a request holds, its answer goes to an address of the service, or nowhere.
func FuzzRequest(f *testing.F) {
	f.Add(good().Encode())
	f.Add("client_id=shop&redirect_uri=https://evil.example/&prompt=none")
	f.Fuzz(func(t *testing.T, text string) {
		p, _ := bare()
		form, bad := ParseForm(text)
		if bad != nil {
			return
		}
		q, err := p.requestOf(t.Context(), shop(), form)
		if q == nil {
			return
		}
		answer := p.Succeed(q, "c")
		if err != nil {
			answer = p.Fail(q, err)
		}
		if !strings.HasPrefix(answer.URL, "https://shop.example.com/back") {
			t.Fatalf("an answer to %q", answer.URL)
		}
	})
}

// Of each code, the first and the last hash have it, and their neighbours do not.
func FuzzUserCode(f *testing.F) {
	f.Add("BCDF-GHJK")
	f.Add("bcdf ghjk")
	f.Add("BBBB-BBBB")
	f.Add("ZZZZ-ZZZZ")
	f.Fuzz(func(t *testing.T, typed string) {
		code := PlainUserCode(typed)
		if code == "" {
			return
		}
		if PlainUserCode(ShowUserCode(code)) != code {
			t.Fatalf("%q became %q", typed, code)
		}
		first, last := devicesOf(code)
		if one, two := userCodeOf(first), userCodeOf(last); one != code || two != code {
			t.Fatalf("%s is that of %q to %q", code, one, two)
		}
		var before, after authcore.TokenHash
		binary.BigEndian.PutUint64(before[:], binary.BigEndian.Uint64(first[:])-1)
		binary.BigEndian.PutUint64(after[:], binary.BigEndian.Uint64(last[:])+1)
		if one, two := userCodeOf(before), userCodeOf(after); one == code || two == code {
			t.Fatalf("%s is also that of a neighbour: %q, %q", code, one, two)
		}
	})
}
