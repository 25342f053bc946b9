package access

import (
	"fmt"
	"net/netip"
	"testing"
)

var (
	inside  = netip.MustParseAddr("10.1.2.3")
	outside = netip.MustParseAddr("192.0.2.1")
	alice   = &Identity{Username: "alice", Groups: []string{"dev", "staff"}, EmailDomain: "example.com"}
	owner   = &Identity{Username: "bob", Owner: true}
)

// told is what a test looks at of a decision.
type told struct {
	Outcome Outcome
	Public  bool
	Rule    string
}

func tell(d Decision) told { return told{d.Outcome, d.Public, d.Rule.Text} }

func TestDecide(t *testing.T) {
	t.Parallel()
	allow := func(rule string) told { return told{Outcome: Allow, Rule: rule} }
	deny := func(rule string) told { return told{Rule: rule} }
	public := func(rule string) told { return told{Outcome: Allow, Public: true, Rule: rule} }
	signIn := told{Outcome: SignIn, Rule: "nobody is signed in"}
	tests := []struct {
		name   string
		policy []string
		req    Request
		id     *Identity
		want   told
	}{
		{"everyone", []string{"allow everyone"}, Request{}, alice, allow("allow everyone")},
		{"user", []string{"allow user:alice"}, Request{}, alice, allow("allow user:alice")},
		{"user in other case", []string{"allow user:Alice"}, Request{}, alice, allow("allow user:alice")},
		{"user in full width", []string{"allow user:ａｌｉｃｅ"}, Request{}, alice, allow("allow user:alice")},
		{"another user", []string{"allow user:alic user:alicee"}, Request{}, alice, deny("no allow rule matched")},
		{"first group", []string{"allow group:dev"}, Request{}, alice, allow("allow group:dev")},
		{"last group", []string{"allow group:staff"}, Request{}, alice, allow("allow group:staff")},
		{"another group", []string{"allow group:ops group:sta"}, Request{}, alice, deny("no allow rule matched")},
		{"a group with the user's name", []string{"allow group:alice"}, Request{}, alice, deny("no allow rule matched")},
		{"a user with the group's name", []string{"allow user:staff"}, Request{}, alice, deny("no allow rule matched")},
		{"domain", []string{"allow domain:Example.COM"}, Request{}, alice, allow("allow domain:example.com")},
		{"a domain above", []string{"allow domain:com"}, Request{}, alice, deny("no allow rule matched")},
		{"a domain below", []string{"allow domain:eu.example.com"}, Request{}, alice, deny("no allow rule matched")},
		{"address not verified", []string{"allow domain:example.com"}, Request{}, owner, deny("no allow rule matched")},
		{"owner", []string{"allow owner"}, Request{}, owner, allow("allow owner")},
		{"not the owner", []string{"allow owner"}, Request{}, alice, deny("no allow rule matched")},
		{"any term of a line", []string{"allow owner user:x group:staff"}, Request{}, alice, allow("allow group:staff")},
		{"any line", []string{"allow owner", "allow user:x", "allow group:staff"}, Request{}, alice, allow("allow group:staff")},
		{"empty identity", []string{"allow user:alice group:staff domain:example.com owner"}, Request{}, &Identity{}, deny("no allow rule matched")},

		{"denied user", []string{"allow everyone", "deny user:alice"}, Request{}, alice, deny("deny user:alice")},
		{"denied group", []string{"allow user:alice", "deny group:staff"}, Request{}, alice, deny("deny group:staff")},
		{"denied before allowed", []string{"deny domain:example.com", "allow user:alice"}, Request{}, alice, deny("deny domain:example.com")},
		{"denied owner", []string{"allow everyone", "deny owner"}, Request{}, owner, deny("deny owner")},
		{"denied, but another", []string{"allow everyone", "deny user:mallory owner"}, Request{}, alice, allow("allow everyone")},

		{"network holds", []string{"allow everyone", "network 10.0.0.0/8"}, Request{Address: inside}, alice, allow("allow everyone")},
		{"network holds for mapped", []string{"allow everyone", "network 10.0.0.0/8"}, Request{Address: netip.MustParseAddr("::ffff:10.1.2.3")}, alice, allow("allow everyone")},
		{"network holds with a zone", []string{"allow everyone", "network fe80::/10"}, Request{Address: netip.MustParseAddr("fe80::1%eth0")}, alice, allow("allow everyone")},
		{"network is an address", []string{"allow everyone", "network 10.1.2.3"}, Request{Address: inside}, alice, allow("allow everyone")},
		{"any network of a line", []string{"allow everyone", "network 2001:db8::/32 10.0.0.0/8"}, Request{Address: inside}, alice, allow("allow everyone")},
		{"network fails", []string{"allow everyone", "network 10.0.0.0/8 ::1"}, Request{Address: outside}, alice, deny("outside network 10.0.0.0/8 ::1")},
		{"every network line", []string{"allow everyone", "network 10.0.0.0/8", "network 10.9.0.0/16"}, Request{Address: inside}, alice, deny("outside network 10.9.0.0/16")},
		{"unknown address", []string{"allow everyone", "network 0.0.0.0/0 ::/0"}, Request{}, alice, deny("outside network 0.0.0.0/0 ::/0")},
		{"network never grants", []string{"allow owner", "network 10.0.0.0/8"}, Request{Address: inside}, alice, deny("no allow rule matched")},
		{"denied inside", []string{"allow everyone", "deny user:alice", "network 10.0.0.0/8"}, Request{Address: inside}, alice, deny("deny user:alice")},

		{"nobody", []string{"allow everyone"}, Request{Path: "/"}, nil, signIn},
		{"nobody, inside", []string{"allow owner", "network 10.0.0.0/8"}, Request{Address: inside}, nil, signIn},
		{"nobody, outside", []string{"allow owner", "network 10.0.0.0/8"}, Request{Address: outside}, nil, deny("outside network 10.0.0.0/8")},
		{"nobody, from somewhere", []string{"allow owner", "network 10.0.0.0/8"}, Request{}, nil, deny("outside network 10.0.0.0/8")},

		{"public for nobody", []string{"allow owner", "public /healthz"}, Request{Path: "/healthz"}, nil, public("public /healthz")},
		{"public for one without a right", []string{"allow owner", "public /healthz"}, Request{Path: "/healthz"}, alice, public("public /healthz")},
		{"public before deny", []string{"allow owner", "deny user:alice", "public /healthz"}, Request{Path: "/healthz"}, alice, public("public /healthz")},
		{"public before network", []string{"allow owner", "network 10.0.0.0/8", "public /app/*"}, Request{Path: "/app/x", Address: outside}, nil, public("public /app/*")},
		{"public, but not this", []string{"allow owner", "public /healthz"}, Request{Path: "/health"}, nil, signIn},
		{"public by whatever method", []string{"allow owner", "public /healthz"}, Request{Method: "DELETE", Path: "/healthz"}, nil, public("public /healthz")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tell(mustParse(t, tt.policy...).Decide(&tt.req, tt.id)); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// Who belongs to organizations only is let in by terms that name one of them.
func TestOrganizationOnly(t *testing.T) {
	t.Parallel()
	in := &Identity{Username: "ann", Groups: []string{"dev"}, EmailDomain: "example.com", Organizations: []string{"acme"}, Roles: []string{"acme/member"}, OrganizationOnly: true}
	owner := *in
	owner.Owner = true
	only := told{Rule: RuleOrganizationOnly.Text}
	for _, tt := range []struct {
		policy []string
		req    Request
		id     *Identity
		want   told
	}{
		{[]string{"allow everyone"}, Request{}, in, only},
		{[]string{"allow user:ann"}, Request{}, in, only},
		{[]string{"allow group:dev"}, Request{}, in, only},
		{[]string{"allow domain:example.com"}, Request{}, in, only},
		{[]string{"allow provider:corp"}, Request{Proof: Proof{Provider: "corp"}}, in, only},
		{[]string{"allow owner"}, Request{}, &owner, only},
		{[]string{"allow org:other everyone"}, Request{}, in, only},
		{[]string{"allow role:acme/admin user:ann"}, Request{}, in, only},
		{[]string{"allow org:other user:bob"}, Request{}, in, told{Rule: "no allow rule matched"}},
		{[]string{"allow org:acme"}, Request{}, in, told{Outcome: Allow, Rule: "allow org:acme"}},
		{[]string{"allow role:acme/member"}, Request{}, in, told{Outcome: Allow, Rule: "allow role:acme/member"}},
		{[]string{"allow user:ann group:dev org:acme"}, Request{}, in, told{Outcome: Allow, Rule: "allow org:acme"}},
		{[]string{"allow everyone org:acme"}, Request{}, in, told{Outcome: Allow, Rule: "allow org:acme"}},
		{[]string{"allow org:acme", "deny user:ann"}, Request{}, in, told{Rule: "deny user:ann"}},
		{[]string{"allow org:acme", "deny group:dev"}, Request{}, in, told{Rule: "deny group:dev"}},
		{[]string{"allow org:acme", "require 2fa"}, Request{}, in, told{Outcome: StepUp, Rule: "require 2fa"}},
		{[]string{"allow user:ann", "require 2fa"}, Request{}, in, only},
		{[]string{"allow owner", "public /open"}, Request{Path: "/open"}, in, told{Outcome: Allow, Public: true, Rule: "public /open"}},
	} {
		if got := tell(mustParse(t, tt.policy...).Decide(&tt.req, tt.id)); got != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.policy, got, tt.want)
		}
	}
}

// A decision names the organization of the rule that let in, else the only one.
func TestDecisionNamesOrganization(t *testing.T) {
	t.Parallel()
	one := &Identity{Username: "ann", Organizations: []string{"acme"}, Roles: []string{"acme/member"}}
	two := &Identity{Username: "bob", Groups: []string{"dev"}, Organizations: []string{"acme", "beta"}, Roles: []string{"acme/member", "beta/admin"}}
	for _, tt := range []struct {
		policy []string
		req    Request
		id     *Identity
		want   string
	}{
		{[]string{"allow everyone"}, Request{}, one, "acme"},
		{[]string{"allow everyone"}, Request{}, two, ""},
		{[]string{"allow everyone"}, Request{}, nil, ""},
		{[]string{"allow org:beta"}, Request{}, two, "beta"},
		{[]string{"allow org:beta org:acme"}, Request{}, two, "acme"},
		{[]string{"allow role:beta/admin"}, Request{}, two, "beta"},
		{[]string{"allow org:acme role:beta/admin"}, Request{}, two, "acme"},
		{[]string{"allow group:dev org:beta"}, Request{}, two, ""},
		{[]string{"allow everyone org:beta"}, Request{}, two, "beta"},
		{[]string{"allow org:beta", "require 2fa"}, Request{}, two, "beta"},
		{[]string{"allow everyone", "deny org:beta"}, Request{}, two, ""},
		{[]string{"allow owner", "public /open"}, Request{Path: "/open"}, two, ""},
		{[]string{"allow owner", "public /open"}, Request{Path: "/open"}, one, "acme"},
		{[]string{"allow org:acme", "path /b/* {\nallow org:beta\n}"}, Request{Path: "/b/x"}, two, "beta"},
		{[]string{"allow org:acme", "path /b/* {\nallow org:beta\n}"}, Request{Path: "/x"}, two, "acme"},
		{[]string{"allow org:acme", "path /b/* {\nallow org:beta\n}"}, Request{Path: "/b/../x"}, two, ""},
		{[]string{"allow org:acme", "path /b/* {\nallow org:acme group:dev\n}"}, Request{Path: "/x/../x"}, one, "acme"},
	} {
		d := mustParse(t, tt.policy...).Decide(&tt.req, tt.id)
		if d.Organization != tt.want {
			t.Errorf("%q %s: %q by %v, want %q", tt.policy, tt.req.Path, d.Organization, d.Rule, tt.want)
		}
	}
}

func TestEveryone(t *testing.T) {
	t.Parallel()
	if got, want := tell(Everyone.Decide(&Request{Path: "/"}, &Identity{})), (told{Outcome: Allow, Rule: "allow everyone"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := tell(Everyone.Decide(&Request{Path: "/"}, nil)), (told{Outcome: SignIn, Rule: "nobody is signed in"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What was forgotten is shut.
func TestZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	var none *Policy
	for name, d := range map[string]Decision{
		"zero decision": {},
		"no policy":     none.Decide(&Request{Path: "/"}, owner),
		"zero policy":   (&Policy{}).Decide(&Request{Path: "/"}, owner),
		"no request":    Everyone.Decide(nil, owner),
	} {
		if d.Outcome != Deny || d.Public {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	for outcome, want := range map[Outcome]string{Allow: "allow", SignIn: "sign in", Deny: "deny", 99: "deny"} {
		if got := outcome.String(); got != want {
			t.Errorf("%d is %q, want %q", outcome, got, want)
		}
	}
}

// manyGroups is a policy with a thousand groups, and a user in the last one and
// nine others that it does not name.
func manyGroups(tb testing.TB) (*Policy, *Identity) {
	texts := []string{"network 10.0.0.0/8 2001:db8::/32", "public /healthz /static/*", "deny user:mallory"}
	for i := range 1000 {
		texts = append(texts, fmt.Sprintf("allow group:team-%d", i))
	}
	id := &Identity{Username: "alice", EmailDomain: "example.com"}
	for i := range 9 {
		id.Groups = append(id.Groups, fmt.Sprintf("other-%d", i))
	}
	id.Groups = append(id.Groups, "team-999")
	return mustParse(tb, texts...), id
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p, id := manyGroups(t)
	for name, tt := range map[string]struct {
		req  Request
		id   *Identity
		want Outcome
	}{
		"allow":   {Request{Path: "/x", Address: inside}, id, Allow},
		"refused": {Request{Path: "/x", Address: inside}, alice, Deny},
		"outside": {Request{Path: "/x", Address: outside}, id, Deny},
		"zoned":   {Request{Path: "/x", Address: netip.MustParseAddr("2001:db8::1%eth0")}, id, Allow},
		"public":  {Request{Path: "/static/café", RawPath: "/static/caf%c3%a9"}, nil, Allow},
		"nobody":  {Request{Path: "/static/../x", Address: inside}, nil, SignIn},
		"member":  {Request{Path: "/x", Address: inside}, &Identity{Groups: id.Groups, Organizations: []string{"acme"}, Roles: []string{"acme/member"}}, Allow},
	} {
		var got Decision
		if n := testing.AllocsPerRun(100, func() { got = p.Decide(&tt.req, tt.id) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if got.Outcome != tt.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p, id := manyGroups(b)
	bench := func(p *Policy, req Request, id *Identity, want Outcome) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(&req, id); d.Outcome != want {
					b.Fatal(d)
				}
			}
		}
	}
	b.Run("1000 groups, last matches", bench(p, Request{Path: "/x", Address: inside}, id, Allow))
	b.Run("1000 groups, none matches", bench(p, Request{Path: "/x", Address: inside}, alice, Deny))
	b.Run("public", bench(p, Request{Path: "/static/main.js", Address: inside}, nil, Allow))
	for _, way := range []struct {
		name string
		line func(i int) string
		id   *Identity
		path string
		want Outcome
	}{
		{"1000 paths", func(i int) string { return fmt.Sprintf("path /app/%d/* {\nallow group:g%d\n}", i, i) }, &Identity{Groups: []string{"g999"}}, "/app/999/page", Allow},
		{"1000 users", func(i int) string { return fmt.Sprintf("allow user:u%d", i) }, &Identity{Username: "u999"}, "/app/page", Allow},
		{"1000 public paths", func(i int) string { return fmt.Sprintf("public /static/%d/*", i) }, nil, "/static/999/x.js", Allow},
	} {
		texts := []string{"allow owner"}
		for i := range 1000 {
			texts = append(texts, way.line(i))
		}
		b.Run(way.name, bench(mustParse(b, texts...), Request{Method: "GET", Path: way.path}, way.id, way.want))
	}
	networks := "network"
	for i := range 1000 {
		networks += fmt.Sprintf(" 10.%d.%d.0/24", i/100, 2*(i%100)+1)
	}
	b.Run("1000 networks", bench(mustParse(b, "allow everyone", networks), Request{Path: "/x", Address: netip.MustParseAddr("10.9.199.1")}, alice, Allow))
	b.Run("everyone", bench(Everyone, Request{Path: "/x", Address: inside}, alice, Allow))
}
