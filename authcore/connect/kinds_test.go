package connect

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// shape is one file of testdata, see the README there: an answer to a request, the
// claims of an ID token, or what the browser brings back.
type shape struct {
	Request string
	Status  int
	Type    string
	Body    json.RawMessage
	Text    string
	Claims  map[string]any
	Answer  map[string]string
}

// recording answers requests by host and path, with the shapes of a provider.
type recording struct {
	t      *testing.T
	words  *strings.Replacer
	shapes []shape // the last that fits counts
	claims map[string]any
	answer url.Values
	asked  []*http.Request
	form   url.Values // that the token endpoint got
	nonce  string
}

var recordedKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var recordedAt = time.Now()

const microsoftTenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490" // of the shapes

// play makes a recording of shapes, named without their ending. words are pairs that
// are put in for one another.
func play(t *testing.T, kind string, names []string, words ...string) *recording {
	t.Helper()
	key := &recordedKey().PublicKey
	rec := &recording{t: t, answer: url.Values{"state": {"the-state"}}, words: strings.NewReplacer(append([]string{"$CLIENT", client, "$KID", "one",
		"$N", b64(key.N.Bytes()), "$E", b64(big.NewInt(int64(key.E)).Bytes())}, words...)...)}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join("testdata", kind, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var s shape
		if err := json.Unmarshal([]byte(rec.words.Replace(string(raw))), &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for field, value := range s.Answer {
			rec.answer.Set(field, value)
		}
		if s.Claims != nil {
			rec.claims = s.Claims
		}
		if s.Request != "" {
			rec.shapes = append(rec.shapes, s)
		}
	}
	return rec
}

// say has a request answered with a text, in place of what is recorded.
func (rec *recording) say(request, kind, body string) {
	rec.shapes = append(rec.shapes, shape{Request: request, Status: 200, Type: kind, Text: body})
}

// RoundTrip implements http.RoundTripper.
func (rec *recording) RoundTrip(r *http.Request) (*http.Response, error) {
	rec.asked = append(rec.asked, r)
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		rec.form, _ = url.ParseQuery(string(body))
	}
	for i := len(rec.shapes) - 1; i >= 0; i-- {
		if s := &rec.shapes[i]; s.fits(r) {
			body := s.Text
			if s.Body != nil {
				body = rec.withToken(s.Body)
			}
			header := http.Header{"Content-Type": {s.Type}}
			if s.Status/100 == 3 {
				header.Set("Location", "https://api.github.com/user/583231")
			}
			return &http.Response{StatusCode: s.Status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		}
	}
	rec.t.Errorf("it asks for %s %s, which nobody recorded", r.Method, r.URL)
	return nil, errors.New("nobody recorded that")
}

func (s *shape) fits(r *http.Request) bool {
	method, address, _ := strings.Cut(s.Request, " ")
	u, err := url.Parse(address)
	if err != nil || method != r.Method || u.Scheme != r.URL.Scheme || u.Host != r.URL.Host || u.Path != r.URL.Path {
		return false
	}
	for name := range u.Query() {
		if r.URL.Query().Get(name) != u.Query().Get(name) {
			return false
		}
	}
	return true
}

// withToken puts the ID token into an answer that has one.
func (rec *recording) withToken(body []byte) string {
	if !bytes.Contains(body, []byte("$ID_TOKEN")) {
		return string(body)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &token); err != nil {
		rec.t.Error(err)
	}
	claims := map[string]any{"iat": recordedAt.Unix(), "exp": recordedAt.Add(time.Hour).Unix(), "nonce": rec.nonce}
	for name, value := range rec.claims {
		switch {
		case name == "nbf" || name == "auth_time":
			value = recordedAt.Unix()
		case value == any("$AT_HASH"):
			sum := sha256.Sum256([]byte(token.Access))
			value = b64(sum[:len(sum)/2])
		}
		claims[name] = value
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: recordedKey(), KeyID: "one"}}, nil)
	if err != nil {
		rec.t.Error(err)
	}
	id, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		rec.t.Error(err)
	}
	return strings.ReplaceAll(string(body), "$ID_TOKEN", id)
}

// recorded is one sign-in with what was recorded of a provider.
type recorded struct {
	shapes []string // besides those that every sign-in of the kind has
	tenant string   // the issuer or the tenant in the settings
	words  []string
	change func(*recording)
	rules  string // terms that hold; with "!" those that do not
	want   Person // but for Claims, Member and what is of the session
	err    error
}

