package authcore

import (
	"context"
	"time"
)

// Later does what nobody waits for, one thing after another, some time after it was
// asked to: what there is to do shows in no answer's time.
type Later struct {
	// Failed is told of what could not be done.
	Failed func(error)

	waiting chan errand
}

// errand is one thing to do, and when its time has come.
type errand struct {
	ripe *time.Timer
	do   func(context.Context) error
}

const (
	// laterMost is how much may wait.
	laterMost = 1000
	// laterDelay is longer than an answer takes.
	laterDelay = 200 * time.Millisecond
	// A database that is away is waited for, so many times for so long.
	laterTries = 60
	laterPause = time.Second
	// laterEnd is how long Run takes at the end, for what waits by then.
	laterEnd = 500 * time.Millisecond
)

// NewLater makes one; Run does the work.
func NewLater(failed func(error)) *Later {
	return &Later{Failed: failed, waiting: make(chan errand, laterMost)}
}

// Do has something done later. It is false where too much waits already.
func (l *Later) Do(do func(context.Context) error) bool {
	select {
	case l.waiting <- errand{time.NewTimer(laterDelay), do}:
		return true
	default:
		return false
	}
}

// Run does what there is to do until ctx ends, and then what still waits.
func (l *Later) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			l.finish(context.WithoutCancel(ctx))
			return
		case e := <-l.waiting:
			select {
			case <-e.ripe.C:
			case <-ctx.Done():
			}
			l.try(ctx, e)
		}
	}
}

// finish does what waits at the end.
func (l *Later) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, laterEnd)
	defer cancel()
	for {
		select {
		case e := <-l.waiting:
			l.try(ctx, e)
		default:
			return
		}
	}
}

func (l *Later) try(ctx context.Context, e errand) {
	if ctx.Err() != nil { // it ended just now
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), laterEnd)
		defer cancel()
	}
	var err error
	for range laterTries {
		if err = e.do(ctx); !ErrUnavailable.is(err) {
			break
		}
		pause := time.NewTimer(laterPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		l.Failed(err)
	}
}
