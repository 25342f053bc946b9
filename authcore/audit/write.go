package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// write brings batch after batch to the database, until everything queued is there
// or the time is over.
func (a *Actor) write() {
	defer close(a.done)
	seal := time.NewTicker(DefaultSettings.Every)
	defer seal.Stop()
	w := writer{Actor: a}
	for ending := false; !ending; {
		select {
		case <-a.backlog.ready:
		case <-seal.C:
			w.seal()
		case <-a.batched:
			ending = true
		}
		for w.next() {
			continue
		}
	}
	w.seal()
	if lost := a.backlog.end(); lost > 0 {
		before := a.backlog.dropped.Load()
		a.backlog.dropped.Add(uint64(lost))
		a.mourn(before)
	}
}

// writer is the goroutine that writes.
type writer struct {
	*Actor
	troubled bool // the last thing that Report was told is an error
}

// tell reports how a write ended.
func (w *writer) tell(err error) {
	if err != nil || w.troubled {
		w.Report(err)
	}
	w.troubled = err != nil
}

// next writes the first batch that waits. It is false where there is none, or when
// the actor is closed and the database does not take it.
func (w *writer) next() bool {
	batch, ok := w.backlog.first()
	if !ok || !w.insist(batch.events) {
		return false
	}
	w.backlog.written(batch)
	return true
}

// insist tries until the database has the events. Once the actor is closed it tries
// three times more.
func (w *writer) insist(events []authcore.Event) bool {
	last := 0 // tries since the actor was closed
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		err := w.insert(events, false)
		if err != nil && !away(err) {
			events, err = w.single(events, err)
		}
		w.tell(err)
		if err == nil {
			return true
		}
		w.backlog.late(w.Now(), 0) // should the process die, a file has it
		select {
		case <-w.stop:
			if last++; last >= lastTries || !sleep(w.ctx, firstBackoff) {
				return false
			}
		case <-time.After(wait):
		}
	}
}

// away tells whether the database may take later what it does not take now.
func away(err error) bool {
	var ours *authcore.Error
	return errors.As(err, &ours) && ours.Kind == authcore.Unavailable || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// single writes events one by one where the database refuses them together, so that
// one that it never takes does not hold up the others. Where it does not even take a
// plain one, the trouble is not with the events, and all of them remain.
func (w *writer) single(events []authcore.Event, why error) ([]authcore.Event, error) {
	var refused []authcore.Event
	for i := range events {
		err := w.insert(events[i:i+1], false)
		if err != nil && away(err) {
			return events, err
		}
		if err != nil {
			refused = append(refused, events[i])
			why = err
		}
	}
	if len(refused) == 0 {
		return nil, nil
	}
	lost := authcore.NewEvent(w.Now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.AuditLost, "", authcore.Failure,
		fmt.Sprintf("%d events that the database refuses", len(refused)))
	if err := w.insert([]authcore.Event{lost}, false); err != nil {
		return events, why
	}
	for _, ev := range refused {
		w.Alarm(fmt.Errorf("the database refuses an audit event: %s %s %s %s %s, actor %s: %w",
			ev.ID, ev.Time.UTC().Format(time.RFC3339), ev.Action, ev.Target, ev.Outcome, ev.Actor.User, why))
		w.backlog.dropped.Add(1)
	}
	return nil, nil
}

// insert writes events once.
func (a *Actor) insert(events []authcore.Event, durable bool) error {
	ctx, cancel := context.WithTimeout(a.ctx, writeLimit)
	defer cancel()
	began := a.Now()
	err := a.store.InsertEvents(ctx, events, durable)
	a.writing.Add(int64(a.Now().Sub(began)))
	if err != nil {
		a.failed.Add(1)
		return err
	}
	a.batches.Add(1)
	a.written.Add(uint64(len(events)))
	return nil
}

// seal makes what commands have written a part of the chain. Where that fails it is
// tried again with the next tick.
func (w *writer) seal() {
	ctx, cancel := context.WithTimeout(w.ctx, writeLimit)
	defer cancel()
	if err := w.store.SealEvents(ctx, false); w.ctx.Err() == nil {
		w.tell(err)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
