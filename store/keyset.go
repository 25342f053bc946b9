package store

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// listing is a query for a page of a list. Pages are read by key: each begins behind the
// last row of the one before, along an index that has the columns of the order last.
type listing struct {
	query string // SELECT … FROM …
	where []string
	group string
	order string
	args  []any // of query first
}

// that adds a condition, which the index may begin with.
func (l *listing) that(condition string, args ...any) {
	l.where, l.args = append(l.where, condition), append(l.args, args...)
}

// held adds a condition that rows are only held against: no database looks for an index
// that has it.
func (l *listing) held(condition string, args ...any) {
	l.that("CASE WHEN "+condition+" THEN 1 ELSE 0 END = 1", args...)
}

// by puts the rows in the order of columns that are not all the same in two of them, the
// first one a little at most, and begins behind a place, which has a value for each; without
// one, at the beginning.
func (l *listing) by(down bool, columns []string, place ...any) {
	behind, step := " > ?", ""
	if down {
		behind, step = " < ?", " DESC"
	}
	l.order = " ORDER BY " + strings.Join(columns, step+", ") + step
	switch {
	case len(place) == 0:
	case len(columns) == 1:
		l.that(columns[0]+behind, place...)
	default: // MySQL reads along no index for (a, b) > (?, ?)
		l.that(columns[0]+strings.TrimSuffix(behind, " ?")+"= ?", place[0])
		l.that("("+columns[0]+behind+" OR "+columns[1]+behind+")", place...)
	}
}

// byText is by for one column with a text, of which only those are wanted that begin with a
// prefix. There is one bound at either end, so that every database reads from there on.
func (l *listing) byText(down bool, column, prefix, after string) {
	var place []any
	if after != "" && (down || after >= prefix) {
		place = []any{after}
	}
	if prefix == "" {
		l.by(down, []string{column}, place...)
		return
	}
	end := prefix + afterAll
	if down && (after == "" || after > end) {
		place = []any{end}
	}
	l.by(down, []string{column}, place...)
	if down || place == nil {
		l.that(column+" >= ?", prefix)
	}
	if !down {
		l.that(column+" < ?", end)
	}
}

// byID is by for the column with the ids, which have the time in them.
func (l *listing) byID(order authcore.Order, column, after string) {
	l.byText(order.Down(), column, "", after)
}

// text is the query, and its arguments.
func (l *listing) text(limit int) (query string, args []any) {
	query = l.query
	if len(l.where) > 0 {
		query += " WHERE " + strings.Join(l.where, " AND ")
	}
	return query + l.group + l.order + " LIMIT ?", append(l.args, limit)
}

// list reads a page.
func list[T any](db *DB, ctx context.Context, scan func(scanner, *T) error, l *listing, limit int) ([]T, error) {
	query, args := l.text(limit)
	return collect(db, ctx, scan, query, args...)
}

// span is a column with an index, and what the texts begin with that are wanted of it.
type span struct{ column, prefix string }

func (s span) condition() string { return s.column + " >= ? AND " + s.column + " < ?" }

func (s span) args() []any { return []any{s.prefix, s.prefix + afterAll} }

// sought is a listing by ids of the rows of which a text is in one of some spans, which no
// index has in that order. A few are all looked up by their texts, and sorted; among many, a
// page looks at so many rows along the ids: up to one that it gives, unless it is the end.
func (db *DB) sought(ctx context.Context, columns, table, alias string, spans []span, order authcore.Order, after string) (l listing, upTo string, err error) {
	few := true
	var texts, conditions []string
	for _, s := range spans {
		n := 0
		if _, err := db.first(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+table+" WHERE "+s.condition()+" LIMIT ?) few", append(s.args(), fewRows), &n); err != nil {
			return l, "", err
		}
		few = few && n < fewRows
		texts = append(texts, "SELECT id FROM "+table+" WHERE "+s.condition())
		conditions = append(conditions, s.condition())
		l.args = append(l.args, s.args()...)
	}
	id := alias + ".id"
	if few { // CROSS JOIN: SQLite begins with the few
		l.query = "SELECT " + columns + " FROM (" + strings.Join(texts, " UNION ") + ") found CROSS JOIN " + table + " " + alias
		l.that(id + " = found.id")
		l.byID(order, id, after)
		return l, "", nil
	}
	l.query = "SELECT " + columns + " FROM " + table + " " + alias
	l.held("(" + strings.Join(conditions, " OR ") + ")")
	l.byID(order, id, after)
	along := listing{query: "SELECT " + id + " FROM " + table + " " + alias}
	along.byID(order, id, after)
	query, args := along.text(1)
	if _, err := db.first(ctx, query+" OFFSET ?", append(args, alongRows), &upTo); err != nil || upTo == "" {
		return l, "", err
	}
	if order.Down() {
		l.that(id+" >= ?", upTo)
	} else {
		l.that(id+" <= ?", upTo)
	}
	return l, upTo, nil
}
