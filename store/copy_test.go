package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// people fills a database: users with and without everything, a session, a code,
// and texts that a database might spoil.
func people(t *testing.T, db *store.DB) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for i := range 700 { // more than one batch
		u, ev := aUser(fmt.Sprint("user", i))
		u.CreatedAt, u.UpdatedAt = now, now
		if i%2 == 0 {
			u.Email, u.Name = u.Username+"@example.com", "É 😀 \\ ' \" % \t; -- "
			u.Groups = []string{"ops", "staff"}
		}
		ev.Details = strings.Repeat("ü", i%200)
		if err := db.CreateUser(t.Context(), u, "hash", nil, ev); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: "app.example.com", AMR: []string{"pwd"}, AuthTime: now, CreatedAt: now,
				LastSeen: now, ExpiresAt: now.Add(time.Hour)}
			s.Root = s.ID
			if err := db.CreateSession(t.Context(), s, authcore.HashToken("token"), "hash", ev2(ev)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.BindKey(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	// What comes along is not what is copied.
	if err := db.Exec(t.Context(), "UPDATE tiers SET members = 7, features = 'risk' WHERE name = 'free'"); err != nil {
		t.Fatal(err)
	}
}

// ev2 is another event like one.
func ev2(ev authcore.Event) authcore.Event {
	return authcore.NewEvent(ev.Time, ev.Actor, ev.Action, ev.Target, ev.Outcome, ev.Details)
}

// all reads every user and the events.
func all(t *testing.T, db *store.DB) (users []authcore.User, events []authcore.SealedEvent) {
	t.Helper()
	for after := ""; ; {
		page, err := db.Users(t.Context(), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		users, after = append(users, page...), page[len(page)-1].Username
	}
	events, err := db.EventsAfter(t.Context(), "", 5000)
	if err != nil {
		t.Fatal(err)
	}
	return users, events
}

// What goes around by all three databases is what it was.
func TestCopy(t *testing.T) {
	t.Parallel()
	first := open(t, t.TempDir()+"/gate.db")
	people(t, first)
	users, events := all(t, first)
	var sums []store.Copied
	from := first
	for _, kind := range []string{"PostgreSQL", "MariaDB", "PostgreSQL", "SQLite", "MariaDB", "SQLite"} {
		to := openConfig(t, kinds[kind](t))
		var copied []store.Copied
		if err := store.Copy(t.Context(), from, to, store.CopyOptions{Report: func(c store.Copied) { copied = append(copied, c) }}); err != nil {
			t.Fatalf("to %s: %v", kind, err)
		}
		if sums != nil && !cmp.Equal(sums, copied) {
			t.Errorf("to %s:\n%s", kind, cmp.Diff(sums, copied))
		}
		gotUsers, gotEvents := all(t, to)
		if diff := cmp.Diff(users, gotUsers) + cmp.Diff(events, gotEvents); diff != "" {
			t.Errorf("to %s (-want +got):\n%s", kind, diff[:min(len(diff), 2000)])
		}
		if _, u, err := to.SessionByToken(t.Context(), authcore.HashToken("token")); err != nil || u.Username != "user0" {
			t.Errorf("in %s the session is of %s, %v", kind, u.Username, err)
		}
		if tiers, err := to.Tiers(t.Context()); err != nil || len(tiers) != 4 || tiers[1].Members != 7 || !tiers[1].Has("risk") {
			t.Errorf("in %s the tiers are %+v, %v", kind, tiers, err)
		}
		sums, from = copied, to
	}
	if len(sums) < 8 {
		t.Errorf("%d tables were copied", len(sums))
	}
	for _, c := range sums {
		if want := map[string]int{"users": 700, "passwords": 700, "user_groups": 700, "sessions": 1, "events": 701, "settings": 1, "tiers": 4}[c.Table]; c.Rows != want {
			t.Errorf("%s: %d rows, want %d", c.Table, c.Rows, want)
		}
	}
}

func TestCopyRefuses(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		from, to := open(t, t.TempDir()+"/gate.db"), openConfig(t, c)
		if _, err := addUser(t, from, "alice"); err != nil {
			t.Fatal(err)
		}
		if err := to.BindKey(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		err := store.Copy(t.Context(), from, to, store.CopyOptions{Report: func(store.Copied) { t.Error("something was copied") }})
		says(t, "a database in use", err, "not empty", "settings", "nothing has used")
		if users, _ := all(t, to); len(users) != 0 {
			t.Error("it was changed")
		}
	})
}
