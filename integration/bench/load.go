package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// answerLimit is how long one answer may take before it counts as failed.
const answerLimit = 10 * time.Second

// job is what a slice does: the same request again and again.
type job struct {
	addr    string // host:port to dial
	request []byte // the whole request, as sent
	want    []byte // the body that a good answer has
	conns   int
	rate    int           // requests/s of an open loop; 0 is a closed loop
	ramp    time.Duration // unmeasured beginning
	measure time.Duration

	// next gives the next request of an open loop that mixes several kinds, in
	// the place of request and want.
	next func() ask
	// talk gives, for the n-th connection of a closed loop, what it asks next, in the
	// place of request and want.
	talk func(n int) func() ask
	// tolerant says that failures are part of what is measured, in an open loop:
	// they are counted, and the slice goes on.
	tolerant bool
}

// ask is one request of a mix, and what to make of its answer: judge returns
// errRefused for one that was turned away as it should be. It is also told, with
// nil, that none came.
type ask struct {
	request []byte
	judge   func(*response) error
}

// errRefused says that the server answered 429.
var errRefused = errors.New("refused")

// outcome is what came of a slice.
type outcome struct {
	latencies []time.Duration // of the requests in the measured time, in no order
	refused   []time.Duration // likewise, of those that were turned away with 429
	elapsed   time.Duration   // the measured time
	requests  int             // all that were answered, in the ramp and after the end as well
	failed    int             // requests that failed, whenever
	failure   error           // the first of them
}

// fail counts a failed request.
func (o *outcome) fail(err error) {
	if o.failed++; o.failure == nil {
		o.failure = err
	}
}

// client is one connection that stays open.
type client struct {
	conn net.Conn
	br   *bufio.Reader
	resp response
}

// dialAll opens n connections; on error none stays open.
func dialAll(ctx context.Context, addr string, n int) ([]*client, error) {
	var d net.Dialer
	clients := make([]*client, 0, n)
	for range n {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			closeAll(clients)
			return nil, fmt.Errorf("open connection %d of %d: %w", len(clients)+1, n, err)
		}
		clients = append(clients, &client{conn: conn, br: bufio.NewReaderSize(conn, 4096)})
	}
	return clients, nil
}

// limit sets the time by which everything on the connections has to be over.
func limit(clients []*client, deadline time.Time) error {
	for _, c := range clients {
		if err := c.conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	return nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.conn.Close() // nothing is lost: every answer was read, or counted as failed
	}
}

// send writes a request.
func (c *client) send(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	return nil
}

// receive reads an answer and has it judged.
func (c *client) receive(judge func(*response) error) error {
	if err := c.resp.read(c.br); err != nil {
		return err
	}
	if err := judge(&c.resp); err != nil {
		return err
	}
	if c.resp.close {
		return errors.New("the server closes the connection")
	}
	return nil
}

// is checks that an answer is the wanted one; a nil body is any.
func (r *response) is(status int, body []byte) error {
	switch {
	case r.status != status:
		return fmt.Errorf("status %d instead of %d, body %.120q", r.status, status, r.body)
	case body != nil && string(r.body) != string(body):
		return fmt.Errorf("unexpected body %.120q", r.body)
	}
	return nil
}

// The phases of a slice.
const (
	ramping int32 = iota
	measuring
	stopping
)

// load puts a job's load on open connections and returns when the last answer
// has come. The error tells that nothing could be measured; failed requests are
// in the outcome, and after one the connections are of no use.
func load(ctx context.Context, j job, clients []*client) (outcome, error) {
	if err := limit(clients, time.Now().Add(j.ramp+j.measure+answerLimit)); err != nil {
		return outcome{}, err
	}
	if j.rate > 0 {
		return openLoop(ctx, j, clients)
	}
	return closedLoop(ctx, j, clients)
}

// closedLoop keeps all connections busy: each sends when it has its answer. A
// connection with a failed request stops.
func closedLoop(ctx context.Context, j job, clients []*client) (outcome, error) {
	var phase atomic.Int32
	parts := make([]outcome, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		next := j.always()
		if j.talk != nil {
			next = j.talk(i)
		}
		wg.Go(func() { parts[i] = c.repeat(next, &phase) })
	}
	err := wait(ctx, j.ramp)
	start := time.Now()
	if err == nil {
		phase.Store(measuring)
		err = wait(ctx, j.measure)
	}
	phase.Store(stopping)
	out := outcome{elapsed: time.Since(start)}
	if err != nil {
		closeAll(clients)
	}
	wg.Wait()
	for _, p := range parts {
		out.latencies = append(out.latencies, p.latencies...)
		out.requests += p.requests
		if p.failure != nil {
			out.fail(p.failure)
		}
	}
	return out, err
}

// always gives the one request of a job.
func (j job) always() func() ask {
	one := ask{request: j.request, judge: func(r *response) error { return found(r, j.want) }}
	return func() ask { return one }
}

// repeat sends one request after the other until the slice ends, and records
// the latencies of those whose answer came in the measured time.
func (c *client) repeat(next func() ask, phase *atomic.Int32) outcome {
	out := outcome{latencies: make([]time.Duration, 0, 512)}
	for phase.Load() != stopping {
		one := next()
		start := time.Now()
		if out.failure = c.send(one.request); out.failure != nil {
			return out
		}
		if out.failure = c.receive(one.judge); out.failure != nil {
			return out
		}
		out.requests++
		if phase.Load() == measuring {
			out.latencies = append(out.latencies, time.Since(start))
		}
	}
	return out
}

// wait returns after d, or with the context's error before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
