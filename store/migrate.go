package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// Each file of migrations is one change of the schema, by its number. One
// statement is one step, with a version of its own (1000 × the file's number + its
// place in it), because MySQL cannot undo a half of what changes a schema.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versions is the table that keeps which steps were taken.
const versions = "gate_schema"

// step is one statement of a migration.
type step struct {
	version   int64
	statement string
}

// steps reads the migrations, in order.
func steps(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []step
	for _, name := range names {
		number, err := strconv.ParseInt(path.Base(name)[:4], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s has no number", name)
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		place := int64(0)
		for statement := range strings.SplitSeq(string(body), ";\n") {
			if statement = strings.TrimSpace(statement); statement != "" {
				place++
				all = append(all, step{number*1000 + place, statement})
			}
		}
	}
	return all, nil
}

// migrate brings the schema up to date, or refuses a schema that a newer
// Gatehouse made.
func (db *DB) migrate(ctx context.Context) error {
	all, err := steps(migrations)
	if err != nil {
		return err
	}
	return db.migrateTo(ctx, all)
}

// migrateTo takes the steps that were not taken yet. Of several nodes that start
// at once, one does it while the others wait; on SQLite, where only a step is
// locked, another process may take the same, and one of the two tries again.
func (db *DB) migrateTo(ctx context.Context, all []step) error {
	if err := db.isOurs(ctx); err != nil {
		return err
	}
	p, err := db.provider(all)
	if err != nil {
		return err
	}
	newest := all[len(all)-1].version
	var first error // goose makes its table with the first try: what later ones say is that it is not there
	for try := 1; ; try++ {
		err := migrateOnce(ctx, p, newest)
		if err == nil || errors.Is(err, errNewer) {
			return err
		}
		first = cmp.Or(first, err)
		if try == migrateTries || db.dialect.sort(first) == away || !pause(ctx, try) {
			return first
		}
	}
}

const migrateTries = 10

func (db *DB) provider(all []step) (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true)}
	if l := db.dialect.locker(); l != nil {
		options = append(options, goose.WithSessionLocker(l))
	}
	for _, s := range all {
		statement := db.dialect.ddl(s.statement)
		options = append(options, goose.WithGoMigrations(goose.NewGoMigration(s.version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, statement); err != nil && !db.dialect.done(err) {
					return err
				}
				return nil
			},
		}, nil)))
	}
	return goose.NewProvider(db.dialect.goose(), db.write, nil, options...)
}

// Made tells whether a database has a schema of ours, without making anything; one
// with the tables of another program is an error. A SQLite file must be there.
func Made(ctx context.Context, c Config) (bool, error) {
	db, err := connect(ctx, c)
	if err != nil {
		return false, err
	}
	err = db.isOurs(ctx)
	tables, err2 := db.tables(ctx)
	return slices.Contains(tables, versions), errors.Join(err, err2, db.Close())
}

// isOurs refuses a database that holds tables of another program.
func (db *DB) isOurs(ctx context.Context) error {
	tables, err := db.tables(ctx)
	if err == nil && len(tables) > 0 && !slices.Contains(tables, versions) {
		err = fmt.Errorf("database %s belongs to another program: it has a table %s; give Gatehouse a database of its own", db.config, tables[0])
	}
	return err
}

// tables names all tables.
func (db *DB) tables(ctx context.Context) ([]string, error) {
	rows, err := db.write.QueryContext(ctx, db.dialect.tables())
	if err != nil {
		return nil, fmt.Errorf("database %s: its tables cannot be listed: %w", db.config, err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, name)
	}
	return tables, rows.Err()
}

var errNewer = errors.New("was made by a newer Gatehouse than this one")

func migrateOnce(ctx context.Context, p *goose.Provider, newest int64) error {
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("database: its schema version cannot be read: %w; its user must be allowed to create and alter tables, and it must not be read-only", err)
	}
	if has > newest {
		return fmt.Errorf("database: its schema (version %d) %w (version %d); "+
			"install that version again, or restore a backup made before the upgrade", has, errNewer, newest)
	}
	if has == newest {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("database: its schema cannot be brought up to date: %w; its user must be allowed to create and alter tables, and it must not be read-only, and its disk must have room", err)
	}
	return nil
}

// Schema gives the version of the schema.
func (db *DB) Schema(ctx context.Context) (int64, error) {
	var version int64
	_, err := db.first(ctx, "SELECT max(version_id) FROM "+versions, nil, &version)
	return version, err
}
