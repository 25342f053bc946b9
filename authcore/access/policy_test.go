package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// lines makes lines of a policy from text, as a Caddyfile has them; a line that
// ends with { begins a block, and } alone ends it.
func lines(texts ...string) []Line {
	all, _ := readLines(strings.Split(strings.Join(texts, "\n"), "\n"), 0)
	return all
}

func readLines(texts []string, from int) (all []Line, next int) {
	for next = from; next < len(texts); next++ {
		fields := strings.Fields(texts[next])
		if len(fields) == 0 {
			continue
		}
		if fields[0] == "}" {
			return all, next
		}
		line := Line{Word: fields[0], Args: fields[1:], At: fmt.Sprint("line ", next+1)}
		if last := len(fields) - 1; last > 0 && fields[last] == "{" {
			line.Args = fields[1:last]
			line.Lines, next = readLines(texts, next+1)
		}
		all = append(all, line)
	}
	return all, next
}

func mustParse(t testing.TB, texts ...string) *Policy {
	t.Helper()
	p, err := Parse(lines(texts...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	mustParse(t,
		"allow user:alice user:bob group:staff group:github:acme/eng domain:example.com owner",
		"deny user:mallory group:gone domain:example.net",
		"network 10.0.0.0/8 2001:db8::/32 192.0.2.1 ::1",
		"network 0.0.0.0/0",
		"public / /healthz /static/* /.well-known/* /files/",
	)
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	line := func(word string, args ...string) []Line {
		return []Line{{Word: "allow", Args: []string{"owner"}, At: "line 1"}, {Word: word, Args: args, At: "line 2"}}
	}
	tests := []struct {
		name  string
		lines []Line
		index int
		want  string // part of the message
	}{
		{"no lines", nil, -1, "add an allow line, e.g. allow everyone"},
		{"public only", lines("public /healthz"), -1, "add an allow line"},
		{"network only", lines("network 10.0.0.0/8"), -1, "add an allow line"},
		{"deny only", lines("deny user:bob"), -1, "add an allow line"},
		{"unknown word", line("alow", "owner"), 1, `unknown word "alow"; use allow, deny, public, network, require, tokens, path, method or observe`},
		{"no word", line("", "owner"), 1, "unknown word"},
		{"word in upper case", line("Deny", "owner"), 1, "unknown word"},
		{"no arguments", line("deny"), 1, "deny needs at least one argument"},
		{"an empty argument", line("deny", "user:bob", ""), 1, "empty argument"},

		{"unknown term", line("allow", "team:ops"), 1, "use user:NAME, group:NAME, domain:DOMAIN, org:SLUG, role:SLUG/ROLE, provider:NAME, owner or everyone"},
		{"a bare name", line("allow", "bob"), 1, `unknown term "bob"`},
		{"term in upper case", line("allow", "Group:ops"), 1, "unknown term"},
		{"user without a name", line("allow", "user:"), 1, "write user:NAME"},
		{"user alone", line("allow", "user"), 1, "write user:NAME"},
		{"group without a name", line("allow", "group:"), 1, "write group:NAME"},
		{"domain without a name", line("allow", "domain:"), 1, "write domain:NAME"},
		{"owner with a name", line("deny", "owner:bob"), 1, "owner stands alone"},
		{"everyone with a name", line("allow", "everyone:"), 1, "everyone stands alone"},
		{"email as user", line("deny", "user:bob@example.com"), 1, "not an email address"},
		{"user with a space", line("deny", "user:bob b"), 1, "not a username"},
		{"user not UTF-8", line("deny", "user:\xff"), 1, "not a username"},
		{"placeholder as user", line("deny", "user:{env.HOME}"), 1, "not a username"},
		{"user with a sign first", line("deny", "user:-bob"), 1, "a letter or digit first"},
		{"group too long", line("deny", "group:"+strings.Repeat("a", 65)), 1, "up to 64"},
		{"group in upper case", line("deny", "group:Ops"), 1, "lower-case"},
		{"group with a comma", line("deny", "group:a,b"), 1, "not a group"},
		{"domain with @", line("deny", "domain:@example.com"), 1, "as it stands after the @"},
		{"domain with a wildcard", line("deny", "domain:*.example.com"), 1, "not a domain"},
		{"domain with a dot before", line("deny", "domain:.example.com"), 1, "not a domain"},
		{"domain with a dot after", line("deny", "domain:example.com."), 1, "not a domain"},
		{"deny everyone", line("deny", "everyone"), 1, "would let nobody in"},
		{"twice in a line", line("deny", "user:bob", "user:bob"), 1, "deny user:bob is there twice"},
		{"twice in two lines", lines("allow group:a group:b", "allow group:b"), 1, "allow group:b is there twice"},
		{"twice in other case", line("deny", "user:bob", "user:BOB"), 1, "deny user:bob is there twice"},
		{"owner twice", line("allow", "owner"), 1, "allow owner is there twice"},
		{"everyone twice", lines("allow everyone everyone"), 0, "allow everyone is there twice"},
		{"domain twice", line("deny", "domain:example.com", "domain:EXAMPLE.com"), 1, "is there twice"},
		{"allowed and denied", line("deny", "owner"), 1, "owner is both allowed and denied"},
		{"denied and allowed", lines("deny group:a", "allow group:a"), 1, "group:a is both allowed and denied"},

		{"network by name", line("network", "example.com"), 1, "neither a network nor an address"},
		{"network too narrow", line("network", "10.0.0.0/33"), 1, "neither a network nor an address"},
		{"network with host bits", line("network", "10.0.0.1/8"), 1, "write 10.0.0.0/8"},
		{"network with a zone", line("network", "fe80::1%eth0"), 1, "neither"},
		{"network mapped", line("network", "::ffff:10.0.0.0/104"), 1, "write it as IPv4"},
		{"address mapped", line("network", "::ffff:10.0.0.1"), 1, "write it as IPv4"},
		{"network with a port", line("network", "10.0.0.1:80"), 1, "neither"},
		{"network twice", line("network", "10.0.0.1", "10.0.0.1/32"), 1, "network 10.0.0.1/32 is there twice"},

		{"public without /", line("public", "healthz"), 1, "must start with /"},
		{"public *", line("public", "*"), 1, "must start with /"},
		{"public everything", line("public", "/*"), 1, "would make everything public"},
		{"public * in the middle", line("public", "/a/*/b"), 1, "only at its end"},
		{"public * after a letter", line("public", "/a*"), 1, "only at its end"},
		{"public **", line("public", "/a/**"), 1, "only at its end"},
		{"public * twice", line("public", "/*/*"), 1, "only at its end"},
		{"public with a query", line("public", "/a?b"), 1, "without ? and #"},
		{"public encoded", line("public", "/a%20b"), 1, "write it decoded"},
		{"public with dots", line("public", "/a/../b"), 1, "dot segments"},
		{"public with dots below", line("public", "/a/../*"), 1, "dot segments"},
		{"public with //", line("public", "//"), 1, "can never match"},
		{"public everything, by //*", line("public", "//*"), 1, "can never match"},
		{"public with ;", line("public", "/a;b"), 1, "can never match"},
		{"public not UTF-8", line("public", "/\xff"), 1, "can never match"},
		{"public path twice", line("public", "/a", "/a"), 1, "public /a is there twice"},
		{"public prefix twice", line("public", "/a/*", "/b", "/a/*"), 1, "public /a/* is there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse(tt.lines)
			var mistake *LineError
			if p != nil || !errors.As(err, &mistake) {
				t.Fatalf("got %v, %v, want a LineError", p, err)
			}
			at := ""
			if tt.index >= 0 {
				at = fmt.Sprint("line ", tt.index+1)
			}
			if mistake.At != at || !strings.Contains(mistake.Message, tt.want) {
				t.Errorf("got %q %q, want %q with %q", mistake.At, mistake.Message, at, tt.want)
			}
		})
	}
}

func TestLineErrorText(t *testing.T) {
	t.Parallel()
	if got := (&LineError{At: "Caddyfile:2", Message: "m"}).Error(); got != "m, at Caddyfile:2" {
		t.Errorf("got %q", got)
	}
	if got := (&LineError{Message: "m"}).Error(); got != "m" {
		t.Errorf("got %q", got)
	}
}

// Whatever is parsed, a policy or a LineError comes out, and nobody gets in who
// meets no term.
func FuzzParse(f *testing.F) {
	f.Add("allow user:alice\npublic /healthz /app/*\nnetwork 10.0.0.0/8")
	f.Add("allow everyone\ndeny group:x domain:example.com")
	f.Add("allow owner\npublic //* /\xff")
	f.Fuzz(func(t *testing.T, text string) {
		all := lines(text)
		p, err := Parse(all)
		var mistake *LineError
		switch {
		case (p == nil) == (err == nil):
			t.Fatalf("got %v and %v", p, err)
		case err != nil && (!errors.As(err, &mistake) || mistake.Message == ""):
			t.Fatalf("bad error %v", err)
		case err != nil:
			return
		}
		if d := p.Decide(&Request{Path: "/;"}, &Identity{Username: "alice", Groups: []string{"x"}, Owner: true, OrganizationOnly: true}); d.Outcome != Deny && !d.Public {
			t.Fatalf("a user of organizations only, in none, got %+v", d)
		}
		if strings.Contains(text, "everyone") {
			return
		}
		if d := p.Decide(&Request{Path: "/;"}, &Identity{}); d.Outcome != Deny && !d.Public {
			t.Fatalf("a user without any name got %+v", d)
		}
	})
}

// What holds for all paths holds at an exact path and below it, in whatever order
// the two stand.
func TestOuterRulesHoldAtPathAndBelow(t *testing.T) {
	t.Parallel()
	all := []Line{{Word: "allow", Args: []string{"everyone"}}}
	exact, below := Line{Word: "path", Args: []string{"/b"}, Lines: all}, Line{Word: "path", Args: []string{"/b/*"}, Lines: all}
	root := []Line{{Word: "allow", Args: []string{"group:staff"}}, {Word: "deny", Args: []string{"user:bob"}}, {Word: "require", Args: []string{"2fa"}}}
	for _, blocks := range [][]Line{{exact, below}, {below, exact}} {
		p, err := Parse(append(root[:3:3], blocks...))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/b", "/b/", "/b/x"} {
			for name, want := range map[string]Outcome{"bob": Deny, "carol": StepUp} {
				if d := p.Decide(&Request{Method: "GET", Path: path}, &Identity{Username: name}); d.Outcome != want {
					t.Errorf("%s, path %s first: %s by %v, want %s", name, blocks[0].Args[0], d.Outcome, d.Rule, want)
				}
			}
		}
	}
}

