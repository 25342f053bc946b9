package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMachineTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     time.Duration
		bad      bool
	}{
		// user 1, nice 2, system 3, (idle, iowait), irq 4, softirq 5, steal 6, (guest)
		{name: "all", in: "cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 9 9 9 9 9 9 9 9 9 9\n", want: 210 * time.Millisecond},
		{name: "without guest", in: "cpu 1 0 0 0 0 0 0 0", want: 10 * time.Millisecond},
		{name: "empty", bad: true},
		{name: "short", in: "cpu 1 2 3\n", bad: true},
		{name: "another line", in: "intr 1 2 3 4 5 6 7 8\n", bad: true},
		{name: "no number", in: "cpu 1 x 3 4 5 6 7 8\n", bad: true},
	} {
		got, err := parseMachineTime([]byte(tt.in))
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s: %v, %v; want %v, error %v", tt.name, got, err, tt.want, tt.bad)
		}
	}
}

func TestPinnedLayout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cores []int
		want  layout
		ok    bool
	}{
		{nil, layout{}, false},
		{[]int{3}, layout{}, false},
		{[]int{0, 1}, layout{caddy: []int{1}, rest: []int{0}}, true},
		{[]int{6, 2, 4}, layout{caddy: []int{6}, rest: []int{2, 4}}, true},
	} {
		got, ok := pinnedLayout(tt.cores)
		if ok != tt.ok || !cmp.Equal(tt.want, got, cmp.AllowUnexported(layout{})) {
			t.Errorf("%v: %v, %v; want %v, %v", tt.cores, got, ok, tt.want, tt.ok)
		}
	}
}
