package access

import (
	"strings"
)

// Rule is a line of a policy as a decision names it, as "allow group:staff" or "no
// allow rule matched". It is for people and logs.
type Rule struct {
	Text string // with the block that it stands in
	At   string // as its [Line] says; empty for rules that no line states
	// Organization is the slug of the one that its term names; empty for none.
	Organization string
}

// block is what a policy says in one place for one set of methods.
type block struct {
	public   []literalPath
	deny     terms
	networks []network
	allow    terms
	noMatch  *Rule // where none of the allow rules matches
	requires []requirement
}

// place is a path of a policy, or everything below one, and what the policy says
// there.
type place struct {
	pattern pattern
	all     *block            // for every method
	methods map[string]*block // for one, besides
	outer   *place            // nil for the root
	public  string            // as a public line names it, the last of them
	ruled   string            // as a path block names it
	// The blocks that hold a request here, the most specific first: those of the
	// place itself, then those of the places around it; in each the block for the
	// method before the one for all.
	chains map[string][]*block
	others []*block // for methods that no block names
}

// chain gives the blocks that hold a request with a method at this place.
func (pl *place) chain(method string) []*block {
	if len(pl.chains) == 0 {
		return pl.others
	}
	if c, found := pl.chains[strings.ToUpper(method)]; found {
		return c
	}
	return pl.others
}

// block gives the block for a method, or for all where it is empty, and makes it.
func (pl *place) block(method string) *block {
	if method == "" {
		if pl.all == nil {
			pl.all = new(block)
		}
		return pl.all
	}
	b := pl.methods[method]
	if b == nil {
		if pl.methods == nil {
			pl.methods = make(map[string]*block)
		}
		b = new(block)
		pl.methods[method] = b
	}
	return b
}

// link makes the chains of a place, whose outer is set.
func (pl *place) link() {
	methods := make(map[string]bool)
	for at := pl; at != nil; at = at.outer {
		for m := range at.methods {
			if methods[m] = true; m == "GET" {
				methods["HEAD"] = true
			}
		}
	}
	pl.others = pl.blocks("")
	pl.chains = make(map[string][]*block, len(methods))
	for m := range methods {
		pl.chains[m] = pl.blocks(m)
	}
}

// blocks gives the chain for a method. HEAD is GET without the body (RFC 9110
// section 9.3.2), so that what is said of GET counts for it too.
func (pl *place) blocks(method string) []*block {
	var chain []*block
	for at := pl; at != nil; at = at.outer {
		b := at.methods[method]
		if b == nil && method == "HEAD" {
			b = at.methods["GET"]
		}
		if b != nil {
			chain = append(chain, b)
		}
		if at.all != nil {
			chain = append(chain, at.all)
		}
	}
	return chain
}

// find gives the most specific place that holds a request. It is not certain where
// servers may take the path for another one.
func (p *Policy) find(req *Request) (at *place, certain bool) {
	if len(p.places) == 0 {
		return &p.root, true
	}
	if !Canonical(req.Path, req.RawPath) {
		return &p.root, false
	}
	key := strings.TrimSuffix(fold(req.Path), "/")
	at = p.exact[key]
	if at == nil {
		at = p.around(key)
	}
	return at, at.pattern.spells(req.Path)
}

// around gives the innermost place that ends with /* and holds a key.
func (p *Policy) around(key string) *place {
	for key = cutSegments(key, p.depth); key != ""; key = key[:strings.LastIndexByte(key, '/')] {
		if at := p.below[key]; at != nil {
			return at
		}
	}
	return &p.root
}

// cutSegments gives the first n segments of a key.
func cutSegments(key string, n int) string {
	for i := range len(key) {
		if key[i] == '/' {
			if n == 0 {
				return key[:i]
			}
			n--
		}
	}
	return key
}
