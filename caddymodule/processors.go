package caddymodule

import (
	"os"
	"runtime"
	"sync"
)

// perPermit is how many more goroutines run at once for each hash that does: the
// hash holds one of these places for all of its time, even while the kernel lets
// others go first; and because processors are short then, others whose thread
// the kernel keeps waiting hold places too.
const perPermit = 2

// processors sets how many goroutines of the process run at once (GOMAXPROCS),
// so that as many places as there are processors stay for everybody else while
// passwords are hashed. Who sets GOMAXPROCS in the environment has decided.
type processors struct {
	set   func(int) int // runtime.GOMAXPROCS
	fixed bool          // the environment says how many

	mu     sync.Mutex
	own    int // without ours; 0: not known yet
	hashes map[*core]int
	spare  int
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

// add makes room for so many hashes at once behind one core's gate, in the place
// of what it was before; 0 is none, also where there is no limit to count.
func (p *processors) add(c *core, permits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.number()
	if delete(p.hashes, c); permits > 0 {
		p.hashes[c] = permits
	}
	spare := 0
	for _, n := range p.hashes {
		spare += perPermit * n
	}
	if p.fixed || spare == p.spare {
		return // setting it stops everything for a moment
	}
	p.spare = spare
	p.set(own + spare)
}
