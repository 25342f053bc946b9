package audit

import (
	"context"
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
	maxBackoff   = 2 * time.Second
)

// Actor owns the queue. One goroutine writes; any number record.
type Actor struct {
	store  Store
	report func(error)
	queue  chan authcore.Event
	nudge  chan struct{}
	done   chan struct{}
	hasty  atomic.Bool
	closed atomic.Bool
	stop   chan struct{}
	once   sync.Once

	dropped atomic.Uint64
	written atomic.Uint64
}

// New makes an actor and starts its goroutine. report is told of failed writes
// and dropped events.
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
	if a.closed.Load() {
		a.dropped.Add(1)
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
		a.dropped.Add(1)
	}
}

// Dropped counts the events that were lost because the queue stayed full.
func (a *Actor) Dropped() uint64 { return a.dropped.Load() }

// Written counts the events that reached the database.
func (a *Actor) Written() uint64 { return a.written.Load() }

// Hasten makes the actor write nearly through: the process is going to stop.
func (a *Actor) Hasten() {
	a.hasty.Store(true)
	select {
	case a.nudge <- struct{}{}:
	default:
	}
}

// Close writes what waits, until ctx ends, and stops the actor.
func (a *Actor) Close(ctx context.Context) {
	a.once.Do(func() {
		a.closed.Store(true)
		close(a.stop)
	})
	select {
	case <-a.done:
	case <-ctx.Done():
	}
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
			a.write(batch)
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
			return
		}
		batch = batch[:0]
	}
}

// write tries until the batch is in the database. Once the actor is closed it
// tries a few times only.
func (a *Actor) write(batch []authcore.Event) bool {
	for try, wait := 1, 50*time.Millisecond; ; try, wait = try+1, min(2*wait, maxBackoff) {
		ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
		err := a.store.InsertEvents(ctx, batch)
		cancel()
		if err == nil {
			a.written.Add(uint64(len(batch)))
			return true
		}
		a.report(err)
		if a.closed.Load() && try >= 3 {
			a.dropped.Add(uint64(len(batch) + len(a.queue)))
			return false
		}
		select {
		case <-time.After(wait):
		case <-a.stop:
		}
	}
}
