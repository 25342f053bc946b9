package store

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// setupClosed is the setting that exists once an owner was made.
const setupClosed = "setup_closed"

// secretKeyID is the setting that says which secret key the database belongs to.
const secretKeyID = "secret_key_id"

// SetupClosed implements authcore.CodeStore.
func (db *DB) SetupClosed(ctx context.Context) (bool, error) {
	_, found, err := db.setting(ctx, setupClosed)
	return found, err
}

// setting reads one setting of the installation.
func (db *DB) setting(ctx context.Context, name string) (value string, found bool, err error) {
	found, err = db.first(ctx, "SELECT value FROM settings WHERE name = ?", []any{name}, &value)
	return value, found, err
}

// closeSetup writes the setting that closes the setup. Where it may be closed
// already, all setup links are dropped with it; where not, the link that was used
// is redeemed next, and the rest are refused.
func closeSetup(tx *tx, already bool) error {
	insert := "INSERT INTO settings (name, value) VALUES (?, ?)"
	if already {
		insert += tx.db.dialect.orNothing("name")
	}
	if _, err := tx.exec(insert, setupClosed, "1"); err != nil || !already {
		return err
	}
	_, err := tx.exec("DELETE FROM codes WHERE purpose = ?", authcore.PurposeSetup)
	return err
}

// KeyID is the id of the secret key that the database belongs to, or empty.
func (db *DB) KeyID(ctx context.Context) (string, error) {
	id, _, err := db.setting(ctx, secretKeyID)
	return id, err
}

// BindKey ties the database to a secret key by its id the first time, and
// refuses another key from then on.
func (db *DB) BindKey(ctx context.Context, id string) error {
	has, err := db.KeyID(ctx)
	if err != nil {
		return err
	}
	if has == "" {
		err := db.command(ctx, durable, func(tx *tx) error {
			_, err := tx.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+db.dialect.orNothing("name"), secretKeyID, id)
			return err
		})
		if err != nil {
			return err
		}
		if has, err = db.KeyID(ctx); err != nil {
			return err
		}
	}
	if has != id {
		return errWrongKey
	}
	return nil
}

var errWrongKey = errors.New("the secret key is not the one this database was made with; " +
	"restore that key (on SQLite the file beside the database that ends in .key), or name it with \"secret_key\"")
