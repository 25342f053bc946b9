package oidcop

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// maxDeviceBatch is how many device codes one transaction writes.
	maxDeviceBatch = 500
	// maxDevicesWaiting is how many may wait to be written: more are refused at once.
	maxDevicesWaiting = 4096
	// deviceWriters is how many batches are written at a time.
	deviceWriters = 2
)

// deviceQueue writes device codes in batches: those that are asked for while one batch is
// written are the next.
type deviceQueue struct {
	store   authcore.DeviceGrantStore
	waiting chan deviceWish
}

// deviceWish is a device code to be written, and where its outcome goes.
type deviceWish struct {
	grant authcore.DeviceGrant
	done  chan error
}

func newDeviceQueue(store authcore.DeviceGrantStore) *deviceQueue {
	return &deviceQueue{store: store, waiting: make(chan deviceWish, maxDevicesWaiting)}
}

// add writes a device code: ErrUnavailable where too many wait, or the database does not take
// it.
func (q *deviceQueue) add(ctx context.Context, g authcore.DeviceGrant) error {
	wish := deviceWish{g, make(chan error, 1)}
	select {
	case q.waiting <- wish:
	default:
		return authcore.ErrUnavailable
	}
	select {
	case err := <-wish.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes what waits until ctx ends.
func (q *deviceQueue) run(ctx context.Context) {
	for range deviceWriters - 1 {
		go q.write(ctx)
	}
	q.write(ctx)
}

func (q *deviceQueue) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-q.waiting:
			batch := q.gather(first)
			grants := make([]authcore.DeviceGrant, len(batch))
			for i := range batch {
				grants[i] = batch[i].grant
			}
			err := q.store.AddDeviceGrants(context.WithoutCancel(ctx), grants)
			for _, wish := range batch {
				wish.done <- err
			}
		}
	}
}

// gather takes along what waits by now.
func (q *deviceQueue) gather(first deviceWish) []deviceWish {
	batch := []deviceWish{first}
	for len(batch) < maxDeviceBatch {
		select {
		case next := <-q.waiting:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}
