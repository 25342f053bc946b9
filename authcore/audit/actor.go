package audit

import (
	"cmp"
	"context"
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
	queueSize    = 4096
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
	Parts
	store   Store
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

	accepted, written, batches, failed atomic.Uint64

	writing atomic.Int64 // nanoseconds that writes took

	queued atomic.Int64 // events recorded that are in no batch yet
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

// Parts are what an actor needs besides a database.
type Parts struct {
	// Spill is where spill files are, those of processes that died included; without
	// one, what the database does not take waits in memory.
	Spill *SpillPlace
	Now   func() time.Time
	// Report is told of failed writes, and by nil when writing goes on again; Alarm of
	// lost events and of trouble with spill files.
	Report, Alarm func(error)
}

// New makes an actor and starts it.
func New(store Store, s Settings, p Parts) *Actor {
	a := &Actor{Parts: p, store: store, queue: make(chan authcore.Event, queueSize), backlog: newBacklog(p.Spill, p.Alarm),
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
		a.backlog.dropped.Add(1)
		return
	}
	if a.sync.Load() && a.through(ev) {
		return
	}
	a.queued.Add(1)
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
		a.queued.Add(-1)
		a.backlog.dropped.Add(1)
	}
}

// through writes an event at once, unless others wait: then it goes behind them, as
// does one that fails.
func (a *Actor) through(ev authcore.Event) bool {
	if s := a.Stats(); s.Queue > 0 || s.Waiting > 0 || s.Spill > 0 {
		return false
	}
	return a.insert([]authcore.Event{ev}, true) == nil
}

// mourn raises the alarm for events that were lost since the last time.
func (a *Actor) mourn(before uint64) uint64 {
	lost := a.backlog.dropped.Load()
	if lost > before {
		a.Alarm(fmt.Errorf("%d audit events are lost: neither the database nor a spill file takes them", lost))
	}
	return lost
}

// Stats gives the counters as they are now.
func (a *Actor) Stats() Stats {
	s := Stats{Accepted: a.accepted.Load(), Written: a.written.Load(), Batches: a.batches.Load(), Failed: a.failed.Load(), Queue: int(a.queued.Load()),
		Dropped: a.backlog.dropped.Load(), Writing: time.Duration(a.writing.Load())}
	s.Waiting, s.Spill = a.backlog.depth()
	s.Spilled = a.backlog.spilled.Load()
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
	defer context.AfterFunc(ctx, a.cancel)() // also of a write that somebody who records waits for
	a.gate.Lock()
	if !a.closed {
		a.closed = true
		close(a.stop)
	}
	a.gate.Unlock()
	<-a.done
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
			a.backlog.add(batch, a.Now())
			a.queued.Add(-int64(len(batch))) // now that the backlog counts them
			batch = nil
		}
	}
	gather := func(ev authcore.Event) {
		if batch == nil {
			batch = make([]authcore.Event, 0, min(int(a.batch.Load()), len(a.queue)+1))
		}
		if batch = append(batch, ev); len(batch) >= int(a.batch.Load()) {
			push()
		}
	}
	lost := uint64(0)
	for {
		select {
		case ev := <-a.queue:
			if gather(ev); a.hasty.Load() && len(a.queue) == 0 {
				push()
			}
		case <-tick.C:
			push()
			a.backlog.late(a.Now(), every)
			lost = a.mourn(lost)
		case <-a.nudge:
			if a.hasty.Load() {
				push()
			}
			if d := time.Duration(a.every.Load()); d != every {
				every = d
				tick.Reset(every)
			}
		case <-a.stop:
			for len(a.queue) > 0 { // nobody records any more
				gather(<-a.queue)
			}
			push()
			a.mourn(lost)
			return
		}
	}
}
