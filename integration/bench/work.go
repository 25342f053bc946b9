package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// task is one kind of work on a database, in a closed loop.
type task struct {
	name    string
	title   string
	readers int
	writers int
	events  bool // what is written is batches of events, not sessions
	reads   bool // whether it is the reads that are timed
	limit   float64
}

var tasks = []task{
	{name: "read", title: "SessionByToken, 8 clients", readers: 8, reads: true, limit: 0.8},
	{name: "insert", title: "CreateSession, 8 clients", writers: 8, limit: 0.8},
	{name: "events", title: "InsertEvents, 100 at a time, 1 client", writers: 1, events: true, limit: 0.6},
	{name: "read beside", title: "SessionByToken, 1 client, beside a writer that never rests", readers: 1, writers: 1, reads: true},
}

// tasks are those put on a database; the target for events is SQLite's.
func (d database) tasks() []task {
	if d.name == "sqlite" {
		return tasks
	}
	return slices.DeleteFunc(slices.Clone(tasks), func(t task) bool { return t.events })
}

// filled is a database that was filled with so many sessions.
type filled struct {
	sessions
	size int
}

// newSession makes a session and its event for CreateSession.
func newSession() (authcore.Session, authcore.TokenHash, authcore.Event) {
	now := time.Now()
	user := userOf(rand.N(smallSize / sessionsEach))
	_, token := authcore.NewToken()
	s := authcore.Session{ID: authcore.NewSessionID(), UserID: user, Host: "auth.example.com", AMR: []string{"pwd"}, AuthTime: now,
		CreatedAt: now, LastSeen: now, ExpiresAt: now.Add(720 * time.Hour), Address: "192.0.2.1", Agent: browserAgent}
	s.Root = s.ID
	by := authcore.Actor{Kind: authcore.ActorUser, User: user, Session: s.ID, Client: authcore.NewClient("192.0.2.1", browserAgent, "request")}
	return s, token, authcore.NewEvent(now, by, authcore.UserLogin, string(user), authcore.Success, "")
}

// readOne reads one of the sessions that the database was filled with.
func (f filled) readOne(ctx context.Context) error {
	n := rand.N(f.size)
	groups, err := f.read(ctx, tokenOf(n))
	if err == nil && groups != 2 {
		err = fmt.Errorf("session %d has %d groups", n, groups)
	}
	return err
}

func (f filled) writeOne(ctx context.Context) error {
	s, token, ev := newSession()
	return f.insert(ctx, s, token, ev)
}

// eventBatch is how many events the audit actor writes at a time.
const eventBatch = 100

func (f filled) writeEvents(ctx context.Context) error {
	events := make([]authcore.Event, eventBatch)
	for i := range events {
		_, _, events[i] = newSession()
	}
	return f.insertEvents(ctx, events)
}

// workSlice is what one slice of a task measured, by its readers or its writers.
type workSlice struct {
	latencies []time.Duration // sorted
	elapsed   time.Duration
	cpu       time.Duration // of this process, for everything
}

func (w workSlice) throughput() float64 {
	return quotient(float64(len(w.latencies)), w.elapsed.Seconds())
}

// run puts the task on a database for some time. An error ends it.
func (t task) run(ctx context.Context, db filled, d time.Duration) (workSlice, error) {
	if err := db.settle(ctx); err != nil {
		return workSlice{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cpu, err := processTime(os.Getpid())
	if err != nil {
		return workSlice{}, err
	}
	began := time.Now()
	end := began.Add(d)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var out workSlice
	start := func(n int, timed bool, do func(ctx context.Context) error) {
		for range n {
			wg.Go(func() {
				ctx, giveUp := context.WithCancel(ctx) // as the context of a request, which can be given up
				defer giveUp()
				var mine []time.Duration
				for at := time.Now(); at.Before(end); {
					if err := do(ctx); err != nil {
						cancel(err)
						return
					}
					now := time.Now()
					mine = append(mine, now.Sub(at))
					at = now
				}
				if timed {
					mu.Lock()
					defer mu.Unlock()
					out.latencies = append(out.latencies, mine...)
				}
			})
		}
	}
	start(t.readers, t.reads, db.readOne)
	write := db.writeOne
	if t.events {
		write = db.writeEvents
	}
	start(t.writers, !t.reads, write)
	wg.Wait()
	out.elapsed = time.Since(began)
	after, err := processTime(os.Getpid())
	if err != nil {
		return out, err
	}
	out.cpu = after - cpu
	slices.Sort(out.latencies)
	return out, context.Cause(ctx)
}
