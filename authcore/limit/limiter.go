package limit

import (
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"time"
)

const (
	shardCount = 64
	// maxCounts is the most that one shard holds.
	maxCounts = 1024
	// maxKey is the longest key in bytes that is kept as it is.
	maxKey = 128
	// sample is how many counts are compared when one has to go.
	sample = 8
	// sweepEvery is the least time between two sweeps of one full shard, so
	// that a flood of new keys cannot make every Take pay for a sweep.
	sweepEvery = time.Second
	// maxDoublings keeps the arithmetic of long waits within its bounds.
	maxDoublings = 30
)

// Pace says how often something may happen for one key: Burst times at once. The next
// time has to wait for First, the one after it twice as long, and so on up to Longest;
// where that is not longer than First, all wait for First. Attempts are forgotten while
// nothing happens once the wait is over: one in each tenth of Longest, or in each First
// where that is longer. A burst or a first wait of 0 or less is no limit at all.
type Pace struct {
	Burst          int
	First, Longest time.Duration
}

func (p Pace) off() bool { return p.Burst <= 0 || p.First <= 0 }

// wait is how long the next attempt has to wait after the last of so many.
func (p Pace) wait(attempts int) time.Duration {
	if attempts < p.Burst {
		return 0
	}
	longest := max(p.First, p.Longest)
	doublings := attempts - p.Burst
	if doublings > maxDoublings || p.First > longest>>doublings {
		return longest
	}
	return p.First << doublings
}

// forget is how long it takes until one attempt is forgotten.
func (p Pace) forget() time.Duration { return max(p.First, p.Longest/10) }

// count is how many attempts of one key are remembered, and when the last one and the
// one before it were.
type count struct {
	attempts     int
	last, before time.Time
}

// settle forgets what is old enough by now.
func (c *count) settle(p Pace, now time.Time) {
	quiet := now.Sub(c.last.Add(p.wait(c.attempts)))
	n := int(min(quiet/p.forget(), time.Duration(c.attempts)))
	if n <= 0 {
		return
	}
	c.attempts -= n
	// What is left of the quiet time counts for the next one.
	c.last = now.Add(-p.wait(c.attempts) - (quiet - time.Duration(n)*p.forget()))
}

// Limiter counts attempts for each key. It is safe for concurrent use;
// keys lie in shards, so that callers rarely wait for one another.
type Limiter struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [shardCount]shard
}

// shard holds the counts of some keys, and the pace, so that Take needs
// no lock but its shard's.
type shard struct {
	mu     sync.Mutex
	pace   Pace
	counts map[string]count
	swept  time.Time
}

// New returns a limiter with a pace. now tells the time; nil means time.Now.
func New(pace Pace, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	l := &Limiter{now: now, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].counts = make(map[string]count)
	}
	l.Configure(pace)
	return l
}

// Configure changes the pace. What was counted stays, also while the limiter is off.
func (l *Limiter) Configure(pace Pace) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.pace = pace
		s.mu.Unlock()
	}
}

// Take counts an attempt of a key that may be made now. Where it has to wait it
// changes nothing and returns false, and for how long.
func (l *Limiter) Take(key string) (ok bool, retryAfter time.Duration) {
	key = shorten(key)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pace.off() {
		return true, 0
	}
	now := l.now()
	c, found := s.counts[key]
	if !found {
		s.makeRoom(now)
	}
	c.settle(s.pace, now)
	if after := c.last.Add(s.pace.wait(c.attempts)).Sub(now); c.attempts > 0 && after > 0 {
		return false, after
	}
	c.attempts++
	c.before, c.last = c.last, now
	s.counts[key] = c
	return true, 0
}

// GiveBack takes an attempt back that Take counted: what happened turned out not to
// count, as a sign-in that succeeded. Nobody has to wait for it.
func (l *Limiter) GiveBack(key string) {
	key = shorten(key)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A count that is gone was empty or evicted.
	if c, found := s.counts[key]; found && !s.pace.off() && c.attempts > 0 {
		c.attempts--
		c.last = c.before
		s.counts[key] = c
	}
}

func (l *Limiter) shard(key string) *shard {
	return &l.shards[maphash.String(l.seed, key)%shardCount]
}

// shorten keeps an attacker's long keys from filling the memory.
func shorten(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return string(sum[:])
}

// makeRoom sees to it that one more count fits. The caller holds mu.
func (s *shard) makeRoom(now time.Time) {
	if len(s.counts) < maxCounts {
		return
	}
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for key, c := range s.counts {
			if c.settle(s.pace, now); c.attempts == 0 {
				delete(s.counts, key)
			}
		}
		if len(s.counts) < maxCounts {
			return
		}
	}
	s.evict(now)
}

// evict drops the smallest of a few counts: the one that loses the least. A
// map's order is random enough to choose the few. The caller holds mu.
func (s *shard) evict(now time.Time) {
	var smallest string
	least, seen := 0, 0
	for key, c := range s.counts {
		if c.settle(s.pace, now); seen == 0 || c.attempts < least {
			smallest, least = key, c.attempts
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(s.counts, smallest)
}
