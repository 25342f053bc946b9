package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// variant is one way to run Caddy.
type variant string

const (
	bare      variant = "bare"       // no login at all: what the others are compared with
	control   variant = "control"    // bare once more: its ratio shows the noise
	gated     variant = "gate"       // the gate, client signed in
	basicAuth variant = "basic_auth" // Caddy's own, bcrypt of cost 10, cached
	stormy    variant = "storm"      // the gate as it is for storms; never in a table of variants
)

// site is one of the two sites that every Caddy serves.
type site string

const (
	proxySite   site = "proxy"
	respondSite site = "respond"
)

// host is the name under which the site is served. The two differ, because
// cookies do not know ports; both are loopback names, where the gate allows
// plain HTTP.
func (s site) host() string {
	if s == respondSite {
		return "respond.localhost"
	}
	return "localhost"
}

// measureKind says which figure of a scenario the ratio and the target are about.
type measureKind string

const (
	byThroughput measureKind = "requests/s over bare"
	byLimit      measureKind = "requests/s over the limit"
	byUnasked    measureKind = "requests/s over no auth"
	byCPU        measureKind = "CPU µs added per request"
	byP95        measureKind = "p95 over bare"
	byRaw        measureKind = "per second, over raw"
	bySize       measureKind = "time of a read, big over small file"
	byOpening    measureKind = "seconds"
	byRate       measureKind = "requests/s"
	byOwnLimit   measureKind = "requests/s over the limit of each"
)

// target is what the gate has to reach in a scenario. The zero value is none.
type target struct {
	Kind  measureKind `json:"kind"`
	Limit float64     `json:"limit"`
}

// more tells whether more is better.
func (t target) more() bool {
	return t.Kind == byThroughput || t.Kind == byRaw || t.Kind == byLimit || t.Kind == byUnasked || t.Kind == byRate
}

// reached reports whether a figure is as good as the target asks.
func (t target) reached(v float64) bool {
	if t.more() {
		return v >= t.Limit
	}
	return v <= t.Limit
}

// String says the target as in "≥ 0.95 (requests/s over bare)".
func (t target) String() string {
	sign := "≤"
	if t.more() {
		sign = "≥"
	}
	if t.Kind == byRate {
		return fmt.Sprintf("%s %.0f (%s)", sign, t.Limit, t.Kind)
	}
	return fmt.Sprintf("%s %.2f (%s)", sign, t.Limit, t.Kind)
}

// figure is a value that is held against the target, with its margin.
func (t target) figure(value, margin float64) string {
	if t.Kind == byRate {
		return fmt.Sprintf("%.0f ± %.0f", value, margin)
	}
	return fmt.Sprintf("%.3f ± %.3f", value, margin)
}

// scenario is one kind of load, put on every variant in turn.
type scenario struct {
	name    string
	title   string
	site    site
	conns   int
	pinned  bool
	rate    int           // requests/s of an open loop; 0 is a closed loop
	slice   time.Duration // measured time of a slice
	ramp    time.Duration // unmeasured beginning of it, until the load is steady
	stretch int           // measured time of a round, in units of --duration
	target  target
}

// Slices are short, so that the variants are compared under the same
// conditions, and long enough for the figure that they are compared by: with
// 1,000 connections an answer alone takes a tenth of a second, and a p95 wants
// some 200 requests.
const (
	shortSlice = 250 * time.Millisecond
	longSlice  = time.Second
	shortRamp  = 30 * time.Millisecond
	longRamp   = 200 * time.Millisecond
	warmUp     = 100 * time.Millisecond // unmeasured, once a round
)

