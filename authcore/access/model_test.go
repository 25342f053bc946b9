package access

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// saying is a line as docs/policies.md tells of it, and where it holds.
type saying struct {
	path, method string // of its blocks; empty for all
	word, arg    string
}

// holds tells whether a line's blocks hold a request whose path is plain.
func (s saying) holds(method, path string) bool {
	base, below := strings.CutSuffix(s.path, "/*")
	in := s.path == "" || path == base || path == base+"/" || below && strings.HasPrefix(path, base+"/")
	return in && (s.method == "" || s.method == method || s.method == "GET" && method == "HEAD")
}

// opens tells whether a public path is this one, to the letter.
func (s saying) opens(path string) bool {
	base, below := strings.CutSuffix(s.arg, "/*")
	return path == base && !below || below && strings.HasPrefix(path, base+"/")
}

// place is the path that says how specific a line is: a public one's own.
func (s saying) place() string {
	if s.word == "public" {
		return s.arg
	}
	return s.path
}

// someone is whom a model decides about; without a name it is nobody.
type someone struct {
	name         string
	groups, orgs []string // orgs with the role: acme/admin
	only         bool     // belongs to organizations only
}

// meets tells whether somebody meets a term.
func (who someone) meets(term string) bool {
	kind, name, _ := strings.Cut(term, ":")
	return who.name != "" && (term == "everyone" || kind == "user" && name == who.name || kind == "group" && slices.Contains(who.groups, name) ||
		kind == "role" && slices.Contains(who.orgs, name) || kind == "org" && slices.ContainsFunc(who.orgs, func(o string) bool { return strings.HasPrefix(o, name+"/") }))
}

// let tells whether an allow term lets somebody in.
func (who someone) let(term string) bool {
	return who.meets(term) && (!who.only || strings.HasPrefix(term, "org:") || strings.HasPrefix(term, "role:"))
}

// active is for which organization somebody is there, by the terms that count: of those
// that may decide, the first that lets in.
func (who someone) active(terms []string) string {
	for _, kind := range []string{"user", "group", "org", "role", "everyone"} {
		for _, of := range append([]string{""}, who.orgs...) { // by their names
			for _, term := range terms {
				k, name, _ := strings.Cut(term, ":")
				slug, _, _ := strings.Cut(name, "/")
				inOne := kind == "org" || kind == "role"
				if k != kind || !who.let(term) || inOne && (of == "" || !strings.HasPrefix(of, slug+"/")) {
					continue
				}
				if inOne {
					return slug
				}
				return who.onlyOne()
			}
		}
	}
	return who.onlyOne()
}

func (who someone) onlyOne() string {
	if len(who.orgs) != 1 {
		return ""
	}
	slug, _, _ := strings.Cut(who.orgs[0], "/")
	return slug
}

// model decides as docs/policies.md says, line by line.
func model(all []saying, method, path string, by someone) (o Outcome, organization string) {
	var here []saying
	for _, s := range all {
		if s.word == "public" && s.holds(method, path) && s.opens(path) || s.word != "public" && s.holds(method, path) {
			here = append(here, s)
		}
	}
	slices.SortStableFunc(here, func(a, b saying) int { // the most specific first
		a1, aBelow := strings.CutSuffix(a.place(), "/*")
		b1, bBelow := strings.CutSuffix(b.place(), "/*")
		if c := cmp.Compare(len(b1), len(a1)); c != 0 {
			return c
		}
		if aBelow != bBelow {
			return map[bool]int{true: 1, false: -1}[aBelow]
		}
		return cmp.Compare(len(b.method), len(a.method))
	})
	who, found := saying{}, false
	for _, s := range here {
		if s.word == "public" && !found {
			return Allow, by.onlyOne()
		}
		if s.word == "allow" && !found {
			who, found = s, true
		}
	}
	for _, s := range here {
		if s.word == "deny" && by.meets(s.arg) {
			return Deny, by.onlyOne()
		}
	}
	if by.name == "" {
		return SignIn, ""
	}
	var terms []string
	for _, s := range here {
		if s.word == "allow" && s.path == who.path && s.method == who.method {
			terms = append(terms, s.arg)
		}
	}
	switch {
	case !slices.ContainsFunc(terms, by.let):
		return Deny, by.onlyOne()
	case slices.ContainsFunc(here, func(s saying) bool { return s.word == "require" }):
		return StepUp, by.active(terms)
	}
	return Allow, by.active(terms)
}

