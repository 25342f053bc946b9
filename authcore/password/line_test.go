package password

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Callers by name: a to d are strangers at addresses of networks of their own,
// n1 to n9 strangers of one network; a capital letter is a known one there.
func caller(name string) Caller {
	c := Caller{Address: name, Network: "of " + name}
	switch first := name[0]; {
	case first == 'n':
		c.Network = "of n"
	case first >= 'A' && first <= 'Z':
		c = Caller{Known: true, Address: string(first + 'a' - 'A'), Network: "of " + string(first+'a'-'A')}
	}
	return c
}

// queue has callers come one after the other to a gate whose permits are taken, and
// gives those who got one, in order, and those who got ErrBusy, in order.
func queue(t *testing.T, g *Gate, names ...string) (served, refused []string) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var held []func()
	hammer(t, g)
	for range g.Stats().Permits {
		held = append(held, acquireFor(t, g, "a"))
	}
	for _, name := range names {
		wg.Go(func() {
			release, err := g.Acquire(For(t.Context(), caller(name)))
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrBusy) {
				refused = append(refused, name)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			served = append(served, name)
			go release()
		})
		synctest.Wait()
	}
	for _, release := range held {
		release()
		synctest.Wait()
	}
	wg.Wait()
	return served, refused
}

// hammer has somebody ask so often that others are owed a permit.
func hammer(t *testing.T, g *Gate) {
	t.Helper()
	for range 20 {
		acquireFor(t, g, "z")()
	}
}

func acquireFor(t *testing.T, g *Gate, name string) (release func()) {
	t.Helper()
	release, err := g.Acquire(For(t.Context(), caller(name)))
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                  string
		come, served, refused []string
	}{
		{"in the order of arrival", []string{"b", "c", "d"}, []string{"b", "c", "d"}, nil},
		{"full", []string{"b", "c", "d", "e", "f"}, []string{"b", "c", "d", "e"}, []string{"f"}},
		{"an address has its turn after the others", []string{"b", "b", "b", "c", "d"}, []string{"b", "c", "d", "b"}, []string{"b"}},
		{"who holds the permit comes last", []string{"a", "a", "a", "a", "b"}, []string{"b", "a", "a", "a"}, []string{"a"}},
		{"known before strangers", []string{"b", "c", "D", "E"}, []string{"D", "E", "b", "c"}, nil},
		{"a known one takes the last place", []string{"b", "c", "d", "e", "F"}, []string{"F", "b", "c", "d"}, []string{"e"}},
		{"a line of known ones is full too", []string{"B", "C", "D", "E", "F", "g"}, []string{"B", "C", "D", "E"}, []string{"F", "g"}},
		{"a stranger does not push back who is known at the same address", []string{"b", "b", "b", "A"}, []string{"A", "b", "b", "b"}, nil},
		{"one known address does not keep others out", []string{"B", "B", "B", "B", "c"}, []string{"B", "c", "B", "B"}, []string{"B"}},
		{"nor do those of one network", []string{"n1", "n2", "n3", "n4", "b"}, []string{"n1", "b", "n2", "n3"}, []string{"n4"}},
		{"an address comes before its network's others", []string{"n1", "n1", "n1", "n1", "n2"}, []string{"n1", "n2", "n1", "n1"}, []string{"n1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(1)
				served, refused := queue(t, g, test.come...)
				if diff := cmp.Diff(test.served, served); diff != "" {
					t.Errorf("served (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.refused, refused); diff != "" {
					t.Errorf("refused (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(GateStats{Permits: 1, Refused: uint64(len(test.refused))}, g.Stats()); diff != "" {
					t.Error(diff)
				}
				if len(g.inside) != 0 {
					t.Errorf("counted as inside in the end: %v", g.inside)
				}
			})
		})
	}
}

// The line is fair where everybody may wait, too.
func TestLineOfThoseWhoMayWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		g.SetWait(time.Minute)
		served, _ := queue(t, g, "b", "b", "b", "b", "b", "b", "b", "c", "D")
		if diff := cmp.Diff([]string{"D", "b", "c", "b", "b", "b", "b", "b", "b"}, served); diff != "" {
			t.Error(diff)
		}
	})
}

