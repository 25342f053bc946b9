package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// SigningKeys implements authcore.KeyStore.
func (db *DB) SigningKeys(ctx context.Context) ([]authcore.SigningKey, error) {
	return collect(db, ctx, func(row scanner, k *authcore.SigningKey) error {
		var created, signs int64
		err := row.Scan(&k.Generation, (*string)(&k.Algorithm), &k.ID, &k.Sealed, &created, &signs)
		k.CreatedAt, k.SignsAt = fromMicros(created), fromMicros(signs)
		return err
	}, "SELECT generation, algorithm, id, sealed, created_at, signs_at FROM signing_keys ORDER BY generation")
}

// AddSigningKey implements authcore.KeyStore.
func (db *DB) AddSigningKey(ctx context.Context, k authcore.SigningKey, keep int64, ev authcore.Event) (added bool, err error) {
	err = db.command(ctx, durable, func(tx *tx) (err error) {
		_, err = tx.exec("INSERT INTO signing_keys (generation, algorithm, id, sealed, created_at, signs_at) VALUES (?, ?, ?, ?, ?, ?)"+
			db.dialect.orNothing("generation"), k.Generation, k.Algorithm, k.ID, k.Sealed, micros(k.CreatedAt), micros(k.SignsAt))
		if err != nil {
			return err
		}
		var id string // MariaDB counts a row that was there too
		if err := tx.scan("SELECT id FROM signing_keys WHERE generation = ?", []any{k.Generation}, &id); err != nil {
			return err
		}
		if added = id == k.ID; !added {
			return nil
		}
		if _, err := tx.exec("DELETE FROM signing_keys WHERE algorithm = ? AND generation < ?", k.Algorithm, keep); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
	return added && err == nil, err
}
