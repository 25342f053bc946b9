package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// madeUp is a report on a gate with the given throughput, CPU µs and p95,
// where bare has 100, 50 and 1 in every round.
func madeUp(t *testing.T, throughput, cpu, p95 []float64) *report {
	t.Helper()
	opts := options{scenarios: scenarios, variants: []variant{bare, gated}, duration: time.Second}
	r := &report{Machine: machine{Cores: []int{0, 1}}, Rounds: len(throughput), Scenarios: newScenarioReports(opts)}
	for i := range r.Scenarios {
		for round := range throughput {
			r.Scenarios[i].add(map[variant][]slice{
				bare:  {madeUpSlice(100, 50, 1)},
				gated: {madeUpSlice(throughput[round], cpu[round], p95[round])},
			})
		}
	}
	r.finish()
	return r
}

// madeUpSlice has so many requests per second, µs of Caddy's time for each, and
// latencies of p95 milliseconds.
func madeUpSlice(throughput, cpu, p95 float64) slice {
	n := int(throughput)
	return slice{
		outcome: outcome{
			requests: n, elapsed: time.Second,
			latencies: slices.Repeat([]time.Duration{time.Duration(p95 * float64(time.Millisecond))}, n),
		},
		before: reading{at: time.Unix(0, 0)},
		after:  reading{at: time.Unix(1, 0), caddy: time.Duration(cpu * float64(n) * float64(time.Microsecond))},
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                 string
		throughput, cpu, p95 []float64
		reached              map[string]bool
	}{
		{"good", []float64{97, 20, 98}, []float64{54, 53, 90}, []float64{1.05, 1, 9},
			map[string]bool{"proxy": true, "pinned": true, "wide": true, "respond": true, "open210": true}},
		{"between", []float64{94, 94, 94}, []float64{55, 55, 55}, []float64{1.11, 1.11, 1.11},
			map[string]bool{"proxy": false, "pinned": true, "wide": true, "respond": true, "open210": false}},
		{"bad", []float64{80, 99, 80}, []float64{56, 56, 40}, []float64{2, 1, 2},
			map[string]bool{"proxy": false, "pinned": false, "wide": false, "respond": false, "open210": false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := madeUp(t, tt.throughput, tt.cpu, tt.p95)
			for _, s := range r.Scenarios {
				want, judged := tt.reached[s.Name]
				if judged != (s.Verdict != nil) {
					t.Fatalf("%s: verdict %v", s.Name, s.Verdict)
				}
				if judged && s.Verdict.Reached != want {
					t.Errorf("%s: %+v, want reached %v", s.Name, s.Verdict, want)
				}
			}
		})
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	r := madeUp(t, []float64{94}, []float64{54}, []float64{1})
	r.noteFailures("proxy", map[variant][]slice{gated: {{outcome: outcome{failed: 2, failure: errors.New("status 401")}}}})
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT REACHED", "*** 1 target(s) missed ***", "FAILED REQUESTS: 2", "proxy, gate: status 401", "0.940", "+4.0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestVerdictWord(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]verdict{
		"reached":                            {Value: 0.97, Margin: 0.01, Reached: true},
		"reached, but within the margin":     {Value: 0.97, Margin: 0.03, Reached: true},
		"NOT REACHED":                        {Value: 0.90, Margin: 0.01},
		"NOT REACHED, but within the margin": {Value: 0.90, Margin: 0.06},
	} {
		v.Target = target{byThroughput, 0.95}
		s := scenarioReport{Verdict: &v, Variants: []variantReport{{Samples: make([]sample, 1)}}}
		if got := s.verdictWord(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	s := scenarioReport{Verdict: &verdict{}, Variants: make([]variantReport, 1)}
	if got := s.verdictWord(); got != "NOT MEASURED" {
		t.Errorf("without figures: %q", got)
	}
}

// On one core the pinned scenario cannot run: that is said, and counts as missed.
func TestPrintNotMeasured(t *testing.T) {
	t.Parallel()
	opts := options{scenarios: scenarios[1:2], variants: []variant{bare, gated}}
	r := &report{Scenarios: newScenarioReports(opts)}
	r.finish()
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Count(got, "NOT MEASURED") != 2 || !strings.Contains(got, "1 target(s) missed") {
		t.Errorf("it is not said:\n%s", got)
	}
	if err := r.writeJSON(filepath.Join(t.TempDir(), "r.json")); err != nil {
		t.Error(err)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.json")
	if err := madeUp(t, []float64{97}, []float64{54}, []float64{1}).writeJSON(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"name": "proxy"`) || !strings.Contains(string(b), `"reached": true`) {
		t.Errorf("unexpected JSON %.300s", b)
	}
}

// A round that a failure ended has an unfinished turn: it is left out.
func TestAddOnlyWholeTurns(t *testing.T) {
	t.Parallel()
	good := madeUpSlice(100, 50, 1)
	bad := good
	bad.failed = 1
	for name, parts := range map[string]map[variant][]slice{
		"the first failed":  {bare: {good, bad}, gated: {good}},
		"the second failed": {bare: {good, good}, gated: {good, bad}},
	} {
		s := newScenarioReports(options{scenarios: scenarios[:1], variants: []variant{bare, gated}})[0]
		s.add(parts)
		for _, v := range s.Variants {
			if n := len(v.Samples[0].Slices); n != 1 {
				t.Errorf("%s: %s has %d slices, want 1", name, v.Variant, n)
			}
		}
	}
	s := newScenarioReports(options{scenarios: scenarios[:1], variants: []variant{bare, gated}})[0]
	s.add(map[variant][]slice{bare: {bad}})
	if n := len(s.Variants[1].Samples[0].Slices); n != 0 {
		t.Errorf("%d slices of a variant that was not reached", n)
	}
}

func TestNewSample(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	at := func(seconds int64, caddy, upstream, load, machine time.Duration) reading {
		return reading{at: time.Unix(seconds, 0), caddy: caddy, upstream: upstream, load: load, machine: machine}
	}
	parts := []slice{
		{outcome{latencies: []time.Duration{3 * ms, 1 * ms}, elapsed: 500 * ms, requests: 5}, at(0, 0, 0, 0, 0), at(1, 500*ms, 50*ms, 100*ms, 640*ms)},
		{outcome{latencies: []time.Duration{4 * ms, 2 * ms}, elapsed: 500 * ms, requests: 5}, at(5, 500*ms, 50*ms, 100*ms, 900*ms), at(6, 1500*ms, 100*ms, 200*ms, 2360*ms)},
	}
	want := sample{
		Requests: 4, Throughput: 4, P50: 2, P95: 4, P99: 4,
		CPU: 150e3, CaddyCores: 0.75, RestCores: 0.15, OthersCores: 0.15,
		Slices: []sliceSample{{4, 3, 100e3}, {4, 4, 200e3}},
	}
	if diff := cmp.Diff(want, newSample(parts)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sample{}, newSample(nil)); diff != "" {
		t.Error(diff)
	}
}
