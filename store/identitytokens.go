package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// LeaseIdentity implements authcore.IdentityStore.
func (db *DB) LeaseIdentity(ctx context.Context, id authcore.IdentityID, holder string, d time.Duration) (i authcore.Identity, ok bool, err error) {
	err = db.command(ctx, quick, func(tx *tx) error {
		now := db.dialect.now()
		var err error
		if ok, err = affected(tx.exec("UPDATE identities SET lease_holder = ?, leased_until = "+now+" + ? WHERE id = ? AND (lease_holder = ? OR leased_until < "+now+")",
			holder, d.Microseconds(), id, holder)); err != nil {
			return err
		}
		var r identityRow
		err = tx.scan("SELECT "+identityColumns+" FROM identities i WHERE i.id = ?", []any{id}, r.fields()...)
		if errors.Is(err, sql.ErrNoRows) {
			return authcore.ErrIdentityNotFound
		}
		i = r.identity()
		return err
	})
	return i, ok && err == nil, err
}

// DropIdentityLease implements authcore.IdentityStore.
func (db *DB) DropIdentityLease(ctx context.Context, id authcore.IdentityID, holder string) error {
	return db.command(ctx, quick, func(tx *tx) error {
		_, err := tx.exec("UPDATE identities SET leased_until = 0 WHERE id = ? AND lease_holder = ?", id, holder)
		return err
	})
}

// RenewIdentity implements authcore.IdentityStore.
func (db *DB) RenewIdentity(ctx context.Context, i authcore.Identity, by authcore.Event) (renewed bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, i.User); err != nil {
			return err
		}
		var err error
		renewed, err = affected(tx.exec("UPDATE identities SET tokens = ?, tokens_version = tokens_version + 1, checked_at = ?, leased_until = 0 WHERE id = ? AND user_id = ? AND tokens_version = ?",
			i.Tokens, micros(i.CheckedAt), i.ID, i.User, i.Version))
		if err != nil || !renewed {
			return err
		}
		changed, err := giveGroups(tx, i, by)
		if err != nil || !changed {
			return err
		}
		return noteChange(tx, authcore.ChangeUser, string(i.User), by.ID)
	})
	return renewed && err == nil, err
}

// KeepTokens implements authcore.IdentityStore.
func (db *DB) KeepTokens(ctx context.Context, id authcore.IdentityID, version int64, tokens string, checked time.Time) error {
	return db.command(ctx, durable, func(tx *tx) error {
		_, err := tx.exec("UPDATE identities SET tokens = ?, tokens_version = tokens_version + 1, checked_at = ?, leased_until = 0 WHERE id = ? AND tokens_version = ?",
			tokens, micros(checked), id, version)
		return err
	})
}

// IdentitiesDue implements authcore.IdentityStore.
func (db *DB) IdentitiesDue(ctx context.Context, provider string, before, now time.Time, after authcore.IdentityID, limit int) ([]authcore.Identity, error) {
	return collect(db, ctx, scanIdentity, "SELECT "+identityColumns+" FROM identities i WHERE i.provider = ? AND i.checked_at < ? AND i.tokens <> ''"+
		" AND i.id > ? AND (EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = i.user_id AND s.expires_at > ?)"+
		" OR EXISTS (SELECT 1 FROM access_tokens t WHERE t.user_id = i.user_id AND t.expires_at > ?)) ORDER BY i.id LIMIT ?", provider, micros(before), after, micros(now), micros(now), limit)
}
