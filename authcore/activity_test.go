package authcore

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLastSeenIsWrittenSeldom(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, s := c.add("alice", "")
	child, _ := c.add("alice", s.ID)
	writes := func() int {
		t.Helper()
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.table.mu.Lock()
		defer c.table.mu.Unlock()
		n := len(c.table.touched)
		c.table.touched = nil
		return n
	}
	live := []*Live{c.finds(token, 1), c.finds(child, 1)}
	for range 299 { // just under five minutes, a request a second on each
		c.wait(time.Second)
		c.Touch(t.Context(), live[0], c.now())
		c.Touch(t.Context(), live[1], c.now())
	}
	if n := writes(); n != 0 {
		t.Errorf("%d writes within the interval", n)
	}
	c.wait(time.Second)
	c.Touch(t.Context(), live[1], c.now())
	c.Touch(t.Context(), live[0], c.now())
	if n := writes(); n != 1 {
		t.Errorf("%d writes after the interval, want 1", n)
	}
	c.WriteEvery(0)
	for range 3 {
		c.wait(time.Millisecond)
		c.Touch(t.Context(), live[0], c.now())
		if n := writes(); n != 1 {
			t.Errorf("%d writes for a request, want 1", n)
		}
	}
}

// A last-seen time that cannot be written waits, and a newer one takes its place.
func TestLastSeenIsNotLost(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	c.WriteEvery(time.Minute)
	token, s := c.add("alice", "")
	live := c.finds(token, 1)
	c.wait(time.Minute)
	c.Touch(t.Context(), live, c.now())
	c.table.fail(ErrUnavailable)
	if err := c.Flush(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("flush: %v", err)
	}
	c.wait(time.Minute)
	c.Touch(t.Context(), live, c.now())
	want := []Seen{{Session: s.ID, At: c.now()}}
	_ = c.Flush(t.Context())
	c.table.fail(nil)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.table.touched, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}
