package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// caddySecurityUsers reads the users of caddy-security's local identity store.
func (r *Result) caddySecurityUsers(body []byte) error {
	var store struct {
		Users []struct {
			Username string
			Disabled bool
			Name     *struct{ First, Last string }
			Primary  *struct{ Address string }  `json:"email_address"`
			All      []struct{ Address string } `json:"email_addresses"`
			Roles    []struct{ Name, Organization string }
			Password []struct {
				Algorithm, Hash   string
				Disabled, Expired bool
			} `json:"passwords"`
			MFA  []any `json:"mfa_tokens"`
			Keys []any `json:"api_keys"`
		}
	}
	if err := json.Unmarshal(body, &store); err != nil {
		return fmt.Errorf("it is neither the users.json of a local identity store nor a Caddyfile: %w", err)
	}
	if store.Users == nil {
		return errors.New("it has no list \"users\": the file is the users.json of a local identity store")
	}
	for _, u := range store.Users {
		one := User{Username: u.Username, Disabled: u.Disabled}
		if u.Name != nil {
			one.Name = u.Name.First + " " + u.Name.Last
		}
		switch {
		case u.Primary != nil:
			one.Email = u.Primary.Address
		case len(u.All) > 0:
			one.Email = u.All[0].Address
		}
		for _, role := range u.Roles {
			if role.Organization != "" {
				role.Name = role.Organization + "/" + role.Name
			}
			one.Groups = append(one.Groups, role.Name)
		}
		if len(u.All) > 1 {
			r.leave("user %s: has %d email addresses, of which %s is taken", u.Username, len(u.All), one.Email)
		}
		if len(u.MFA) > 0 {
			r.leave("user %s: second factors are not taken over", u.Username)
		}
		if len(u.Keys) > 0 {
			r.leave("user %s: API keys are not taken over: make access tokens with: caddy gate token add", u.Username)
		}
		hash := ""
		for _, p := range u.Password {
			if !p.Disabled && !p.Expired {
				hash = p.Hash
				break
			}
		}
		r.user(one, hash)
	}
	return nil
}

// Directive is a line of a Caddyfile, and the block behind it.
type Directive struct {
	Words []string
	Block []Directive
	Line  int
}

// CaddySecurity reads the authorization policies of caddy-security in the global
// options of a Caddyfile.
func CaddySecurity(options []Directive) *Result {
	r := new(Result)
	for _, option := range options {
		if option.word(0) != "security" {
			continue
		}
		for _, d := range option.Block {
			if d.word(0) == "authorization" && d.word(1) == "policy" && len(d.Words) == 3 {
				r.authorization(d)
			} else {
				r.leave("line %d: %s: is not about users or rules", d.Line, strings.Join(d.Words, " "))
			}
		}
	}
	if len(r.Policies) == 0 && len(r.Left) == 0 {
		r.leave("there is no \"authorization policy\" in a global option \"security\"")
	}
	return r
}

func (d *Directive) word(i int) string {
	if i >= len(d.Words) {
		return ""
	}
	return d.Words[i]
}

// authorization maps one policy.
func (r *Result) authorization(d Directive) {
	p, whole := &place{}, true
	for _, line := range d.Block {
		text := fmt.Sprintf("line %d: %s", line.Line, strings.Join(line.Words, " "))
		switch words := strings.Join(line.Words[:min(2, len(line.Words))], " "); {
		case (words == "allow roles" || words == "deny roles") && len(line.Words) > 2 && !slices.Contains(line.Words, "with") && len(line.Block) == 0:
			r.terms(p, line.Words[0], text, line.Words[2:])
		case words == "acl rule":
			whole = r.acl(p, line) && whole
		case words == "acl default" && line.word(2) == "deny":
		case words == "acl default" && line.word(2) == "allow":
			p.allow("everyone")
		case words == "bypass uri":
			r.bypass(p, text, line)
		case words == "validate" || line.word(0) == "acl" || line.word(0) == "allow" || line.word(0) == "deny":
			r.leave("%s: cannot be said in a policy", text)
			whole = false
		default:
			r.leave("%s: is not about users or rules", text)
		}
	}
	if !whole {
		r.leave("policy %s: is not taken over, because a rule of it cannot be", d.word(2))
		return
	}
	r.policy(d.word(2), "", p)
}

// terms adds groups for roles.
func (r *Result) terms(p *place, word, of string, roles []string) {
	for _, g := range r.groups(of, roles) {
		if word == "deny" {
			p.deny("group:" + g)
		} else {
			p.allow("group:" + g)
		}
	}
}

// acl maps a rule that matches roles and nothing else, and tells whether it could.
func (r *Result) acl(p *place, rule Directive) bool {
	var roles []string
	action := ""
	for _, line := range rule.Block {
		switch {
		case line.word(0) == "comment":
		case line.word(0) == "match" && (line.word(1) == "role" || line.word(1) == "roles") && roles == nil && len(line.Words) > 2:
			roles = line.Words[2:]
		case (line.word(0) == "allow" || line.word(0) == "deny") && action == "":
			action = line.word(0)
		default:
			r.leave("line %d: %s: cannot be said in a policy", line.Line, strings.Join(line.Words, " "))
			return false
		}
	}
	if roles == nil || action == "" {
		r.leave("line %d: this rule matches no roles", rule.Line)
		return false
	}
	r.terms(p, action, fmt.Sprintf("line %d", rule.Line), roles)
	return true
}

// bypass maps what needs no login.
func (r *Result) bypass(p *place, text string, line Directive) {
	path := line.word(3)
	switch {
	case len(line.Words) != 4 || !plainPath(path):
		r.leave("%s: is no plain path: add a line \"public PATH\" by hand", text)
	case line.word(2) == "exact":
		p.public("", []string{path})
	case line.word(2) == "prefix" && strings.HasSuffix(path, "/"):
		p.public("", []string{path + "*"})
	case line.word(2) == "prefix":
		p.public("", []string{path, path + "/*"})
		r.leave("%s: only %s and %s/* are public", text, path, path)
	default:
		r.leave("%s: is no plain path: add a line \"public PATH\" by hand", text)
	}
}
