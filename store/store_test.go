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
	"github.com/gatehouse-auth/gatehouse/store/storetest"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if file := os.Getenv("GATE_COUNTS"); file != "" && suites.text.Len() > 0 {
		if err := os.WriteFile(file, []byte(suites.text.String()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := dbserver.CloseShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience is for tests that are about what happens, not about how soon.
const patience = time.Minute

// open opens a SQLite file, which must work, and closes it when the test ends.
func open(t testing.TB, path string) *store.DB {
	t.Helper()
	return openConfig(t, store.Config{Driver: store.SQLite, Path: path})
}

func openConfig(t testing.TB, c store.Config) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// kinds are the databases that every test of what a database does runs on. Each
// gives a new and empty one.
var kinds = map[string]func(t testing.TB) store.Config{
	"SQLite": func(t testing.TB) store.Config {
		return store.Config{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "gate.db"), Wait: patience}
	},
	"PostgreSQL": func(t testing.TB) store.Config { return onServer(t, dbserver.PostgreSQL, store.Postgres) },
	"MariaDB":    func(t testing.TB) store.Config { return onServer(t, dbserver.MariaDB, store.MySQL) },
}

// onServer makes a database on the server that all tests share.
func onServer(t testing.TB, kind dbserver.Kind, driver string) store.Config {
	t.Helper()
	s, name := dbserver.Fresh(t, kind)
	return store.Config{Driver: driver, DSN: authcore.Secret(s.DSN(name, dbserver.User)), Wait: patience}
}

// ownServer is a server of the test's own, with a database, for tests that do to
// it what others would feel.
func ownServer(t testing.TB, kind dbserver.Kind, options ...dbserver.Option) (s *dbserver.Server, database string) {
	t.Helper()
	s, err := dbserver.New(kind, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if database, err = s.NewDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, database
}

// eachKind runs a test on every database.
func eachKind(t *testing.T, test func(t *testing.T, c store.Config)) {
	t.Parallel()
	for name, fresh := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// suites says how many tests of the suite passed on each database, for
// `make test` to show.
var suites struct {
	sync.Mutex
	text strings.Builder
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, fresh := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := storetest.Run(t, func(t testing.TB) [2]storetest.Store {
				c := fresh(t)
				return [2]storetest.Store{openConfig(t, c), openConfig(t, c)}
			})
			t.Cleanup(func() {
				suites.Lock()
				defer suites.Unlock()
				result := "passed"
				if t.Failed() {
					result = "FAILED"
				}
				fmt.Fprintf(&suites.text, "store: %d tests on %s %s\n", n, name, result)
			})
		})
	}
}
