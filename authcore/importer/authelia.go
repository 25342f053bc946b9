package importer

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list is a text or a list of texts.
type list []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *list) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = list{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

// subjects are lists of terms of which all must hold, one of the lists.
type subjects [][]string

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *subjects) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = subjects{{n.Value}}
		return nil
	}
	for _, one := range n.Content {
		var l list
		if err := one.Decode(&l); err != nil {
			return err
		}
		*s = append(*s, l)
	}
	return nil
}

// autheliaRule is a rule of access_control.
type autheliaRule struct {
	Domain      list
	DomainRegex list `yaml:"domain_regex"`
	Policy      string
	Subject     subjects
	Networks    list
	Methods     list
	Resources   list
	Query       any

	number int
}

// autheliaFile is the file of users, or the configuration that names it.
type autheliaFile struct {
	Users map[string]struct {
		Disabled    bool
		DisplayName string `yaml:"displayname"`
		Password    string
		Email       string
		Groups      list
	}
	Access *struct {
		Default  string `yaml:"default_policy"`
		Networks []struct {
			Name     string
			Networks list
		}
		Rules []autheliaRule
	} `yaml:"access_control"`
	Backend struct {
		File struct{ Path string }
		LDAP any `yaml:"ldap"`
	} `yaml:"authentication_backend"`
	OIDC struct {
		OIDC any `yaml:"oidc"`
	} `yaml:"identity_providers"`
}

// authelia reads Authelia's file of users, or its configuration with the rules and
// the file of users that it names.
func (r *Result) authelia(body []byte, other files) error {
	var f autheliaFile
	if err := yaml.Unmarshal(body, &f); err != nil {
		return err
	}
	if f.Users == nil && f.Access == nil && f.Backend.File.Path == "" {
		return errors.New("it has neither \"users\" nor \"access_control\": the file is Authelia's users_database.yml, or its configuration.yml")
	}
	if path := f.Backend.File.Path; path != "" {
		var users autheliaFile
		body, err := other(path)
		if err == nil {
			err = yaml.Unmarshal(body, &users)
		}
		if err != nil {
			r.leave("the users in %s: %v: say: caddy gate import authelia FILE for that file", path, err)
		}
		f.Users = users.Users
	}
	if f.Backend.LDAP != nil {
		r.leave("authentication_backend.ldap: users of a directory are not taken over")
	}
	if f.OIDC.OIDC != nil {
		r.leave("identity_providers.oidc: clients are not taken over")
	}
	for _, name := range keys(f.Users) {
		u := f.Users[name]
		r.user(User{Username: name, Email: u.Email, Name: u.DisplayName, Groups: u.Groups, Disabled: u.Disabled}, u.Password)
	}
	if f.Access != nil {
		r.accessControl(&f)
	}
	return nil
}

// accessControl makes a policy of the rules for each host. Authelia takes the first
// rule that matches, a policy the most specific place: each place gets whom the
// first rules that match there would let in. What cannot be said so that nobody is
// let in whom Authelia would not is left out, with the host.
func (r *Result) accessControl(f *autheliaFile) {
	named := make(map[string][]string)
	for _, n := range f.Access.Networks {
		named[n.Name] = n.Networks
	}
	var hosts []string
	for i := range f.Access.Rules {
		rule := &f.Access.Rules[i]
		rule.number = i + 1
		rule.Networks = expand(rule.Networks, named)
		if len(rule.DomainRegex) > 0 {
			r.leave("access_control rule %d: domain_regex: name the hosts", rule.number)
		}
		for _, d := range rule.Domain {
			if strings.Contains(d, "{") {
				r.leave("access_control rule %d: %s: a host for each user or group cannot be said in a policy", rule.number, d)
			} else {
				add(&hosts, strings.ToLower(d))
			}
		}
	}
	if d := f.Access.Default; d != "" && d != "deny" {
		r.leave("access_control default_policy %s: hosts without a rule get no policy: put `gate` into their sites", d)
	}
	for _, host := range hosts {
		var rules []*autheliaRule
		unsure := false
		for i := range f.Access.Rules {
			rule := &f.Access.Rules[i]
			switch {
			case slices.ContainsFunc(rule.Domain, func(d string) bool { return covers(strings.ToLower(d), host) }):
				rules = append(rules, rule)
			case rule.Policy != "bypass" && rule.mayCover(host):
				unsure = true
			}
		}
		p, err := policyOf(rules, f.Access.Default)
		if err == nil && unsure {
			err = errors.New("a rule for hosts by pattern may be meant for it too")
		}
		if err != nil {
			r.leave("%s: %s: write its policy by hand", host, err)
			continue
		}
		for _, rule := range rules {
			for _, s := range rule.shifts() {
				r.leave("%s: access_control rule %d: %s", host, rule.number, s)
			}
		}
		if p.empty() && len(p.blocks) == 0 && slices.Equal(p.publics, []string{"/*"}) {
			r.leave("%s: is open to everybody: it needs no gate", host)
			continue
		}
		r.policy(host, host, p)
	}
}

