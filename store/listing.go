package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.ListingStore = (*DB)(nil)

// lookedAt bounds how many rows are read for one page, so that a filter that finds next
// to nothing takes no longer than one that finds all.
const lookedAt = 1000

// afterAll comes after every text that begins with what stands before it.
const afterAll = "\U0010FFFF"

// within is the condition that a column follows a text and begins with a prefix: with one
// lower bound, so that every database reads from there on.
func within(column, after, prefix string) (condition string, args []any) {
	if prefix == "" {
		return column + " > ?", []any{after}
	}
	if after < prefix {
		return column + " >= ? AND " + column + " < ?", []any{prefix, prefix + afterAll}
	}
	return column + " > ? AND " + column + " < ?", []any{after, prefix + afterAll}
}

// FindUsers implements authcore.ListingStore.
func (db *DB) FindUsers(ctx context.Context, q authcore.UserQuery) (page authcore.UserPage, err error) {
	if q.Prefix != "" {
		page, err = db.usersByPrefix(ctx, q)
	} else {
		page, err = db.usersInOrder(ctx, q)
	}
	if err == nil {
		err = db.addGroups(ctx, page.Users)
	}
	return page, err
}

// addGroups reads the groups of users.
func (db *DB) addGroups(ctx context.Context, users []authcore.User) error {
	if len(users) == 0 {
		return nil
	}
	at, ids := make(map[authcore.UserID]int, len(users)), make([]any, len(users))
	for i := range users {
		at[users[i].ID], ids[i] = i, users[i].ID
	}
	type member struct {
		user  authcore.UserID
		group string
	}
	found, err := collect(db, ctx, func(row scanner, m *member) error { return row.Scan((*string)(&m.user), &m.group) },
		"SELECT user_id, name FROM user_groups WHERE user_id IN (?"+strings.Repeat(", ?", len(ids)-1)+") ORDER BY user_id, name", ids...)
	for _, m := range found {
		u := &users[at[m.user]]
		u.Groups = append(u.Groups, m.group)
	}
	return err
}

func (db *DB) usersInOrder(ctx context.Context, q authcore.UserQuery) (authcore.UserPage, error) {
	query, args := "SELECT "+userColumns+" FROM users u WHERE u.username_key > ?", []any{q.After}
	if q.Status != "" {
		query, args = query+" AND u.status = ?", append(args, q.Status)
	}
	if q.Owners {
		query += " AND u.owner = 1"
	}
	found, err := collect(db, ctx, scanUser, query+" ORDER BY u.username_key LIMIT ?", append(args, q.Limit+1)...)
	var page authcore.UserPage
	if page.Users = found; len(found) > q.Limit {
		page.Users = found[:q.Limit]
		page.Next = authcore.UsernameKey(page.Users[q.Limit-1].Username)
	}
	return page, err
}

func scanUser(row scanner, u *authcore.User) error {
	var r userRow
	err := row.Scan(r.fields()...)
	*u = r.user()
	return err
}

// named is a user by one of the two names that can match a prefix.
type named struct {
	key  string
	user authcore.User
}

// usersByPrefix merges what two indexes give in their order. A user of whom both names
// match comes with the one that is first; usernames hold no @, so no name is both.
func (db *DB) usersByPrefix(ctx context.Context, q authcore.UserQuery) (authcore.UserPage, error) {
	username, email := authcore.UsernameKey(q.Prefix), authcore.EmailKey(q.Prefix)
	if username == "" && !strings.Contains(email, "@") {
		return authcore.UserPage{}, nil
	}
	rows := max(2*q.Limit, lookedAt/5)
	var all []named
	for _, by := range []struct{ column, prefix string }{{"username_key", username}, {"email_key", email}} {
		if by.prefix == "" || by.column == "username_key" && strings.Contains(email, "@") {
			continue
		}
		condition, args := within("u."+by.column, q.After, by.prefix)
		found, err := collect(db, ctx, func(row scanner, n *named) error {
			var r userRow
			err := row.Scan(r.fields(&n.key)...)
			n.user = r.user()
			return err
		}, "SELECT "+userColumns+", u."+by.column+" FROM users u WHERE "+condition+" ORDER BY u."+by.column+" LIMIT ?", append(args, rows)...)
		if err != nil {
			return authcore.UserPage{}, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(a.key, b.key) })
	var page authcore.UserPage
	for i, n := range all {
		if i == rows || len(page.Users) == q.Limit { // beyond, one of the two may have more
			page.Next = all[i-1].key
			break
		}
		other := authcore.EmailKey(n.user.Email)
		prefix := email
		if strings.Contains(n.key, "@") {
			other, prefix = authcore.UsernameKey(n.user.Username), username
		}
		twice := prefix != "" && strings.HasPrefix(other, prefix) && other < n.key
		if !twice && (q.Status == "" || q.Status == n.user.Status) && (!q.Owners || n.user.Owner) {
			page.Users = append(page.Users, n.user)
		}
	}
	if page.Next == "" && len(all) >= rows {
		page.Next = all[len(all)-1].key
	}
	return page, nil
}

