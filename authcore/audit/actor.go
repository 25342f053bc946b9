package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Store writes events.
type Store interface {
	// InsertEvents writes events in one transaction. It must leave out an event whose
	// id is there already, so that a batch whose answer was lost can be written again.
	// With durable, they survive a power cut once it returns.
	InsertEvents(ctx context.Context, events []authcore.Event, durable bool) error
	// SealEvents makes the events of commands a part of the chain; with all, also
	// those of other nodes.
	SealEvents(ctx context.Context, all bool) error
}

// Settings are how events are written.
type Settings struct {
	Batch int           // events in one transaction
	Every time.Duration // how long one may wait for others
	Sync  bool          // whoever records an event waits until it is in the database
}

// DefaultSettings are those of a configuration that says nothing.
var DefaultSettings = Settings{Batch: 100, Every: time.Second}

const (
	// queueSize is how many events may wait to be put into a batch. When it is full,
	// Record waits a moment and then counts the event as dropped.
	queueSize    = 16384
	recordWait   = 50 * time.Millisecond
	writeLimit   = 3 * time.Second
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
	lastTries    = 3 // once the actor is closed
)

// Actor takes events from any number of callers and writes them in batches, in the
// order in which they came. One goroutine makes batches, another writes them: so
// a database that is slow or away holds up nobody, and what it does not take in
// time goes to a spill file, from where it is written once the database is back.
type Actor struct {
	store   Store
	report  func(error)
	alarm   func(error)
	queue   chan authcore.Event
	nudge   chan struct{}
	backlog *backlog
	batched chan struct{} // closed when everything queued is in the backlog
	done    chan struct{} // closed when everything is written, or given up
	stop    chan struct{}
	ctx     context.Context // of writes; ends when there is no more time
	cancel  context.CancelFunc

	batch atomic.Int64
	every atomic.Int64 // nanoseconds
	sync  atomic.Bool
	hasty atomic.Bool

	gate   sync.RWMutex // held for reading by who records, so that Close can wait for them
	closed bool

	accepted, written, batches, failed, flushed atomic.Uint64
}

// Stats are an actor's counters.
type Stats struct {
	Accepted uint64 // events recorded
	Written  uint64 // events in the database
	Batches  uint64 // transactions that wrote them
	Failed   uint64 // transactions that failed
	Spilled  uint64 // events that went to a file first
	Dropped  uint64 // events that are lost
	Queue    int    // events that wait for a batch
	Waiting  int    // events in batches that wait in memory
	Spill    int64  // bytes that wait in files
	Writing  time.Duration
}

