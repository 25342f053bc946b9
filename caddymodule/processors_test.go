package caddymodule

import "testing"

func TestProcessors(t *testing.T) {
	t.Parallel()
	now, changes := 2, 0
	p := &processors{hashes: make(map[*core]int), set: func(n int) int {
		before := now
		if n > 0 {
			now, changes = n, changes+1
		}
		return before
	}}
	a, b := new(core), new(core)
	for _, step := range []struct {
		name    string
		core    *core
		permits int
		want    int
		changes int
	}{
		{"one gate", a, 2, 6, 1},
		{"the same after a reload", a, 2, 6, 1},
		{"another database beside it", b, 3, 12, 2},
		{"fewer permits", a, 1, 10, 3},
		{"no limit", b, 0, 4, 4},
		{"the last one goes", a, 0, 2, 5},
	} {
		p.add(step.core, step.permits)
		if now != step.want || changes != step.changes {
			t.Errorf("%s: %d at once after %d changes, want %d after %d", step.name, now, changes, step.want, step.changes)
		}
		if n := p.count(); n != 2 {
			t.Errorf("%s: %d processors", step.name, n)
		}
	}
}

func TestProcessorsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	p := &processors{fixed: true, hashes: make(map[*core]int), set: func(n int) int {
		if n > 0 {
			t.Errorf("set to %d", n)
		}
		return 3
	}}
	if p.add(new(core), 2); p.count() != 3 {
		t.Errorf("%d processors", p.count())
	}
}