// sign runs a sign-in from its beginning to its end.
func (row *recorded) sign(t *testing.T, kind string, common []string) (*recording, *Provider, *Person, *authcore.ProviderTokens) {
	t.Helper()
	rec := play(t, kind, append(common, row.shapes...), row.words...)
	if row.change != nil {
		row.change(rec)
	}
	s := Settings{Name: kind, Kind: kind, Issuer: row.tenant, ClientID: client, ClientSecret: "hush", AppleKey: newAppleKey(t), Allow: []Rule{{kind: "everyone"}}}
	for term := range strings.FieldsSeq(row.rules) {
		r, err := ParseRule(strings.TrimPrefix(term, "!"), kind)
		if err != nil {
			t.Fatal(err)
		}
		s.Grants = append(s.Grants, Grant{Group: "g", When: r})
	}
	p, err := New(s, rec, func() time.Time { return recordedAt })
	if err != nil {
		t.Fatal(err)
	}
	f := NewFlow("https://auth.example.com/.gate/connect/" + kind + "/callback")
	rec.nonce = f.Nonce
	rec.checkBegin(p, f, kind)
	who, tokens, err := p.Finish(t.Context(), f, rec.answer)
	if !errors.Is(err, row.err) || (err != nil) != (who == nil) || err != nil && (row.err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "alice-")) {
		t.Fatalf("it ends with %v, want %v", err, row.err)
	}
	if rec.form != nil && (rec.form.Get("code_verifier") != f.Verifier || rec.form.Get("redirect_uri") != f.Redirect || rec.form.Get("code") != rec.answer.Get("code")) {
		t.Errorf("the token endpoint gets %v", rec.form)
	}
	return rec, p, who, tokens
}

// checkBegin looks at the address that the browser is sent to.
func (rec *recording) checkBegin(p *Provider, f Flow, kind string) {
	rec.t.Helper()
	to, err := p.Begin(rec.t.Context(), f, "the-state")
	if err != nil {
		if !errors.Is(err, ErrAway) {
			rec.t.Fatal(err)
		}
		return // Finish says the same
	}
	u, err := url.Parse(to)
	if err != nil {
		rec.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(f.Verifier))
	want := url.Values{"response_type": {"code"}, "client_id": {client}, "state": {"the-state"}, "redirect_uri": {f.Redirect}, "code_challenge": {b64(sum[:])}, "code_challenge_method": {"S256"}}
	for name, value := range authorizations[kind] {
		want.Set(name, value)
	}
	if kind != GitHub && kind != Discord {
		want.Set("nonce", f.Nonce)
	}
	for _, r := range p.Grants {
		if extra := scopeOf[r.When.kind]; extra != "" {
			want.Set("scope", authorizations[kind]["scope"]+" "+extra)
		}
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		rec.t.Errorf("%s: the parameters (-want +got):\n%s", kind, diff)
	}
}

// authorizations are the parameters in which the kinds differ.
var authorizations = map[string]map[string]string{
	GitHub:    {"scope": "read:user user:email"},
	Google:    {"scope": "openid profile email", "access_type": "offline"},
	Microsoft: {"scope": "openid profile email offline_access"},
	Apple:     {"scope": "openid name email", "response_mode": "form_post"},
	GitLab:    {"scope": "openid profile email"},
	Discord:   {"scope": "identify email"},
}

// replay runs sign-ins of a kind.
func replay(t *testing.T, kind string, common []string, rows map[string]recorded) {
	t.Parallel()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, who, _ := row.sign(t, kind, common)
			if who == nil {
				return
			}
			got := Person{Issuer: who.Issuer, Subject: who.Subject, Username: who.Username, Name: who.Name, Email: who.Email, EmailVerified: who.EmailVerified}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("who it is (-want +got):\n%s", diff)
			}
			for term := range strings.FieldsSeq(row.rules) {
				r, _ := ParseRule(strings.TrimPrefix(term, "!"), kind)
				if r.Holds(who) == strings.HasPrefix(term, "!") {
					t.Errorf("%s is wrong", term)
				}
			}
		})
	}
}

const githubIssuer = "https://github.com"

