package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, tt := range []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{"nothing", nil, 0.5, 0},
		{"one", []time.Duration{7}, 0.99, 7},
		{"lower of two", []time.Duration{1, 2}, 0.5, 1},
		{"upper of two", []time.Duration{1, 2}, 0.51, 2},
		{"p50", hundred, 0.50, 50},
		{"p95", hundred, 0.95, 95},
		{"p99", hundred, 0.99, 99},
		{"all", hundred, 1, 100},
		{"tiny", hundred, 1e-9, 1},
	} {
		if got := percentile(tt.sorted, tt.q); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMedianAndSpread(t *testing.T) {
	t.Parallel()
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
	if diff := cmp.Diff(spread{}, spreadOf(nil)); diff != "" {
		t.Error(diff)
	}
	values := []float64{3, 1, 2}
	near := cmpopts.EquateApprox(0, 0.001)
	if diff := cmp.Diff(spread{Median: 2, Low: 1.5, High: 2.5, Margin: 0.906, Count: 3}, spreadOf(values), near); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Error("the values were reordered: ", diff)
	}
	if diff := cmp.Diff(spread{Median: 2.5, Low: 1.5, High: 3.5, Margin: 1.57, Count: 4}, spreadOf([]float64{4, 1, 2, 3}), near); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(spread{Median: 5, Low: 5, High: 5, Count: 1}, spreadOf([]float64{5}), near); diff != "" {
		t.Error(diff)
	}
}
