package password

import (
	"sync"
	"testing"
	"time"

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

// The first thread's priority is shown as that of the whole process.
func TestFirstThreadDoesNotStepBack(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			var pool threads
			if err := pool.run(t.Context(), func() {
				if onFirstThread() {
					t.Error("a hash ran on the first thread")
				}
				time.Sleep(time.Millisecond) // so that the next one needs another thread
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Getpid()); err != nil || 20-raw == lowest {
		t.Errorf("the first thread is at nice %d, %v", 20-raw, err)
	}
}
