package password

import "golang.org/x/sys/unix"

// lowest is the nice value that yields to everybody else. SCHED_IDLE, which
// yields even more, would leave a hash, and the garbage collector that waits for
// its thread to pause, no time at all on a busy machine.
const lowest = 19

// stepBack gives the calling thread the lowest priority. On Linux a nice value is
// a thread's own, and 0 is the thread that calls.
func stepBack() {
	// No system is known to refuse it; were there one, a hash would be as urgent
	// as everything else, as it is on other systems.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
}

// onFirstThread tells whether the calling thread is the one that the process
// began with.
func onFirstThread() bool { return unix.Gettid() == unix.Getpid() }
