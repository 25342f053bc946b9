package connect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Rule is a term that holds for some of those who sign in with a provider, such as
// domain:example.com.
type Rule struct{ kind, value string }

// ruleKinds are all terms. What is in the last column is which kind of provider can
// tell; empty is every one.
var ruleKinds = []struct{ name, value, only string }{
	{"domain", "example.com", ""},
	{"email", "alice@example.com", ""},
	{"user", "alice", ""},
	{"group", "NAME", ""},
	{"claim", "NAME=VALUE", ""},
	{"github", "ORG or ORG/TEAM", GitHub},
	{"google_group", "eng@example.com", Google},
}

// ParseRule reads a term for a kind of provider.
func ParseRule(term, kind string) (Rule, error) {
	if term == "everyone" {
		return Rule{kind: term}, nil
	}
	name, value, _ := strings.Cut(term, ":")
	for _, k := range ruleKinds {
		if k.name != name {
			continue
		}
		switch name {
		case "domain", "email", "google_group":
			value = access.FoldAddress(value)
		case "github", "user":
			value = lower(value)
		}
		r := Rule{name, value}
		switch {
		case k.only != "" && k.only != kind:
			return Rule{}, fmt.Errorf("%s: can be used in the block of %s only", name, k.only)
		case value == "" || name == "claim" && strings.IndexByte(value, '=') < 1:
			return Rule{}, fmt.Errorf("%s: needs a value, as in %s:%s", name, name, k.value)
		case name == "user" && (kind == Google || kind == Apple):
			return Rule{}, fmt.Errorf("user: %s has no usernames; use a term with email: instead", kind)
		case name == "claim" && slices.Contains([]string{"email", "email_verified", "verified"}, value[:strings.IndexByte(value, '=')]):
			return Rule{}, errors.New("claim: does not ask whether an address is verified; use a term with email: or domain: instead")
		case name == "domain" && (strings.ContainsAny(value, "@/: ") || !strings.Contains(value, ".")):
			return Rule{}, fmt.Errorf("%q is not a domain; write it as in domain:example.com", value)
		case (name == "email" || name == "google_group") && authcore.CheckEmail(value) != nil:
			return Rule{}, fmt.Errorf("%q is not an email address", value)
		case name == "github" && (strings.Count(value, "/") > 1 || strings.HasPrefix(value, "/") || strings.HasSuffix(value, "/")):
			return Rule{}, fmt.Errorf("%q is not an organization or a team; write it as in github:acme or github:acme/eng", value)
		}
		return r, nil
	}
	var known []string
	for _, k := range ruleKinds {
		if k.only == "" || k.only == kind {
			known = append(known, k.name+":")
		}
	}
	return Rule{}, fmt.Errorf("unknown term %q; known here: everyone %s", term, strings.Join(known, " "))
}

// String is the term as it is written.
func (r Rule) String() string {
	if r.value == "" {
		return r.kind
	}
	return r.kind + ":" + r.value
}

// Holds tells whether the rule holds for a person. What goes by an email address needs
// one that the provider has verified.
func (r Rule) Holds(p *Person) bool {
	switch r.kind {
	case "everyone":
		return true
	case "domain":
		_, domain, _ := strings.Cut(access.FoldAddress(p.Email), "@")
		return p.EmailVerified && domain == r.value && (p.Issuer != googleIssuer || access.FoldAddress(text(p.Claims, "hd")) == r.value)
	case "email":
		return p.EmailVerified && access.FoldAddress(p.Email) == r.value
	case "user":
		return p.Username != "" && lower(p.Username) == r.value
	case "group":
		return slices.Contains(values(p.Claims, "groups"), r.value)
	case "claim":
		name, value, _ := strings.Cut(r.value, "=")
		return slices.Contains(values(p.Claims, name), value)
	}
	return slices.Contains(p.Member, r.String())
}

// lower makes ASCII letters small, and no others: some that are none become such.
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// Grant is a group that people get while a rule holds for them.
type Grant struct {
	Group string
	When  Rule
}

// groups gives the groups of ours that a person gets by the provider, sorted. Values of
// claims that cannot be the name of a group make none.
func (p *Provider) groups(who *Person) []string {
	var all []string
	for _, g := range p.Grants {
		if g.When.Holds(who) {
			all = append(all, g.Group)
		}
	}
	for _, from := range p.GroupsFrom {
		for _, value := range values(who.Claims, from.Claim) {
			if name := from.Prefix + lower(value); access.ValidGroup(name) && len(all) < maxGroups {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxGroups is the most groups that one provider gives one person.
const maxGroups = 200