func TestGitHub(t *testing.T) {
	alice := Person{Issuer: githubIssuer, Subject: "583231", Username: "Alice", Name: "Alice Example", Email: "alice@example.com", EmailVerified: true}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	const api = "GET https://api.github.com"
	page := func(rec *recording, path string, page, count int, one string) {
		rec.say(fmt.Sprintf("%s%s?page=%d", api, path, page), "application/json", "["+strings.Repeat(one+",", count-1)+one+"]")
	}
	member := func(name, state, role string) string {
		return fmt.Sprintf(`{"state":%q,"role":%q,"organization":{"login":%q}}`, state, role, name)
	}
	replay(t, GitHub, []string{"token", "user", "emails", "callback"}, map[string]recorded{
		"usual":           {want: alice, rules: "user:alice user:ALICE !user:bob email:alice@example.com domain:example.com !domain:example.net !domain:users.noreply.github.com claim:id=583231"},
		"private profile": {shapes: []string{"user-private"}, want: with(func(p *Person) { p.Name = "" })},
		"token that ends": {shapes: []string{"token-expiring"}, want: alice},
		// The login passes on; the account does not.
		"same login later":      {shapes: []string{"user-same-login", "emails-unverified"}, want: Person{Issuer: githubIssuer, Subject: "90210733", Username: "alice", Email: "boss@example.com"}, rules: "user:alice !claim:id=583231 !email:boss@example.com !domain:example.com"},
		"address not to be had": {shapes: []string{"emails-out-of-scope"}, want: with(func(p *Person) { p.Email, p.EmailVerified = "", false }), rules: "!domain:example.com"},
		"primary on page two": {want: alice, change: func(rec *recording) {
			page(rec, "/user/emails", 1, 100, `{"email":"x@example.net","primary":false,"verified":true}`)
			page(rec, "/user/emails", 2, 1, `{"email":"alice@example.com","primary":true,"verified":true}`)
		}},
		"organizations": {shapes: []string{"memberships", "teams"}, want: alice,
			rules: "github:acme github:Acme github:acme/eng github:ACME/Eng github:example-labs !github:invited !github:invited/eng !github:paid-for !github:elsewhere !github:elsewhere/owners !github:eng"},
		"organization on page two": {shapes: []string{"teams"}, want: alice, rules: "github:acme github:acme/eng", change: func(rec *recording) {
			page(rec, "/user/memberships/orgs", 1, 100, member("other", "active", "member"))
			page(rec, "/user/memberships/orgs", 2, 1, member("acme", "active", "member"))
		}},
		"pending though only active was asked for": {want: alice, rules: "!github:acme", change: func(rec *recording) {
			page(rec, "/user/memberships/orgs", 1, 1, member("acme", "pending", "member"))
		}},
		"organizations without end": {rules: "github:acme", err: ErrAway, change: func(rec *recording) {
			rec.say(api+"/user/memberships/orgs", "application/json", "["+strings.Repeat(member("other", "active", "member")+",", 99)+member("acme", "active", "member")+"]")
		}},
		"teams without end": {shapes: []string{"memberships"}, rules: "github:acme/eng", err: ErrAway, change: func(rec *recording) {
			rec.say(api+"/user/teams", "application/json", "["+strings.Repeat("{},", 99)+"{}]")
		}},
		"wrong code":         {shapes: []string{"token-bad-code"}, err: ErrAnswer},
		"wrong client":       {shapes: []string{"token-bad-client"}, err: ErrMisconfigured},
		"unverified there":   {shapes: []string{"token-unverified"}, err: ErrAnswer},
		"denied":             {shapes: []string{"callback-denied"}, err: ErrRefused},
		"rate limit":         {shapes: []string{"user-limited"}, err: ErrAway},
		"token revoked":      {shapes: []string{"user-revoked"}, err: ErrAnswer},
		"redirect":           {shapes: []string{"user-moved"}, err: ErrAway},
		"HTML":               {shapes: []string{"user-unicorn"}, err: ErrAway},
		"no id":              {err: ErrAnswer, change: func(rec *recording) { rec.say(api+"/user", "application/json", `{"login":"alice"}`) }},
		"null":               {err: ErrAnswer, change: func(rec *recording) { rec.say(api+"/user", "application/json", `null`) }},
		"id of another type": {err: ErrAnswer, change: func(rec *recording) { rec.say(api+"/user", "application/json", `{"id":{"n":1},"login":"alice"}`) }},
		"list for a person":  {err: ErrAway, change: func(rec *recording) { rec.say(api+"/user", "application/json", `[]`) }},
		"object for a list":  {err: ErrAway, change: func(rec *recording) { rec.say(api+"/user/emails", "application/json", `{}`) }},
		"verified as a text": {err: ErrAway, change: func(rec *recording) {
			page(rec, "/user/emails", 1, 1, `{"email":"a@example.com","primary":true,"verified":"true"}`)
		}},
		"more than it may be": {err: ErrAway, change: func(rec *recording) { rec.say(api+"/user", "application/json", strings.Repeat(" ", 2*answerSize)) }},
	})
}

