package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The settings that hold the ends of the audit chain, each with a code of its own.
const (
	chainHead  = "audit_head"
	chainStart = "audit_start"
)

// end is one end of the chain: the newest batch, or the last that was deleted for
// its age.
type end struct {
	Number int64
	Link   string
	// Of the head: whether events from before there was a chain are still to be
	// sealed. They have no code, and later no event without one is sealed.
	Adopting bool
	// Of the start: how many events were deleted up to there.
	Deleted int64
}

func (e end) text() string {
	return fmt.Sprintf("%d %s %t %d", e.Number, orDash(e.Link), e.Adopting, e.Deleted)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (e end) signed(c *authcore.Chain, which string) string {
	return e.text() + " " + c.Sign(which, e.text())
}

// ErrChainEnd says that the chain cannot be trusted at one of its ends.
var ErrChainEnd = errors.New("the record of where the audit chain ends was changed, not by the gate")

// parseEnd reads what signed wrote.
func parseEnd(c *authcore.Chain, which, text string) (end, error) {
	var e end
	var code string
	if _, err := fmt.Sscanf(text, "%d %s %t %d %s", &e.Number, &e.Link, &e.Adopting, &e.Deleted, &code); err != nil {
		return end{}, ErrChainEnd
	}
	if e.Link == "-" {
		e.Link = ""
	}
	if e.signed(c, which) != text {
		return end{}, ErrChainEnd
	}
	return e, nil
}

// UseKey sets the key of the audit chain. It is called before anything else.
func (db *DB) UseKey(key authcore.SecretKey) { db.key = key }

func (db *DB) chain() *authcore.Chain { return authcore.NewChain(db.key) }

// sealAtOnce bounds how many events that commands wrote join one batch.
const sealAtOnce = 500

// InsertEvents writes a batch of events and seals it, along with what commands have
// written meanwhile. Events that are there already are left out. With sync, they
// survive a power cut once it returns.
func (db *DB) InsertEvents(ctx context.Context, events []authcore.Event, sync bool) error {
	if len(events) == 0 {
		return nil
	}
	d := durability(sync)
	_, err := db.seal(ctx, d, events, false)
	if db.dialect.violated(err) != "" { // an earlier try arrived after all
		_, err = db.seal(ctx, d, events, true)
	}
	return err
}

// SealEvents seals what commands have written, also commands of other nodes that
// did not get to it if all is set.
func (db *DB) SealEvents(ctx context.Context, all bool) error {
	if all {
		db.unsealed.Store(true)
	}
	for more := true; more && db.unsealed.Load(); {
		var err error
		if more, err = db.seal(ctx, quick, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// seal makes one batch. known tells that some of the events may be there already,
// and more that there are more unsealed ones than fit.
func (db *DB) seal(ctx context.Context, d durability, events []authcore.Event, known bool) (more bool, err error) {
	waiting := db.unsealed.Swap(false)
	err = db.command(ctx, d, func(tx *tx) error {
		s := sealing{tx: tx, chain: db.chain()}
		if err := s.begin(); err != nil {
			return err
		}
		fresh := events
		if known {
			if fresh, err = tx.without(events); err != nil {
				return err
			}
		}
		more = false
		if waiting {
			if more, err = s.take(); err != nil {
				return err
			}
		}
		return s.finish(fresh)
	})
	if waiting && (err != nil || more) {
		db.unsealed.Store(true)
	}
	return more, err
}

// without leaves out events that are in the table.
func (t *tx) without(events []authcore.Event) ([]authcore.Event, error) {
	ids := make([]any, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	rows, err := t.QueryContext(t.ctx, t.db.dialect.rebind("SELECT id FROM events WHERE id IN "+marks(len(ids))), ids...)
	if err != nil {
		return nil, err
	}
	there, err := texts(rows)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(events), func(e authcore.Event) bool { return there[e.ID] }), nil
}

func texts(rows *sql.Rows) (map[string]bool, error) {
	defer rows.Close()
	all := make(map[string]bool)
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all[s] = true
	}
	return all, rows.Err()
}

// sealing is the making of one batch, in a transaction.
type sealing struct {
	tx     *tx
	chain  *authcore.Chain
	head   end
	leaves []string
	taken  []authcore.SealedEvent // rows that are there and join the batch

	adopted bool // from now on no event without a code is sealed
}

// begin reads the head of the chain and keeps other nodes from doing the same.
func (s *sealing) begin() error {
	read := func() (text string, err error) {
		return text, s.tx.scan("SELECT value FROM settings WHERE name = ?"+s.tx.db.dialect.forUpdate(), []any{chainHead}, &text)
	}
	text, err := read()
	if errors.Is(err, sql.ErrNoRows) {
		first := end{Adopting: true}
		if _, err := s.tx.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+s.tx.db.dialect.orNothing("name"),
			chainHead, first.signed(s.chain, chainHead)); err != nil {
			return err
		}
		text, err = read()
	}
	if err != nil {
		return err
	}
	if s.head, err = parseEnd(s.chain, chainHead, text); err != nil {
		return s.repair()
	}
	return nil
}

// repair goes on behind the newest batch when somebody changed the head, and puts
// that on record: what happens from now on must not go unrecorded.
func (s *sealing) repair() error {
	s.head = end{}
	err := s.tx.scan("SELECT number, link FROM event_batches ORDER BY number DESC LIMIT 1", nil, &s.head.Number, &s.head.Link)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return insertEvents(s.tx, authcore.NewEvent(time.Now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.AuditAlarm, "", authcore.Failure,
		ErrChainEnd.Error()))
}

// take picks up events that commands wrote. What has no code of ours is not
// sealed, and shows up when the log is verified.
func (s *sealing) take() (more bool, err error) {
	rows, err := s.tx.query("SELECT "+eventColumns+" FROM events WHERE batch = 0 ORDER BY id LIMIT ?"+s.tx.db.dialect.forUpdate(), sealAtOnce)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n, old := 0, 0
	for ; rows.Next(); n++ {
		var e authcore.SealedEvent
		if err := scanEvent(rows, &e); err != nil {
			return false, err
		}
		if e.Leaf == "" && s.head.Adopting {
			e.Blinding = authcore.Salts(1)[0]
			e.Leaf = s.chain.Leaf(&e.Event, e.Blinding)
			old++
		}
		if e.Leaf == s.chain.Leaf(&e.Event, e.Blinding) {
			s.taken = append(s.taken, e)
		}
	}
	s.adopted = s.head.Adopting && old == 0
	s.head.Adopting = s.head.Adopting && old > 0
	return n == sealAtOnce && len(s.taken) > 0, errors.Join(rows.Err(), rows.Close())
}

// finish writes the batch: first what was there, then what is new.
func (s *sealing) finish(fresh []authcore.Event) error {
	count := len(s.taken) + len(fresh)
	if count == 0 && !s.adopted {
		return nil
	}
	if count == 0 {
		return s.keepHead()
	}
	number := s.head.Number + 1
	for i, e := range s.taken {
		s.leaves = append(s.leaves, e.Leaf)
		if _, err := s.tx.exec("UPDATE events SET batch = ?, place = ?, blinding = ?, leaf = ? WHERE id = ?", number, i+1, e.Blinding, e.Leaf, e.ID); err != nil {
			return err
		}
	}
	salts := authcore.Salts(len(fresh))
	rows := make([]authcore.SealedEvent, len(fresh))
	for i, e := range fresh {
		rows[i] = authcore.SealedEvent{Event: e, Batch: number, Position: len(s.taken) + i + 1, Blinding: salts[i], Leaf: s.chain.Leaf(&e, salts[i])}
		s.leaves = append(s.leaves, rows[i].Leaf)
	}
	if err := writeEvents(s.tx, rows); err != nil {
		return err
	}
	link := s.chain.Link(s.head.Link, number, s.leaves)
	if _, err := s.tx.exec("INSERT INTO event_batches (number, events, link, sealed_at) VALUES (?, ?, ?, ?)", number, count, link, micros(time.Now())); err != nil {
		return err
	}
	s.head.Number, s.head.Link = number, link
	return s.keepHead()
}

func (s *sealing) keepHead() error {
	_, err := s.tx.exec("UPDATE settings SET value = ? WHERE name = ?", s.head.signed(s.chain, chainHead), chainHead)
	return err
}

// Ends are both ends of the audit chain.
type Ends struct {
	Start, Head authcore.EventBatch // number and link only; the start is the last batch that was deleted for its age
	Deleted     int64               // how many events were deleted up to the start
}

// ChainEnds gives the ends of the audit chain; an error that is ErrChainEnd says
// that somebody changed the record of them.
func (db *DB) ChainEnds(ctx context.Context) (Ends, error) {
	chain := db.chain()
	read := func(which string) (e end, err error) {
		text, found, err := db.setting(ctx, which)
		if err == nil && found {
			e, err = parseEnd(chain, which, text)
		}
		return e, err
	}
	start, err := read(chainStart)
	head, err2 := read(chainHead)
	return Ends{Start: authcore.EventBatch{Number: start.Number, Link: start.Link}, Head: authcore.EventBatch{Number: head.Number, Link: head.Link},
		Deleted: start.Deleted}, errors.Join(err, err2)
}

// StrayEvents gives events that claim to be in a batch that never was, or was
// deleted: a hundred at most.
func (db *DB) StrayEvents(ctx context.Context, start int64) ([]authcore.SealedEvent, error) {
	return collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE batch < 0 OR batch > (SELECT coalesce(max(number), 0) FROM event_batches)"+
		" OR batch > 0 AND batch <= ? ORDER BY id LIMIT 100", start)
}
