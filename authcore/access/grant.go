package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TokenRule is a path of a tokens line.
type TokenRule struct {
	// Rule is the line, for decisions.
	Rule *Rule
	// Scopes are those that a token must have, all of them.
	Scopes []string

	path publicPath
}

// TokenRule finds the tokens line for a request: that with the longest path that
// holds it. It is nil where access tokens are not accepted. A path that is not
// canonical is on no such path, nor is one for which another line would count if
// case or the slash at its end made no difference: to some servers they make none.
func (p *Policy) TokenRule(req *Request) *TokenRule {
	var found *TokenRule
	for i := range p.tokens {
		t := &p.tokens[i]
		if t.path.mayHold(req.Path) && (found == nil || t.path.narrower(&found.path)) {
			found = t
		}
	}
	if found == nil || !found.path.holds(req.Path) || !Canonical(req.Path, req.RawPath) {
		return nil
	}
	return found
}

// mayHold tells whether a server that takes less care would say that a path is held.
func (p *publicPath) mayHold(path string) bool {
	own, path := strings.TrimSuffix(p.path, "/"), strings.TrimSuffix(path, "/")
	if len(path) < len(own) || !strings.EqualFold(path[:len(own)], own) {
		return false
	}
	return len(path) == len(own) || p.below && path[len(own)] == '/'
}

// AcceptsTokens tells whether access tokens are accepted on some path.
func (p *Policy) AcceptsTokens() bool { return len(p.tokens) > 0 }

// narrower tells which of two paths that hold the same request says more.
func (p *publicPath) narrower(other *publicPath) bool {
	if len(p.path) != len(other.path) {
		return len(p.path) > len(other.path)
	}
	return !p.below
}

// parseTokens reads a tokens line: paths, and the scopes that a token needs there.
func (c *compiler) parseTokens(line *Line) error {
	var paths, scopes []string
	for _, arg := range line.Args {
		name, isScope := strings.CutPrefix(arg, "scope:")
		switch {
		case !isScope:
			paths = append(paths, arg)
		case !ValidScope(name):
			return errScope(name)
		case slices.Contains(scopes, name):
			return fmt.Errorf("%s is there twice; remove one of them", arg)
		default:
			scopes = append(scopes, name)
		}
	}
	if len(paths) == 0 {
		return errors.New("tokens needs a path such as /api/*, or /* for every path")
	}
	for _, arg := range paths {
		if _, err := parsePattern("tokens", arg); err != nil {
			return err
		}
		if err := c.once("tokens "+arg, line.At); err != nil {
			return err
		}
		t := TokenRule{Rule: &Rule{strings.Join(append([]string{"tokens", arg}, line.Args[len(paths):]...), " "), line.At}, Scopes: scopes, path: publicPathOf(arg)}
		c.policy.tokens = append(c.policy.tokens, t)
	}
	return nil
}

func publicPathOf(arg string) publicPath {
	path, below := strings.CutSuffix(arg, "*")
	return publicPath{path: path, below: below}
}

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
		if p := publicPathOf(arg); p.holds(path) {
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
