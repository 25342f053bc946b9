package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ClaimStore = (*DB)(nil)

// TakeClaim implements authcore.ClaimStore. The key of the table decides between equal
// requests; the rest only reads who won.
func (db *DB) TakeClaim(ctx context.Context, c authcore.Claim) (kept authcore.Claim, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM idempotency_keys WHERE id = ? AND expires_at <= ?", c.ID.Hex(), micros(c.CreatedAt)); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO idempotency_keys (id, body, claim, answer, created_at, expires_at) VALUES (?, ?, ?, '', ?, ?)"+db.dialect.orNothing("id"),
			c.ID.Hex(), c.Body.Hex(), c.Holder, micros(c.CreatedAt), micros(c.ExpiresAt)); err != nil {
			return err
		}
		var body string
		var created, expires int64
		kept = authcore.Claim{ID: c.ID}
		err := tx.scan("SELECT body, claim, answer, created_at, expires_at FROM idempotency_keys WHERE id = ?", []any{c.ID.Hex()}, &body, &kept.Holder, &kept.Answer, &created, &expires)
		if errors.Is(err, sql.ErrNoRows) { // dropped just now by who had it
			return authcore.ErrKeyInUse
		}
		if err != nil {
			return err
		}
		if n, err := hex.Decode(kept.Body[:], []byte(body)); err != nil || n != len(kept.Body) {
			return errors.Join(errors.New("an idempotency key with a bad hash"), err)
		}
		kept.CreatedAt, kept.ExpiresAt = fromMicros(created), fromMicros(expires)
		return nil
	})
	return kept, err
}

// AnswerClaim implements authcore.ClaimStore.
func (db *DB) AnswerClaim(ctx context.Context, c authcore.Claim) error {
	return db.command(ctx, durable, func(tx *tx) error {
		_, err := tx.exec("UPDATE idempotency_keys SET answer = ? WHERE id = ? AND claim = ?", c.Answer, c.ID.Hex(), c.Holder)
		return err
	})
}

// DropClaim implements authcore.ClaimStore.
func (db *DB) DropClaim(ctx context.Context, c authcore.Claim) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM idempotency_keys WHERE id = ? AND claim = ?", c.ID.Hex(), c.Holder)
		return err
	})
}
