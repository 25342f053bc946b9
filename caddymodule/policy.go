package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// PolicySettings is a named policy.
type PolicySettings struct {
	Name  string       `json:"name"`
	Lines []PolicyLine `json:"lines"`
	at    string       // where it stands in a Caddyfile
}

// PolicyLine is one line of a policy: a rule, or a block of rules.
type PolicyLine struct {
	Word  string       `json:"word"`
	Args  []string     `json:"args,omitempty"`
	Lines []PolicyLine `json:"lines,omitempty"`
	At    string       `json:"at,omitempty"` // where it stands in a Caddyfile, for errors and explanations
}

// compile makes the policy; an error says where it stands, if that is known.
// Without an expander, as when a Caddyfile is read, a policy that holds a
// placeholder is taken as good.
func (p *PolicySettings) compile(expand func(string) (string, error)) (*access.Policy, error) {
	lines, err := accessLines(p.Lines, expand)
	if errors.Is(err, errLater) {
		return nil, nil
	}
	var compiled *access.Policy
	if err == nil {
		compiled, err = access.Parse(lines)
	}
	if err == nil {
		return compiled, nil
	}
	at := p.at
	var le *access.LineError
	if errors.As(err, &le) {
		err = errors.New(le.Message)
		if le.At != "" {
			at = le.At
		}
	}
	if at == "" {
		return nil, fmt.Errorf("policy %s: %w", p.Name, err)
	}
	return nil, fmt.Errorf("policy %s: %w, at %s", p.Name, err, at)
}

// errLater says that a value is known only when the gate starts.
var errLater = errors.New("known when the gate starts")

// accessLines fills in the placeholders of lines.
func accessLines(lines []PolicyLine, expand func(string) (string, error)) ([]access.Line, error) {
	out := make([]access.Line, len(lines))
	for i, l := range lines {
		inner, err := accessLines(l.Lines, expand)
		if err != nil {
			return nil, err
		}
		out[i] = access.Line{Word: l.Word, Args: make([]string, len(l.Args)), Lines: inner, At: l.At}
		for k, arg := range l.Args {
			switch {
			case expand != nil && strings.Contains(arg, "{"):
				if arg, err = expand(arg); err != nil {
					return nil, &access.LineError{At: l.At, Message: err.Error()}
				}
			case isPlaceholder(arg):
				return nil, errLater
			}
			out[i].Args[k] = strings.TrimSpace(arg)
		}
	}
	return out, nil
}
