package limit

import (
	"crypto/sha256"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	shardCount = 64
	// maxBuckets is the most that one shard holds.
	maxBuckets = 1024
	// maxKey is the longest key in bytes that is kept as it is.
	maxKey = 128
	// sample is how many buckets are compared when one has to go.
	sample = 8
	// sweepEvery is the least time between two sweeps of one full shard, so
	// that a flood of new keys cannot make every Take pay for a sweep.
	sweepEvery = time.Second
)

// Limiter keeps a token bucket for each key. It is safe for concurrent use;
// keys lie in shards, so that callers rarely wait for one another.
type Limiter struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [shardCount]shard
}

// shard holds the buckets of some keys, and the settings, so that Take needs
// no lock but its shard's.
type shard struct {
	mu      sync.Mutex
	burst   int
	every   time.Duration
	buckets map[string]*rate.Limiter
	swept   time.Time
}

// New returns a limiter that allows burst events for each key at once and one
// more each time every has passed. A burst or an interval of 0 or less turns
// it off: everything is allowed. now tells the time; nil means time.Now.
func New(burst int, every time.Duration, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	l := &Limiter{now: now, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].buckets = make(map[string]*rate.Limiter)
	}
	l.Configure(burst, every)
	return l
}

// Configure changes the settings; they mean what they mean in New. Buckets
// keep the tokens that they have, up to the new burst, also while the limiter
// is off.
func (l *Limiter) Configure(burst int, every time.Duration) {
	now := l.now()
	for i := range l.shards {
		l.shards[i].configure(now, burst, every)
	}
}

// Take takes one token of key's bucket. When there is none it changes nothing
// and returns false and how long it takes until there is one.
func (l *Limiter) Take(key string) (ok bool, retryAfter time.Duration) {
	key = shorten(key)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off() {
		return true, 0
	}
	now := l.now()
	b, found := s.buckets[key]
	if !found {
		s.makeRoom(now)
		b = rate.NewLimiter(rate.Every(s.every), s.burst)
		s.buckets[key] = b
	}
	if b.AllowN(now, 1) {
		return true, 0
	}
	missing := 1 - b.TokensAt(now)
	return false, max(time.Duration(math.Ceil(missing*float64(s.every))), 1)
}

// GiveBack returns one token that Take took: what happened turned out not to
// count, as a sign-in that succeeded. A bucket never holds more than the burst.
func (l *Limiter) GiveBack(key string) {
	key = shorten(key)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	// A bucket that is gone was full or evicted; a new one will be full.
	if b, found := s.buckets[key]; found && !s.off() {
		// rate caps the tokens at the burst when it next reads them.
		b.AllowN(l.now(), -1)
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

func (s *shard) off() bool { return s.burst <= 0 || s.every <= 0 }

func (s *shard) configure(now time.Time, burst int, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.burst, s.every = burst, every
	if s.off() {
		return
	}
	for _, b := range s.buckets {
		b.SetLimitAt(now, rate.Every(every))
		b.SetBurstAt(now, burst)
	}
}

// makeRoom sees to it that one more bucket fits. The caller holds mu.
func (s *shard) makeRoom(now time.Time) {
	if len(s.buckets) < maxBuckets {
		return
	}
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for key, b := range s.buckets {
			if b.TokensAt(now) >= float64(s.burst) {
				delete(s.buckets, key)
			}
		}
		if len(s.buckets) < maxBuckets {
			return
		}
	}
	s.evict(now)
}

// evict drops the fullest of a few buckets: the one that loses the least. A
// map's order is random enough to choose the few. The caller holds mu.
func (s *shard) evict(now time.Time) {
	var fullest string
	most, seen := math.Inf(-1), 0
	for key, b := range s.buckets {
		if t := b.TokensAt(now); t > most {
			fullest, most = key, t
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(s.buckets, fullest)
}
