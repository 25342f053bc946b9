package main

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// document writes the scoreboard for people.
func (r *report) document() []byte {
	var b bytes.Buffer
	m, s := r.Machine, r.Board
	fmt.Fprintf(&b, "# Scoreboard\n\n`make bench-scoreboard` writes this page. It starts a real Caddy with the gate on SQLite, first in the naive configuration and then with one optimisation more each, and puts the same mix of requests on each of them.\n\n")
	s.writeShort(&b)
	fmt.Fprintf(&b, "- **Mix**: %s. Argon2id %s.\n", mixWords, hashSetting())
	fmt.Fprintf(&b, "- **Open loop**: requests are sent at fixed times, and latency counts from when each was due, also when no connection was free. So queues are not hidden.\n")
	fmt.Fprintf(&b, "- **Latencies** are of requests that were served; sign-ins and registrations that were refused with 429 are counted apart, anything else is an error.\n")
	fmt.Fprintf(&b, "- **Writes** are transactions written to the database for each request, counted by SQLite itself. Memory is the peak of the Caddy process (VmHWM) in that load.\n")
	fmt.Fprintf(&b, "- **Machine**: %s, %d cores, shared with the load generator and the upstream; %s, %s; %s. Load average %s before, %s after: other work on the machine makes figures worse, never better. %d rounds, the configurations in changing order; medians.\n",
		m.Processor, len(m.Cores), m.Kernel, m.CaddyGo, m.Time.Format(time.DateOnly), m.LoadBefore, m.LoadAfter, s.Rounds)
	if m.Group != "" {
		fmt.Fprintf(&b, "- **Priority**: all processes of this run shared a scheduling group at nice %s, so that other work got less of the processors.\n", m.Group)
	}
	if r.Quick {
		fmt.Fprintf(&b, "- **A quick run**: it shows that everything works; its figures are too few to mean much.\n")
	}
	fmt.Fprintf(&b, "\n![p95 by rate](scoreboard.svg)\n")
	s.writeTables(&b)
	s.writeBought(&b)
	s.writeStorms(&b)
	s.writeGoals(&b)
	return b.Bytes()
}

// writeShort says what the tables amount to.
func (s *boardReport) writeShort(w io.Writer) {
	naive, all := s.Rungs[0], s.Rungs[len(s.Rungs)-1]
	fmt.Fprintf(w, "**In short**: with everything on, p95 at %d/s is %.1f ms where the naive configuration has %.1f, and %.0f requests a second are served before it gives in, where that serves %.0f.",
		moderateRate, all.AtModerate.P95, naive.AtModerate.P95, all.AtSaturated.Served, naive.AtSaturated.Served)
	if len(s.Storms) > 1 {
		before, after := s.Storms[0].Median, s.Storms[len(s.Storms)-1].Median
		fmt.Fprintf(w, " When far more people sign in than can be, whoever is signed in is still served (%.0f %%, p95 %.1f ms; naive: %.0f %%, %.0f ms), and who must wait is told so at once, by 429 with Retry-After.",
			100*after.Served, after.P95, 100*before.Served, before.P95)
	}
	fmt.Fprintf(w, "\n\nNaive is `hashing { permits off }`, `audit { durability sync }` and `activity { write_every 0s }` in the [global option](configuration.md).\n\n")
}

func (s *boardReport) writeTables(w io.Writer) {
	tables := []struct {
		title, text string
		of          func(rungReport) boardSample
	}{
		{"Moderate load", fmt.Sprintf("%d requests a second on %d connections, %v.", moderateRate, moderateConn, s.pace.measure),
			func(r rungReport) boardSample { return r.AtModerate }},
		{"Saturation", fmt.Sprintf("From %d/s the rate goes up by a factor of %.1f every %v, on %d connections, until fewer than %.0f %% of the requests are answered within %v. The line is that of the last rate before.",
			firstRate, s.pace.growth, s.pace.step, moderateConn, 100*keptShare, keptTime),
			func(r rungReport) boardSample { return r.AtSaturated }},
		{fmt.Sprintf("%d users at once", s.pace.users), fmt.Sprintf("%d requests a second on as many connections as there are users, %v. Where hashing has no limit there are %d users: each hash takes %d MiB.",
			usersRate, s.pace.measure, min(s.pace.users, unlimitedMax), 19),
			func(r rungReport) boardSample { return r.AtCrowded }},
	}
	for _, t := range tables {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n| configuration | asked/s | served/s | p50 ms | p95 ms | p99 ms | errors | refused | writes/request | peak MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", t.title, t.text)
		for _, r := range s.Rungs {
			v := t.of(r)
			fmt.Fprintf(w, "| %s | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f %% | %.2f %% | %.4f | %.0f |\n",
				r.Name, v.Rate, v.Served, v.P50, v.P95, v.P99, 100*v.Errors, 100*v.Refused, v.Writes, v.Peak)
		}
		for _, r := range s.Rungs {
			if f := t.of(r).Failure; f != "" {
				fmt.Fprintf(w, "\nErrors of %q, the first: `%s`\n", r.Name, f)
			}
		}
	}
}

