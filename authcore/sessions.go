package authcore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// SessionReader is what the cache of sessions needs from a database.
type SessionReader interface {
	// SessionByToken reads a session and its user, without the times of the user. It
	// returns ErrNoSession where the token names none.
	SessionByToken(ctx context.Context, token TokenHash) (Session, User, error)
	// AccessTokenByHash reads an access token and its user, without the times of the user.
	// It returns ErrNoSession where the hash is of none.
	AccessTokenByHash(ctx context.Context, token TokenHash) (AccessToken, User, error)
	// ChangesSince reads the changes made at or after a time by the database's
	// clock, and what that clock says. For the zero time it gives the clock only.
	ChangesSince(ctx context.Context, since time.Time) ([]Change, time.Time, error)
	// TouchSessions writes last-seen times, of sessions and of access tokens, in one
	// transaction.
	TouchSessions(ctx context.Context, seen []Seen) error
}

// Sessions answers "who is this token?" for every request. A session that was
// seen lately is answered from memory: one sharded lookup, no allocation, no lock
// that all requests share. Anything else is one indexed read.
//
// The database is the truth. A change marks what memory holds of a session or
// a user as stale, and the next request reads again; so revocation, a disabled
// user and a changed group need no code of their own here.
type Sessions struct {
	reader  SessionReader
	now     func() time.Time
	tracker *activity
	heard   heartbeat
	prepare func(*User) any
	missed  missed
	// providers are those whose sessions are good, by name; nil says that all are.
	providers atomic.Pointer[[]string]

	onDevice func(DeviceKey) // may be nil

	shards [sessionShards]sessionShard

	// mu guards the maps that tie entries to what they share. Only misses,
	// changes and the sweep take it.
	mu    sync.Mutex
	roots map[SessionID]*sharedRoot
	users map[UserID]*sharedUser
	acts  map[SessionID]UserID // who acts in roots that are not the user's own: few
	gen   atomic.Uint64        // grows with every change, so that a read that overlaps one is not kept
}

const (
	sessionShards = 256
	// A session that nobody used for this long leaves memory.
	cacheIdle = 15 * time.Minute
	// More sessions than this in one shard are not kept: about 4 million in all.
	shardLimit = 16384
)

type sessionShard struct {
	mu   sync.RWMutex
	m    map[TokenHash]*Live
	hits atomic.Uint64 // on the cache line that a lookup writes to anyway, for its lock
	_    [24]byte      // shards on cache lines of their own
}

// sharedRoot is what a portal session and its site sessions have in common.
type sharedRoot struct {
	lastSeen atomic.Int64 // microseconds
	stale    atomic.Bool
	written  atomic.Int64 // microseconds: the last-seen time that was last handed to the tracker
	refs     int          // under Sessions.mu
	id       SessionID
}

// sharedUser is what all sessions of a user have in common.
type sharedUser struct {
	stale    atomic.Bool
	prepared any
	refs     int // under Sessions.mu
	user     User
}

// Live is a session in memory. It is read-only for everyone else. What a request
// looks at comes first and fits in one cache line: with many sessions, reaching
// memory is most of what a lookup costs. For the same reason the first session of a
// root that comes into memory holds what all of them share.
type Live struct {
	expires  int64        // microseconds
	lastUsed atomic.Int64 // microseconds
	root     *sharedRoot
	user     *sharedUser
	host     string // Session.Host, one string for all sessions of a host
	own      sharedRoot
	Session  Session
}

// Host is the host that the session is good on.
func (l *Live) Host() string { return l.host }

// User is the session's user, not to be changed.
func (l *Live) User() *User { return &l.user.user }

// Prepared is what the function given to NewSessions made of the user.
func (l *Live) Prepared() any { return l.user.prepared }

// LastSeen is when the session was last used, as this node knows it.
func (l *Live) LastSeen() time.Time { return time.UnixMicro(l.root.lastSeen.Load()) }

// NewSessions makes the cache. prepare is called once for each user that comes
// into memory; what it returns is handed out by Live.Prepared, so that a request
// finds ready-made what would otherwise be made each time.
func NewSessions(reader SessionReader, now func() time.Time, prepare func(*User) any) *Sessions {
	s := &Sessions{reader: reader, now: now, prepare: prepare,
		roots: make(map[SessionID]*sharedRoot), users: make(map[UserID]*sharedUser), acts: make(map[SessionID]UserID)}
	for i := range s.shards {
		s.shards[i].m = make(map[TokenHash]*Live)
	}
	s.tracker = newActivity(reader, now)
	s.heard.init(now())
	return s
}

// OnDevice calls f where a user has answered a device, with the zero key where it may be any.
// It comes before Listen.
func (s *Sessions) OnDevice(f func(DeviceKey)) { s.onDevice = f }

