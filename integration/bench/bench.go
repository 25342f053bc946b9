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
			parts, err := b.round(ctx, sc, opts, round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sc.name, err)
			}
			rep.Scenarios[i].add(parts)
			rep.noteFailures(sc.name, parts)
			fmt.Fprintf(progress, "round %d/%d  %s\n", round+1, opts.rounds, rep.Scenarios[i].lastRound())
		}
	}
	asked, err := measureForward(ctx, b, opts, progress)
	if err != nil {
		return nil, err
	}
	rep.Scenarios = append(rep.Scenarios, asked...)
	provided, err := measureProvider(ctx, b, opts, progress)
	if err != nil {
		return nil, err
	}
	rep.Scenarios = append(rep.Scenarios, provided...)
	if rep.Databases, err = measureDatabases(ctx, b.dir, opts, progress); err != nil {
		return nil, err
	}
	if rep.Storms, err = measureStorms(ctx, b, opts, progress); err != nil {
		return nil, err
	}
	if opts.board != "" {
		rep.Quick = opts.quick
		if rep.Board, err = measureBoard(ctx, b, opts, progress); err != nil {
			return nil, err
		}
	}
	if opts.sessions > 0 {
		if rep.Sizes, err = measureSizes(ctx, b.dir, opts, progress); err != nil {
			return nil, err
		}
	}
	rep.finish()
	return rep, nil
}

// setUp makes everything ready to measure. The bench it returns is to be torn
// down even when there is an error.
func setUp(ctx context.Context, opts options) (*bench, error) {
	b := &bench{}
	if opts.needsCaddy() {
		caddy, err := filepath.Abs(opts.caddy)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(caddy); err != nil {
			return nil, fmt.Errorf("no Caddy to measure; build it first (`make build` or ./xcaddy.sh build): %w", err)
		}
		b.caddy = caddy
	}
	var err error
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
	return b, b.startAll(ctx, opts)
}

// startAll starts the upstreams and each variant, free and pinned, as far as
// the scenarios ask for it and the cores suffice.
func (b *bench) startAll(ctx context.Context, opts options) (err error) {
	if !opts.needsCaddy() {
		return nil
	}
	if b.upstream, err = b.startUpstream(ctx, "upstream", nil); err != nil {
		return err
	}
	pinnable := false
	if slices.ContainsFunc(opts.scenarios, func(sc scenario) bool { return sc.pinned }) {
		b.layout, pinnable = pinnedLayout(b.cores)
	}
	if pinnable {
		if b.pinnedUpstream, err = b.startUpstream(ctx, "upstream-pinned", b.layout.rest); err != nil {
			return err
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
				return err
			}
			b.instances = append(b.instances, in)
		}
	}
	return nil
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

// round measures one scenario on all variants, in turns of short slices. A
// failed request ends it; an unfinished turn shows in a variant's failures only.
func (b *bench) round(ctx context.Context, sc scenario, opts options, round int) (parts map[variant][]slice, err error) {
	if sc.pinned {
		if err := pinSelf(b.layout.rest); err != nil {
			return nil, err
		}
		procs := runtime.GOMAXPROCS(len(b.layout.rest))
		defer func() {
			runtime.GOMAXPROCS(procs)
			err = errors.Join(err, pinSelf(b.cores))
		}()
	}
	stations := map[variant]*station{}
	for _, v := range opts.variants {
		st, err := b.open(ctx, sc, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v, err)
		}
		defer closeAll(st.clients)
		stations[v] = st
	}
	parts = map[variant][]slice{}
	turns := sc.turns(opts.duration)
	for t := -1; t < turns; t++ {
		for _, v := range turn(opts.variants, round*turns+max(t, 0)) {
			st := stations[v]
			j := st.job
			if t < 0 {
				j.measure = warmUp
			}
			s, err := measureSlice(ctx, j, st.clients, st.pids)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v, err)
			}
			if t >= 0 || s.failed > 0 { // a warm-up that fails is told as well
				parts[v] = append(parts[v], s)
			}
			if s.failed > 0 {
				return parts, nil
			}
		}
	}
	return parts, nil
}

// station is everything that a variant needs in a round.
type station struct {
	job     job
	clients []*client
	pids    pids
}

// open connects to a variant for a scenario.
func (b *bench) open(ctx context.Context, sc scenario, v variant) (*station, error) {
	in, err := b.instance(v, sc.pinned)
	if err != nil {
		return nil, err
	}
	up, want := b.upstream, upstreamBody
	if sc.pinned {
		up = b.pinnedUpstream
	}
	if sc.site == respondSite {
		want = respondBody
	}
	st := &station{
		job: job{
			addr: address(in.ports[sc.site]), request: in.requests[sc.site], want: []byte(want),
			conns: sc.conns, rate: sc.rate, ramp: sc.ramp, measure: sc.slice,
		},
		pids: pids{caddy: in.pid(), upstream: up.pid()},
	}
	st.clients, err = dialAll(ctx, st.job.addr, sc.conns)
	return st, err
}
