package limit

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests move by hand.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1_700_000_000, c.nanos.Load()) }

func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// drain takes n attempts and fails when one is refused.
func drain(t *testing.T, l *Limiter, key string, n int) {
	t.Helper()
	for i := range n {
		if ok, after := l.Take(key); !ok {
			t.Fatalf("take %d of %d refused for %v", i+1, n, after)
		}
	}
}

// kept is how many counts there are.
func (l *Limiter) kept() (n int) {
	for i := range l.shards {
		n += len(l.shards[i].counts)
	}
	return n
}

func refused(t *testing.T, l *Limiter, key string, want time.Duration) {
	t.Helper()
	ok, got := l.Take(key)
	if ok {
		t.Fatal("allowed, want refused")
	}
	if got != want {
		t.Fatalf("retry after %v, want %v", got, want)
	}
}

// steady is a pace at which all wait alike.
func steady(burst int, every time.Duration) Pace { return Pace{Burst: burst, First: every} }

func TestTake(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(3, 10*time.Second), c.now)
	drain(t, l, "a", 3)
	refused(t, l, "a", 10*time.Second)
	c.advance(4 * time.Second)
	// However often it is refused, the wait does not grow.
	for range 100 {
		refused(t, l, "a", 6*time.Second)
	}
	drain(t, l, "b", 3) // Another key has a count of its own.
	c.advance(6 * time.Second)
	drain(t, l, "a", 1)
	refused(t, l, "a", 10*time.Second)
	c.advance(time.Hour)
	drain(t, l, "a", 3) // Not more than the burst.
	refused(t, l, "a", 10*time.Second)
}

// Who goes on waits longer each time, up to the longest wait; who stays away is forgotten
// step by step.
func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(Pace{Burst: 2, First: 10 * time.Second, Longest: time.Minute}, c.now)
	drain(t, l, "a", 2)
	for _, want := range []time.Duration{10, 20, 40, 60, 60} {
		refused(t, l, "a", want*time.Second)
		c.advance(want * time.Second)
		drain(t, l, "a", 1)
	}
	// Seven were made. One is forgotten in each ten seconds after the wait.
	c.advance(time.Minute + 45*time.Second)
	drain(t, l, "a", 1) // The fourth.
	refused(t, l, "a", 40*time.Second)
	c.advance(40*time.Second + 40*time.Second)
	drain(t, l, "a", 2)
	refused(t, l, "a", 10*time.Second)
}

// Who guesses as fast as told gets few guesses in a day, and so does who waits until the
// waits are short again.
func TestGuessesInADay(t *testing.T) {
	t.Parallel()
	pace := Pace{Burst: 20, First: 10 * time.Second, Longest: 15 * time.Minute}
	for name, tt := range map[string]struct {
		patience time.Duration // beyond what is told
		most     int
	}{"as told": {0, 130}, "a little longer": {90 * time.Second, 980}, "much longer": {10 * time.Minute, 980}} {
		var c clock
		l := New(pace, c.now)
		n := 0
		for c.nanos.Load() < int64(24*time.Hour) {
			ok, after := l.Take("a")
			if ok {
				n++
				continue
			}
			c.advance(after + tt.patience)
		}
		if n > tt.most {
			t.Errorf("%s: %d guesses in a day, want at most %d", name, n, tt.most)
		}
	}
}

// Who waits as long as told gets in.
func TestRetryAfterIsEnough(t *testing.T) {
	t.Parallel()
	for _, first := range []time.Duration{1, time.Microsecond, time.Millisecond, time.Second / 3, 7 * time.Second, time.Hour, 24 * 365 * time.Hour} {
		for _, longest := range []time.Duration{0, 10 * first, 1<<63 - 1} {
			var c clock
			l := New(Pace{2, first, longest}, c.now)
			drain(t, l, "a", 2)
			for i := range 20 {
				ok, after := l.Take("a")
				if ok || after <= 0 || after > max(first, longest) {
					t.Fatalf("%v to %v, round %d: got %v, %v", first, longest, i, ok, after)
				}
				if c.nanos.Load()+int64(after) < 0 {
					break // the end of time
				}
				c.advance(after)
				drain(t, l, "a", 1)
			}
		}
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	for _, l := range []*Limiter{New(Pace{}, nil), New(steady(0, time.Second), nil), New(steady(-1, time.Second), nil), New(steady(5, 0), nil), New(steady(5, -1), nil)} {
		drain(t, l, "a", 1000)
		l.GiveBack("a")
		if n := l.kept(); n != 0 {
			t.Errorf("%d counts kept while off", n)
		}
	}
}

func TestGiveBack(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(3, 10*time.Second), c.now)
	drain(t, l, "a", 3)
	l.GiveBack("a")
	drain(t, l, "a", 1)
	refused(t, l, "a", 10*time.Second)

	// A day of sign-ins that succeed is no reason to refuse the next.
	for range 1000 {
		drain(t, l, "b", 1)
		l.GiveBack("b")
	}
	drain(t, l, "b", 3)

	// However many come back, there are never more than the burst.
	for range 100 {
		l.GiveBack("a")
		l.GiveBack("never taken")
	}
	for _, key := range []string{"a", "never taken"} {
		drain(t, l, key, 3)
		refused(t, l, key, 10*time.Second)
	}
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	tests := []struct {
		name  string
		burst int
		every time.Duration
		ok    int           // attempts after the change
		after time.Duration // then refused for this long
	}{
		{"the same", 5, hour, 2, hour},
		{"larger burst", 9, hour, 6, hour},
		{"smaller burst", 1, hour, 0, hour},
		{"faster", 5, time.Minute, 2, time.Minute},
		{"slower", 5, 3 * hour, 2, 3 * hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			l := New(steady(5, hour), c.now)
			drain(t, l, "a", 3)
			l.Configure(steady(tt.burst, tt.every))
			drain(t, l, "a", tt.ok)
			refused(t, l, "a", tt.after)
			drain(t, l, "new", tt.burst)
			refused(t, l, "new", tt.every)
		})
	}
}

