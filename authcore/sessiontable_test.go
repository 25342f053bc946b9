package authcore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// sessionTable is a database of sessions in memory, as Sessions sees one.
type sessionTable struct {
	mu      sync.Mutex
	rows    map[TokenHash]sessionTableRow
	changes []Change
	touched []Seen
	reads   int // of SessionByToken
	now     func() time.Time
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

func (d *sessionTable) AccessTokenByHash(ctx context.Context, hash TokenHash) (AccessToken, User, error) {
	s, u, err := d.SessionByToken(ctx, hash)
	if err != nil || s.Access == nil {
		return AccessToken{}, User{}, cmp.Or(err, error(ErrNoSession))
	}
	return *s.Access, u, nil
}

func (d *sessionTable) ChangesSince(_ context.Context, since time.Time) ([]Change, time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, time.Time{}, d.err
	}
	var found []Change
	for _, c := range d.changes {
		if !since.IsZero() && !c.At.Before(since) {
			found = append(found, c)
		}
	}
	return found, d.now(), nil
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
	c := &cacheTest{t: t, now: now, wait: wait, table: &sessionTable{now: now, rows: make(map[TokenHash]sessionTableRow)}}
	c.Sessions = NewSessions(c.table, now, func(u *User) any {
		c.made++
		return slices.Clone(u.Groups)
	})
	return c
}

func newHandTest(t *testing.T) *cacheTest {
	clock := newHandClock()
	c := newCacheTest(t, clock.now, clock.advance)
	if err := c.poll(t.Context(), func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	return c
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
