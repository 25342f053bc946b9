package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
)

// report is everything that a run found, as --json writes it.
type report struct {
	Machine   machine          `json:"machine"`
	Rounds    int              `json:"rounds"`
	Scenarios []scenarioReport `json:"scenarios"`
	Failed    int              `json:"failed_requests"`
	Failure   string           `json:"first_failure,omitempty"`
}

// scenarioReport is one scenario's part of it.
type scenarioReport struct {
	Name            string          `json:"name"`
	Title           string          `json:"title"`
	Connections     int             `json:"connections"`
	Rate            int             `json:"open_loop_rate,omitempty"`
	Pinned          bool            `json:"pinned"`
	DurationSeconds float64         `json:"slot_seconds"`
	RatioOf         measureKind     `json:"ratio_of"`
	Variants        []variantReport `json:"variants"`
	Verdict         *verdict        `json:"verdict,omitempty"` // nil where there is no target
	Warnings        []string        `json:"warnings,omitempty"`
}

// variantReport holds a variant's medians over the rounds and the samples.
type variantReport struct {
	Variant     variant  `json:"variant"`
	Throughput  float64  `json:"requests_per_second"`
	P50         float64  `json:"p50_ms"`
	P95         float64  `json:"p95_ms"`
	P99         float64  `json:"p99_ms"`
	CPU         float64  `json:"caddy_cpu_us_per_request"`
	CaddyCores  float64  `json:"caddy_cores"`
	RestCores   float64  `json:"load_and_upstream_cores"`
	OthersCores float64  `json:"others_cores"`
	Ratio       spread   `json:"ratio"`        // to bare, within each round
	AddedCPU    spread   `json:"added_cpu_us"` // over bare, within each round
	Samples     []sample `json:"samples"`
}

// verdict tells what the gate made of a target.
type verdict struct {
	Target  target  `json:"target"`
	Value   float64 `json:"value"`
	Reached bool    `json:"reached"`
}

// newScenarioReports lays the report out, without figures as yet.
func newScenarioReports(opts options) []scenarioReport {
	var reports []scenarioReport
	for _, sc := range opts.scenarios {
		r := scenarioReport{
			Name: sc.name, Title: sc.title, Connections: sc.conns, Rate: sc.rate, Pinned: sc.pinned,
			DurationSeconds: sc.duration(opts.duration).Seconds(), RatioOf: sc.ratioKind(),
		}
		if sc.target != (target{}) && slices.Contains(opts.variants, gated) {
			r.Verdict = &verdict{Target: sc.target}
		}
		for _, v := range opts.variants {
			r.Variants = append(r.Variants, variantReport{Variant: v})
		}
		reports = append(reports, r)
	}
	return reports
}

// add takes a sample in for a variant of the scenario at index i.
func (r *report) add(i int, v variant, s sample) {
	vr := r.Scenarios[i].variant(v)
	vr.Samples = append(vr.Samples, s)
	r.Failed += s.Failed
	if s.failure != nil && r.Failure == "" {
		r.Failure = r.Scenarios[i].Name + ", " + string(v) + ": " + s.failure.Error()
	}
}

// variant finds a variant's part; it is there for all that are measured.
func (s *scenarioReport) variant(v variant) *variantReport {
	i := slices.IndexFunc(s.Variants, func(vr variantReport) bool { return vr.Variant == v })
	return &s.Variants[i]
}

// finish works out medians, ratios, verdicts and warnings.
func (r *report) finish() {
	_, _, r.Machine.LoadAfter = machineFacts()
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for j := range s.Variants {
			s.Variants[j].sumUp(s.Variants[0].Samples, s.RatioOf)
		}
		if s.measured() {
			s.judge()
			s.warn(len(r.Machine.Cores))
		} else {
			s.Warnings = append(s.Warnings, "NOT MEASURED: pinning takes two cores")
		}
	}
}

// measured reports whether there are figures: a pinned scenario has none on
// one core.
func (s *scenarioReport) measured() bool { return len(s.Variants[0].Samples) > 0 }

// sumUp fills in the medians and compares, round by round, with bare.
func (v *variantReport) sumUp(bare []sample, kind measureKind) {
	over := func(of func(sample) float64) float64 {
		var all []float64
		for _, s := range v.Samples {
			all = append(all, of(s))
		}
		return spreadOf(all).Median
	}
	v.Throughput = over(func(s sample) float64 { return s.Throughput })
	v.P50 = over(func(s sample) float64 { return s.P50 })
	v.P95 = over(func(s sample) float64 { return s.P95 })
	v.P99 = over(func(s sample) float64 { return s.P99 })
	v.CPU = over(func(s sample) float64 { return s.CPU })
	v.CaddyCores = over(func(s sample) float64 { return s.CaddyCores })
	v.RestCores = over(func(s sample) float64 { return s.RestCores })
	v.OthersCores = over(func(s sample) float64 { return s.OthersCores })
	var ratios, added []float64
	for i, s := range v.Samples {
		ratios = append(ratios, s.ratio(bare[i], kind))
		added = append(added, s.CPU-bare[i].CPU)
	}
	v.Ratio, v.AddedCPU = spreadOf(ratios), spreadOf(added)
}

// ratio compares with bare's sample of the same round; 0 when that has nothing.
func (s sample) ratio(bare sample, kind measureKind) float64 {
	value, base := s.Throughput, bare.Throughput
	if kind == byP95 {
		value, base = s.P95, bare.P95
	}
	if base == 0 {
		return 0
	}
	return value / base
}

// judge compares the gate's figure with the target.
func (s *scenarioReport) judge() {
	if s.Verdict == nil {
		return
	}
	g := s.variant(gated)
	s.Verdict.Value = g.Ratio.Median
	if s.Verdict.Target.Kind == byCPU {
		s.Verdict.Value = g.AddedCPU.Median
	}
	s.Verdict.Reached = s.Verdict.Target.reached(s.Verdict.Value)
}

// warn says what makes the figures doubtful.
func (s *scenarioReport) warn(cores int) {
	var others, rest []float64
	for _, v := range s.Variants {
		others = append(others, v.OthersCores)
		rest = append(rest, v.RestCores)
	}
	if slices.Max(others) > 0.1*float64(cores) {
		s.Warnings = append(s.Warnings, "others used more than a tenth of the machine: run again when it is quiet")
	}
	if s.Pinned && slices.Max(rest) > 0.95*float64(cores-1) {
		s.Warnings = append(s.Warnings, "load and upstream had no core time left: the ratio flatters")
	}
}

// writeJSON writes the report to a file.
func (r *report) writeJSON(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	enc.SetIndent("", "  ")
	return errors.Join(enc.Encode(r), f.Close())
}
