package password

import (
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/password/argon2id"
)

// idleMemory is for how long a memory stays, at least, after the last hash that
// needed it; it goes before twice that time.
const idleMemory = 10 * time.Second

// memories keeps the memories of hashes for the next ones. There are never more
// than the most hashes that ran at once, which is for the gate to bound; a
// sync.Pool would also keep those of two garbage collections ago. The zero memories
// is ready for use.
type memories struct {
	mu      sync.Mutex
	idle    []*memory // the last used last
	out     int       // in use
	round   int       // goes up every idleMemory, as long as there are any
	ticking bool
}

// memory is one of them.
type memory struct {
	argon2id.Memory
	needed int // the round in which a hash last took at least half of it
}

// derive returns a key of that length in bytes.
func (m *memories) derive(password, salt []byte, p Params, length int) []byte {
	key := make([]byte, length)
	work := m.take(int(p.Memory))
	work.Derive(key, password, salt, argon2id.Cost(p))
	m.put(work, 2*int(p.Memory) >= work.Size())
	return key
}

// take returns the smallest memory that has so many KiB, the last used of
// several. If none has, the smallest of all is to grow: a new one beside it
// could make them more than the hashes at once.
func (m *memories) take(size int) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out++
	if len(m.idle) == 0 {
		return &memory{needed: m.round}
	}
	best := 0
	for i, work := range m.idle {
		have, least := work.Size(), m.idle[best].Size()
		fits, bestFits := have >= size, least >= size
		if fits && !bestFits || fits == bestFits && have <= least {
			best = i
		}
	}
	work := m.idle[best]
	m.idle = slices.Delete(m.idle, best, best+1)
	return work
}

// put takes back a memory, unless nobody has needed one of its size for long.
func (m *memories) put(work *memory, needed bool) {
	m.mu.Lock()
	m.out--
	if needed {
		work.needed = m.round
	}
	stale := m.stale(work)
	if !stale {
		m.idle = append(m.idle, work)
	}
	if !m.ticking && len(m.idle) > 0 {
		m.ticking = true
		time.AfterFunc(idleMemory, m.sweep)
	}
	m.mu.Unlock()
	if stale {
		work.Free()
	}
}

// sweep drops the idle memories that nobody has needed for long.
func (m *memories) sweep() {
	m.mu.Lock()
	m.round++
	var dropped []*memory
	m.idle = slices.DeleteFunc(m.idle, func(work *memory) bool {
		if m.stale(work) {
			dropped = append(dropped, work)
			return true
		}
		return false
	})
	m.ticking = len(m.idle) > 0 || m.out > 0
	if m.ticking {
		time.AfterFunc(idleMemory, m.sweep)
	}
	m.mu.Unlock()
	for _, work := range dropped {
		work.Free()
	}
}

// stale tells whether a memory was last needed before the last whole round. The
// caller holds mu.
func (m *memories) stale(work *memory) bool { return m.round-work.needed >= 2 }
