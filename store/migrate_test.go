package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

func openAt(t *testing.T, c store.Config, n int) *store.DB {
	t.Helper()
	db, err := store.OpenAt(t.Context(), c, n)
	if err != nil {
		t.Fatalf("at step %d: %v", n, err)
	}
	return db
}

func closeAll(t *testing.T, dbs ...*store.DB) {
	t.Helper()
	for _, db := range dbs {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fill puts the data of all migrations up to one of them into its tables.
func fill(t *testing.T, db *store.DB, upTo int64) {
	t.Helper()
	names, err := filepath.Glob("testdata/data-*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if filepath.Base(name) > fmt.Sprintf("data-%04d.sql", upTo) {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(strings.TrimSpace(string(body)), ";\n") {
			if err := db.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// Every schema there was is brought up to date with its data.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	all := store.Steps()
	newest := all[len(all)-1] / 1000
	for migration := range newest + 1 {
		if countOf(all, migration) == countOf(all, migration-1) {
			continue // a number that is not used
		}
		if _, err := os.Stat(fmt.Sprintf("testdata/data-%04d.sql", migration)); err != nil {
			t.Errorf("migration %d has no data to be tried with: %v", migration, err)
		}
	}
	for name, fresh := range blanks {
		for from := int64(1); from <= newest; from++ {
			if countOf(all, from) == countOf(all, from-1) {
				continue
			}
			t.Run(fmt.Sprint(name, " from ", from), func(t *testing.T) {
				t.Parallel()
				c := fresh(t)
				old := openAt(t, c, countOf(all, from))
				fill(t, old, from)
				closeAll(t, old)
				now := openConfig(t, c)
				isFilled(t, now, all[len(all)-1])
				if from >= 14 {
					hasService(t, now, from >= 21)
				}
			})
		}
	}
}

// isFilled checks the data of the first migration in a schema of now.
func isFilled(t *testing.T, db *store.DB, schema int64) {
	t.Helper()
	u, hash, err := db.UserByLogin(t.Context(), "alice@example.com", true)
	if err != nil || u.Name != "Alice É. 😀" || !u.Owner || !u.EmailVerified || len(u.Groups) != 1 || !strings.HasPrefix(string(hash), "$argon2id$") ||
		!u.CreatedAt.Equal(time.UnixMicro(1767323045678901)) {
		t.Errorf("%+v, %s, %v", u, hash, err)
	}
	if s, _, err := db.SessionByToken(t.Context(), authcore.TokenHash{}); err != nil || s.UserID != u.ID {
		t.Errorf("%+v, %v", s, err)
	}
	if closed, err := db.SetupClosed(t.Context()); err != nil || !closed {
		t.Errorf("setup closed: %v, %v", closed, err)
	}
	if v, err := db.Schema(t.Context()); err != nil || v != schema {
		t.Errorf("schema %d, %v", v, err)
	}
}

// hasService checks the service and what was granted to it, which the migration of grants
// changes; its own data say more of them.
func hasService(t *testing.T, db *store.DB, grants bool) {
	t.Helper()
	const user, session = "0190a000-0000-7000-8000-000000000001", "0190a000-0000-7000-8000-000000000041"
	s, _, err := db.ServiceByClientID(t.Context(), "client")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := db.SigningKeys(t.Context())
	if err != nil || len(keys) == 0 || keys[0].Algorithm != authcore.ES256 {
		t.Errorf("signing keys %+v, %v", keys, err)
	}
	all, err := db.ServiceSessions(t.Context(), s.Organization, "", user, time.UnixMicro(1767323045678901))
	if err != nil {
		t.Error(err)
	}
	if !grants {
		if s.Algorithm != authcore.ES256 || s.Scopes != nil || s.Keys != "" || s.LogoutURI != "" || s.NoPKCE || s.PushedOnly || s.DPoP || len(all) != 0 {
			t.Errorf("service %+v, sessions %+v", s, all)
		}
		return
	}
	if s.Algorithm != authcore.RS256 || len(s.Scopes) != 2 || s.Keys == "" || s.LogoutURI == "" || !s.NoPKCE || !s.PushedOnly || !s.DPoP || len(all) != 1 || all[0].ID != session || !all[0].Offline {
		t.Errorf("service %+v, sessions %+v", s, all)
	}
}

// countOf counts the steps of the first migrations.
func countOf(all []int64, migrations int64) int {
	n := 0
	for _, version := range all {
		if version/1000 <= migrations {
			n++
		}
	}
	return n
}

// A start that was cut off after any step, or in the middle of one where the
// database does not undo it, goes on from there.
func TestMigrationCutOff(t *testing.T) {
	eachBlank(t, func(t *testing.T, c store.Config) {
		all := store.Steps()
		for n := range all {
			closeAll(t, openAt(t, c, n+1))
			if c.Driver != store.MySQL || n+1 == len(all) {
				continue
			}
			db := openAt(t, c, n+1)
			if err := db.TakeStep(t.Context(), n+1); err != nil {
				t.Fatal(err)
			}
			closeAll(t, db)
		}
		db := openConfig(t, c)
		if _, err := addUser(t, db, "alice"); err != nil {
			t.Error(err)
		}
	})
}

// Of several nodes that start at once on a new database, one makes the schema.
func TestOpenAtOnce(t *testing.T) {
	eachBlank(t, func(t *testing.T, c store.Config) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db, err := store.Open(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	eachBlank(t, func(t *testing.T, c store.Config) {
		db := openConfig(t, c)
		newest, err := db.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		isTrue := map[string]string{store.Postgres: "true"}[c.Driver]
		if isTrue == "" {
			isTrue = "1"
		}
		if err := db.Exec(t.Context(), "INSERT INTO gate_schema (version_id, is_applied) VALUES (9999000, "+isTrue+")"); err != nil {
			t.Fatal(err)
		}
		again, err := store.Open(t.Context(), c)
		if err == nil {
			closeAll(t, again)
		}
		says(t, "newer", err, "made by a newer Gatehouse", "version 9999000", fmt.Sprintf("version %d", newest), "install that version again")
		if err := db.Exec(t.Context(), "DELETE FROM gate_schema WHERE version_id = 9999000"); err != nil {
			t.Fatal(err)
		}
		openConfig(t, c)
	})
}

// A database with the tables of another program is left alone.
func TestForeignDatabaseIsRefused(t *testing.T) {
	eachBlank(t, func(t *testing.T, c store.Config) {
		if c.Driver == store.SQLite {
			return // TestForeignFilesAreRefused
		}
		db := openAt(t, c, 0)
		defer closeAll(t, db)
		if err := db.Exec(t.Context(), "CREATE TABLE notes (text VARCHAR(10))"); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), c)
		says(t, "foreign", err, "belongs to another program", "notes", "a database of its own")
		if err := db.Exec(t.Context(), "SELECT 1 FROM users"); err == nil {
			t.Error("it was changed")
		}
	})
}
