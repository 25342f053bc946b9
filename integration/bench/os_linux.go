package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processTime is the processor time that a process has used, user and system,
// all its threads, those that ended included; exact to the nanosecond. It is
// what clock_getcpuclockid(3) gives.
func processTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED: the scheduler's own count
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedClock, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// machineTime is the processor time that everybody on the machine has used.
func machineTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachineTime(b)
}

// usableCores lists the cores on which this process may run.
func usableCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read the usable cores: %w", err)
	}
	var cores []int
	for i := 0; len(cores) < set.Count(); i++ {
		if set.IsSet(i) {
			cores = append(cores, i)
		}
	}
	return cores, nil
}

func cpuSet(cores []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, c := range cores {
		set.Set(c)
	}
	return &set
}

// pinThread keeps the calling thread, and what it starts, on these cores.
func pinThread(cores []int) error {
	if err := unix.SchedSetaffinity(0, cpuSet(cores)); err != nil {
		return fmt.Errorf("pin a thread to cores %v: %w", cores, err)
	}
	return nil
}

// pinSelf keeps all threads of this process on these cores. A thread may be
// made meanwhile, so it looks until it finds none that is new.
func pinSelf(cores []int) error {
	pinned := map[string]bool{}
	for fresh := true; fresh; {
		fresh = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			if pinned[t.Name()] {
				continue
			}
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			err = unix.SchedSetaffinity(id, cpuSet(cores))
			if err != nil && !errors.Is(err, unix.ESRCH) { // ended meanwhile
				return fmt.Errorf("pin thread %d to cores %v: %w", id, cores, err)
			}
			pinned[t.Name()], fresh = true, true
		}
	}
	return nil
}

// peakMemory is the most memory that a process had at once, in MiB (VmHWM).
func peakMemory(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the kernel does not tell the peak of a process's memory")
}

// forgetPeak has the kernel count the peak of a process's memory from now on.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// childAttributes makes the kernel end a child with us, should we be killed.
// No new session and no new process group: all share one scheduling group.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// exactSleeper sets the calling thread to wake up on time; the kernel
// otherwise rounds by 50 µs.
func exactSleeper() {
	// When it fails, sends are up to 50 µs late, for all variants alike.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// sleepExactly sleeps in the kernel, on the calling thread.
func sleepExactly(d time.Duration) {
	for until := time.Now().Add(d); d > 0; d = time.Until(until) {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // interrupted: the loop sleeps on
	}
}

// machineFacts says kernel, processor and load averages; what cannot be read
// is empty.
func machineFacts() (kernel, model, loadAverage string) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		kernel = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	loads, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(loads)); len(f) > 3 {
		loadAverage = strings.Join(f[:3], " ")
	}
	return kernel, model, loadAverage
}

// groupPriority is the nice value of the scheduling group that all processes of a
// run share, as the kernel says it; empty where there are no such groups.
func groupPriority() string {
	b, _ := os.ReadFile("/proc/self/autogroup")
	_, nice, _ := strings.Cut(strings.TrimSpace(string(b)), " nice ")
	return nice
}

// forget has the system put a file on the disk and keep none of it in memory.
func forget(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
