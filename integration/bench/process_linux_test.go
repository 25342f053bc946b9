package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// startForTest starts a shell script the way the bench starts Caddy.
func startForTest(t *testing.T, script string, cores []int) *process {
	t.Helper()
	runtime.LockOSThread() // as main does; the child dies with this thread, the test's own
	all, err := usableCores()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess("sh", exec.Command("sh", "-c", script), filepath.Join(t.TempDir(), "log"), cores, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

func TestProcessThatEndsBeforeItServes(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	err = startForTest(t, "echo no such directive >&2; exit 1", nil).awaitPort(t.Context(), address(ports[0]))
	if err == nil || !strings.Contains(err.Error(), "no such directive") {
		t.Errorf("error %v, want one with the last words", err)
	}
}

func TestProcessStops(t *testing.T) {
	t.Parallel()
	p := startForTest(t, "exec sleep 600", nil)
	p.stop()
	if _, err := processTime(p.pid()); err == nil {
		t.Error("it still runs")
	}
	p.stop() // once more does no harm
}

// Go sizes itself by the cores that a process starts with, so a pinned child
// must have them from its first instruction.
func TestProcessStartsPinned(t *testing.T) {
	t.Parallel()
	cores := []int{0}
	p := startForTest(t, "grep Cpus_allowed_list /proc/self/status", cores)
	<-p.done
	if got := strings.Fields(p.lastWords()); len(got) != 2 || got[1] != fmt.Sprint(cores[0]) {
		t.Errorf("it ran with %q, want core %v", got, cores)
	}
}

func TestFreePorts(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	if ports[0] == ports[1] || ports[1] == ports[2] || ports[0] == ports[2] {
		t.Errorf("ports repeat: %v", ports)
	}
	for _, p := range ports {
		ln, err := net.Listen("tcp", address(p))
		if err != nil {
			t.Error(err)
			continue
		}
		ln.Close()
	}
}

func TestUpstreamMainEndsWithItsInput(t *testing.T) {
	t.Parallel()
	in, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	said, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	done := make(chan error, 1)
	go func() { done <- upstreamMain(upstreamMode, in, says) }()
	var addr string
	if _, err := fmt.Fscanln(said, &addr); err != nil {
		t.Fatal(err)
	}
	v := visitor{addr: addr, authority: addr}
	if err := v.check(t.Context(), bare, proxySite); err != nil {
		t.Error(err)
	}
	keep.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
