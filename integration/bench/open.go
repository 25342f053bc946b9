package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// openClient is a connection of the open loop. The sender fills in due before
// it writes, the connection's own reader takes it out when the answer is there.
type openClient struct {
	*client
	due atomic.Int64 // scheduled time of the request under way, from the start of the slice
}

// openLoop sends at fixed, evenly spaced times, whatever becomes of the
// answers, and counts each latency from the scheduled time. A request that
// finds no free connection waits for one, and that wait counts as well.
func openLoop(ctx context.Context, j job, clients []*client) (outcome, error) {
	o := &openRun{job: j, free: make(chan *openClient, len(clients))}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.abandon = cancel

	var readers sync.WaitGroup
	o.start = time.Now().Add(time.Millisecond)
	for _, c := range clients {
		oc := &openClient{client: c}
		o.free <- oc
		readers.Go(func() { o.readAnswers(oc) })
	}
	err := o.sendAll(ctx)
	if err == nil {
		err = o.drain(ctx)
	}
	o.done.Store(true)
	err = errors.Join(err, limit(clients, time.Unix(1, 0))) // long past: it ends the readers
	readers.Wait()
	if o.out.failed > 0 {
		err = nil // told by the outcome
	}
	return o.out, err
}

// openRun is the state that the sender and the readers of a slice share.
type openRun struct {
	job
	start   time.Time
	free    chan *openClient
	abandon context.CancelCauseFunc
	done    atomic.Bool

	mu  sync.Mutex
	out outcome
}

// sendAll sends the whole schedule from a thread of its own, which sleeps in the
// kernel: Go's timers are late by up to a millisecond in an idle process.
func (o *openRun) sendAll(ctx context.Context) error {
	sent := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread, set for exact sleep, ends with the goroutine
		exactSleeper()
		sent <- o.schedule(ctx)
	}()
	return <-sent
}

// schedule sends each request when it is due, or as soon as a connection is
// free. It gives up when it is a whole answerLimit late.
func (o *openRun) schedule(ctx context.Context) error {
	interval := time.Second / time.Duration(o.rate)
	for due := time.Duration(0); due < o.ramp+o.measure; due += interval {
		sleepExactly(time.Until(o.start.Add(due)))
		if late := time.Since(o.start) - due; late > answerLimit {
			return fmt.Errorf("%d requests/s are too many: the schedule is %v late", o.rate, late.Round(time.Millisecond))
		}
		select {
		case c := <-o.free:
			c.due.Store(int64(due))
			if err := c.send(o.request); err != nil {
				return o.failed(err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// drain waits until every connection has its answer and is free.
func (o *openRun) drain(ctx context.Context) error {
	for range cap(o.free) {
		select {
		case <-o.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.elapsed = o.measure
	return nil
}

// readAnswers records what comes on one connection until the slice ends. A
// failed request ends it at once.
func (o *openRun) readAnswers(c *openClient) {
	for {
		if err := c.receive(o.want); err != nil {
			if !o.done.Load() {
				o.abandon(o.failed(err))
			}
			return
		}
		due := time.Duration(c.due.Load())
		latency := time.Since(o.start) - due
		o.mu.Lock()
		o.out.requests++
		if due >= o.ramp {
			o.out.latencies = append(o.out.latencies, latency)
		}
		o.mu.Unlock()
		o.free <- c
	}
}

// failed counts a failed request and returns its error.
func (o *openRun) failed(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.fail(err)
	return err
}
