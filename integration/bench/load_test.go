package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// serve runs a server for one test: handle is called for each connection.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// serveApp runs the real upstream for one test.
func serveApp(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go serveUpstream(ln)
	return ln.Addr().String()
}

// testLoad puts a short load on four connections.
func testLoad(t *testing.T, ctx context.Context, addr string, rate int, measure time.Duration) (outcome, error) {
	t.Helper()
	j := job{
		addr: addr, request: visitor{authority: "localhost"}.request("/"), want: []byte(upstreamBody),
		conns: 4, rate: rate, ramp: 20 * time.Millisecond, measure: measure,
	}
	clients, err := dialAll(t.Context(), addr, j.conns)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(clients)
	return load(ctx, j, clients)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		rate          int
		measured, all int // requests; 0: any number
	}{
		{"closed", 0, 0, 0},
		{"open", 1000, 100, 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := testLoad(t, t.Context(), serveApp(t), tt.rate, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if out.failed != 0 {
				t.Errorf("%d requests failed, the first: %v", out.failed, out.failure)
			}
			if n := len(out.latencies); n == 0 || tt.rate > 0 && n != tt.measured {
				t.Errorf("measured %d requests, want %d (0: any number)", n, tt.measured)
			}
			if out.requests < len(out.latencies) || tt.rate > 0 && out.requests != tt.all {
				t.Errorf("counted %d requests, %d of them measured, want %d (0: any number)", out.requests, len(out.latencies), tt.all)
			}
			if out.elapsed < 100*time.Millisecond {
				t.Errorf("elapsed %v", out.elapsed)
			}
		})
	}
}

// Connections are used slice after slice, by either kind of loop.
func TestLoadAgain(t *testing.T) {
	t.Parallel()
	addr := serveApp(t)
	j := job{request: visitor{authority: "localhost"}.request("/"), want: []byte(upstreamBody), measure: 20 * time.Millisecond}
	clients, err := dialAll(t.Context(), addr, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(clients)
	for _, j.rate = range []int{1000, 1000, 0, 0, 1000} {
		out, err := load(t.Context(), j, clients)
		if err != nil || out.failed > 0 || out.requests == 0 {
			t.Fatalf("rate %d: %d requests, %d failed; %v, %v", j.rate, out.requests, out.failed, out.failure, err)
		}
	}
}

func TestLoadFailures(t *testing.T) {
	t.Parallel()
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			buf := make([]byte, 4096)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if _, err := c.Write([]byte(s)); err != nil {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		handle func(net.Conn)
		want   string // part of the failure
	}{
		{"refused", say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), "status 401"},
		{"sign-in page instead of the app", say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsign in"), "unexpected body"},
		{"closes", say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 35\r\n\r\n" + upstreamBody), "closes"},
		{"hangs up", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, rate := range []int{0, 1000} {
				out, err := testLoad(t, t.Context(), serve(t, tt.handle), rate, 50*time.Millisecond)
				if err != nil {
					t.Fatalf("rate %d: %v", rate, err)
				}
				if out.failed == 0 || out.failure == nil || !strings.Contains(out.failure.Error(), tt.want) {
					t.Errorf("rate %d: %d failed, the first: %v; want one with %q", rate, out.failed, out.failure, tt.want)
				}
			}
		})
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for _, rate := range []int{0, 1000} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ready := make(chan struct{}, 100)
		addr := serve(t, func(c net.Conn) {
			ready <- struct{}{}
			_ = answerAll(c) // ends with the connection
		})
		go func() {
			<-ready
			cancel(stop)
		}()
		if _, err := testLoad(t, ctx, addr, rate, time.Hour); !errors.Is(err, stop) {
			t.Errorf("rate %d: error %v, want %v", rate, err, stop)
		}
	}
}

// While the server stalls, requests become due and wait: the stall has to show
// in the latency of each. A generator that waits for answers before it sets
// the next time to send would show one slow request.
func TestOpenLoopOmitsNothing(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	addr := serve(t, func(c net.Conn) {
		time.Sleep(stall) // the stall itself
		_ = answerAll(c)  // ends with the connection
	})
	clients, err := dialAll(t.Context(), addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(clients)
	j := job{request: visitor{authority: "localhost"}.request("/"), want: []byte(upstreamBody), rate: 1000, measure: stall}
	out, err := load(t.Context(), j, clients)
	if err != nil || out.failed > 0 {
		t.Fatal(err, out.failure)
	}
	if len(out.latencies) != 100 {
		t.Fatalf("measured %d requests, want 100", len(out.latencies))
	}
	var late int
	for _, l := range out.latencies {
		if l >= stall/2 {
			late++
		}
	}
	// The connection is accepted before the schedule starts, by how much is
	// not known: half of the half is on the safe side.
	if late < 25 {
		t.Errorf("%d of 100 requests show the stall, want at least 25", late)
	}
}
