package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

// maxSources is how many sources a Spread remembers.
const maxSources = 4096

// Spread notices a source that tries many different things: an address that tries
// many accounts. It is safe for concurrent use. Its memory is bounded: of more than
// 4,096 sources some are forgotten, and of each no more things are kept than it takes.
type Spread struct {
	many   int
	within time.Duration
	now    func() time.Time
	seed   maphash.Seed

	mu      sync.Mutex
	sources map[string]*tried
}

// tried is what a source has tried since a time, as hashes.
type tried struct {
	since  time.Time
	things map[uint64]struct{}
}

// NewSpread returns a Spread that notices many different things within a time.
func NewSpread(many int, within time.Duration, now func() time.Time) *Spread {
	return &Spread{many: many, within: within, now: now, seed: maphash.MakeSeed(), sources: make(map[string]*tried)}
}

// Try takes down that a source tried a thing, and tells whether it is the one that makes
// it many. It says so once for each time that the source has tried so many.
func (s *Spread) Try(source, thing string) bool {
	if s == nil {
		return false
	}
	now, key := s.now(), maphash.String(s.seed, thing)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.sources[source]
	if t == nil {
		s.makeRoom(now)
	}
	if t == nil || now.Sub(t.since) >= s.within {
		t = &tried{now, make(map[uint64]struct{})}
		s.sources[source] = t
	}
	if t.things[key] = struct{}{}; len(t.things) < s.many {
		return false
	}
	delete(s.sources, source)
	return true
}

// makeRoom forgets sources where there are too many: those whose time is over, of a few,
// else that which has tried the fewest things. Which ones it looks at is random, as Go
// walks maps.
func (s *Spread) makeRoom(now time.Time) {
	if len(s.sources) < maxSources {
		return
	}
	var least string
	n := 0
	for source, t := range s.sources {
		if now.Sub(t.since) >= s.within {
			delete(s.sources, source)
			return
		}
		if least == "" || len(t.things) < len(s.sources[least].things) {
			least = source
		}
		if n++; n == sample {
			break
		}
	}
	delete(s.sources, least)
}
