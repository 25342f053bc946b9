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
)

// Copied says what was copied of one table.
type Copied struct {
	Table    string
	Rows     int
	Checksum string // of all rows, in whatever order
}

// CopyOptions say how to copy.
type CopyOptions struct {
	// WithoutSessions leaves sessions, one-time codes, invitations, mail and what services were
	// granted behind: what was revoked, used or sent since does not come back.
	WithoutSessions bool
	// Report is told of each table.
	Report func(Copied)
}

// copying is the setting of a database into which a copy is under way. One in
// which it stayed is not used.
const copying = "copy_unfinished"

// grantTables hold what services were granted, and what is under way to that. Tokens that
// were revoked are not among them: they stay so.
var grantTables = []string{"service_sessions", "grant_codes", "refresh_tokens", "grant_tokens", "pushed_requests", "device_grants", "logout_notices"}

var errUnfinished = errors.New("a copy into it was not finished: drop it, make it anew and copy again")

// Copy copies everything from one database to another, which must be new, and
// reads it back to compare. The source may be in use: what is copied is its state
// at the beginning. Until all is there and compared, nothing opens the target.
func Copy(ctx context.Context, from, to *DB, o CopyOptions) error {
	tables, err := to.dataTables(ctx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if table == seeded {
			continue
		}
		if err := to.mustBeEmpty(ctx, table); err != nil {
			return err
		}
	}
	there, err := from.dataTables(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(tables, there) {
		return errors.New("the two databases have different tables, although both are up to date: do not use either before this is understood")
	}
	if o.WithoutSessions {
		tables = slices.DeleteFunc(tables, func(t string) bool {
			return t == "sessions" || t == "codes" || t == "mails" || t == "changes" || t == "invitations" || slices.Contains(grantTables, t)
		})
	}
	if err := to.mark(ctx, "INSERT INTO settings (name, value) VALUES (?, '')"); err != nil {
		return err
	}
	if err := to.clear(ctx, seeded); err != nil {
		return err
	}
	copied, err := copyTables(ctx, from, to, tables)
	if err == nil {
		err = to.compare(ctx, tables, copied)
	}
	if err == nil {
		err = to.mark(ctx, "DELETE FROM settings WHERE name = ?")
	}
	if err != nil {
		return fmt.Errorf("%w; drop what is in %s and begin anew", err, to.config)
	}
	for _, table := range tables {
		o.Report(copied[table])
	}
	return nil
}

// seeded is a table with rows that the migrations put there. Those that the source has
// take their place.
const seeded = "tiers"

func (db *DB) clear(ctx context.Context, table string) error {
	return db.command(ctx, durable, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM " + table)
		return err
	})
}

func (db *DB) mark(ctx context.Context, statement string) error {
	return db.command(ctx, durable, func(tx *tx) error {
		_, err := tx.exec(statement, copying)
		return err
	})
}

func copyTables(ctx context.Context, from, to *DB, tables []string) (map[string]Copied, error) {
	source, err := from.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer source.Rollback()
	copied := make(map[string]Copied)
	for _, table := range tables {
		if copied[table], err = copyTable(ctx, source, to, table); err != nil {
			return nil, fmt.Errorf("table %s: %w", table, err)
		}
	}
	return copied, nil
}

// compare reads back what was copied.
func (db *DB) compare(ctx context.Context, tables []string, copied map[string]Copied) error {
	target, err := db.snapshot(ctx)
	if err != nil {
		return err
	}
	defer target.Rollback()
	for _, table := range tables {
		sum := newChecksum(table)
		if err := eachRow(ctx, target, table, func(_ []string, row []any) error {
			if table != "settings" || row[0] != copying {
				sum.add(row)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		if got, want := sum.copied(), copied[table]; got != want {
			return fmt.Errorf("table %s: %d rows with checksum %s were copied, but it holds %d with %s: was something else writing to it?",
				table, want.Rows, want.Checksum, got.Rows, got.Checksum)
		}
	}
	return nil
}

// dataTables names the tables with data, in order.
func (db *DB) dataTables(ctx context.Context) ([]string, error) {
	all, err := db.tables(ctx)
	if err != nil {
		return nil, err
	}
	// Which steps were taken, and who does what now, is each database's own.
	names := slices.DeleteFunc(all, func(name string) bool {
		return name == versions || name == "leases" || strings.HasPrefix(name, "sqlite_")
	})
	slices.Sort(names)
	return names, nil
}

func (db *DB) mustBeEmpty(ctx context.Context, table string) error {
	var one int
	found, err := db.first(ctx, "SELECT 1 FROM "+table+" LIMIT 1", nil, &one)
	if err == nil && found {
		err = fmt.Errorf("database %s is not empty (table %s): copy into a new one, which nothing has used yet", db.config, table)
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
