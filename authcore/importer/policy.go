package importer

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// place is where rules hold: a policy itself, or a block in it.
type place struct {
	head string // "path /x" or "method GET"; empty for the policy itself
	holds
	publics []string
	blocks  []*place
}

// holds are the rules of one place.
type holds struct{ allows, denies, networks, requires []string }

func add(list *[]string, one string) {
	if !slices.Contains(*list, one) {
		*list = append(*list, one)
	}
}

// allow lets a term in. Who is in everyone is not named besides.
func (p *holds) allow(term string) {
	if term == "everyone" {
		p.allows = nil
	}
	if !slices.Contains(p.allows, "everyone") {
		add(&p.allows, term)
	}
}

func (p *holds) deny(term string)    { add(&p.denies, term) }
func (p *holds) require(what string) { add(&p.requires, what) }

// block gives the block with a head.
func (p *place) block(head string) *place {
	for _, b := range p.blocks {
		if b.head == head {
			return b
		}
	}
	b := &place{head: head}
	p.blocks = append(p.blocks, b)
	return b
}

// public opens paths, for one method or for all.
func (p *place) public(method string, paths []string) {
	if method != "" {
		p = p.block("method " + method)
	}
	for _, path := range paths {
		add(&p.publics, path)
	}
}

// empty tells whether no rule holds here.
func (p *holds) empty() bool { return len(p.allows)+len(p.denies)+len(p.networks)+len(p.requires) == 0 }

func (p *place) nothing() bool {
	return p.empty() && len(p.publics) == 0 && !slices.ContainsFunc(p.blocks, func(b *place) bool { return !b.nothing() })
}

// tidy takes out of blocks what holds around them anyway: restrictions add up. It
// tells whether each block still lets somebody in: one that does not name anybody
// would let in whom the place around it does.
func (p *place) tidy(around ...*place) bool {
	named := len(p.allows) > 0
	for _, out := range around {
		held := func(list []string) func(string) bool { return func(s string) bool { return slices.Contains(list, s) } }
		p.allows = slices.DeleteFunc(p.allows, held(out.denies))
		p.denies = slices.DeleteFunc(p.denies, held(out.denies))
		p.requires = slices.DeleteFunc(p.requires, held(out.requires))
		if slices.Equal(p.networks, out.networks) {
			p.networks = nil
		}
	}
	if named && len(p.allows) == 0 {
		return false
	}
	for _, b := range p.blocks {
		in := append(slices.Clone(around), p)
		for _, other := range p.blocks {
			if path, ok := strings.CutPrefix(b.head, "path "); ok && other != b {
				if outer, ok := strings.CutPrefix(other.head, "path "); ok && (within(path, outer) || path+"/*" == outer) {
					in = append(in, other)
				}
			}
		}
		if !b.tidy(in...) {
			return false
		}
	}
	all := slices.Clone(p.blocks)
	p.blocks = slices.DeleteFunc(p.blocks, func(b *place) bool { // path /x/* holds at /x too
		below := slices.IndexFunc(all, func(o *place) bool { return o.head == b.head+"/*" })
		return below >= 0 && len(b.denies)+len(b.requires)+len(b.networks)+len(b.blocks) == 0 && len(all[below].blocks) == 0 &&
			slices.Equal(b.allows, all[below].allows)
	})
	return true
}

// lines are the lines of the place.
func (p *place) lines() (all []access.Line) {
	for _, l := range []access.Line{{Word: "allow", Args: p.allows}, {Word: "deny", Args: p.denies}, {Word: "network", Args: p.networks}} {
		if len(l.Args) > 0 {
			all = append(all, l)
		}
	}
	for _, what := range p.requires {
		all = append(all, access.Line{Word: "require", Args: strings.Fields(what)})
	}
	if len(p.publics) > 0 {
		all = append(all, access.Line{Word: "public", Args: p.publics})
	}
	for _, b := range p.blocks {
		if !b.nothing() {
			words := strings.Fields(b.head)
			all = append(all, access.Line{Word: words[0], Args: words[1:], Lines: b.lines()})
		}
	}
	return all
}

// write writes lines as in a Caddyfile.
func write(b *strings.Builder, lines []access.Line, indent string) {
	for _, l := range lines {
		b.WriteString(indent + strings.Join(append([]string{l.Word}, l.Args...), " "))
		if len(l.Lines) > 0 {
			b.WriteString(" {\n")
			write(b, l.Lines, indent+"\t")
			b.WriteString(indent + "}")
		}
		b.WriteString("\n")
	}
}

var policyName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// policy adds a policy, unless nothing is in it.
func (r *Result) policy(name, host string, p *place) {
	if p.nothing() {
		return
	}
	if name = strings.Trim(policyName.ReplaceAllString(strings.Replace(name, "*", "all", 1), "-"), "-."); name == "" {
		name = "imported"
	}
	lines := p.lines()
	if _, err := access.Parse(lines); err != nil {
		r.leave("policy %s: %v: write it by hand", name, err)
		return
	}
	var b strings.Builder
	write(&b, []access.Line{{Word: "policy", Args: []string{name}, Lines: lines}}, "")
	r.Policies = append(r.Policies, Policy{Name: name, For: host, Text: b.String(), Lines: lines})
}

var plain = regexp.MustCompile(`^/[A-Za-z0-9_~./-]*$`)

// plainPath tells whether a path can stand in a policy as it is.
func plainPath(path string) bool {
	return plain.MatchString(path) && !strings.Contains(path, "//") && !slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// tails are the ends of regular expressions that say no more than a path does: what
// the paths of a policy are that match no more than they, and whether they match as
// much.
var tails = []struct {
	tail  string
	paths []string
	exact bool
}{
	{`/.*$`, []string{"/*"}, true}, {`/.*`, []string{"/*"}, true}, {`/.+$`, []string{"/*"}, true}, {`/.+`, []string{"/*"}, true},
	{`(/.*)?$`, []string{"", "/*"}, true}, {`([/?].*)?$`, []string{"", "/*"}, true}, {`/?$`, []string{"", "/"}, true}, {`/?.*$`, []string{"", "/*"}, false},
	{`.*$`, []string{"", "/*"}, false}, {`.*`, []string{"", "/*"}, false}, {`/$`, []string{"/"}, true}, {`/`, []string{"/*"}, true}, {`$`, []string{""}, true}, {``, []string{"", "/*"}, false},
}

// pathsOf gives the paths that a regular expression with a fixed beginning matches;
// nil where it is more than that. exact tells whether it matches no others.
func pathsOf(expr string) (paths []string, exact bool) {
	rest, anchored := strings.CutPrefix(expr, "^")
	if !anchored {
		return nil, false
	}
	switch rest {
	case ".*", ".*$", "/.*", "/.*$", "/":
		return []string{"/*"}, true
	}
	for _, t := range tails {
		base, ok := strings.CutSuffix(rest, t.tail)
		if !ok {
			continue
		}
		base = strings.NewReplacer(`\-`, "-", `\/`, "/").Replace(strings.ReplaceAll(base, ".", "\x00"))
		base = strings.NewReplacer("\\\x00", ".").Replace(base) // a point that is not quoted stays none
		if base == "" || !plainPath(base) || strings.HasSuffix(base, "/") && t.tail != "$" {
			continue
		}
		for _, p := range t.paths {
			paths = append(paths, base+p)
		}
		return paths, t.exact
	}
	return nil, false
}
