package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	// cleanEvery is how often what has ended is deleted, by the node that has the
	// lease.
	cleanEvery   = 10 * time.Minute
	cleanPause   = 50 * time.Millisecond
	cleanupLease = "cleanup"
)

// clean deletes what has ended, every so often, as the only node that does.
func (c *core) clean(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		switch err := errors.Join(c.cleanSessions(ctx, every), c.deleteUsers(ctx, every), c.cleanEvents(ctx, every)); {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, store.ErrTampered), errors.Is(err, store.ErrChainEnd):
			c.alarm(err)
		default:
			c.log().Warn("the cleanup failed, it will be tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lease takes the lease, or has it for longer. A node keeps it until just before the
// next cleanup is due. If it dies, another node takes over.
func (c *core) lease(ctx context.Context, every time.Duration) (ours bool, err error) {
	return c.db.TakeLease(ctx, cleanupLease, c.node, every-every/600)
}

// cleanSessions deletes sessions, codes and changes, batch by batch.
func (c *core) cleanSessions(ctx context.Context, every time.Duration) error {
	for after, more := "", true; more; {
		ours, err := c.lease(ctx, every)
		if err != nil || !ours {
			return err
		}
		now := time.Now()
		if after, more, err = c.db.DeleteEnded(ctx, now, now.Add(-time.Duration(c.idle.Load())), after); err != nil {
			return fmt.Errorf("ended sessions: %w", err)
		}
		if more && !sleep(ctx, cleanPause) { // let others have the writer
			return nil
		}
	}
	return nil
}

// eraseFor is how long after the deletion of a user events of the user may still be
// written: by nodes that were cut off from the database.
const eraseFor = 3 * 24 * time.Hour

// deleteUsers deletes the users whose time has come.
func (c *core) deleteUsers(ctx context.Context, every time.Duration) error {
	for {
		ours, err := c.lease(ctx, every)
		if err != nil || !ours {
			return err
		}
		due, err := c.db.UsersToDelete(ctx, time.Now(), 100)
		if err != nil || len(due) == 0 {
			return err
		}
		var errs []error
		for _, id := range due {
			ev := authcore.NewEvent(time.Now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.UserDelete, authcore.TargetUser(id), authcore.Success, "its time had come")
			if _, err := c.db.DeleteDue(ctx, id, ev); err != nil {
				errs = append(errs, fmt.Errorf("a user to delete: %w", err))
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
	}
}

// cleanEvents seals events of nodes that died, takes what is personal from old ones,
// and deletes those that are older still.
func (c *core) cleanEvents(ctx context.Context, every time.Duration) error {
	if ours, err := c.lease(ctx, every); err != nil || !ours {
		return err
	}
	if err := c.db.SealEvents(ctx, true); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	_, erasing := c.db.EraseEvents(ctx, time.Now().Add(-eraseFor))
	_, err := c.age(ctx, every, time.Duration(c.anonymise.Load()), c.db.AnonymiseEvents)
	deleted, err2 := c.age(ctx, every, time.Duration(c.keep.Load()), c.db.DeleteEvents)
	if deleted > 0 {
		c.audit.Record(authcore.NewEvent(time.Now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.AuditDelete, "", authcore.Success,
			fmt.Sprintf("%d events, for their age", deleted)))
	}
	if err = errors.Join(err, err2, erasing); err != nil {
		err = fmt.Errorf("old events: %w", err)
	}
	return err
}

// age does something to events of a certain age, batch by batch, and tells to how
// many. An age of 0 is never reached.
func (c *core) age(ctx context.Context, every, age time.Duration, do func(context.Context, time.Time) (int, error)) (total int, err error) {
	for n := 1; age > 0 && n > 0; total += n {
		ours, err := c.lease(ctx, every)
		if err != nil || !ours {
			return total, err
		}
		if n, err = do(ctx, time.Now().Add(-age)); err != nil {
			return total, err
		}
		if n > 0 && !sleep(ctx, cleanPause) {
			return total + n, nil
		}
	}
	return total, nil
}
