package caddymodule

import (
	"cmp"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// perPermit is how many more goroutines run at once for each hash that does: the
// hash holds one of these places for all of its time, even while the kernel lets
// others go first; and because processors are short then, others whose thread
// the kernel keeps waiting hold places too.
const perPermit = 2

// lingering is how long the places stay after the last hash: making them and taking
// them away each stops everything for a moment.
const lingering = 2 * time.Second

// processors sets how many goroutines of the process run at once (GOMAXPROCS),
// so that as many places as there are processors stay for everybody else while
// passwords are hashed. With nothing to hash, more places than processors would
// only make the kernel change between them. Who sets GOMAXPROCS in the environment
// has decided.
type processors struct {
	set   func(int) int // runtime.GOMAXPROCS
	fixed bool          // the environment says how many

	running atomic.Int64 // hashes
	last    atomic.Int64 // Unix nanoseconds: when a hash last began or ended
	more    atomic.Bool  // the places are there

	mu     sync.Mutex
	own    int // without ours; 0: not known yet
	hashes map[*core]int
	now    int // as it was last set; 0: never
}

var procs = &processors{set: runtime.GOMAXPROCS, fixed: os.Getenv("GOMAXPROCS") != "", hashes: make(map[*core]int)}

// count is how many processors there are for us: what Go, or Caddy by the limits
// of a container, began with.
func (p *processors) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number()
}

// number is count. p.mu is held.
func (p *processors) number() int {
	if p.own == 0 {
		p.own = p.set(0)
	}
	return p.own
}

// add makes room, once there are hashes, for so many at once behind one core's gate,
// in the place of what it was before; 0 is none, also where there is no limit to
// count.
func (p *processors) add(c *core, permits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number()
	if delete(p.hashes, c); permits > 0 {
		p.hashes[c] = permits
	}
	p.apply()
}

// apply sets what is to be. p.mu is held.
func (p *processors) apply() {
	want := p.number()
	if p.more.Load() {
		for _, n := range p.hashes {
			want += perPermit * n
		}
	}
	if before := cmp.Or(p.now, p.own); p.fixed || want == before {
		return // setting it stops everything for a moment
	}
	p.now = want
	p.set(want)
}

// hashing is told of each hash that begins, and calls end when it is over.
func (p *processors) hashing() (end func()) {
	p.running.Add(1)
	p.last.Store(time.Now().UnixNano())
	if !p.fixed && !p.more.Load() {
		p.wake()
	}
	return p.ended
}

func (p *processors) ended() {
	p.last.Store(time.Now().UnixNano())
	p.running.Add(-1)
}

// wake makes the places.
func (p *processors) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.more.CompareAndSwap(false, true) {
		p.apply()
		time.AfterFunc(lingering, p.rest)
	}
}

// rest takes the places away once there was no hash for long enough.
func (p *processors) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := time.Duration(time.Now().UnixNano() - p.last.Load())
	if p.running.Load() > 0 {
		since = 0
	}
	if since < lingering {
		time.AfterFunc(lingering-since, p.rest)
		return
	}
	p.more.Store(false)
	p.apply()
}
