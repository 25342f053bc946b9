package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestParseWay(t *testing.T) {
	t.Parallel()
	w, err := parseWay("two: permits=2 clients=30 caddy=bin/other GOMAXPROCS=cores GOGC=200", 4)
	if err != nil {
		t.Fatal(err)
	}
	if w.name != "two" || w.clients != 30 || w.caddy != "bin/other" || !slices.Equal(w.env, []string{"GOMAXPROCS=4", "GOGC=200"}) ||
		len(w.gate) != 1 || !strings.Contains(w.gate[0], "permits 2") {
		t.Errorf("%+v", w)
	}
	for _, bad := range []string{"permits=2", ": permits=2", "a: permits", "a: clients=0", "a: clients=x"} {
		if _, err := parseWay(bad, 4); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	for _, good := range defaultWays {
		if _, err := parseWay(good, 4); err != nil {
			t.Error(err)
		}
	}
}

// crowdSite answers every second sign-in with 429.
func crowdSite(t *testing.T) string {
	t.Helper()
	var n atomic.Int64
	return serve(t, func(c net.Conn) {
		buf := make([]byte, 8192)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			answer := "HTTP/1.1 303 See Other\r\nSet-Cookie: gate=x; Path=/\r\nContent-Length: 0\r\n\r\n"
			if n.Add(1)%2 == 0 {
				answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
			}
			time.Sleep(time.Millisecond)
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	})
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		p := crowdPlan{Addr: crowdSite(t), Authority: "localhost", Names: []string{"bob", "carol"}, Waits: waits,
			Ramp: 20 * time.Millisecond, Measure: 200 * time.Millisecond}
		clients, err := dialCrowd(p.Addr, len(p.Names))
		if err != nil {
			t.Skip("this system has one loopback address only:", err)
		}
		out := p.run(clients)
		closeAll(clients)
		if out.Failed > 0 || !waits && (out.SignedIn < 5 || out.Refused < 5) {
			t.Errorf("waits %v: %+v", waits, out)
		}
		if waits && out.Refused > len(p.Names) {
			t.Errorf("%d were refused: they came back before they were told to", out.Refused)
		}
	}
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	peak, err := peakMemory(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	if peak < 1 || peak > 1<<20 {
		t.Errorf("peak %v MiB", peak)
	}
}

// Where failures are measured, one does not end the slice, and connections that
// break are replaced.
func TestTolerantOpenLoop(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	addr := serve(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			switch n.Add(1) % 4 {
			case 0:
				return // hangs up
			case 1:
				_, _ = c.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
			case 2:
				_, _ = c.Write([]byte("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"))
			default:
				_, _ = c.Write(answer(upstreamBody))
			}
		}
	})
	clients, err := dialAll(t.Context(), addr, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(clients)
	var gone atomic.Int64
	one := ask{visitor{authority: "localhost"}.request("/"), func(r *response) error {
		if r == nil {
			gone.Add(1)
			return nil
		}
		if r.status == 429 {
			return errRefused
		}
		return r.is(200, nil)
	}}
	out, err := load(t.Context(), job{addr: addr, next: func() ask { return one }, rate: 400, measure: 200 * time.Millisecond, tolerant: true}, clients)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.latencies) != 20 || len(out.refused) != 20 || out.failed != 40 || gone.Load() != 20 {
		t.Errorf("served %d, refused %d, failed %d (%v), gone %d of 80 requests", len(out.latencies), len(out.refused), out.failed, out.failure, gone.Load())
	}
}
