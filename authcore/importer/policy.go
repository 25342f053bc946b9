package importer

import (
	"regexp"
	"slices"
	"strings"
)

// place is where rules hold: a policy itself, or a block in it.
type place struct {
	head                             string // "path /x" or "method GET"; empty for the policy itself
	allows, denies, networks, others []string
	blocks                           []*place
}

func add(list *[]string, one string) {
	if !slices.Contains(*list, one) {
		*list = append(*list, one)
	}
}

// allow lets a term in. Who is in everyone is not named besides.
func (p *place) allow(term string) {
	if term == "everyone" {
		p.allows = nil
	}
	if !slices.Contains(p.allows, "everyone") {
		add(&p.allows, term)
	}
}

func (p *place) deny(term string)       { add(&p.denies, term) }
func (p *place) require(what string)    { add(&p.others, "require "+what) }
func (p *place) network(nets ...string) { p.networks = append(p.networks, nets...) }

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
		add(&p.others, "public "+path)
	}
}

// empty tells whether nothing holds here.
func (p *place) empty() bool {
	return len(p.allows)+len(p.denies)+len(p.networks)+len(p.others)+len(p.blocks) == 0
}

// lines writes the place as in a Caddyfile.
func (p *place) lines(indent string) string {
	var b strings.Builder
	line := func(words ...string) {
		if len(words) > 1 {
			b.WriteString(indent + strings.Join(words, " ") + "\n")
		}
	}
	line(append([]string{"allow"}, p.allows...)...)
	line(append([]string{"deny"}, p.denies...)...)
	line(append([]string{"network"}, p.networks...)...)
	for _, text := range p.others {
		line(strings.Fields(text)...)
	}
	for _, block := range p.blocks {
		if !block.empty() {
			b.WriteString(indent + block.head + " {\n" + block.lines(indent+"\t") + indent + "}\n")
		}
	}
	return b.String()
}

var policyName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// policy adds a policy, unless nothing is in it.
func (r *Result) policy(name, host string, p *place) {
	if p.empty() {
		return
	}
	if name = strings.Trim(policyName.ReplaceAllString(strings.Replace(name, "*", "all", 1), "-"), "-."); name == "" {
		name = "imported"
	}
	r.Policies = append(r.Policies, Policy{Name: name, For: host, Text: "policy " + name + " {\n" + p.lines("\t") + "}\n"})
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
