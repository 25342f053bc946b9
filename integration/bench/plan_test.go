package main

import (
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		args      []string
		scenarios []string
		databases []string
		variants  []variant
		bad       bool
	}{
		{name: "default", scenarios: []string{"proxy", "pinned", "wide", "respond", "open210", "open2000"},
			databases: []string{"sqlite", "postgres", "mariadb"}, variants: []variant{bare, gated, basicAuth}},
		{name: "a database", args: []string{"--only", "postgres", "--variants", "gate"}, databases: []string{"postgres"}, variants: []variant{bare, gated}},
		{name: "too few sessions", args: []string{"--sessions", "9"}, bad: true},
		{name: "some", args: []string{"--only", "open210, proxy", "--variants", "control,gate,gate"},
			scenarios: []string{"proxy", "open210"}, variants: []variant{bare, control, gated}},
		{name: "unknown scenario", args: []string{"--only", "proxi"}, bad: true},
		{name: "unknown variant", args: []string{"--variants", "basicauth"}, bad: true},
		{name: "no rounds", args: []string{"--rounds", "0"}, bad: true},
		{name: "too long", args: []string{"--duration", "1h"}, bad: true},
		{name: "argument", args: []string{"all"}, bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := parseOptions(tt.args, io.Discard)
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if tt.bad {
				return
			}
			var names []string
			for _, sc := range o.scenarios {
				names = append(names, sc.name)
			}
			if diff := cmp.Diff(tt.scenarios, names); diff != "" {
				t.Error(diff)
			}
			var from []string
			for _, d := range o.databases {
				from = append(from, d.name)
			}
			if diff := cmp.Diff(tt.databases, from); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.variants, o.variants); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// `make bench` promises to be over in some ten minutes.
func TestPlannedTime(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.planned(); got > 585*time.Second {
		t.Errorf("the default run takes %v, and start-up comes on top", got)
	}
}

func TestTurnIsFair(t *testing.T) {
	t.Parallel()
	vs := []variant{bare, gated, basicAuth}
	first, last := map[variant]int{}, map[variant]int{}
	for round := range 6 {
		order := turn(vs, round)
		if len(order) != 3 {
			t.Fatalf("round %d: %v", round, order)
		}
		first[order[0]]++
		last[order[2]]++
	}
	want := map[variant]int{bare: 2, gated: 2, basicAuth: 2}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error("first: ", diff)
	}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Error("last: ", diff)
	}
	if diff := cmp.Diff([]variant{bare, gated, basicAuth}, vs); diff != "" {
		t.Error("the plan was changed: ", diff)
	}
}
