package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// print writes the report for people.
func (r *report) print(w io.Writer) error {
	var b bytes.Buffer
	r.Machine.print(&b)
	for i := range r.Scenarios {
		r.Scenarios[i].print(&b)
	}
	for i := range r.Databases {
		r.Databases[i].print(&b)
	}
	for i := range r.Storms {
		r.Storms[i].print(&b)
	}
	if r.Board != nil {
		r.Board.writeTables(&b)
		r.Board.writeStorms(&b)
		r.Board.writeGoals(&b)
	}
	if r.Sizes != nil {
		r.Sizes.print(&b)
	}
	r.printTargets(&b)
	if r.Failed > 0 {
		fmt.Fprintf(&b, "\nFAILED REQUESTS: %d. These figures are not valid. The first: %s\n", r.Failed, r.Failure)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// print writes a scenario's table.
func (s *scenarioReport) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s; ratio: %s\n", s.Name, s.Title, s.RatioOf)
	if s.measured() {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "variant\treq/s\tp50 ms\tp95 ms\tp99 ms\tCPU µs\tadded\t±\tratio\t±\tcaddy\trest\tothers\t")
		for _, v := range s.Variants {
			fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%+.1f\t%.1f\t%.3f\t%.3f\t%.2f\t%.2f\t%.2f\t\n",
				v.Variant, v.Throughput, v.P50, v.P95, v.P99, v.CPU, v.AddedCPU.Median, v.AddedCPU.Margin,
				v.Ratio.Median, v.Ratio.Margin, v.CaddyCores, v.RestCores, v.OthersCores)
		}
		t.Flush() // into a buffer: it cannot fail
	}
	for _, p := range s.Polls {
		fmt.Fprintf(w, "beside %s: %.0f polls/s answered, p50 %.2f, p99 %.2f ms\n", p.Variant, p.PerSecond, p.P50, p.P99)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintln(w, "  !", warning)
	}
}

// printTargets writes what was to be reached and what was.
func (r *report) printTargets(w io.Writer) {
	var missed int
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.Verdict == nil {
			continue
		}
		word := s.verdictWord()
		if !s.measured() || !s.Verdict.Reached {
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\n", s.Name, s.Verdict.Target, s.whoseVerdict(), s.Verdict.Target.figure(s.Verdict.Value, s.Verdict.Margin), word)
	}
	for _, v := range r.storeVerdicts() {
		if !v.Reached {
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s %.3f ± %.3f\t%s\n", v.about, v.Target, v.who, v.Value, v.Margin, v.word())
	}
	t.Flush() // into a buffer: it cannot fail
	if b.Len() == 0 {
		return
	}
	fmt.Fprintf(w, "\nTargets\n%s", b.Bytes())
	if missed > 0 {
		fmt.Fprintf(w, "*** %d target(s) missed ***\n", missed)
	}
}

// verdictWord says what became of a target, and whether that is certain.
func (s *scenarioReport) verdictWord() string {
	if !s.measured() {
		return "NOT MEASURED"
	}
	return s.Verdict.word()
}

func (v verdict) word() string {
	switch unsure := math.Abs(v.Value-v.Target.Limit) <= v.Margin; {
	case v.Reached && unsure:
		return "reached, but within the margin"
	case v.Reached:
		return "reached"
	case unsure:
		return "NOT REACHED, but within the margin"
	}
	return "NOT REACHED"
}

// lastRound is a line on the round that just ended.
func (s *scenarioReport) lastRound() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s", s.Name)
	for _, v := range s.Variants {
		last := v.Samples[len(v.Samples)-1]
		fmt.Fprintf(&b, "  %s %.0f/s, p95 %.2f ms, %.1f µs", v.Variant, last.Throughput, last.P95, last.CPU)
	}
	return b.String()
}
