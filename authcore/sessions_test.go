package authcore

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLookupReadsOnce(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, want := c.add("alice", "")
	live := c.finds(token, 1)
	if diff := cmp.Diff(want, live.Session); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	if got := live.User().Username; got != "alice" {
		t.Errorf("user %q", got)
	}
	if diff := cmp.Diff([]string{"staff"}, live.Prepared()); diff != "" {
		t.Errorf("prepared (-want +got):\n%s", diff)
	}
	for range 100 {
		if again := c.finds(token, 0); again != live {
			t.Fatal("another Live for the same session")
		}
	}
	// A second session of the user shares what was prepared.
	second, _ := c.add("alice", want.Root)
	if c.finds(second, 1); c.made != 1 {
		t.Errorf("the user was prepared %d times", c.made)
	}
}

func TestLookupRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token func(good string) string
		edit  func(*sessionTableRow)
		err   error
		want  error
		reads int
	}{
		"empty":             {token: func(string) string { return "" }, want: ErrNoSession},
		"cut short":         {token: func(s string) string { return s[:len(s)-1] }, want: ErrNoSession},
		"longer":            {token: func(s string) string { return s + "a" }, want: ErrNoSession},
		"other case":        {token: swapCase, want: ErrNoSession, reads: 1},
		"one byte changed":  {token: func(s string) string { return string(s[0]^1) + s[1:] }, want: ErrNoSession, reads: 1},
		"disabled user":     {edit: func(r *sessionTableRow) { r.user.Status = Disabled }, want: ErrNoSession, reads: 1},
		"unknown status":    {edit: func(r *sessionTableRow) { r.user.Status = "" }, want: ErrNoSession, reads: 1},
		"ended":             {edit: func(r *sessionTableRow) { r.session.ExpiresAt = r.session.CreatedAt }, want: ErrNoSession, reads: 1},
		"not used for long": {edit: func(r *sessionTableRow) { r.session.LastSeen = r.session.LastSeen.Add(-testIdle) }, want: ErrNoSession, reads: 1},
		"database away":     {err: ErrUnavailable, want: ErrUnavailable, reads: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newHandTest(t)
			token, _ := c.add("alice", "")
			if test.edit != nil {
				c.table.change(token, test.edit)
			}
			if test.token != nil {
				token = test.token(token)
			}
			c.table.fail(test.err)
			for round := range 2 { // the answer is the same the second time
				before := c.table.readings()
				c.refuses(token, test.want)
				if got := c.table.readings() - before; got != test.reads {
					t.Errorf("round %d: %d reads, want %d", round, got, test.reads)
				}
			}
			c.empty()
		})
	}
}

func swapCase(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			out[i] = c ^ 0x20
		}
	}
	return string(out)
}

func TestChangeCounts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind ChangeKind
		edit func(*sessionTableRow) // nil deletes the session
		want error
	}{
		"session ended":         {ChangeSession, nil, ErrNoSession},
		"sessions of user over": {ChangeUser, nil, ErrNoSession},
		"user disabled":         {ChangeUser, func(r *sessionTableRow) { r.user.Status = Disabled }, ErrNoSession},
		"group taken away":      {ChangeUser, func(r *sessionTableRow) { r.user.Groups = nil }, nil},
		"nothing changed":       {ChangeSession, func(*sessionTableRow) {}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newHandTest(t)
			token, root := c.add("alice", "")
			child, _ := c.add("alice", root.ID)
			bystander, _ := c.add("bob", "")
			for _, known := range []string{token, child, bystander} {
				c.finds(known, 1)
			}
			c.table.change(token, test.edit)
			c.table.change(child, test.edit)
			subject := string(root.ID)
			if test.kind == ChangeUser {
				subject = "alice"
			}
			c.Apply(Change{Kind: test.kind, Subject: subject})
			c.finds(bystander, 0)
			for _, changed := range []string{token, child} {
				if test.want != nil {
					c.refuses(changed, test.want)
					continue
				}
				var now sessionTableRow
				c.table.change(changed, func(r *sessionTableRow) { now = *r })
				if diff := cmp.Diff(now.user, *c.finds(changed, 1).User()); diff != "" {
					t.Errorf("user (-want +got):\n%s", diff)
				}
				c.finds(changed, 0)
			}
		})
	}
}

