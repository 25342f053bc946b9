package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// rung is one configuration of the scoreboard: the naive one, and then with one
// optimisation more each.
type rung struct {
	name      string
	adds      string // what it adds to the one before, in words
	gate      []string
	unlimited bool // no permits: only as many clients as there is memory for
}

// mixGate is what the gate of the mix needs, in all configurations.
var mixGate = []string{"register open", "policy staff {\n\t\t\tallow group:staff\n\t\t}"}

// rungs are the configurations, from naive to as it comes.
func rungs() []rung {
	const (
		noGate  = "hashing {\n\t\t\tpermits off\n\t\t}"
		waiting = "hashing {\n\t\t\twhen_full wait 10s\n\t\t}"
		often   = "activity {\n\t\t\twrite_every 0s\n\t\t}"
		sync    = "audit {\n\t\t\tdurability sync\n\t\t}"
	)
	return []rung{
		{"naive", "no limit for hashes, each event and each visit written at once", []string{noGate, sync, often}, true},
		{"+ hashing gate", "as many hashes at once as cores, on threads that step back; who finds none free waits up to 10 s", []string{waiting, sync, often}, false},
		{"+ audit actor", "events in batches of 100 or each second", []string{waiting, often}, false},
		{"+ activity tracker", "last seen at most every 5 minutes", []string{waiting}, false},
		{"+ instant refusal = all", "who finds no permit is refused at once: the gate as it comes", nil, false},
	}
}

// pace is how long everything takes and how often it is done.
type pace struct {
	rounds  int
	measure time.Duration // of a load with a fixed rate
	step    time.Duration // of each rate on the way to saturation
	growth  float64       // from one rate to the next
	users   int           // in the storm, and at once
}

// The full pace, and one of about a minute that shows that all of it works.
func paceOf(opts options) pace {
	if opts.quick {
		return pace{rounds: 1, measure: time.Second, step: 500 * time.Millisecond, growth: 2.5, users: 300}
	}
	return pace{rounds: opts.rounds, measure: 8 * time.Second, step: 3 * time.Second, growth: 1.3, users: 1000}
}

// The fixed rates, and where the way to saturation starts and must end.
const (
	moderateRate = 210
	usersRate    = 1000
	firstRate    = 210
	lastRate     = 20_000
	moderateConn = 64
	unlimitedMax = 300 // clients where hashing has no limit
)

// A rate is kept up with when nearly all of its requests were answered in time.
const (
	keptShare = 0.97
	keptTime  = time.Second
)

// boardSample is what one load on one configuration gave.
type boardSample struct {
	Rate    float64 `json:"asked_per_second"`
	Served  float64 `json:"served_per_second"` // refused ones not counted
	P50     float64 `json:"p50_ms"`            // of those served
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	Errors  float64 `json:"error_share"`
	Refused float64 `json:"refused_share"`
	InTime  float64 `json:"answered_within_a_second_share"`
	Writes  float64 `json:"write_transactions_per_request"`
	Peak    float64 `json:"peak_memory_mib"`
	Failure string  `json:"first_failure,omitempty"`
}

// kept tells whether Caddy kept up with the rate.
func (s boardSample) kept() bool { return s.InTime >= keptShare }

// visit is a running configuration with its people.
type visit struct {
	*gate
	town *town
	b    *bench
}

// put puts the mix on it at a rate, on so many connections.
func (v *visit) put(ctx context.Context, rate, conns int, measure time.Duration) (boardSample, error) {
	clients, err := dialCrowd(v.addr, conns)
	if err != nil {
		return boardSample{}, err
	}
	defer closeAll(clients)
	if err := forgetPeak(v.pid()); err != nil {
		return boardSample{}, err
	}
	before, err := v.transactions()
	if err != nil {
		return boardSample{}, err
	}
	j := job{addr: v.addr, next: v.town.next, conns: conns, rate: rate, ramp: 300 * time.Millisecond, measure: measure, tolerant: true}
	s, err := measureSlice(ctx, j, clients, pids{caddy: v.pid(), upstream: v.b.upstream.pid()})
	if err != nil {
		return boardSample{}, err
	}
	after, err := v.transactions()
	if err != nil {
		return boardSample{}, err
	}
	peak, err := peakMemory(v.pid())
	out := newBoardSample(rate, s.outcome)
	out.Writes, out.Peak = quotient(float64(after-before), float64(s.requests)), peak
	return out, err
}