// Whoever is asked for again stays, is out of the organization, or is not known any more.
func TestGitHubRecheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first, then string
		want        error
	}{
		"token without end":     {"token", "user", nil},
		"token renewed":         {"token-expiring", "token-expiring", nil},
		"renewal refused":       {"token-expiring", "token-bad-refresh", errGone},
		"token revoked":         {"token", "user-revoked", errGone},
		"limit":                 {"token", "user-limited", ErrAway},
		"another at that token": {"token", "user-same-login", ErrAnswer},
		"out of it":             {"token", "memberships-none", ErrNotAllowed},
	} {
		row := recorded{shapes: []string{tt.first, "user", "emails", "callback", "memberships", "teams"}, rules: "github:acme/eng"}
		rec, p, who, tokens := row.sign(t, GitHub, nil)
		p.Allow = []Rule{{"github", "acme/eng"}}
		rec.shapes = append(rec.shapes, play(t, GitHub, []string{tt.then}).shapes...)
		if _, _, err := p.Recheck(t.Context(), tokens, who.Subject); !errors.Is(err, tt.want) {
			t.Errorf("%s: it ends with %v, want %v", name, err, tt.want)
		}
	}
}

func TestGoogle(t *testing.T) {
	alice := Person{Issuer: googleIssuer, Subject: "110169484474386276334", Name: "Alice Example", Email: "Alice@example.com", EmailVerified: true}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	claim := func(name string, value any) func(*recording) {
		return func(rec *recording) { rec.claims[name] = value }
	}
	replay(t, Google, []string{"discovery", "keys", "token", "id-token", "callback"}, map[string]recorded{
		"usual":               {shapes: []string{"userinfo"}, want: alice, rules: "domain:example.com email:alice@example.com claim:hd=example.com"},
		"no renewal a second": {shapes: []string{"token-again"}, want: alice},
		// Google knows of such an address that it was theirs once.
		"account of their own": {shapes: []string{"id-token-personal"}, want: with(func(p *Person) { p.Subject, p.EmailVerified = "101234567890123456789", false }), rules: "!domain:example.com !email:alice@example.com !google_group:eng@example.com"},
		"address of Google":    {shapes: []string{"id-token-personal"}, change: claim("email", "alice@gmail.com"), want: with(func(p *Person) { p.Subject, p.Email = "101234567890123456789", "alice@gmail.com" }), rules: "email:alice@gmail.com !domain:gmail.com !google_group:eng@example.com"},
		"another organization": {change: claim("hd", "example.net"), want: alice, rules: "!domain:example.com !domain:example.net"},
		// The issuer without https is Google's too, and passes nobody by the rule of hd.
		"issuer of old":     {change: func(rec *recording) { rec.claims["iss"], rec.claims["hd"] = "accounts.google.com", "example.net" }, want: alice, rules: "!domain:example.com"},
		"address unproven":  {change: claim("email_verified", false), want: with(func(p *Person) { p.EmailVerified = false }), rules: "!domain:example.com !email:alice@example.com !google_group:eng@example.com"},
		"groups":            {shapes: []string{"groups-1", "groups-2"}, want: alice, rules: "google_group:eng@example.com google_group:ENG@example.com google_group:all@example.com !google_group:x@example.com"},
		"no groups":         {shapes: []string{"groups-none"}, want: alice, rules: "!google_group:eng@example.com"},
		"groups of a maker": {shapes: []string{"groups-mapped"}, want: alice, rules: "!google_group:admins@example.com"},
		"groups forbidden":  {shapes: []string{"groups-forbidden"}, rules: "google_group:eng@example.com", err: ErrAway},
		"groups for ever":   {shapes: []string{"groups-endless"}, rules: "google_group:eng@example.com", err: ErrAway},
		"wrong code":        {shapes: []string{"token-bad-code"}, err: ErrAnswer},
		"denied":            {shapes: []string{"callback-denied"}, err: ErrRefused},
		"another issuer":    {change: func(rec *recording) { rec.answer.Set("iss", "https://accounts.example.com") }, err: ErrAnswer},
		"subject a number":  {change: claim("sub", 110169484474386276), err: ErrAnswer},
	})
}

