package importer

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// answer is what Authelia does with a request, the stricter the smaller.
type answer int

const (
	denied answer = iota
	twoFactors
	oneFactor
	bypassed
)

var answers = map[string]answer{"": denied, "deny": denied, "two_factor": twoFactors, "one_factor": oneFactor, "bypass": bypassed}

// asked is a request and who sends it.
type asked struct {
	method, path string
	user         string // empty for nobody
	groups       []string
}

// authelia decides as its documents say: the first rule that matches. Somebody who
// has not signed in is asked to where a rule on the way is about some users only.
func (a asked) authelia(rules []autheliaRule, byDefault, host string) answer {
	for _, rule := range rules {
		if !slices.ContainsFunc(rule.Domain, func(d string) bool { return covers(d, host) }) {
			continue
		}
		if len(rule.Methods) > 0 && !slices.Contains(rule.Methods, a.method) {
			continue
		}
		if len(rule.Resources) > 0 && !slices.ContainsFunc(rule.Resources, func(r string) bool { return regexp.MustCompile(r).MatchString(a.path) }) {
			continue
		}
		if len(rule.Subject) > 0 {
			if a.user == "" {
				return min(oneFactor, answers["one_factor"]) // who it is decides
			}
			if !slices.ContainsFunc(rule.Subject, func(all []string) bool {
				return !slices.ContainsFunc(all, func(s string) bool {
					kind, name, _ := strings.Cut(s, ":")
					return kind == "user" && name != a.user || kind == "group" && !slices.Contains(a.groups, name)
				})
			}) {
				continue
			}
		}
		return answers[rule.Policy]
	}
	return answers[byDefault]
}

// ours decides by the policy that the rules became.
func (a asked) ours(t *testing.T, p Policy) answer {
	t.Helper()
	policy, err := access.Parse(p.Lines)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Text)
	}
	req := access.Request{Method: a.method, Path: a.path}
	d := policy.Decide(&req, nil)
	if d.Public {
		return bypassed
	}
	if a.user == "" {
		return denied
	}
	d = policy.Decide(&req, &access.Identity{Username: a.user, Groups: a.groups})
	switch d.Outcome {
	case access.Allow:
		return oneFactor
	case access.StepUp:
		return twoFactors
	}
	return denied
}

// Whatever the rules, nobody is let in whom Authelia would not let in, or with less
// proof; see TestAuthelia for what plain rules become.
func TestAutheliaRulesLetNobodyElseIn(t *testing.T) {
	t.Parallel()
	pick := func(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }
	resources := []string{"^/a$", "^/a([/?].*)?$", "^/a/b(/.*)?$", "^/b(/.*)?$", "^/a/.*$", "^/c", "^/.*$"}
	same, stricter, left := 0, 0, 0
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var f autheliaFile
		f.Access = new(struct {
			Default  string `yaml:"default_policy"`
			Networks []struct {
				Name     string
				Networks list
			}
			Rules []autheliaRule
		})
		f.Access.Default = pick(r, "deny", "deny", "deny", "one_factor", "two_factor", "")
		for range 1 + r.IntN(4) {
			rule := autheliaRule{Domain: list{pick(r, "x.example.com", "x.example.com", "*.example.com", "y.example.com")}, Policy: pick(r, "deny", "one_factor", "one_factor", "two_factor", "bypass")}
			if r.IntN(2) == 0 {
				rule.Resources = list{pick(r, resources...)}
			}
			if r.IntN(4) == 0 {
				rule.Methods = list{pick(r, "GET", "POST")}
			}
			for range r.IntN(3) {
				rule.Subject = append(rule.Subject, []string{pick(r, "user:alice", "user:bob", "group:ops", "group:staff")})
			}
			f.Access.Rules = append(f.Access.Rules, rule)
		}
		res := new(Result)
		res.accessControl(&f)
		i := slices.IndexFunc(res.Policies, func(p Policy) bool { return p.For == "x.example.com" })
		if i < 0 {
			left++
			continue
		}
		p := res.Policies[i]
		for range 30 {
			a := asked{pick(r, "GET", "POST", "PUT"), pick(r, "/", "/a/x", "/a/b/c", "/b", "/b/x", "/ax", "/c", "/c/d", "/d"), pick(r, "", "alice", "bob", "carol"), nil}
			if a.user != "" {
				for _, g := range []string{"ops", "staff"} {
					if r.IntN(2) == 0 {
						a.groups = append(a.groups, g)
					}
				}
			}
			theirs, got := a.authelia(f.Access.Rules, f.Access.Default, "x.example.com"), a.ours(t, p)
			switch {
			case got > theirs:
				t.Fatalf("seed %d, %+v: Authelia says %d, the policy %d\n%s\n%s", seed, a, theirs, got, show(f.Access.Rules, f.Access.Default), p.Text)
			case got == theirs:
				same++
			default:
				stricter++
			}
		}
	}
	t.Logf("%d the same, %d stricter; %d files left to be done by hand", same, stricter, left)
}

func show(rules []autheliaRule, byDefault string) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintln(&b, r.Domain, r.Policy, r.Subject, r.Methods, r.Resources)
	}
	return b.String() + "default " + byDefault
}
