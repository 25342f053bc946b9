package password

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func acquire(t *testing.T, g *Gate) (release func()) {
	t.Helper()
	release, err := g.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestGateRefusesAtOnce(t *testing.T) {
	t.Parallel()
	g := NewGate(2)
	first := acquire(t, g)
	second := acquire(t, g)
	if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if diff := cmp.Diff(GateStats{InUse: 2, Permits: 2, Refused: 1}, g.Stats()); diff != "" {
		t.Error(diff)
	}
	first()
	first() // A second call gives nothing back.
	acquire(t, g)
	if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	second()
	if got := g.Stats().InUse; got != 1 {
		t.Errorf("%d in use, want 1", got)
	}
}

// Busy says what Acquire would, and changes nothing but the count of refusals.
func TestGateBusy(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	known := For(t.Context(), Caller{Known: true, Address: "a", Network: "a"})
	for _, ctx := range []context.Context{t.Context(), known} {
		if err := g.Busy(ctx); err != nil {
			t.Errorf("with a permit free: %v", err)
		}
	}
	defer acquire(t, g)()
	if err := g.Busy(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("with none free: %v, want ErrBusy", err)
	}
	if err := g.Busy(known); err != nil {
		t.Errorf("somebody known has a place in the line, but: %v", err)
	}
	if diff := cmp.Diff(GateStats{InUse: 1, Permits: 1, Refused: 1}, g.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestGateWithoutLimit(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*Gate{"0": NewGate(0), "negative": NewGate(-1), "zero value": {}} {
		for range 100 {
			acquire(t, g)
		}
		if diff := cmp.Diff(GateStats{InUse: 100}, g.Stats()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		// Those held count when a limit comes.
		g.SetPermits(100)
		if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: got %v, want ErrBusy", name, err)
		}
	}
}

func TestGateEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := NewGate(1)
	if _, err := g.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(GateStats{Permits: 1}, g.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestGateWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		g.SetWait(time.Second)
		release := acquire(t, g)

		// Nothing comes free: refused after the wait, not before.
		began := time.Now()
		if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v, want ErrBusy", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}

		// Granted in the order of arrival.
		var order []int
		var mu sync.Mutex
		for i := range 3 {
			go func() {
				r, err := g.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				r()
			}()
			synctest.Wait()
		}
		if diff := cmp.Diff(GateStats{InUse: 1, Permits: 1, Waiting: 3, Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
		release()
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1, 2}, order); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(GateStats{Permits: 1, Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGateCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		g.SetWait(time.Minute)
		release := acquire(t, g)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := g.Acquire(ctx)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if diff := cmp.Diff(GateStats{InUse: 1, Permits: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
		release()
		acquire(t, g)
	})
}

// The permit is granted in the same instant in which the caller gives up: it
// must go to the next, not get lost.
func TestGateGrantMeetsCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		for range 1000 {
			g.SetWait(time.Minute)
			release := acquire(t, g)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if r, err := g.Acquire(ctx); err == nil {
					r()
				}
			}()
			synctest.Wait()
			go cancel()
			go release()
			<-done
			synctest.Wait()
			if diff := cmp.Diff(GateStats{Permits: 1}, g.Stats()); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestGateSetPermits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(3)
		a, b, c := acquire(t, g), acquire(t, g), acquire(t, g)
		g.SetPermits(1)
		if diff := cmp.Diff(GateStats{InUse: 3, Permits: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
		a()
		b()
		if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy: one of one is held", err)
		}

		// Raised: those who wait get theirs at once.
		g.SetWait(time.Minute)
		releases := make(chan func(), 3)
		for range 3 {
			go func() {
				r, err := g.Acquire(t.Context())
				if err != nil {
					t.Error(err)
				}
				releases <- r
			}()
		}
		synctest.Wait()
		g.SetPermits(3)
		synctest.Wait()
		if diff := cmp.Diff(GateStats{InUse: 3, Permits: 3, Waiting: 1, Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
		g.SetPermits(0)
		synctest.Wait()
		if diff := cmp.Diff(GateStats{InUse: 4, Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
		c()
		for range 3 {
			(<-releases)()
		}
		if diff := cmp.Diff(GateStats{Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGateQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		g.SetWait(time.Hour)
		release := acquire(t, g)
		for range maxWaiting {
			go func() {
				if r, err := g.Acquire(t.Context()); err == nil {
					r()
				}
			}()
		}
		synctest.Wait()
		if _, err := g.Acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		release()
		synctest.Wait()
		if diff := cmp.Diff(GateStats{Permits: 1, Refused: 1}, g.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

// Everything at once, for the race detector; in the end no permit is missing.
func TestGateUnderLoad(t *testing.T) {
	t.Parallel()
	g := NewGate(2)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 500 {
				switch r.IntN(10) {
				case 0:
					g.SetPermits(r.IntN(4))
				case 1:
					g.SetWait(time.Duration(r.IntN(3)) * 100 * time.Microsecond)
				default:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(200))*time.Microsecond)
					if release, err := g.Acquire(ctx); err == nil {
						release()
					}
					cancel()
				}
				g.Stats()
			}
		})
	}
	wg.Wait()
	g.SetPermits(2)
	got := g.Stats()
	got.Refused = 0
	if diff := cmp.Diff(GateStats{Permits: 2}, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkGate(b *testing.B) {
	g := NewGate(4)
	b.ReportAllocs()
	for b.Loop() {
		release, err := g.Acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
}
