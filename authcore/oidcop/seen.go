package oidcop

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

const (
	// maxSeen is how many ids a node remembers.
	maxSeen = 1 << 20
	// Of these, how many of one client that has proven who it is, and of one address.
	maxClientSeen, maxAddressSeen = maxSeen / 8, maxSeen / 64
)

// share is whose ids count together, so that nobody leaves no room for others.
type share struct {
	of   string
	most int
}

// byClient is the share of a client that has proven who it is.
func byClient(id string) share { return share{"client " + id, maxClientSeen} }

// share is that of a client; of one that anybody can claim to be, that of the address.
func (c *client) share(from authcore.Client) share {
	if c.Type.Confidential() {
		return byClient(c.ClientID)
	}
	address, _ := netip.ParseAddr(from.Address)
	return share{"address " + limit.AddressKey(address), maxAddressSeen}
}

// seenKey stands for an id of somebody: half of a hash.
type seenKey [16]byte

// seenShare holds the ids of a share, in seconds since 1970.
type seenShare struct {
	until map[seenKey]int64
	swept int64
}

func (h *seenShare) len() int {
	if h == nil {
		return 0
	}
	return len(h.until)
}

// seen remembers the ids of proofs and assertions until they have expired, so that none is
// used twice on a node.
type seen struct {
	now func() time.Time

	mu    sync.Mutex
	in    map[string]*seenShare
	n     int
	swept time.Time
}

func newSeen(now func() time.Time) *seen {
	return &seen{now: now, in: make(map[string]*seenShare)}
}

// first tells whether an id of somebody was not there before. Where a share has too many, or
// the node, the answer is ErrUnavailable: none is forgotten before its time.
func (s *seen) first(in share, whose, id string, until time.Time) (bool, error) {
	sum := sha256.Sum256([]byte(whose + "\x00" + id))
	key, now := seenKey(sum[:]), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.in[in.of]; h != nil {
		if end, there := h.until[key]; there && now.Unix() <= end {
			return false, nil
		}
	}
	if s.n >= maxSeen && now.Sub(s.swept) > time.Second {
		s.swept = now
		for of := range s.in {
			s.sweep(of, now)
		}
	}
	if s.in[in.of].len() >= in.most { // whose own time it takes, not that of all
		s.sweep(in.of, now)
	}
	if s.n >= maxSeen || s.in[in.of].len() >= in.most {
		return false, authcore.ErrUnavailable
	}
	ids := s.in[in.of]
	if ids == nil {
		ids = &seenShare{until: make(map[seenKey]int64)}
		s.in[in.of] = ids
	}
	if _, there := ids.until[key]; !there {
		s.n++
	}
	ids.until[key] = until.Unix() + 1
	return true, nil
}

// sweep forgets what has expired in a share, at most once in a second.
func (s *seen) sweep(of string, now time.Time) {
	ids := s.in[of]
	if ids == nil || now.Unix() == ids.swept {
		return
	}
	ids.swept = now.Unix()
	for key, end := range ids.until {
		if now.Unix() > end {
			delete(ids.until, key)
			s.n--
		}
	}
	if len(ids.until) == 0 {
		delete(s.in, of)
	}
}