// mayCover tells whether a rule names hosts in a way that may mean this one.
func (u *autheliaRule) mayCover(host string) bool {
	for _, expr := range u.DomainRegex {
		if re, err := regexp.Compile(expr); err != nil || strings.HasPrefix(host, "*") || re.MatchString(host) {
			return true
		}
	}
	return slices.ContainsFunc(u.Domain, func(d string) bool {
		_, rest, pattern := strings.Cut(d, "}")
		return pattern && strings.HasSuffix(host, strings.ToLower(rest))
	})
}

// covers tells whether a domain of a rule stands for a host.
func covers(domain, host string) bool {
	if domain == host {
		return true
	}
	suffix, wild := strings.CutPrefix(domain, "*.")
	return wild && strings.HasSuffix(host, "."+suffix)
}

// expand puts the networks for their names.
func expand(all []string, named map[string][]string) []string {
	var nets []string
	for _, n := range all {
		if more, ok := named[n]; ok {
			nets = append(nets, more...)
		} else {
			nets = append(nets, n)
		}
	}
	for i, n := range nets {
		if a, err := netip.ParseAddr(n); err == nil {
			nets[i] = netip.PrefixFrom(a, a.BitLen()).String()
		}
	}
	return nets
}

// shifts are the ways in which a rule is not quite what the policy has instead.
func (u *autheliaRule) shifts() (all []string) {
	for _, res := range u.Resources {
		if paths, exact := pathsOf(res); paths != nil && !exact {
			all = append(all, fmt.Sprintf("%s: only %s is public", res, strings.Join(paths, " ")))
		} else if paths == nil && u.Policy == "bypass" {
			all = append(all, res+": is no plain path: add a line \"public PATH\" by hand")
		}
	}
	return all
}

// paths gives the paths of a rule; none stands for all. An error says that the rule
// is about others than a policy can name.
func (u *autheliaRule) paths() ([]string, error) {
	var all []string
	for _, res := range u.Resources {
		paths, exact := pathsOf(res)
		switch {
		case u.Policy == "bypass":
			all = append(all, paths...) // one that is left out asks for a login
		case paths == nil || !exact:
			return nil, fmt.Errorf("rule %d: %q is no plain path", u.number, res)
		default:
			all = append(all, paths...)
		}
	}
	return all, nil
}

// spot is a place that some rule names.
type spot struct{ path, method string }

func (s spot) in(p *place) *place {
	if s.path != "" {
		p = p.block("path " + s.path)
	}
	if s.method != "" {
		p = p.block("method " + s.method)
	}
	return p
}

// policyOf makes the policy of one host.
func policyOf(rules []*autheliaRule, byDefault string) (*place, error) {
	p := &place{}
	paths, methods := []string{""}, []string{""}
	for _, rule := range rules {
		if rule.Query != nil {
			return nil, fmt.Errorf("rule %d: a policy does not look at the query", rule.number)
		}
		named, err := rule.paths()
		if err != nil {
			return nil, err
		}
		for _, path := range named {
			add(&paths, path)
		}
		for _, m := range rule.Methods {
			add(&methods, strings.ToUpper(m))
		}
	}
	for _, path := range paths {
		for _, m := range methods {
			if err := (spot{path, m}).fill(p, rules, byDefault); err != nil {
				return nil, err
			}
		}
	}
	if !p.tidy() {
		return nil, errors.New("some of its paths would be for nobody, which a policy cannot say of a part")
	}
	return p, nil
}

