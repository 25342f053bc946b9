package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Store writes events. It must ignore an event whose id is there already, so
// that a batch whose answer was lost can be written again.
type Store interface {
	InsertEvents(ctx context.Context, events []authcore.Event) error
}

// The defaults of the actor.
const (
	DefaultBatch = 100
	DefaultEvery = time.Second
	// DefaultQueue is how many events may wait. When it is full, Record waits
	// a moment and then counts the event as dropped.
	DefaultQueue = 65536
	recordWait   = 50 * time.Millisecond
	writeLimit   = 3 * time.Second
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
	lastTries    = 3 // once the actor is closed
)

// Actor owns the queue. One goroutine writes; any number record.
type Actor struct {
	store  Store
	report func(error)
	queue  chan authcore.Event
	nudge  chan struct{}
	done   chan struct{}
	hasty  atomic.Bool
	stop   chan struct{}

	gate   sync.RWMutex // held for reading by who records, so that Close can wait for them
	closed bool

	accepted atomic.Uint64
	dropped  atomic.Uint64
	written  atomic.Uint64 // reached the database
}

// New makes an actor and starts its goroutine. report is told of failed writes
// and dropped events, and by nil when writing goes on again.
func New(store Store, report func(error)) *Actor {
	a := &Actor{store: store, report: report, queue: make(chan authcore.Event, DefaultQueue),
		nudge: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{})}
	go a.run()
	return a
}

var _ authcore.Recorder = (*Actor)(nil)

// Record hands an event over. It returns at once unless the queue is full, and
// after 50 ms even then.
func (a *Actor) Record(ev authcore.Event) {
	a.gate.RLock()
	defer a.gate.RUnlock()
	a.accepted.Add(1)
	if a.closed {
		a.drop(1)
		return
	}
	select {
	case a.queue <- ev:
		return
	default:
	}
	t := time.NewTimer(recordWait)
	defer t.Stop()
	select {
	case a.queue <- ev:
	case <-t.C:
		a.drop(1)
	}
}

// drop counts events that are lost, and says so for the first and every
// thousandth.
func (a *Actor) drop(n int) {
	if n == 0 {
		return
	}
	if before := a.dropped.Add(uint64(n)) - uint64(n); before/1000 != (before+uint64(n))/1000 || before == 0 {
		a.report(fmt.Errorf("%d audit events are lost: the queue is full and the database does not take them", before+uint64(n)))
	}
}

// Dropped counts the events that were lost because the queue stayed full.
func (a *Actor) Dropped() uint64 { return a.dropped.Load() }

// Hasten makes the actor write nearly through: the process is going to stop.
func (a *Actor) Hasten() {
	a.hasty.Store(true)
	select {
	case a.nudge <- struct{}{}:
	default:
	}
}

// Close writes what waits, until ctx ends, and stops the actor. It returns an error
// where events were lost, now or before.
func (a *Actor) Close(ctx context.Context) error {
	a.gate.Lock()
	if !a.closed {
		a.closed = true
		close(a.stop)
	}
	a.gate.Unlock()
	left := 0
	select {
	case <-a.done:
	case <-ctx.Done():
		left = int(a.accepted.Load() - a.written.Load() - a.dropped.Load())
	}
	if lost := a.Dropped() + uint64(max(left, 0)); lost > 0 {
		return fmt.Errorf("%d audit events were lost", lost)
	}
	return nil
}

func (a *Actor) run() {
	defer close(a.done)
	tick := time.NewTicker(DefaultEvery)
	defer tick.Stop()
	batch := make([]authcore.Event, 0, DefaultBatch)
	for {
		flush := false
		select {
		case ev := <-a.queue:
			batch = append(batch, ev)
			flush = len(batch) == DefaultBatch || a.hasty.Load() && len(a.queue) == 0
		case <-tick.C:
			flush = true
		case <-a.nudge:
			flush = true
		case <-a.stop:
			a.drain(batch)
			return
		}
		if flush && len(batch) > 0 {
			if !a.write(batch) {
				a.drop(len(a.queue))
				return
			}
			batch = batch[:0]
		}
	}
}

// drain writes everything that is queued when the actor stops.
func (a *Actor) drain(batch []authcore.Event) {
	for {
		select {
		case ev := <-a.queue:
			if batch = append(batch, ev); len(batch) < DefaultBatch {
				continue
			}
		default:
			if len(batch) == 0 {
				return
			}
		}
		if !a.write(batch) {
			a.drop(len(a.queue))
			return
		}
		batch = batch[:0]
	}
}

// write tries until the batch is in the database. Once the actor is closed it
// tries three times more.
func (a *Actor) write(batch []authcore.Event) bool {
	last := 0 // tries since the actor was closed
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
		err := a.store.InsertEvents(ctx, batch)
		cancel()
		if err == nil {
			if wait > firstBackoff {
				a.report(nil)
			}
			a.written.Add(uint64(len(batch)))
			return true
		}
		a.report(err)
		select {
		case <-a.stop:
			if last++; last == lastTries {
				a.drop(len(batch))
				return false
			}
			time.Sleep(50 * time.Millisecond)
		case <-time.After(wait):
		}
	}
}