// What is in an address cannot end the text that it is put into.
func TestGoogleGroupQuery(t *testing.T) {
	t.Parallel()
	for email, want := range map[string]string{
		"alice@example.com":                   `member_key_id == 'alice@example.com' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels`,
		"o'alice@example.com":                 `member_key_id == 'o\'alice@example.com' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels`,
		`x\'||member_key_id=='b@example.com`:  "",
		`"x' || member_key_id"@example.com`:   "",
		"boss@example.com,alice@example.com":  "",
		"Boss <boss@example.com>":             "",
		`a\b@example.com`:                     "",
		"alice@example.com\x00":               "",
		strings.Repeat("a", 250) + "@x.local": "",
	} {
		row := recorded{shapes: []string{"discovery", "keys", "token", "id-token", "callback", "groups-none"}, rules: "!google_group:eng@example.com",
			change: func(rec *recording) { rec.claims["email"] = email }}
		rec, _, _, _ := row.sign(t, Google, nil)
		got := ""
		if last := rec.asked[len(rec.asked)-1]; last.URL.Host == "cloudidentity.googleapis.com" {
			got = last.URL.Query().Get("query")
			if last.Header.Get("Authorization") != "Bearer ya29.alice" {
				t.Errorf("it asks with %q", last.Header.Get("Authorization"))
			}
		}
		if got != want {
			t.Errorf("%q: it asks for %q, want %q", email, got, want)
		}
	}
}

// of are the words of an address of Microsoft: what its document says of the issuer.
func of(tenant, issuing string) []string { return []string{"$TENANT", tenant, "$ISSUING", issuing} }

