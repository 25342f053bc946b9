package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/gatehouse-auth/gatehouse/authcore/password"
)

// stormRound measures the storms of the scoreboard: naive and as it comes.
func (b *bench) stormRound(ctx context.Context, rep *boardReport, p pace, progress io.Writer) error {
	for i := range rep.Storms {
		s := &rep.Storms[i]
		sample, err := b.storm(ctx, storms[0], s.way, p.measure)
		if err != nil {
			return fmt.Errorf("scoreboard, storm, %s: %w", s.Way, err)
		}
		s.Samples = append(s.Samples, sample)
		fmt.Fprintf(progress, "  storm, %s: %s\n", s.Way, sample)
	}
	return nil
}

// hashSample compares whole sign-ins with hashes alone.
type hashSample struct {
	Bare      float64 `json:"bare_hashes_per_second"`      // x/crypto, on all cores, nothing else
	SignIns   float64 `json:"sign_ins_per_second"`         // over HTTP, with the load generator on the same cores
	LoadCores float64 `json:"load_and_upstream_cores"`     // what the generator took meanwhile
	Ratio     float64 `json:"ratio"`                       // of the two
	Accounted float64 `json:"ratio_without_the_generator"` // the same, of the cores that the generator left
}

// hashRound measures both, one after the other.
func (b *bench) hashRound(ctx context.Context, rep *boardReport, p pace, progress io.Writer) error {
	bare := bareHashes(ctx, len(b.cores), p.measure/2)
	clients := 4 * len(b.cores) // enough that a hash always waits, and no more
	in, people, err := b.startGate(ctx, gatePlan{gate: []string{"hashing {\n\t\t\twhen_full wait 10s\n\t\t}"}, people: clients + 1})
	if err != nil {
		return err
	}
	defer in.stop()
	plan := crowdPlan{Addr: in.addr, Authority: in.authority, Ramp: time.Second / 2, Measure: p.measure}
	for _, one := range people[1:] {
		plan.Names = append(plan.Names, one.name)
	}
	c, err := b.startCrowd(plan)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.begin(); err != nil {
		return err
	}
	told, err := c.outcome(ctx)
	if err != nil {
		return err
	}
	if told.Failed > 0 || told.Refused > 0 {
		return fmt.Errorf("sign-ins that wait for a permit: %d failed, %d refused; the first: %s", told.Failed, told.Refused, told.Failure)
	}
	// Before and after, because the machine's mood changes.
	h := hashSample{Bare: (bare + bareHashes(ctx, len(b.cores), p.measure/2)) / 2}
	h.SignIns = quotient(float64(told.SignedIn), told.Seconds)
	h.LoadCores = told.CPUSeconds / (plan.Ramp.Seconds() + told.Seconds)
	h.Ratio = quotient(h.SignIns, h.Bare)
	h.Accounted = h.Ratio * float64(len(b.cores)) / (float64(len(b.cores)) - h.LoadCores)
	rep.Hashes = append(rep.Hashes, h)
	fmt.Fprintf(progress, "  sign-ins %.1f/s, bare hashes %.1f/s\n", h.SignIns, h.Bare)
	return nil
}

// bareHashes is how many passwords a second x/crypto's Argon2id hashes with the
// product's parameters, on so many cores and with nothing around it.
func bareHashes(ctx context.Context, cores int, d time.Duration) float64 {
	var made atomic.Int64
	var all sync.WaitGroup
	p, salt := password.DefaultParams, make([]byte, 16)
	start := time.Now()
	for range cores {
		all.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				argon2.IDKey([]byte(userPassword), salt, p.Passes, p.Memory, p.Lanes, 32)
				made.Add(1)
			}
		})
	}
	all.Wait()
	return float64(made.Load()) / time.Since(start).Seconds()
}
