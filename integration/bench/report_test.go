package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// madeUp is a report on a gate with the given throughput, CPU µs and p95,
// where bare has 100, 50 and 1 in every round.
func madeUp(t *testing.T, throughput, cpu, p95 []float64) *report {
	t.Helper()
	opts := options{scenarios: scenarios, variants: []variant{bare, gated}, duration: time.Second}
	r := &report{Machine: machine{Cores: []int{0, 1}}, Rounds: len(throughput), Scenarios: newScenarioReports(opts)}
	for i := range r.Scenarios {
		for round := range throughput {
			r.add(i, bare, sample{Throughput: 100, CPU: 50, P95: 1})
			r.add(i, gated, sample{Throughput: throughput[round], CPU: cpu[round], P95: p95[round]})
		}
	}
	r.finish()
	return r
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
	r.add(0, gated, sample{Failed: 2, failure: errors.New("status 401")})
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

func TestNewSample(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	before := reading{at: start}
	after := reading{at: start.Add(time.Second), caddy: time.Second, upstream: 100 * time.Millisecond, load: 200 * time.Millisecond, machine: 1500 * time.Millisecond}
	out := outcome{elapsed: time.Second, latencies: []time.Duration{3e6, 1e6, 2e6, 4e6}}
	got := newSample(out, before, after)
	want := sample{Requests: 4, Seconds: 1, Throughput: 4, P50: 2, P95: 4, P99: 4, CPU: 250e3, RestCPU: 75e3, CaddyCores: 1, RestCores: 0.3, OthersCores: 0.2}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := newSample(outcome{failed: 1}, reading{}, reading{}); got.CPU != 0 || got.Throughput != 0 || got.CaddyCores != 0 {
		t.Errorf("a slot without an answer gives %+v", got)
	}
}
