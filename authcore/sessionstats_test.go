package authcore

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSessionStats(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	c.WriteEvery(time.Minute)
	check := func(when string, want SessionStats) {
		t.Helper()
		want.MaxSilence = DefaultSilence
		if diff := cmp.Diff(want, c.Stats()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	use := func(token string) {
		t.Helper()
		live, err := c.lookup(token)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Touch(t.Context(), live, c.now()); err != nil {
			t.Fatal(err)
		}
	}
	check("at first", SessionStats{})

	token, _ := c.add("alice", "")
	second, _ := c.add("alice", "")
	use(second)
	for range 10 {
		use(token)
	}
	nobody, _ := NewToken()
	if _, err := c.lookup(nobody.Reveal()); err == nil {
		t.Error("a token that nobody has is found")
	}
	check("in use", SessionStats{Hits: 9, Misses: 2, Unknown: 1, Sessions: 2, Users: 1, Coalesced: 11})

	c.wait(time.Minute)
	c.WriteEvery(time.Second)
	if err := c.poll(t.Context(), func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	use(token)
	use(second)
	check("when due", SessionStats{Hits: 11, Misses: 2, Unknown: 1, Sessions: 2, Users: 1, Coalesced: 11, Due: 2, Waiting: 2})
	c.table.fail(ErrUnavailable)
	_ = c.Flush(t.Context())
	c.table.fail(nil)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	written := SessionStats{Hits: 11, Misses: 2, Unknown: 1, Sessions: 2, Users: 1, Coalesced: 11, Due: 2, Written: 2, Transactions: 1, Failures: 1}
	check("when written", written)

	c.table.fail(ErrUnavailable)
	c.wait(DefaultSilence)
	if _, err := c.lookup(token); err == nil {
		t.Error("a deaf node answers")
	}
	written.Failed, written.Silence = 1, DefaultSilence
	check("without a database", written)
}

// A counter never goes back, or whoever reads it takes that for a restart.
func TestCoalescedNeverShrinks(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, _ := c.add("alice", "")
	c.finds(token, 1)
	c.finds(token, 0)
	if got := c.Stats().Coalesced; got != 2 {
		t.Fatalf("%d uses without a write, want 2", got)
	}
	c.tracker.due.Add(1) // as by a request that was on its way
	if got := c.Stats().Coalesced; got != 2 {
		t.Errorf("%d after 2", got)
	}
}

func TestSilenceBeforeAnythingWasHeard(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	c := newCacheTest(t, clock.now, clock.advance)
	c.wait(time.Second)
	if got := c.Stats().Silence; got != time.Second {
		t.Errorf("silent for %s, want the second since the start", got)
	}
}
