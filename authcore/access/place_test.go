package access

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

// house is a policy with a block of each kind.
const house = `
	allow group:staff
	deny user:mallory
	public /healthz /static/*
	path /admin/* /settings {
		allow group:ops owner
		require fresh 10m
		method DELETE PUT {
			require 2fa
		}
	}
	path /admin/reports/* {
		network 10.0.0.0/8
	}
	path /admin/open {
		allow everyone
	}
	path /files/* {
		method POST {
			allow user:alice
		}
	}
	method GET {
		public /feed
	}
	method PATCH {
		allow owner
	}
	tokens /api/* /hook
`

func TestDecideByPlace(t *testing.T) {
	t.Parallel()
	p := mustParse(t, house)
	staff := &Identity{Username: "bob", Groups: []string{"staff"}}
	ops := &Identity{Username: "eve", Groups: []string{"ops"}}
	mallory := &Identity{Username: "mallory", Groups: []string{"ops", "staff"}}
	now, long := Proof{Age: time.Minute}, Proof{Age: time.Hour}
	both := Proof{Age: time.Minute, SecondFactor: true}
	fresh, factors := Need{Within: 10 * time.Minute}, Need{SecondFactor: true, Within: 10 * time.Minute}
	const inAdmin = ", in path /admin/* /settings"
	tests := []struct {
		method, uri string
		id          *Identity
		proof       Proof
		want        Outcome
		rule        string
		need        Need
	}{
		{"GET", "/", staff, now, Allow, "allow group:staff", Need{}},
		{"GET", "/", ops, now, Deny, "no allow rule matched", Need{}},
		{"GET", "/", nil, now, SignIn, "nobody is signed in", Need{}},
		{"GET", "/static/x.js", nil, now, Allow, "public /static/*", Need{}},

		{"GET", "/admin/", ops, now, Allow, "allow group:ops" + inAdmin, Need{}},
		{"GET", "/admin", ops, now, Allow, "allow group:ops" + inAdmin, Need{}},
		{"GET", "/admin/users/7", ops, now, Allow, "allow group:ops" + inAdmin, Need{}},
		{"GET", "/settings", ops, now, Allow, "allow group:ops" + inAdmin, Need{}},
		{"GET", "/settings/", ops, now, Allow, "allow group:ops" + inAdmin, Need{}},
		{"GET", "/settings/x", ops, now, Deny, "no allow rule matched", Need{}},
		{"GET", "/administrator", staff, now, Allow, "allow group:staff", Need{}},
		{"GET", "/admin/", staff, now, Deny, "no allow rule matched" + inAdmin, Need{}},
		{"GET", "/admin", staff, now, Deny, "no allow rule matched" + inAdmin, Need{}},
		{"GET", "/admin/", mallory, now, Deny, "deny user:mallory", Need{}},
		{"GET", "/admin/", ops, long, StepUp, "require fresh 10m" + inAdmin, fresh},
		{"GET", "/admin/", nil, now, SignIn, "nobody is signed in", Need{}},
		{"DELETE", "/admin/", ops, now, StepUp, "require 2fa" + inAdmin + ", for method DELETE PUT", factors},
		{"DELETE", "/admin/", ops, both, Allow, "allow group:ops" + inAdmin, Need{}},
		{"delete", "/admin/", ops, now, StepUp, "require 2fa" + inAdmin + ", for method DELETE PUT", factors},
		{"DELETE", "/admin/x", staff, both, Deny, "no allow rule matched" + inAdmin, Need{}},

		{"GET", "/admin/reports/1", ops, now, Deny, "outside network 10.0.0.0/8, in path /admin/reports/*", Need{}},
		{"GET", "/admin/reports/1", mallory, now, Deny, "deny user:mallory", Need{}},
		{"GET", "/admin/open", ops, now, Allow, "allow everyone, in path /admin/open", Need{}},
		{"GET", "/admin/open", ops, long, StepUp, "require fresh 10m" + inAdmin, fresh},
		{"GET", "/admin/open/x", staff, now, Deny, "no allow rule matched" + inAdmin, Need{}},

		{"POST", "/files/a", staff, now, Deny, "no allow rule matched, in path /files/*, for method POST", Need{}},
		{"POST", "/files/a", &Identity{Username: "alice"}, now, Allow, "allow user:alice, in path /files/*, for method POST", Need{}},
		{"GET", "/files/a", staff, now, Allow, "allow group:staff", Need{}},

		{"GET", "/feed", nil, now, Allow, "public /feed, for method GET", Need{}},
		{"HEAD", "/feed", nil, now, Allow, "public /feed, for method GET", Need{}},
		{"POST", "/feed", nil, now, SignIn, "nobody is signed in", Need{}},
		{"PATCH", "/x", staff, now, Deny, "no allow rule matched, for method PATCH", Need{}},
		{"PATCH", "/x", owner, now, Allow, "allow owner, for method PATCH", Need{}},
		{"PATCH", "/admin/", ops, now, Allow, "allow group:ops" + inAdmin, Need{}}, // the path goes first
	}
	for _, tt := range tests {
		u, err := url.ParseRequestURI(tt.uri)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Decide(&Request{Method: tt.method, Path: u.Path, RawPath: u.RawPath, Proof: tt.proof}, tt.id)
		if got.Outcome != tt.want || got.Rule.Text != tt.rule || got.Need != tt.need || got.Ambiguous {
			t.Errorf("%s %s: got %+v, want %s by %q, need %+v", tt.method, tt.uri, got, tt.want, tt.rule, tt.need)
		}
		if builtin := strings.HasPrefix(tt.rule, "no allow rule matched") || tt.rule == ruleNobody.Text; got.Rule.At == "" && !builtin {
			t.Errorf("%s %s: %q stands nowhere", tt.method, tt.uri, got.Rule.Text)
		}
	}
}