func TestConfigureOffAndOn(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(3, time.Hour), c.now)
	drain(t, l, "a", 3)
	l.Configure(steady(0, 0))
	drain(t, l, "a", 100)
	l.GiveBack("a")
	l.Configure(steady(3, time.Hour))
	refused(t, l, "a", time.Hour)
}

func TestLongKeys(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(1, time.Hour), c.now)
	long := strings.Repeat("x", 1<<20)
	drain(t, l, long+"1", 1)
	drain(t, l, long+"2", 1)
	refused(t, l, long+"1", time.Hour)
	l.GiveBack(long + "1")
	drain(t, l, long+"1", 1)
	refused(t, l, long+"2", time.Hour)
	for i := range l.shards {
		for key := range l.shards[i].counts {
			if len(key) > maxKey {
				t.Errorf("a key of %d bytes is kept", len(key))
			}
		}
	}
}

// A flood of new keys takes no more room than allowed, and full counts make
// room for others once they may be swept again.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(2, time.Second), c.now)
	const most = shardCount * maxCounts
	for i := range most * 5 / 4 {
		if ok, _ := l.Take(strconv.Itoa(i)); !ok {
			t.Fatal("a new key was refused")
		}
	}
	if n := l.kept(); n > most || n < most*9/10 {
		t.Errorf("%d counts, want about %d", n, most)
	}
	c.advance(time.Minute) // All are full again.
	for i := range shardCount * 16 {
		l.Take("later " + strconv.Itoa(i))
	}
	if got := l.kept(); got > most/10 {
		t.Errorf("%d counts left after the sweep", got)
	}
}

// Flooding with new keys does not free a drained count.
func TestFloodKeepsDrainedBuckets(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(5, time.Hour), c.now)
	const victims = 50
	for i := range victims {
		drain(t, l, fmt.Sprintf("victim %d", i), 5)
	}
	for i := range shardCount * maxCounts * 3 / 2 {
		l.Take(strconv.Itoa(i))
	}
	for i := range victims {
		refused(t, l, fmt.Sprintf("victim %d", i), time.Hour)
	}
}

// Everything at once, for the race detector; and no more gets through than the
// burst, however many ask at once.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	var c clock
	l := New(steady(100, time.Hour), c.now)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				if ok, _ := l.Take("shared"); ok {
					allowed.Add(1)
				}
				key := strconv.Itoa(i % 100)
				l.Take(key)
				l.GiveBack(key)
				if i%100 == w {
					l.Configure(steady(100, time.Hour))
				}
			}
		})
	}
	wg.Wait()
	if got := allowed.Load(); got != 100 {
		t.Errorf("%d got through, want 100", got)
	}
}

func BenchmarkTake(b *testing.B) {
	b.Run("one key", func(b *testing.B) {
		l := New(steady(10, time.Second), nil)
		b.ReportAllocs()
		for b.Loop() {
			l.Take("192.0.2.1")
		}
	})
	b.Run("parallel", func(b *testing.B) {
		l := New(steady(10, time.Second), nil)
		var n atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			key := strconv.FormatInt(n.Add(1), 10)
			for pb.Next() {
				l.Take(key)
			}
		})
	})
	b.Run("flood of new keys", func(b *testing.B) {
		l := New(steady(10, time.Hour), nil)
		var key [20]byte
		n := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			n++
			l.Take(string(strconv.AppendInt(key[:0], n, 10)))
		}
	})
}
