package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Chain is what a follower needs of a database.
type Chain interface {
	// Followed gives the last batch that was followed under a name; where that is new, the
	// newest there is.
	Followed(ctx context.Context, name string) (batch int64, err error)
	// Follow says that a batch was followed.
	Follow(ctx context.Context, name string, batch int64) error
	// SealedBatches reads batches after one of them: as many as hold about that many events.
	SealedBatches(ctx context.Context, after int64, events int) ([]authcore.EventBatch, error)
	// SlugsOf gives the slugs of organizations by their ids, as far as they are there.
	SlugsOf(ctx context.Context, ids []authcore.OrganizationID) (map[authcore.OrganizationID]string, error)
	Lease
}

// Collector takes events, in order. It returns no error only where it has them; id names
// what it is given, also when that is given again.
type Collector interface {
	Collect(ctx context.Context, id string, events []CollectedEvent) error
	// Close ends its connections.
	Close()
}

// CollectedEvent is an event for a collector, with the JSON of it.
type CollectedEvent struct {
	authcore.Event
	JSON []byte
}

const (
	// collectAtOnce is how many events a collector is given at a time.
	collectAtOnce = 100
	// followPage is about how many events are read at a time.
	followPage      = 1000
	firstPatience   = time.Second
	longestPatience = time.Minute
)

// Follower gives a collector every event that is sealed, as the only node that does. How
// far it came is in the database: what was given and not noted is given again.
type Follower struct {
	Store     Chain
	Collector Collector
	Name      string // of the place in the chain, and of the lease
	Holder    string // names this follower in the lease
	Now       func() time.Time
	Bell      *Bell
	Trouble   func(error)
	Tally     *Tally

	leased  time.Time
	at      int64
	waiting time.Duration
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	rings, stop := f.Bell.Listen()
	defer stop()
	defer f.Collector.Close()
	for ctx.Err() == nil {
		wait := lookEvery
		switch err := f.follow(ctx); {
		case ctx.Err() != nil:
		case err != nil:
			f.Trouble(err)
			f.Tally.Missed.Add(1)
			f.waiting = min(max(2*f.waiting, firstPatience), longestPatience)
			wait = f.waiting
		default:
			f.Trouble(nil)
			f.waiting = 0
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-f.ring(rings):
		case <-t.C:
		}
		t.Stop()
	}
	if !f.leased.IsZero() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = f.Store.DropLease(last, f.Name, f.Holder) // else it ends by itself
	}
}

// ring is not heard while a collector that fails is left alone.
func (f *Follower) ring(rings <-chan struct{}) <-chan struct{} {
	if f.waiting > 0 {
		return nil
	}
	return rings
}

// ours takes the lease, or has it for longer. Who takes it anew reads how far the one
// before came.
func (f *Follower) ours(ctx context.Context) (bool, error) {
	if !f.leased.IsZero() && f.Now().Sub(f.leased) < leaseEvery {
		return true, nil
	}
	at := f.Now()
	had := !f.leased.IsZero() && at.Sub(f.leased) < leaseTime
	ours, err := f.Store.TakeLease(ctx, f.Name, f.Holder, 2*leaseTime)
	if err != nil {
		return false, err
	}
	if f.leased = at; !ours {
		f.leased = time.Time{}
		return false, nil
	}
	if !had {
		f.at, err = f.Store.Followed(ctx, f.Name)
		if err != nil {
			f.leased = time.Time{}
		}
	}
	return err == nil, err
}

// follow gives what is new.
func (f *Follower) follow(ctx context.Context) error {
	for {
		if ours, err := f.ours(ctx); err != nil || !ours {
			return err
		}
		batches, err := f.Store.SealedBatches(ctx, f.at, followPage)
		if err != nil || len(batches) == 0 {
			return err
		}
		slugs, err := f.slugs(ctx, batches)
		if err != nil {
			return err
		}
		for i := range batches {
			if ours, err := f.ours(ctx); err != nil || !ours {
				return err
			}
			if err := f.give(ctx, &batches[i], slugs); err != nil {
				return err
			}
		}
	}
}

func (f *Follower) slugs(ctx context.Context, batches []authcore.EventBatch) (map[authcore.OrganizationID]string, error) {
	var ids []authcore.OrganizationID
	for _, b := range batches {
		for _, e := range b.Events {
			if e.Organization != "" && !slices.Contains(ids, e.Organization) {
				ids = append(ids, e.Organization)
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return f.Store.SlugsOf(ctx, ids)
}

// give gives a batch, in parts that have the same id whenever they are given.
func (f *Follower) give(ctx context.Context, b *authcore.EventBatch, slugs map[authcore.OrganizationID]string) error {
	part := 0
	for events := range slices.Chunk(b.Events, collectAtOnce) {
		part++
		all := make([]CollectedEvent, len(events))
		for i := range events {
			e := &events[i].Event
			line, err := lineOf(e, slugs[e.Organization])
			if err != nil {
				return err
			}
			all[i] = CollectedEvent{*e, line}
		}
		if err := f.Collector.Collect(ctx, fmt.Sprintf("audit-%d-%d", b.Number, part), all); err != nil {
			return err
		}
		f.Tally.Told.Add(uint64(len(events)))
	}
	if err := f.Store.Follow(ctx, f.Name, b.Number); err != nil {
		return err
	}
	f.at = b.Number
	return nil
}
