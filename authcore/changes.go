package authcore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// changePoll is how often a node asks for changes: half the second within
	// which a revocation is to reach every node.
	changePoll = 400 * time.Millisecond
	// changeOverlap is how far back each reading reaches: a change may commit
	// this much later than its time says and is still seen.
	changeOverlap = 10 * time.Second
	// defaultDeaf is how long a node may hear nothing from the database before it
	// answers nobody from memory any more.
	defaultDeaf = 10 * time.Second
)

// heartbeat remembers when the database last answered, and which changes were
// applied already.
type heartbeat struct {
	last    atomic.Int64 // microseconds
	mu      sync.Mutex   // one reading at a time
	applied map[string]time.Time
}

func (h *heartbeat) init(now time.Time) {
	h.last.Store(now.UnixMicro())
	h.applied = make(map[string]time.Time)
}

// current makes sure that this node has heard from the database lately. After a
// pause (a suspended machine, a busy one) it asks at once instead of refusing.
func (s *Sessions) current(ctx context.Context, now time.Time) error {
	if now.UnixMicro()-s.heard.last.Load() < defaultDeaf.Microseconds() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.poll(ctx); err != nil {
		return ErrUnavailable.With(err)
	}
	return nil
}

// poll reads the changes of other nodes and of the command line, and applies
// those that are new.
func (s *Sessions) poll(ctx context.Context) error {
	h := &s.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	now := s.now()
	since := time.UnixMicro(h.last.Load()).Add(-changeOverlap)
	changes, err := s.reader.ChangesSince(ctx, since)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if _, done := h.applied[c.ID]; !done {
			h.applied[c.ID] = c.At
			s.Apply(c)
		}
	}
	for id, at := range h.applied {
		if at.Before(since.Add(-changeOverlap)) {
			delete(h.applied, id)
		}
	}
	h.last.Store(now.UnixMicro())
	return nil
}

// Run keeps the cache current until ctx ends: it reads changes, writes
// last-seen times and sweeps. After ctx has ended it writes what is left.
func (s *Sessions) Run(ctx context.Context, report func(error)) {
	polls, writes, sweeps := time.NewTicker(changePoll), time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer polls.Stop()
	defer writes.Stop()
	defer sweeps.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-polls.C:
			s.attempt(ctx, s.poll, report)
		case <-writes.C:
			s.attempt(ctx, s.tracker.flush, report)
		case <-sweeps.C:
			s.sweep(s.now())
		}
	}
}

func (s *Sessions) attempt(ctx context.Context, f func(context.Context) error, report func(error)) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := f(ctx); err != nil && ctx.Err() != context.Canceled {
		report(err)
	}
}

// Flush writes the last-seen times that wait.
func (s *Sessions) Flush(ctx context.Context) error { return s.tracker.flush(ctx) }

// WriteEvery sets how often a session's last-seen time is written; 0 writes on
// every request.
func (s *Sessions) WriteEvery(d time.Duration) { s.tracker.every.Store(int64(d)) }