// written writes sayings as the lines of a policy.
func written(all []saying) (root []Line) {
	block := func(in *[]Line, word, arg string) *[]Line {
		for i := range *in {
			if l := &(*in)[i]; l.Word == word && l.Args[0] == arg {
				return &l.Lines
			}
		}
		*in = append(*in, Line{Word: word, Args: []string{arg}})
		return &(*in)[len(*in)-1].Lines
	}
	for _, s := range all {
		at := &root
		if s.path != "" {
			at = block(at, "path", s.path)
		}
		if s.method != "" {
			at = block(at, "method", s.method)
		}
		*at = append(*at, Line{Word: s.word, Args: []string{s.arg}})
	}
	return root
}

// Random policies decide as the document says, whatever the order of their lines.
func TestDecideAsDocumented(t *testing.T) {
	t.Parallel()
	decided, refused := 0, 0
	for seed := range uint64(60000) {
		r := rand.New(rand.NewPCG(seed, 7))
		pick := func(all ...string) string { return all[r.IntN(len(all))] }
		all := []saying{{word: "allow", arg: pick("everyone", "group:a", "user:x", "org:o")}}
		for range 1 + r.IntN(6) {
			s := saying{path: pick("", "", "/p", "/p/*", "/p/q", "/p/q/*", "/r/*"), method: pick("", "", "GET", "POST"), word: pick("allow", "allow", "deny", "require", "public")}
			switch s.word {
			case "require":
				s.arg = "2fa"
			case "public":
				s.path, s.arg = "", pick("/p", "/p/*", "/p/q", "/r/*", "/r/s")
			default:
				s.arg = pick("group:a", "group:b", "user:x", "user:y", "org:o", "org:p", "role:o/admin", "role:p/member")
			}
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		p, err := Parse(written(all))
		if err != nil {
			var le *LineError
			if !errors.As(err, &le) {
				t.Fatal(err)
			}
			refused++
			continue
		}
		for range 40 {
			method, path := pick("GET", "HEAD", "POST", "PUT"), pick("/", "/p", "/p/", "/p/q", "/p/q/", "/p/q/z", "/p/z", "/px", "/r", "/r/s", "/r/s/", "/s")
			by := someone{name: pick("", "x", "y", "z")}
			var id *Identity
			if by.name != "" {
				for _, g := range []string{"a", "b"} {
					if r.IntN(2) == 0 {
						by.groups = append(by.groups, g)
					}
				}
				id = &Identity{Username: by.name, Groups: by.groups}
				for _, o := range []string{"o", "p"} {
					if r.IntN(2) == 0 {
						by.orgs = append(by.orgs, o+"/"+pick("admin", "member"))
						id.Organizations = append(id.Organizations, o)
					}
				}
				by.only = r.IntN(2) == 0
				id.Roles, id.OrganizationOnly = by.orgs, by.only
			}
			d := p.Decide(&Request{Method: method, Path: path}, id)
			if want, org := model(all, method, path, by); d.Outcome != want || d.Organization != org {
				t.Fatalf("seed %d: %s %s by %+v: %s for %q by %v, want %s for %q\n%v", seed, method, path, by, d.Outcome, d.Organization, d.Rule, want, org, all)
			}
			decided++
		}
	}
	t.Logf("%d decisions; %d policies with lines that could never decide", decided, refused)
	if decided < 100_000 {
		t.Error("hardly any policy was taken")
	}
}
