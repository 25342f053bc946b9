package oidcop

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// maxDeviceBatch is how many device codes one transaction writes, and maxPollBatch how many
	// one query reads.
	maxDeviceBatch = 500
	maxPollBatch   = 64
	// deviceBatchEvery is the least time between the beginnings of two batches of device codes:
	// large transactions cost less for each code than small ones. A code that comes alone does
	// not wait.
	deviceBatchEvery = 2 * time.Millisecond
	// maxBatchWaiting is how many may wait for a batch: more are refused at once.
	maxBatchWaiting = 4096
)

// batcher puts together what many ask of the database: those that ask while one batch is
// worked on are the next. It gives each its part of the outcome.
type batcher[In, Out any] struct {
	most int
	// every is the least time between the beginnings of two batches.
	every time.Duration
	// work gives the outcomes in the order of what was asked.
	work    func(ctx context.Context, all []In) ([]Out, error)
	waiting chan wish[In, Out]
}

// wish is what somebody asks, and where the outcome goes.
type wish[In, Out any] struct {
	in   In
	done chan outcome[Out]
}

type outcome[Out any] struct {
	out Out
	err error
}

func newBatcher[In, Out any](most int, every time.Duration, work func(context.Context, []In) ([]Out, error)) *batcher[In, Out] {
	return &batcher[In, Out]{most: most, every: every, work: work, waiting: make(chan wish[In, Out], maxBatchWaiting)}
}

// newDeviceQueue writes device codes.
func newDeviceQueue(store authcore.DeviceGrantStore) *batcher[authcore.DeviceGrant, struct{}] {
	return newBatcher(maxDeviceBatch, deviceBatchEvery, func(ctx context.Context, all []authcore.DeviceGrant) ([]struct{}, error) {
		return make([]struct{}, len(all)), store.AddDeviceGrants(context.WithoutCancel(ctx), all)
	})
}

// newDeviceReader reads what became of devices that ask; nil for one that there is not.
func newDeviceReader(store authcore.DeviceGrantStore) *batcher[authcore.TokenHash, *authcore.DeviceGrant] {
	return newBatcher(maxPollBatch, 0, func(ctx context.Context, all []authcore.TokenHash) ([]*authcore.DeviceGrant, error) {
		found, err := store.DeviceGrantsByCode(ctx, all)
		if err != nil {
			return nil, err
		}
		by := make(map[authcore.TokenHash]*authcore.DeviceGrant, len(found))
		for i := range found {
			by[found[i].Device] = &found[i]
		}
		out := make([]*authcore.DeviceGrant, len(all))
		for i, hash := range all {
			out[i] = by[hash]
		}
		return out, nil
	})
}

// errBusy says that too many wait for a batch.
var errBusy = &authcore.Error{Kind: authcore.TooMany, Code: "busy", Message: "Too many requests wait just now. Please try again in a moment.", RetryAfter: 2 * time.Second}

// ask waits for the outcome: errBusy where too many wait, ErrUnavailable where the database
// fails, or what ended ctx.
func (b *batcher[In, Out]) ask(ctx context.Context, in In) (out Out, err error) {
	w := wish[In, Out]{in, make(chan outcome[Out], 1)}
	select {
	case b.waiting <- w:
	default:
		return out, errBusy
	}
	select {
	case o := <-w.done:
		return o.out, o.err
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

// run works on what waits until ctx ends, one batch at a time and not too soon after each
// other: so they are large, and a database with one writer has no use for more.
func (b *batcher[In, Out]) run(ctx context.Context) {
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-b.waiting:
			<-pace.C
			pace.Reset(b.every)
			batch := b.gather(first)
			all := make([]In, len(batch))
			for i := range batch {
				all[i] = batch[i].in
			}
			outs, err := b.work(ctx, all)
			for i, w := range batch {
				o := outcome[Out]{err: err}
				if err == nil {
					o.out = outs[i]
				}
				w.done <- o
			}
		}
	}
}

// gather takes along what waits by now.
func (b *batcher[In, Out]) gather(first wish[In, Out]) []wish[In, Out] {
	batch := []wish[In, Out]{first}
	for len(batch) < b.most {
		select {
		case next := <-b.waiting:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}
