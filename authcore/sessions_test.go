package authcore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sessionTable is a database of sessions in memory, as Sessions sees one.
type sessionTable struct {
	mu      sync.Mutex
	rows    map[TokenHash]sessionTableRow
	changes []Change
	touched []Seen
	reads   int    // of SessionByToken
	polls   int    // of ChangesSince
	err     error  // what every call answers
	between func() // runs once, after a session was read and before the reader has it
}

type sessionTableRow struct {
	session Session
	user    User
}

func (d *sessionTable) SessionByToken(_ context.Context, hash TokenHash) (Session, User, error) {
	d.mu.Lock()
	d.reads++
	row, found := d.rows[hash]
	err, between := d.err, d.between
	d.between = nil
	d.mu.Unlock()
	if between != nil {
		between()
	}
	switch {
	case err != nil:
		return Session{}, User{}, err
	case !found:
		return Session{}, User{}, ErrNoSession
	}
	return row.session, row.user, nil
}

func (d *sessionTable) ChangesSince(_ context.Context, since time.Time) ([]Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.polls++
	if d.err != nil {
		return nil, d.err
	}
	var found []Change
	for _, c := range d.changes {
		if !c.At.Before(since) {
			found = append(found, c)
		}
	}
	return found, nil
}

func (d *sessionTable) TouchSessions(_ context.Context, seen []Seen) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.touched = append(d.touched, seen...)
	for hash, row := range d.rows {
		for _, s := range seen {
			if row.session.Root == s.Session && row.session.LastSeen.Before(s.At) {
				row.session.LastSeen = s.At
				d.rows[hash] = row
			}
		}
	}
	return nil
}

// change edits the row of a token; a nil edit deletes it.
func (d *sessionTable) change(token string, edit func(*sessionTableRow)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	row := d.rows[HashToken(token)]
	if edit == nil {
		delete(d.rows, HashToken(token))
		return
	}
	edit(&row)
	d.rows[HashToken(token)] = row
}

func (d *sessionTable) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *sessionTable) readings() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads
}

// handClock is a time that tests move by hand.
type handClock struct {
	mu sync.Mutex
	at time.Time
}

func newHandClock() *handClock { return &handClock{at: time.UnixMicro(1_800_000_000_000_000).UTC()} }

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// cacheTest is a cache on a table, with sessions of alice in it.
type cacheTest struct {
	*Sessions
	t     *testing.T
	table *sessionTable
	now   func() time.Time
	wait  func(time.Duration)
	made  int // users that were prepared
}

const testIdle = time.Hour

func newCacheTest(t *testing.T, now func() time.Time, wait func(time.Duration)) *cacheTest {
	c := &cacheTest{t: t, now: now, wait: wait, table: &sessionTable{rows: make(map[TokenHash]sessionTableRow)}}
	c.Sessions = NewSessions(c.table, now, func(u *User) any {
		c.made++
		return slices.Clone(u.Groups)
	})
	return c
}

func newHandTest(t *testing.T) *cacheTest {
	clock := newHandClock()
	return newCacheTest(t, clock.now, clock.advance)
}

// add puts a session of a user into the table; root may be empty for a new one.
func (c *cacheTest) add(user string, root SessionID) (token string, s Session) {
	secret, hash := NewToken()
	now := c.now()
	s = Session{ID: NewSessionID(), Root: root, UserID: UserID(user), Host: user + ".example.com", AMR: []string{"pwd"},
		AuthTime: now, CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(30 * 24 * time.Hour)}
	if root == "" {
		s.Root = s.ID
	}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.table.rows[hash] = sessionTableRow{s, User{ID: s.UserID, Username: user, Status: Active, Groups: []string{"staff"}}}
	return secret.Reveal(), s
}

func (c *cacheTest) lookup(token string) (*Live, error) {
	return c.Lookup(c.t.Context(), token, c.now(), testIdle)
}

// finds looks a token up, which must be good, with a number of database reads.
func (c *cacheTest) finds(token string, reads int) *Live {
	c.t.Helper()
	before := c.table.readings()
	live, err := c.lookup(token)
	if err != nil {
		c.t.Fatalf("lookup: %v", err)
	}
	if got := c.table.readings() - before; got != reads {
		c.t.Fatalf("%d reads of the database, want %d", got, reads)
	}
	return live
}

