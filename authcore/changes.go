package authcore

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// changePoll is how often a node asks for changes: half the second within
	// which a revocation is to reach every node.
	changePoll = 400 * time.Millisecond
	// changeOverlap is how far back each reading reaches: a change may commit
	// this much later than its time says and is still seen at once. Every
	// lateEvery a reading reaches back lateOverlap, for a commit that a database
	// in trouble held up for longer.
	changeOverlap = 10 * time.Second
	lateOverlap   = ChangesKept - 10*time.Minute
	lateEvery     = 30 * time.Second
	// askLimit is how long a request of a deaf node may wait for the database,
	// askAgain how long after a failure the next one asks.
	askLimit = time.Second
	askAgain = 250 * time.Millisecond
)

// heartbeat remembers when the database last answered, and which changes were
// applied already.
type heartbeat struct {
	last    atomic.Int64  // microseconds by this node's clock; 0: never yet
	failed  atomic.Int64  // microseconds: when a request last asked in vain
	silence atomic.Int64  // microseconds
	turn    chan struct{} // held by who reads: one reading at a time
	began   time.Time

	// Held with turn: the database's clock at the last reading, at the last one
	// that reached far back, and the changes applied, with their times.
	at, late time.Time
	applied  map[string]time.Time
}

// ChangesKept is how long the records of changes stay in the database. Who has not
// read for longer knows nothing any more.
const ChangesKept = time.Hour

// SilenceLimit bounds the setting of MaxSilence, so that no record of a change is
// gone before it was read.
const SilenceLimit = 5 * time.Minute

// DefaultSilence is how long a node may hear nothing from the database before it
// answers nobody from memory any more.
const DefaultSilence = 10 * time.Second

func (h *heartbeat) init(now time.Time) {
	h.began = now
	h.silence.Store(DefaultSilence.Microseconds())
	h.turn = make(chan struct{}, 1)
	h.applied = make(map[string]time.Time)
}

// deaf tells whether too long has passed since the database was heard. The wall
// clock counts, which goes on while a machine sleeps; when it was set back, nobody
// knows how long it has been. A request may be a moment older than the last reading.
func (h *heartbeat) deaf(now time.Time) bool {
	since := now.UnixMicro() - h.last.Load()
	return since >= h.silence.Load() || since < -time.Second.Microseconds()
}

// quiet is how long ago the database was heard; opening it counts.
func (h *heartbeat) quiet(now time.Time) time.Duration {
	if last := h.last.Load(); last != 0 {
		return max(now.Sub(time.UnixMicro(last)), 0)
	}
	return now.Sub(h.began)
}

// since tells from when on the next reading wants changes, and whether it reaches
// far back. What was changed before the first one was in nobody's memory.
func (h *heartbeat) since() (since time.Time, late bool) {
	switch {
	case h.at.IsZero():
		return time.Time{}, true
	case h.at.Sub(h.late) >= lateEvery:
		return h.at.Add(-lateOverlap), true
	}
	return h.at.Add(-changeOverlap), false
}

// MaxSilence sets how long this node may hear nothing from the database before
// it answers nobody from memory any more.
func (s *Sessions) MaxSilence(d time.Duration) { s.heard.silence.Store(d.Microseconds()) }

// current makes sure that this node has heard from the database lately. After a
// pause (a suspended machine, a busy one) it asks at once instead of refusing;
// one request asks, the others wait for it, and after a failure nobody asks for a
// moment.
func (s *Sessions) current(ctx context.Context, now time.Time) error {
	h := &s.heard
	if !h.deaf(now) {
		return nil
	}
	if now.UnixMicro()-h.failed.Load() < askAgain.Microseconds() {
		return ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := s.poll(ctx, func() bool { return h.deaf(s.now()) }); err != nil {
		h.failed.Store(s.now().UnixMicro())
		return ErrUnavailable.With(err)
	}
	return nil
}

// poll reads the changes of other nodes and of the command line, and applies
// those that are new. needed is asked when the turn has come.
func (s *Sessions) poll(ctx context.Context, needed func() bool) error {
	h := &s.heard
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !needed() {
		return nil
	}
	now := s.now()
	since, late := h.since()
	changes, at, err := s.reader.ChangesSince(ctx, since)
	if err != nil {
		return err
	}
	if away := at.Sub(h.at); !h.at.IsZero() && (away > lateOverlap || away < -time.Second) {
		s.Apply(Change{Kind: ChangeAll}) // changes may be gone, or the database is another one
	}
	if h.at = at; late {
		h.late = at
	}
	for _, c := range changes {
		if _, done := h.applied[c.ID]; !done {
			h.applied[c.ID] = c.At
			s.Apply(c)
		}
	}
	for id, at := range h.applied {
		if h.at.Sub(at) > ChangesKept {
			delete(h.applied, id)
		}
	}
	h.last.Store(now.UnixMicro())
	return nil
}

// Listen reads changes until ctx ends. It has a goroutine of its own, so that
// nothing else delays a revocation.
func (s *Sessions) Listen(ctx context.Context, report func(error)) {
	repeat(ctx, changePoll, func(ctx context.Context) error {
		return s.poll(ctx, func() bool { return true })
	}, report)
}

// Run writes last-seen times and drops what nobody uses from memory, until ctx
// ends. What then waits is written by Flush.
func (s *Sessions) Run(ctx context.Context, report func(error)) {
	swept := s.now()
	repeat(ctx, time.Second, func(ctx context.Context) error {
		if now := s.now(); now.Sub(swept) >= time.Minute {
			swept = now
			s.sweep(now)
		}
		return s.tracker.flush(ctx)
	}, report)
}

// repeat calls f every so often until ctx ends. It reports errors, and nil for
// the first success after one.
func repeat(ctx context.Context, every time.Duration, f func(context.Context) error, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := f(limited); ctx.Err() == nil && (err != nil || failing) {
			report(err)
			failing = err != nil
		}
		cancel()
	}
}

// Flush writes the last-seen times that wait.
func (s *Sessions) Flush(ctx context.Context) error { return s.tracker.flush(ctx) }

// WriteEvery sets how often a session's last-seen time is written; 0 writes on
// every request.
func (s *Sessions) WriteEvery(d time.Duration) { s.tracker.every.Store(int64(d)) }

// Change says that something which memory holds is not as it was. Writers leave
// one in the transaction of the change; every node reads them.
type Change struct {
	ID      string
	At      time.Time
	Kind    ChangeKind
	Subject string // id of the session root, user, organization or service; a DeviceKey
}

// ChangeKind tells what Subject is.
type ChangeKind string

// The kinds of change.
const (
	ChangeSession ChangeKind = "session"
	ChangeUser    ChangeKind = "user"
	ChangeAll     ChangeKind = "all" // of every session; there is no subject
	// ChangeOrganization is of all members of an organization.
	ChangeOrganization ChangeKind = "organization"
	// ChangeService is of the settings of a service: what was read of one before is old.
	ChangeService ChangeKind = "service"
	// ChangeDevice is of a device that waits, by its DeviceKey: a user has answered.
	ChangeDevice ChangeKind = "device"
)
