package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// reading is the processor time used up to a moment.
type reading struct {
	at       time.Time
	caddy    time.Duration
	upstream time.Duration
	load     time.Duration // this process
	machine  time.Duration // everybody, the kernel included
}

// takeReading reads all clocks. caddyPID may be 0: there is none.
func takeReading(caddyPID, upstreamPID, ownPID int) (reading, error) {
	var r reading
	var errs [4]error
	r.at = time.Now()
	if caddyPID != 0 {
		r.caddy, errs[0] = processTime(caddyPID)
	}
	r.upstream, errs[1] = processTime(upstreamPID)
	r.load, errs[2] = processTime(ownPID)
	r.machine, errs[3] = machineTime()
	return r, errors.Join(errs[:]...)
}

// parseMachineTime sums up what /proc/stat says of all processors: busy in any
// way, time stolen by other virtual machines included. Its unit is 1/100 s.
func parseMachineTime(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("unexpected first line of /proc/stat: %.120q", line)
	}
	const idle, iowait, steal = 4, 5, 8 // guest time after that is in user time already
	var ticks int64
	for i, f := range fields[:steal+1] {
		if i == 0 || i == idle || i == iowait {
			continue
		}
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("unexpected first line of /proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// layout says which cores a pinned scenario gives to whom. Nil lists mean that
// everybody runs wherever the kernel likes.
type layout struct {
	caddy []int
	rest  []int // load generator and upstream
}

// pinnedLayout gives Caddy the last of the cores and the rest to everybody
// else; false when there are not two.
func pinnedLayout(cores []int) (layout, bool) {
	if len(cores) < 2 {
		return layout{}, false
	}
	cores = slices.Sorted(slices.Values(cores))
	last := len(cores) - 1
	return layout{caddy: cores[last:], rest: cores[:last]}, true
}