// Lookup finds the session of a token, from memory where it can. It returns
// ErrNoSession for a token that is unknown, ended or revoked, or whose user is
// disabled, and ErrUnavailable when it cannot know.
func (s *Sessions) Lookup(ctx context.Context, token string, now time.Time, idle time.Duration) (*Live, error) {
	if !PlausibleToken(token) {
		return nil, ErrNoSession
	}
	return s.find(ctx, token, now, idle, s.reader.SessionByToken)
}

// read reads what a token stands for from the database.
type read func(context.Context, TokenHash) (Session, User, error)

// find is Lookup for what read knows. No two kinds of token look alike, so that one
// cache serves all.
func (s *Sessions) find(ctx context.Context, token string, now time.Time, idle time.Duration, read read) (*Live, error) {
	if err := s.current(ctx, now); err != nil {
		s.missed.count(err)
		return nil, err
	}
	hash := HashToken(token)
	shard := &s.shards[hash[0]]
	shard.mu.RLock()
	live := shard.m[hash]
	shard.mu.RUnlock()
	if live == nil || !live.good(now.UnixMicro(), idle) {
		live, err := s.load(ctx, hash, now, idle, read)
		s.missed.count(err)
		return live, err
	}
	shard.hits.Add(1)
	return live, nil
}

// good tells whether memory alone can say yes. Everything else asks the database.
func (l *Live) good(now int64, idle time.Duration) bool {
	return !l.root.stale.Load() && !l.user.stale.Load() && now < l.expires &&
		now-l.root.lastSeen.Load() < idle.Microseconds()
}

// Touch counts a request: the session was used at that time. At most once in an
// interval it hands the time on to be written. The step of one second keeps
// parallel requests of one session from fighting over a cache line.
//
// With an interval of nothing every request writes, and waits for it: what a
// system without this does, for comparison.
func (s *Sessions) Touch(ctx context.Context, l *Live, at time.Time) error {
	now := at.UnixMicro()
	last := l.root.lastSeen.Load()
	if s.tracker.interval() == 0 {
		l.root.lastSeen.Store(now)
		l.lastUsed.Store(now)
		s.tracker.due.Add(1)
		return s.tracker.write(ctx, []Seen{l.seen(at)})
	}
	if now-last < time.Second.Microseconds() {
		return nil
	}
	l.root.lastSeen.Store(now)
	l.lastUsed.Store(now)
	if written := l.root.written.Load(); now-written >= s.tracker.interval().Microseconds() &&
		l.root.written.CompareAndSwap(written, now) {
		s.tracker.add(l.seen(time.UnixMicro(now)))
	}
	return nil
}

// TouchRoot counts a use of a root session whose token is not at hand. seen is its last-seen
// time in the database: where that is young, nothing is written.
func (s *Sessions) TouchRoot(id SessionID, seen, at time.Time) {
	s.mu.Lock()
	root := s.roots[id]
	s.mu.Unlock()
	if root != nil {
		if last := root.lastSeen.Load(); at.UnixMicro() > last {
			root.lastSeen.CompareAndSwap(last, at.UnixMicro())
		}
	}
	if at.Sub(seen) >= s.tracker.interval() {
		s.tracker.add(Seen{Session: id, At: at})
	}
}

// seen is a last-seen time of what the root is.
func (l *Live) seen(at time.Time) Seen {
	return Seen{Session: l.root.id, Access: l.Session.Access != nil && l.Session.Issued == nil, At: at}
}

// load reads a session from the database and keeps it.
func (s *Sessions) load(ctx context.Context, hash TokenHash, now time.Time, idle time.Duration, read read) (*Live, error) {
	gen := s.gen.Load()
	session, user, err := read(ctx, hash)
	if err != nil {
		if ErrNoSession.is(err) {
			s.forget(hash)
		}
		return nil, err
	}
	if user.Status != Active || !now.Before(session.ExpiresAt) || !s.honours(session.Provider) || session.Act != "" && user.Owner {
		s.forget(hash)
		return nil, ErrNoSession
	}
	live, kept := s.keep(hash, session, user, gen)
	if kept && live.good(now.UnixMicro(), idle) {
		return live, nil
	}
	if now.Sub(live.LastSeen()) >= idle {
		s.forget(hash)
		return nil, ErrNoSession
	}
	return live, nil
}

// Honour says which providers' sessions are good, by their names: those of a provider that
// is configured no more are not, since nobody asks it about them.
func (s *Sessions) Honour(providers []string) {
	before := s.providers.Swap(&providers)
	if before != nil && !slices.Equal(*before, providers) {
		s.Apply(Change{Kind: ChangeAll})
	}
}

func (s *Sessions) honours(provider string) bool {
	known := s.providers.Load()
	return provider == "" || known == nil || slices.Contains(*known, provider)
}

