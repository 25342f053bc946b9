package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// sessions is one way to use a database: through the store, or raw.
type sessions interface {
	// read looks a session up and tells how many groups its user is in.
	read(ctx context.Context, token authcore.TokenHash) (groups int, err error)
	insert(ctx context.Context, s authcore.Session, token authcore.TokenHash, ev authcore.Event) error
	insertEvents(ctx context.Context, events []authcore.Event) error
	// settle does what is left to be done of what was inserted before.
	settle(ctx context.Context) error
	close() error
}

// viaStore is the store as the product uses it.
type viaStore struct{ db *store.DB }

func (v viaStore) read(ctx context.Context, token authcore.TokenHash) (int, error) {
	_, u, err := v.db.SessionByToken(ctx, token)
	return len(u.Groups), err
}

func (v viaStore) insert(ctx context.Context, s authcore.Session, token authcore.TokenHash, ev authcore.Event) error {
	return v.db.CreateSession(ctx, s, token, provenHash, ev)
}

// insertEvents makes the codes of the events as well, and a link of the chain.
func (v viaStore) insertEvents(ctx context.Context, events []authcore.Event) error {
	return v.db.InsertEvents(ctx, events, false)
}

// settle seals the events of sessions, as the product does every second.
func (v viaStore) settle(ctx context.Context) error { return v.db.SealEvents(ctx, false) }

func (v viaStore) close() error { return v.db.Close() }

// viaRaw carries out the store's statements on database/sql, prepared once, and
// nothing else: no limit of time, no second try, no errors of ours, no values
// built from what was read.
type viaRaw struct {
	writer, reader                       *sql.DB
	find, check, factor, session, record *sql.Stmt
	rebind                               func(string) string
}

// The statements of store/session.go, store/factor.go and store/event.go; a test sees to it
// that the columns of the first are those of the store.
const (
	rawFind = "SELECT s.id, s.root_id, s.user_id, s.host, s.amr, s.auth_time, s.created_at, r.last_seen_at, s.expires_at, s.address, s.agent, s.identity_id, s.provider, s.provider_session, s.act_id," +
		" u.id, u.username, u.email, u.email_verified, u.name, u.status, u.owner, u.factor_required + 2 * u.organization_only, u.organizations, g.name FROM sessions s" +
		" JOIN sessions r ON r.id = s.root_id JOIN users u ON u.id = s.user_id" +
		" LEFT JOIN user_groups g ON g.user_id = u.id WHERE s.token_hash = ? ORDER BY g.name"
	rawCheck  = "SELECT 1 FROM users u JOIN passwords p ON p.user_id = u.id WHERE u.id = ? AND u.status = ? AND p.hash = ?"
	rawFactor = "SELECT (SELECT count(*) FROM totps t WHERE t.user_id = u.id) + (SELECT count(*) FROM passkeys k WHERE k.user_id = u.id AND" +
		" (u.factor_required = 1 OR u.owner = 1 OR u.organizations > 0 AND EXISTS (SELECT 1 FROM members m JOIN organizations o ON o.id = m.organization_id" +
		" WHERE m.user_id = u.id AND o.factor_required = 1 AND o.status = 'active'))) FROM users u WHERE u.id = ?"
	rawSession = "INSERT INTO sessions (id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent, identity_id, provider, provider_session)" +
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	rawRecord = "INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id," +
		" batch, place, blinding, leaf) VALUES " + rawEvent
	rawEvent = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

// newViaRaw prepares the statements. The two pools may be one.
func newViaRaw(ctx context.Context, write, read *sql.DB, rebind func(string) string, forUpdate string) (*viaRaw, error) {
	v := &viaRaw{writer: write, reader: read, rebind: rebind}
	for _, p := range []struct {
		into  **sql.Stmt
		pool  *sql.DB
		query string
	}{{&v.find, read, rawFind}, {&v.check, write, rawCheck + forUpdate}, {&v.factor, write, rawFactor}, {&v.session, write, rawSession}, {&v.record, write, rawRecord}} {
		var err error
		if *p.into, err = p.pool.PrepareContext(ctx, rebind(p.query)); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *viaRaw) read(ctx context.Context, token authcore.TokenHash) (groups int, err error) {
	rows, err := v.find.QueryContext(ctx, token.Hex())
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, root, user, host, amr, address, agent, identity, provider, atProvider, act, userID, name, email, display, status string
		var auth, created, seen, expires, verified, owner, required, organizations int64
		var group sql.NullString
		if err := rows.Scan(&id, &root, &user, &host, &amr, &auth, &created, &seen, &expires, &address, &agent, &identity, &provider, &atProvider, &act,
			&userID, &name, &email, &verified, &display, &status, &owner, &required, &organizations, &group); err != nil {
			return 0, err
		}
		groups++
	}
	return groups, rows.Err()
}

func (v *viaRaw) insert(ctx context.Context, s authcore.Session, token authcore.TokenHash, ev authcore.Event) error {
	tx, err := v.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var one int
	if err := tx.StmtContext(ctx, v.check).QueryRowContext(ctx, s.UserID, authcore.Active, provenHash).Scan(&one); err != nil {
		return err
	}
	if err := tx.StmtContext(ctx, v.factor).QueryRowContext(ctx, s.UserID).Scan(&one); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, v.session).ExecContext(ctx, s.ID, s.Root, s.UserID, token.Hex(), s.Host, strings.Join(s.AMR, " "),
		s.AuthTime.UnixMicro(), s.CreatedAt.UnixMicro(), s.LastSeen.UnixMicro(), s.ExpiresAt.UnixMicro(), s.Address, s.Agent, s.Identity, s.Provider, s.ProviderSession); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, v.record).ExecContext(ctx, rawArgs(nil, ev)...); err != nil {
		return err
	}
	return tx.Commit()
}

// rawArgs appends an event's row. The codes are made up: the same for all.
func rawArgs(args []any, ev authcore.Event) []any {
	const code = "0123456789abcdef0123456789abcdef"
	// Batch -1 is from before there was a chain: else the store would look at each of them
	// whenever it seals a batch, since their codes are not its own.
	return append(args, ev.ID, ev.Time.UnixMicro(), ev.Actor.Kind, ev.Actor.User, ev.Actor.Session, ev.Action,
		ev.Target, ev.Outcome, ev.Details, ev.Actor.Client.Address, ev.Actor.Client.Agent, ev.Actor.Client.RequestID, -1, 0, code, code+code)
}

// insertEvents writes the rows alone: no codes are made, and no link.
func (v *viaRaw) insertEvents(ctx context.Context, events []authcore.Event) error {
	tx, err := v.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var args []any
	for _, ev := range events {
		args = rawArgs(args, ev)
	}
	if _, err := tx.ExecContext(ctx, v.rebind(rawRecord+strings.Repeat(", "+rawEvent, len(events)-1)), args...); err != nil {
		return err
	}
	return tx.Commit()
}

func (*viaRaw) settle(context.Context) error { return nil }

func (v *viaRaw) close() error {
	err := v.reader.Close()
	if v.writer != v.reader {
		err = errors.Join(err, v.writer.Close())
	}
	return err
}
