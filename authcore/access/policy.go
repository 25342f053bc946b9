package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy is a compiled rule set. It does not change and is safe for concurrent
// use. The zero Policy lets nobody in.
type Policy struct {
	root    place
	places  []*place          // besides the root
	exact   map[string]*place // by key
	below   map[string]*place // by key; their patterns end with /*
	depth   int               // the most segments that a key in below has
	divided bool              // some path has a block, and not only public paths

	observes bool
	address  bool // some network line stands somewhere
	proof    bool // some require line, or a term about the session
	tokens   []TokenRule
}

// Everyone is the policy of a gate that names none: every user passes.
var Everyone = must(Parse([]Line{{Word: "allow", Args: []string{kindEveryone}}}))

func must(p *Policy, err error) *Policy {
	if err != nil {
		panic(err)
	}
	return p
}

// NeedsAddress tells whether the policy looks at the client's address, so that
// a request's can be left out where none does.
func (p *Policy) NeedsAddress() bool { return p.address }

// NeedsProof tells whether the policy looks at how a session was proven.
func (p *Policy) NeedsProof() bool { return p.proof }

// Observes tells whether the policy is tried only: whoever uses it lets pass, and
// records what it would have refused.
func (p *Policy) Observes() bool { return p.observes }

// Organization gives the slug of the only organization whose members a policy lets in; empty
// where it lets in anybody else, and where it observes only.
func (p *Policy) Organization() string {
	slug := ""
	for _, pl := range append([]*place{&p.root}, p.places...) {
		for _, b := range pl.own() {
			for _, x := range b.allow.order {
				one := x.organization()
				if one == "" || slug != "" && slug != one {
					return ""
				}
				slug = one
			}
		}
	}
	if p.observes {
		return ""
	}
	return slug
}

// Line is one line of a policy: its first word and what follows.
type Line struct {
	Word string
	Args []string
	// Lines are those of its block.
	Lines []Line
	// At says where it stands, for errors and decisions, as "Caddyfile:12".
	At string
}

// LineError is a mistake in a policy.
type LineError struct {
	// At is that of the line, or empty when the mistake is in no one line.
	At string
	// Message says what is wrong and what to write instead.
	Message string
}

// Error implements error.
func (e *LineError) Error() string {
	if e.At == "" {
		return e.Message
	}
	return e.Message + ", at " + e.At
}

