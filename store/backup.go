package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Backup writes a SQLite database into a new file, as it is at one moment, while
// others go on using it. The file is whole or not there.
func Backup(ctx context.Context, c Config, file string) (err error) {
	if c.Driver != SQLite {
		return fmt.Errorf("%s is backed up by its own tools (pg_dump, mariadb-dump); to put it into one file, use: caddy gate copy --to sqlite:FILE", c)
	}
	if err := mustBeNew(file); err != nil {
		return err
	}
	if err := lookAtOurs(ctx, c.Path); err != nil {
		return fmt.Errorf("database %s: %w", c.Path, err)
	}
	partial, err := newFile(file)
	if err != nil {
		return err
	}
	defer os.Remove(partial)
	db, err := openFor(c.Path, "rw", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", partial); err != nil {
		return fmt.Errorf("the backup cannot be written: %w; check that the disk has room", err)
	}
	if err := whole(ctx, partial); err != nil {
		return fmt.Errorf("the backup is damaged: %w; see what caddy gate doctor says of the database", err)
	}
	return put(partial, file)
}

// Restore makes a backup the database, in the place of one that is there, which
// it keeps beside under the name that it returns, made of now. Everybody is signed out: the
// backup's sessions and one-time codes may have been revoked or used since.
// Nobody may be using the database.
func Restore(ctx context.Context, c Config, file string, now time.Time) (kept string, err error) {
	if c.Driver != SQLite {
		return "", fmt.Errorf("%s is restored by its own tools; a backup in a SQLite file goes into a new and empty one by: caddy gate copy --from sqlite:FILE --to DATABASE --without-sessions", c)
	}
	if err := lookAtOurs(ctx, file); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if err := whole(ctx, file); err != nil {
		return "", fmt.Errorf("%s is damaged: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return "", err
	}
	partial, err := newFile(c.Path)
	if err != nil {
		return "", err
	}
	defer os.Remove(partial)
	if err := copyFile(file, partial); err != nil {
		return "", err
	}
	if err := prepareRestored(ctx, partial); err != nil {
		return "", err
	}
	if _, err := os.Stat(c.Path); err == nil {
		if err := closeForGood(ctx, c.Path); err != nil {
			return "", err
		}
	}
	if kept, err = moveAway(c.Path, c.Path+".before-"+now.UTC().Format("20060102T150405Z")); err != nil {
		return "", err
	}
	if err := put(partial, c.Path); err != nil {
		if kept != "" {
			err = fmt.Errorf("%w; what was there is in %s", err, kept)
		}
		return kept, err
	}
	return kept, nil
}

// moveAway gives a database another name, with what may be left beside it even
// where it is gone itself: SQLite would take an old log for that of a new file. It
// tells under which name the database is kept, or none.
func moveAway(path, to string) (kept string, err error) {
	for _, end := range []string{"-wal", "-shm", "-journal", ""} {
		if err := mustBeNew(to + end); err != nil {
			return "", err
		}
		err := os.Rename(path+end, to+end)
		if err == nil {
			kept = to
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return kept, nil
}

// prepareRestored brings the schema up to date, and ends what must not come back.
func prepareRestored(ctx context.Context, path string) error {
	db, err := Open(ctx, Config{Driver: SQLite, Path: path, Wait: time.Minute})
	if err != nil {
		return err
	}
	err = db.command(ctx, durable, func(tx *tx) error {
		for _, table := range append([]string{"sessions", "codes", "mails", "changes", "leases"}, grantTables...) {
			if _, err := tx.exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, err = db.write.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	err = errors.Join(err, db.Close())
	for _, end := range []string{"-wal", "-shm"} {
		os.Remove(path + end)
	}
	return err
}

// closeForGood makes sure that no process has a database open, and puts its log
// into the file.
func closeForGood(ctx context.Context, path string) error {
	if err := lookAtOurs(ctx, path); err != nil {
		return fmt.Errorf("what is at %s now: %w; move it away yourself, with the files beside it that end in -wal and -shm", path, err)
	}
	db, err := openFor(path, "rw", "&_pragma=locking_mode(EXCLUSIVE)")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "BEGIN EXCLUSIVE; ROLLBACK; PRAGMA journal_mode = DELETE")
	if err != nil {
		return fmt.Errorf("database %s is in use: stop Caddy first (%w)", path, err)
	}
	return nil
}

// openFor opens one connection to a SQLite file that exists, in mode ro or rw.
func openFor(path, mode, options string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqliteURI(path)+"?mode="+mode+"&_pragma=busy_timeout(1000)"+options)
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// lookAtOurs refuses a file that is not there, not ours, or of a newer version.
func lookAtOurs(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if err := lookAt(ctx, path); err != nil {
		return err
	}
	db, err := openFor(path, "ro", "")
	if err != nil {
		return err
	}
	defer db.Close()
	var has int64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versions).Scan(&has); err != nil {
		return errors.New("the file is not a database of Gatehouse")
	}
	all, err := steps(migrations)
	if err == nil && has > all[len(all)-1].version {
		err = fmt.Errorf("its schema (version %d) %w", has, errNewer)
	}
	return err
}

// KeyOf is the id of the secret key that a backup belongs to; empty where it has
// none.
func KeyOf(ctx context.Context, file string) (string, error) {
	if err := lookAtOurs(ctx, file); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	db, err := openFor(file, "ro", "")
	if err != nil {
		return "", err
	}
	defer db.Close()
	var id string
	err = db.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = ?", secretKeyID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

// whole reads all of a file and reports damage.
func whole(ctx context.Context, path string) error {
	db, err := openFor(path, "ro", "")
	if err != nil {
		return err
	}
	defer db.Close()
	return integrity(ctx, db)
}

func mustBeNew(file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already: name a new file", file)
	}
	return nil
}

// newFile makes an empty file beside another, for its owner only.
func newFile(beside string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(beside), ".partial-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// put gives a finished file its name, so that it is there after a power cut.
func put(partial, name string) error {
	if err := syncPath(partial); err != nil {
		return err
	}
	if err := mustBeNew(name); err != nil {
		return err
	}
	if err := os.Rename(partial, name); err != nil {
		return err
	}
	_ = syncPath(filepath.Dir(name)) // not every system can do that with a folder
	return nil
}

func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
