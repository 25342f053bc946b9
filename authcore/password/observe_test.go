package password

import (
	"context"
	"testing"
)

// A hash is observed once it has a permit, and only then.
func TestObserve(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	var began, ended, left int
	g.Observe(func() func(bool) {
		began++
		if n := g.Stats().InUse; n != 1 {
			t.Errorf("%d permits in use where a hash begins", n)
		}
		return func(ran bool) {
			if ended++; !ran {
				left++
			}
		}
	})
	h := newHasher(t, g, cheap)
	hash := mustHash(t, h, "a violet umbrella")
	if _, _, err := h.Verify(t.Context(), hash, "a violet umbrella"); err != nil {
		t.Fatal(err)
	}
	release, err := g.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hash(t.Context(), "another"); err == nil {
		t.Error("a hash without a permit")
	}
	release()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if release, err = g.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := g.begin()
	end(g.work(gone, func() { t.Error("a hash of somebody who has left") }) == nil)
	release()
	if hashed := g.Stats().Hashed; began != 3 || ended != 3 || left != 1 || hashed != 2 {
		t.Errorf("%d begun, %d ended, %d left before their turn, %d hashed, want 3, 3, 1, 2", began, ended, left, hashed)
	}
}
