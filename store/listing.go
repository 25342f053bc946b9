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

const (
	// fewRows is how many rows the database looks up and sorts for one page.
	fewRows = 5 * lookedAt
	// alongRows is how many it holds against a prefix.
	alongRows = 20 * lookedAt
)

// FindUsers implements authcore.ListingStore.
func (db *DB) FindUsers(ctx context.Context, q authcore.UserQuery) (page authcore.UserPage, err error) {
	if page, err = db.findUsers(ctx, q); err == nil {
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

// findUsers is FindUsers without the groups.
func (db *DB) findUsers(ctx context.Context, q authcore.UserQuery) (page authcore.UserPage, err error) {
	order := authcore.UserOrders.Of(q.Order)
	l := listing{query: "SELECT " + userColumns + " FROM users u"}
	condition := l.that
	switch {
	case q.Prefix != "" && !order.ByTime():
		return db.usersByPrefix(ctx, q, order.Down())
	case q.Prefix != "":
		spans := spansOf(q.Prefix)
		if len(spans) == 0 {
			return page, nil
		}
		if l, page.Next, err = db.sought(ctx, userColumns, "users", "u", spans, order, q.After); err != nil {
			return page, err
		}
		condition = l.held
	case order.ByTime():
		l.byID(order, "u.id", q.After)
	default:
		l.byText(order.Down(), "u.username_key", "", q.After)
	}
	if q.Status != "" {
		condition("u.status = ?", q.Status)
	}
	if q.Owners {
		condition("u.owner = 1")
	}
	if page.Users, err = list(db, ctx, scanUser, &l, q.Limit+1); len(page.Users) > q.Limit {
		page.Users = page.Users[:q.Limit]
		page.Next = q.Place(page.Users[q.Limit-1])
	}
	return page, err
}

// spansOf are the names of users that can begin with a prefix: usernames hold no @.
func spansOf(prefix string) []span {
	key, isEmail := authcore.LoginKey(prefix)
	switch {
	case key == "":
		return nil
	case isEmail:
		return []span{{"email_key", key}}
	}
	return []span{{"username_key", key}, {"email_key", authcore.EmailKey(prefix)}}
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
func (db *DB) usersByPrefix(ctx context.Context, q authcore.UserQuery, down bool) (authcore.UserPage, error) {
	rows := max(2*q.Limit, lookedAt/5)
	spans := spansOf(q.Prefix)
	var all []named
	for _, s := range spans {
		l := listing{query: "SELECT " + userColumns + ", u." + s.column + " FROM users u"}
		l.byText(down, "u."+s.column, s.prefix, q.After)
		found, err := list(db, ctx, func(row scanner, n *named) error {
			var r userRow
			err := row.Scan(r.fields(&n.key)...)
			n.user = r.user()
			return err
		}, &l, rows)
		if err != nil {
			return authcore.UserPage{}, err
		}
		all = append(all, found...)
	}
	before := func(a, b string) int {
		if down {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}
	slices.SortStableFunc(all, func(a, b named) int { return before(a.key, b.key) })
	var page authcore.UserPage
	for i, n := range all {
		if i == rows || len(page.Users) == q.Limit { // beyond, one of the two may have more
			page.Next = all[i-1].key
			break
		}
		twice := false
		if len(spans) == 2 {
			other, prefix := authcore.EmailKey(n.user.Email), spans[1].prefix
			if strings.Contains(n.key, "@") {
				other, prefix = authcore.UsernameKey(n.user.Username), spans[0].prefix
			}
			twice = strings.HasPrefix(other, prefix) && before(other, n.key) < 0
		}
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
	l := listing{query: "SELECT " + sessionColumns + ", u.username FROM sessions s JOIN sessions r ON r.id = s.id JOIN users u ON u.id = s.user_id"}
	l.that("s.id = s.root_id AND s.expires_at > ? AND s.last_seen_at > ?", micros(q.Now), micros(q.IdleBefore))
	if q.User != "" {
		l.that("s.user_id = ?", q.User)
	}
	l.byID(authcore.SessionOrders.Of(q.Order), "s.id", q.After)
	return list(db, ctx, func(row scanner, s *authcore.UserSession) error {
		var r sessionRow
		err := row.Scan(r.fields(&s.Username)...)
		s.Session = r.session()
		return err
	}, &l, q.Limit)
}

// FindEvents implements authcore.ListingStore. The database reads along one index, by the
// filter that leaves the fewest rows; what the others leave out is left out here.
func (db *DB) FindEvents(ctx context.Context, q authcore.EventQuery) (authcore.EventPage, error) {
	l := listing{query: "SELECT " + eventColumns + " FROM events"}
	switch {
	case q.Target != "":
		l.that("target = ?", q.Target)
	case q.Organization != "":
		l.that("organization_id = ?", q.Organization)
	case q.Actor != "":
		l.that("actor_id = ?", q.Actor)
	case q.Action != "":
		l.that("action = ?", q.Action)
	}
	order := authcore.EventOrders.Of(q.Order)
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	from, to := "", cleanupEnd // ids between which the events are
	if !q.Since.IsZero() {
		from, since = idAt(q.Since.Add(-idSlack)), micros(q.Since)
	}
	if !q.Until.IsZero() {
		to, until = idAt(q.Until.Add(idSlack)), micros(q.Until)
	}
	if order.Down() {
		to = min(to, cmp.Or(q.After, to))
	} else {
		from = max(from, q.After)
	}
	l.that("id < ? AND id > ? AND occurred_at >= ? AND occurred_at < ?", to, from, since, until)
	l.byID(order, "id", "")
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
	found, err := list(db, ctx, scanEvent, &l, rows)
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
func (db *DB) FindOrganizations(ctx context.Context, q authcore.OrganizationQuery) (page authcore.OrganizationPage, err error) {
	order := authcore.OrganizationOrders.Of(q.Order)
	l := listing{query: "SELECT " + ofOrganizations + " FROM organizations o"}
	condition := l.that
	switch {
	case order == authcore.ByStatus || order == authcore.ByStatusDown:
		return db.organizationsByStatus(ctx, q, order.Down())
	case order.ByTime() && q.Prefix != "":
		if l, page.Next, err = db.sought(ctx, ofOrganizations, "organizations", "o", []span{{"slug", q.Prefix}}, order, q.After); err != nil {
			return page, err
		}
		condition = l.held
	case order.ByTime():
		l.byID(order, "o.id", q.After)
	default:
		l.byText(order.Down(), "o.slug", q.Prefix, q.After)
	}
	if q.Status != "" {
		condition("o.status = ?", q.Status)
	}
	if q.Member != "" {
		condition(ofMember, q.Member)
	}
	found, err := list(db, ctx, scanOrganization, &l, q.Limit+1)
	return organizationPage(q, found, page.Next), err
}

// ofMember is the condition that a user has a place in an organization.
const ofMember = "o.id IN (SELECT organization_id FROM members WHERE user_id = ?)"

// organizationStatuses are in the order of authcore.ByStatus.
var organizationStatuses = []authcore.OrganizationStatus{authcore.OrganizationPending, authcore.OrganizationActive, authcore.OrganizationSuspended, authcore.OrganizationRejected}

// organizationsByStatus reads along an index for each status, one after the other.
func (db *DB) organizationsByStatus(ctx context.Context, q authcore.OrganizationQuery, down bool) (authcore.OrganizationPage, error) {
	var all []authcore.Organization
	statuses := slices.Clone(organizationStatuses)
	if down {
		slices.Reverse(statuses)
	}
	at, after, _ := strings.Cut(q.After, " ")
	if i := slices.Index(statuses, authcore.OrganizationStatus(at)); i > 0 {
		statuses = statuses[i:]
	} else if i < 0 {
		after = ""
	}
	for i, s := range statuses {
		if i > 0 {
			after = ""
		}
		if len(all) > q.Limit || q.Status != "" && q.Status != s {
			continue
		}
		l := listing{query: "SELECT " + ofOrganizations + " FROM organizations o"}
		if q.Member != "" { // whose organizations are few
			l.that(ofMember, q.Member)
			l.held("o.status = ?", s)
		} else {
			l.that("o.status = ?", s)
		}
		l.byText(down, "o.slug", q.Prefix, after)
		found, err := list(db, ctx, scanOrganization, &l, q.Limit+1-len(all))
		if err != nil {
			return authcore.OrganizationPage{}, err
		}
		all = append(all, found...)
	}
	return organizationPage(q, all, ""), nil
}

// organizationPage makes a page of what was read, one more than there is room for; next is
// where the list goes on if that was not more.
func organizationPage(q authcore.OrganizationQuery, found []authcore.Organization, next string) authcore.OrganizationPage {
	if len(found) > q.Limit {
		found = found[:q.Limit]
		next = q.Place(found[q.Limit-1])
	}
	return authcore.OrganizationPage{Organizations: found, Next: next}
}
