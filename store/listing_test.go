package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// pageLimit is what a page of a list may take on SQLite, however many rows there are.
const pageLimit = 50 * time.Millisecond

// TestListingSpeed times pages of lists over many rows: GATE_ROWS of users, sessions,
// events, organizations and deliveries each (and 10,000 members and services of one
// organization at most), where somebody wants to know, and then holds them to pageLimit.
func TestListingSpeed(t *testing.T) {
	rows := 2000
	if text := os.Getenv("GATE_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Parallel()
	}
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	now := time.Now()
	numbers := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", rows-1)
	const at = "printf('%08x-%04x-7000-8000-%012x', ms >> 16, ms & 65535, i)"
	ms := fmt.Sprintf("(SELECT i, %d + i * 1000 AS ms FROM n)", now.Add(-time.Duration(rows)*time.Second).UnixMilli())
	for _, fill := range []string{
		"INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at, organizations) " + numbers +
			"SELECT " + at + ", 'user' || i, 'user' || i, 'user' || i || '@example.com', 'user' || i || '@example.com', 1, 'User ' || i, CASE WHEN i % 100000 = 7 THEN 'disabled' ELSE 'active' END, i % 100000 = 9, 0, 0, 1 FROM " + ms,
		"INSERT INTO organizations (id, slug, name, status, reason, tier, created_at, updated_at) " + numbers +
			"SELECT " + at + ", 'org-' || i, 'Org', CASE WHEN i % 100000 = 3 THEN 'pending' WHEN i % 100000 = 4 THEN 'suspended' ELSE 'active' END, '', 'free', 0, 0 FROM " + ms,
		"INSERT INTO services (id, organization_id, name, type, status, client_id, secret_hash, old_secret_hash, old_secret_until, redirect_uris, logout_uris, device, first_party, access, token_format, access_life, refresh_life, created_at, updated_at, scopes, jwks) " + numbers +
			"SELECT " + at + ", (SELECT min(id) FROM organizations), 'Service', 'web', 'active', 'client' || i, '', '', 0, '', '', 0, 0, 'members', 'jwt', 0, 0, 0, 0, '', '' FROM " + ms + " WHERE i < 10000",
		"INSERT INTO deliveries (id, webhook_id, event_id, type, status, tries, created_at, due_at, tried_at, took, answer_status, answer, failure) " + numbers +
			"SELECT " + at + ", 'hook', '', 'user.login', 'done', 1, 0, 0, 0, 0, 204, '', '' FROM " + ms,
		"INSERT INTO members (organization_id, user_id, role, created_at) SELECT (SELECT max(id) FROM organizations), id, 'member', 0 FROM users ORDER BY id DESC LIMIT 20",
		"INSERT INTO members (organization_id, user_id, role, created_at) SELECT (SELECT min(id) FROM organizations), id, 'member', 0 FROM users LIMIT 10000",
		"INSERT INTO sessions (id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent) " + numbers +
			"SELECT " + at + ", " + strings.Replace(at, ", i)", ", i - i % 2)", 1) + ", " + at + ", 'h' || i, 'auth.example.com', 'pwd', 0, 0, 9000000000000000, 9000000000000000, '192.0.2.1', 'Agent/1.0' FROM " + ms,
		"UPDATE sessions SET root_id = id WHERE root_id NOT IN (SELECT id FROM sessions)",
		"INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id, batch, place, blinding, leaf) " + numbers +
			"SELECT " + at + ", ms * 1000, 'user', 'actor' || (i % 1000), '', CASE WHEN i % 100000 = 5 THEN 'user.owner' ELSE 'user.login' END, 'user:' || (i % 1000), CASE WHEN i % 100000 = 11 THEN 'failure' ELSE 'success' END, '', '192.0.2.1', 'Agent/1.0', '', 1, i, '', '' FROM " + ms,
	} {
		if err := db.Exec(t.Context(), fill); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	users := func(q authcore.UserQuery) func() (int, error) {
		return func() (int, error) { q.Limit = 200; p, err := db.FindUsers(ctx, q); return len(p.Users), err }
	}
	sessions := func(q authcore.SessionQuery) func() (int, error) {
		q.Now, q.IdleBefore, q.Limit = now, now, 200
		return func() (int, error) { p, err := db.FindSessions(ctx, q); return len(p), err }
	}
	events := func(q authcore.EventQuery) func() (int, error) {
		return func() (int, error) { q.Limit = 200; p, err := db.FindEvents(ctx, q); return len(p.Events), err }
	}
	organizations := func(q authcore.OrganizationQuery) func() (int, error) {
		return func() (int, error) {
			q.Limit = 200
			p, err := db.FindOrganizations(ctx, q)
			return len(p.Organizations), err
		}
	}
	middle, err := db.FindUsers(ctx, authcore.UserQuery{Prefix: "user" + strconv.Itoa(rows/2), Limit: 1})
	if err != nil || len(middle.Users) != 1 {
		t.Fatalf("%+v, %v", middle, err)
	}
	one := middle.Users[0].ID
	halfway := now.Add(-time.Duration(rows/2) * time.Second)
	halfID := string(one)
	first, err := db.OrganizationBySlug(ctx, "org-0")
	if err != nil {
		t.Fatal(err)
	}
	last, err := db.OrganizationBySlug(ctx, "org-"+strconv.Itoa(rows-1))
	if err != nil {
		t.Fatal(err)
	}
	type timed struct {
		what string
		read func() (int, error)
	}
	var pages []timed
	for _, order := range authcore.UserOrders {
		middle := "user5"
		if order.ByTime() {
			middle = halfID
		}
		for what, q := range map[string]authcore.UserQuery{"users": {}, "users, in the middle": {After: middle}, "users, disabled": {Status: authcore.Disabled}, "users, active": {Status: authcore.Active}, "users, owners": {Owners: true},
			"users, owners who are disabled": {Owners: true, Status: authcore.Disabled}, "users, prefix of all": {Prefix: "user"}, "users, prefix of all, in the middle": {Prefix: "user", After: middle},
			"users, prefix of all, disabled": {Prefix: "user", Status: authcore.Disabled}, "users, prefix of many": {Prefix: "user11"}, "users, prefix of few": {Prefix: "user1999"}, "users, prefix of few, active": {Prefix: "user1999", Status: authcore.Active},
			"users, prefix of an address": {Prefix: "user1999@"}, "users, prefix of none": {Prefix: "zz"}} {
			q.Order = order
			pages = append(pages, timed{what + ", " + string(order), users(q)})
		}
	}
	for _, order := range authcore.SessionOrders {
		for what, q := range map[string]authcore.SessionQuery{"sessions": {}, "sessions, in the middle": {After: halfID}, "sessions of one": {User: one}} {
			q.Order = order
			pages = append(pages, timed{what + ", " + string(order), sessions(q)})
		}
	}
	for _, order := range authcore.EventOrders {
		for what, q := range map[string]authcore.EventQuery{"events": {}, "events, in the middle": {After: halfID}, "events, action": {Action: authcore.UserLogin}, "events, rare action": {Action: authcore.UserOwner},
			"events, actor": {Actor: "actor7"}, "events, target": {Target: "user:7"}, "events, rare outcome": {Outcome: authcore.Failure}, "events, action and rare outcome": {Action: authcore.UserLogin, Outcome: authcore.Failure},
			"events, actor and action": {Actor: "actor7", Action: authcore.UserOwner}, "events, lately": {Since: halfway}, "events, long ago": {Until: halfway},
			"events, a day and an action": {Action: authcore.UserLogin, Since: halfway.Add(-24 * time.Hour), Until: halfway}} {
			q.Order = order
			pages = append(pages, timed{what + ", " + string(order), events(q)})
		}
	}
	for _, order := range authcore.OrganizationOrders {
		middle := "org-5"
		switch {
		case order.ByTime():
			middle = halfID
		case order == authcore.ByStatus, order == authcore.ByStatusDown:
			middle = "active org-5"
		}
		for what, q := range map[string]authcore.OrganizationQuery{"organizations": {}, "organizations, in the middle": {After: middle}, "organizations, pending": {Status: authcore.OrganizationPending}, "organizations, active": {Status: authcore.OrganizationActive},
			"organizations, prefix of all": {Prefix: "org-"}, "organizations, prefix of all, pending, in the middle": {Prefix: "org-", Status: authcore.OrganizationPending, After: middle}, "organizations, prefix of few": {Prefix: "org-1999"},
			"organizations of one user": {Member: one}} {
			q.Order = order
			pages = append(pages, timed{what + ", " + string(order), organizations(q)})
		}
	}
	for _, order := range authcore.MemberOrders {
		q := authcore.MemberQuery{Order: order, Limit: min(rows, 5000)}
		half, err := db.Members(ctx, first.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		for what, q := range map[string]authcore.MemberQuery{"members": {}, "members, in the middle": {After: q.Place(half[len(half)-1])}, "members, prefix": {Prefix: "user1"}, "members, prefix of few": {Prefix: "user1999"}} {
			q.Order, q.Limit = order, 200
			pages = append(pages, timed{what + ", " + string(order), func() (int, error) { p, err := db.Members(ctx, first.ID, q); return len(p), err }})
			pages = append(pages, timed{what + ", " + string(order) + ", of few", func() (int, error) { p, err := db.Members(ctx, last.ID, q); return len(p), err }})
		}
	}
	for _, order := range authcore.ServiceOrders {
		q := authcore.ServiceQuery{Order: order, Limit: min(rows, 5000)}
		half, err := db.Services(ctx, first.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		for what, q := range map[string]authcore.ServiceQuery{"services": {}, "services, in the middle": {After: q.Place(half[len(half)-1])}, "services, a word that none has": {Search: "x"}} {
			q.Order, q.Limit = order, 200
			pages = append(pages, timed{what + ", " + string(order), func() (int, error) { p, err := db.Services(ctx, first.ID, q); return len(p), err }})
		}
	}
	for _, order := range authcore.DeliveryOrders {
		for what, after := range map[string]string{"deliveries": "", "deliveries, in the middle": halfID} {
			q := authcore.ListQuery{Order: order, After: after, Limit: 200}
			pages = append(pages, timed{what + ", " + string(order), func() (int, error) { p, err := db.Deliveries(ctx, "hook", q); return len(p), err }})
		}
	}
	slices.SortFunc(pages, func(a, b timed) int { return strings.Compare(a.what, b.what) })
	for _, page := range pages {
		var took []time.Duration
		n := 0
		for range 5 {
			began := time.Now()
			found, err := page.read()
			if err != nil {
				t.Fatalf("%s: %v", page.what, err)
			}
			took, n = append(took, time.Since(began)), found
		}
		slices.Sort(took)
		t.Logf("%-58s %3d rows of %d: median %8s, slowest %8s", page.what, n, rows, took[2].Round(10*time.Microsecond), took[4].Round(10*time.Microsecond))
		if os.Getenv("GATE_ROWS") != "" && took[2] > pageLimit {
			t.Errorf("%s: %s is more than %s", page.what, took[2], pageLimit)
		}
	}
}

// Where many have what is searched for, a page by time looks at so many rows, and goes on:
// nobody is left out, or there twice.
func TestSearchAmongMany(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := openConfig(t, c)
		const rows = 21000
		var values []string
		var many, disabled []string
		for i := range rows {
			name, status := fmt.Sprintf("other%05d", rows-i), authcore.Active
			id := fmt.Sprintf("0190a000-0000-7000-8000-%012d", i)
			if i%2 == 0 {
				name = fmt.Sprintf("many%05d", i*7919%rows)
				many = append(many, id)
				if i == 400 || i == 20600 {
					disabled, status = append(disabled, id), authcore.Disabled
				}
			}
			values = append(values, fmt.Sprintf("('%s', '%s', '%s', '%s@example.com', '%s@example.com', 1, '', '%s', 0, 1, 1)", id, name, name, name, name, status))
		}
		for some := range slices.Chunk(values, 1000) {
			if err := db.Exec(t.Context(), "INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at) VALUES "+strings.Join(some, ", ")); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			query authcore.UserQuery
			want  []string
		}{
			{authcore.UserQuery{Prefix: "many", Limit: 3000}, many},
			{authcore.UserQuery{Prefix: "many", Status: authcore.Disabled, Limit: 1}, disabled},
			{authcore.UserQuery{Prefix: "many", Status: authcore.Disabled, Limit: 5}, disabled},
			{authcore.UserQuery{Prefix: "many0", Limit: 3000}, nil},
		} {
			for _, order := range []authcore.Order{authcore.Oldest, authcore.Newest, authcore.ByName, authcore.ByNameDown} {
				q := test.query
				q.Order = order
				var got []string
				for pages := 0; ; pages++ {
					page, err := db.FindUsers(t.Context(), q)
					if err != nil || pages > 200 {
						t.Fatalf("%+v: %v", q, err)
					}
					for _, u := range page.Users {
						got = append(got, string(u.ID))
					}
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				if order == authcore.Newest {
					slices.Reverse(got)
				}
				want := test.want
				if want == nil { // as many as have it, in order
					want = slices.DeleteFunc(slices.Clone(many), func(id string) bool {
						i, _ := strconv.Atoi(id[24:])
						return i*7919%rows >= 10000
					})
				}
				if !order.ByTime() {
					slices.Sort(got)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q, %s, by %s: %d users, want %d", q.Prefix, q.Status, order, len(got), len(want))
				}
			}
		}
	})
}
