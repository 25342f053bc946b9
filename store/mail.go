package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// post puts messages into the mail, with the codes of their links. It is part of the
// command that they are about.
func post(tx *tx, all []authcore.Post) error {
	for _, p := range all {
		if c := p.Code; c != nil {
			switch c.Purpose { // strangers cause some: they must not end the link that somebody has
			case authcore.PurposeRecover, authcore.PurposeMailLink, authcore.PurposeMailCode, authcore.PurposeDisown:
			default:
				if c.User == "" {
					break
				}
				if _, err := tx.exec("DELETE FROM codes WHERE user_id = ? AND purpose = ?", c.User, c.Purpose); err != nil {
					return err
				}
			}
			if err := insertCode(tx, *c); err != nil {
				return err
			}
		}
		if m := p.Mail; m.ID != "" {
			if _, err := tx.exec("INSERT INTO mails (id, kind, user_id, sealed, tries, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
				m.ID, m.Kind, m.User, m.Sealed, m.Tries, micros(m.CreatedAt), micros(m.DueAt)); err != nil {
				return err
			}
		}
	}
	return nil
}

// PostMail puts messages into the mail. ev may be nil.
func (db *DB) PostMail(ctx context.Context, ev *authcore.Event, all ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := post(tx, all); err != nil || ev == nil {
			return err
		}
		return insertEvents(tx, *ev)
	})
}

// MailsDue lists messages that are due, those that were tried least first: a server that is slow to take some must not keep
// the others waiting.
func (db *DB) MailsDue(ctx context.Context, now time.Time, limit int) ([]authcore.Mail, error) {
	return collect(db, ctx, func(row scanner, m *authcore.Mail) error {
		var created, due int64
		err := row.Scan((*string)(&m.ID), (*string)(&m.Kind), (*string)(&m.User), &m.Sealed, &m.Tries, &created, &due)
		m.CreatedAt, m.DueAt = fromMicros(created), fromMicros(due)
		return err
	}, "SELECT id, kind, user_id, sealed, tries, created_at, due_at FROM mails WHERE due_at <= ? ORDER BY tries, due_at, id LIMIT ?", micros(now), limit)
}

// ClaimMail counts a try to send a message, and puts the next one off until a time. It
// tells whether the message is still there after as many tries as it had: of several
// who would send it, one is told so.
func (db *DB) ClaimMail(ctx context.Context, m authcore.Mail, next time.Time) (ours bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		var err error
		ours, err = affected(tx.exec("UPDATE mails SET tries = tries + 1, due_at = ? WHERE id = ? AND tries = ?", micros(next), m.ID, m.Tries))
		return err
	})
	return ours && err == nil, err
}

// DeleteMail deletes a message: it was sent, or given up. ev may be nil.
func (db *DB) DeleteMail(ctx context.Context, id authcore.MailID, ev *authcore.Event) error {
	return db.command(ctx, durable, func(tx *tx) error {
		ok, err := affected(tx.exec("DELETE FROM mails WHERE id = ?", id))
		if err != nil || !ok || ev == nil {
			return err
		}
		return insertEvents(tx, *ev)
	})
}

// MailsWaiting counts the messages that wait, and tells since when the oldest does.
func (db *DB) MailsWaiting(ctx context.Context) (n int, oldest time.Time, err error) {
	var since int64
	_, err = db.first(ctx, "SELECT count(*), COALESCE(min(created_at), 0) FROM mails", nil, &n, &since)
	if n > 0 {
		oldest = fromMicros(since)
	}
	return n, oldest, err
}