// newBoardSample works out the figures.
func newBoardSample(rate int, o outcome) boardSample {
	slices.Sort(o.latencies)
	all := float64(len(o.latencies) + len(o.refused) + o.failed)
	inTime := 0
	for _, l := range slices.Concat(o.latencies, o.refused) {
		if l <= keptTime {
			inTime++
		}
	}
	s := boardSample{Rate: float64(rate), Served: quotient(float64(len(o.latencies)), o.elapsed.Seconds()),
		P50: milliseconds(percentile(o.latencies, 0.50)), P95: milliseconds(percentile(o.latencies, 0.95)), P99: milliseconds(percentile(o.latencies, 0.99)),
		Errors: quotient(float64(o.failed), all), Refused: quotient(float64(len(o.refused)), all), InTime: quotient(float64(inTime), all)}
	if o.failure != nil {
		s.Failure = o.failure.Error()
	}
	return s
}

// transactions counts the transactions that were ever written to the database:
// iChange in the header of SQLite's wal-index, which each commit increments.
func (g *gate) transactions() (uint32, error) {
	f, err := os.Open(g.database + "-shm")
	if err != nil {
		return 0, fmt.Errorf("count the writes: %w", err)
	}
	defer f.Close()
	var count [4]byte
	if _, err := f.ReadAt(count[:], 8); err != nil {
		return 0, fmt.Errorf("count the writes: %w", err)
	}
	return binary.NativeEndian.Uint32(count[:]), nil
}

// saturate raises the rate until Caddy does not keep up, and gives all steps.
func (v *visit) saturate(ctx context.Context, p pace) ([]boardSample, error) {
	var steps []boardSample
	for _, rate := range rates(p.growth) {
		s, err := v.put(ctx, rate, moderateConn, p.step)
		if err != nil {
			return nil, fmt.Errorf("at %d/s: %w", rate, err)
		}
		steps = append(steps, s)
		if !s.kept() {
			break
		}
	}
	return steps, nil
}

// rates are the steps on the way to saturation.
func rates(growth float64) []int {
	var all []int
	for rate := float64(firstRate); rate < lastRate; rate *= growth {
		all = append(all, int(rate+0.5))
	}
	return all
}

// highest is the last step that was kept up with; the first one if none was.
func highest(steps []boardSample) boardSample {
	best := steps[0]
	for _, s := range steps {
		if s.kept() {
			best = s
		}
	}
	return best
}

// climb starts a configuration and puts all loads on it.
func (b *bench) climb(ctx context.Context, r *rungReport, p pace) error {
	conns := p.users
	if r.rung.unlimited {
		conns = min(conns, unlimitedMax)
	}
	g, people, err := b.startGate(ctx, gatePlan{gate: slices.Concat(r.rung.gate, mixGate), site: []string{"gate staff"}, people: p.users + p.users/4})
	if err != nil {
		return err
	}
	defer g.stop()
	v := &visit{gate: g, town: newTown(visitor{addr: g.addr, authority: g.authority}, people[1:]), b: b}
	moderate, err := v.put(ctx, moderateRate, moderateConn, p.measure)
	if err != nil {
		return fmt.Errorf("at moderate load: %w", err)
	}
	steps, err := v.saturate(ctx, p)
	if err != nil {
		return fmt.Errorf("on the way to saturation: %w", err)
	}
	crowded, err := v.put(ctx, usersRate, conns, p.measure)
	if err != nil {
		return fmt.Errorf("with %d users: %w", conns, err)
	}
	r.Users = conns
	r.Moderate, r.Steps, r.Crowded = append(r.Moderate, moderate), append(r.Steps, steps), append(r.Crowded, crowded)
	return nil
}

// measureBoard goes through all configurations in each round, in changing order,
// and through the storms and the bare hashes between them.
func measureBoard(ctx context.Context, b *bench, opts options, progress io.Writer) (*boardReport, error) {
	p := paceOf(opts)
	rep := newBoardReport(rungs(), p)
	for round := range p.rounds {
		for i := range rep.Rungs {
			k := (i + round) % len(rep.Rungs)
			if round%2 == 1 {
				k = len(rep.Rungs) - 1 - k
			}
			r := &rep.Rungs[k]
			if err := b.climb(ctx, r, p); err != nil {
				return nil, fmt.Errorf("scoreboard, %s: %w", r.Name, err)
			}
			fmt.Fprintf(progress, "round %d/%d  %s: %s\n", round+1, p.rounds, r.Name, r.lastRound())
		}
		if err := b.stormRound(ctx, rep, p, progress); err != nil {
			return nil, err
		}
		if err := b.hashRound(ctx, rep, p, progress); err != nil {
			return nil, err
		}
	}
	rep.finish(len(b.cores))
	return rep, nil
}
