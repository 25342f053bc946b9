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

// model decides as docs/policies.md says, line by line.
func model(all []saying, method, path, user string, groups []string) Outcome {
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
	matches := func(term string) bool {
		kind, name, _ := strings.Cut(term, ":")
		return user != "" && (term == "everyone" || kind == "user" && name == user || kind == "group" && slices.Contains(groups, name))
	}
	who, found := saying{}, false
	for _, s := range here {
		if s.word == "public" && !found {
			return Allow
		}
		if s.word == "allow" && !found {
			who, found = s, true
		}
	}
	for _, s := range here {
		if s.word == "deny" && matches(s.arg) {
			return Deny
		}
	}
	if user == "" {
		return SignIn
	}
	if !slices.ContainsFunc(here, func(s saying) bool {
		return s.word == "allow" && s.path == who.path && s.method == who.method && matches(s.arg)
	}) {
		return Deny
	}
	if slices.ContainsFunc(here, func(s saying) bool { return s.word == "require" }) {
		return StepUp
	}
	return Allow
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
		all := []saying{{word: "allow", arg: pick("everyone", "group:a", "user:x")}}
		for range 1 + r.IntN(6) {
			s := saying{path: pick("", "", "/p", "/p/*", "/p/q", "/p/q/*", "/r/*"), method: pick("", "", "GET", "POST"), word: pick("allow", "allow", "deny", "require", "public")}
			switch s.word {
			case "require":
				s.arg = "2fa"
			case "public":
				s.path, s.arg = "", pick("/p", "/p/*", "/p/q", "/r/*", "/r/s")
			default:
				s.arg = pick("group:a", "group:b", "user:x", "user:y")
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
			user := pick("", "x", "y", "z")
			var groups []string
			for _, g := range []string{"a", "b"} {
				if user != "" && r.IntN(2) == 0 {
					groups = append(groups, g)
				}
			}
			var id *Identity
			if user != "" {
				id = &Identity{Username: user, Groups: groups}
			}
			d := p.Decide(&Request{Method: method, Path: path}, id)
			if want := model(all, method, path, user, groups); d.Outcome != want {
				t.Fatalf("seed %d: %s %s by %q %v: %s by %v, want %s\n%v", seed, method, path, user, groups, d.Outcome, d.Rule, want, all)
			}
			decided++
		}
	}
	t.Logf("%d decisions; %d policies with lines that could never decide", decided, refused)
	if decided < 100_000 {
		t.Error("hardly any policy was taken")
	}
}
