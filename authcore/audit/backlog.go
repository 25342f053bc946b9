package audit

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// backlog is what waits for the database, in order: first files, then memory. New
// batches go to memory, or to the last file as long as one is there. Who writes to
// the database takes the first batch, and says when it is written.
type backlog struct {
	place *SpillPlace // nil: memory only
	alarm func(error)
	ready chan struct{} // has a token when there may be something to take

	mu      sync.Mutex
	files   []*spillFile
	memory  []pending
	waiting int  // events in memory
	dirty   bool // the last file has lines that the disk may not have
	full    bool // the last try to write to a file failed

	spilled, dropped uint64
}

// pending is a batch in memory, and when it came.
type pending struct {
	events []authcore.Event
	at     time.Time
}

// memoryLimit is how many events wait in memory at most.
const memoryLimit = 16384

func newBacklog(place *SpillPlace, alarm func(error)) *backlog {
	b := &backlog{place: place, alarm: alarm, ready: make(chan struct{}, 1)}
	if place != nil {
		if b.files = place.left(); len(b.files) > 0 {
			b.ready <- struct{}{}
		}
	}
	return b
}

// add puts a batch behind the others.
func (b *backlog) add(events []authcore.Event, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wake()
	if len(b.files) > 0 && len(b.memory) == 0 && b.toFile(events) {
		return
	}
	if b.waiting+len(events) > memoryLimit {
		if !b.spill() || !b.toFile(events) {
			b.drop(len(events))
		}
		return
	}
	b.memory = append(b.memory, pending{events, now})
	b.waiting += len(events)
}

func (b *backlog) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// spill moves what waits in memory to a file, and tells whether it could. b.mu is
// held.
func (b *backlog) spill() bool {
	for len(b.memory) > 0 {
		if !b.toFile(b.memory[0].events) {
			return false
		}
		b.forget()
	}
	return true
}

// forget takes the first batch out of memory. b.mu is held.
func (b *backlog) forget() {
	b.waiting -= len(b.memory[0].events)
	if b.memory = b.memory[1:]; len(b.memory) == 0 {
		b.memory = nil // with the array behind it
	}
}

// toFile appends a batch to the last file, or to a new one. b.mu is held.
func (b *backlog) toFile(events []authcore.Event) bool {
	if b.place == nil {
		return false
	}
	var err error
	if len(b.files) == 0 {
		var f *spillFile
		if f, err = b.place.open(); err == nil {
			b.files = append(b.files, f)
		}
	}
	if err == nil {
		err = b.files[len(b.files)-1].add(events)
	}
	if err != nil {
		if !b.full {
			b.alarm(fmt.Errorf("the audit spill file cannot be written: %w", err))
		}
		b.full = true
		return false
	}
	b.full, b.dirty = false, true
	b.spilled += uint64(len(events))
	return true
}

// drop counts events that are lost, and says so for the first and every
// thousandth. b.mu is held.
func (b *backlog) drop(n int) {
	before := b.dropped
	b.dropped += uint64(n)
	if before == 0 || before/1000 != b.dropped/1000 {
		b.alarm(fmt.Errorf("%d audit events are lost: neither the database nor a spill file takes them", b.dropped))
	}
}

// late sees to it that nothing is in memory alone for longer than an interval, and
// that the disk has what is in the file.
func (b *backlog) late(now time.Time, every time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.memory) > 0 && now.Sub(b.memory[0].at) >= every {
		b.spill()
	}
	b.sync()
}

// sync brings the last file to the disk. b.mu is held.
func (b *backlog) sync() {
	if b.dirty && len(b.files) > 0 {
		if err := b.files[len(b.files)-1].f.Sync(); err != nil {
			b.alarm(fmt.Errorf("the audit spill file cannot be written: %w", err))
			return
		}
	}
	b.dirty = false
}

// taken is the first batch, and where it came from.
type taken struct {
	events []authcore.Event
	file   *spillFile // nil: memory
	end    int64
}

// first gives the first batch without taking it away; false where there is none.
func (b *backlog) first() (taken, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.files) > 0 {
		f := b.files[0]
		events, end, err := f.next()
		switch {
		case err == nil:
			return taken{events, f, end}, true
		case errors.Is(err, errDamaged):
			b.alarm(err)
			f.done(end)
		case errors.Is(err, io.EOF):
			b.close()
		default:
			b.alarm(fmt.Errorf("the audit spill file cannot be read: %w", err))
			return taken{}, false
		}
	}
	if len(b.memory) == 0 {
		return taken{}, false
	}
	return taken{events: b.memory[0].events}, true
}

// close removes the first file, of which the database has everything. b.mu is held.
func (b *backlog) close() {
	if err := b.files[0].remove(); err != nil {
		b.alarm(fmt.Errorf("the audit spill file cannot be removed: %w", err))
	}
	b.files = b.files[1:]
}

// written says that the database has the batch that first gave. It may have been
// spilled meanwhile: then the file begins with it.
func (b *backlog) written(t taken) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := t.file
	if f == nil && len(b.files) > 0 { // there was none when it was taken
		f = b.files[0]
		_, t.end, _ = f.next()
	}
	if f == nil {
		b.forget()
		return
	}
	f.done(t.end)
	if f.empty() {
		b.close()
	}
}

// end closes everything; what the database does not have stays in a file for the
// next process. It tells how many events could not be kept.
func (b *backlog) end() (lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.spill() {
		lost = b.waiting
	}
	for len(b.files) > 0 && b.files[0].empty() {
		b.close()
	}
	for _, f := range b.files {
		if err := f.keep(); err != nil {
			b.alarm(fmt.Errorf("the audit spill file cannot be written: %w", err))
		}
	}
	b.files = nil
	return lost
}

// depth is how many events wait in memory, and how many bytes in files.
func (b *backlog) depth() (events int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.files {
		bytes += f.size - f.read
	}
	return b.waiting, bytes
}