func TestMicrosoft(t *testing.T) {
	common, organizations, own := of("common", "{tenantid}"), of("organizations", "{tenantid}"), of(microsoftTenant, microsoftTenant)
	consumers := of("consumers", microsoftPersonal)
	alice := Person{Issuer: microsoftBase + microsoftTenant + "/v2.0", Subject: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", Username: "alice@example.com", Name: "Alice Example", Email: "alice@example.com"}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	nameless, verified := with(func(p *Person) { p.Username = "" }), with(func(p *Person) { p.EmailVerified = true })
	private := with(func(p *Person) {
		p.Issuer, p.Subject, p.Username = microsoftBase+microsoftPersonal+"/v2.0", "AAAAAAAAAAAAAAAAAAAAAMLkPBWhLTkMUxzpuU5d8GI", ""
	})
	claim := func(pairs ...any) func(*recording) {
		return func(rec *recording) {
			for i := 0; i < len(pairs); i += 2 {
				rec.claims[pairs[i].(string)] = pairs[i+1]
			}
		}
	}
	const other, group = "11111111-2222-4333-8444-555555555555", "0c1d2e3f-0000-4000-8000-000000000001"
	chosen := []any{"groups", []any{group, "admins", 7, nil}, "roles", []any{"admin"}, "wids", []any{"62e90394-69f5-4237-9190-012177145e10"}}
	replay(t, Microsoft, []string{"discovery", "keys", "token", "id-token", "userinfo", "callback"}, map[string]recorded{
		"its own tenant": {tenant: microsoftTenant, words: own, want: alice, rules: "user:alice@example.com !email:alice@example.com !domain:example.com claim:tid=" + microsoftTenant},
		"any tenant":     {words: common, want: nameless, rules: "!user:alice@example.com !email:alice@example.com !domain:example.com claim:oid=690222be-ff1a-4d56-abd1-7e4f7d38e474"},
		"organizations":  {tenant: "organizations", words: organizations, want: nameless},
		"personal":       {shapes: []string{"id-token-personal"}, words: common, want: private, rules: "!user:alice@example.com"},
		"consumers":      {shapes: []string{"id-token-personal"}, tenant: "consumers", words: consumers, want: private},
		"personal by id": {shapes: []string{"id-token-personal"}, tenant: microsoftPersonal, words: of(microsoftPersonal, microsoftPersonal), want: private, rules: "!user:alice@example.com"},
		"domain vouched": {words: common, change: claim("xms_edov", true), want: verified, rules: "user:alice@example.com email:alice@example.com domain:example.com"},
		// nOAuth: mail is what a tenant's administrator writes, and so are other claims.
		"address of a victim":         {words: common, change: claim("email", "boss@example.com", "email_verified", true, "verified_email", "boss@example.com"), want: with(func(p *Person) { p.Username, p.Email = "", "boss@example.com" }), rules: "!email:boss@example.com !domain:example.com !user:boss@example.com"},
		"address of a victim, own":    {tenant: microsoftTenant, words: own, change: claim("email", "boss@example.com", "email_verified", "true"), want: with(func(p *Person) { p.Email = "boss@example.com" }), rules: "!email:boss@example.com"},
		"username of a victim":        {words: common, change: claim("preferred_username", "boss@example.com", "xms_edov", true), want: with(func(p *Person) { p.Username, p.EmailVerified = "", true }), rules: "!user:boss@example.com"},
		"groups of a foreign tenant":  {words: common, change: claim(chosen...), want: nameless, rules: "!group:admins group:" + group},
		"groups of its own tenant":    {tenant: microsoftTenant, words: own, change: claim(chosen...), want: alice, rules: "group:admins claim:roles=admin group:" + group},
		"groups that are no list":     {words: common, change: claim("groups", "admins"), want: nameless, rules: "!group:admins"},
		"too many groups":             {shapes: []string{"id-token-overage"}, tenant: microsoftTenant, words: own, want: alice, rules: "!group:src1 !group:" + group},
		"too many groups, and some":   {shapes: []string{"id-token-overage"}, tenant: microsoftTenant, words: own, change: claim("groups", []any{group}), want: alice, rules: "!group:" + group},
		"hasgroups":                   {tenant: microsoftTenant, words: own, change: claim("hasgroups", true, "groups", []any{group}), want: alice, rules: "!group:" + group},
		"no address in the ID token":  {shapes: []string{"id-token-no-email"}, tenant: microsoftTenant, words: own, want: with(func(p *Person) { p.Email = "boss@example.com" }), rules: "!email:boss@example.com"},
		"no address":                  {shapes: []string{"id-token-no-email"}, words: common, change: func(rec *recording) { rec.claims["email"] = nil }, want: with(func(p *Person) { p.Username, p.Email = "", "" })},
		"issuer of another tenant":    {words: common, change: claim("tid", other), err: ErrAnswer},
		"tenant of another issuer":    {words: common, change: claim("iss", microsoftBase+other+"/v2.0"), err: ErrAnswer},
		"issuer as it is written":     {words: common, change: claim("iss", microsoftBase+"{tenantid}/v2.0", "tid", "{tenantid}"), err: ErrAnswer},
		"issuer by a name":            {words: common, change: claim("iss", microsoftBase+"common/v2.0", "tid", "common"), err: ErrAnswer},
		"issuer of version 1":         {words: common, change: claim("iss", "https://sts.windows.net/"+microsoftTenant+"/"), err: ErrAnswer},
		"no tenant":                   {words: common, change: claim("tid", nil), err: ErrAnswer},
		"another tenant than its own": {tenant: microsoftTenant, words: own, change: claim("iss", microsoftBase+other+"/v2.0", "tid", other), err: ErrAnswer},
		"personal at organizations":   {shapes: []string{"id-token-personal"}, tenant: "organizations", words: organizations, err: ErrAnswer},
		"a tenant at consumers":       {tenant: "consumers", words: consumers, err: ErrAnswer},
		"wrong code":                  {shapes: []string{"token-bad-code"}, words: common, err: ErrAnswer},
		"denied":                      {shapes: []string{"callback-denied"}, words: common, err: ErrRefused},
	})
}

func TestMicrosoftDomainOwner(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]bool{true: true, 1: true, "1": true, "true": true, "True": true, false: false, 0: false, "0": false, "false": false, "": false, 2: false, "yes": false, nil: false} {
		row := recorded{shapes: []string{"discovery", "keys", "token", "id-token", "callback"}, words: of("common", "{tenantid}"), change: func(rec *recording) { rec.claims["xms_edov"] = value }}
		if _, _, who, _ := row.sign(t, Microsoft, nil); who.EmailVerified != want {
			t.Errorf("%#v: verified is %v", value, who.EmailVerified)
		}
	}
}

