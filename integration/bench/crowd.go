package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// crowdMode is the argument that makes this binary the crowd: many clients that
// sign in again and again. It is a process of its own, so that the client whose
// waiting is measured does not wait for the crowd inside the load generator.
const crowdMode = "crowd"

// crowdPlan is what the crowd is told.
type crowdPlan struct {
	Addr, Authority string
	Names           []string // one client each
	Waits           bool     // who is refused comes back about when the answer said; else at once
	Ramp, Measure   time.Duration
}

// crowdOutcome is what the crowd tells of the measured time.
type crowdOutcome struct {
	SignedIn int     `json:"signed_in"`
	Refused  int     `json:"refused"`
	Failed   int     `json:"failed"`
	Failure  string  `json:"first_failure,omitempty"`
	Seconds  float64 `json:"seconds"`

	CPUSeconds float64 `json:"cpu_seconds"` // of the crowd's own process, from when it was let loose to the end

	RefusedP50 float64 `json:"refused_p50_ms"` // of the answers 429
	RefusedP99 float64 `json:"refused_p99_ms"`
	SignInP50  float64 `json:"sign_in_p50_ms"`
	SignInP99  float64 `json:"sign_in_p99_ms"`
}

// crowdMain connects everybody, says so, waits for a word to begin, and reports.
func crowdMain(in io.Reader, out io.Writer) error {
	var plan crowdPlan
	words := bufio.NewReader(in)
	line, err := words.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &plan); err != nil {
		return err
	}
	clients, err := dialCrowd(plan.Addr, len(plan.Names))
	if err != nil {
		return err
	}
	defer closeAll(clients)
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if _, err := words.ReadByte(); err != nil {
		return err
	}
	before, err := processTime(os.Getpid())
	if err != nil {
		return err
	}
	told := plan.run(clients)
	after, err := processTime(os.Getpid())
	told.CPUSeconds = (after - before).Seconds()
	return errors.Join(err, json.NewEncoder(out).Encode(told))
}

// dialCrowd opens a connection from a loopback address of its own for each
// client, so that no limit for an address stands before what is measured.
func dialCrowd(addr string, n int) ([]*client, error) {
	var clients []*client
	for i := range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i/250), byte(1+i%250))}}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			closeAll(clients)
			return nil, fmt.Errorf("open connection %d of %d: %w", i+1, n, err)
		}
		clients = append(clients, &client{conn: conn, br: bufio.NewReaderSize(conn, 4096)})
	}
	return clients, nil
}

// attempts is what one client did.
type attempts struct {
	signedIn, refused []time.Duration
	failure           error
}

// run lets everybody sign in until the time is over.
func (p crowdPlan) run(clients []*client) crowdOutcome {
	var phase atomic.Int32
	parts := make([]attempts, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		first := time.Duration(0)
		if p.Waits { // people do not come at the same moment
			first = time.Second * time.Duration(i) / time.Duration(len(clients))
		}
		wg.Go(func() {
			time.Sleep(first)
			parts[i] = p.signInAlways(c, visitor{addr: p.Addr, authority: p.Authority}.signInForm(p.Names[i]), &phase)
		})
	}
	time.Sleep(p.Ramp)
	phase.Store(measuring)
	start := time.Now()
	time.Sleep(p.Measure)
	phase.Store(stopping)
	out := crowdOutcome{Seconds: time.Since(start).Seconds()}
	// Who waits for an answer now waits no longer.
	if err := limit(clients, time.Now().Add(time.Second)); err != nil {
		out.Failure = err.Error()
	}
	wg.Wait()
	out.add(parts)
	return out
}

// signInAlways signs in without pause until the time is over.
func (p crowdPlan) signInAlways(c *client, request []byte, phase *atomic.Int32) (a attempts) {
	for phase.Load() != stopping {
		start := time.Now()
		err := c.conn.SetDeadline(start.Add(3 * answerLimit))
		if err == nil {
			err = c.send(request)
		}
		if err == nil {
			err = c.resp.read(c.br)
		}
		if err == nil && c.resp.status != 303 && c.resp.status != 429 {
			err = fmt.Errorf("status %d, body %.120q", c.resp.status, c.resp.body)
		}
		took, now := time.Since(start), phase.Load()
		switch {
		case err != nil:
			if now != stopping {
				a.failure = err
			}
			return a
		case now != measuring:
		case c.resp.status == 303:
			a.signedIn = append(a.signedIn, took)
		default:
			a.refused = append(a.refused, took)
		}
		if p.Waits && c.resp.status == 429 {
			// Not to the microsecond: who was answered within one would come back
			// within one for ever.
			time.Sleep(time.Duration((0.5 + rand.Float64()) * float64(c.resp.retryAfter) * float64(time.Second)))
		}
	}
	return a
}

// add sums up what everybody did.
func (o *crowdOutcome) add(parts []attempts) {
	var signedIn, refused []time.Duration
	for _, a := range parts {
		signedIn = append(signedIn, a.signedIn...)
		refused = append(refused, a.refused...)
		if a.failure != nil {
			if o.Failed++; o.Failure == "" {
				o.Failure = a.failure.Error()
			}
		}
	}
	slices.Sort(signedIn)
	slices.Sort(refused)
	o.SignedIn, o.Refused = len(signedIn), len(refused)
	o.RefusedP50, o.RefusedP99 = milliseconds(percentile(refused, 0.5)), milliseconds(percentile(refused, 0.99))
	o.SignInP50, o.SignInP99 = milliseconds(percentile(signedIn, 0.5)), milliseconds(percentile(signedIn, 0.99))
}

// crowd is the running process.
type crowd struct {
	*process
	words io.WriteCloser
	said  *bufio.Reader
}

// startCrowd starts the crowd and waits until everybody is connected.
func (b *bench) startCrowd(plan crowdPlan) (*crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, crowdMode)
	words, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = says
	p, err := startProcess("the crowd", cmd, filepath.Join(b.dir, "crowd.log"), nil, b.cores)
	says.Close() // the child has its own
	if err != nil {
		said.Close()
		return nil, err
	}
	c := &crowd{process: p, words: words, said: bufio.NewReader(said)}
	b.running = append(b.running, p)
	err = json.NewEncoder(words).Encode(plan)
	if err == nil {
		_, err = c.said.ReadString('\n')
	}
	if err != nil {
		return nil, fmt.Errorf("the crowd does not come together: %w; its last words:\n%s", err, p.lastWords())
	}
	return c, nil
}

// begin lets the crowd loose.
func (c *crowd) begin() error {
	_, err := c.words.Write([]byte("\n"))
	return err
}

// outcome waits for the report.
func (c *crowd) outcome(ctx context.Context) (o crowdOutcome, err error) {
	told := make(chan error, 1)
	go func() { told <- json.NewDecoder(c.said).Decode(&o) }()
	select {
	case err = <-told:
	case <-ctx.Done():
		c.stop() // which ends the reading
		err = errors.Join(context.Cause(ctx), <-told)
	}
	c.stop()
	return o, err
}
