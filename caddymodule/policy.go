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

// PolicyLine is one rule.
type PolicyLine struct {
	Word string   `json:"word"`
	Args []string `json:"args"`
	at   string
}

// compile makes the policy; an error says where it stands, if that is known.
// Without an expander, as when a Caddyfile is read, a policy that holds a
// placeholder is taken as good.
func (p *PolicySettings) compile(expand func(string) (string, error)) (*access.Policy, error) {
	lines := make([]access.Line, len(p.Lines))
	for i, l := range p.Lines {
		lines[i] = access.Line{Word: l.Word, Args: make([]string, len(l.Args))}
		for k, arg := range l.Args {
			lines[i].Args[k] = arg
			if strings.Contains(arg, "{") {
				if expand == nil && isPlaceholder(arg) {
					return nil, nil
				}
				if expand == nil {
					continue // for access.Parse to refuse
				}
				var err error
				if arg, err = expand(arg); err != nil {
					return nil, p.wrong(err, l.at)
				}
			}
			lines[i].Args[k] = strings.TrimSpace(arg)
		}
	}
	compiled, err := access.Parse(lines)
	at := p.at
	var le *access.LineError
	if errors.As(err, &le) {
		err = errors.New(le.Message)
		if le.Index >= 0 && le.Index < len(p.Lines) {
			at = p.Lines[le.Index].at
		}
	}
	if err != nil {
		return nil, p.wrong(err, at)
	}
	return compiled, nil
}

func (p *PolicySettings) wrong(err error, at string) error {
	if at == "" {
		return fmt.Errorf("policy %s: %w", p.Name, err)
	}
	return fmt.Errorf("policy %s: %w, at %s", p.Name, err, at)
}