// A rule that needs groups lets nobody in by a list that is not there.
func TestMicrosoftOverageRefuses(t *testing.T) {
	t.Parallel()
	rec := play(t, Microsoft, []string{"discovery", "keys", "token", "id-token-overage", "userinfo", "callback"}, of(microsoftTenant, microsoftTenant)...)
	p, err := New(Settings{Name: "m", Kind: Microsoft, Issuer: microsoftTenant, ClientID: client, Allow: []Rule{{kind: "group", value: "0c1d2e3f-0000-4000-8000-000000000001"}}}, rec, func() time.Time { return recordedAt })
	if err != nil {
		t.Fatal(err)
	}
	f := NewFlow("https://auth.example.com/cb")
	rec.nonce = f.Nonce
	if _, _, err := p.Finish(t.Context(), f, rec.answer); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("it ends with %v", err)
	}
}

func TestApple(t *testing.T) {
	alice := Person{Issuer: appleIssuer, Subject: "000123.0a1b2c3d4e5f60718293a4b5c6d7e8f9.1234", Email: "alice@example.com", EmailVerified: true}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	user := func(text string) func(*recording) {
		return func(rec *recording) { rec.answer.Set("user", text) }
	}
	claim := func(name string, value any) func(*recording) {
		return func(rec *recording) { rec.claims[name] = value }
	}
	rows := map[string]recorded{
		// The address beside the name comes from the browser: it is nobody's word.
		"first time":          {shapes: []string{"callback-first"}, want: with(func(p *Person) { p.Name = "Alice Example" }), rules: "email:alice@example.com !email:boss@example.com"},
		"later":               {want: alice},
		"nothing about them":  {shapes: []string{"callback-empty"}, want: alice},
		"private address":     {shapes: []string{"id-token-private"}, want: with(func(p *Person) { p.Email = "x7k2m9@privaterelay.appleid.com" }), rules: "!domain:example.com"},
		"no address":          {shapes: []string{"id-token-no-email"}, want: with(func(p *Person) { p.Email, p.EmailVerified = "", false })},
		"address not theirs":  {change: claim("email_verified", "false"), want: with(func(p *Person) { p.EmailVerified = false }), rules: "!email:alice@example.com"},
		"only a first name":   {change: user(`{"name":{"firstName":" Alice ","lastName":null}}`), want: with(func(p *Person) { p.Name = "Alice" })},
		"no username":         {change: claim("preferred_username", "boss"), want: alice},
		"hash of another":     {change: claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), err: ErrAnswer},
		"denied":              {shapes: []string{"callback-denied"}, err: ErrRefused},
		"secret refused":      {shapes: []string{"token-bad-client"}, err: ErrMisconfigured},
		"issuer of June 2025": {shapes: []string{"discovery-of-june-2025"}, err: ErrAway},
	}
	for i, text := range []string{"", "null", "[]", "{", `"Alice"`, `{"name":"Alice"}`, `{"name":null}`, `{"name":{"firstName":7}}`, `{"name":{"firstName":"a\u0000b"}}`, `{"name":{"firstName":"` + strings.Repeat("a", 129) + `"}}`} {
		rows[fmt.Sprintf("user %d", i)] = recorded{change: user(text), want: alice}
	}
	replay(t, Apple, []string{"discovery", "keys", "token", "id-token", "callback"}, rows)
}

// Apple checks a refresh token and says nothing more.
func TestAppleRecheck(t *testing.T) {
	t.Parallel()
	row := recorded{shapes: []string{"discovery", "keys", "token", "id-token", "callback"}}
	rec, p, who, tokens := row.sign(t, Apple, nil)
	rec.shapes = append(rec.shapes, play(t, Apple, []string{"token-refreshed"}).shapes...)
	_, fresh, err := p.Recheck(t.Context(), tokens, who.Subject)
	if err != nil && !errors.Is(err, errUnknowable) || fresh == nil || fresh.Refresh.Reveal() != "rca7.alice" || rec.form.Get("grant_type") != "refresh_token" {
		t.Errorf("it ends with %v, after %v", err, rec.form)
	}
}

