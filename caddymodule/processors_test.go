package caddymodule

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestProcessors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now, changes := 2, 0
		p := &processors{hashes: make(map[*core]int), set: func(n int) int {
			before := now
			if n > 0 {
				now, changes = n, changes+1
			}
			return before
		}}
		a, b := new(core), new(core)
		hash := func() { p.hashing()() }
		var long func() // ends a hash that takes its time
		for _, step := range []struct {
			name    string
			do      func()
			want    int
			changes int
		}{
			{"one gate without a hash", func() { p.add(a, 2) }, 2, 0},
			{"the first hash", hash, 6, 1},
			{"the next", hash, 6, 1},
			{"the same after a reload", func() { p.add(a, 2) }, 6, 1},
			{"another database beside it", func() { p.add(b, 3) }, 12, 2},
			{"fewer permits", func() { p.add(a, 1) }, 10, 3},
			{"no limit", func() { p.add(b, 0) }, 4, 4},
			{"a little later", func() { time.Sleep(lingering / 2) }, 4, 4},
			{"one more", hash, 4, 4},
			{"not long enough without", func() { time.Sleep(lingering - 1) }, 4, 4},
			{"nothing to hash", func() { time.Sleep(2 * time.Nanosecond) }, 2, 5},
			{"permits meanwhile", func() { p.add(a, 4) }, 2, 5},
			{"a long hash", func() { long = p.hashing() }, 10, 6},
			{"while it runs", func() { time.Sleep(3 * lingering) }, 10, 6},
			{"its end", func() { long() }, 10, 6},
			{"the last one goes", func() { p.add(a, 0) }, 2, 7},
		} {
			step.do()
			synctest.Wait()
			if now != step.want || changes != step.changes {
				t.Errorf("%s: %d at once after %d changes, want %d after %d", step.name, now, changes, step.want, step.changes)
			}
			if n := p.count(); n != 2 {
				t.Errorf("%s: %d processors", step.name, n)
			}
		}
		time.Sleep(2 * lingering)
	})
}

func TestProcessorsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	p := &processors{fixed: true, hashes: make(map[*core]int), set: func(n int) int {
		if n > 0 {
			t.Errorf("set to %d", n)
		}
		return 3
	}}
	p.add(new(core), 2)
	p.hashing()()
	if p.count() != 3 {
		t.Errorf("%d processors", p.count())
	}
}
