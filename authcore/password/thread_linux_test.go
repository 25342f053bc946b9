package password

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestThreadsStepBack(t *testing.T) {
	t.Parallel()
	var pool threads
	var thread, again, raw int
	var err error
	for _, id := range []*int{&thread, &again} {
		if e := pool.run(t.Context(), func() {
			*id = unix.Gettid()
			raw, err = unix.Getpriority(unix.PRIO_PROCESS, 0)
		}); e != nil {
			t.Fatal(e)
		}
	}
	if nice := 20 - raw; err != nil || nice != lowest { // the system call's own way to avoid negative numbers
		t.Errorf("a hash runs at nice %d, %v; want %d", nice, err, lowest)
	}
	if thread != again {
		t.Errorf("two hashes one after the other ran on threads %d and %d", thread, again)
	}
}
