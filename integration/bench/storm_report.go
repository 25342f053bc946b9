package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// stormReport is what the ways to run Caddy made of one kind of storm.
type stormReport struct {
	Name    string     `json:"name"`
	Title   string     `json:"title"`
	Seconds float64    `json:"seconds"`
	Ways    []stormWay `json:"ways"`
}

// stormWay holds a way's medians over the rounds and the samples.
type stormWay struct {
	Way     string        `json:"way"`
	Clients int           `json:"clients"`
	Median  stormSample   `json:"median"` // without what is no figure
	Samples []stormSample `json:"samples"`

	way way
}

// finish works out the medians.
func (r *stormReport) finish() {
	for i := range r.Ways {
		w := &r.Ways[i]
		over := func(of func(stormSample) float64) float64 {
			var all []float64
			for _, s := range w.Samples {
				all = append(all, of(s))
			}
			return median(all)
		}
		w.Median = stormSample{
			IdleP50: over(func(s stormSample) float64 { return s.IdleP50 }),
			IdleP95: over(func(s stormSample) float64 { return s.IdleP95 }),
			IdleP99: over(func(s stormSample) float64 { return s.IdleP99 }),
			P50:     over(func(s stormSample) float64 { return s.P50 }),
			P95:     over(func(s stormSample) float64 { return s.P95 }),
			P99:     over(func(s stormSample) float64 { return s.P99 }),
			Served:  over(func(s stormSample) float64 { return s.Served }),
			SignIns: over(func(s stormSample) float64 { return s.SignIns }),
			Peak:    over(func(s stormSample) float64 { return s.Peak }),

			CaddyCores:  over(func(s stormSample) float64 { return s.CaddyCores }),
			OthersCores: over(func(s stormSample) float64 { return s.OthersCores }),
			Crowd: crowdOutcome{
				RefusedP50: over(func(s stormSample) float64 { return s.Crowd.RefusedP50 }),
				RefusedP99: over(func(s stormSample) float64 { return s.Crowd.RefusedP99 }),
				SignInP50:  over(func(s stormSample) float64 { return s.Crowd.SignInP50 }),
				SignInP99:  over(func(s stormSample) float64 { return s.Crowd.SignInP99 }),
			},
		}
		for _, s := range w.Samples {
			c := &w.Median.Crowd
			c.SignedIn, c.Refused, c.Failed = c.SignedIn+s.Crowd.SignedIn, c.Refused+s.Crowd.Refused, c.Failed+s.Crowd.Failed
			c.Seconds += s.Crowd.Seconds
			if c.Failure == "" {
				c.Failure = s.Crowd.Failure
			}
			if w.Median.Failure == "" {
				w.Median.Failure = s.Failure
			}
		}
	}
}

// print writes the table.
func (r *stormReport) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: sign-ins without pause for %.0f s, argon2id %s; %s\n", r.Name, r.Seconds, hashSetting(), r.Title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "way\tclients\tidle p50\tp95\tp99\tin it p50\tp95\tp99 ms\tserved %\tsign-ins/s\trefused/s\t429 p50\tp99 ms\tfailed\tpeak MiB\tcaddy\tothers\t")
	for _, v := range r.Ways {
		m := v.Median
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t%d\t%.0f\t%.2f\t%.2f\t\n",
			v.Way, v.Clients, m.IdleP50, m.IdleP95, m.IdleP99, m.P50, m.P95, m.P99, 100*m.Served, m.SignIns,
			quotient(float64(m.Crowd.Refused), m.Crowd.Seconds), m.Crowd.RefusedP50, m.Crowd.RefusedP99, m.Crowd.Failed, m.Peak, m.CaddyCores, m.OthersCores)
	}
	t.Flush() // into a buffer: it cannot fail
	for _, v := range r.Ways {
		if v.Median.Failure != "" {
			fmt.Fprintf(w, "  ! %s: signed-in requests failed, the first: %s\n", v.Way, v.Median.Failure)
		}
		if v.Median.Crowd.Failure != "" {
			fmt.Fprintf(w, "  ! %s: sign-ins failed, the first: %s\n", v.Way, v.Median.Crowd.Failure)
		}
	}
}

// String says a sample in a line.
func (s stormSample) String() string {
	return fmt.Sprintf("p95 %.2f ms, in it %.2f; %.1f %% served; %.1f sign-ins/s; 429 p99 %.1f ms; %.0f MiB; others %.2f",
		s.IdleP95, s.P95, 100*s.Served, s.SignIns, s.Crowd.RefusedP99, s.Peak, s.OthersCores)
}