// Parse compiles the lines of a policy. Its error is a *[LineError].
//
//	allow TERM...            any one lets in
//	deny TERM...             any one refuses, whatever allows
//	network CIDR...          the client's address must be in one of each line
//	require 2fa              the session must have been proven by two factors
//	require fresh DURATION   the proof must be younger than that
//	public PATH...           open to everyone
//	tokens PATH... [scope:NAME...]  access tokens that have the scopes are accepted there
//	path PATH... { … }       what holds there: allow, deny, network, require, method
//	method METHOD... { … }   what holds for these: allow, deny, network, require, public
//	observe                  see [Policy.Observes]
//
// A PATH is that path alone, or with a final /* all below it; in path blocks it
// is also the path with a slash at its end and, with /*, the path without. A TERM
// is user:NAME, group:NAME, domain:DOMAIN (of a verified email address), org:SLUG,
// role:SLUG/ROLE, provider:NAME, owner (a platform owner) or everyone (any
// signed-in user). Of users who belong to organizations only, allow takes org and role
// terms alone.
//
// A block without allow lines lets in whom the place around it does.
func Parse(lines []Line) (*Policy, error) {
	c := &compiler{policy: &Policy{exact: make(map[string]*place), below: make(map[string]*place)}, lines: make(map[string]string)}
	c.policy.root.block("")
	if err := c.parse(lines, scope{places: []*place{&c.policy.root}, methods: []string{""}, words: outer}); err != nil {
		return nil, err
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return c.policy, nil
}

// The words of a policy, by where they may stand.
var (
	outer    = []string{"allow", "deny", "public", "network", "require", "tokens", "path", "method", "observe"}
	inPath   = []string{"allow", "deny", "network", "require", "method"}
	inMethod = []string{"allow", "deny", "network", "require"}
)

// IsWord tells whether a line of a policy can begin with a word.
func IsWord(word string) bool { return slices.Contains(outer, word) }

// compiler makes a policy of its lines.
type compiler struct {
	policy *Policy
	lines  map[string]string // where each thing that may be said once stands
}

// scope is where lines stand.
type scope struct {
	places  []*place
	methods []string // "" is all
	words   []string // that may stand there
	suffix  string   // of a rule's text
	at      string   // of its block
}

// each calls do for every block of a scope.
func (s *scope) each(do func(*block) error) error {
	for _, pl := range s.places {
		for _, m := range s.methods {
			if err := do(pl.block(m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// rule makes the rule of a line in a scope.
func (s *scope) rule(text, at string) *Rule { return &Rule{Text: text + s.suffix, At: at} }

func (c *compiler) parse(lines []Line, s scope) error {
	for i := range lines {
		line := &lines[i]
		err := s.check(line)
		if err == nil {
			err = c.line(line, &s)
		}
		var told *LineError // of a line in its block
		if err != nil && !errors.As(err, &told) {
			err = &LineError{line.At, err.Error()}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check looks at the form of a line.
func (s *scope) check(line *Line) error {
	switch known := slices.Contains(s.words, line.Word); {
	case !known && slices.Contains(outer, line.Word):
		return fmt.Errorf("%s cannot stand in this block; it takes %s", line.Word, list(s.words))
	case !known:
		return fmt.Errorf("unknown word %q; use %s", line.Word, list(s.words))
	case line.Word == "observe":
		if len(line.Args) > 0 {
			return fmt.Errorf("observe stands alone; %q is too much", line.Args[0])
		}
	case len(line.Args) == 0:
		return fmt.Errorf("%s needs at least one argument", line.Word)
	case slices.Contains(line.Args, ""):
		return fmt.Errorf("%s has an empty argument; remove it, or set what it stands for", line.Word)
	}
	if block := line.Word == "path" || line.Word == "method"; block && len(line.Lines) == 0 {
		return fmt.Errorf("%s %s says nothing; write what holds there between { and }", line.Word, strings.Join(line.Args, " "))
	} else if !block && len(line.Lines) > 0 {
		return fmt.Errorf("%s takes no block", line.Word)
	}
	return nil
}

// list is for messages.
func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (c *compiler) line(line *Line, s *scope) error {
	switch line.Word {
	case "allow", "deny":
		return s.each(func(b *block) error { return b.addTerms(line, s) })
	case "network":
		n, err := parseNetwork(line.Args)
		if err != nil {
			return err
		}
		c.policy.address = true
		n.rule = s.rule("outside network "+strings.Join(line.Args, " "), line.At)
		return s.each(func(b *block) error { b.networks = append(b.networks, n); return nil })
	case "require":
		need, err := parseNeed(line.Args)
		if err != nil {
			return err
		}
		r := requirement{need, s.rule("require "+strings.Join(line.Args, " "), line.At)}
		return s.each(func(b *block) error {
			if slices.ContainsFunc(b.requires, func(o requirement) bool { return o.need.SecondFactor == need.SecondFactor }) {
				return fmt.Errorf("require %s is there twice; remove one of them", line.Args[0])
			}
			b.requires = append(b.requires, r)
			return nil
		})
	case "public":
		return c.parsePublic(line, s)
	case "tokens":
		return c.parseTokens(line)
	case "path":
		return c.parsePath(line, s)
	case "method":
		return c.parseMethod(line, s)
	default: // observe
		c.policy.observes = true
		return c.once("observe", line.At)
	}
}

// once refuses what stands there a second time.
func (c *compiler) once(what, at string) error {
	first, found := c.lines[what]
	if !found {
		c.lines[what] = at
		return nil
	}
	if first != "" && first != at {
		what += " (first at " + first + ")"
	}
	return fmt.Errorf("%s is there twice; remove one of them", what)
}

// parsePath makes places of a path block.
func (c *compiler) parsePath(line *Line, s *scope) error {
	inner := scope{methods: s.methods, words: inPath, at: line.At, suffix: ", in path " + strings.Join(line.Args, " ")}
	for _, arg := range line.Args {
		p, err := parsePattern("path", arg)
		if err != nil {
			return err
		}
		if p.path == "" && p.below {
			return fmt.Errorf("path /* is every path; write its lines outside of the block")
		}
		if err := c.once("path "+arg, line.At); err != nil {
			return err
		}
		pl, err := c.place(p)
		if err != nil {
			return err
		}
		if pl.public != "" {
			return overlap(arg, pl.public)
		}
		pl.ruled = arg
		inner.places = append(inner.places, pl)
	}
	c.policy.divided = true
	return c.parse(line.Lines, inner)
}

// parseMethod makes blocks for methods.
func (c *compiler) parseMethod(line *Line, s *scope) error {
	inner := scope{places: s.places, words: inMethod, at: line.At, suffix: s.suffix + ", for method " + strings.Join(line.Args, " ")}
	if s.suffix == "" {
		inner.words = append(slices.Clone(inMethod), "public")
	}
	for _, m := range line.Args {
		if m == "" || !consistsOf(m, "-", isUpper) {
			return fmt.Errorf("%q is not a method; write it as in GET, POST or DELETE", m)
		}
		if err := c.once("method "+m+s.suffix, line.At); err != nil {
			return err
		}
		inner.methods = append(inner.methods, m)
	}
	return c.parse(line.Lines, inner)
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

func (c *compiler) parsePublic(line *Line, s *scope) error {
	for _, arg := range line.Args {
		p, err := parsePattern("public", arg)
		if err != nil {
			return err
		}
		if p.path == "" && p.below && slices.Contains(s.methods, "") {
			return fmt.Errorf("public /* would make everything public; remove the gate instead")
		}
		pl, err := c.place(p)
		if err != nil {
			return err
		}
		public := literalPathOf(arg)
		public.rule = s.rule("public "+arg, line.At)
		if pl.ruled != "" {
			return overlap(pl.ruled, arg)
		}
		if pl != &c.policy.root {
			pl.public = arg
		}
		if err := c.once("public "+arg+s.suffix, line.At); err != nil {
			return err
		}
		for _, m := range s.methods {
			b := pl.block(m)
			b.public = append(b.public, public)
		}
	}
	return nil
}

func overlap(path, public string) error {
	return fmt.Errorf("path %s overlaps with public %s; a path is open to everyone or it has rules", path, public)
}

// place finds or makes the place of a pattern.
func (c *compiler) place(p pattern) (*place, error) {
	if p.path == "" && p.below {
		return &c.policy.root, nil
	}
	in := c.policy.exact
	if p.below {
		in = c.policy.below
	}
	pl := in[p.key()]
	if pl == nil {
		pl = &place{pattern: p}
		in[p.key()] = pl
		c.policy.places = append(c.policy.places, pl)
		if p.below {
			c.policy.depth = max(c.policy.depth, strings.Count(p.path, "/"))
		}
	} else if pl.pattern.path != p.path {
		return nil, fmt.Errorf("%s differs from %s only in case; many servers take both for one", p.text, pl.pattern.text)
	}
	return pl, nil
}