// A path that servers may take for another one is decided by the strictest place
// (P10).
func TestAmbiguousPaths(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "allow group:staff", "public /healthz", "path /admin/* {", "allow group:ops", "}", "path /open/* {", "allow everyone", "}")
	staff := &Identity{Username: "bob", Groups: []string{"staff"}}
	everything := &Identity{Username: "eve", Groups: []string{"ops", "staff"}}
	for _, uri := range []string{"/open/../admin/x", "/open/%2e%2e/admin", "//admin/x", "/x/..;/admin", "/ADMIN/x", "/Admin", "/aDmin/", "/admin%2fx",
		"/x/%2e%2e%2fadmin", "/open/..%5cadmin", "/admin;x=1/", "/%61dmin;/", "/open;/x", "/open//x", "/OPEN/x", "/open/%252e%252e/admin", "/a\u017f\u017fet/../admin"} {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		req := &Request{Method: "GET", Path: u.Path, RawPath: u.RawPath}
		if d := p.Decide(req, staff); d.Outcome != Deny || !d.Ambiguous {
			t.Errorf("%s: staff got %+v", uri, d)
		}
		if d := p.Decide(req, everything); d.Outcome != Allow || !d.Ambiguous {
			t.Errorf("%s: who may go everywhere got %+v", uri, d)
		}
		if d := p.Decide(req, nil); d.Outcome != SignIn {
			t.Errorf("%s: nobody got %+v", uri, d)
		}
	}
	// The Kelvin sign is a k for servers that fold case.
	k := mustParse(t, "allow everyone", "path /key/* {", "allow owner", "}")
	if d := k.Decide(&Request{Path: "/\u212aey/x"}, staff); d.Outcome != Deny {
		t.Errorf("the Kelvin sign got %+v", d)
	}
}

func TestPolicyTells(t *testing.T) {
	t.Parallel()
	p := mustParse(t, house)
	if !p.NeedsAddress() || !p.NeedsProof() || p.Observes() {
		t.Error("address, proof or observe")
	}
	if q := mustParse(t, "allow provider:google", "observe"); q.NeedsAddress() || !q.NeedsProof() || !q.Observes() {
		t.Error("address, proof or observe of the second")
	}
	for path, want := range map[string]bool{"/api/x": true, "/api/": true, "/hook": true, "/api": false, "/hook/": false, "/": false, "/api/../x": false} {
		if got := p.TokenRule(&Request{Path: path}) != nil; got != want {
			t.Errorf("tokens on %s: %v", path, got)
		}
	}
}

func TestTermsOfOthers(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "allow org:acme role:other/admin provider:google", "deny role:acme/intern")
	for _, tt := range []struct {
		id    Identity
		proof Proof
		want  string
	}{
		{Identity{Organizations: []string{"x", "acme"}}, Proof{}, "allow org:acme"},
		{Identity{Roles: []string{"other/admin"}}, Proof{}, "allow role:other/admin"},
		{Identity{Roles: []string{"acme/admin"}}, Proof{}, ruleNoMatch},
		{Identity{}, Proof{Provider: "google"}, "allow provider:google"},
		{Identity{}, Proof{Provider: "github"}, ruleNoMatch},
		{Identity{Organizations: []string{"acme"}, Roles: []string{"acme/intern"}}, Proof{}, "deny role:acme/intern"},
	} {
		if d := p.Decide(&Request{Path: "/", Proof: tt.proof}, &tt.id); d.Rule.Text != tt.want {
			t.Errorf("%+v %+v: got %q, want %q", tt.id, tt.proof, d.Rule.Text, tt.want)
		}
	}
}

func TestParsePlaceErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, at, want string }{
		{"a path without lines", "path /a {\n}", "line 2", "says nothing"},
		{"a block after allow", "deny user:x {\nallow owner\n}", "line 2", "deny takes no block"},
		{"public in a path", "path /a {\npublic /b\n}", "line 3", "public cannot stand in this block; it takes allow, deny, network, require or method"},
		{"a path in a path", "path /a/* {\npath /b {\nallow owner\n}\n}", "line 3", "path cannot stand in this block"},
		{"an unknown word in a path", "path /a {\nalow owner\n}", "line 3", `unknown word "alow"`},
		{"every path", "path /* {\nallow owner\n}", "line 2", "outside of the block"},
		{"a path twice", "path /a {\nallow owner\n}\npath /b /a {\nallow owner\n}", "line 5", "path /a (first at line 2) is there twice"},
		{"a path in other case", "path /a/* {\nallow owner\n}\npath /A/* {\nallow owner\n}", "line 5", "differs from /a/* only in case"},
		{"path and public", "public /a\npath /a {\nallow owner\n}", "line 3", "path /a overlaps with public /a"},
		{"public and path", "path /a/* {\nallow owner\n}\npublic /a/*", "line 5", "path /a/* overlaps with public /a/*"},
		{"a slash more", "path /a {\nallow owner\n}\npublic /a/", "line 5", "overlaps"},
		{"method in lower case", "method get {\nallow owner\n}", "line 2", "not a method"},
		{"a method twice", "method GET {\nallow owner\n}\nmethod POST GET {\nallow owner\n}", "line 5", "method GET (first at line 2) is there twice"},
		{"require what", "require 3fa", "line 2", "require 2fa"},
		{"require fresh without", "require fresh", "line 2", "require fresh 10m"},
		{"require too fresh", "require fresh 1s", "line 2", "from 30s"},
		{"require 2fa twice", "require 2fa\nrequire 2fa", "line 3", "is there twice"},
		{"observe twice", "observe\nobserve", "line 3", "observe (first at line 2) is there twice"},
		{"observe what", "observe all", "line 2", "stands alone"},
		{"tokens twice", "tokens /a /a", "line 2", "tokens /a is there twice"},
		{"tokens where", "tokens a", "line 2", "must start with /"},
		{"an organization in upper case", "deny org:Acme", "line 2", "not a name"},
		{"a role without organization", "deny role:admin", "line 2", "not a name"},
		{"a provider without name", "deny provider:", "line 2", "write provider:NAME"},

		{"denied around", "deny user:x\npath /a {\ndeny user:x\n}", "line 4", "deny user:x, in path /a can never decide: deny user:x (line 2) holds here as well"},
		{"allowed, but denied around", "deny group:g\npath /a {\nallow group:g\n}", "line 4", "goes first"},
		{"networks apart", "network 10.0.0.0/8\npath /a {\nnetwork 192.0.2.0/24\n}", "line 4", "no address is in this network and in that around it (line 2)"},
		{"families apart", "network 10.0.0.0/8\npath /a {\nnetwork ::/0\n}", "line 4", "no address"},
		{"2fa around", "require 2fa\npath /a {\nrequire 2fa\n}", "line 4", "asks for as much"},
		{"fresher around", "require fresh 5m\npath /a {\nrequire fresh 10m\n}", "line 4", "asks for as much"},
		{"under a public path", "public /a/*\npath /a/b {\nrequire 2fa\n}", "line 4", "add an allow line to the block"},
		{"public under public", "public /a/*\npublic /a/b", "line 3", "public /a/b can never decide: public /a/* (line 2) opens it already"},
		{"everyone and more", "path /a {\nallow user:x everyone\n}", "line 3", "allow user:x, in path /a can never decide: allow everyone"},
		{"deny everyone in a path", "path /a {\ndeny everyone\n}", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(lines("allow group:staff", tt.text))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var le *LineError
			if !errors.As(err, &le) || le.At != tt.at || !strings.Contains(le.Message, tt.want) {
				t.Errorf("got %v, want %q at %s", err, tt.want, tt.at)
			}
		})
	}
}

// The way that places are found gives what a look at every place does.
func TestFindIsASearch(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	segments := []string{"a", "b", "c", "A", "é", "a.b"}
	path := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString("/" + segments[rng.IntN(len(segments))])
		}
		return b.String()
	}
	tried := 0
	for range 300 {
		texts := []string{"allow owner"}
		for range 1 + rng.IntN(8) {
			p := path(1 + rng.IntN(3))
			if rng.IntN(2) == 0 {
				p += "/*"
			}
			texts = append(texts, "path "+p+" {", "allow user:u"+fmt.Sprint(len(texts)), "}")
		}
		p, err := Parse(lines(texts...))
		if err != nil {
			continue // twice, or in other case
		}
		for range 100 {
			uri := path(rng.IntN(5))
			if uri == "" || rng.IntN(4) == 0 {
				uri += "/"
			}
			tried++
			got, _ := p.find(&Request{Path: uri})
			if want := slowFind(p, uri); got != want {
				t.Fatalf("%s in %q: got %q, want %q", uri, texts, got.pattern.text, want.pattern.text)
			}
		}
	}
	if tried < 5000 {
		t.Errorf("only %d tried", tried)
	}
}

func slowFind(p *Policy, path string) *place {
	best := &p.root
	path = strings.ToLower(strings.TrimSuffix(path, "/"))
	for _, pl := range p.places {
		key := strings.ToLower(pl.pattern.path)
		holds := key == path || pl.pattern.below && strings.HasPrefix(path, key+"/")
		longer := len(key) > len(best.pattern.path) || len(key) == len(best.pattern.path) && !pl.pattern.below
		if holds && (best == &p.root || longer) {
			best = pl
		}
	}
	return best
}
