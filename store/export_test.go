package store

import (
	"context"
	"fmt"
	"time"
)

// Steps gives the versions of the schema, a step each.
func Steps() []int64 {
	all, err := steps(migrations)
	if err != nil {
		panic(err)
	}
	var out []int64
	for _, s := range all {
		out = append(out, s.version)
	}
	return out
}

// OpenAt opens a database and takes the first n steps only.
func OpenAt(ctx context.Context, c Config, n int) (*DB, error) {
	db, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	all, err := steps(migrations)
	if err == nil && n > 0 {
		err = db.migrateTo(ctx, all[:n])
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Exec carries out a statement as it is.
func (db *DB) Exec(ctx context.Context, statement string) error {
	_, err := db.write.ExecContext(ctx, statement)
	return err
}

// TakeStep carries out a step without noting that it was taken.
func (db *DB) TakeStep(ctx context.Context, n int) error {
	all, err := steps(migrations)
	if err == nil {
		err = db.Exec(ctx, db.dialect.ddl(all[n].statement))
	}
	return err
}

// CutLog keeps the log of a SQLite file shorter than the product does.
func (db *DB) CutLog(every time.Duration, limit int64) {
	db.background.Go(func() { db.checkpoints(every, limit) })
}

// Isolation is the level of isolation of a command on PostgreSQL.
func (db *DB) Isolation(ctx context.Context) (level string, err error) {
	err = db.command(ctx, quick, func(tx *tx) error { return tx.scan("SHOW transaction_isolation", nil, &level) })
	return level, err
}

// PulseKept counts the connections that are kept for the changes of other nodes.
func (db *DB) PulseKept() int { return db.pulse.Stats().Idle }

// GrantTables are the tables of what services were granted.
var GrantTables = grantTables

// Rows gives the rows of a table as text.
func (db *DB) Rows(ctx context.Context, table string) (rows []string, err error) {
	tx, err := db.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	err = eachRow(ctx, tx, table, func(_ []string, row []any) error {
		rows = append(rows, fmt.Sprint(row...))
		return nil
	})
	return rows, err
}
