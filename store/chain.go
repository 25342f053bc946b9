package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The settings that hold places in the audit chain, each with a code of its own: the
// newest batch, the last that was deleted for its age, and the last whose events
// were made anonymous.
const (
	chainHead       = "audit_head"
	chainStart      = "audit_start"
	chainAnonymised = "audit_anonymised"
)

// end is such a place. Events counts, of the start, those that were deleted up to
// there, and of the head, those from before there was a chain.
type end struct {
	Number int64
	Link   string
	Events int64
}

func (e end) text() string {
	return fmt.Sprintf("%d %s %d", e.Number, orDash(e.Link), e.Events)
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
var ErrChainEnd = errors.New("the record of where the audit chain begins or ends was changed, not by the gate")

// parseEnd reads what signed wrote.
func parseEnd(c *authcore.Chain, which, text string) (end, error) {
	var e end
	var code string
	if _, err := fmt.Sscanf(text, "%d %s %d %s", &e.Number, &e.Link, &e.Events, &code); err != nil {
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
// written meanwhile. Events that are there already are left out. With durably, they
// survive a power cut once it returns.
func (db *DB) InsertEvents(ctx context.Context, events []authcore.Event, durably bool) error {
	if len(events) == 0 {
		return nil
	}
	d := durability(durably)
	_, err := db.seal(ctx, d, events, false)
	if db.dialect.violated(err) != "" { // an earlier try arrived after all
		_, err = db.seal(ctx, d, events, true)
	}
	return err
}

// OnSealed has f called after this node has sealed a batch. It is set before anything else,
// and f must return at once.
func (db *DB) OnSealed(f func()) { db.onSealed = f }

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
	sealed := int64(0)
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
		err = s.finish(fresh)
		sealed = s.head.Number
		return err
	})
	if err == nil && db.sealed.Swap(sealed) != sealed && db.onSealed != nil {
		db.onSealed()
	}
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

	alarms []authcore.Event
}

// begin reads the head of the chain and keeps other nodes from doing the same.
func (s *sealing) begin() error {
	read := func() (text string, err error) {
		return text, s.tx.scan("SELECT value FROM settings WHERE name = ?"+s.tx.db.dialect.forUpdate(), []any{chainHead}, &text)
	}
	text, err := read()
	if errors.Is(err, sql.ErrNoRows) { // a new log, or one whose head somebody removed
		var first end
		if err := s.tx.scan("SELECT count(*) FROM events WHERE batch < 0", nil, &first.Events); err != nil {
			return err
		}
		if _, err := s.tx.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+s.tx.db.dialect.orNothing("name"),
			chainHead, first.signed(s.chain, chainHead)); err != nil {
			return err
		}
		text, err = read()
	}
	if err != nil {
		return err
	}
	var newest end
	err = s.tx.scan("SELECT number, link FROM event_batches ORDER BY number DESC LIMIT 1", nil, &newest.Number, &newest.Link)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if s.head, err = parseEnd(s.chain, chainHead, text); err != nil {
		s.head.Events = math.MaxInt64 // nobody knows any more
	}
	if err != nil || s.head.Number < newest.Number || s.head.Number < s.tx.db.sealed.Load() {
		s.repair(newest)
	}
	return nil
}

// repair goes on behind the newest batch when somebody changed the head, and puts
// that on record in the batch that is being made: what happens from now on must not
// go unrecorded.
func (s *sealing) repair(newest end) {
	newest.Events = s.head.Events
	s.head = newest
	s.alarms = append(s.alarms, authcore.NewEvent(s.tx.db.now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.AuditAlarm, "", authcore.Failure,
		ErrChainEnd.Error()))
}

// take picks up events that commands wrote. What has no code of ours is not
// sealed, and shows up when the log is verified.
func (s *sealing) take() (more bool, err error) {
	for after := ""; len(s.taken) < sealAtOnce; {
		last, n, err := s.takePage(after)
		if err != nil || n < sealAtOnce {
			return false, err
		}
		after = last
	}
	return true, nil
}

