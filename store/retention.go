package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// retentionBatch is about how many events are deleted or made anonymous at a time.
const retentionBatch = 500

// ErrTampered says that old events are not as they were written. They are neither
// deleted nor made anonymous, so that it can still be seen.
var ErrTampered = errors.New("the audit log was changed, not by the gate: run caddy gate audit verify; old events stay until that is understood")

var errOvertaken = errors.New("another node does the same")

// aged gives the next batches behind a place, all of which were sealed before a
// time, and are as they were written.
func (db *DB) aged(ctx context.Context, behind end, anonymised int64, before time.Time) ([]authcore.EventBatch, error) {
	batches, err := db.SealedBatches(ctx, behind.Number, retentionBatch)
	if err != nil {
		return nil, err
	}
	if young := slices.IndexFunc(batches, func(b authcore.EventBatch) bool { return !b.SealedAt.Before(before) }); young >= 0 {
		batches = batches[:young]
	}
	erased, err := db.erased(ctx)
	if err != nil {
		return nil, err
	}
	check := authcore.ChainCheck{Chain: db.chain(), Number: behind.Number, Link: behind.Link, Anonymised: anonymised, Erased: erased}
	for i := range batches {
		for _, f := range check.Batch(&batches[i]) {
			if f.Event == "" || f.Kind != authcore.ChainBroken { // an alarm of long ago holds nothing up
				return nil, fmt.Errorf("%w: batch %d: %s", ErrTampered, f.Batch, f.Text)
			}
		}
	}
	return batches, nil
}

// DeleteEvents deletes the oldest events, batch by batch of the chain, where all
// of a batch was sealed before a time. Where the chain begins then is kept, signed.
// It tells how many it deleted; 0 says that none is left.
func (db *DB) DeleteEvents(ctx context.Context, before time.Time) (deleted int, err error) {
	start, ends, err := db.place(ctx, chainStart)
	if err != nil {
		return 0, err
	}
	batches, err := db.aged(ctx, start.end, ends.Anonymised, before)
	if err != nil || len(batches) == 0 {
		return 0, err
	}
	for _, b := range batches {
		deleted += len(b.Events)
	}
	last := batches[len(batches)-1]
	return deleted, db.command(ctx, durable, func(tx *tx) error {
		for _, q := range []string{"DELETE FROM events WHERE batch > 0 AND batch <= ?", "DELETE FROM event_batches WHERE number <= ?"} {
			if _, err := tx.exec(q, last.Number); err != nil {
				return err
			}
		}
		return start.move(tx, end{Number: last.Number, Link: last.Link, Events: start.Events + int64(deleted)})
	})
}

// place is a place in the chain as it was read, to be moved on.
type place struct {
	end
	which, text string
}

// place reads one, with the ends.
func (db *DB) place(ctx context.Context, which string) (place, Ends, error) {
	ends, err := db.ChainEnds(ctx)
	if err != nil {
		return place{}, ends, err
	}
	p := place{which: which}
	var found bool
	if p.text, found, err = db.setting(ctx, which); err == nil && found {
		p.end, err = parseEnd(db.chain(), which, p.text)
	}
	return p, ends, err
}

// move writes the new place, unless another node has moved it meanwhile.
func (p place) move(tx *tx, to end) error {
	text := to.signed(tx.db.chain(), p.which)
	var moved bool
	var err error
	if p.text == "" {
		moved, err = affected(tx.exec("INSERT INTO settings (name, value) VALUES (?, ?)", p.which, text))
	} else {
		moved, err = affected(tx.exec("UPDATE settings SET value = ? WHERE name = ? AND value = ?", text, p.which, p.text))
	}
	if err == nil && !moved {
		err = authcore.ErrUnavailable.With(errOvertaken)
	}
	return err
}

// AnonymiseEvents takes the personal part from the oldest events that have one,
// where all of a batch was sealed before a time. It tells how many events it looked
// at; 0 says that none is left.
func (db *DB) AnonymiseEvents(ctx context.Context, before time.Time) (n int, err error) {
	done, ends, err := db.place(ctx, chainAnonymised)
	if err != nil {
		return 0, err
	}
	from := done.end
	if from.Number < ends.Start.Number {
		from = end{Number: ends.Start.Number, Link: ends.Start.Link}
	}
	batches, err := db.aged(ctx, from, ends.Anonymised, before)
	if err != nil || len(batches) == 0 {
		return 0, err
	}
	last := batches[len(batches)-1]
	for _, b := range batches {
		n += len(b.Events)
	}
	return n, db.command(ctx, quick, func(tx *tx) error {
		for _, b := range batches {
			for _, e := range b.Events {
				e.Anonymise()
				if _, err := tx.exec("UPDATE events SET details = '', address = '', agent = '', request_id = '', blinding = ? WHERE id = ?", e.Blinding, e.ID); err != nil {
					return err
				}
			}
		}
		return done.move(tx, end{Number: last.Number, Link: last.Link})
	})
}
