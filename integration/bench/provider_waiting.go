package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// waitingDevices is how many devices wait to be let in, and pollEvery how long each waits
	// between an answer and its next question, as the provider told it to.
	waitingDevices = 10_000
	pollEvery      = 5 * time.Second
	// codesKept is how long their codes are used: the provider's are good for 15 minutes.
	codesKept = 10 * time.Minute
)

// pollReport is what came of the questions of devices that wait.
type pollReport struct {
	Variant   variant `json:"variant"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`

	rates, p50s, p99s []float64
}

func (p *pollReport) finish() pollReport {
	p.PerSecond, p.P50, p.P99 = median(p.rates), median(p.p50s), median(p.p99s)
	return *p
}

// deviceCodesBeside: devices ask for codes while many others wait.
func (t *trial) deviceCodesBeside() ([]contender, error) {
	var all []contender
	for _, g := range t.grounds {
		all = append(all, t.working(commitsOn(g.name), commitsOn(g.name), commitClients, g.commit))
	}
	for _, p := range t.portals {
		who := servedOn(p.ground.name)
		c := t.asking(who, commitsOn(p.ground.name), p.process, p.beginning(p.shop))
		report := &pollReport{Variant: who}
		t.polls[who] = report
		w := &crowdOfDevices{portal: p}
		all = append(all, contender{who, c.over, func(ctx context.Context, d time.Duration) (slice, error) {
			return w.beside(ctx, report, func() (slice, error) { return c.run(ctx, d) })
		}})
	}
	return all, nil
}

// crowdOfDevices are devices that wait to be let in by a provider.
type crowdOfDevices struct {
	portal *portal
	codes  []string
	made   time.Time
}

// begin gets a code for each device.
func (w *crowdOfDevices) begin(ctx context.Context) error {
	if time.Since(w.made) < codesKept {
		return nil
	}
	clients, err := dialAll(ctx, w.portal.addr, commitClients)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	if err := limit(clients, time.Now().Add(2*time.Minute)); err != nil {
		return err
	}
	request := w.portal.post(w.portal.device, w.portal.shop, url.Values{"scope": {"openid profile"}})
	w.codes, w.made = make([]string, waitingDevices), time.Now()
	return inParallel(waitingDevices, func(i int) error {
		body, err := clients[i%commitClients].ask(request)
		if w.codes[i] = field(body, "device_code"); err == nil && w.codes[i] == "" {
			err = fmt.Errorf("there is no code for a device, but %.200s", body)
		}
		return err
	})
}

// beside has everybody ask as told while something is measured.
func (w *crowdOfDevices) beside(ctx context.Context, report *pollReport, measured func() (slice, error)) (slice, error) {
	if err := w.begin(ctx); err != nil {
		return slice{}, err
	}
	clients, err := dialCrowd(w.portal.addr, waitingDevices)
	if err != nil {
		return slice{}, err
	}
	defer closeAll(clients)
	if err := limit(clients, time.Now().Add(2*time.Minute)); err != nil {
		return slice{}, err
	}
	over := make(chan struct{})
	var all sync.WaitGroup
	parts := make([]waited, len(clients))
	for i, c := range clients {
		first := pollEvery + pollEvery*time.Duration(i)/waitingDevices // they did not come at the same moment
		request := w.portal.post(w.portal.token, w.portal.shop, url.Values{"grant_type": {deviceGrantType}, "device_code": {w.codes[i]}})
		all.Go(func() { parts[i].poll(c, request, first, over) })
	}
	began := time.Now()
	err = wait(ctx, 2*pollEvery) // each has asked once: to take on so many connections is another matter
	var s slice
	if err == nil {
		s, err = measured()
	}
	close(over)
	all.Wait()
	return s, errors.Join(err, report.add(parts, time.Since(began)))
}

// deviceGrantType is the grant of RFC 8628.
const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

// waited is what one device heard.
type waited struct {
	took    []time.Duration
	failure error
}

// poll asks, and again when it has waited as told, until all is over.
func (w *waited) poll(c *client, request []byte, first time.Duration, over <-chan struct{}) {
	t := time.NewTimer(first)
	defer t.Stop()
	for {
		select {
		case <-over:
			return
		case <-t.C:
		}
		start := time.Now()
		body, err := c.ask(request)
		if err == nil && (c.resp.status != 400 || !bytes.Contains(body, []byte(`"authorization_pending"`))) {
			err = fmt.Errorf("a device that waits hears %d, %.200s", c.resp.status, body)
		}
		if w.failure = err; err != nil {
			return
		}
		w.took = append(w.took, time.Since(start))
		t.Reset(pollEvery)
	}
}

// add sums up what all devices heard.
func (p *pollReport) add(parts []waited, elapsed time.Duration) error {
	var all []time.Duration
	for _, w := range parts {
		if w.failure != nil {
			return w.failure
		}
		all = append(all, w.took...)
	}
	slices.Sort(all)
	p.rates = append(p.rates, float64(len(all))/elapsed.Seconds())
	p.p50s, p.p99s = append(p.p50s, milliseconds(percentile(all, 0.5))), append(p.p99s, milliseconds(percentile(all, 0.99)))
	return nil
}
