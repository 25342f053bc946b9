package connect

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// A rule that is taken holds for nobody of whom nothing is known, nor by an address that
// nobody verified, and is the same when what it shows is read again.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{"everyone", "domain:example.com", "email:Alice@Example.com", "user:alice#1337", "group:acme/eng", "claim:realm_access.roles=admin", "claim:=x",
		"github:acme/eng", "github:/", "google_group:eng@example.com", "claim:https://gitlab.org/claims/groups/owner=acme", "domain:ｅxample．com", "user:\u212Aim", "org:acme", ":", ""} {
		f.Add(seed, GitHub)
		f.Add(seed, Google)
	}
	f.Fuzz(func(t *testing.T, term, kind string) {
		r, err := ParseRule(term, kind)
		if err != nil {
			if r != (Rule{}) {
				t.Errorf("%q: %v, and %v", term, r, err)
			}
			return
		}
		_, value, _ := strings.Cut(term, ":")
		for _, who := range []*Person{{}, {Email: value}, {Email: "x@" + value}, {Name: value, Subject: value, Claims: map[string]any{"": value}}} {
			if r.Holds(who) && r.kind != "everyone" && !(r.kind == "claim" && strings.HasPrefix(r.value, "=")) {
				t.Errorf("%q holds for %+v", term, who)
			}
		}
		if again, err := ParseRule(r.String(), kind); err == nil && again != r {
			t.Errorf("%q is %v, and then %v", term, r, again)
		}
	})
}

// What a claim means is read of that claim alone, whatever there is.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{`{"groups":["a","b"],"email_verified":"true"}`, `{"realm_access":{"roles":["admin"]}}`, `{"a.b":1,"a":{"b":2}}`, `{"":{"":{"":"x"}}}`, `{"groups":null}`,
		`{"tid":"8eaef023-2b34-4da1-9baa-8bc8c9d6a490","iss":"https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0","roles":["x"],"groups":["0c1d2e3f-0000-4000-8000-000000000001",7]}`,
		`{"_claim_names":{"groups":"src1"},"groups":["x"],"hasgroups":true}`, `{"n":1e400}`, `{"n":[1,true,null,{},[]]}`, `[]`, `null`, `7`, `{"a":1}{"b":2}`, ``} {
		f.Add([]byte(seed), "groups")
		f.Add([]byte(seed), "realm_access.roles")
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		claims := make(map[string]any)
		if err := decode(func(into any) error { return json.Unmarshal(raw, into) }, &claims); err != nil {
			return
		}
		one, all := text(claims, name), values(claims, name)
		switch v := claims[name].(type) {
		case string:
			if one != v || !slices.Equal(all, []string{v}) {
				t.Errorf("%s: %q, %q", raw, one, all)
			}
		case []any:
			if one != "" || len(all) > len(v) {
				t.Errorf("%s: %q, %q", raw, one, all)
			}
		}
		if yes := truth(claims, name); yes && claims[name] != true && !strings.EqualFold(one, "true") {
			t.Errorf("%s: %s is true", raw, name)
		}
		p := &Provider{Settings: Settings{Kind: Microsoft, Issuer: microsoftBase + "common/v2.0"}}
		who := &Person{Issuer: text(claims, "iss"), Username: text(claims, "preferred_username"), Email: text(claims, "email"), Claims: claims}
		if microsoftPerson(t.Context(), p, who, nil, nil) == nil {
			checkForeign(t, who)
		}
	})
}

// checkForeign finds what a tenant that may be anybody's can have chosen.
func checkForeign(t *testing.T, who *Person) {
	t.Helper()
	if id, err := uuid.Parse(text(who.Claims, "tid")); err != nil || who.Issuer != microsoftBase+id.String()+"/v2.0" {
		t.Errorf("issuer %q", who.Issuer)
	}
	for _, g := range values(who.Claims, "groups") {
		if uuid.Validate(g) != nil {
			t.Errorf("group %q", g)
		}
	}
	if who.Claims["roles"] != nil || who.Claims["wids"] != nil || who.Username != "" && !who.EmailVerified {
		t.Errorf("it is %+v", who)
	}
}

