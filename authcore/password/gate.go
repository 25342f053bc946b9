package password

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWaiting bounds the line of a gate that lets everybody wait. A longer
	// line would only turn a busy minute into an outage.
	maxWaiting = 1024
	// placesPerPermit bounds the line of a gate that lets nobody wait: long
	// enough to tell callers apart, and so short that it is over in a few hashes.
	placesPerPermit = 4
	// turnWait bounds the time in that line.
	turnWait = 2 * time.Second
)

// ErrBusy says that no permit was free, or none became free in time. The
// caller should answer 429 with Retry-After.
var ErrBusy = errors.New("password hashing is busy: try again in a moment")

// Gate is a semaphore in front of password hashing. Whoever finds it full stands
// in a short line, if at all, and the line is fair: see [Caller]. Its limits can
// be changed while it is in use, so that one gate outlives reloads of the
// configuration. The zero Gate has no limit. A Gate must not be copied.
type Gate struct {
	mu      sync.Mutex
	permits int // 0: no limit
	wait    time.Duration
	inUse   int
	line    list.List      // of *place, in the order of their turns
	inside  map[Caller]int // by half, how many hold a permit or stand in line; see Caller
	observe func() (end func(ran bool))

	last  [64]Caller     // who asked last
	turn  int            // how often somebody asked
	asked map[Caller]int // by half, how often of the last times

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

// NewGate returns a gate with that many permits; 0 or less means no limit. When
// none is free it lets nobody wait but in the short line, until SetWait says
// otherwise.
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
// all, but for the short line of those whom the gate can tell apart. Those who
// wait already keep the time that they were given.
func (g *Gate) SetWait(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait = max(d, 0)
}

// Acquire takes a permit and returns the function that gives it back, which
// may be called more than once. When none is free the caller of ctx stands in
// line, or gets ErrBusy: at once where the line is full of others whose turn
// comes first, and later where such others come, or no permit in time. When ctx
// ends first Acquire returns ctx.Err() and holds nothing.
func (g *Gate) Acquire(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	who := callerOf(ctx)
	g.mu.Lock()
	if g.free() { // Then nobody waits: grant saw to it.
		g.inUse++
		g.count(who, 1)
		g.remember(who)
		g.mu.Unlock()
		return g.releaser(who), nil
	}
	at, wait := g.lineUp(who)
	g.remember(who)
	g.mu.Unlock()
	if at == nil {
		g.refused.Add(1)
		return nil, ErrBusy
	}
	return g.await(ctx, at, wait)
}

// Busy tells whether Acquire would refuse the caller of ctx at once, and counts that
// as a refusal: ErrBusy, or nil. It takes nothing, so that Acquire may refuse after
// all; it spares a refusal the work that comes before a hash.
func (g *Gate) Busy(ctx context.Context) error {
	who := callerOf(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free() {
		return nil
	}
	if p, _ := g.placeFor(who); p != nil {
		return nil
	}
	g.remember(who)
	g.refused.Add(1)
	return ErrBusy
}

func (g *Gate) await(ctx context.Context, at *list.Element, wait time.Duration) (func(), error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	p := at.Value.(*place)
	err := ErrBusy
	select {
	case granted := <-p.told:
		if granted {
			return g.releaser(p.who), nil
		}
		g.refused.Add(1)
		return nil, err
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case granted := <-p.told: // The answer came just as we gave up.
		if granted {
			g.giveBack(p.who)
		}
	default:
		g.line.Remove(at)
		g.count(p.who, -1)
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
		Waiting: g.line.Len(),
		Refused: g.refused.Load(),
		Hashed:  g.hashed.Load(),
	}
}

// free reports whether a permit can be taken. The caller holds mu.
func (g *Gate) free() bool { return g.permits == 0 || g.inUse < g.permits }

// grant hands free permits to those who stand first. The caller holds mu.
func (g *Gate) grant() {
	for g.free() && g.line.Len() > 0 {
		g.inUse++
		g.line.Remove(g.line.Front()).(*place).told <- true
	}
}

// giveBack takes a permit back and hands it on. The caller holds mu.
func (g *Gate) giveBack(who Caller) {
	g.inUse--
	g.count(who, -1)
	g.grant()
}

// releaser returns a function that gives one permit back, once.
func (g *Gate) releaser(who Caller) func() {
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.giveBack(who)
	})
}