// takePage looks at the next events that are in no batch.
func (s *sealing) takePage(after string) (last string, n int, err error) {
	rows, err := s.tx.query("SELECT "+eventColumns+" FROM events WHERE batch = 0 AND id > ? ORDER BY id LIMIT ?"+s.tx.db.dialect.forUpdate(), after, sealAtOnce)
	if err != nil {
		return "", 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var e authcore.SealedEvent
		if err := scanEvent(rows, &e); err != nil {
			return "", n, err
		}
		if last = e.ID; e.Leaf == s.chain.Leaf(&e.Event, e.Blinding) {
			s.taken = append(s.taken, e)
		}
	}
	return last, n, errors.Join(rows.Err(), rows.Close())
}

// finish writes the batch: first what was there, then what is new.
func (s *sealing) finish(fresh []authcore.Event) error {
	fresh = slices.Concat(s.alarms, fresh)
	count := len(s.taken) + len(fresh)
	if count == 0 {
		return nil
	}
	number := s.head.Number + 1
	for _, e := range s.taken {
		s.leaves = append(s.leaves, e.Leaf)
	}
	if err := s.place(number); err != nil {
		return err
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
	for _, sealed := range [][]authcore.SealedEvent{s.taken, rows} {
		if err := countSignIns(s.tx, sealed); err != nil {
			return err
		}
	}
	now := fromMicros(micros(s.tx.db.now()))
	link := s.chain.Link(s.head.Link, number, now, s.leaves)
	if _, err := s.tx.exec("INSERT INTO event_batches (number, events, link, sealed_at) VALUES (?, ?, ?, ?)", number, count, link, micros(now)); err != nil {
		return err
	}
	s.head.Number, s.head.Link = number, link
	_, err := s.tx.exec("UPDATE settings SET value = ? WHERE name = ?", s.head.signed(s.chain, chainHead), chainHead)
	return err
}

// placedAtOnce is how many rows one statement puts into a batch. It looks through as
// many names for each.
const placedAtOnce = 50

// place puts the rows that were taken into the batch.
func (s *sealing) place(number int64) error {
	at := 0
	for rows := range slices.Chunk(s.taken, placedAtOnce) {
		args, ids := []any{number}, make([]any, len(rows))
		for i, e := range rows {
			at++
			args, ids[i] = append(args, e.ID, at), e.ID
		}
		cases := strings.Repeat(" WHEN ? THEN ?", len(rows))
		if _, err := s.tx.once("UPDATE events SET batch = ?, place = CASE id"+cases+" ELSE place END WHERE id IN "+marks(len(rows)), append(args, ids...)...); err != nil {
			return err
		}
	}
	return nil
}

// Ends are both ends of the audit chain.
type Ends struct {
	Start, Head authcore.EventBatch // number and link only; the start is the last batch that was deleted for its age
	Deleted     int64               // how many events were deleted up to the start
	Anonymised  int64               // the last batch whose events were made anonymous
	Earlier     int64               // how many events are from before there was a chain, at most
}

// ChainEnds gives the ends of the audit chain; an error that is ErrChainEnd says
// that somebody changed the record of them.
func (db *DB) ChainEnds(ctx context.Context) (Ends, error) {
	chain := db.chain()
	read := func(which string, none end) (end, error) {
		text, found, err := db.setting(ctx, which)
		if err != nil || !found {
			return none, err
		}
		return parseEnd(chain, which, text)
	}
	start, err := read(chainStart, end{})
	head, err2 := read(chainHead, end{Events: math.MaxInt64}) // nobody has counted yet
	anonymised, err3 := read(chainAnonymised, end{})
	return Ends{Start: authcore.EventBatch{Number: start.Number, Link: start.Link}, Head: authcore.EventBatch{Number: head.Number, Link: head.Link},
		Deleted: start.Events, Anonymised: anonymised.Number, Earlier: head.Events}, errors.Join(err, err2, err3)
}

// StrayEvents gives events that claim to be in a batch that never was, or was
// deleted: a hundred at most.
func (db *DB) StrayEvents(ctx context.Context, start int64) ([]authcore.SealedEvent, error) {
	return collect(db, ctx, scanEvent, "SELECT "+eventColumns+" FROM events WHERE batch > (SELECT coalesce(max(number), 0) FROM event_batches)"+
		" OR batch > 0 AND batch <= ? ORDER BY id LIMIT 100", start)
}
