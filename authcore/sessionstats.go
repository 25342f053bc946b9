package authcore

import (
	"sync/atomic"
	"time"
)

// SessionStats are the counters of the sessions in memory, since this node started,
// and how things are now.
type SessionStats struct {
	Hits    uint64 // lookups that memory answered
	Misses  uint64 // lookups that read the session from the database
	Unknown uint64 // lookups of a token that names no session
	Failed  uint64 // lookups that the database did not answer

	Sessions int // in memory
	Users    int // in memory

	Silence    time.Duration // since the database was last heard
	MaxSilence time.Duration // after which nobody is answered from memory

	Due          uint64 // last-seen times that were due to be written
	Written      uint64 // those that were
	Coalesced    uint64 // uses of a session that needed no write of their own
	Transactions uint64 // that wrote last-seen times
	Failures     uint64 // transactions that failed
	Waiting      int    // last-seen times that wait to be written
}

// missed counts what memory did not answer, by what came of it.
type missed struct {
	found, unknown, failed atomic.Uint64
	coalesced              uint64 // under Sessions.mu: as Stats last gave it
}

func (m *missed) count(err error) {
	switch {
	case err == nil:
		m.found.Add(1)
	case ErrNoSession.is(err):
		m.unknown.Add(1)
	default:
		m.failed.Add(1)
	}
}

// Stats gives the counters as they are now. It takes the lock of every shard for a
// moment, one after another.
func (s *Sessions) Stats() SessionStats {
	a := s.tracker
	st := SessionStats{Due: a.due.Load(), Written: a.written.Load(), Transactions: a.transactions.Load(), Failures: a.failed.Load(),
		Waiting: a.waiting(), Misses: s.missed.found.Load(), Unknown: s.missed.unknown.Load(), Failed: s.missed.failed.Load(),
		Silence: s.heard.quiet(s.now()), MaxSilence: time.Duration(s.heard.silence.Load()) * time.Microsecond, Sessions: s.Len()}
	for i := range s.shards {
		st.Hits += s.shards[i].hits.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Users = len(s.users)
	// Not counted but worked out, so that a request has one counter less. Requests
	// under way are in one of the terms only: what was said once is not taken back.
	if uses := st.Hits + st.Misses; uses > st.Due {
		s.missed.coalesced = max(s.missed.coalesced, uses-st.Due)
	}
	st.Coalesced = s.missed.coalesced
	return st
}
