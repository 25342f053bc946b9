package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// The kinds of term, as they are written.
const (
	kindUser     = "user"
	kindGroup    = "group"
	kindDomain   = "domain"
	kindOrg      = "org"
	kindRole     = "role"
	kindProvider = "provider"
	kindOwner    = "owner"
	kindEveryone = "everyone"
)

// knownTerms is for messages.
const knownTerms = "user:NAME, group:NAME, domain:DOMAIN, org:SLUG, role:SLUG/ROLE, provider:NAME, owner or everyone"

// term is one word of an allow or deny line: a kind, and a name in the form
// that it is compared in.
type term struct{ kind, name string }

func (t term) String() string {
	if t.name == "" {
		return t.kind
	}
	return t.kind + ":" + t.name
}

// terms are what follows allow or deny, by kind.
type terms struct {
	order                                          []term // as written
	users, groups, domains, orgs, roles, providers map[string]*Rule
	owner, everyone                                *Rule
}

// match returns the rule of the first term that the user meets, or nil.
func (t *terms) match(id *Identity, proof *Proof) *Rule {
	if len(t.order) == 0 {
		return nil
	}
	if r := lookUp(t.users, id.Username); r != nil {
		return r
	}
	if r := lookUp(t.groups, id.Groups...); r != nil {
		return r
	}
	if r := lookUp(t.domains, id.EmailDomain); r != nil {
		return r
	}
	if r := t.matchOrganization(id); r != nil {
		return r
	}
	if r := lookUp(t.providers, proof.Provider); r != nil {
		return r
	}
	if t.owner != nil && id.Owner {
		return t.owner
	}
	return t.everyone
}

// matchOrganization is match of the terms that name an organization.
func (t *terms) matchOrganization(id *Identity) *Rule {
	if r := lookUp(t.orgs, id.Organizations...); r != nil {
		return r
	}
	return lookUp(t.roles, id.Roles...)
}

// lookUp gives the rule of the first name that has one, or nil.
func lookUp(rules map[string]*Rule, names ...string) *Rule {
	if len(rules) == 0 {
		return nil
	}
	for _, name := range names {
		if r := rules[name]; r != nil {
			return r
		}
	}
	return nil
}

func (t *terms) empty() bool { return len(t.order) == 0 }

// named gives the rules that have terms of a kind; nil for kinds without names.
func (t *terms) named(kind string) *map[string]*Rule {
	switch kind {
	case kindUser:
		return &t.users
	case kindGroup:
		return &t.groups
	case kindDomain:
		return &t.domains
	case kindOrg:
		return &t.orgs
	case kindRole:
		return &t.roles
	case kindProvider:
		return &t.providers
	}
	return nil
}

// organization is the slug that a term names, or empty.
func (t term) organization() string {
	switch t.kind {
	case kindOrg:
		return t.name
	case kindRole:
		slug, _, _ := strings.Cut(t.name, "/")
		return slug
	}
	return ""
}

// get gives the rule of a term, or nil.
func (t *terms) get(x term) *Rule {
	switch x.kind {
	case kindOwner:
		return t.owner
	case kindEveryone:
		return t.everyone
	}
	return (*t.named(x.kind))[x.name]
}

// add adds the rule unless the term is there already.
func (t *terms) add(x term, r *Rule) (added bool) {
	if t.get(x) != nil {
		return false
	}
	switch x.kind {
	case kindOwner:
		t.owner = r
	case kindEveryone:
		t.everyone = r
	default:
		rules := t.named(x.kind)
		if *rules == nil {
			*rules = make(map[string]*Rule)
		}
		(*rules)[x.name] = r
	}
	t.order = append(t.order, x)
	return true
}

// addTerms adds what an allow or deny line says. A term that is in both could
// never let anybody in, so it is a mistake.
func (b *block) addTerms(line *Line, s *scope) error {
	set, opposite := &b.allow, &b.deny
	if line.Word == "deny" {
		set, opposite = opposite, set
	}
	for _, arg := range line.Args {
		x, err := parseTerm(arg)
		if err != nil {
			return fmt.Errorf("%s: %w", line.Word, err)
		}
		r := s.rule(line.Word+" "+x.String(), line.At)
		r.Organization = x.organization()
		if opposite.get(x) != nil {
			return fmt.Errorf("%s is both allowed and denied; remove one of them", x)
		}
		if line.Word == "deny" && x.kind == kindEveryone && s.suffix == "" {
			return fmt.Errorf("deny everyone would let nobody in; remove it")
		}
		if line.Word == "allow" && b.allow.empty() {
			b.noMatch = s.rule(ruleNoMatch, s.at)
		}
		if !set.add(x, r) {
			return fmt.Errorf("%s %s is there twice; remove one of them", line.Word, x)
		}
	}
	return nil
}

// parseTerm reads one term and brings its name into the form that identities
// have. A name that no user or group can have is a mistake: in a deny line it
// would silently deny nobody.
func parseTerm(arg string) (term, error) {
	kind, name, named := strings.Cut(arg, ":")
	switch kind {
	case kindOwner, kindEveryone:
		if named {
			return term{}, fmt.Errorf("%s stands alone, without a name", kind)
		}
		return term{kind: kind}, nil
	case kindUser, kindGroup, kindDomain, kindOrg, kindRole, kindProvider:
		if name == "" {
			return term{}, fmt.Errorf("%q has no name; write %s:NAME", arg, kind)
		}
	default:
		return term{}, fmt.Errorf("unknown term %q; use %s", arg, knownTerms)
	}

	var err error
	switch kind {
	case kindUser:
		name, err = userKey(name)
	case kindGroup:
		err = checkGroup(name)
	case kindDomain:
		name, err = domainKey(name)
	case kindOrg, kindProvider:
		err = checkSlug(arg, name)
	case kindRole:
		slug, role, _ := strings.Cut(name, "/")
		err = errors.Join(checkSlug(arg, slug), checkSlug(arg, role))
	}
	return term{kind, name}, err
}

// userKey gives the form in which a username is compared.
func userKey(name string) (string, error) {
	if !ValidUsername(name) {
		return "", fmt.Errorf("%q is not a username; it has letters, digits and . _ - + only, a letter or digit first (not an email address)", name)
	}
	return UsernameKey(name), nil
}

// ValidSlug tells whether a text can be the name of an organization in a policy.
func ValidSlug(name string) bool { return checkSlug(name, name) == nil }

// checkSlug refuses what cannot be the name of an organization, a role or a
// provider.
func checkSlug(arg, name string) error {
	if name == "" || len(name) > maxGroup || !consistsOf(name, "-_", isLower, unicode.IsDigit) {
		return fmt.Errorf("%q is not a name; write e.g. org:acme, role:acme/admin or provider:google, in lower-case letters, digits, - and _", arg)
	}
	return nil
}

func isLower(r rune) bool { return 'a' <= r && r <= 'z' }

func checkGroup(name string) error {
	if !ValidGroup(name) {
		return fmt.Errorf("%q is not a group; it has up to %d lower-case letters, digits and . _ - : / @ only", name, maxGroup)
	}
	return nil
}

// domainKey gives the form in which the domain of an address is compared.
func domainKey(name string) (string, error) {
	key := FoldAddress(name)
	for label := range strings.SplitSeq(key, ".") {
		if label == "" || !consistsOf(label, "-", unicode.IsLetter, unicode.IsDigit, unicode.IsMark) {
			return "", fmt.Errorf("%q is not a domain; write it as it stands after the @, e.g. example.com", name)
		}
	}
	return key, nil
}
