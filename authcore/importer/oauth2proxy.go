package importer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// oauth2Proxy reads a configuration of oauth2-proxy, and the files of users that it
// names.
func (r *Result) oauth2Proxy(body []byte, other files) error {
	var all map[string]any
	if err := toml.Unmarshal(body, &all); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return fmt.Errorf("line %d is not TOML: %s (for a file of htpasswd say: caddy gate import htpasswd FILE)", at.Position.Line, at.Message)
		}
		return err
	}
	take := func(key string) (found []string) {
		value, there := all[key]
		delete(all, key)
		if !there {
			return nil
		}
		found, ok := texts(value)
		if !ok {
			r.leave("%s: is no text and no list of texts", key)
		}
		return found
	}
	p := &place{}
	groups := r.groups("allowed_groups", slices.Concat(take("allowed_groups"), take("allowed_group")))
	domains := slices.Concat(take("email_domains"), take("email_domain"))
	users := r.groups("htpasswd_user_groups", slices.Concat(take("htpasswd_user_groups"), take("htpasswd_user_group")))
	emails := take("authenticated_emails_file")
	for _, g := range groups {
		p.allow("group:" + g)
	}
	switch {
	case len(groups) > 0 && len(domains) > 0 && !slices.Contains(domains, "*"):
		r.leave("email_domains %s: oauth2-proxy asks for the domain and for a group, the policy for a group alone: give groups only to whom you mean", strings.Join(domains, " "))
	case len(groups) > 0:
	case slices.Contains(domains, "*"):
		p.allow("everyone")
	default:
		for _, d := range domains {
			if strings.HasPrefix(d, ".") || strings.Contains(d, "*") {
				r.leave("email_domains: %s: a policy names each domain by itself, not all below one", d)
				continue
			}
			p.allow("domain:" + strings.ToLower(d))
		}
	}
	for _, name := range take("htpasswd_file") {
		body, err := other(name)
		if err != nil {
			r.leave("htpasswd_file: %v: if you have it elsewhere, say: caddy gate import htpasswd FILE", err)
			continue
		}
		first := len(r.Users)
		if err := r.htpasswd(body); err != nil {
			return fmt.Errorf("htpasswd_file: %w", err)
		}
		for i := range r.Users[first:] { // whatever domain they are of
			u := &r.Users[first+i]
			if u.Groups = users; len(groups) == 0 && access.ValidUsername(u.Username) {
				p.allow("user:" + u.Username)
			}
		}
	}
	r.routes(p, take("skip_auth_routes"), take("skip_auth_regex"))
	for _, name := range emails {
		body, err := other(name)
		if err != nil {
			r.leave("authenticated_emails_file: %v", err)
			continue
		}
		for line := range strings.Lines(string(body)) {
			if email := strings.TrimSpace(line); email != "" && !strings.HasPrefix(email, "#") {
				name, _, _ := strings.Cut(email, "@")
				r.user(User{Username: name, Email: email}, "")
				if len(groups) == 0 && access.ValidUsername(name) {
					p.allow("user:" + name)
				}
			}
		}
	}
	r.policy("oauth2-proxy", "", p)
	for _, key := range keys(all) {
		r.leave("%s: is not about users or rules", key)
	}
	return nil
}

// routes are paths that need no login: METHOD=REGEXP, REGEXP, or regexps alone.
func (r *Result) routes(p *place, routes, regexps []string) {
	for _, route := range slices.Concat(routes, regexps) {
		method, expr, ok := strings.Cut(route, "=")
		if !ok || strings.ContainsAny(method, "^/$.*(!") {
			method, expr = "", route
			if strings.Contains(route, "!=") {
				r.leave("skip_auth_routes %s: what is public is said with a path, not without it", route)
				continue
			}
		}
		paths, exact := pathsOf(expr)
		if paths == nil {
			r.leave("skip_auth_routes %s: is no plain path: add a line \"public PATH\" by hand", route)
			continue
		}
		if !exact {
			r.leave("skip_auth_routes %s: only %s is public", route, strings.Join(paths, " "))
		}
		p.public(strings.ToUpper(method), paths)
	}
}

// texts reads a text or a list of texts; a text may be a list with commas.
func texts(value any) ([]string, bool) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return nil, true
		}
		return strings.Split(v, ","), true
	case []any:
		var all []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, false
			}
			all = append(all, s)
		}
		return all, true
	}
	return nil, false
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