// New makes an actor and starts it. place is where spill files are, those of
// processes that died included; without one, what the database does not take waits
// in memory. report is told of failed writes, and by nil when writing goes on again;
// alarm of lost events and of trouble with spill files.
func New(store Store, place *SpillPlace, s Settings, report, alarm func(error)) *Actor {
	a := &Actor{store: store, report: report, alarm: alarm, queue: make(chan authcore.Event, queueSize), backlog: newBacklog(place, alarm),
		nudge: make(chan struct{}, 1), batched: make(chan struct{}), done: make(chan struct{}), stop: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.Configure(s)
	go a.collect()
	go a.write()
	return a
}

var _ authcore.Recorder = (*Actor)(nil)

// Configure changes the settings. What is zero is as in DefaultSettings.
func (a *Actor) Configure(s Settings) {
	a.batch.Store(int64(cmp.Or(s.Batch, DefaultSettings.Batch)))
	a.every.Store(int64(cmp.Or(s.Every, DefaultSettings.Every)))
	a.sync.Store(s.Sync)
	a.wake()
}

func (a *Actor) wake() {
	select {
	case a.nudge <- struct{}{}:
	default:
	}
}

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
	if a.sync.Load() && a.through(ev) {
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

// through writes an event at once. What fails goes the way of the others.
func (a *Actor) through(ev authcore.Event) bool {
	return a.insert([]authcore.Event{ev}, true) == nil
}

func (a *Actor) drop(n int) {
	a.backlog.mu.Lock()
	defer a.backlog.mu.Unlock()
	a.backlog.drop(n)
}

// Stats gives the counters as they are now.
func (a *Actor) Stats() Stats {
	s := Stats{Accepted: a.accepted.Load(), Written: a.written.Load(), Batches: a.batches.Load(), Failed: a.failed.Load(), Queue: len(a.queue),
		Writing: time.Duration(a.flushed.Load())}
	s.Waiting, s.Spill = a.backlog.depth()
	a.backlog.mu.Lock()
	defer a.backlog.mu.Unlock()
	s.Spilled, s.Dropped = a.backlog.spilled, a.backlog.dropped
	return s
}

// Hasten makes the actor write nearly through: the process is going to stop.
func (a *Actor) Hasten() {
	a.hasty.Store(true)
	a.wake()
}

// Close writes what waits, until ctx ends, and stops the actor. What the database
// does not take stays in a spill file for the next process. It returns an error
// where events were lost, now or before.
func (a *Actor) Close(ctx context.Context) error {
	a.gate.Lock()
	if !a.closed {
		a.closed = true
		close(a.stop)
	}
	a.gate.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		a.cancel()
		<-a.done
	}
	if lost := a.Stats().Dropped; lost > 0 {
		return fmt.Errorf("%d audit events were lost", lost)
	}
	return nil
}

// collect puts events into batches.
func (a *Actor) collect() {
	defer close(a.batched)
	every := time.Duration(a.every.Load())
	tick := time.NewTicker(every)
	defer tick.Stop()
	var batch []authcore.Event
	push := func() {
		if len(batch) > 0 {
			a.backlog.add(batch, time.Now())
			batch = nil
		}
	}
	for {
		select {
		case ev := <-a.queue:
			if batch = append(batch, ev); len(batch) >= int(a.batch.Load()) || a.hasty.Load() && len(a.queue) == 0 {
				push()
			}
		case <-tick.C:
			push()
			a.backlog.late(time.Now(), every)
		case <-a.nudge:
			if a.hasty.Load() {
				push()
			}
			if d := time.Duration(a.every.Load()); d != every {
				every = d
				tick.Reset(every)
			}
		case <-a.stop:
			for {
				select {
				case ev := <-a.queue:
					if batch = append(batch, ev); len(batch) >= int(a.batch.Load()) {
						push()
					}
					continue
				default:
				}
				push()
				return
			}
		}
	}
}

// write brings batch after batch to the database, until everything queued is there
// or the time is over.
func (a *Actor) write() {
	defer close(a.done)
	seal := time.NewTicker(DefaultSettings.Every)
	defer seal.Stop()
	for ending := false; !ending; {
		select {
		case <-a.backlog.ready:
		case <-seal.C:
			a.seal()
		case <-a.batched:
			ending = true
		}
		for a.next() {
			continue
		}
	}
	a.seal()
	if lost := a.backlog.end(); lost > 0 {
		a.drop(lost)
	}
}

// next writes the first batch that waits. It is false where there is none, or when
// the actor is closed and the database does not take it.
func (a *Actor) next() bool {
	batch, ok := a.backlog.first()
	if !ok || !a.insist(batch.events) {
		return false
	}
	a.backlog.written(batch)
	return true
}

// insist tries until the database has the events. Once the actor is closed it tries
// three times more.
func (a *Actor) insist(events []authcore.Event) bool {
	last := 0 // tries since the actor was closed
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		err := a.insert(events, false)
		if err != nil && !away(err) {
			events, err = a.single(events, err)
		}
		if err == nil {
			if wait > firstBackoff {
				a.report(nil)
			}
			return true
		}
		a.report(err)
		a.backlog.late(time.Now(), 0) // should the process die, a file has it
		select {
		case <-a.stop:
			if last++; last >= lastTries || !sleep(a.ctx, firstBackoff) {
				return false
			}
		case <-time.After(wait):
		}
	}
}

// away tells whether the database may take later what it does not take now.
func away(err error) bool {
	var ours *authcore.Error
	return errors.As(err, &ours) && ours.Kind == authcore.Unavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// single writes events one by one where the database refuses them together, so that
// one that it never takes does not hold up the others. Where it takes none, the
// trouble is not with the events: all of them remain.
func (a *Actor) single(events []authcore.Event, first error) ([]authcore.Event, error) {
	if len(events) == 1 {
		return events, first
	}
	var refused []authcore.Event
	for i := range events {
		err := a.insert(events[i:i+1], false)
		if err != nil && away(err) {
			return events, err
		}
		if err != nil {
			refused = append(refused, events[i])
			first = err
		}
	}
	if len(refused) == len(events) {
		return events, first
	}
	for _, ev := range refused {
		a.alarm(fmt.Errorf("the audit event %s (%s) is lost: the database refuses it: %w", ev.ID, ev.Action, first))
		a.drop(1)
	}
	return nil, nil
}

// insert writes events once.
func (a *Actor) insert(events []authcore.Event, durable bool) error {
	ctx, cancel := context.WithTimeout(a.ctx, writeLimit)
	defer cancel()
	began := time.Now()
	err := a.store.InsertEvents(ctx, events, durable)
	a.flushed.Add(uint64(time.Since(began)))
	if err != nil {
		a.failed.Add(1)
		return err
	}
	a.batches.Add(1)
	a.written.Add(uint64(len(events)))
	return nil
}

// seal makes what commands have written a part of the chain. Where that fails it is
// tried again with the next tick.
func (a *Actor) seal() {
	ctx, cancel := context.WithTimeout(a.ctx, writeLimit)
	defer cancel()
	if err := a.store.SealEvents(ctx, false); err != nil && a.ctx.Err() == nil {
		a.report(err)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