func (c *cacheTest) refuses(token string, want error) {
	c.t.Helper()
	if live, err := c.lookup(token); !errors.Is(err, want) || live != nil {
		c.t.Fatalf("lookup: %v, want %v", err, want)
	}
}

// empty checks that the cache holds on to nothing.
func (c *cacheTest) empty() {
	c.t.Helper()
	if c.Len() != 0 || len(c.roots) != 0 || len(c.users) != 0 {
		c.t.Errorf("%d sessions, %d roots and %d users stay in memory", c.Len(), len(c.roots), len(c.users))
	}
}

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
			c.Touch(live, c.now())
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
		c.Touch(c.finds(token, 1), c.now())
		c.wait(59 * time.Minute)
		live, err := c.lookup(token)
		if err != nil {
			t.Fatal(err)
		}
		c.Touch(live, c.now())
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
		c.Touch(live, c.now())
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
	c.Touch(c.finds(used, 0), c.now())
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

// A node that hears nothing from the database asks at once, and answers nobody
// from memory when it gets no answer.
func TestDeafNode(t *testing.T) {
	t.Parallel()
	c := newHandTest(t)
	token, _ := c.add("alice", "")
	c.finds(token, 1)
	c.table.fail(errors.New("away"))
	c.wait(defaultDeaf - time.Second)
	c.finds(token, 0)
	c.wait(time.Second)
	c.refuses(token, ErrUnavailable)
	c.refuses(token, ErrUnavailable)
	c.table.fail(nil)
	c.finds(token, 0)
	// After a pause with a database that answers, what changed meanwhile counts.
	c.wait(5 * time.Minute)
	c.table.mu.Lock()
	c.table.changes = append(c.table.changes, Change{ID: "1", At: c.now().Add(-time.Minute), Kind: ChangeUser, Subject: "alice"})
	c.table.mu.Unlock()
	c.table.change(token, nil)
	c.refuses(token, ErrNoSession)
}

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
		c.Touch(live[0], c.now())
		c.Touch(live[1], c.now())
	}
	if n := writes(); n != 0 {
		t.Errorf("%d writes within the interval", n)
	}
	c.wait(time.Second)
	c.Touch(live[1], c.now())
	c.Touch(live[0], c.now())
	if n := writes(); n != 1 {
		t.Errorf("%d writes after the interval, want 1", n)
	}
	c.WriteEvery(0)
	for range 3 {
		c.wait(time.Millisecond)
		c.Touch(live[0], c.now())
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
	c.Touch(live, c.now())
	c.table.fail(ErrUnavailable)
	if err := c.Flush(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("flush: %v", err)
	}
	c.wait(time.Minute)
	c.Touch(live, c.now())
	want := []Seen{{s.ID, c.now()}}
	_ = c.Flush(t.Context())
	c.table.fail(nil)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.table.touched, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

// Run reads the changes of other nodes, writes last-seen times and sweeps.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCacheTest(t, time.Now, time.Sleep)
		c.WriteEvery(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var complaints []error
		go func() {
			c.Run(ctx, func(err error) { complaints = append(complaints, err) })
			close(ended)
		}()
		token, s := c.add("alice", "")
		c.Touch(c.finds(token, 1), c.now())

		c.wait(2 * time.Second)
		c.Touch(c.finds(token, 0), c.now())
		c.wait(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]Seen{{s.ID, c.now().Add(-time.Second)}}, c.table.touched, cmp.Comparer(time.Time.Equal)); diff != "" {
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

		c.table.fail(ErrUnavailable)
		c.wait(time.Second)
		c.table.fail(nil)
		c.wait(20 * time.Minute)
		synctest.Wait()
		c.empty()
		if len(c.heard.applied) != 0 {
			t.Errorf("%d changes are remembered for good", len(c.heard.applied))
		}
		cancel()
		<-ended
		if len(complaints) == 0 || !errors.Is(complaints[0], ErrUnavailable) {
			t.Errorf("reported: %v", complaints)
		}
	})
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
					c.Touch(live, c.now())
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
