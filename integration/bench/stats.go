package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest value that at least q of all (0 < q <= 1) do not
// exceed; sorted must be in ascending order. Of nothing it is 0.
func percentile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// median is the middle value, or the mean of the two in the middle; NaN of
// nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

// spread is a median and how sure it is.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"lower_quartile"`
	High   float64 `json:"upper_quartile"`
	Margin float64 `json:"margin"` // the true median is within this of Median, at about 95 %
	Count  int     `json:"count"`
}

// spreadOf sums up many values. Of nothing all is 0. The margin is that of the
// notches in a box plot (McGill, Tukey and Larsen, 1978): 1.57 times the range
// between the quartiles over the root of the count.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	half := (len(v) + 1) / 2 // both halves have the middle value of an odd count
	s := spread{Median: median(v), Low: median(v[:half]), High: median(v[len(v)-half:]), Count: len(v)}
	s.Margin = 1.57 * (s.High - s.Low) / math.Sqrt(float64(len(v)))
	return s
}

// milliseconds is d as a number of milliseconds.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// perRequest is a processor time in µs for each of n requests; 0 of none.
func perRequest(d time.Duration, n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(d) / float64(time.Microsecond) / float64(n)
}
