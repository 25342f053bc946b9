package access

import (
	"fmt"
	"time"
)

// Need is a proof that a session must have. The zero Need asks for none.
type Need struct {
	SecondFactor bool
	// Within is the greatest age of the proof; 0 means any.
	Within time.Duration
}

// holds tells whether a proof is good enough. Where it has to be young, a second factor
// that a trusted device stood in for is none.
func (n Need) holds(proof *Proof) bool {
	return (!n.SecondFactor || proof.SecondFactor && (n.Within == 0 || !proof.Remembered)) && (n.Within == 0 || proof.Age < n.Within)
}

// need is all that blocks ask of a proof, so that one step up is enough.
func need(blocks []*block) Need {
	var all Need
	for _, b := range blocks {
		for _, r := range b.requires {
			all.SecondFactor = all.SecondFactor || r.need.SecondFactor
			if r.need.Within > 0 && (all.Within == 0 || r.need.Within < all.Within) {
				all.Within = r.need.Within
			}
		}
	}
	return all
}

// requirement is a require line.
type requirement struct {
	need Need
	rule *Rule
}

// minFresh leaves time to come back from the proof; maxFresh is a year.
const (
	minFresh = 30 * time.Second
	maxFresh = 365 * 24 * time.Hour
)

// parseNeed reads what follows require.
func parseNeed(args []string) (Need, error) {
	switch {
	case len(args) == 1 && args[0] == "2fa":
		return Need{SecondFactor: true}, nil
	case len(args) == 2 && args[0] == "fresh":
		d, err := time.ParseDuration(args[1])
		if err != nil || d < minFresh || d > maxFresh {
			return Need{}, fmt.Errorf("require fresh takes a duration from %s to %s such as 10m, not %q", minFresh, maxFresh, args[1])
		}
		return Need{Within: d}, nil
	}
	return Need{}, fmt.Errorf("require is \"require 2fa\" or \"require fresh 10m\"")
}
