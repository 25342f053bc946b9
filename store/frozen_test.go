package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// A server that stops in the middle of everything holds nobody for good: commands
// end, in whatever part of them it was, and so does Close.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	for kind, driver := range servers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server, name := ownServer(t, kind)
			db, err := store.Open(t.Context(), store.Config{Driver: driver, DSN: authcore.Secret(server.DSN(name, dbserver.User)), Wait: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			frozen := make(chan struct{})
			var writers, begun sync.WaitGroup
			begun.Add(10)
			for i := range 10 {
				writers.Go(func() {
					for n := 0; ; n++ {
						u, ev := aUser(fmt.Sprintf("user%d-%d", i, n))
						err := db.CreateUser(t.Context(), u, "hash", nil, ev)
						if n == 0 {
							begun.Done()
						}
						select {
						case <-frozen:
							return
						default:
						}
						if err != nil {
							t.Errorf("before it was frozen: %v", err)
							return
						}
					}
				})
			}
			begun.Wait()
			if err := server.Pause(); err != nil {
				t.Fatal(err)
			}
			close(frozen)
			within(t, "the commands", func() { writers.Wait() })
			within(t, "Close", func() { _ = db.Close() })
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// within checks that something ends at all.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not end in %s", what, patience)
	}
}

// Whatever a database has for its default, commands run at READ COMMITTED.
func TestIsolation(t *testing.T) {
	t.Parallel()
	c := kinds["PostgreSQL"](t)
	db := openConfig(t, c)
	if err := db.Exec(t.Context(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$"); err != nil {
		t.Fatal(err)
	}
	level, err := openConfig(t, c).Isolation(t.Context())
	if err != nil || level != "read committed" {
		t.Errorf("%s, %v", level, err)
	}
}

// A database into which a copy was cut off is not taken for a whole one.
func TestUnfinishedCopy(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := openConfig(t, c)
		if err := db.Exec(t.Context(), "INSERT INTO settings (name, value) VALUES ('copy_unfinished', '')"); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), c)
		says(t, "a copy that was cut off", err, "was not finished", "copy again")
	})
}

// Records of changes are deleted by the database's clock.
func TestOldChangesAreDeleted(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		db := openConfig(t, c)
		if err := db.Exec(t.Context(), "INSERT INTO changes (id, changed_at, kind, subject) VALUES ('old', 1, 'user', 'alice')"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.DeleteEnded(t.Context(), time.UnixMicro(2), time.UnixMicro(2), ""); err != nil {
			t.Fatal(err)
		}
		if left, _, err := db.ChangesSince(t.Context(), time.UnixMicro(1)); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
}

// Who hears from a primary that takes no writes any more looks for the new one.
func TestDemotedPrimary(t *testing.T) {
	t.Parallel()
	server, name := ownServer(t, dbserver.MariaDB)
	config := func(user string) store.Config {
		return store.Config{Driver: store.MySQL, DSN: authcore.Secret(server.DSN(name, user)), Wait: patience}
	}
	db, admin := openConfig(t, config(dbserver.User)), openConfig(t, config(dbserver.Admin))
	for _, test := range []struct{ readOnly, kept int }{{0, 1}, {1, 0}, {1, 0}, {0, 0}, {0, 1}} {
		if err := admin.Exec(t.Context(), fmt.Sprint("SET GLOBAL read_only = ", test.readOnly)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.ChangesSince(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if kept := db.PulseKept(); kept != test.kept && !(test.readOnly == 0 && kept == 1) {
			t.Errorf("read-only %d: %d connections are kept", test.readOnly, kept)
		}
	}
}
