package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Copied says what was copied of one table.
type Copied struct {
	Table    string
	Rows     int
	Checksum string // of all rows, in whatever order
}

// Copy copies everything from one database to another, which must be new, and
// reads it back to compare. The source may be in use: what is copied is its state
// at the beginning. report is told of each table.
func Copy(ctx context.Context, from, to *DB, report func(Copied)) error {
	tables, err := to.ourTables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := to.mustBeEmpty(ctx, table); err != nil {
			return err
		}
	}
	there, err := from.ourTables(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(tables, there) {
		return errors.New("the two databases have different tables, although both are up to date: do not use either before this is understood")
	}
	source, err := from.snapshot(ctx)
	if err != nil {
		return err
	}
	defer source.Rollback()
	copied := make(map[string]Copied)
	for _, table := range tables {
		c, err := copyTable(ctx, source, to, table)
		if err != nil {
			return fmt.Errorf("table %s: %w; drop what is in %s and begin anew", table, err, to.config)
		}
		copied[table] = c
	}
	target, err := to.snapshot(ctx)
	if err != nil {
		return err
	}
	defer target.Rollback()
	for _, table := range tables {
		sum := newChecksum(table)
		if err := eachRow(ctx, target, table, func(_ []string, row []any) error { sum.add(row); return nil }); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		if sum.copied() != copied[table] {
			return fmt.Errorf("table %s: %d rows with checksum %s were copied, but %s holds %d with %s: do not use it; was something else writing to it?",
				table, copied[table].Rows, copied[table].Checksum, to.config, sum.rows, sum.copied().Checksum)
		}
		report(sum.copied())
	}
	return nil
}

// ourTables names the tables with data, in order.
func (db *DB) ourTables(ctx context.Context) ([]string, error) {
	rows, err := db.write.QueryContext(ctx, db.dialect.tables())
	if err != nil {
		return nil, db.failure(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, db.failure(err)
		}
		// Which steps were taken, and who does what now, is each database's own.
		if name != versions && name != "leases" && !strings.HasPrefix(name, "sqlite_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, db.failure(rows.Err())
}

func (db *DB) mustBeEmpty(ctx context.Context, table string) error {
	var one int
	found, err := db.first(ctx, "SELECT 1 FROM "+table+" LIMIT 1", nil, &one)
	if err == nil && found {
		err = fmt.Errorf("database %s is not empty (table %s): copy into a new one, in which no Caddy has started yet", db.config, table)
	}
	return err
}

// snapshot begins a transaction that reads one state of all tables.
func (db *DB) snapshot(ctx context.Context) (*sql.Tx, error) {
	tx, err := db.read.BeginTx(ctx, db.dialect.snapshot())
	if err != nil {
		return nil, db.failure(err)
	}
	return tx, nil
}

// eachRow gives the rows of a table, with numbers as int64 and text as string.
// The columns are in the order of their names.
func eachRow(ctx context.Context, tx *sql.Tx, table string, f func(columns []string, row []any) error) error {
	none, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		return err
	}
	columns, err := none.Columns()
	if err = errors.Join(err, none.Close()); err != nil {
		return err
	}
	slices.Sort(columns)
	rows, err := tx.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	places := make([]any, len(columns))
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, value := range row {
			if text, ok := value.([]byte); ok {
				row[i] = string(text)
			}
		}
		if err := f(columns, row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// copyBatch is how many rows go in one transaction.
const copyBatch = 500

func copyTable(ctx context.Context, source *sql.Tx, to *DB, table string) (Copied, error) {
	sum := newChecksum(table)
	var names []string
	var batch []any
	n := 0
	write := func() error {
		if n == 0 {
			return nil
		}
		marks := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
		query := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") VALUES " + marks + strings.Repeat(", "+marks, n-1)
		err := to.command(ctx, quick, func(tx *tx) error {
			run := tx.once
			if n == copyBatch {
				run = tx.exec
			}
			_, err := run(query, batch...)
			return err
		})
		batch, n = batch[:0], 0
		return err
	}
	err := eachRow(ctx, source, table, func(columns []string, row []any) error {
		names = columns
		sum.add(row)
		batch = append(batch, row...)
		if n++; n == copyBatch {
			return write()
		}
		return nil
	})
	if err == nil {
		err = write()
	}
	return sum.copied(), err
}

// checksum adds up the hashes of rows, so that their order does not matter.
type checksum struct {
	table string
	rows  int
	sum   [sha256.Size]byte
}

func newChecksum(table string) *checksum { return &checksum{table: table} }

func (c *checksum) add(row []any) {
	var text []byte
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			text = append(text, 'n')
		case int64:
			text = binary.BigEndian.AppendUint64(append(text, 'i'), uint64(v))
		default:
			s := fmt.Sprint(v)
			text = binary.BigEndian.AppendUint64(append(text, 's'), uint64(len(s)))
			text = append(text, s...)
		}
	}
	hash, carry := sha256.Sum256(text), 0
	for i := len(hash) - 1; i >= 0; i-- {
		carry += int(c.sum[i]) + int(hash[i])
		c.sum[i] = byte(carry)
		carry >>= 8
	}
	c.rows++
}

func (c *checksum) copied() Copied {
	return Copied{Table: c.table, Rows: c.rows, Checksum: hex.EncodeToString(c.sum[:8])}
}

// ParseConfig reads a database from one text: sqlite:FILE, postgres://… or
// mysql://….
func ParseConfig(text string) (Config, error) {
	c := Config{}
	kind, rest, _ := strings.Cut(text, ":")
	isURL := strings.HasPrefix(rest, "//")
	switch {
	case kind == SQLite && rest != "":
		c.Driver, c.Path = SQLite, rest
	case isURL && (kind == Postgres || kind == "postgresql"):
		c.Driver, c.DSN = Postgres, authcore.Secret(text)
	case isURL && kind == MySQL:
		c.Driver, c.DSN = MySQL, authcore.Secret(text)
	default:
		return c, errors.New("a database is written sqlite:FILE, postgres://user:password@host:5432/database or mysql://user:password@host:3306/database")
	}
	return c, c.Validate()
}
