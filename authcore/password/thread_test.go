package password

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// No work that was taken on is lost, and none is done twice, when threads end
// and begin all the time.
func TestThreadsDoEverything(t *testing.T) {
	t.Parallel()
	var pool threads
	var done atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if err := pool.run(t.Context(), func() { done.Add(1) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := done.Load(); n != 1600 {
		t.Errorf("called %d functions of 1600", n)
	}
	if n := len(pool.idle); n < 1 || n > 8 {
		t.Errorf("%d threads for 8 at once", n)
	}
}

func TestThreadsEndWithoutWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pool threads
		for range 2 {
			if err := pool.run(t.Context(), func() {}); err != nil {
				t.Fatal(err)
			}
		}
		waiting := func() int {
			synctest.Wait()
			pool.mu.Lock()
			defer pool.mu.Unlock()
			return len(pool.idle)
		}
		time.Sleep(threadIdle - time.Millisecond)
		if n := waiting(); n != 1 {
			t.Errorf("%d threads wait, want the one that is still young", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := waiting(); n != 0 {
			t.Errorf("%d threads wait, want none after %v", n, threadIdle)
		}
		if err := pool.run(t.Context(), func() {}); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * threadIdle) // so that none is left when the test ends
	})
}

// Whoever has gone away meanwhile needs no hash.
func TestCancelledHashIsNotBegun(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	h := newHasher(t, g, cheap)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := false
	if err := g.work(ctx, func() { called = true }); !errors.Is(err, context.Canceled) || called {
		t.Errorf("error %v, called %v", err, called)
	}
	if _, err := h.Hash(ctx, "a violet umbrella"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if s := g.Stats(); s.InUse != 0 || s.Hashed != 0 {
		t.Errorf("a permit is held, or a hash was made: %+v", s)
	}
	mustHash(t, h, "a violet umbrella")
}

// The limit can go away and come back while hashes run.
func TestWorkWithAndWithoutLimit(t *testing.T) {
	t.Parallel()
	g := NewGate(2)
	h := newHasher(t, g, cheap)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range 50 {
				if _, err := h.Hash(t.Context(), "a violet umbrella"); err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
		})
	}
	for n := range 50 {
		g.SetPermits(2 * (n % 2))
	}
	all.Wait()
	if n := g.Stats().InUse; n != 0 {
		t.Errorf("%d permits are held", n)
	}
}

// What it costs to hand a hash to a thread and back.
func BenchmarkThreads(b *testing.B) {
	var pool threads
	for b.Loop() {
		if err := pool.run(b.Context(), func() {}); err != nil {
			b.Fatal(err)
		}
	}
}