// What was read while a change came may be of before it: it must not stay.
func TestReadThatOverlapsAChangeIsNotKept(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *cacheTest, token string, s Session){
		"revoked": func(c *cacheTest, token string, s Session) {
			c.table.change(token, nil)
			c.Apply(Change{Kind: ChangeSession, Subject: string(s.Root)})
		},
		"disabled": func(c *cacheTest, token string, s Session) {
			c.table.change(token, func(r *sessionTableRow) { r.user.Status = Disabled })
			c.Apply(Change{Kind: ChangeUser, Subject: string(s.UserID)})
		},
	}
	for name, happen := range tests {
		for _, known := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := newHandTest(t)
				token, s := c.add("alice", "")
				if known { // in memory, and stale
					c.finds(token, 1)
					c.Apply(Change{Kind: ChangeUser, Subject: "alice"})
				}
				c.table.between = func() { happen(c, token, s) }
				_, _ = c.lookup(token) // began before the change, so either answer is right
				c.refuses(token, ErrNoSession)
				c.empty()
			})
		}
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		c := newHandTest(t)
		token, _ := c.add("alice", "")
		for range 10 {
			live, err := c.lookup(token)
			if err != nil {
				t.Fatalf("a second before the idle end: %v", err)
			}
			c.Touch(t.Context(), live, c.now())
			c.wait(testIdle - time.Second)
		}
		if _, err := c.lookup(token); err != nil {
			t.Fatal(err)
		}
		c.wait(time.Second)
		c.refuses(token, ErrNoSession)
		c.empty()
	})
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		c := newHandTest(t)
		token, s := c.add("alice", "")
		c.table.change(token, func(r *sessionTableRow) { r.session.ExpiresAt = s.CreatedAt.Add(90 * time.Minute) })
		c.Touch(t.Context(), c.finds(token, 1), c.now())
		c.wait(59 * time.Minute)
		live, err := c.lookup(token)
		if err != nil {
			t.Fatal(err)
		}
		c.Touch(t.Context(), live, c.now())
		c.wait(31*time.Minute - time.Microsecond)
		if _, err := c.lookup(token); err != nil {
			t.Fatalf("a microsecond before the end: %v", err)
		}
		c.wait(time.Microsecond)
		c.refuses(token, ErrNoSession) // although it was used half an hour ago
		c.empty()
	})
	t.Run("another node saw it later", func(t *testing.T) {
		t.Parallel()
		c := newHandTest(t)
		token, _ := c.add("alice", "")
		c.finds(token, 1)
		c.wait(testIdle)
		c.table.change(token, func(r *sessionTableRow) { r.session.LastSeen = c.now().Add(-time.Minute) })
		c.finds(token, 1)
		c.finds(token, 0)
	})
}

// A site session's activity keeps its portal session alive, and the other way
// round.
func TestRootIsShared(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	portal, s := c.add("alice", "")
	site, _ := c.add("alice", s.ID)
	c.finds(portal, 1)
	for range 4 {
		live, err := c.lookup(site)
		if err != nil {
			t.Fatal(err)
		}
		c.Touch(t.Context(), live, c.now())
		c.wait(testIdle / 2)
	}
	if _, err := c.lookup(portal); err != nil {
		t.Fatalf("portal session: %v", err)
	}
	if got := c.lastSeen(s); !got.Equal(c.now().Add(-testIdle / 2)) {
		t.Errorf("last seen %s, want half an hour before %s", got, c.now())
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	used, _ := c.add("alice", "")
	unused, s := c.add("bob", "")
	child, _ := c.add("bob", s.ID)
	for _, token := range []string{used, unused, child} {
		c.finds(token, 1)
	}
	c.wait(cacheIdle - time.Minute)
	c.sweep(c.now())
	if c.Len() != 3 {
		t.Fatalf("%d sessions in memory, want 3", c.Len())
	}
	c.Touch(t.Context(), c.finds(used, 0), c.now())
	c.wait(2 * time.Minute)
	c.sweep(c.now())
	if c.Len() != 1 {
		t.Errorf("%d sessions in memory, want 1", c.Len())
	}
	c.finds(used, 0)
	c.finds(unused, 1) // out of memory is not ended
	c.wait(40 * 24 * time.Hour)
	c.sweep(c.now())
	c.empty()
}

// Under the race detector: whatever happens at once, memory agrees with the
// database in the end and holds nothing that it should not.
func TestSessionsAtOnce(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	c.prepare = nil
	c.WriteEvery(0)
	users := []string{"alice", "bob", "carol"}
	owned := make(map[string][]string)
	roots := make(map[string]SessionID)
	for _, u := range users {
		for range 8 {
			token, s := c.add(u, roots[u])
			roots[u] = s.Root
			owned[u] = append(owned[u], token)
		}
	}
	var all []string
	for _, u := range users {
		all = append(all, owned[u]...)
	}
	const rounds = 400
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range rounds {
				live, err := c.lookup(all[(i*7+worker*5)%len(all)])
				if err == nil {
					c.Touch(t.Context(), live, c.now())
					_ = live.User().DisplayName()
				} else if !errors.Is(err, ErrNoSession) {
					t.Errorf("lookup: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			u := users[i%2] // carol is left in peace
			disabled := Active
			if i%3 == 0 {
				disabled = Disabled
			}
			for _, token := range owned[u] {
				c.table.change(token, func(r *sessionTableRow) { r.user.Status = disabled })
			}
			if i%2 == 0 {
				c.Apply(Change{Kind: ChangeUser, Subject: u})
			} else {
				c.Apply(Change{Kind: ChangeUser, Subject: u})
				c.Apply(Change{Kind: ChangeSession, Subject: string(roots[u])})
			}
		}
	})
	wg.Go(func() {
		for range rounds / 10 {
			c.sweep(c.now().Add(cacheIdle + time.Minute))
			_ = c.Flush(t.Context())
			_ = c.Len()
		}
	})
	wg.Wait()
	for _, token := range all {
		row := c.table.rows[HashToken(token)]
		_, err := c.lookup(token)
		if active := row.user.Status == Active; active != (err == nil) {
			t.Errorf("%s is %s, and the lookup gave %v", row.user.Username, row.user.Status, err)
		}
	}
	c.sweep(c.now().Add(cacheIdle + time.Minute))
	c.empty()
}
