package access

import (
	"fmt"
	"strings"
	"unicode"
)

// The kinds of term, as they are written.
const (
	kindUser     = "user"
	kindGroup    = "group"
	kindDomain   = "domain"
	kindOwner    = "owner"
	kindEveryone = "everyone"
)

// knownTerms is for messages.
const knownTerms = "user:NAME, group:NAME, domain:DOMAIN, owner or everyone"

// term is one word of an allow or deny line: a kind, and a name in the form
// that it is compared in.
type term struct{ kind, name string }

func (t term) String() string {
	if t.name == "" {
		return t.kind
	}
	return t.kind + ":" + t.name
}

// terms are what follows allow or deny, by kind. Each value is the text of its
// rule, so that a decision can name it without making a string.
type terms struct {
	users    map[string]string
	groups   map[string]string
	domains  map[string]string
	owner    string
	everyone string
}

// match returns the rule of the first term that the user meets.
func (t *terms) match(id *Identity) (rule string, found bool) {
	if rule, found = t.users[id.Username]; found {
		return rule, true
	}
	if len(t.groups) > 0 {
		for _, group := range id.Groups {
			if rule, found = t.groups[group]; found {
				return rule, true
			}
		}
	}
	if rule, found = t.domains[id.EmailDomain]; found {
		return rule, true
	}
	if t.owner != "" && id.Owner {
		return t.owner, true
	}
	return t.everyone, t.everyone != ""
}

func (t *terms) empty() bool {
	return len(t.users)+len(t.groups)+len(t.domains) == 0 && t.owner == "" && t.everyone == ""
}

// add adds the rule unless the term is there already.
func (t *terms) add(x term, rule string) (added bool) {
	if t.has(x) {
		return false
	}
	put := func(m *map[string]string) {
		if *m == nil {
			*m = make(map[string]string)
		}
		(*m)[x.name] = rule
	}
	switch x.kind {
	case kindUser:
		put(&t.users)
	case kindGroup:
		put(&t.groups)
	case kindDomain:
		put(&t.domains)
	case kindOwner:
		t.owner = rule
	case kindEveryone:
		t.everyone = rule
	}
	return true
}

func (t *terms) has(x term) (found bool) {
	switch x.kind {
	case kindUser:
		_, found = t.users[x.name]
	case kindGroup:
		_, found = t.groups[x.name]
	case kindDomain:
		_, found = t.domains[x.name]
	case kindOwner:
		found = t.owner != ""
	case kindEveryone:
		found = t.everyone != ""
	}
	return found
}

func (p *Policy) parseAllow(args []string) error {
	return parseTerms("allow", args, &p.allow, &p.deny)
}

func (p *Policy) parseDeny(args []string) error {
	return parseTerms("deny", args, &p.deny, &p.allow)
}

// parseTerms adds what follows word to set. A term that is in opposite too
// could never let anybody in, so it is a mistake.
func parseTerms(word string, args []string, set, opposite *terms) error {
	for _, arg := range args {
		x, err := parseTerm(arg)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", word, err)
		case word == "deny" && x.kind == kindEveryone:
			return fmt.Errorf("deny everyone would let nobody in; remove it")
		case opposite.has(x):
			return fmt.Errorf("%s is both allowed and denied; remove one of them", x)
		case !set.add(x, word+" "+x.String()):
			return fmt.Errorf("%s %s is there twice; remove one of them", word, x)
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
	case kindUser, kindGroup, kindDomain:
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
