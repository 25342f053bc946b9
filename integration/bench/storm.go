package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// storms are the kinds of storm: what those do who are refused.
var storms = []storm{
	{"storm", "who is refused comes back about when the answer says (Retry-After, half to one and a half times)", true},
	{"flood", "who is refused comes back at once", false},
}

type storm struct {
	name, title string
	waits       bool
}

// stormRate is how often the signed-in client asks in a second.
const stormRate = 160

// way is one way to run Caddy in a storm: words for the Caddyfile and for the
// environment, and the binary, where it is another.
type way struct {
	name    string
	caddy   string
	clients int
	gate    []string // lines in the global option gate
	env     []string
}

// defaultWays are measured when none is named.
var defaultWays = []string{
	"as it comes:",
	"one permit: permits=1",
	"no spare Ps: GOMAXPROCS=cores",
}

// parseWay reads a way as in "NAME: permits=2 clients=300 caddy=FILE GOGC=200".
func parseWay(s string, cores int) (way, error) {
	name, rest, ok := strings.Cut(s, ":")
	w := way{name: strings.TrimSpace(name), clients: 1000}
	if !ok || w.name == "" {
		return w, fmt.Errorf("way %q: say NAME: WORD=VALUE …", s)
	}
	for _, f := range strings.Fields(rest) {
		word, value, ok := strings.Cut(f, "=")
		switch {
		case !ok || value == "":
			return w, fmt.Errorf("way %q: %q is not WORD=VALUE", s, f)
		case word == "permits":
			w.gate = append(w.gate, "hashing {\n\t\t\tpermits "+value+"\n\t\t}")
		case word == "caddy":
			w.caddy = value
		case word == "clients":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 5000 {
				return w, fmt.Errorf("way %q: clients is a number from 1 to 5000", s)
			}
			w.clients = n
		case value == "cores":
			w.env = append(w.env, word+"="+strconv.Itoa(cores))
		default:
			w.env = append(w.env, f)
		}
	}
	return w, nil
}

// stormSample is what one storm did to one Caddy.
type stormSample struct {
	IdleP50     float64      `json:"idle_p50_ms"`
	IdleP95     float64      `json:"idle_p95_ms"`
	IdleP99     float64      `json:"idle_p99_ms"`
	P50         float64      `json:"p50_ms"`
	P95         float64      `json:"p95_ms"`
	P99         float64      `json:"p99_ms"`
	Served      float64      `json:"served_share"`
	Failure     string       `json:"first_failure,omitempty"` // of the signed-in client
	SignIns     float64      `json:"sign_ins_per_second"`
	Peak        float64      `json:"peak_memory_mib"`
	CaddyCores  float64      `json:"caddy_cores"`
	OthersCores float64      `json:"others_cores"` // neither Caddy, load nor upstream
	Crowd       crowdOutcome `json:"crowd"`
}

// storm starts Caddy in one way, on a new database, and measures before and in
// the storm.
func (b *bench) storm(ctx context.Context, kind storm, w way, duration time.Duration) (stormSample, error) {
	in, people, err := b.startGate(ctx, gatePlan{caddy: w.caddy, gate: w.gate, env: w.env, people: w.clients + 1})
	if err != nil {
		return stormSample{}, err
	}
	defer in.stop()
	clients, err := dialAll(ctx, in.addr, 64)
	if err != nil {
		return stormSample{}, err
	}
	defer closeAll(clients)
	v := visitor{addr: in.addr, authority: in.authority, credential: "Cookie: " + people[0].cookie}
	j := job{addr: in.addr, request: v.request("/"), want: []byte(upstreamBody), conns: len(clients), rate: stormRate,
		ramp: time.Second, measure: duration, tolerant: true}
	p := pids{caddy: in.pid(), upstream: b.upstream.pid()}
	before, err := measureSlice(ctx, j, clients, p)
	if err != nil {
		return stormSample{}, err
	}
	plan := crowdPlan{Addr: in.addr, Authority: in.authority, Waits: kind.waits, Ramp: 2 * time.Second, Measure: duration}
	for _, one := range people[1:] {
		plan.Names = append(plan.Names, one.name)
	}
	c, err := b.startCrowd(plan)
	if err != nil {
		return stormSample{}, err
	}
	defer c.stop()
	if err := c.begin(); err != nil {
		return stormSample{}, err
	}
	j.ramp = plan.Ramp
	during, err := measureSlice(ctx, j, clients, p)
	if err != nil {
		return stormSample{}, err
	}
	told, err := c.outcome(ctx)
	if err != nil {
		return stormSample{}, err
	}
	peak, err := peakMemory(in.pid())
	return newStormSample(before, during, told, peak), err
}

