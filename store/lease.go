package store

import (
	"context"
	"time"
)

// TakeLease makes holder the one who does some periodic work, for a time by the
// database's clock, unless another holder's time is not over yet. Who holds it
// already has it for longer. A holder that dies keeps nobody out for longer than
// the time it asked for.
func (db *DB) TakeLease(ctx context.Context, name, holder string, d time.Duration) (bool, error) {
	won := false
	err := db.command(ctx, quick, func(tx *tx) error {
		now := db.dialect.now()
		take := func() (bool, error) {
			return affected(tx.exec("UPDATE leases SET holder = ?, until = "+now+" + ? WHERE name = ? AND (holder = ? OR until < "+now+")",
				holder, d.Microseconds(), name, holder))
		}
		var err error
		if won, err = take(); won || err != nil {
			return err
		}
		_, err = tx.exec("INSERT INTO leases (name, holder, until) VALUES (?, '', 0)"+db.dialect.orNothing("name"), name)
		if err == nil {
			won, err = take()
		}
		return err
	})
	return won && err == nil, err
}

// DropLease gives a lease back before its time is over.
func (db *DB) DropLease(ctx context.Context, name, holder string) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("UPDATE leases SET until = 0 WHERE name = ? AND holder = ?", name, holder)
		return err
	})
}

// Clock is the time by the database's clock.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	_, at, err := db.ChangesSince(ctx, time.Time{})
	return at, err
}
