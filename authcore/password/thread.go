package password

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// threadIdle is how long a thread lives on without work.
const threadIdle = 10 * time.Second

// threads are where hashes run: threads of the operating system, which it gives
// a processor only when nobody else wants one. Go's scheduler knows no
// priorities: to it a hash is as urgent as the page of somebody signed in, and
// takes 10 ms of its turn at a time. The kernel knows them.
//
// There are never more threads than the most hashes that ran at once, which is
// for the gate to bound, and each lives as long as there is work. The zero
// threads is ready for use.
type threads struct {
	mu   sync.Mutex
	idle []chan<- task // of threads that wait for work, the last used last
}

// task is a function to be called, and where to say that it is over.
type task struct {
	ctx  context.Context
	call func()
	over chan error
}

// run has a thread call f, and waits for the end of it. Where ctx has ended
// before the thread came to it, f is not called, and ctx.Err() is the answer.
func (t *threads) run(ctx context.Context, f func()) error {
	work := task{ctx: ctx, call: f, over: make(chan error, 1)}
	t.mu.Lock()
	if last := len(t.idle) - 1; last >= 0 {
		t.idle[last] <- work // there is room for one, and it waits for one
		t.idle = t.idle[:last]
	} else {
		go t.begin(work)
	}
	t.mu.Unlock()
	return <-work.over
}

// begin takes a thread for good, and leaves the process's first thread to others:
// its priority is what the system shows as that of the whole process, and it
// would not end.
func (t *threads) begin(work task) {
	runtime.LockOSThread()
	if !onFirstThread() {
		t.live(work)
		return
	}
	elsewhere := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(elsewhere)
		t.live(work)
	}()
	<-elsewhere // so that it could not be this one again
	runtime.UnlockOSThread()
}

// live is the life of a thread, which ends with its goroutine because that never
// lets go of it: a priority once given up cannot be had back.
func (t *threads) live(work task) {
	stepBack()
	next := make(chan task, 1)
	bored := time.NewTimer(threadIdle)
	defer bored.Stop()
	for {
		err := work.do()
		t.mu.Lock()
		t.idle = append(t.idle, next) // before anybody hears that it is over, and brings more
		t.mu.Unlock()
		work.over <- err
		work = task{} // nothing of it is kept while there is no other
		bored.Reset(threadIdle)
		select {
		case work = <-next:
		case <-bored.C:
			if t.leave(next) {
				return
			}
			work = <-next // it came at that moment
		}
	}
}

// leave takes a thread out of those that wait; false says that it has work.
func (t *threads) leave(next chan<- task) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.idle, next)
	if at < 0 {
		return false
	}
	t.idle = slices.Delete(t.idle, at, at+1)
	return true
}

func (w task) do() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.call()
	return nil
}

// work runs a hash whose permit is held: on a thread of its own or, where there
// is no limit, right here, because nobody could say how many threads that makes.
func (g *Gate) work(ctx context.Context, f func()) error {
	g.mu.Lock()
	limited := g.permits > 0
	g.mu.Unlock()
	if limited {
		return g.threads.run(ctx, f)
	}
	f()
	return nil
}