// What the browser says beside the code of Apple makes a name at most.
func FuzzAppleUser(f *testing.F) {
	for _, seed := range []string{`{"name":{"firstName":"Alice","lastName":"Example"},"email":"boss@example.com"}`, `{}`, `{"name":null}`, `{"name":{"firstName":7}}`, `{"NAME":{"FIRSTNAME":"A"}}`,
		`{"name":{"firstName":"\u0000","lastName":"\ud800"}}`, `null`, `[`, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, user string) {
		was := Person{Issuer: appleIssuer, Subject: "000123.alice", Email: "alice@example.com"}
		who := was
		if err := applePerson(t.Context(), nil, &who, nil, url.Values{"user": {user}}); err != nil {
			t.Errorf("%q: %v", user, err)
		}
		if authcore.CheckName(who.Name) != nil || who.Name != strings.TrimSpace(who.Name) {
			t.Errorf("%q: the name %q", user, who.Name)
		}
		who.Name = ""
		if diff := cmp.Diff(was, who); diff != "" {
			t.Errorf("%q (-want +got):\n%s", user, diff)
		}
	})
}

// answers gives each path its body, whatever is asked for.
type answers map[string]string

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a[r.URL.Path])), Request: r}, nil
}

// Whatever GitHub's API says, a team counts within an organization of which the person
// is a member alone.
func FuzzGitHub(f *testing.F) {
	f.Add(`{"id":1,"login":"alice"}`, `[{"email":"a@example.com","primary":true,"verified":true}]`, `[{"state":"active","role":"member","organization":{"login":"acme"}}]`, `[{"slug":"eng","organization":{"login":"ACME"}}]`)
	f.Add(`{"id":"1"}`, `[]`, `[{"state":"active","role":"admin","organization":{"login":"a/b"}},{"organization":null}]`, `[{"slug":"","organization":null},{"slug":"b","organization":{"login":"a"}}]`)
	f.Add(`null`, `null`, `null`, `null`)
	f.Add(`[]`, `{}`, `7`, ``)
	f.Add(`{"id":1}`, `[{"primary":true,"verified":true},{"email":"a@example.com","primary":true}]`, `[]`, `[]`)
	p, err := New(Settings{Name: "g", Kind: GitHub, Allow: []Rule{{"github", "acme/eng"}}}, nil, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, user, emails, memberships, teams string) {
		rt := answers{"/user": user, "/user/emails": emails, "/user/memberships/orgs": memberships, "/user/teams": teams}
		who := &Person{Claims: make(map[string]any)}
		if githubPerson(t.Context(), &Provider{Settings: p.Settings, kind: p.kind, client: newClient(rt)}, who, new(authcore.ProviderTokens), nil) != nil {
			return
		}
		var orgs []string
		for _, m := range who.Member {
			if member(memberships, strings.TrimPrefix(m, "github:")) {
				orgs = append(orgs, m)
			} else if !slices.ContainsFunc(orgs, func(org string) bool { return strings.HasPrefix(m, org+"/") }) {
				t.Errorf("%q of %s", m, memberships)
			}
		}
		if who.EmailVerified && who.Email == "" {
			t.Errorf("verified is nothing, of %s", emails)
		}
	})
}

// member tells in another way whether somebody is an active member of an organization.
func member(memberships, name string) bool {
	var all []struct {
		State, Role  string
		Organization struct{ Login string }
	}
	return json.NewDecoder(strings.NewReader(memberships)).Decode(&all) == nil && slices.ContainsFunc(all, func(m struct {
		State, Role  string
		Organization struct{ Login string }
	}) bool {
		return m.State == "active" && m.Role != "billing_manager" && strings.ToLower(m.Organization.Login) == name
	})
}
