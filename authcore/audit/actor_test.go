package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var (
	batchSize = DefaultSettings.Batch
	interval  = DefaultSettings.Every
)

// table is a Store in memory.
type table struct {
	mu      sync.Mutex
	batches [][]string // ids, of those written
	has     map[string]bool
	fail    int    // how many more writes fail; less than 0 is all
	refuse  string // the id of an event that is never taken
	late    bool   // a write that fails has written all the same
	block   chan struct{}
	calls   int
}

var errAway = authcore.ErrUnavailable.With(errors.New("away"))

func (s *table) InsertEvents(ctx context.Context, events []authcore.Event, _ bool) error {
	s.mu.Lock()
	block := s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.refuse != "" && slices.ContainsFunc(events, func(ev authcore.Event) bool { return ev.ID == s.refuse }) {
		return errors.New("database: refused")
	}
	if s.fail != 0 && !s.late {
		s.fail--
		return errAway
	}
	ids := make([]string, 0, len(events))
	for _, ev := range events {
		if !s.has[ev.ID] {
			s.has[ev.ID] = true
			ids = append(ids, ev.ID)
		}
	}
	s.batches = append(s.batches, ids)
	if s.fail != 0 {
		s.fail--
		return errAway
	}
	return nil
}

func (s *table) SealEvents(context.Context, bool) error { return nil }

func (s *table) set(f func(*table)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// sizes are those of the batches.
func (s *table) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sizes []int
	for _, b := range s.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

func (s *table) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.batches...)
}

// actorTest is an actor in a bubble of synctest, where time passes when
// nothing else happens.
type actorTest struct {
	*Actor
	t      *testing.T
	table  *table
	errors atomic.Int32
	want   []string // what was recorded
}

func inBubble(t *testing.T, f func(*actorTest)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &actorTest{t: t, table: &table{has: make(map[string]bool)}}
		a.start(nil)
		f(a)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		a.Close(ctx)
		synctest.Wait()
	})
}

func (a *actorTest) start(place *SpillPlace) {
	count := func(err error) {
		if err != nil {
			a.errors.Add(1)
		}
	}
	a.Actor = New(a.table, place, DefaultSettings, count, count)
}

func (a *actorTest) record(n int) {
	for range n {
		id := fmt.Sprintf("%06d", len(a.want))
		a.want = append(a.want, id)
		a.Record(authcore.Event{ID: id})
	}
	synctest.Wait()
}

// wrote compares the sizes of the batches so far.
func (a *actorTest) wrote(sizes ...int) {
	a.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(sizes, a.table.sizes()); diff != "" {
		a.t.Errorf("batches (-want +got):\n%s", diff)
	}
}

// wroteAll checks that every event was written once, in order.
func (a *actorTest) wroteAll() {
	a.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(a.want, a.table.ids()); diff != "" {
		a.t.Errorf("events (-want +got):\n%s", diff)
	}
	if a.Stats().Dropped != 0 || a.written.Load() != uint64(len(a.want)) {
		a.t.Errorf("%d dropped and %d written, want 0 and %d", a.Stats().Dropped, a.written.Load(), len(a.want))
	}
}

func (a *actorTest) close(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	a.Close(ctx)
}

func TestBatches(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.record(batchSize - 1)
		a.wrote()
		a.record(1) // full: at once
		a.wrote(batchSize)
		a.record(2*batchSize + 3)
		a.wrote(batchSize, batchSize, batchSize)
		time.Sleep(interval)
		a.wrote(batchSize, batchSize, batchSize, 3)
		time.Sleep(time.Hour) // nothing to write, nothing is written
		a.wrote(batchSize, batchSize, batchSize, 3)
		a.wroteAll()
	})
}

func TestQuietQueueIsWritten(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		for n := range 5 {
			a.record(1)
			time.Sleep(interval)
			a.wrote(slices.Repeat([]int{1}, n+1)...)
		}
		a.wroteAll()
	})
}

func TestRetry(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.fail = 5
		a.record(batchSize)
		a.record(7) // waits behind what cannot be written
		time.Sleep(10 * time.Second)
		synctest.Wait()
		a.wroteAll()
		if got := a.errors.Load(); got != 5 {
			t.Errorf("%d errors reported, want 5", got)
		}
	})
}

// Away for an hour: nothing is lost, and the wait between two tries stays short.
func TestLongOutage(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.fail = -1
		a.record(3 * batchSize)
		time.Sleep(time.Hour)
		if tries := a.errors.Load(); tries < int32(time.Hour/maxBackoff) || tries > 2*int32(time.Hour/maxBackoff) {
			t.Errorf("%d tries in an hour", tries)
		}
		a.table.set(func(s *table) { s.fail = 0 })
		time.Sleep(maxBackoff)
		time.Sleep(interval)
		a.wroteAll()
	})
}

