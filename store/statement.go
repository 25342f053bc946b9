package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
)

// statements keeps the prepared statements of one pool. Only queries whose text
// is fixed come here, so that there are few.
type statements struct {
	pool    *sql.DB
	dialect dialect
	kept    sync.Map // query as it is written: *sql.Stmt
}

func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.find(query); stmt != nil {
		return stmt, nil
	}
	stmt, err := s.pool.PrepareContext(ctx, s.dialect.rebind(query))
	if err != nil {
		return nil, err
	}
	if first, there := s.kept.LoadOrStore(query, stmt); there {
		stmt.Close()
		return first.(*sql.Stmt), nil
	}
	return stmt, nil
}

func (s *statements) find(query string) *sql.Stmt {
	stmt, _ := s.kept.Load(query)
	found, _ := stmt.(*sql.Stmt)
	return found
}

func (s *statements) close() {
	s.kept.Range(func(_, stmt any) bool {
		stmt.(*sql.Stmt).Close()
		return true
	})
}

// tx is the transaction of one command.
type tx struct {
	*sql.Tx
	asked  context.Context // of the command
	ctx    context.Context // of its statements
	db     *DB
	missed []string // queries to be kept once the connection is free again

	unsealed bool // events were written that are in no batch yet
}

// prepared gives the statement of a query on the transaction's connection, which
// may be the only one: what is not kept yet is prepared for this time.
func (t *tx) prepared(query string) (*sql.Stmt, error) {
	if err := t.asked.Err(); err != nil {
		return nil, err
	}
	if stmt := t.db.writes.find(query); stmt != nil {
		return t.StmtContext(t.ctx, stmt), nil
	}
	t.missed = append(t.missed, query)
	return t.PrepareContext(t.ctx, t.db.dialect.rebind(query))
}

// keep prepares what the transaction missed, for the next one.
func (t *tx) keep() {
	for _, query := range t.missed {
		if _, err := t.db.writes.get(t.ctx, query); err != nil {
			return // then it is missed again
		}
	}
}

// exec carries out a statement whose text is fixed.
func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(t.ctx, args...)
}

// once carries out a statement whose text depends on what it is about, and
// which is therefore not kept.
func (t *tx) once(query string, args ...any) (sql.Result, error) {
	return t.ExecContext(t.ctx, t.db.dialect.rebind(query), args...)
}

// scan reads one row into dest; sql.ErrNoRows where there is none.
func (t *tx) scan(query string, args []any, dest ...any) error {
	stmt, err := t.prepared(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(t.ctx, args...).Scan(dest...)
}

// query reads rows. They must be closed before the next statement.
func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(t.ctx, args...)
}

// batches are the sizes of statements that are about many rows: few, so that their texts
// can be kept prepared.
var batches = []int{100, 30, 10, 3, 1}

// inserts carries out an INSERT, up to its VALUES, of many rows of so many values each.
func (t *tx) inserts(insert string, values int, args []any) error {
	row := marks(values)
	for _, size := range batches {
		query := insert + row + strings.Repeat(", "+row, size-1)
		for n := size * values; len(args) >= n; args = args[n:] {
			if _, err := t.exec(query, args[:n]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// deletes carries out a DELETE, up to its IN, of the rows with some keys.
func (t *tx) deletes(remove string, keys []string) error {
	for _, size := range batches {
		query := remove + marks(size)
		for ; len(keys) >= size; keys = keys[size:] {
			if _, err := t.exec(query, anys(keys[:size])...); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts carries out a query of one text a row. It is not kept prepared.
func (t *tx) texts(query string, args ...any) ([]string, error) {
	rows, err := t.QueryContext(t.ctx, t.db.dialect.rebind(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}

// affected tells whether a statement changed anything.
func affected(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// scanner is a row of any query.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query whose text is fixed.
func collect[T any](db *DB, ctx context.Context, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	return collectFrom(db, &db.reads, ctx, scan, query, args...)
}

func collectFrom[T any](db *DB, from *statements, ctx context.Context, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	var all []T
	n, err := db.each(ctx, from, query, args, func(n int, row scanner) error {
		var one T
		if err := scan(row, &one); err != nil {
			return err
		}
		all = append(all[:n], one)
		return nil
	})
	return all[:n], err
}

// each gives the rows of a query whose text is fixed to row, with their numbers,
// and tells how many there were. Number 0 begins anew: rows that came before it
// are those of a connection that was lost.
func (db *DB) each(ctx context.Context, from *statements, query string, args []any, row func(n int, s scanner) error) (n int, err error) {
	err = db.ask(ctx, func(ctx context.Context) error {
		n = 0
		stmt, err := from.get(ctx, query)
		if err != nil {
			return err
		}
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for ; rows.Next(); n++ {
			if err := row(n, rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return n, err
}

// first reads the first row of a query whose text is fixed into dest; found is
// false where there is none.
func (db *DB) first(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	err = db.ask(ctx, func(ctx context.Context) error {
		found = false
		stmt, err := db.reads.get(ctx, query)
		if err != nil {
			return err
		}
		switch err := stmt.QueryRowContext(ctx, args...).Scan(dest...); err {
		case nil:
			found = true
			return nil
		case sql.ErrNoRows:
			return nil
		default:
			return err
		}
	})
	return found, err
}

// marks is the list of so many placeholders.
func marks(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

// anys makes arguments of keys.
func anys(keys []string) []any {
	out := make([]any, len(keys))
	for i, key := range keys {
		out[i] = key
	}
	return out
}