// newStormSample works out the figures.
func newStormSample(before, during slice, told crowdOutcome, peak float64) stormSample {
	idle, busy := newSample([]slice{before}), newSample([]slice{during})
	s := stormSample{IdleP50: idle.P50, IdleP95: idle.P95, IdleP99: idle.P99, P50: busy.P50, P95: busy.P95, P99: busy.P99,
		Served: quotient(float64(len(during.latencies)), float64(len(during.latencies)+during.failed)),
		Peak:   peak, CaddyCores: busy.CaddyCores, Crowd: told}
	if span := during.after.at.Sub(during.before.at); span > 0 {
		used := during.othersTime() - time.Duration(told.CPUSeconds*float64(time.Second))
		s.OthersCores = max(0, float64(used)/float64(span))
	}
	s.SignIns = quotient(float64(told.SignedIn), told.Seconds)
	if during.failure != nil {
		s.Failure = during.failure.Error()
	}
	return s
}

// measureStorms goes through all ways in each round, in changing order.
func measureStorms(ctx context.Context, b *bench, opts options, progress io.Writer) ([]stormReport, error) {
	var reports []stormReport
	for _, kind := range opts.storms {
		r := stormReport{Name: kind.name, Title: kind.title, Seconds: opts.duration.Seconds()}
		for _, w := range opts.ways {
			r.Ways = append(r.Ways, stormWay{Way: w.name, Clients: w.clients, way: w})
		}
		reports = append(reports, r)
	}
	for round := range opts.rounds {
		for i, kind := range opts.storms {
			r := &reports[i]
			order := make([]*stormWay, len(r.Ways))
			for k := range r.Ways {
				order[k] = &r.Ways[(k+round)%len(r.Ways)]
			}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, w := range order {
				if err := awaitQuiet(ctx, b.upstream.pid()); err != nil {
					return nil, err
				}
				s, err := b.storm(ctx, kind, w.way, opts.duration)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", kind.name, w.Way, err)
				}
				w.Samples = append(w.Samples, s)
				fmt.Fprintf(progress, "round %d/%d  %s  %s: %s\n", round+1, opts.rounds, kind.name, w.Way, s)
			}
		}
	}
	for i := range reports {
		reports[i].finish()
	}
	return reports, nil
}

// Others on the machine are waited for, a while, before a storm begins: with
// them, it is their storm that is measured.
const (
	quietCores = 0.3
	quietWait  = 15 * time.Second
)

// awaitQuiet waits until others use little, or has waited for long enough.
func awaitQuiet(ctx context.Context, upstreamPID int) error {
	for end := time.Now().Add(quietWait); time.Now().Before(end); {
		before, err := takeReading(0, upstreamPID, os.Getpid())
		if err == nil {
			err = wait(ctx, time.Second)
		}
		if err != nil {
			return err
		}
		after, err := takeReading(0, upstreamPID, os.Getpid())
		if err != nil {
			return err
		}
		others := slice{before: before, after: after}.othersTime()
		if float64(others) < quietCores*float64(after.at.Sub(before.at)) {
			return nil
		}
	}
	return nil
}