func TestGitLab(t *testing.T) {
	alice := Person{Issuer: "https://gitlab.com", Subject: "1042", Username: "alice", Name: "Alice Example", Email: "alice@example.com", EmailVerified: true}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	const elsewhere = "https://git.example.com/lab"
	replay(t, GitLab, []string{"discovery", "keys", "token", "id-token", "callback"}, map[string]recorded{
		"usual":         {want: alice, rules: "user:alice !user:bob email:alice@example.com domain:example.com"},
		"groups":        {shapes: []string{"userinfo"}, want: alice, rules: "group:acme group:acme/platform !group:ACME !group:acme/plat claim:groups_direct=acme/platform !claim:groups_direct=acme claim:https://gitlab.org/claims/groups/owner=acme !claim:https://gitlab.org/claims/groups/owner=acme/platform"},
		"older":         {shapes: []string{"id-token-older", "userinfo"}, want: alice, rules: "group:acme"},
		"of their own":  {tenant: elsewhere, words: []string{"https://gitlab.com", elsewhere}, want: with(func(p *Person) { p.Issuer = elsewhere })},
		"unproven":      {change: func(rec *recording) { rec.claims["email_verified"] = false }, want: with(func(p *Person) { p.EmailVerified = false }), rules: "!domain:example.com"},
		"another's":     {tenant: elsewhere, words: []string{"https://gitlab.com", elsewhere}, change: func(rec *recording) { rec.claims["iss"] = "https://gitlab.com" }, err: ErrAnswer},
		"mixed persons": {shapes: []string{"userinfo"}, rules: "group:acme", change: func(rec *recording) { rec.claims["sub"] = "7" }, err: ErrAnswer},
	})
}

func TestDiscord(t *testing.T) {
	alice := Person{Issuer: "https://discord.com", Subject: "1180351110224678912", Username: "alice", Name: "Alice Example", Email: "alice@example.com", EmailVerified: true}
	with := func(change func(*Person)) Person { p := alice; change(&p); return p }
	const me = "GET https://discord.com/api/v10/users/@me"
	replay(t, Discord, []string{"token", "user", "callback"}, map[string]recorded{
		"usual":       {want: alice, rules: "user:alice email:alice@example.com domain:example.com !user:alice#0"},
		"unproven":    {shapes: []string{"user-unverified"}, want: with(func(p *Person) { p.Name, p.EmailVerified = "", false }), rules: "!email:alice@example.com !domain:example.com"},
		"no address":  {shapes: []string{"user-no-email"}, want: with(func(p *Person) { p.Name, p.Email, p.EmailVerified = "", "", false })},
		"one of many": {shapes: []string{"user-tagged"}, want: with(func(p *Person) { p.Subject, p.Username, p.Name = "80351110224678912", "Alice#1337", "" }), rules: "!user:alice user:alice#1337"},
		"wrong code":  {shapes: []string{"token-bad-code"}, err: ErrAnswer},
		// An id as a number is not rounded.
		"id a number": {want: Person{Issuer: "https://discord.com", Subject: "1180351110224678913"}, change: func(rec *recording) { rec.say(me, "application/json", `{"id":1180351110224678913}`) }},
		"no id":       {err: ErrAnswer, change: func(rec *recording) { rec.say(me, "application/json", `{"username":"alice"}`) }},
		"HTML":        {err: ErrAway, change: func(rec *recording) { rec.say(me, "text/html", `<html>`) }},
	})
}

// The field of the subject may be wrong in the configuration: then nobody signs in, and
// not everybody as the same.
func TestFieldsSubject(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"id":7}`: "7", `{"id":"seven"}`: "seven", `{"id":12345678901234567890}`: "12345678901234567890", `{"data":{"id":"7"},"id":null}`: "", `{"id":["7"]}`: "7",
		`{"id":true}`: "", `{"id":["7","8"]}`: "", `{"id":[]}`: "", `{"id":{}}`: "", `{}`: "", `null`: "", `{"id":""}`: "",
	} {
		rec := &recording{t: t}
		rec.say("POST https://id.example.com/token", "application/json", `{"access_token":"alice-token","token_type":"Bearer"}`)
		rec.say("GET https://id.example.com/me", "application/json", body)
		p, err := New(Settings{Name: "x", Kind: OAuth2, Authorize: "https://id.example.com/authorize", Token: "https://id.example.com/token", UserInfo: "https://id.example.com/me",
			Fields: Fields{Subject: "id"}, ClientID: client, Allow: []Rule{{kind: "everyone"}}}, rec, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		who, _, err := p.Finish(t.Context(), NewFlow("https://auth.example.com/cb"), url.Values{"code": {"c"}})
		if want == "" && !errors.Is(err, ErrAnswer) || want != "" && (err != nil || who.Subject != want) {
			t.Errorf("%s: %v, %v", body, who, err)
		}
	}
}
