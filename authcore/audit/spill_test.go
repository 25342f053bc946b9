package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func spillPlace(t *testing.T) *SpillPlace { return &SpillPlace{Dir: t.TempDir(), Name: "test"} }

// spillFiles are those on the disk.
func spillFiles(t *testing.T, p *SpillPlace) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Dir, "*"+spillEnding))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// spilling is a bubble whose actor has a place to spill to.
func spilling(t *testing.T, f func(*actorTest, *SpillPlace)) {
	place := spillPlace(t)
	inBubble(t, func(a *actorTest) {
		a.close(time.Minute)
		a.start(place)
		f(a, place)
	})
}

// A database that is away for an hour, with more events than memory takes: all of
// them are written in order, and nobody waited.
func TestSpill(t *testing.T) {
	spilling(t, func(a *actorTest, place *SpillPlace) {
		a.table.fail = -1
		start := time.Now()
		for range 30 {
			a.record(1000)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("recording took %s", took)
		}
		time.Sleep(time.Hour)
		s := a.Stats()
		if s.Spilled != 30_000 || s.Waiting != 0 || s.Spill == 0 || s.Dropped != 0 || len(spillFiles(t, place)) != 1 {
			t.Errorf("%+v, want everything in one file", s)
		}
		a.table.set(func(s *table) { s.fail = 0 })
		time.Sleep(maxBackoff)
		a.record(250) // behind the others
		time.Sleep(interval)
		synctest.Wait()
		a.wroteAll()
		if s := a.Stats(); len(spillFiles(t, place)) != 0 || s.Spill != 0 {
			t.Errorf("left: %v, %+v", spillFiles(t, place), s)
		}
		a.record(1)
		time.Sleep(interval)
		a.wroteAll()
	})
}

// What is in memory when a write hangs is in a file before long.
func TestSpillWhileAWriteHangs(t *testing.T) {
	spilling(t, func(a *actorTest, place *SpillPlace) {
		release := make(chan struct{})
		a.table.block = release
		a.record(3*batchSize + 5)
		time.Sleep(2 * interval)
		synctest.Wait()
		if s := a.Stats(); s.Spilled == 0 || s.Waiting != 0 {
			t.Errorf("%+v, want all in a file", s)
		}
		a.table.set(func(s *table) { s.block = nil })
		close(release)
		time.Sleep(interval)
		synctest.Wait()
		a.wroteAll()
		if left := spillFiles(t, place); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// The database is away when the actor is closed: the next one writes what waits,
// in order, before what is new.
func TestSpillOutlivesTheActor(t *testing.T) {
	spilling(t, func(a *actorTest, place *SpillPlace) {
		a.table.fail = -1
		a.record(3*batchSize + 50)
		a.close(time.Minute)
		if s := a.Stats(); s.Dropped != 0 || len(spillFiles(t, place)) != 1 {
			t.Fatalf("%+v, files %v", s, spillFiles(t, place))
		}
		a.table.set(func(s *table) { s.fail = 0 })
		a.start(place)
		a.record(10)
		a.close(time.Minute)
		if diff := cmp.Diff(a.want, a.table.ids()); diff != "" || len(spillFiles(t, place)) != 0 {
			t.Errorf("files %v, events (-want +got):\n%s", spillFiles(t, place), diff)
		}
	})
}

// A crash leaves a file whose last line is cut off. The next process writes the
// rest of it, and appends behind it.
func TestSpillAfterACrash(t *testing.T) {
	for _, cut := range []int{0, 1, 30} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			spilling(t, func(a *actorTest, place *SpillPlace) {
				var file []byte
				for i := range 3 {
					line, err := spillLine([]authcore.Event{{ID: fmt.Sprintf("%06d", i)}})
					if err != nil {
						t.Fatal(err)
					}
					file = append(file, line...)
				}
				name := filepath.Join(place.Dir, "test-1"+spillEnding)
				if err := os.WriteFile(name, file[:len(file)-cut], 0o600); err != nil {
					t.Fatal(err)
				}
				a.close(time.Minute)
				a.table.fail = -1
				a.start(place)
				a.want = []string{"000000", "000001", "000002"}[:3-min(cut, 1)]
				a.record(batchSize)
				time.Sleep(10 * time.Second)
				a.table.set(func(s *table) { s.fail = 0 })
				time.Sleep(maxBackoff + interval)
				synctest.Wait()
				if diff := cmp.Diff(a.want, a.table.ids()); diff != "" || len(spillFiles(t, place)) != 0 {
					t.Errorf("files %v, events (-want +got):\n%s", spillFiles(t, place), diff)
				}
			})
		})
	}
}

