package main

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// usage is the processor time of this process by another way, in whole µs.
func usage(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The clock of a process must agree with getrusage, before and after work.
func TestProcessTimeOfSelf(t *testing.T) {
	t.Parallel()
	var last time.Duration
	for range 3 {
		before := usage(t)
		got, err := processTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		after := usage(t)
		if got < before-2*time.Microsecond || got > after+2*time.Microsecond {
			t.Errorf("%v is not between %v and %v", got, before, after)
		}
		if got <= last {
			t.Errorf("%v after %v, and there was work in between", got, last)
		}
		last = got
		for usage(t) < after+5*time.Millisecond { // work until it shows
			_ = slices.Repeat([]byte("work"), 1000)
		}
	}
}

func TestProcessTimeOfAChild(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	var spent time.Duration
	for spent < 20*time.Millisecond { // go test's own limit ends this when the clock stands still
		var err error
		if spent, err = processTime(pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if got, err := processTime(pid); err == nil {
		t.Errorf("read %v of a process that has ended", got)
	}
}

func TestTakeReading(t *testing.T) {
	t.Parallel()
	r, err := takeReading(0, os.Getpid(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if r.caddy != 0 || r.load <= 0 || r.upstream <= 0 || r.machine <= 0 {
		t.Errorf("unexpected reading %+v", r)
	}
}

// Not parallel: it moves every thread of the test.
func TestPinSelf(t *testing.T) {
	all, err := usableCores()
	if err != nil {
		t.Fatal(err)
	}
	if err := pinSelf(all[:1]); err != nil {
		t.Fatal(err)
	}
	got, err := usableCores()
	if err != nil || !slices.Equal(got, all[:1]) {
		t.Errorf("cores %v, %v after pinning to %v", got, err, all[:1])
	}
	if err := pinSelf(all); err != nil {
		t.Fatal(err)
	}
	if got, err = usableCores(); err != nil || !slices.Equal(got, all) {
		t.Errorf("cores %v, %v after giving back %v", got, err, all)
	}
}
