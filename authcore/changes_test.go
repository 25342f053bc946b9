package authcore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A node that hears nothing from the database asks at once, and answers nobody
// from memory when it gets no answer.
func TestDeafNode(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, _ := c.add("alice", "")
	c.finds(token, 1)
	c.table.fail(errors.New("away"))
	c.wait(DefaultSilence - time.Second)
	c.finds(token, 0)
	c.wait(time.Second)
	c.refuses(token, ErrUnavailable)
	c.refuses(token, ErrUnavailable)
	c.table.fail(nil)
	c.refuses(token, ErrUnavailable) // nobody asks again at once
	c.wait(askAgain)
	c.finds(token, 0)
	// After a pause with a database that answers, what changed meanwhile counts.
	c.wait(5 * time.Minute)
	c.table.mu.Lock()
	c.table.changes = append(c.table.changes, Change{ID: "1", At: c.now().Add(-time.Minute), Kind: ChangeUser, Subject: "alice"})
	c.table.mu.Unlock()
	c.table.change(token, nil)
	c.refuses(token, ErrNoSession)
}

// A clock that was set back does not make a node that hears nothing go on.
func TestDeafNodeWithItsClockSetBack(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, _ := c.add("alice", "")
	c.finds(token, 1)
	c.table.fail(errors.New("away"))
	c.wait(-time.Hour)
	c.refuses(token, ErrUnavailable)
}

// A node that was away for longer than changes are kept forgets all it knew.
func TestLongAway(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"longer than changes are kept": ChangesKept + time.Minute, "another database's clock": -2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newHandTest(t)
			token, _ := c.add("alice", "")
			c.finds(token, 1)
			c.table.change(token, nil) // revoked, and the record of that is gone
			c.wait(pause)
			c.refuses(token, ErrNoSession)
		})
	}
}

// Run reads the changes of other nodes, writes last-seen times and sweeps.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCacheTest(t, time.Now, time.Sleep)
		c.WriteEvery(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		var mu sync.Mutex
		var complaints []error
		complain := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, err)
		}
		ended.Go(func() { c.Run(ctx, complain) })
		ended.Go(func() { c.Listen(ctx, complain) })
		token, s := c.add("alice", "")
		c.Touch(t.Context(), c.finds(token, 1), c.now())

		c.wait(2 * time.Second)
		c.Touch(t.Context(), c.finds(token, 0), c.now())
		c.wait(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]Seen{{Session: s.ID, At: c.now().Add(-time.Second)}}, c.table.touched, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("last seen (-want +got):\n%s", diff)
		}

		// Committed now, with a time of some seconds ago.
		c.table.mu.Lock()
		c.table.changes = append(c.table.changes, Change{ID: "late", At: c.now().Add(-9 * time.Second), Kind: ChangeUser, Subject: "alice"})
		c.table.mu.Unlock()
		c.wait(time.Second)
		synctest.Wait()
		c.finds(token, 1)
		c.wait(5 * time.Second) // it is read again and again, and counts once
		c.finds(token, 0)

		// Committed after the database had been in trouble for long.
		c.table.mu.Lock()
		c.table.changes = append(c.table.changes, Change{ID: "very late", At: c.now().Add(-2 * time.Minute), Kind: ChangeUser, Subject: "alice"})
		c.table.mu.Unlock()
		c.wait(lateEvery + time.Second)
		synctest.Wait()
		c.finds(token, 1)
		c.wait(2 * lateEvery)
		c.finds(token, 0)

		c.table.fail(ErrUnavailable)
		c.wait(time.Second)
		c.table.fail(nil)
		c.wait(2 * time.Hour)
		synctest.Wait()
		c.empty()
		if len(c.heard.applied) != 0 {
			t.Errorf("%d changes are remembered for good", len(c.heard.applied))
		}
		cancel()
		ended.Wait()
		if len(complaints) == 0 || !errors.Is(complaints[0], ErrUnavailable) {
			t.Errorf("reported: %v", complaints)
		}
	})
}
