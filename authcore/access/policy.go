package access

import (
	"fmt"
	"slices"
)

// Policy is a compiled rule set. It does not change and is safe for concurrent
// use. The zero Policy lets nobody in.
type Policy struct {
	public   paths
	deny     terms
	networks []network
	allow    terms
}

// Everyone is the policy of a gate that names none: every user passes.
var Everyone = &Policy{allow: terms{everyone: "allow everyone"}}

// NeedsAddress tells whether the policy looks at the client's address, so that
// a request's can be left out where none does.
func (p *Policy) NeedsAddress() bool { return len(p.networks) > 0 }

// Line is one line of a policy: its first word and what follows.
type Line struct {
	Word string
	Args []string
}

// LineError is a mistake in a policy.
type LineError struct {
	// Index is that of the line in what Parse was given, or -1 when the
	// mistake is in no one line.
	Index int
	// Message says what is wrong and what to write instead.
	Message string
}

// Error returns the message, with the number of the line counted from 1.
func (e *LineError) Error() string {
	if e.Index < 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Index+1, e.Message)
}

// words has the parse function of each word that can start a line.
var words = map[string]func(*Policy, []string) error{
	"allow":   (*Policy).parseAllow,
	"deny":    (*Policy).parseDeny,
	"network": (*Policy).parseNetwork,
	"public":  (*Policy).parsePublic,
}

// Parse compiles the lines of a policy. Its error is a *[LineError].
//
//	allow TERM...    any one lets in
//	deny TERM...     any one refuses, whatever allows
//	network CIDR...  the client's address must be in one of each line
//	public PATH...   open to everyone: a path, or all below one with a final /*
//
// A TERM is user:NAME, group:NAME, domain:DOMAIN (of a verified email
// address), owner (a platform owner) or everyone (any signed-in user).
func Parse(lines []Line) (*Policy, error) {
	p := new(Policy)
	for i, line := range lines {
		parse, known := words[line.Word]
		if !known {
			return nil, &LineError{i, fmt.Sprintf("unknown word %q; use allow, deny, network or public", line.Word)}
		}
		if len(line.Args) == 0 {
			return nil, &LineError{i, line.Word + " needs at least one argument"}
		}
		if slices.Contains(line.Args, "") {
			return nil, &LineError{i, line.Word + " has an empty argument; remove it, or set what it stands for"}
		}
		if err := parse(p, line.Args); err != nil {
			return nil, &LineError{i, err.Error()}
		}
	}
	if p.allow.empty() {
		return nil, &LineError{-1, "the policy lets nobody in; add an allow line, e.g. allow everyone"}
	}
	return p, nil
}
