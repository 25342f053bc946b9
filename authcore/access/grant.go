package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Grant is where an access token may be used, within what its user may do.
type Grant struct {
	// Hosts are names such as app.example.com, or *.example.com for all of one
	// label below a domain. None is every host.
	Hosts []string
	// Paths are as in a policy: one path, or with a final /* all below it. None is
	// every path.
	Paths []string
	// Scopes are what it has of those that policies ask for.
	Scopes []string
}

// The bounds of a grant.
const (
	maxGrants = 32  // hosts, paths and scopes each
	maxGrant  = 255 // bytes of one
)

// validHost tells whether text is a host as requests have it: labels in lower case,
// "*" for the first, or an address.
func validHost(text string) bool {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.String() == text
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(text, "*."), ".") {
		if label == "" || !consistsOf(label, "-", isLowerOrDigit) {
			return false
		}
	}
	return true
}

// Validate refuses what could never match, or means something else to a server
// behind us. Its error is for people.
func (g *Grant) Validate() error {
	for _, all := range [][]string{g.Hosts, g.Paths, g.Scopes} {
		if len(all) > maxGrants {
			return fmt.Errorf("an access token can have %d hosts, paths and scopes each at most", maxGrants)
		}
		for _, one := range all {
			if len(one) > maxGrant {
				return fmt.Errorf("hosts, paths and scopes can have %d bytes at most", maxGrant)
			}
		}
	}
	for _, host := range g.Hosts {
		if !validHost(host) {
			return fmt.Errorf("%q is not a host; write it in lower case and without a port, as in app.example.com or *.example.com", host)
		}
	}
	for _, path := range g.Paths {
		if _, err := parsePattern("the", path); err != nil {
			return err
		}
		if strings.ContainsAny(path, " \t") {
			return fmt.Errorf("the path %q has a space in it", path)
		}
	}
	for _, scope := range g.Scopes {
		if !ValidScope(scope) {
			return errScope(scope)
		}
	}
	return nil
}

func errScope(name string) error {
	return fmt.Errorf("%q is not a scope; use up to 64 letters, digits and . _ - : /", name)
}

// ValidScope tells whether text can be a scope: letters, digits and . _ - : / (a part
// of what RFC 6749 section 3.3 allows).
func ValidScope(text string) bool {
	return text != "" && len(text) <= 64 && consistsOf(text, "._-:/", func(r rune) bool { return isLowerOrDigit(r) || isUpper(r) })
}

func isLowerOrDigit(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }

// Holds tells whether a token may be used for a canonical path on a host.
func (g *Grant) Holds(host, path string) bool { return g.holdsHost(host) && g.holdsPath(path) }

func (g *Grant) holdsHost(host string) bool {
	for _, name := range g.Hosts {
		if domain, wild := strings.CutPrefix(name, "*."); wild {
			if _, rest, ok := strings.Cut(host, "."); ok && strings.EqualFold(rest, domain) {
				return true
			}
		} else if strings.EqualFold(host, name) {
			return true
		}
	}
	return len(g.Hosts) == 0
}

func (g *Grant) holdsPath(path string) bool {
	for _, arg := range g.Paths {
		if p := literalPathOf(arg); p.holds(path) {
			return true
		}
	}
	return len(g.Paths) == 0
}

// Has tells whether a grant has all of some scopes.
func (g *Grant) Has(scopes []string) bool {
	for _, s := range scopes {
		if !slices.Contains(g.Scopes, s) {
			return false
		}
	}
	return true
}
