package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine says where and how the figures were made.
type machine struct {
	Time       time.Time `json:"time"`
	Kernel     string    `json:"kernel"`
	Processor  string    `json:"processor"`
	Cores      []int     `json:"cores"`
	GOMAXPROCS int       `json:"gomaxprocs"` // of the load generator, and what a child gets that sets none itself
	Go         string    `json:"go"`         // that built the load generator
	Caddy      string    `json:"caddy"`
	CaddyGo    string    `json:"caddy_go"`
	GoSettings []string  `json:"go_settings,omitempty"` // GOGC and its like, when set
	LoadBefore string    `json:"load_average_before"`
	LoadAfter  string    `json:"load_average_after"`
	Group      string    `json:"scheduling_group_nice,omitempty"`
	Pinning    string    `json:"pinning"`
	Setup      string    `json:"setup"`
	Mix        string    `json:"mix"`
	Ceiling    sample    `json:"ceiling"` // the load generator on the upstream, without Caddy, 64 connections
	Floor      sample    `json:"floor"`   // the same in an open loop at 2,000/s
}

// newReport gathers what is known before the first round.
func newReport(ctx context.Context, b *bench, opts options) (*report, error) {
	m := machine{
		Time: time.Now().UTC().Truncate(time.Second), Cores: b.cores,
		GOMAXPROCS: runtime.GOMAXPROCS(0), Go: runtime.Version(),
	}
	m.Kernel, m.Processor, m.LoadBefore = machineFacts()
	if nice := groupPriority(); nice != "0" {
		m.Group = nice
	}
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			m.GoSettings = append(m.GoSettings, name+"="+value)
		}
	}
	if !opts.needsCaddy() {
		return &report{Machine: m, Rounds: opts.rounds}, nil
	}
	version, err := runTool(ctx, "", os.Environ(), b.caddy, "version")
	if err != nil {
		return nil, err
	}
	m.Caddy = strings.TrimSpace(version)
	if info, err := buildinfo.ReadFile(b.caddy); err == nil {
		m.CaddyGo = info.GoVersion
	}
	m.Pinning = "none"
	if b.pinnedUpstream != nil {
		m.Pinning = fmt.Sprintf("in the pinned scenario Caddy on cores %v, load and upstream on %v; each started there", b.layout.caddy, b.layout.rest)
	}
	m.Setup = "all processes children of one, in its session and process group, on loopback; HTTP/1.1, connections kept"
	m.Mix = fmt.Sprintf("GET / only, %d bytes from the upstream, 1 user, 1 session for each site; no sign-in and no password hash within the measured time; "+
		"%d rounds of %v for a variant in a scenario (open210 twice that), in slices of %v to %v, variants in turn",
		len(upstreamBody), opts.rounds, opts.duration, shortSlice, longSlice)
	if err := m.measureHarness(ctx, b); err != nil {
		return nil, err
	}
	return &report{Machine: m, Rounds: opts.rounds, Scenarios: newScenarioReports(opts)}, nil
}

// measureHarness puts the load on the upstream itself, to show what the
// harness can do and what it adds.
func (m *machine) measureHarness(ctx context.Context, b *bench) error {
	j := job{
		addr: b.upstream.addr, request: visitor{authority: b.upstream.addr}.request("/"), want: []byte(upstreamBody),
		conns: 64, ramp: 200 * time.Millisecond, measure: time.Second,
	}
	clients, err := dialAll(ctx, j.addr, j.conns)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	for rate, into := range map[int]*sample{0: &m.Ceiling, 2000: &m.Floor} {
		j.rate = rate
		s, err := measureSlice(ctx, j, clients, pids{upstream: b.upstream.pid()})
		if err = errors.Join(err, s.failure); err != nil {
			return fmt.Errorf("measure the harness: %w", err)
		}
		*into = newSample([]slice{s})
	}
	return nil
}

// print writes the header of the report.
func (m machine) print(w io.Writer) {
	fmt.Fprintf(w, "Gatehouse bench, %s\n", m.Time.Format(time.RFC3339))
	fmt.Fprintf(w, "machine  %s, %d cores, %s; load average %s before, %s after\n", m.Processor, len(m.Cores), m.Kernel, m.LoadBefore, m.LoadAfter)
	fmt.Fprintf(w, "go       %s, GOMAXPROCS %d %s\n", m.Go, m.GOMAXPROCS, strings.Join(m.GoSettings, " "))
	if m.Group != "" {
		fmt.Fprintf(w, "group    all processes of this run share a scheduling group at nice %s\n", m.Group)
	}
	if m.Caddy == "" {
		return
	}
	fmt.Fprintf(w, "caddy    %s, %s\n", m.Caddy, m.CaddyGo)
	fmt.Fprintf(w, "setup    %s\n", m.Setup)
	fmt.Fprintf(w, "pinning  %s\n", m.Pinning)
	fmt.Fprintf(w, "mix      %s\n", m.Mix)
	fmt.Fprintf(w, "harness  without Caddy %.0f requests/s at 64 connections; at 2,000/s open loop p50 %.2f, p95 %.2f ms\n",
		m.Ceiling.Throughput, m.Floor.P50, m.Floor.P95)
}
