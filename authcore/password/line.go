package password

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"time"
)

// Caller is for whom a password is hashed. When all permits are taken, it
// decides who gets the next one.
//
// Threat model. Somebody keeps all permits busy, from one address with many
// connections or from many addresses. So the turns in the line go by these, in
// this order: fewer of the same address inside the gate, whether they hold a
// permit or wait; known before unknown; fewer of the same network inside;
// earlier. One address, however many connections it has, is then behind the
// first of every other address, a network is behind every other network as
// soon as it uses more than one of its addresses, and known callers
// are before a storm of strangers. A gate that lets nobody wait has a line only for
// those whom this would otherwise cost their turn. No permit is kept free for anybody: one comes
// free with the next hash that ends.
//
// Known callers are counted apart from strangers, so that a stranger who shares
// their address does not push them back; and they are counted too, so that one of
// them cannot keep everybody else out.
type Caller struct {
	Known   bool   // proved who they are before: a known device, or a session
	Address string // where from, or who, for those known; all who share it are counted together
	Network string // the wider network of Address
}

type callerKey struct{}

// For returns a context for hashing on behalf of c. Without it nothing is known
// of the caller, who then has no place in the short line of a gate that lets
// nobody wait.
func For(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// own and near are what a caller is counted by.
func (c Caller) own() Caller  { return Caller{Known: c.Known, Address: c.Address} }
func (c Caller) near() Caller { return Caller{Known: c.Known, Network: c.Network} }

// place is somebody's place in the line.
type place struct {
	who       Caller
	own, near int       // others of the address and of the network who were inside before
	full      bool      // the last in the line has to go for it
	told      chan bool // once: true for the permit, false where others took the place
}

// before tells whether p's turn comes before that of q, who stands in line already.
func (p *place) before(q *place) bool {
	if p.own == q.own && p.who.Known != q.who.Known {
		return p.who.Known
	}
	return cmp.Or(cmp.Compare(p.own, q.own), cmp.Compare(p.near, q.near)) < 0
}

// count counts a caller in or out of the gate. The caller holds mu.
func (g *Gate) count(who Caller, n int) {
	if g.inside == nil {
		g.inside = make(map[Caller]int)
	}
	count(g.inside, who, n)
}

func count(of map[Caller]int, who Caller, n int) {
	for _, half := range [2]Caller{who.own(), who.near()} {
		if of[half] += n; of[half] == 0 {
			delete(of, half)
		}
	}
}

// owed tells whether a gate that lets nobody wait makes an exception: for known
// callers, and for those who asked clearly less often of late than somebody else.
// What counts is who asked, and not who had a permit: somebody who gets a turn
// between two of an attacker's has as many of those. Where all are alike, as in a
// storm from everywhere, nobody waits. The caller holds mu.
func (g *Gate) owed(who Caller) bool {
	if who == (Caller{}) {
		return false
	}
	own, near := clearly(g.asked[who.own()]), clearly(g.asked[who.near()])
	return who.Known || slices.ContainsFunc(g.last[:], func(other Caller) bool {
		return g.asked[other.own()] > own || g.asked[other.near()] > near
	})
}

// clearly is what is clearly more often than n times, if it is exceeded. Of 64 times
// that a thousand in turn ask, nobody has four.
func clearly(n int) int { return 2*n + 3 }

// remember counts that somebody asked, and forgets the oldest. The caller holds mu.
func (g *Gate) remember(who Caller) {
	if g.asked == nil {
		g.asked = make(map[Caller]int)
	}
	at := &g.last[g.turn%len(g.last)]
	g.turn++
	if *at != (Caller{}) {
		count(g.asked, *at, -1)
	}
	if *at = who; who != (Caller{}) {
		count(g.asked, who, 1)
	}
}

// placeFor gives the place that a caller would have in the line, and how long to wait
// there; nil where there is none. The caller holds mu.
func (g *Gate) placeFor(who Caller) (p *place, wait time.Duration) {
	length, wait := maxWaiting, g.wait
	if wait == 0 {
		if length, wait = min(maxWaiting, placesPerPermit*g.permits), turnWait; !g.owed(who) {
			return nil, 0
		}
	}
	p = &place{who: who, own: g.inside[who.own()], near: g.inside[who.near()]}
	if g.line.Len() >= length && !p.before(g.line.Back().Value.(*place)) {
		return nil, 0
	}
	p.full = g.line.Len() >= length
	return p, wait
}

// lineUp gives a caller a place in the line, and how long to wait there; nil
// where there is none. Where the line is full, the last in it has to go if the
// newcomer's turn comes before. The caller holds mu.
func (g *Gate) lineUp(who Caller) (at *list.Element, wait time.Duration) {
	p, wait := g.placeFor(who)
	if p == nil {
		return nil, 0
	}
	p.told = make(chan bool, 1)
	if p.full {
		gone := g.line.Remove(g.line.Back()).(*place)
		g.count(gone.who, -1)
		gone.told <- false
	}
	g.count(who, 1)
	behind := g.line.Back()
	for behind != nil && p.before(behind.Value.(*place)) {
		behind = behind.Prev()
	}
	if behind == nil {
		return g.line.PushFront(p), wait
	}
	return g.line.InsertAfter(p, behind), wait
}
