package password

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting bounds the queue of a gate that lets callers wait. Whoever comes
// when it is full is refused at once: a longer queue would only turn a busy
// minute into an outage.
const maxWaiting = 1024

// ErrBusy says that no permit was free, or none became free in time. The
// caller should answer 429 with Retry-After.
var ErrBusy = errors.New("password hashing is busy: try again in a moment")

// Gate is a semaphore in front of password hashing. Its limits can be changed
// while it is in use, so that one gate outlives reloads of the configuration.
// The zero Gate has no limit. A Gate must not be copied.
type Gate struct {
	mu      sync.Mutex
	permits int // 0: no limit
	wait    time.Duration
	inUse   int
	queue   list.List // of chan struct{}, closed when the permit is granted

	refused atomic.Uint64
	hashed  atomic.Uint64

	memories memories // of the hashes behind the gate
	threads  threads  // where they run
}

// GateStats is a snapshot of a gate's counters.
type GateStats struct {
	// InUse counts the permits held now. After SetPermits lowered the limit
	// it can exceed Permits until the surplus is released.
	InUse int
	// Permits is the limit; 0 means none.
	Permits int
	// Waiting counts the callers in the queue now.
	Waiting int
	// Refused counts the calls that ended with ErrBusy.
	Refused uint64
	// Hashed counts Argon2 runs, to set a password and to verify one.
	Hashed uint64
}

// NewGate returns a gate with that many permits; 0 or less means no limit. It
// refuses at once when none is free, until SetWait says otherwise.
func NewGate(permits int) *Gate {
	return &Gate{permits: max(permits, 0)}
}

// SetPermits changes the limit; 0 or less means none. Permits that are held
// stay held: after the limit was lowered nobody gets one until enough were
// released, and after it was raised those who wait get theirs at once.
func (g *Gate) SetPermits(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.permits = max(n, 0)
	g.grant()
}

// SetWait sets how long Acquire may wait for a permit; 0 or less means not at
// all. Those who wait already keep the time that they were given.
func (g *Gate) SetWait(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait = max(d, 0)
}

// Acquire takes a permit and returns the function that gives it back, which
// may be called more than once. When none is free it returns ErrBusy, at once
// or after the time set by SetWait; permits are granted in the order of
// arrival. When ctx ends first it returns ctx.Err() and holds nothing.
func (g *Gate) Acquire(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	g.mu.Lock()
	if g.free() { // Then nobody waits: grant saw to it.
		g.inUse++
		g.mu.Unlock()
		return g.releaser(), nil
	}
	if g.wait == 0 || g.queue.Len() >= maxWaiting {
		g.mu.Unlock()
		g.refused.Add(1)
		return nil, ErrBusy
	}
	granted := make(chan struct{})
	place := g.queue.PushBack(granted)
	wait := g.wait
	g.mu.Unlock()
	return g.await(ctx, granted, place, wait)
}

func (g *Gate) await(ctx context.Context, granted chan struct{}, place *list.Element, wait time.Duration) (func(), error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-granted:
		return g.releaser(), nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-granted: // The permit came just as we gave up: pass it on.
		g.inUse--
		g.grant()
	default:
		g.queue.Remove(place)
	}
	if errors.Is(err, ErrBusy) {
		g.refused.Add(1)
	}
	return nil, err
}

// Stats returns the counters as they are now.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return GateStats{
		InUse:   g.inUse,
		Permits: g.permits,
		Waiting: g.queue.Len(),
		Refused: g.refused.Load(),
		Hashed:  g.hashed.Load(),
	}
}

// free reports whether a permit can be taken. The caller holds mu.
func (g *Gate) free() bool { return g.permits == 0 || g.inUse < g.permits }

// grant hands free permits to those who wait longest. The caller holds mu.
func (g *Gate) grant() {
	for g.free() {
		first := g.queue.Front()
		if first == nil {
			return
		}
		g.queue.Remove(first)
		g.inUse++
		close(first.Value.(chan struct{}))
	}
}

// releaser returns a function that gives one permit back, once.
func (g *Gate) releaser() func() {
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inUse--
		g.grant()
	})
}
