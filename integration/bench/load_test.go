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

// testJob is a short slot; it counts the calls of begin and end.
func testJob(addr string, rate int, begun, ended *int) job {
	return job{
		addr: addr, request: visitor{authority: "localhost"}.request("/"), want: []byte(upstreamBody),
		conns: 4, rate: rate, warm: 20 * time.Millisecond, measure: 100 * time.Millisecond,
		begin: func() { *begun++ }, end: func() { *ended++ },
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(context.Context, job) (outcome, error)
		rate int
		want int // requests; 0: any number
	}{
		{"closed", closedLoop, 0, 0},
		{"open", openLoop, 1000, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var begun, ended int
			out, err := tt.run(t.Context(), testJob(serveApp(t), tt.rate, &begun, &ended))
			if err != nil {
				t.Fatal(err)
			}
			if out.failed != 0 {
				t.Errorf("%d requests failed, the first: %v", out.failed, out.failure)
			}
			if n := len(out.latencies); n == 0 || tt.want != 0 && n != tt.want {
				t.Errorf("measured %d requests, want %d (0: any number)", n, tt.want)
			}
			if out.elapsed < 100*time.Millisecond || begun != 1 || ended != 1 {
				t.Errorf("elapsed %v, begin called %d times, end %d times", out.elapsed, begun, ended)
			}
		})
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
			for name, run := range map[string]func(context.Context, job) (outcome, error){"closed": closedLoop, "open": openLoop} {
				var begun, ended int
				j := testJob(serve(t, tt.handle), 1000, &begun, &ended)
				out, err := run(t.Context(), j)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if out.failed == 0 || out.failure == nil || !strings.Contains(out.failure.Error(), tt.want) {
					t.Errorf("%s: %d failed, the first: %v; want one with %q", name, out.failed, out.failure, tt.want)
				}
			}
		})
	}
}

func TestLoadStopsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for name, run := range map[string]func(context.Context, job) (outcome, error){"closed": closedLoop, "open": openLoop} {
		ctx, cancel := context.WithCancelCause(t.Context())
		var begun, ended int
		j := testJob(serveApp(t), 1000, &begun, &ended)
		j.measure = time.Hour
		j.begin = func() { cancel(stop) }
		if _, err := run(ctx, j); !errors.Is(err, stop) {
			t.Errorf("%s: error %v, want %v", name, err, stop)
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
	var begun, ended int
	j := testJob(addr, 1000, &begun, &ended)
	j.conns, j.warm = 1, 0
	out, err := openLoop(t.Context(), j)
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