// fill says what holds at one place: what the rules say that hold for all of it, in
// their order, up to the first that is for everybody.
func (s spot) fill(p *place, rules []*autheliaRule, byDefault string) error {
	ended := false
	var at verdict
	for _, rule := range rules {
		if ended || !s.held(rule) {
			continue
		}
		ended = len(rule.Subject) == 0
		if err := at.take(rule); err != nil {
			return err
		}
	}
	if !ended {
		switch byDefault {
		case "bypass":
			return errors.New("default_policy bypass would open it")
		case "one_factor", "two_factor":
			if len(at.networks) > 0 {
				return errors.New("default_policy lets in from other networks too")
			}
			at.allow("everyone")
			if byDefault == "two_factor" {
				at.require("2fa")
			}
		}
	}
	if at.public {
		path := s.path
		if path == "" {
			path = "/*"
		}
		p.public(s.method, []string{path})
		return nil
	}
	if len(at.allows) == 0 {
		if s == (spot{}) {
			return nil // who is not let in is refused
		}
		return fmt.Errorf("nobody may use %s, which a policy cannot say of a part", strings.TrimSpace(s.method+" "+s.path))
	}
	s.in(p).holds = at.holds
	return nil
}

// held tells whether a rule holds for every request of a place.
func (s spot) held(rule *autheliaRule) bool {
	paths, _ := rule.paths()
	return (len(rule.Resources) == 0 || slices.ContainsFunc(paths, func(path string) bool { return within(s.path, path) })) &&
		(len(rule.Methods) == 0 || slices.ContainsFunc(rule.Methods, func(m string) bool { return strings.EqualFold(m, s.method) }))
}

// within tells whether a path of a policy, or all paths for "", is inside another.
func within(path, other string) bool {
	base, below := strings.CutSuffix(other, "*")
	return path != "" && (path == other || below && strings.HasPrefix(path, base))
}

// verdict is what rules say of one place.
type verdict struct {
	holds
	public bool
}

// take adds what one rule says.
func (p *verdict) take(rule *autheliaRule) error {
	if len(rule.Networks) > 0 && (rule.Policy == "bypass" || rule.Policy == "deny" || !p.empty()) {
		return fmt.Errorf("rule %d: a network alone lets nobody in, and keeps nobody out", rule.number)
	}
	if len(p.networks) > 0 {
		return fmt.Errorf("rule %d: what holds in other networks cannot be said besides", rule.number)
	}
	var terms []string
	for _, all := range rule.Subject {
		if len(all) != 1 {
			return fmt.Errorf("rule %d: a policy lets in by any one term, not by %s together", rule.number, strings.Join(all, " and "))
		}
		kind, name, _ := strings.Cut(all[0], ":")
		switch kind {
		case "user":
			terms = append(terms, "user:"+name)
		case "group":
			g, ok := groupName(name)
			if !ok {
				return fmt.Errorf("rule %d: no group can have the name %q", rule.number, name)
			}
			terms = append(terms, "group:"+g)
		default:
			return fmt.Errorf("rule %d: subject %s", rule.number, all[0])
		}
	}
	switch rule.Policy {
	case "bypass":
		switch {
		case len(terms) > 0:
			return fmt.Errorf("rule %d: bypass for some users", rule.number)
		case p.empty():
			p.public = true
		default: // who a rule before may be about is asked to sign in, and then let in
			p.allow("everyone")
		}
	case "deny":
		for _, t := range terms {
			if slices.Contains(p.allows, t) {
				continue // let in by a rule before
			}
			p.deny(t)
		}
	case "one_factor", "two_factor":
		if len(terms) == 0 {
			terms = []string{"everyone"}
		}
		for _, t := range terms {
			if !slices.Contains(p.denies, t) {
				p.allow(t)
			}
		}
		if rule.Policy == "two_factor" {
			p.require("2fa")
		}
		p.networks = append(p.networks, rule.Networks...)
	default:
		return fmt.Errorf("rule %d: policy %q is not known", rule.number, rule.Policy)
	}
	return nil
}