// A write that hangs is given up and tried again.
func TestWriteThatHangs(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.block = make(chan struct{})
		a.record(batchSize)
		time.Sleep(writeLimit + time.Second)
		if a.errors.Load() == 0 {
			t.Error("nothing was reported")
		}
		a.table.set(func(s *table) { s.block = nil })
		time.Sleep(writeLimit + maxBackoff)
		a.wrote(batchSize)
		a.wroteAll()
	})
}

// A write whose answer was lost is made again with the same ids, so that the
// store can leave out what it has.
func TestLostAnswer(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.fail, a.table.late = 1, true
		a.record(batchSize)
		time.Sleep(time.Second)
		a.wrote(batchSize, 0)
		a.wroteAll()
	})
}

func TestHasten(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.record(3)
		a.Hasten()
		a.wrote(3)
		a.record(1) // no time passes from here
		a.wrote(3, 1)
		a.Hasten()
		a.record(1)
		a.wrote(3, 1, 1)
		a.wroteAll()
	})
}

func TestCloseDrains(t *testing.T) {
	for _, n := range []int{0, 1, batchSize, 10*batchSize + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, func(a *actorTest) {
				release := make(chan struct{})
				a.table.block = release // so that some is in the queue still
				a.record(n)
				a.table.set(func(s *table) { s.block = nil })
				close(release)
				a.close(time.Minute)
				a.wroteAll()
				a.close(time.Minute) // again does no harm
				a.Record(authcore.Event{ID: "too late"})
				if a.Stats().Dropped != 1 || slices.Contains(a.table.ids(), "too late") {
					t.Errorf("%d dropped after the end, want 1", a.Stats().Dropped)
				}
			})
		})
	}
}

// Close gives up when its context ends: it does not hang on a database that does.
func TestCloseIsBounded(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.block = make(chan struct{})
		a.record(batchSize + 5)
		start := time.Now()
		a.close(1500 * time.Millisecond)
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		a.table.set(func(s *table) { close(s.block); s.block = nil })
	})
}

// When the database is away at the end, each event that is lost is counted,
// once.
func TestLostEventsAreCounted(t *testing.T) {
	for _, n := range []int{1, batchSize, batchSize + 50, 5*batchSize + 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inBubble(t, func(a *actorTest) {
				a.table.fail = -1
				a.record(n)
				a.close(time.Minute)
				synctest.Wait()
				if a.Stats().Dropped != uint64(n) || a.written.Load() != 0 {
					t.Errorf("%d dropped and %d written, want %d and 0", a.Stats().Dropped, a.written.Load(), n)
				}
			})
		})
	}
}

// What neither the database nor a file takes waits in memory up to a bound; beyond
// it events are dropped, counted and reported, and nobody waits.
func TestFullMemory(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		release := make(chan struct{})
		a.table.block = release
		start := time.Now()
		a.record(memoryLimit / batchSize * batchSize)
		kept := slices.Clone(a.want)
		a.record(batchSize)
		if took := time.Since(start); took != 0 || a.Stats().Dropped != uint64(batchSize) || a.errors.Load() == 0 {
			t.Errorf("after %s %d dropped and %d errors, want at once %d, reported", took, a.Stats().Dropped, a.errors.Load(), batchSize)
		}
		a.table.set(func(s *table) { s.block = nil })
		close(release)
		synctest.Wait()
		if got := a.table.ids(); !slices.Equal(got, kept) {
			t.Errorf("%d events were written, want %d in order", len(got), len(kept))
		}
	})
}

// At once, under the race detector, with a database that fails now and then.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 2000
	flaky := new(flakyStore)
	a := New(flaky, nil, DefaultSettings, func(error) {}, func(error) {})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				a.Record(authcore.Event{ID: fmt.Sprint(w, "-", i)})
			}
		})
	}
	wg.Wait()
	a.Hasten()
	a.Close(t.Context())
	flaky.mu.Lock()
	defer flaky.mu.Unlock()
	if len(flaky.seen) != writers*each || a.Stats().Dropped != 0 || a.written.Load() != writers*each {
		t.Errorf("%d in the database, %d written, %d dropped, want %d", len(flaky.seen), a.written.Load(), a.Stats().Dropped, writers*each)
	}
}

// flakyStore fails every seventh write, once it has written half of it.
type flakyStore struct {
	mu    sync.Mutex
	calls int
	seen  map[string]bool
}

func (s *flakyStore) SealEvents(context.Context, bool) error { return nil }

func (s *flakyStore) InsertEvents(_ context.Context, events []authcore.Event, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.calls++
	broken := s.calls%7 == 0
	for i, ev := range events {
		if broken && i > len(events)/2 {
			return errAway
		}
		s.seen[ev.ID] = true
	}
	if broken {
		return errAway
	}
	return nil
}