// A path and what is below it can both be public, and neither opens the other.
func TestPublicPathAndBelow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"/a", "/a/*"}, {"/a/*", "/a"}} {
		p, err := Parse([]Line{{Word: "allow", Args: []string{"everyone"}}, {Word: "public", Args: args}})
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]Outcome{"/a": Allow, "/a/": Allow, "/a/x": Allow, "/ax": SignIn, "/": SignIn} {
			if d := p.Decide(&Request{Method: "GET", Path: path}, nil); d.Outcome != want {
				t.Errorf("%s: %s, want %s", path, d.Outcome, want)
			}
		}
	}
}

// The organization of a policy is the only one whose members it lets in.
func TestPolicyOrganization(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want  string
		lines []string
	}{
		{"acme", []string{"allow org:acme"}},
		{"acme", []string{"allow org:acme role:acme/owner", "public /healthz", "deny user:bob", "path /admin/* {", "allow role:acme/admin", "}"}},
		{"", []string{"allow everyone"}},
		{"", []string{"allow org:acme owner"}},
		{"", []string{"allow org:acme org:beta"}},
		{"", []string{"allow org:acme", "path /beta/* {", "allow org:beta", "}"}},
		{"", []string{"allow org:acme", "path /all/* {", "method POST {", "allow group:staff", "}", "}"}},
		{"", []string{"allow org:acme", "observe"}},
	} {
		if got := mustParse(t, c.lines...).Organization(); got != c.want {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
	}
}
