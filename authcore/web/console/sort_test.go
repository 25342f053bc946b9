package console_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/console"
	"github.com/gatehouse-auth/gatehouse/store"
)

// desk is where somebody looks at pages, as a platform owner.
type desk struct {
	*testing.T
	accounts *authcore.Accounts
	db       *store.DB
	now      time.Time
	owner    authcore.User
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "gate.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &desk{T: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return d.now }
	d.accounts = &authcore.Accounts{Store: db, Now: clock, Sessions: authcore.NewSessions(db, clock, func(*authcore.User) any { return nil }), Lifetime: authcore.Lifetime{Idle: time.Hour, Max: 24 * time.Hour}}
	d.owner = d.user("owner", true)
	return d
}

func (d *desk) event(action authcore.Action) authcore.Event {
	return authcore.NewEvent(d.now, authcore.CommandLine(), action, "", authcore.Success, "")
}

func (d *desk) user(name string, owner bool) authcore.User {
	d.Helper()
	u := authcore.User{ID: authcore.NewUserID(), Username: name, Email: name + "@example.com", Status: authcore.Active, Owner: owner, CreatedAt: d.now, UpdatedAt: d.now}
	if err := d.db.CreateUser(d.Context(), u, "hash", nil, d.event(authcore.UserCreate)); err != nil {
		d.Fatal(err)
	}
	return u
}

// look asks for a page, and gives the table of one of its parts.
func (d *desk) look(address, part string) *console.Table {
	d.Helper()
	path, query, _ := strings.Cut(strings.TrimPrefix(address, console.Base), "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		d.Fatal(err)
	}
	v := console.Visit{Accounts: d.accounts, Actor: authcore.Actor{Kind: authcore.ActorUser, User: d.owner.ID, Session: authcore.NewSessionID()}, User: &d.owner, Path: path, Query: values, Now: d.now,
		Ready: func(context.Context) error { return nil }}
	got, err := v.Serve(d.Context())
	if err != nil {
		d.Fatalf("%s: %v", address, err)
	}
	i := slices.IndexFunc(got.Page.Parts, func(p console.Part) bool { return p.ID == part })
	if i < 0 || got.Page.Parts[i].Table == nil {
		d.Fatalf("%s has no table of %s", address, part)
	}
	return got.Page.Parts[i].Table
}

// column gives what a column says.
func column(t *console.Table, i int) (texts []string) {
	for _, r := range t.Rows {
		texts = append(texts, r.Cells[i].Text)
	}
	return texts
}

