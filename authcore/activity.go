package authcore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// activity gathers last-seen times and writes them in batches. A session comes
// here at most once in an interval, so its lock is off the hot path.
type activity struct {
	store SessionReader
	now   func() time.Time
	every atomic.Int64 // nanoseconds

	mu   sync.Mutex
	wait map[SessionID]Seen

	due, written, transactions, failed atomic.Uint64
}

// DefaultWriteEvery is how often a session's last-seen time is written at most.
const DefaultWriteEvery = 5 * time.Minute

func newActivity(store SessionReader, now func() time.Time) *activity {
	a := &activity{store: store, now: now, wait: make(map[SessionID]Seen)}
	a.every.Store(int64(DefaultWriteEvery))
	return a
}

func (a *activity) interval() time.Duration { return time.Duration(a.every.Load()) }

func (a *activity) add(s Seen) {
	a.due.Add(1)
	a.mu.Lock()
	a.wait[s.Session] = s
	a.mu.Unlock()
}

// flushBatch bounds one transaction, so that it ends within the time it is given.
const flushBatch = 500

// flush writes what waits, a batch at a time. What cannot be written waits on.
func (a *activity) flush(ctx context.Context) error {
	a.mu.Lock()
	batch := a.wait
	a.wait = make(map[SessionID]Seen)
	a.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	seen := make([]Seen, 0, len(batch))
	for _, s := range batch {
		seen = append(seen, s)
	}
	for some := range slices.Chunk(seen, flushBatch) {
		if err := a.write(ctx, some); err != nil {
			a.keep(seen)
			return err
		}
		seen = seen[len(some):]
	}
	return nil
}

// write writes last-seen times in one transaction.
func (a *activity) write(ctx context.Context, seen []Seen) error {
	if err := a.store.TouchSessions(ctx, seen); err != nil {
		a.failed.Add(1)
		return err
	}
	a.transactions.Add(1)
	a.written.Add(uint64(len(seen)))
	return nil
}

// waiting counts the sessions whose last-seen time waits to be written.
func (a *activity) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.wait)
}

// keep puts back what could not be written, unless something newer waits.
func (a *activity) keep(seen []Seen) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range seen {
		if _, newer := a.wait[s.Session]; !newer {
			a.wait[s.Session] = s
		}
	}
}
