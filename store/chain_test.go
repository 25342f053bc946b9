package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// someEvents makes events of now.
func someEvents(n int) []authcore.Event {
	all := make([]authcore.Event, n)
	for i := range all {
		by := authcore.Actor{Kind: authcore.ActorUser, User: "u1", Session: "s1", Client: authcore.NewClient("192.0.2.1", "Browser é", "r1")}
		all[i] = authcore.NewEvent(time.Now(), by, authcore.UserLogin, fmt.Sprint("user:", i), authcore.Failure, "wrong password")
	}
	return all
}

// another is a new database of the same kind.
func another(t *testing.T, c store.Config) store.Config {
	t.Helper()
	return kinds[map[string]string{store.SQLite: "SQLite", store.Postgres: "PostgreSQL", store.MySQL: "MariaDB"}[c.Driver]](t)
}

// verify follows the whole chain.
func verify(t *testing.T, db *store.DB) store.Verified {
	t.Helper()
	var v store.Verified
	for !v.Done {
		var err error
		if v, err = db.VerifyEvents(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raw is a connection to the database that knows nothing of the store.
func raw(t *testing.T, c store.Config) *sql.DB {
	t.Helper()
	names := map[string]string{store.SQLite: "sqlite", store.Postgres: "pgx", store.MySQL: "mysql"}
	at := c.DSN.Reveal()
	if c.Driver == store.SQLite {
		at = c.Path
	}
	db, err := sql.Open(names[c.Driver], at)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// chained opens a database with a key and fills it: three batches of telemetry, and
// events of commands in between.
func chained(t *testing.T, c store.Config) *store.DB {
	t.Helper()
	db := openConfig(t, c)
	db.UseKey(authcore.NewSecretKey())
	for i := range 3 {
		u, ev := aUser(fmt.Sprint("user", i))
		must(t, db.CreateUser(t.Context(), u, "hash", nil, ev))
		must(t, db.InsertEvents(t.Context(), someEvents(100), false))
	}
	must(t, db.SealEvents(t.Context(), false))
	return db
}

// What several nodes write at once is one chain, and nothing is written twice.
func TestChainOfNodes(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		key := authcore.NewSecretKey()
		var nodes [3]*store.DB
		for i := range nodes {
			nodes[i] = openConfig(t, c)
			nodes[i].UseKey(key)
		}
		var wg sync.WaitGroup
		for i, db := range nodes {
			wg.Go(func() {
				for n := range 10 {
					batch := someEvents(20)
					u, ev := aUser(fmt.Sprintf("user%d-%d", i, n))
					for _, err := range []error{db.CreateUser(t.Context(), u, "hash", nil, ev), db.InsertEvents(t.Context(), batch, false),
						db.InsertEvents(t.Context(), append(batch[10:15:15], someEvents(1)...), false)} {
						if err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		must(t, nodes[0].SealEvents(t.Context(), true))
		v := verify(t, nodes[1])
		if want := 3 * 10 * 22; v.Events != want || v.Unsealed != 0 || len(v.Findings) != 0 {
			t.Errorf("%d events, %d unsealed, findings %+v; want %d sealed", v.Events, v.Unsealed, v.Findings, want)
		}
	})
}

// Whoever can write to the database, and has no key, is found out.
func TestTampering(t *testing.T) {
	t.Parallel()
	at := func(batch, place int) string { return fmt.Sprintf(" WHERE batch = %d AND place = %d", batch, place) }
	const columns = "occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id, batch, place, blinding, leaf"
	for name, c := range map[string]struct {
		do   []string
		want string // kind and a part of the text of each finding, one a line
	}{
		"nothing":                   {nil, ""},
		"an outcome changed":        {[]string{"UPDATE events SET outcome = 'success'" + at(2, 7)}, "changed|is not as it was written"},
		"an address changed":        {[]string{"UPDATE events SET address = '192.0.2.9'" + at(2, 7)}, "changed|is not as it was written"},
		"a time changed":            {[]string{"UPDATE events SET occurred_at = occurred_at + 1" + at(1, 1)}, "changed|is not as it was written"},
		"one removed":               {[]string{"DELETE FROM events" + at(2, 7)}, "removed|1 of the 101 events are missing, after"},
		"several removed":           {[]string{"DELETE FROM events WHERE batch = 2 AND place > 50"}, "removed|51 of the 101 events are missing, after"},
		"removed and counted":       {[]string{"DELETE FROM events" + at(2, 101), "UPDATE event_batches SET events = 100 WHERE number = 2"}, "broken|does not follow"},
		"a batch removed":           {[]string{"DELETE FROM events WHERE batch = 2", "DELETE FROM event_batches WHERE number = 2"}, "removed|batches 2 to 2 are missing"},
		"the newest removed":        {[]string{"DELETE FROM events WHERE batch = 3", "DELETE FROM event_batches WHERE number = 3"}, "removed|the newest batches are missing"},
		"the oldest removed":        {[]string{"DELETE FROM events WHERE batch = 1", "DELETE FROM event_batches WHERE number = 1"}, "removed|batches 1 to 1 are missing"},
		"swapped":                   {[]string{"UPDATE events SET place = 1000" + at(2, 1), "UPDATE events SET place = 1" + at(2, 2), "UPDATE events SET place = 2" + at(2, 1000)}, "broken|does not follow"},
		"inserted unsealed":         {[]string{"INSERT INTO events (id, " + columns + ") SELECT 'forged', " + strings.Replace(columns, "batch, place", "0, 0", 1) + " FROM events" + at(1, 1)}, "inserted|was not written by the gate"},
		"inserted into a batch":     {[]string{"INSERT INTO events (id, " + columns + ") SELECT 'forged', " + columns + " FROM events" + at(2, 1)}, "inserted|does not belong here"},
		"inserted behind all":       {[]string{"INSERT INTO events (id, " + columns + ") SELECT 'forged', " + strings.Replace(columns, "batch, place", "99, 1", 1) + " FROM events" + at(2, 1)}, "inserted|claims a batch that is not there"},
		"inserted as from before":   {[]string{"INSERT INTO events (id, " + columns + ") SELECT 'forged', " + strings.Replace(columns, "batch, place", "-1, 0", 1) + " FROM events" + at(1, 1)}, "inserted|claims to be from before there was a chain"},
		"the head changed":          {[]string{"UPDATE settings SET value = '1 - 0 00' WHERE name = 'audit_head'"}, "broken|the record of where the audit chain begins or ends was changed"},
		"made anonymous by another": {[]string{"@anonymise"}, "changed|is not as it was written"},
		"personal fields forged":    {[]string{"@anonymise", "UPDATE events SET details = 'forged', address = '192.0.2.9'" + at(2, 7)}, "changed|is not as it was written"},
		"the time of a batch":       {[]string{"UPDATE event_batches SET sealed_at = sealed_at - 1 WHERE number = 2"}, "broken|does not follow"},
		"made anonymous, forged":    {[]string{"UPDATE events SET blinding = leaf, details = ''" + at(2, 3)}, "changed|is not as it was written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := kinds["SQLite"](t)
			db, other := chained(t, config), raw(t, config)
			for _, q := range c.do {
				if q == "@anonymise" { // as who reads the code would do it
					batches, err := db.SealedBatches(t.Context(), 1, 1)
					must(t, err)
					e := batches[0].Events[6]
					e.Anonymise()
					q = fmt.Sprintf("UPDATE events SET details = '', address = '', agent = '', request_id = '', blinding = '%s'", e.Blinding) + at(2, 7)
				}
				if _, err := other.Exec(q); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, f := range verify(t, db).Findings {
				got = append(got, string(f.Kind)+"|"+f.Text)
			}
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// Forged events without a code are never sealed, however many there are, and a head
// that was changed or removed stops nobody from being recorded; that it was shows
// for ever.
func TestChainGoesOn(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		for i, spoil := range []string{"UPDATE settings SET value = '1 - 0 00' WHERE name = 'audit_head'", "DELETE FROM settings WHERE name = 'audit_head'"} {
			if i > 0 {
				c = another(t, c)
			}
			db, other := chained(t, c), raw(t, c)
			for n := range 600 {
				_, err := other.Exec(fmt.Sprintf("INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id, batch)"+
					" VALUES ('%04d', 1, 'user', '', '', 'user.login', '', 'success', '', '', '', '', 0)", n))
				must(t, err)
			}
			must(t, db.SealEvents(t.Context(), true))
			for _, q := range []string{"DELETE FROM events WHERE batch = 3", "DELETE FROM event_batches WHERE number = 3", spoil} {
				_, err := other.Exec(q)
				must(t, err)
			}
			u, ev := aUser("late")
			must(t, db.CreateUser(t.Context(), u, "hash", nil, ev))
			must(t, db.InsertEvents(t.Context(), someEvents(5), false))
			must(t, db.SealEvents(t.Context(), false))
			v := verify(t, db)
			forged := slices.DeleteFunc(slices.Clone(v.Findings), func(f authcore.Finding) bool { return f.Kind != authcore.EventInserted })
			broken := slices.DeleteFunc(slices.Clone(v.Findings), func(f authcore.Finding) bool { return f.Kind != authcore.ChainBroken })
			if v.Events != 202+1+5+1 || v.Number != 3 || len(forged) != 600 || len(broken) != 1 || len(v.Findings) != 601 {
				t.Errorf("%s: %d events in %d batches, %d forged, the rest %+v", spoil, v.Events, v.Number, len(forged), broken)
			}
		}
	})
}

// Events of before there was a chain are shown, and counted as not protected; more
// than there were then are found.
func TestEventsFromBeforeTheChain(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db, other := openConfig(t, c), raw(t, c)
		db.UseKey(authcore.NewSecretKey())
		insert := func(id string) {
			_, err := other.Exec(fmt.Sprintf("INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id)"+
				" VALUES ('%s', 1, 'user', '', '', 'user.login', '', 'success', '', '', '', '')", id))
			must(t, err)
		}
		check := func(what string, unchained, findings int) {
			t.Helper()
			v := verify(t, db)
			if v.Unchained != unchained || len(v.Findings) != findings {
				t.Errorf("%s: %d from before, findings %+v; want %d, and %d findings", what, v.Unchained, v.Findings, unchained, findings)
			}
		}
		insert("old 1")
		insert("old 2")
		check("before there is a batch", 2, 0)
		must(t, db.InsertEvents(t.Context(), someEvents(3), false))
		check("with one", 2, 0)
		insert("forged")
		check("one more", 3, 1)
		must(t, db.InsertEvents(t.Context(), someEvents(3), false))
		check("and a batch", 3, 1)
		if rows, err := db.UnsealedEvents(t.Context(), "", 10); err != nil || len(rows) != 3 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
}

// Old events go, or only what is personal in them, and the chain holds.
func TestRetention(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := chained(t, c)
		second, err := db.SealedBatches(t.Context(), 1, 1)
		must(t, err)
		cut := second[0].SealedAt
		for n := 1; n > 0; {
			n, err = db.AnonymiseEvents(t.Context(), cut.Add(time.Microsecond))
			must(t, err)
		}
		v := verify(t, db)
		if v.Anonymous != 202 || len(v.Findings) != 0 {
			t.Errorf("%d anonymous, findings %+v; want 202", v.Anonymous, v.Findings)
		}
		first, err := db.SealedBatches(t.Context(), 0, 1)
		must(t, err)
		for _, e := range first[0].Events {
			if e.Actor.Client != (authcore.Client{}) || e.Details != "" || e.Target == "" {
				t.Fatalf("left: %+v", e)
			}
		}
		n, err := db.DeleteEvents(t.Context(), cut)
		must(t, err)
		v = verify(t, db)
		if n != 101 || v.Events != 202 || v.Start != 1 || v.Deleted != 101 || len(v.Findings) != 0 {
			t.Errorf("deleted %d, then %+v", n, v)
		}
		n, err = db.DeleteEvents(t.Context(), time.Now().Add(time.Hour))
		must(t, err)
		must(t, db.InsertEvents(t.Context(), someEvents(3), false))
		v = verify(t, db)
		if n != 202 || v.Events != 3 || v.Deleted != 303 || len(v.Findings) != 0 {
			t.Errorf("deleted %d, then %+v", n, v)
		}
	})
}

// A node that runs notices when the log is emptied under it.
func TestEmptiedLog(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db, other := chained(t, c), raw(t, c)
		for _, q := range []string{"DELETE FROM events", "DELETE FROM event_batches", "DELETE FROM settings WHERE name LIKE 'audit_%'"} {
			_, err := other.Exec(q)
			must(t, err)
		}
		must(t, db.InsertEvents(t.Context(), someEvents(2), false))
		if v := verify(t, db); len(v.Findings) != 1 || v.Findings[0].Kind != authcore.ChainBroken {
			t.Errorf("findings %+v, want one", v.Findings)
		}
	})
}

// Whoever can write to the database cannot have the gate delete fresh events, nor
// what was changed.
func TestRetentionOfWhatWasChanged(t *testing.T) {
	t.Parallel()
	for _, q := range []string{
		"UPDATE event_batches SET sealed_at = 0 WHERE number <= 2",
		"UPDATE events SET outcome = 'success' WHERE batch = 1 AND place = 3",
		"UPDATE settings SET value = '2 - 0 00' WHERE name = 'audit_start'",
		"INSERT INTO settings (name, value) VALUES ('audit_anonymised', '3')",
	} {
		config := kinds["SQLite"](t)
		db, other := chained(t, config), raw(t, config)
		_, err := other.Exec(q)
		must(t, err)
		if _, is := db.DeleteEvents(t.Context(), time.Now().Add(-time.Hour)); strings.Contains(q, "sealed_at") && !errors.Is(is, store.ErrTampered) {
			t.Errorf("%s: deleting fresh events: %v", q, is)
		}
		n, err := db.DeleteEvents(t.Context(), time.Now().Add(time.Hour))
		if n2, err2 := db.AnonymiseEvents(t.Context(), time.Now().Add(time.Hour)); strings.Contains(q, "audit_start") == false && (n != 0 || n2 != 0 || err == nil || err2 == nil) {
			t.Errorf("%s: deleted %d (%v), made anonymous %d (%v)", q, n, err, n2, err2)
		}
		if v := verify(t, db); !strings.Contains(q, "audit_start") && len(v.Findings) == 0 {
			t.Errorf("%s: nothing was found", q)
		}
	}
}

// Batches come whole and in order, whatever the page.
func TestSealedBatches(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := chained(t, c)
		read := func(page int) (ids []string) {
			for after := int64(0); ; {
				batches, err := db.SealedBatches(context.Background(), after, page)
				must(t, err)
				if len(batches) == 0 {
					return ids
				}
				for _, b := range batches {
					for _, e := range b.Events {
						ids = append(ids, e.ID)
					}
				}
				after = batches[len(batches)-1].Number
			}
		}
		if all := read(10_000); len(all) != 303 || !slices.Equal(all, read(1)) || !slices.Equal(all, read(150)) {
			t.Errorf("%d events, and others with other pages", len(all))
		}
		if n, err := db.BatchAt(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 3 {
			t.Errorf("the last batch is %d, %v", n, err)
		}
	})
}

// The events of a user who was deleted lose what is personal, and the chain holds; an
// event of somebody else that was made so, or of somebody whose deletion the gate did not
// sign, is found.
func TestErasedEvents(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := chained(t, c)
		user := authcore.User{ID: authcore.NewUserID(), Username: "erased", Status: authcore.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		event := func(by authcore.UserID, details string) authcore.Event {
			actor := authcore.Actor{Kind: authcore.ActorUser, User: by, Client: authcore.Client{Address: "192.0.2.7", Agent: "Agent/1.0"}}
			return authcore.NewEvent(time.Now(), actor, authcore.UserUpdate, authcore.TargetUser(user.ID), authcore.Success, details)
		}
		must(t, db.CreateUser(t.Context(), user, "", nil, event("", "by an operator")))
		must(t, db.InsertEvents(t.Context(), []authcore.Event{event(user.ID, "secret 1"), event("another", "secret 2")}, false))
		must(t, db.DeleteUser(t.Context(), user.ID, time.Time{}, event(user.ID, "secret 3")))
		must(t, db.InsertEvents(t.Context(), []authcore.Event{event(user.ID, "secret 4")}, false))
		n, err := db.EraseEvents(t.Context(), time.Now().Add(-time.Hour))
		if err != nil || n != 5 {
			t.Errorf("%d events: %v", n, err)
		}
		if n, err = db.EraseEvents(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("again: %d events: %v", n, err)
		}
		left, err := db.EventsOf(t.Context(), user.ID, "", 100)
		must(t, err)
		for _, e := range left {
			if e.Details != "" || e.Actor.Client != (authcore.Client{}) {
				t.Errorf("left: %+v", e)
			}
		}
		if v := verify(t, db); len(v.Findings) != 0 || len(left) != 5 {
			t.Errorf("%d events, findings %+v", len(left), v.Findings)
		}
		other := raw(t, c)
		_, err = other.Exec("UPDATE erased SET signature = 'forged'")
		must(t, err)
		if v := verify(t, db); len(v.Findings) == 0 {
			t.Error("a deletion that nobody signed is believed")
		}
	})
}
