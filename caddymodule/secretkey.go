package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// bindKey gives the secret key of a database, and ties the two together the first
// time.
func bindKey(ctx context.Context, db *store.DB, c store.Config, configured authcore.Secret) (authcore.SecretKey, error) {
	bound, err := db.KeyID(ctx)
	if err != nil {
		return authcore.SecretKey{}, err
	}
	key, err := loadKey(c, configured, bound != "")
	if err != nil {
		return key, err
	}
	return key, db.BindKey(ctx, key.ID())
}

// loadKey gives the secret key: the one that is configured, or for SQLite the one
// in the file beside the database. That is made for a database that belongs to no
// key yet, and for no other.
func loadKey(c store.Config, configured authcore.Secret, bound bool) (authcore.SecretKey, error) {
	if configured != "" {
		return authcore.ParseSecretKey(configured)
	}
	if c.Driver != store.SQLite {
		return authcore.SecretKey{}, errors.New("with a database that several nodes may use, secret_key is needed")
	}
	path := keyFile(c)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !bound {
		return makeKey(path)
	}
	if err != nil {
		return authcore.SecretKey{}, fmt.Errorf("the secret key of the database cannot be read: %w; restore the file from your backup, or name the key with \"secret_key\"", err)
	}
	key, err := authcore.ParseSecretKey(authcore.Secret(text))
	if err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// keyFile is where the secret key of a SQLite database is, where the
// configuration names none.
func keyFile(c store.Config) string { return c.Path + ".key" }

// makeKey writes a new key, whole or not at all. Of two processes that make one
// at the same time, both use the one that came first.
func makeKey(path string) (authcore.SecretKey, error) {
	fail := func(err error) (authcore.SecretKey, error) {
		return authcore.SecretKey{}, fmt.Errorf("the secret key cannot be made: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fail(err)
	}
	defer os.Remove(f.Name())
	key := authcore.NewSecretKey()
	_, err = f.WriteString(key.Text().Reveal() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fail(err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		if !errors.Is(err, os.ErrExist) { // a file system without hard links
			if err := os.Rename(f.Name(), path); err != nil {
				return fail(err)
			}
			return key, nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return fail(err)
		}
		return authcore.ParseSecretKey(authcore.Secret(text))
	}
	return key, nil
}
