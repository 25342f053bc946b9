package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, or refuses a schema that a newer
// Gatehouse made.
func (db *DB) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(db.dialect.goose(), db.write, files)
	if err != nil {
		return err
	}
	// Another process may be at the same step. Of two, one is rolled back, and
	// finds with its next try that there is nothing left to do.
	for try := 1; ; try++ {
		err := migrateOnce(ctx, p)
		if err == nil || try == migrateTries || errors.Is(err, errNewer) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

const migrateTries = 10

var errNewer = errors.New("was made by a newer Gatehouse than this one")

func migrateOnce(ctx context.Context, p *goose.Provider) error {
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("database: its schema version cannot be read: %w", err)
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; has > newest {
		return fmt.Errorf("database: its schema (version %d) %w (version %d); "+
			"install that version again, or restore a backup made before the upgrade", has, errNewer, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("database: its schema cannot be brought up to date: %w", err)
	}
	return nil
}

// Schema gives the version of the schema.
func (db *DB) Schema(ctx context.Context) (int64, error) {
	var version int64
	err := db.read.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version)
	return version, db.failure(err)
}
