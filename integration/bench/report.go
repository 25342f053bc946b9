package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
)

// report is everything that a run found, as --json writes it.
type report struct {
	Machine   machine          `json:"machine"`
	Rounds    int              `json:"rounds"`
	Scenarios []scenarioReport `json:"scenarios"`
	Databases []databaseReport `json:"databases,omitempty"`
	Storms    []stormReport    `json:"storms,omitempty"`
	Board     *boardReport     `json:"scoreboard,omitempty"`
	Quick     bool             `json:"quick,omitempty"`
	Sizes     *sizeReport      `json:"sizes,omitempty"`
	Failed    int              `json:"failed_requests"`
	Failure   string           `json:"first_failure,omitempty"`
}

// scenarioReport is one scenario's part of it.
type scenarioReport struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Connections int             `json:"connections"`
	Rate        int             `json:"open_loop_rate,omitempty"`
	Pinned      bool            `json:"pinned"`
	Slice       float64         `json:"slice_seconds"`
	Turns       int             `json:"slices_per_round"`
	RatioOf     measureKind     `json:"ratio_of"`
	Variants    []variantReport `json:"variants"`
	Verdict     *verdict        `json:"verdict,omitempty"` // nil where there is no target
	Polls       []pollReport    `json:"polls,omitempty"`
	Warnings    []string        `json:"warnings,omitempty"`

	judged   variant             // whom the verdict is about; empty: the gate
	over     map[variant]variant // what each is compared with; nil: the first one
	asOthers bool                // database servers are among the others
}

// whoseVerdict is whom the verdict is about.
func (s *scenarioReport) whoseVerdict() variant { return cmp.Or(s.judged, gated) }

// base gives what a variant is compared with.
func (s *scenarioReport) base(v variant) *variantReport {
	if over, ok := s.over[v]; ok {
		return s.variant(over)
	}
	return &s.Variants[0]
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
	Ratio       spread   `json:"ratio"`        // to bare
	AddedCPU    spread   `json:"added_cpu_us"` // over bare
	Samples     []sample `json:"samples"`
}

// verdict tells what the gate made of a target.
type verdict struct {
	Target  target  `json:"target"`
	Value   float64 `json:"value"`
	Margin  float64 `json:"margin"` // as in spread
	Reached bool    `json:"reached"`
}

// newScenarioReports lays the report out, without figures as yet.
func newScenarioReports(opts options) []scenarioReport {
	var reports []scenarioReport
	for _, sc := range opts.scenarios {
		r := scenarioReport{
			Name: sc.name, Title: sc.title, Connections: sc.conns, Rate: sc.rate, Pinned: sc.pinned,
			Slice: sc.slice.Seconds(), Turns: sc.turns(opts.duration), RatioOf: sc.ratioKind(),
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

// add takes a round in. Only whole turns can be compared.
func (s *scenarioReport) add(parts map[variant][]slice) {
	whole := math.MaxInt
	for _, v := range s.Variants {
		n := len(parts[v.Variant])
		if n > 0 && parts[v.Variant][n-1].failed > 0 {
			n--
		}
		whole = min(whole, n)
	}
	for i := range s.Variants {
		v := &s.Variants[i]
		v.Samples = append(v.Samples, newSample(parts[v.Variant][:whole]))
	}
}

// noteFailures counts the failed requests of a round.
func (r *report) noteFailures(name string, parts map[variant][]slice) {
	for v, all := range parts {
		for _, s := range all {
			r.Failed += s.failed
			if s.failure != nil && r.Failure == "" {
				r.Failure = name + ", " + string(v) + ": " + s.failure.Error()
			}
		}
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
			s.Variants[j].sumUp(s.base(s.Variants[j].Variant).Samples, s.RatioOf)
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

// sumUp fills in the medians of the rounds and compares with bare, each slice
// with that of the same turn.
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
		for j, one := range s.Slices {
			base := bare[i].Slices[j]
			added = append(added, one.CPU-base.CPU)
			if kind == byP95 {
				ratios = append(ratios, quotient(one.P95, base.P95))
			} else {
				ratios = append(ratios, quotient(one.Throughput, base.Throughput))
			}
		}
	}
	v.Ratio, v.AddedCPU = spreadOf(ratios), spreadOf(added)
}

// rate is the requests/s of the slices.
func (v *variantReport) rate() spread {
	var all []float64
	for _, s := range v.Samples {
		for _, one := range s.Slices {
			all = append(all, one.Throughput)
		}
	}
	return spreadOf(all)
}

// quotient is a/b, or 0 where b is 0: JSON knows no infinity.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// judge compares the gate's figure with the target.
func (s *scenarioReport) judge() {
	if s.Verdict == nil {
		return
	}
	g := s.variant(s.whoseVerdict())
	found := g.Ratio
	switch s.Verdict.Target.Kind {
	case byCPU:
		found = g.AddedCPU
	case byRate:
		found = g.rate()
	}
	s.Verdict.Value, s.Verdict.Margin = found.Median, found.Margin
	s.Verdict.Reached = s.Verdict.Target.reached(s.Verdict.Value)
}

// warn says what makes the figures doubtful.
func (s *scenarioReport) warn(cores int) {
	var others, rest []float64
	for i, v := range s.Variants {
		if i == 0 || !s.asOthers { // the first one has no server beside it
			others = append(others, v.OthersCores)
		}
		rest = append(rest, v.RestCores)
	}
	if s.RatioOf != byLimit && s.RatioOf != byUnasked && slices.Max(others) > 0.1*float64(cores) { // there who is asked is among the others
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