// A gate that lets nobody wait has a short line, for a short time; and none for
// those whom it knows nothing of.
func TestLineIsShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2)
		hammer(t, g)
		acquireFor(t, g, "a")
		acquireFor(t, g, "A")
		for i := range 2 * placesPerPermit {
			go func() { _, _ = g.Acquire(For(t.Context(), caller(fmt.Sprint("x", i)))) }()
		}
		synctest.Wait()
		began := time.Now()
		for _, c := range []Caller{caller("b"), {}} {
			if _, err := g.Acquire(For(t.Context(), c)); !errors.Is(err, ErrBusy) || time.Since(began) != 0 {
				t.Errorf("%v: %v after %v, want ErrBusy at once", c, err, time.Since(began))
			}
		}
		if _, err := g.Acquire(For(t.Context(), caller("C"))); !errors.Is(err, ErrBusy) || time.Since(began) != turnWait {
			t.Errorf("%v after %v, want ErrBusy after %v", err, time.Since(began), turnWait)
		}
		synctest.Wait()
		if got := g.Stats(); got.Waiting != 0 || got.Refused != 2*placesPerPermit+3 {
			t.Errorf("in the end: %+v", got)
		}
	})
}

// Where all are alike nobody waits: whoever finds no permit free is refused at
// once, unless known, or somebody else asked clearly more often.
func TestNobodyWaitsInAStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2)
		for i := range 100 {
			acquireFor(t, g, fmt.Sprint("x", i))()
		}
		first, second := acquireFor(t, g, "a"), acquireFor(t, g, "b")
		for _, name := range []string{"a", "b", "c", "x99", "n1"} {
			if _, err := g.Acquire(For(t.Context(), caller(name))); !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v, want ErrBusy at once", name, err)
			}
		}
		go func() { first(); second() }()
		acquireFor(t, g, "C")()
		if got, want := len(g.asked), 2*len(g.last); got > want {
			t.Errorf("%d callers remembered, want %d at most", got, want)
		}
	})
}

// Whoever hammers is told from those who sign in again and again and have had as many
// permits as they.
func TestOwedByWhoAsked(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	for range 10 {
		acquireFor(t, g, "b")()
		acquireFor(t, g, "a")()
	}
	defer acquireFor(t, g, "a")()
	for range 40 {
		if err := g.Busy(For(t.Context(), caller("a"))); !errors.Is(err, ErrBusy) {
			t.Fatalf("who hammers: %v, want ErrBusy", err)
		}
	}
	if err := g.Busy(For(t.Context(), caller("b"))); err != nil {
		t.Errorf("who does not: %v", err)
	}
}

// Somebody who goes away leaves neither a place nor a count behind.
func TestLineCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		release := acquireFor(t, g, "a")
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := g.Acquire(For(ctx, caller("B")))
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		release()
		acquireFor(t, g, "b")()
		if len(g.inside) != 0 {
			t.Errorf("counted as inside in the end: %v", g.inside)
		}
	})
}

// One address with many connections, and a storm of strangers from everywhere:
// the first cannot keep a stranger out, the second nobody known.
func TestLineUnderAttack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ attack, who string }{{"a", "b"}, {"A", "b"}, {"a", "A"}, {"", "B"}} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(2)
			ctx, stop := context.WithCancel(t.Context())
			var attack sync.WaitGroup
			for range 20 {
				attack.Go(func() {
					for ctx.Err() == nil {
						c := caller(fmt.Sprint("x", rand.N(100_000)))
						if test.attack != "" {
							c = caller(test.attack)
						}
						if release, err := g.Acquire(For(ctx, c)); err == nil {
							time.Sleep(20 * time.Millisecond)
							release()
						} else {
							time.Sleep(time.Millisecond)
						}
					}
				})
			}
			for range 30 {
				time.Sleep(7 * time.Millisecond)
				began := time.Now()
				release, err := g.Acquire(For(t.Context(), caller(test.who)))
				if err != nil {
					t.Errorf("%q keeps %q out: %v", test.attack, test.who, err)
					break
				}
				if took := time.Since(began); took > 40*time.Millisecond {
					t.Errorf("%q keeps %q waiting for %v", test.attack, test.who, took)
				}
				time.Sleep(20 * time.Millisecond)
				release()
			}
			stop()
			attack.Wait()
		})
	}
}

// Everything at once, for the race detector; in the end nothing is missing and
// nobody is counted.
func TestLineUnderLoad(t *testing.T) {
	t.Parallel()
	g := NewGate(2)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(i)))
			for range 500 {
				switch r.IntN(20) {
				case 0:
					g.SetPermits(r.IntN(4))
				case 1:
					g.SetWait(time.Duration(r.IntN(2)) * 100 * time.Microsecond)
				default:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(200))*time.Microsecond)
					if release, err := g.Acquire(For(ctx, caller([]string{"a", "b", "A", "B", "n1", "n2"}[r.IntN(6)]))); err == nil {
						release()
					}
					cancel()
				}
			}
		})
	}
	wg.Wait()
	g.SetPermits(2)
	got := g.Stats()
	got.Refused = 0
	if diff := cmp.Diff(GateStats{Permits: 2}, got); diff != "" {
		t.Error(diff)
	}
	if len(g.inside) != 0 {
		t.Errorf("counted as inside in the end: %v", g.inside)
	}
}
