//go:build unix

package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(onlyServer); kind != "" {
		runForever(Kind(kind))
	}
	code := m.Run()
	if err := CloseShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// eachKind runs a test on every kind, all at once.
func eachKind(t *testing.T, test func(t *testing.T, kind Kind)) {
	t.Parallel()
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

func TestServer(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		began := time.Now()
		s := newServer(t, kind)
		t.Logf("ready after %s", time.Since(began))
		db := openTable(t, s)

		write(t, db, 1)
		must(t, s.Stop())
		if err := db.PingContext(t.Context()); err == nil {
			t.Error("a stopped server answers")
		}
		began = time.Now()
		must(t, s.Start())
		t.Logf("ready again after %s", time.Since(began))
		sees(t, db, 1)

		write(t, db, 2)
		pids := pidsOf(t, s)
		must(t, s.Kill())
		allGone(t, pids)
		must(t, s.Start())
		sees(t, db, 1, 2)

		if err := s.Start(); err == nil {
			t.Error("a second Start is no error")
		}
		must(t, s.Stop())
		must(t, s.Stop()) // again is fine, as is a Kill of nothing
		must(t, s.Kill())
	})
}

func TestDurable(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := newServer(t, kind, Durable)
		db, err := s.open()
		must(t, err)
		defer db.Close()
		query, want := "SHOW fsync", "on"
		if kind == MariaDB {
			query, want = "SELECT @@innodb_flush_log_at_trx_commit", "1"
		}
		var got string
		must(t, db.QueryRowContext(t.Context(), query).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	})
}

func TestPause(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := newServer(t, kind)
		db := openTable(t, s)
		db.SetMaxIdleConns(1)
		write(t, db, 1) // there is a connection now
		must(t, s.Pause())
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, "INSERT INTO numbers VALUES (2)"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a paused server gave %v, want an end by the deadline", err)
		}

		answer := make(chan error)
		go func() {
			_, err := db.ExecContext(t.Context(), "INSERT INTO numbers VALUES (3)")
			answer <- err
		}()
		must(t, s.Resume())
		must(t, <-answer)

		must(t, s.Pause())
		must(t, s.Stop()) // in good order even so
		if err := s.Pause(); err == nil {
			t.Error("what does not run can be paused")
		}
		must(t, s.Start())
		must(t, s.Pause()) // for Close
	})
}

func TestUsersNeedThePassword(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := sharedServer(t, kind)
		for _, user := range []string{Admin, User, "root", ""} {
			dsn := strings.ReplaceAll(s.DSN("", user), s.Password(), "")
			if err := pingDSN(t, kind, dsn); err == nil {
				t.Errorf("%q gets in without a password", user)
			}
		}
		name, err := s.NewDatabase(t.Context())
		must(t, err)
		must(t, pingDSN(t, kind, s.DSN(name, User)))
		must(t, pingDSN(t, kind, s.DSN("", Admin)))
	})
}

func TestDatabases(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := sharedServer(t, kind)
		if again := sharedServer(t, kind); again != s {
			t.Error("Shared gives two servers")
		}
		one, err := s.NewDatabase(t.Context())
		must(t, err)
		two, err := s.NewDatabase(t.Context())
		must(t, err)
		if one == two {
			t.Errorf("two databases are called %s", one)
		}
		db, err := sql.Open(kind.Driver(), s.DSN(one, User))
		must(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), "CREATE TABLE words (w VARCHAR(20))")
		must(t, err)
		_, err = db.ExecContext(t.Context(), "INSERT INTO words VALUES ('grün 🌱')") // all of Unicode
		must(t, err)
		must(t, s.DropDatabase(t.Context(), one)) // although we are connected
		if err := s.DropDatabase(t.Context(), one); err == nil {
			t.Error("a database can be dropped twice")
		}
		must(t, s.DropDatabase(t.Context(), two))
	})
}

func TestFresh(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s, name := sharedServer(t, kind), ""
		t.Run("one", func(t *testing.T) {
			var on *Server
			if on, name = Fresh(t, kind); on != s {
				t.Error("Fresh is not on the shared server")
			}
			must(t, pingDSN(t, kind, s.DSN(name, User)))
		})
		if err := s.DropDatabase(t.Context(), name); err == nil {
			t.Error("the database outlived its test")
		}
	})
}

// A server whose port somebody else has says so, and starts once it is free. One
// that ends early shows its log.
func TestFailedStart(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		s := newServer(t, kind)
		must(t, s.Stop())
		own := s.port
		s.port = sharedServer(t, kind).port
		if err := s.start(t.Context()); !errors.Is(err, errPortTaken) {
			t.Errorf("start gave %v, want %v", err, errPortTaken)
		}
		s.port = own
		must(t, s.Start())

		must(t, s.Kill())
		must(t, os.RemoveAll(s.data()))
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), s.data()) {
			t.Errorf("a server without data gave %v, want its log", err)
		}
	})
}

// newServer starts a server, and in the end sees that Close leaves nothing of it.
func newServer(t *testing.T, kind Kind, options ...Option) *Server {
	t.Helper()
	s, err := New(kind, options...)
	must(t, err)
	t.Cleanup(func() {
		pids := pidsOf(t, s)
		must(t, s.Close())
		allGone(t, pids)
		if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder: %v, want none", err)
		}
		must(t, s.Close())
	})
	return s
}

func sharedServer(t *testing.T, kind Kind) *Server {
	t.Helper()
	s, err := Shared(kind)
	must(t, err)
	return s
}

// openTable opens a new database with a table of numbers, in the name of User. It
// keeps no connections: the drivers may notice too late that one was broken.
func openTable(t *testing.T, s *Server) *sql.DB {
	t.Helper()
	name, err := s.NewDatabase(t.Context())
	must(t, err)
	db, err := sql.Open(s.Kind.Driver(), s.DSN(name, User))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(0)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY)")
	must(t, err)
	return db
}

func write(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO numbers VALUES (%d)", n))
	must(t, err)
}

func sees(t *testing.T, db *sql.DB, want ...int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT n FROM numbers ORDER BY n")
	must(t, err)
	defer rows.Close()
	var got []int
	for rows.Next() {
		var n int
		must(t, rows.Scan(&n))
		got = append(got, n)
	}
	must(t, rows.Err())
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the table holds %v, want %v", got, want)
	}
}

func pingDSN(t *testing.T, kind Kind, dsn string) error {
	t.Helper()
	db, err := sql.Open(kind.Driver(), dsn)
	must(t, err)
	defer db.Close()
	return db.PingContext(t.Context())
}

// pidsOf is none when the server does not run.
func pidsOf(t *testing.T, s *Server) []int {
	t.Helper()
	if !s.proc.running() {
		return nil
	}
	all, err := family(s.proc.cmd.Process.Pid)
	must(t, err)
	var pids []int
	for _, each := range all {
		pids = append(pids, each.pid)
	}
	if len(pids) == 0 || s.Kind == PostgreSQL && len(pids) < 2 {
		t.Fatalf("%s has the processes %v", s.Kind, pids)
	}
	return pids
}

func allGone(t *testing.T, pids []int) {
	t.Helper()
	gone, err := ended(pids)
	must(t, err)
	if !gone {
		t.Errorf("one of the processes %v is still there", pids)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
