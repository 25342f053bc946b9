package store

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// note writes the change record and the audit event of a change. The event's id
// serves both. The record has the database's time, so that it does not matter
// whether the clocks of nodes agree.
func note(tx *tx, kind authcore.ChangeKind, subject string, ev authcore.Event) error {
	if err := noteChange(tx, kind, subject, ev.ID); err != nil {
		return err
	}
	return insertEvents(tx, ev)
}

// noteChange writes a change record alone.
func noteChange(tx *tx, kind authcore.ChangeKind, subject, id string) error {
	_, err := tx.exec("INSERT INTO changes (id, changed_at, kind, subject) VALUES (?, "+tx.db.dialect.now()+", ?, ?)", id, kind, subject)
	return err
}

// noteAll writes a change record of everything that memory holds.
func noteAll(tx *tx) error {
	return noteChange(tx, authcore.ChangeAll, "", string(authcore.NewSessionID()))
}

// What a server may be that takes no writes.
const (
	readOnly = "read-only"
	replica  = "replica"
)

var errReplica = errors.New("the database is a replica, which may be behind: the DSN must lead to the primary")

// stands sees to it that changes come from the server that takes them. A primary
// that was replaced goes on answering those who are connected, without a change: so
// the next reading takes another connection, which finds the new one.
func (db *DB) stands(as string) error {
	if moved := as != ""; db.moved.Swap(moved) != moved {
		keep := 1
		if moved {
			keep = -1
		}
		db.pulse.SetMaxIdleConns(keep)
	}
	if as == replica {
		return authcore.ErrUnavailable.With(errReplica)
	}
	return nil
}

// ChangesSince implements authcore.SessionReader.
func (db *DB) ChangesSince(ctx context.Context, since time.Time) ([]authcore.Change, time.Time, error) {
	if since.IsZero() {
		since = time.UnixMicro(1 << 62)
	}
	rows, err := collectFrom(db, &db.heard, ctx, func(row scanner, c *authcore.Change) error {
		var at int64
		err := row.Scan(&c.ID, &at, &c.Kind, &c.Subject)
		c.At = fromMicros(at)
		return err
	}, "SELECT '' AS id, "+db.dialect.now()+" AS changed_at, "+db.dialect.standing()+" AS kind, '' AS subject"+
		" UNION ALL SELECT id, changed_at, kind, subject FROM changes WHERE changed_at >= ?", micros(since))
	if err != nil {
		return nil, time.Time{}, err
	}
	for i, c := range rows {
		if c.ID == "" {
			return append(rows[:i], rows[i+1:]...), c.At, db.stands(string(c.Kind))
		}
	}
	return nil, time.Time{}, errors.New("the database did not tell its time")
}
