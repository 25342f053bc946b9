package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// slice is what one short stretch of load on one variant measured.
type slice struct {
	outcome
	before, after reading // around all of it, when nobody was busy
}

// pids are the processes whose time is taken; Caddy's may be 0, for none.
type pids struct{ caddy, upstream int }

// measureSlice puts a load on and reads the clocks around it. The processor
// time of all requests is taken, so none is under way when a clock is read.
func measureSlice(ctx context.Context, j job, clients []*client, p pids) (slice, error) {
	var s slice
	var errs [3]error
	s.before, errs[0] = takeReading(p.caddy, p.upstream, os.Getpid())
	s.outcome, errs[1] = load(ctx, j, clients)
	s.after, errs[2] = takeReading(p.caddy, p.upstream, os.Getpid())
	return s, errors.Join(errs[:]...)
}

// throughput is the requests/s of the measured time.
func (s slice) throughput() float64 {
	if s.elapsed <= 0 {
		return 0
	}
	return float64(len(s.latencies)) / s.elapsed.Seconds()
}

// caddyTime, restTime and othersTime are the processor times of Caddy, of load
// generator and upstream, and of everybody else.
func (s slice) caddyTime() time.Duration { return s.after.caddy - s.before.caddy }

func (s slice) restTime() time.Duration {
	return s.after.load - s.before.load + s.after.upstream - s.before.upstream
}

func (s slice) othersTime() time.Duration {
	return s.after.machine - s.before.machine - s.caddyTime() - s.restTime()
}

// sample is what the slices of one round say of a variant.
type sample struct {
	Requests    int           `json:"requests"`
	Throughput  float64       `json:"requests_per_second"`
	P50         float64       `json:"p50_ms"`
	P95         float64       `json:"p95_ms"`
	P99         float64       `json:"p99_ms"`
	CPU         float64       `json:"caddy_cpu_us_per_request"`
	CaddyCores  float64       `json:"caddy_cores"`
	RestCores   float64       `json:"load_and_upstream_cores"`
	OthersCores float64       `json:"others_cores"`
	Slices      []sliceSample `json:"slices"`
}

// sliceSample is what is compared slice by slice.
type sliceSample struct {
	Throughput float64 `json:"requests_per_second"`
	P95        float64 `json:"p95_ms"`
	CPU        float64 `json:"caddy_cpu_us_per_request"`
}

// newSample works out the figures of a variant in a round.
func newSample(parts []slice) sample {
	var s sample
	var latencies []time.Duration
	var elapsed, span, caddy, rest, others time.Duration
	var answered int
	for _, p := range parts {
		slices.Sort(p.latencies)
		s.Slices = append(s.Slices, sliceSample{
			Throughput: p.throughput(),
			P95:        milliseconds(percentile(p.latencies, 0.95)),
			CPU:        perRequest(p.caddyTime(), p.requests),
		})
		latencies = append(latencies, p.latencies...)
		answered += p.requests
		elapsed += p.elapsed
		span += p.after.at.Sub(p.before.at)
		caddy += p.caddyTime()
		rest += p.restTime()
		others += p.othersTime() // the kernel counts it in 10 ms: below 0 in one slice, above in another
	}
	slices.Sort(latencies)
	s.Requests = len(latencies)
	if elapsed > 0 {
		s.Throughput = float64(len(latencies)) / elapsed.Seconds()
	}
	s.P50 = milliseconds(percentile(latencies, 0.50))
	s.P95 = milliseconds(percentile(latencies, 0.95))
	s.P99 = milliseconds(percentile(latencies, 0.99))
	s.CPU = perRequest(caddy, answered)
	if span > 0 {
		s.CaddyCores = float64(caddy) / float64(span)
		s.RestCores = float64(rest) / float64(span)
		s.OthersCores = max(0, float64(others)/float64(span))
	}
	return s
}