// keep puts a session that was read into memory, unless a change came in
// between: then what was read may be of before, and serves this request only.
func (s *Sessions) keep(hash TokenHash, session Session, user User, gen uint64) (*Live, bool) {
	now := s.now().UnixMicro()
	s.mu.Lock()
	defer s.mu.Unlock()
	live := &Live{Session: session, expires: session.ExpiresAt.UnixMicro(), host: unique.Make(session.Host).Value()}
	root := s.roots[session.Root]
	if before := root; before == nil || before.stale.Load() {
		root = &live.own
		root.id = session.Root
		root.lastSeen.Store(session.LastSeen.UnixMicro())
		root.written.Store(session.LastSeen.UnixMicro())
		if before != nil && before.lastSeen.Load() > root.lastSeen.Load() { // which may not be written yet
			root.lastSeen.Store(before.lastSeen.Load())
		}
	} else if seen := session.LastSeen.UnixMicro(); seen > root.lastSeen.Load() {
		root.lastSeen.Store(seen) // another node saw it later than we did
	}
	shared := s.users[user.ID]
	if shared == nil || shared.stale.Load() {
		shared = &sharedUser{user: user}
		if s.prepare != nil {
			shared.prepared = s.prepare(&shared.user)
		}
	}
	live.root, live.user = root, shared
	live.lastUsed.Store(now)
	if s.gen.Load() != gen {
		return live, false
	}
	shard := &s.shards[hash[0]]
	shard.mu.Lock()
	old := shard.m[hash]
	if old == nil && len(shard.m) >= shardLimit {
		shard.mu.Unlock()
		return live, true
	}
	shard.m[hash] = live
	shard.mu.Unlock()
	root.refs++
	shared.refs++
	s.roots[session.Root], s.users[user.ID] = root, shared
	if session.Act != "" {
		s.acts[session.Root] = session.Act
	}
	if old != nil {
		s.release(old)
	}
	return live, true
}

// forget drops a token from memory.
func (s *Sessions) forget(hash TokenHash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := &s.shards[hash[0]]
	shard.mu.Lock()
	old := shard.m[hash]
	delete(shard.m, hash)
	shard.mu.Unlock()
	if old != nil {
		s.release(old)
	}
}

// release gives back an entry's hold on what it shares. s.mu is held.
func (s *Sessions) release(l *Live) {
	if l.root.refs--; l.root.refs == 0 && s.roots[l.root.id] == l.root {
		delete(s.roots, l.root.id)
		delete(s.acts, l.root.id)
	}
	if l.user.refs--; l.user.refs == 0 && s.users[l.user.user.ID] == l.user {
		delete(s.users, l.user.user.ID)
	}
}

// Apply makes a change count: the next request of every session it touches
// reads the database. Whoever commits a change calls it before answering.
func (s *Sessions) Apply(c Change) {
	if s.onDevice != nil && (c.Kind == ChangeDevice || c.Kind == ChangeAll) {
		s.onDevice(DeviceKeyFrom(c.Subject))
	}
	if c.Kind == ChangeDevice { // which no session, and nothing by Generation, depends on
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen.Add(1)
	switch c.Kind {
	case ChangeSession:
		if root := s.roots[SessionID(c.Subject)]; root != nil {
			root.stale.Store(true)
		}
	case ChangeUser:
		if user := s.users[UserID(c.Subject)]; user != nil {
			user.stale.Store(true)
		}
		for root, act := range s.acts {
			if act == UserID(c.Subject) {
				s.roots[root].stale.Store(true)
			}
		}
	case ChangeOrganization:
		for _, user := range s.users {
			if slices.ContainsFunc(user.user.Memberships, func(m Membership) bool { return string(m.Organization) == c.Subject }) {
				user.stale.Store(true)
			}
		}
	case ChangeAll:
		for _, root := range s.roots {
			root.stale.Store(true)
		}
		for _, user := range s.users {
			user.stale.Store(true)
		}
	}
}

// lastSeen is when a session was last used, as far as the database and this
// node's memory know.
func (s *Sessions) lastSeen(of Session) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if root := s.roots[of.Root]; root != nil {
		if at := time.UnixMicro(root.lastSeen.Load()); at.After(of.LastSeen) {
			return at
		}
	}
	return of.LastSeen
}

// Len counts the sessions in memory.
func (s *Sessions) Len() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.RLock()
		n += len(s.shards[i].m)
		s.shards[i].mu.RUnlock()
	}
	return n
}

// sweep drops what nobody used lately, one shard at a time.
func (s *Sessions) sweep(now time.Time) {
	limit, end := now.Add(-cacheIdle).UnixMicro(), now.UnixMicro()
	for i := range s.shards {
		s.sweepShard(&s.shards[i], limit, end)
	}
}

func (s *Sessions) sweepShard(shard *sessionShard, limit, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for hash, l := range shard.m {
		if l.lastUsed.Load() < limit || l.expires <= now {
			delete(shard.m, hash)
			s.release(l)
		}
	}
}
