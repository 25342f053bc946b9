package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// bench holds the processes of a run.
type bench struct {
	caddy          string // path of the binary
	dir            string // temporary, removed at the end
	cores          []int
	layout         layout // for pinned scenarios
	passwordHash   string
	upstream       *upstream
	pinnedUpstream *upstream
	instances      []*instance
	running        []*process // everything to stop, in order of start
}

// sample is what one slot measured.
type sample struct {
	Requests    int     `json:"requests"`
	Seconds     float64 `json:"seconds"`
	Throughput  float64 `json:"requests_per_second"`
	P50         float64 `json:"p50_ms"`
	P95         float64 `json:"p95_ms"`
	P99         float64 `json:"p99_ms"`
	CPU         float64 `json:"caddy_cpu_us_per_request"`
	RestCPU     float64 `json:"load_and_upstream_cpu_us_per_request"`
	CaddyCores  float64 `json:"caddy_cores"`
	RestCores   float64 `json:"load_and_upstream_cores"`
	OthersCores float64 `json:"others_cores"`
	Failed      int     `json:"failed"`
	failure     error
}

// measure starts everything, measures round after round and stops everything.
func measure(ctx context.Context, opts options, progress io.Writer) (*report, error) {
	b, err := setUp(ctx, opts)
	if b != nil {
		defer b.tearDown()
	}
	if err != nil {
		return nil, err
	}
	rep, err := newReport(ctx, b, opts)
	if err != nil {
		return nil, err
	}
	for round := range opts.rounds {
		for i, sc := range opts.scenarios {
			if sc.pinned && b.pinnedUpstream == nil {
				continue
			}
			for _, v := range turn(opts.variants, round) {
				s, err := b.slot(ctx, sc, v, opts)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", sc.name, v, err)
				}
				rep.add(i, v, s)
			}
			fmt.Fprintf(progress, "round %d/%d  %s\n", round+1, opts.rounds, rep.Scenarios[i].lastRound(opts.variants))
		}
	}
	rep.finish()
	return rep, nil
}

// setUp starts the upstreams and the Caddys that the scenarios need. The bench
// it returns is to be torn down even when there is an error.
func setUp(ctx context.Context, opts options) (*bench, error) {
	caddy, err := filepath.Abs(opts.caddy)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(caddy); err != nil {
		return nil, fmt.Errorf("no Caddy to measure; build it first (`make build` or ./xcaddy.sh build): %w", err)
	}
	b := &bench{caddy: caddy}
	if b.cores, err = usableCores(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(userPassword), 10)
	if err != nil {
		return b, err
	}
	b.passwordHash = string(hash)
	if b.upstream, err = b.startUpstream(ctx, "upstream", nil); err != nil {
		return b, err
	}
	pinnable := false
	if slices.ContainsFunc(opts.scenarios, func(sc scenario) bool { return sc.pinned }) {
		b.layout, pinnable = pinnedLayout(b.cores)
	}
	if pinnable {
		if b.pinnedUpstream, err = b.startUpstream(ctx, "upstream-pinned", b.layout.rest); err != nil {
			return b, err
		}
	}
	free := slices.ContainsFunc(opts.scenarios, func(sc scenario) bool { return !sc.pinned })
	for _, v := range opts.variants {
		for _, pinned := range []bool{false, true} {
			if pinned && !pinnable || !pinned && !free {
				continue
			}
			in, err := b.startCaddy(ctx, v, pinned)
			if err != nil {
				return b, err
			}
			b.instances = append(b.instances, in)
		}
	}
	return b, nil
}

// tearDown stops what was started, the last first, and removes the directory.
func (b *bench) tearDown() {
	for _, p := range slices.Backward(b.running) {
		p.stop()
	}
	os.RemoveAll(b.dir) // what stays is in the system's temporary directory
}

// instance finds the running Caddy for a slot.
func (b *bench) instance(v variant, pinned bool) (*instance, error) {
	for _, in := range b.instances {
		if in.variant == v && in.pinned == pinned {
			return in, nil
		}
	}
	return nil, errors.New("no such Caddy was started")
}

// slot measures one scenario on one variant once.
func (b *bench) slot(ctx context.Context, sc scenario, v variant, opts options) (sample, error) {
	in, err := b.instance(v, sc.pinned)
	if err != nil {
		return sample{}, err
	}
	up, want := b.upstream, upstreamBody
	if sc.pinned {
		up = b.pinnedUpstream
	}
	if sc.site == respondSite {
		want = respondBody
	}
	j := job{
		addr: address(in.ports[sc.site]), request: in.requests[sc.site], want: []byte(want),
		conns: sc.conns, rate: sc.rate, warm: warmUp, measure: sc.duration(opts.duration),
	}
	if !sc.pinned {
		return measureJob(ctx, j, in.pid(), up.pid())
	}
	if err := pinSelf(b.layout.rest); err != nil {
		return sample{}, err
	}
	procs := runtime.GOMAXPROCS(len(b.layout.rest))
	s, err := measureJob(ctx, j, in.pid(), up.pid())
	runtime.GOMAXPROCS(procs)
	return s, errors.Join(err, pinSelf(b.cores))
}

// measureJob puts a load on and reads the clocks around it.
func measureJob(ctx context.Context, j job, caddyPID, upstreamPID int) (sample, error) {
	var before, after reading
	var errBefore, errAfter error
	j.begin = func() { before, errBefore = takeReading(caddyPID, upstreamPID, os.Getpid()) }
	j.end = func() { after, errAfter = takeReading(caddyPID, upstreamPID, os.Getpid()) }
	run := closedLoop
	if j.rate > 0 {
		run = openLoop
	}
	runtime.GC() // now, not within the slot
	out, err := run(ctx, j)
	if err := errors.Join(err, errBefore, errAfter); err != nil {
		return sample{}, err
	}
	if after.at.IsZero() { // a failure ended the slot before its time
		return sample{Failed: out.failed, failure: out.failure}, nil
	}
	return newSample(out, before, after), nil
}

// newSample works out the figures of a slot.
func newSample(out outcome, before, after reading) sample {
	slices.Sort(out.latencies)
	n := len(out.latencies)
	span := after.at.Sub(before.at)
	caddy := after.caddy - before.caddy
	rest := after.load - before.load + after.upstream - before.upstream
	others := max(0, after.machine-before.machine-caddy-rest)
	cores := func(d time.Duration) float64 {
		if span <= 0 {
			return 0
		}
		return float64(d) / float64(span)
	}
	s := sample{
		Requests: n,
		Seconds:  out.elapsed.Seconds(),
		P50:      milliseconds(percentile(out.latencies, 0.50)),
		P95:      milliseconds(percentile(out.latencies, 0.95)),
		P99:      milliseconds(percentile(out.latencies, 0.99)),
		CPU:      perRequest(caddy, n), RestCPU: perRequest(rest, n),
		CaddyCores: cores(caddy), RestCores: cores(rest), OthersCores: cores(others),
		Failed: out.failed, failure: out.failure,
	}
	if out.elapsed > 0 {
		s.Throughput = float64(n) / out.elapsed.Seconds()
	}
	return s
}
