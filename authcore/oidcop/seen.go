package oidcop

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// maxSeen is how many ids a node remembers.
const maxSeen = 200_000

// seen remembers the ids of proofs and assertions until they have expired, so that none is
// used twice on a node.
type seen struct {
	now func() time.Time

	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
	swept time.Time
}

func newSeen(now func() time.Time) *seen {
	return &seen{now: now, until: make(map[[sha256.Size]byte]time.Time)}
}

// first tells whether an id of somebody was not there before. Where too many are remembered
// the answer is ErrUnavailable: none is forgotten before its time.
func (s *seen) first(whose, id string, until time.Time) (bool, error) {
	key := sha256.Sum256([]byte(whose + "\x00" + id))
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, there := s.until[key]; there && now.Before(end) {
		return false, nil
	}
	if len(s.until) >= maxSeen && now.Sub(s.swept) > time.Second {
		s.swept = now
		for k, end := range s.until {
			if !now.Before(end) {
				delete(s.until, k)
			}
		}
	}
	if len(s.until) >= maxSeen {
		return false, authcore.ErrUnavailable
	}
	s.until[key] = until
	return true, nil
}
