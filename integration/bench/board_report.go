package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// boardReport is the scoreboard.
type boardReport struct {
	Rounds int          `json:"rounds"`
	Rungs  []rungReport `json:"configurations"`
	Storms []stormWay   `json:"storms"`
	Hashes []hashSample `json:"hashes"`
	Goals  []goal       `json:"goals"`
	Hash   hashSample   `json:"hash_medians"`
	pace   pace         `json:"-"`
}

// rungReport is one configuration's part of it.
type rungReport struct {
	Name     string          `json:"name"`
	Adds     string          `json:"adds"`
	Users    int             `json:"users"`
	Moderate []boardSample   `json:"moderate"`
	Crowded  []boardSample   `json:"crowded"`
	Steps    [][]boardSample `json:"steps"`

	AtModerate  boardSample `json:"at_moderate_load"` // medians
	AtSaturated boardSample `json:"at_saturation"`    // of the highest rates that were kept up with
	AtCrowded   boardSample `json:"with_many_users"`

	rung rung
}

// goal is a figure to reach, and whether it was.
type goal struct {
	What    string  `json:"what"`
	Limit   string  `json:"limit"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Reached bool    `json:"reached"`
}

func newBoardReport(all []rung, p pace) *boardReport {
	rep := &boardReport{Rounds: p.rounds, pace: p}
	for _, r := range all {
		rep.Rungs = append(rep.Rungs, rungReport{Name: r.name, Adds: r.adds, rung: r})
	}
	rep.Storms = []stormWay{
		{Way: "naive", Clients: min(p.users, unlimitedMax), way: way{name: "naive", clients: min(p.users, unlimitedMax), gate: all[0].gate}},
		{Way: "all", Clients: p.users, way: way{name: "all", clients: p.users}},
	}
	return rep
}

// medianOf takes each figure's median.
func medianOf(all []boardSample) boardSample {
	over := func(of func(boardSample) float64) float64 {
		var values []float64
		for _, s := range all {
			values = append(values, of(s))
		}
		return median(values)
	}
	m := boardSample{
		Rate:    over(func(s boardSample) float64 { return s.Rate }),
		Served:  over(func(s boardSample) float64 { return s.Served }),
		P50:     over(func(s boardSample) float64 { return s.P50 }),
		P95:     over(func(s boardSample) float64 { return s.P95 }),
		P99:     over(func(s boardSample) float64 { return s.P99 }),
		Errors:  over(func(s boardSample) float64 { return s.Errors }),
		Refused: over(func(s boardSample) float64 { return s.Refused }),
		InTime:  over(func(s boardSample) float64 { return s.InTime }),
		Writes:  over(func(s boardSample) float64 { return s.Writes }),
		Peak:    over(func(s boardSample) float64 { return s.Peak }),
	}
	for _, s := range all {
		if m.Failure == "" {
			m.Failure = s.Failure
		}
	}
	return m
}

// finish works out medians and goals.
func (r *boardReport) finish(cores int) {
	for i := range r.Rungs {
		g := &r.Rungs[i]
		g.AtModerate, g.AtCrowded = medianOf(g.Moderate), medianOf(g.Crowded)
		var best []boardSample
		for _, steps := range g.Steps {
			best = append(best, highest(steps))
		}
		g.AtSaturated = medianOf(best)
	}
	storms := stormReport{Ways: r.Storms}
	storms.finish()
	over := func(of func(hashSample) float64) float64 {
		var values []float64
		for _, h := range r.Hashes {
			values = append(values, of(h))
		}
		return median(values)
	}
	r.Hash = hashSample{
		Bare:      over(func(h hashSample) float64 { return h.Bare }),
		SignIns:   over(func(h hashSample) float64 { return h.SignIns }),
		LoadCores: over(func(h hashSample) float64 { return h.LoadCores }),
		Ratio:     over(func(h hashSample) float64 { return h.Ratio }),
		Accounted: over(func(h hashSample) float64 { return h.Accounted }),
	}
	r.judge(cores)
}

// judge compares with the figures to reach.
func (r *boardReport) judge(cores int) {
	all, storm := r.Rungs[len(r.Rungs)-1], r.Storms[1].Median
	most := func(what string, value, limit float64, unit string) {
		r.Goals = append(r.Goals, goal{what, fmt.Sprintf("≤ %.4g", limit), value, unit, value <= limit})
	}
	least := func(what string, value, limit float64, unit string) {
		r.Goals = append(r.Goals, goal{what, fmt.Sprintf("≥ %.4g", limit), value, unit, value >= limit})
	}
	memory := float64(cores) * float64(password.DefaultParams.Memory) / 1024
	most("the mix at 210/s: p95", all.AtModerate.P95, 4.88, "ms")
	most("the mix at 210/s: errors", 100*all.AtModerate.Errors, 0, "%")
	least("saturation, the mix: requests served", all.AtSaturated.Served, 467, "/s")
	least("sign-ins at saturation, of x/crypto's Argon2id alone, without the load generator's share", r.Hash.Accounted, 0.9, "×")
	most("storm: p95 of somebody signed in", storm.P95, min(5, 1.5*storm.IdleP95), "ms")
	least("storm: requests of somebody signed in that were served", 100*storm.Served, 100, "%")
	most("storm: p99 of the answers 429", storm.Crowd.RefusedP99, 10, "ms")
	most("storm: failed sign-ins", float64(storm.Crowd.Failed), 0, "")
	most("storm: peak memory (permits × hash memory + 150 MiB)", storm.Peak, memory+150, "MiB")
	most("writes for last seen, of one for each request, at 210/s", 100*r.activityShare(), 1, "%")
}

// activityShare is how many transactions last-seen times take, for each request
// that a signed-in session makes: what the tracker leaves of it. Everything else
// that writes does so as often in both configurations that the tracker divides.
func (r *boardReport) activityShare() float64 {
	i := slices.IndexFunc(r.Rungs, func(g rungReport) bool { return g.Name == "+ activity tracker" })
	without, with := r.Rungs[i-1].AtModerate.Writes, r.Rungs[i].AtModerate.Writes
	return max(0, 1-quotient(without-with, r.visits()))
}

// visits is the share of requests that come with a session, each of which is a
// last-seen time.
func (r *boardReport) visits() float64 {
	n := 0
	for _, count := range mixCycle {
		n += count
	}
	return float64(mixCycle[checking]+mixCycle[rechecking]+mixCycle[signingOut]) / float64(n)
}

// lastRound is a line on the round that just ended.
func (r *rungReport) lastRound() string {
	m, c := r.Moderate[len(r.Moderate)-1], r.Crowded[len(r.Crowded)-1]
	best := highest(r.Steps[len(r.Steps)-1])
	return fmt.Sprintf("210/s p95 %.2f ms, %.2f writes; saturation %.0f/s; %d users p95 %.1f ms, %.1f %% errors, %.0f MiB",
		m.P95, m.Writes, best.Served, r.Users, c.P95, 100*c.Errors, c.Peak)
}

// writeBoard writes the scoreboard's document and its plot into a folder.
func (r *report) writeBoard(dir string) error {
	plot := filepath.Join(dir, "scoreboard.svg")
	if err := os.WriteFile(plot, r.Board.plot(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "scoreboard.md"), r.document(), 0o644)
}
