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

// openClient is a connection of the open loop. The sender says what is under way
// before it writes, the connection's own reader takes it out when the answer is
// there.
type openClient struct {
	*client
	underWay atomic.Pointer[flight]
}

// flight is a request under way.
type flight struct {
	ask
	due time.Duration // when it was to be sent, from the start of the slice
}

// errUnserved is what became of a request that found no free connection for as
// long as an answer may take.
var errUnserved = errors.New("no connection was free for " + answerLimit.String())

// openLoop sends at fixed, evenly spaced times, whatever becomes of the
// answers, and counts each latency from the scheduled time. A request that
// finds no free connection waits for one, and that wait counts as well.
func openLoop(ctx context.Context, j job, clients []*client) (outcome, error) {
	if j.next == nil {
		j.next = j.always()
	}
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
	o.redial.Lock()                                         // so that no reader gets a new connection without this deadline
	err = errors.Join(err, limit(clients, time.Unix(1, 0))) // long past: it ends the readers
	o.redial.Unlock()
	readers.Wait()
	if o.out.failed > 0 && !o.tolerant {
		err = nil // told by the outcome
	}
	return o.out, err
}

// openRun is the state that the sender and the readers of a slice share.
type openRun struct {
	job
	start   time.Time
	free    chan *openClient
	flying  sync.WaitGroup // requests without an answer
	abandon context.CancelCauseFunc
	done    atomic.Bool
	redial  sync.Mutex

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
// free. It gives up when it is a whole answerLimit late, unless failures are
// part of what is measured: then that request has failed.
func (o *openRun) schedule(ctx context.Context) error {
	interval := time.Second / time.Duration(o.rate)
	for due := time.Duration(0); due < o.ramp+o.measure; due += interval {
		sleepExactly(time.Until(o.start.Add(due)))
		c, err := o.await(ctx, due)
		if errors.Is(err, errUnserved) && o.tolerant {
			_ = o.failed(due, err)
			continue
		}
		if err != nil {
			return err
		}
		next := o.next()
		c.underWay.Store(&flight{next, due})
		o.flying.Add(1)
		if err := c.send(next.request); err != nil && !o.tolerant { // else its reader finds out
			o.flying.Done()
			return o.failed(due, err)
		}
	}
	return nil
}

// await finds a free connection for the request that is due then.
func (o *openRun) await(ctx context.Context, due time.Duration) (*openClient, error) {
	select {
	case c := <-o.free:
		return c, nil
	default:
	}
	patience := time.NewTimer(time.Until(o.start.Add(due + answerLimit)))
	defer patience.Stop()
	select {
	case c := <-o.free:
		return c, nil
	case <-patience.C:
		return nil, fmt.Errorf("%d requests/s are too many: %w", o.rate, errUnserved)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// drain waits until every request has its answer.
func (o *openRun) drain(ctx context.Context) error {
	landed := make(chan struct{})
	go func() {
		o.flying.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.elapsed = o.measure
	return nil
}

// readAnswers records what comes on one connection until the slice ends. A
// failed request ends it at once, unless failures are part of what is measured.
func (o *openRun) readAnswers(c *openClient) {
	for {
		err := c.resp.read(c.br)
		f := c.underWay.Load()
		switch {
		case o.done.Load():
			return
		case f == nil: // the server hung up on nothing
			o.abandon(o.failed(0, err))
			return
		case err == nil:
			err = o.judged(&c.resp, f)
		case o.tolerant:
			_ = f.judge(nil)
		}
		if err != nil && !errors.Is(err, errRefused) {
			_ = o.failed(f.due, err)
			if !o.tolerant {
				o.abandon(err)
				return
			}
		}
		c.underWay.Store(nil)
		if (c.resp.status == 0 || c.resp.close) && !o.again(c) {
			o.flying.Done()
			return
		}
		o.free <- c
		o.flying.Done()
	}
}

// judged records an answer. An error is that of a failed request.
func (o *openRun) judged(r *response, f *flight) error {
	latency := time.Since(o.start) - f.due
	err := f.judge(r)
	if err == nil && r.close && !o.tolerant {
		err = errors.New("the server closes the connection")
	}
	if err != nil && !errors.Is(err, errRefused) {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.requests++
	switch {
	case f.due < o.ramp:
	case err == nil:
		o.out.latencies = append(o.out.latencies, latency)
	default:
		o.out.refused = append(o.out.refused, latency)
	}
	return nil
}

// again opens a connection anew, in the place of one that is of no more use.
func (o *openRun) again(c *openClient) bool {
	fresh, err := dialAll(context.Background(), o.addr, 1)
	if err != nil {
		return false
	}
	o.redial.Lock()
	defer o.redial.Unlock()
	if o.done.Load() {
		closeAll(fresh)
		return false
	}
	c.conn.Close() // it has failed already
	c.conn, c.br = fresh[0].conn, fresh[0].br
	return c.conn.SetDeadline(o.start.Add(o.ramp+o.measure+answerLimit)) == nil
}

// failed counts a failed request and returns its error.
func (o *openRun) failed(due time.Duration, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if due >= o.ramp || !o.tolerant {
		o.out.fail(err)
	}
	return err
}