// FindSessions implements authcore.ListingStore.
func (db *DB) FindSessions(ctx context.Context, q authcore.SessionQuery) ([]authcore.UserSession, error) {
	query := "SELECT " + sessionColumns + ", u.username FROM sessions s JOIN sessions r ON r.id = s.id JOIN users u ON u.id = s.user_id" +
		" WHERE s.id = s.root_id AND s.id < ? AND s.expires_at > ? AND s.last_seen_at > ?"
	args := []any{cmp.Or(string(q.Before), cleanupEnd), micros(q.Now), micros(q.IdleBefore)}
	if q.User != "" {
		query, args = query+" AND s.user_id = ?", append(args, q.User)
	}
	return collect(db, ctx, func(row scanner, s *authcore.UserSession) error {
		var r sessionRow
		err := row.Scan(r.fields(&s.Username)...)
		s.Session = r.session()
		return err
	}, query+" ORDER BY s.id DESC LIMIT ?", append(args, q.Limit)...)
}

// FindEvents implements authcore.ListingStore. The database reads along one index, by the
// filter that leaves the fewest rows; what the others leave out is left out here.
func (db *DB) FindEvents(ctx context.Context, q authcore.EventQuery) (authcore.EventPage, error) {
	query, args := "SELECT "+eventColumns+" FROM events WHERE ", []any{}
	switch {
	case q.Target != "":
		query, args = query+"target = ? AND ", append(args, q.Target)
	case q.Organization != "":
		query, args = query+"organization_id = ? AND ", append(args, q.Organization)
	case q.Actor != "":
		query, args = query+"actor_id = ? AND ", append(args, q.Actor)
	case q.Action != "":
		query, args = query+"action = ? AND ", append(args, q.Action)
	}
	from, since, until, to := "", int64(math.MinInt64), int64(math.MaxInt64), cmp.Or(q.Before, cleanupEnd)
	if !q.Since.IsZero() {
		from, since = idAt(q.Since.Add(-idSlack)), micros(q.Since)
	}
	if !q.Until.IsZero() {
		until, to = micros(q.Until), min(to, idAt(q.Until.Add(idSlack)))
	}
	filters := 0
	for _, set := range []bool{q.Target != "", q.Organization != "", q.Actor != "", q.Action != ""} {
		if set {
			filters++
		}
	}
	rows := lookedAt
	if filters < 2 && q.Outcome == "" {
		rows = q.Limit + 1 // nothing is left out here
	}
	wanted := func(e *authcore.Event) bool {
		return (q.Target == "" || q.Target == e.Target) && (q.Organization == "" || q.Organization == e.Organization) && (q.Actor == "" || q.Actor == e.Actor.User) && (q.Action == "" || q.Action == e.Action) && (q.Outcome == "" || q.Outcome == e.Outcome)
	}
	found, err := collect(db, ctx, scanEvent, query+"id < ? AND id >= ? AND occurred_at >= ? AND occurred_at < ? ORDER BY id DESC LIMIT ?", append(args, to, from, since, until, rows)...)
	var page authcore.EventPage
	for i := range found {
		if len(page.Events) == q.Limit || i+1 == lookedAt {
			page.Next = found[i-1].ID
			break
		}
		if wanted(&found[i].Event) {
			page.Events = append(page.Events, found[i].Event)
		}
	}
	return page, err
}

// idSlack is by how much the time in an event's id may differ from that of the event.
const idSlack = 10 * time.Second

// idAt comes before all UUIDv7 of a time or later (RFC 9562 section 5.7).
func idAt(t time.Time) string {
	ms := max(t.UnixMilli(), 0)
	return fmt.Sprintf("%08x-%04x-", ms>>16, ms&0xffff)
}

// FindOrganizations implements authcore.ListingStore.
func (db *DB) FindOrganizations(ctx context.Context, q authcore.OrganizationQuery) ([]authcore.Organization, error) {
	condition, args := within("slug", q.After, q.Prefix)
	query := "SELECT " + organizationColumns + " FROM organizations WHERE " + condition
	if q.Status != "" {
		query, args = query+" AND status = ?", append(args, q.Status)
	}
	if q.Member != "" {
		query, args = query+" AND id IN (SELECT organization_id FROM members WHERE user_id = ?)", append(args, q.Member)
	}
	return collect(db, ctx, scanOrganization, query+" ORDER BY slug LIMIT ?", append(args, q.Limit)...)
}
