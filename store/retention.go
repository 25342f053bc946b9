package store

import (
	"context"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// retentionBatch is about how many events are deleted or made anonymous at a time.
const retentionBatch = 500

// DeleteEvents deletes the oldest events, batch by batch of the chain, where all
// of a batch was sealed before a time. Where the chain begins then is kept, signed.
// It tells how many it deleted; 0 says that none is left.
func (db *DB) DeleteEvents(ctx context.Context, before time.Time) (deleted int, err error) {
	ends, err := db.ChainEnds(ctx)
	if err != nil {
		return 0, err // also where somebody else has changed the log: nothing is deleted from it then
	}
	batches, err := db.SealedBatches(ctx, ends.Start.Number, retentionBatch)
	if err != nil {
		return 0, err
	}
	for len(batches) > 0 && !batches[len(batches)-1].SealedAt.Before(before) {
		batches = batches[:len(batches)-1]
	}
	if len(batches) == 0 {
		return 0, nil
	}
	for _, b := range batches {
		deleted += len(b.Events)
	}
	last := batches[len(batches)-1]
	start := end{Number: last.Number, Link: last.Link, Deleted: ends.Deleted + int64(deleted)}
	return deleted, db.command(ctx, durable, func(tx *tx) error {
		for _, q := range []string{"DELETE FROM events WHERE batch > 0 AND batch <= ?", "DELETE FROM event_batches WHERE number <= ?"} {
			if _, err := tx.exec(q, last.Number); err != nil {
				return err
			}
		}
		return tx.set(chainStart, start.signed(db.chain(), chainStart))
	})
}

// set writes a setting.
func (t *tx) set(name, value string) error {
	changed, err := affected(t.exec("UPDATE settings SET value = ? WHERE name = ?", value, name))
	if err != nil || changed {
		return err
	}
	_, err = t.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+t.db.dialect.orNothing("name"), name, value)
	return err
}

// anonymised is the setting with the number of the last batch whose events were
// made anonymous.
const anonymised = "audit_anonymised"

// AnonymiseEvents takes the personal part from the oldest events that have one,
// where all of a batch was sealed before a time. It tells how many events it looked
// at; 0 says that none is left.
func (db *DB) AnonymiseEvents(ctx context.Context, before time.Time) (int, error) {
	text, _, err := db.setting(ctx, anonymised)
	if err != nil {
		return 0, err
	}
	after, _ := strconv.ParseInt(text, 10, 64)
	batches, err := db.SealedBatches(ctx, after, retentionBatch)
	if err != nil {
		return 0, err
	}
	var rows []authcore.SealedEvent
	for _, b := range batches {
		if !b.SealedAt.Before(before) {
			break
		}
		rows, after = append(rows, b.Events...), b.Number
	}
	if len(rows) == 0 {
		return 0, nil
	}
	return len(rows), db.command(ctx, quick, func(tx *tx) error {
		for _, e := range rows {
			if e.Anonymous() {
				continue
			}
			e.Anonymise()
			if _, err := tx.exec("UPDATE events SET details = '', address = '', agent = '', request_id = '', blinding = ? WHERE id = ?", e.Blinding, e.ID); err != nil {
				return err
			}
		}
		return tx.set(anonymised, strconv.FormatInt(after, 10))
	})
}