// A line that was damaged is reported; the others arrive.
func TestDamagedSpill(t *testing.T) {
	spilling(t, func(a *actorTest, place *SpillPlace) {
		good, err := spillLine([]authcore.Event{{ID: "good"}})
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Replace(good, []byte("good"), []byte("evil"), 1)
		name := filepath.Join(place.Dir, "test-1"+spillEnding)
		if err := os.WriteFile(name, slices.Concat([]byte("no line of ours\n"), bad, good, []byte("\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		a.close(time.Minute)
		a.start(place)
		time.Sleep(interval)
		synctest.Wait()
		if got := a.table.ids(); !slices.Equal(got, []string{"good"}) || a.errors.Load() != 3 {
			t.Errorf("%q arrived and %d errors were reported, want one and 3", got, a.errors.Load())
		}
	})
}

// A file of a process that lives is left alone.
func TestSpillOfAnother(t *testing.T) {
	place := spillPlace(t)
	first, err := place.open()
	if err != nil {
		t.Fatal(err)
	}
	defer first.remove()
	if all := place.left(); len(all) != 0 {
		t.Error("taken over from a process that lives")
	}
	if info, err := first.f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Neither file nor database: what fits in memory waits, the rest is counted. When
// there is room on the disk again, all goes on.
func TestSpillWithoutRoom(t *testing.T) {
	spilling(t, func(a *actorTest, place *SpillPlace) {
		dir := place.Dir
		place.Dir = filepath.Join(dir, "file", "below")
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a.table.fail = -1
		a.record(memoryLimit / batchSize * batchSize)
		kept := slices.Clone(a.want)
		a.record(batchSize)
		if s := a.Stats(); s.Dropped != uint64(batchSize) || s.Spilled != 0 {
			t.Errorf("%+v, want %d dropped", s, batchSize)
		}
		place.Dir = dir
		a.want = kept
		a.record(batchSize)
		a.table.set(func(s *table) { s.fail = 0 })
		time.Sleep(maxBackoff + interval)
		synctest.Wait()
		if diff := cmp.Diff(a.want, a.table.ids()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// An event that the database never takes does not hold up the others.
func TestRefusedEvent(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.table.refuse = "000003"
		a.record(batchSize)
		time.Sleep(interval)
		synctest.Wait()
		a.want = slices.Delete(a.want, 3, 4)
		if diff := cmp.Diff(a.want, a.table.ids()); diff != "" || a.Stats().Dropped != 1 {
			t.Errorf("%d dropped; events (-want +got):\n%s", a.Stats().Dropped, diff)
		}
	})
}

// With durability sync an event is in the database when Record returns.
func TestSync(t *testing.T) {
	inBubble(t, func(a *actorTest) {
		a.Configure(Settings{Batch: batchSize, Every: interval, Sync: true})
		a.record(2)
		a.wrote(1, 1)
		a.table.set(func(s *table) { s.fail = 1 })
		a.record(1) // fails, and goes the way of the others
		time.Sleep(interval)
		a.wroteAll()
	})
}

// FuzzSpill: what a file says is read or refused, never anything else.
func FuzzSpill(f *testing.F) {
	line, err := spillLine([]authcore.Event{authcore.NewEvent(time.Unix(1, 0), authcore.CommandLine(), authcore.UserLogin, "user:1", authcore.Success, "é\n")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("00000000 []\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		events, err := parseSpill(line)
		if err != nil {
			return
		}
		again, err := spillLine(events)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseSpill(again); err != nil || !cmp.Equal(events, back) {
			t.Errorf("%q reads %v, then %v, %v", strings.TrimSpace(string(line)), events, back, err)
		}
	})
}