var scenarios = []scenario{
	{name: "proxy", title: "reverse_proxy, 64 connections, closed loop",
		site: proxySite, conns: 64, slice: shortSlice, ramp: shortRamp, stretch: 1, target: target{byThroughput, 0.95}},
	{name: "pinned", title: "reverse_proxy, 64 connections, closed loop, processes pinned",
		site: proxySite, conns: 64, pinned: true, slice: shortSlice, ramp: shortRamp, stretch: 1, target: target{byThroughput, 0.93}},
	{name: "wide", title: "reverse_proxy, 1,000 connections, closed loop",
		site: proxySite, conns: 1000, slice: 600 * time.Millisecond, ramp: longRamp, stretch: 1, target: target{byThroughput, 0.90}},
	{name: "respond", title: "respond \"ok\", 64 connections, closed loop",
		site: respondSite, conns: 64, slice: shortSlice, ramp: shortRamp, stretch: 1, target: target{byCPU, 5}},
	{name: "open210", title: "reverse_proxy, 210 requests/s, open loop",
		site: proxySite, conns: 64, rate: 210, slice: longSlice, ramp: shortRamp, stretch: 2, target: target{byP95, 1.1}},
	{name: "open2000", title: "reverse_proxy, 2,000 requests/s, open loop",
		site: proxySite, conns: 64, rate: 2000, slice: 2 * shortSlice, ramp: shortRamp, stretch: 1},
}

// turns is how many slices a variant gets in a round.
func (sc scenario) turns(unit time.Duration) int {
	return max(1, int(time.Duration(sc.stretch)*unit/sc.slice))
}

// planned is how long a round takes for each variant: the slices, a short one
// to warm up before, and what it takes to await the last answers.
func (sc scenario) planned(unit time.Duration) time.Duration {
	last := time.Duration(sc.conns) * 200 * time.Microsecond
	return time.Duration(sc.turns(unit))*(sc.ramp+sc.slice+last) + warmUp + sc.ramp + last
}

// ratioKind is what "ratio" means in this scenario.
func (sc scenario) ratioKind() measureKind {
	if sc.rate > 0 {
		return byP95
	}
	return byThroughput
}

// scenarioNames lists the names for messages.
func scenarioNames() string {
	var names []string
	for _, sc := range scenarios {
		names = append(names, sc.name)
	}
	return strings.Join(names, ", ")
}

// databaseNames lists the names for messages.
func databaseNames() string {
	var names []string
	for _, d := range databases {
		names = append(names, d.name)
	}
	return strings.Join(names, ", ")
}

// pick takes what --only names, in the order of the lists; when it is empty, all but
// the storms and the grants, which make runs of their own.
func (o *options) pick(only string) error {
	names := splitList(only)
	if len(names) == 0 {
		o.scenarios, o.databases, o.forwards = scenarios, databases, forwards
		return nil
	}
	var known []string
	o.scenarios = named(scenarios, func(sc scenario) string { return sc.name }, names, &known)
	o.databases = named(databases, func(d database) string { return d.name }, names, &known)
	o.storms = named(storms, func(st storm) string { return st.name }, names, &known)
	o.forwards = named(forwards, func(f forward) string { return f.name }, names, &known)
	o.grants = slices.DeleteFunc(slices.Clone(grants), func(g grant) bool { return !slices.ContainsFunc(names, g.called) })
	known = append(known, grantNames()...)
	for _, n := range names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("--only: no scenario or database %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return nil
}

// named picks those of a list that are named, and adds all their names to known.
func named[T any](list []T, name func(T) string, names []string, known *[]string) (picked []T) {
	for _, one := range list {
		*known = append(*known, name(one))
		if slices.Contains(names, name(one)) {
			picked = append(picked, one)
		}
	}
	return picked
}

// forwardNames lists the names for messages.
func forwardNames() string {
	var names []string
	for _, f := range forwards {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// pickVariants returns the variants that --variants names, bare always first:
// without it there is no ratio.
func pickVariants(list string) ([]variant, error) {
	picked := []variant{bare}
	for _, n := range splitList(list) {
		v := variant(n)
		if !slices.Contains([]variant{bare, control, gated, basicAuth}, v) {
			return nil, fmt.Errorf("--variants: no variant %q; there are bare, gate, basic_auth, control", n)
		}
		if !slices.Contains(picked, v) {
			picked = append(picked, v)
		}
	}
	return picked, nil
}

// turn is the order of the variants in the i-th turn: each comes first and last
// equally often, so that no place in the order favours one.
func turn(vs []variant, i int) []variant {
	n := len(vs)
	k := i % n
	order := append(slices.Clone(vs[k:]), vs[:k]...)
	if i/n%2 == 1 {
		slices.Reverse(order)
	}
	return order
}
