package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// grant is one thing that programs ask the provider for, again and again.
type grant struct {
	name  string
	title string
	// limit is what the others are compared with where nothing nearer is.
	limit variant
	bar   float64 // requests/s to reach on SQLite
	what  func(t *trial) ([]contender, error)
}

// The limits of what a provider can do in a second, by hardware and database.
const (
	signatures variant = "ES256" // signatures, on all cores
	responds   variant = "caddy" // the same requests to a Caddy that answers all alike
)

// commitsOn is the database that commits one row at a time, servedOn the provider on it.
func commitsOn(database string) variant { return variant(database + " commits") }
func servedOn(database string) variant  { return variant("gate " + database) }

// The targets are those on SQLite.
var grants = []grant{
	{"refresh", "token by refresh, with the scope openid: two signatures and one commit", signatures, 1500, (*trial).refreshes},
	{"clientcredentials", "client credentials, a JWT (one signature, nothing is written) or opaque (one commit)", signatures, 1500, (*trial).clientCredentials},
	{"introspect", fmt.Sprintf("introspection of %d live tokens, and of tokens never seen before (new)", liveTokens), responds, 10_000, (*trial).introspections},
	{"devices", "device codes", "", 5_000, (*trial).deviceCodes},
	{"devices waiting", fmt.Sprintf("device codes while %d devices wait, each on a connection of its own, and ask every %v", waitingDevices, pollEvery), "", 5_000, (*trial).deviceCodesBeside},
}

// picked tells which grants a name of --only means.
func (g grant) called(name string) bool {
	return g.name == name || name == "devices" && g.name == "devices waiting"
}

// grantNames are what --only knows them by.
func grantNames() []string { return []string{"refresh", "clientcredentials", "introspect", "devices"} }

// contender is measured in turn with others.
type contender struct {
	who  variant
	over variant // what it is compared with; empty: the limit of the grant
	run  func(ctx context.Context, d time.Duration) (slice, error)
}

// grantConns is how many connections there are in a closed loop.
const grantConns = 64

// trial is everything that runs while the provider is measured.
type trial struct {
	b       *bench
	ctx     context.Context
	grounds []*ground
	portals []*portal
	zitadel *zitadel // nil where it could not be built
	polls   map[variant]*pollReport
	open    []*[]*client
}

// measureProvider measures the provider on each database, beside the limits of the machine
// and a provider of others.
func measureProvider(ctx context.Context, b *bench, opts options, progress io.Writer) (reports []scenarioReport, err error) {
	if len(opts.grants) == 0 {
		return nil, nil
	}
	t := &trial{b: b, ctx: ctx, polls: make(map[variant]*pollReport)}
	defer func() { err = errors.Join(err, t.end()) }()
	var warning string
	if t.zitadel, err = b.startZitadel(ctx); err != nil {
		warning = "NOT MEASURED: zitadel's example, which cannot be built or started: " + err.Error()
		fmt.Fprintln(progress, warning)
	}
	for _, d := range opts.providerDatabases {
		if err := t.add(ctx, d, opts); err != nil {
			return nil, fmt.Errorf("provider on %s: %w", d.name, err)
		}
		fmt.Fprintf(progress, "the provider runs on %s\n", d.name)
	}
	for _, g := range opts.grants {
		r, err := t.measure(ctx, g, opts, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		if warning != "" {
			r.Warnings = append(r.Warnings, warning)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// add starts a portal on a database.
func (t *trial) add(ctx context.Context, d database, opts options) error {
	g, err := d.ground(ctx, t.b.dir)
	if err != nil {
		return err
	}
	t.grounds = append(t.grounds, g)
	p, err := t.b.startPortal(ctx, g, opts.profile != "")
	if err == nil {
		t.portals = append(t.portals, p)
	}
	return err
}

func (t *trial) end() error {
	var errs []error
	for _, clients := range t.open {
		closeAll(*clients)
	}
	for _, p := range t.portals {
		p.stop()
		errs = append(errs, p.db.Close())
	}
	for _, g := range t.grounds {
		errs = append(errs, g.close())
	}
	if t.zitadel != nil {
		t.zitadel.stop()
	}
	return errors.Join(errs...)
}

// measure gives each contender its slices, in turns.
func (t *trial) measure(ctx context.Context, g grant, opts options, progress io.Writer) (scenarioReport, error) {
	all, err := g.what(t)
	if err != nil {
		return scenarioReport{}, err
	}
	length, warm := shortSlice, warmUp
	if g.name == "devices waiting" { // connecting so many takes longer than a short slice
		length, warm = opts.duration, 0
	}
	turns := max(1, int(opts.duration/length))
	r := scenarioReport{Name: g.name, Title: fmt.Sprintf("%s; %d connections, closed loop", g.title, grantConns), Connections: grantConns, Slice: length.Seconds(), Turns: turns,
		RatioOf: byOwnLimit, Verdict: &verdict{Target: target{byRate, g.bar}}, judged: servedOn("sqlite"), over: make(map[variant]variant), asOthers: true}
	order := make([]variant, len(all))
	for i, c := range all {
		order[i], r.over[c.who] = c.who, c.over
		if c.over == "" {
			r.over[c.who] = g.limit
		}
		r.Variants = append(r.Variants, variantReport{Variant: c.who})
	}
	if !slices.Contains(order, r.judged) {
		r.Verdict = nil
	}
	profiles := t.profile(ctx, g, opts)
	for round := range opts.rounds {
		parts := make(map[variant][]slice)
		for turned := -1; turned < turns; turned++ {
			for _, v := range turn(order, round*turns+max(turned, 0)) {
				d := length
				if turned < 0 {
					if d = warm; d == 0 {
						continue
					}
				}
				s, err := all[slices.Index(order, v)].run(ctx, d)
				if err = errors.Join(err, s.failure); err != nil {
					return r, fmt.Errorf("%s: %w", v, err)
				}
				if turned >= 0 {
					parts[v] = append(parts[v], s)
				}
			}
		}
		r.add(parts)
		fmt.Fprintf(progress, "round %d/%d  %s\n", round+1, opts.rounds, r.lastRound())
	}
	for _, v := range order {
		if p := t.polls[v]; p != nil && g.name == "devices waiting" {
			r.Polls = append(r.Polls, p.finish())
		}
	}
	return r, profiles()
}

// asking makes a contender of a job on connections that stay open.
func (t *trial) asking(who, over variant, p *process, j job) contender {
	j.conns, j.ramp = grantConns, shortRamp
	var clients []*client
	t.open = append(t.open, &clients)
	return contender{who, over, func(ctx context.Context, d time.Duration) (slice, error) {
		if clients == nil {
			var err error
			if clients, err = dialAll(ctx, j.addr, j.conns); err != nil {
				return slice{}, err
			}
		}
		j.measure = d
		s, err := measureSlice(ctx, j, clients, pids{caddy: p.pid(), upstream: t.b.upstream.pid()})
		if err != nil || s.failed > 0 {
			closeAll(clients)
			clients = nil
		}
		return s, err
	}}
}

// planProvider is how long that takes.
func (o options) planProvider() time.Duration {
	var round time.Duration
	n := time.Duration(len(o.providerDatabases))
	if len(o.grants) == 0 {
		return 0
	}
	for _, g := range o.grants {
		ways := 2*n + 2 // the gate and commits on each; signatures, zitadel
		switch g.name {
		case "clientcredentials":
			ways = 3*n + 3
		case "devices waiting":
			round += n * 20 * time.Second // to connect them all, and until each has asked once
		}
		round += ways * o.duration * 13 / 10
	}
	return time.Duration(o.rounds)*round + n*15*time.Second
}