func (d *desk) same(what string, want, got any) {
	d.Helper()
	if fmt.Sprint(want) != fmt.Sprint(got) {
		d.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Headings lead to the other orders: with the search, to the first page, and the way back.
func TestSort(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, name := range []string{"mia", "zoe", "ada"} {
		d.user(name, false)
	}
	for _, test := range []struct {
		query, column, now, to string
		want                   []string
	}{
		{"", "Username", "ascending", "sort=-name", []string{"ada", "mia", "owner", "zoe"}},
		{"", "Since", "", "sort=newest", []string{"ada", "mia", "owner", "zoe"}},
		{"?sort=name", "Username", "ascending", "sort=-name", []string{"ada", "mia", "owner", "zoe"}},
		{"?sort=-name", "Username", "descending", "sort=name", []string{"zoe", "owner", "mia", "ada"}},
		{"?sort=-name", "Since", "", "sort=newest", []string{"zoe", "owner", "mia", "ada"}},
		{"?sort=newest", "Since", "descending", "sort=oldest", []string{"ada", "zoe", "mia", "owner"}},
		{"?sort=newest", "Username", "", "sort=name", []string{"ada", "zoe", "mia", "owner"}},
		{"?sort=oldest", "Since", "ascending", "sort=newest", []string{"owner", "mia", "zoe", "ada"}},
		{"?sort=nonsense", "Username", "ascending", "sort=-name", []string{"ada", "mia", "owner", "zoe"}},
		{"?sort=status", "Username", "ascending", "sort=-name", []string{"ada", "mia", "owner", "zoe"}},
		{"?q=m&sort=newest&after=x&done=saved", "Username", "", "q=m&sort=name", []string{"mia"}},
		{"?owners=yes&status=active&sort=oldest", "Since", "ascending", "owners=yes&sort=newest&status=active", []string{"owner"}},
		{"?after=%00", "Username", "ascending", "sort=-name", []string{"ada", "mia", "owner", "zoe"}},
		{"?after=%ff&sort=newest", "Since", "descending", "sort=oldest", []string{"ada", "zoe", "mia", "owner"}},
	} {
		table := d.look("admin/users"+test.query, "users")
		if !strings.Contains(test.query, "after=x") {
			d.same(test.query, test.want, column(table, 0))
		}
		d.same(test.query+", heading "+test.column, console.Heading{URL: console.Base + "admin/users?" + test.to, Now: test.now}, table.Sort[test.column])
		if len(table.Sort) != 2 || table.Sort["Email"].URL != "" {
			t.Errorf("%s: headings %v", test.query, table.Sort)
		}
		kept := ""
		for _, f := range table.Search.Kept {
			kept += f.Name + "=" + f.Value
		}
		query, _ := url.ParseQuery(strings.TrimPrefix(test.query, "?"))
		if want := query.Get("sort"); kept != "" && kept != "sort="+want || kept == "" && want != "" {
			t.Errorf("%s: a search keeps %q", test.query, kept)
		}
	}
}

// The next page is in the order of the first, on every page with a list.
func TestSortedPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	o := authcore.Organization{ID: authcore.OrganizationID(authcore.NewUserID()), Slug: "acme", Name: "Acme", Status: authcore.OrganizationActive, Tier: "free", CreatedAt: d.now, UpdatedAt: d.now}
	if err := d.db.CreateOrganization(t.Context(), o, d.owner.ID, d.event(authcore.OrganizationCreate)); err != nil {
		t.Fatal(err)
	}
	none := 0
	if err := d.db.SetOverrides(t.Context(), o.ID, authcore.Overrides{Members: &none, Services: &none}, d.event(authcore.OrganizationLimits)); err != nil {
		t.Fatal(err)
	}
	for i := range console.PerPage + 5 {
		u := d.user(fmt.Sprintf("user%02d", (i*7)%100), false)
		if err := d.db.SetMember(t.Context(), authcore.MemberChange{Organization: o.ID, User: u.ID, To: authcore.RoleMember}, d.event(authcore.MemberSet)); err != nil {
			t.Fatal(err)
		}
		other := authcore.Organization{ID: authcore.OrganizationID(authcore.NewUserID()), Slug: fmt.Sprintf("org-%02d", (i*7)%100), Name: "Org", Status: authcore.OrganizationStatus([]string{"pending", "active"}[i%2]), Tier: "free", CreatedAt: d.now, UpdatedAt: d.now}
		if err := d.db.CreateOrganization(t.Context(), other, u.ID, d.event(authcore.OrganizationCreate)); err != nil {
			t.Fatal(err)
		}
		s := authcore.Service{ID: authcore.ServiceID(authcore.NewUserID()), Organization: o.ID, Type: authcore.ServiceWeb, ClientID: string(authcore.NewUserID()), CreatedAt: d.now, UpdatedAt: d.now,
			ServiceSettings: authcore.ServiceSettings{Name: fmt.Sprintf("Service %d", i%3), Status: authcore.Active, Access: authcore.ReachEveryone, TokenFormat: authcore.TokenJWT, Algorithm: authcore.ES256}}
		if err := d.db.CreateService(t.Context(), s, d.event(authcore.ServiceCreate)); err != nil {
			t.Fatal(err)
		}
		if err := d.accounts.NoteEndUser(t.Context(), s, u.ID); err != nil {
			t.Fatal(err)
		}
		session := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: "auth.example.com", AMR: []string{"pwd"}, AuthTime: d.now, CreatedAt: d.now, LastSeen: d.now, ExpiresAt: d.now.Add(time.Hour)}
		session.Root = session.ID
		_, token := authcore.NewToken()
		if err := d.db.CreateSession(t.Context(), session, token, "hash", d.event(authcore.UserLogin)); err != nil {
			t.Fatal(err)
		}
	}
	for _, list := range []struct {
		path, part string
		orders     authcore.Orders
		rows       int
	}{
		{"admin/users", "users", authcore.UserOrders, 56},
		{"admin/organizations", "organizations", authcore.OrganizationOrders, 56},
		{"admin/sessions", "sessions", authcore.SessionOrders, 55},
		{"admin/audit?action=member.set", "events", authcore.EventOrders, 55},
		{"org/acme/members", "members", authcore.MemberOrders, 56},
		{"org/acme/services", "services", authcore.ServiceOrders, 55},
		{"org/acme/users", "users", authcore.EndUserOrders, 55},
		{"org/acme/audit", "events", authcore.EventOrders, 0},
	} {
		shown := make(map[string][]string)
		for _, order := range list.orders {
			at := console.Base + list.path + "?"
			if strings.Contains(list.path, "?") {
				at = console.Base + list.path + "&"
			}
			at += "sort=" + string(order)
			var rows []string
			for pages := 0; at != "" && pages < 9; pages++ {
				table := d.look(at, list.part)
				for _, r := range table.Rows {
					rows = append(rows, fmt.Sprint(r.Cells, r.Forms))
				}
				if next, err := url.Parse(table.Next); err != nil || table.Next != "" && next.Query().Get("sort") != string(order) {
					t.Errorf("after %s comes %s", at, table.Next)
				}
				now := 0
				for _, h := range table.Sort {
					if h.Now != "" {
						now++
					}
					if strings.Contains(h.URL, "after=") {
						t.Errorf("%s: a heading leads to %s", at, h.URL)
					}
				}
				d.same(at+": headings by which it is sorted", 1, now)
				at = table.Next
			}
			if list.rows != 0 {
				d.same(list.path+" by "+string(order), list.rows, len(rows))
			}
			shown[string(order)] = rows
		}
		for _, pair := range [][2]authcore.Order{{authcore.ByName, authcore.ByNameDown}, {authcore.Newest, authcore.Oldest}, {authcore.ByStatus, authcore.ByStatusDown}} {
			other := slices.Clone(shown[string(pair[1])])
			slices.Reverse(other)
			if !slices.Equal(shown[string(pair[0])], other) {
				t.Errorf("%s: by %s is not by %s from behind", list.path, pair[0], pair[1])
			}
		}
	}
}
