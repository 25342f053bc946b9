package store_test

import (
	"context"
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

// kinds are the databases that every test of what a database does runs on. Each gives a new
// one with our tables and nothing in them. They are copies: to make the tables by all the
// migrations there are takes longer than most tests.
var kinds = map[string]func(t testing.TB) store.Config{
	"SQLite": func(t testing.TB) store.Config {
		t.Helper()
		file, err := emptySQLite()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "gate.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return store.Config{Driver: store.SQLite, Path: path, Wait: patience}
	},
	"PostgreSQL": func(t testing.TB) store.Config { return onServer(t, dbserver.PostgreSQL, emptyPostgreSQL) },
	"MariaDB":    func(t testing.TB) store.Config { return onServer(t, dbserver.MariaDB, emptyMariaDB) },
}

// blanks are the same with no tables at all.
var blanks = map[string]func(t testing.TB) store.Config{
	"SQLite": func(t testing.TB) store.Config {
		return store.Config{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "gate.db"), Wait: patience}
	},
	"PostgreSQL": func(t testing.TB) store.Config { return onServer(t, dbserver.PostgreSQL, nil) },
	"MariaDB":    func(t testing.TB) store.Config { return onServer(t, dbserver.MariaDB, nil) },
}

// drivers of the kinds that are servers.
var drivers = map[dbserver.Kind]string{dbserver.PostgreSQL: store.Postgres, dbserver.MariaDB: store.MySQL}

var (
	emptySQLite = sync.OnceValues(func() ([]byte, error) {
		folder, err := os.MkdirTemp("", "gate-store-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		path := filepath.Join(folder, "gate.db")
		if err := makeTables(store.Config{Driver: store.SQLite, Path: path}); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	})
	emptyPostgreSQL = sync.OnceValues(func() (string, error) { return emptyOn(dbserver.PostgreSQL) })
	emptyMariaDB    = sync.OnceValues(func() (string, error) { return emptyOn(dbserver.MariaDB) })
)

// emptyOn makes a database with our tables on the server that all tests share.
func emptyOn(kind dbserver.Kind) (name string, err error) {
	s, err := dbserver.Shared(kind)
	if err != nil {
		return "", err
	}
	if name, err = s.NewDatabase(context.Background()); err != nil {
		return "", err
	}
	return name, makeTables(store.Config{Driver: drivers[kind], DSN: authcore.Secret(s.DSN(name, dbserver.User)), Wait: patience})
}

func makeTables(c store.Config) error {
	db, err := store.Open(context.Background(), c)
	if err != nil {
		return err
	}
	return db.Close()
}

// onServer makes a database on the server that all tests share, like another one there where
// that is given.
func onServer(t testing.TB, kind dbserver.Kind, like func() (string, error)) store.Config {
	t.Helper()
	fresh := dbserver.Fresh
	if like != nil {
		from, err := like()
		if err != nil {
			t.Fatal(err)
		}
		fresh = func(t testing.TB, kind dbserver.Kind) (*dbserver.Server, string) { return dbserver.Copy(t, kind, from) }
	}
	s, name := fresh(t, kind)
	return store.Config{Driver: drivers[kind], DSN: authcore.Secret(s.DSN(name, dbserver.User)), Wait: patience}
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
func eachKind(t *testing.T, test func(t *testing.T, c store.Config)) { each(t, kinds, test) }

// eachBlank runs a test on every database, without tables.
func eachBlank(t *testing.T, test func(t *testing.T, c store.Config)) { each(t, blanks, test) }

func each(t *testing.T, of map[string]func(t testing.TB) store.Config, test func(t *testing.T, c store.Config)) {
	t.Parallel()
	for name, fresh := range of {
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
