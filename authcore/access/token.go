package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TokenRule is a path of a tokens line.
type TokenRule struct {
	// Rule is the line, for decisions.
	Rule *Rule
	// Scopes are those that a token must have, all of them.
	Scopes []string

	path literalPath
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

// AcceptsTokens tells whether access tokens are accepted on some path.
func (p *Policy) AcceptsTokens() bool { return len(p.tokens) > 0 }

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
		t := TokenRule{Rule: &Rule{Text: strings.Join(append([]string{"tokens", arg}, line.Args[len(paths):]...), " "), At: line.At}, Scopes: scopes, path: literalPathOf(arg)}
		c.policy.tokens = append(c.policy.tokens, t)
	}
	return nil
}