// writeBought says what each optimisation changed, next to the one before it.
func (s *boardReport) writeBought(w io.Writer) {
	fmt.Fprintf(w, "\n## What each optimisation bought\n\nNext to the line before it.\n\n| optimisation | what it does | p95 at %d/s | saturation | p95 with many users | writes/request | peak with many users |\n| --- | --- | --- | --- | --- | --- | --- |\n", moderateRate)
	for i, r := range s.Rungs[1:] {
		before := s.Rungs[i]
		fmt.Fprintf(w, "| %s | %s | %s ms | %s/s | %s ms | %s | %s MiB |\n", r.Name, r.Adds,
			change(before.AtModerate.P95, r.AtModerate.P95, 2), change(before.AtSaturated.Served, r.AtSaturated.Served, 0),
			change(before.AtCrowded.P95, r.AtCrowded.P95, 1), change(before.AtModerate.Writes, r.AtModerate.Writes, 4), change(before.AtCrowded.Peak, r.AtCrowded.Peak, 0))
	}
}

func change(before, after float64, digits int) string {
	return fmt.Sprintf("%.*f → %.*f", digits, before, digits, after)
}

func (s *boardReport) writeStorms(w io.Writer) {
	fmt.Fprintf(w, "\n## A storm of sign-ins\n\nMany clients, each with a connection, an address and an account of its own, sign in without pause for %v; who is refused comes back about when the answer says (Retry-After: 1 s, half to one and a half times). One client that is signed in asks %d times a second, before and during.\n\n", s.pace.measure, stormRate)
	fmt.Fprintf(w, "| configuration | clients | idle p95 ms | storm p95 ms | p99 ms | served | sign-ins/s | refused/s | 429 p99 ms | peak MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, v := range s.Storms {
		m := v.Median
		p95, p99, refused := fmt.Sprintf("%.2f", m.P95), fmt.Sprintf("%.2f", m.P99), fmt.Sprintf("%.1f", m.Crowd.RefusedP99)
		if m.Served == 0 {
			p95, p99 = "none served", "none served"
		}
		if m.Crowd.Refused == 0 {
			refused = "none"
		}
		fmt.Fprintf(w, "| %s | %d | %.2f | %s | %s | %.1f %% | %.1f | %.0f | %s | %.0f |\n", v.Way, v.Clients, m.IdleP95, p95, p99, 100*m.Served,
			m.SignIns, quotient(float64(m.Crowd.Refused), m.Crowd.Seconds), refused, m.Peak)
	}
	h := s.Hash
	fmt.Fprintf(w, "\nSign-ins alone, as many as go: %.1f/s. x/crypto's Argon2id with the same parameters, on the same cores with nothing beside it: %.1f/s. That is %.2f of it, and %.2f of what the %.2f cores of the load generator leave.\n",
		h.SignIns, h.Bare, h.Ratio, h.Accounted, h.LoadCores)
}

func (s *boardReport) writeGoals(w io.Writer) {
	fmt.Fprintf(w, "\n## Targets\n\n| what | target | measured | |\n| --- | --- | --- | --- |\n")
	for _, g := range s.Goals {
		word := "reached"
		if !g.Reached {
			word = "**not reached**"
		}
		fmt.Fprintf(w, "| %s | %s %s | %.4g %s | %s |\n", g.What, g.Limit, g.Unit, g.Value, g.Unit, word)
	}
	fmt.Fprintf(w, "\nLatencies here have the load generator and the upstream on the same cores. What keeps a storm from costing nothing, and what was tried, is in [decision 11](adr/0011-hashing-and-the-others.md); sign-ins can be more than x/crypto alone makes because Argon2id is computed by [code of our own](adr/0010-argon2id.md).\n")
}
