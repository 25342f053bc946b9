package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	if diff := cmp.Diff(spread{2, 1, 3}, spreadOf(values)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Error("the values were reordered: ", diff)
	}
	if diff := cmp.Diff(spread{2.5, 1, 4}, spreadOf([]float64{4, 1, 2, 3})); diff != "" {
		t.Error(diff)
	}
}
