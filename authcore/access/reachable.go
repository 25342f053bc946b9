package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// finish joins the places of a policy, and refuses lines that can never decide
// anything.
func (c *compiler) finish() error {
	p := c.policy
	for _, pl := range p.places { // before any is linked: a chain goes out to the root
		pl.outer = p.outside(pl)
	}
	anybody := false
	for _, pl := range append([]*place{&p.root}, p.places...) {
		pl.link()
		for _, b := range pl.own() {
			anybody = anybody || !b.allow.empty()
			p.proof = p.proof || len(b.requires) > 0 || b.allow.providers != nil || b.deny.providers != nil
		}
	}
	if !anybody {
		return &LineError{"", "the policy lets nobody in; add an allow line, e.g. allow everyone"}
	}
	for _, pl := range append([]*place{&p.root}, p.places...) {
		if err := pl.reachable(); err != nil {
			return err
		}
	}
	return nil
}

// outside gives the innermost place around another.
func (p *Policy) outside(pl *place) *place {
	key := pl.pattern.key()
	if pl.pattern.below {
		key = key[:strings.LastIndexByte(key, '/')]
	}
	return p.around(key)
}

// own gives the blocks of a place itself.
func (pl *place) own() []*block {
	var all []*block
	if pl.all != nil {
		all = append(all, pl.all)
	}
	for _, m := range sortedKeys(pl.methods) {
		all = append(all, pl.methods[m])
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// reachable looks for lines that can never decide, given the places around.
func (pl *place) reachable() error {
	if pl.all != nil {
		if err := pl.others[0].reachable(pl.others[1:]); err != nil {
			return err
		}
	}
	for _, m := range sortedKeys(pl.methods) {
		if err := pl.methods[m].reachable(pl.chains[m][1:]); err != nil {
			return err
		}
	}
	return nil
}

// reachable is that of a place for one block and those around it.
func (b *block) reachable(around []*block) error {
	if b.allow.everyone != nil {
		for _, x := range b.allow.order {
			// Terms of organizations let in who belongs to these only, and say for which.
			if x.kind != kindEveryone && x.organization() == "" {
				return never(b.allow.get(x), b.allow.everyone, "lets in whoever is signed in")
			}
		}
	}
	for _, out := range around {
		for _, x := range b.deny.order {
			if first := out.deny.get(x); first != nil {
				return never(b.deny.get(x), first, "holds here as well")
			}
		}
		for _, x := range b.allow.order {
			if first := out.deny.get(x); first != nil {
				return never(b.allow.get(x), first, "holds here as well, and goes first")
			}
		}
		for i := range b.networks {
			for k := range out.networks {
				if b.networks[i].disjoint(&out.networks[k]) {
					return &LineError{b.networks[i].rule.At, fmt.Sprintf("no address is in this network and in that around it%s, so nobody could ever pass", standing(out.networks[k].rule))}
				}
			}
		}
		for _, r := range b.requires {
			for _, o := range out.requires {
				if o.need.SecondFactor && r.need.SecondFactor || o.need.Within > 0 && o.need.Within <= r.need.Within {
					return never(r.rule, o.rule, "holds here as well, and asks for as much")
				}
			}
		}
	}
	return b.underPublic(around)
}

// underPublic refuses what stands on a path that is public already.
func (b *block) underPublic(around []*block) error {
	if !b.allow.empty() {
		return nil
	}
	for _, out := range around {
		if len(out.public) > 0 {
			public := out.public[0].rule
			if len(b.public) > 0 && !out.public[0].holds(b.public[0].path) {
				return nil // /a beside /a/*, which is not /a
			}
			if len(b.public) > 0 {
				return never(b.public[0].rule, public, "opens it already")
			}
			return &LineError{b.firstAt(), fmt.Sprintf("what this block says can never decide: %s%s opens the path to everyone; add an allow line to the block", public.Text, standing(public))}
		}
		if !out.allow.empty() {
			return nil
		}
	}
	return nil
}

// firstAt is where the first line of a block stands.
func (b *block) firstAt() string {
	for _, r := range b.requires {
		return r.rule.At
	}
	for _, n := range b.networks {
		return n.rule.At
	}
	for _, x := range b.deny.order {
		return b.deny.get(x).At
	}
	return ""
}

// never says that a rule can never decide because of another.
func never(r, other *Rule, why string) error {
	return &LineError{r.At, fmt.Sprintf("%s can never decide: %s%s %s; remove one of them", r.Text, other.Text, standing(other), why)}
}

// standing names where another rule stands.
func standing(r *Rule) string {
	if r.At == "" {
		return ""
	}
	return " (" + r.At + ")"
}
