package password

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore/password/argon2id"
)

// sizes of the idle memories, in KiB, the last used last.
func (m *memories) sizes() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []int
	for _, work := range m.idle {
		all = append(all, work.Size())
	}
	return all
}

func run(m *memories, kib uint32) {
	m.derive([]byte("a violet umbrella"), []byte("somesalt"), Params{Memory: kib, Passes: 1, Lanes: 1}, 32)
}

func TestMemoriesAreReused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		steps := []struct {
			what string
			kib  uint32
			want []int
		}{
			{"the first", 64, []int{64}},
			{"the same", 64, []int{64}},
			{"a smaller one in a part of it", 16, []int{64}},
			{"a larger one in its place", 256, []int{256}},
		}
		var m memories
		for _, step := range steps {
			run(&m, step.kib)
			if diff := cmp.Diff(step.want, m.sizes()); diff != "" {
				t.Errorf("%s: %s", step.what, diff)
			}
		}
	})
}

func TestMemoriesTakeTheBest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tests := []struct{ want, size int }{{64, 8}, {64, 64}, {128, 65}, {256, 200}, {64, 300}}
		var m memories
		// Three at once, so there are three.
		works := []*memory{m.take(0), m.take(0), m.take(0)}
		for i, kib := range []uint32{128, 64, 256} {
			works[i].Derive(make([]byte, 32), nil, nil, argon2id.Cost{Memory: kib, Passes: 1, Lanes: 1})
			m.put(works[i], true)
		}
		for _, test := range tests {
			work := m.take(test.size)
			if work.Size() != test.want {
				t.Errorf("for %d KiB it took one of %d, want %d", test.size, work.Size(), test.want)
			}
			m.put(work, true)
		}
	})
}

// As many as hashes at once, and none later.
func TestMemoriesGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m memories
		for range 3 {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { run(&m, 64) })
			}
			wg.Wait()
			if n := len(m.sizes()); n < 1 || n > 4 {
				t.Errorf("%d memories for 4 hashes at once", n)
			}
			time.Sleep(idleMemory - time.Second)
			if len(m.sizes()) == 0 {
				t.Error("no memory is left too soon")
			}
			time.Sleep(idleMemory + 2*time.Second)
			if m.sizes() != nil || m.ticking {
				t.Errorf("after twice the time there are %v, ticking %v", m.sizes(), m.ticking)
			}
		}
	})
}

// A large hash now and then among small ones that never cease: its memory goes,
// and stays while large ones come.
func TestMemoriesShrink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m memories
		for range 5 {
			run(&m, 256)
			time.Sleep(idleMemory - time.Second)
			if diff := cmp.Diff([]int{256}, m.sizes()); diff != "" {
				t.Error(diff)
			}
		}
		for range 50 {
			run(&m, 64)
			// In use whenever the idle ones are looked through.
			work := m.take(64)
			time.Sleep(idleMemory / 4)
			m.put(work, false)
		}
		for _, size := range m.sizes() {
			if size > 64 {
				t.Errorf("there is one of %d KiB still", size)
			}
		}
	})
}

func TestHashesLeaveLittleGarbage(t *testing.T) {
	h := newHasher(t, NewGate(1), DefaultParams)
	stored := mustHash(t, h, "a violet umbrella")
	const hashes = 5
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range hashes {
		if ok, _, err := h.Verify(t.Context(), stored, "a violet umbrella"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / hashes; got > 8<<10 {
		t.Errorf("%d bytes of garbage for each hash", got)
	}
}
