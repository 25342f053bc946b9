package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// tryOpen opens a database that may not work.
func tryOpen(t testing.TB, path string) error {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Driver: "sqlite", Path: path})
	if err == nil {
		err = db.Close()
	}
	return err
}

// outside opens a SQLite file as another program would.
func outside(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

func exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func query[T any](t testing.TB, db *sql.DB, question string) T {
	t.Helper()
	var answer T
	if err := db.QueryRow(question).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}

// says checks that an error holds all of the texts.
func says(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it opened", what)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

// aUser makes up a user, and the event of making it.
func aUser(name string) (authcore.User, authcore.Event) {
	u := authcore.User{ID: authcore.NewUserID(), Username: name, Status: authcore.Active, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	return u, authcore.NewEvent(time.Now(), authcore.CommandLine(), authcore.UserCreate, name, authcore.Success, "")
}

func addUser(t testing.TB, db *store.DB, name string) (authcore.User, error) {
	t.Helper()
	u, ev := aUser(name)
	return u, db.CreateUser(t.Context(), u, "hash", nil, ev)
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Log("files have no mode here")
		return
	}
	dir := filepath.Join(t.TempDir(), "new", "deep")
	db := open(t, filepath.Join(dir, "gate.db"))
	if _, err := addUser(t, db, "alice"); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"": 0o700, "gate.db": 0o600, "gate.db-wal": 0o600, "gate.db-shm": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v, want %v", name, info.Mode().Perm(), err, mode)
		}
	}
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder above: %v, %v", info.Mode().Perm(), err)
	}
	// A folder that is there is left as it is.
	open(t, filepath.Join(filepath.Dir(dir), "other.db"))
	own := t.TempDir()
	if err := os.Chmod(own, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(own, "gate.db"))
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("a folder that was there: %v, %v", info.Mode().Perm(), err)
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gate.db", "with space.db", "per%20cent%.db", "plus+and&.db", "quote'\".db", "ünï😀.db", "semi;colon=.db", "no ending"} {
		path := filepath.Join(t.TempDir(), name)
		db := open(t, path)
		if _, err := addUser(t, db, "alice"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "gate.db?mode=memory", "gate#.db", "file:gate.db", ":memory:", "nul\x00.db"} {
		if err := tryOpen(t, name); err == nil {
			t.Errorf("%q: accepted", name)
		}
	}
	says(t, "another driver", store.Config{Driver: "oracle", Path: "x"}.Validate(), "sqlite")
}

func TestKey(t *testing.T) {
	t.Parallel()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	key := func(path string) string { return store.Config{Driver: "sqlite", Path: path}.Key() }
	for _, same := range []string{"gate.db", "./gate.db", "a/../gate.db", dir + "/gate.db", dir + "//gate.db"} {
		if key(same) != key("gate.db") {
			t.Errorf("%s has the key %s", same, key(same))
		}
	}
	if key("other.db") == key("gate.db") {
		t.Error("two files have one key")
	}
}

func TestWriteAheadLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := open(t, path)
	look := outside(t, path)
	if mode := query[string](t, look, "PRAGMA journal_mode"); mode != "wal" {
		t.Errorf("journal mode %s", mode)
	}
	if id := query[int](t, look, "PRAGMA application_id"); id != 0x47415445 {
		t.Errorf("application id %#x", id)
	}
	if _, err := addUser(t, db, "alice"); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := db.Schema(t.Context()); err != nil || v < 1 {
		t.Errorf("schema %d, %v", v, err)
	}
}

// Readers do not wait for a writer, and a writer that waits gives up in time.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := open(t, path)
	alice, err := addUser(t, db, "alice")
	if err != nil {
		t.Fatal(err)
	}
	holder := outside(t, path)
	for _, lock := range []string{"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		exec(t, holder, lock)
		for range 20 {
			if _, _, err := db.UserByID(t.Context(), alice.ID); err != nil {
				t.Fatalf("%s: a reader got %v", lock, err)
			}
		}
		written := make(chan error)
		go func() {
			_, err := addUser(t, db, "late")
			written <- err
		}()
		for waiting := true; waiting; { // readers go on while a writer of ours waits
			select {
			case err = <-written:
				waiting = false
			default:
				if _, _, err := db.UserByID(t.Context(), alice.ID); err != nil {
					t.Fatalf("%s: a reader beside a writer got %v", lock, err)
				}
			}
		}
		if !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: a writer got %v", lock, err)
		}
		exec(t, holder, "ROLLBACK")
		if _, err := addUser(t, db, "after-"+strings.Fields(lock)[1]); err != nil {
			t.Errorf("after %s: %v", lock, err)
		}
	}
}

// A command whose client goes away while it waits ends, and holds nobody up.
func TestCommandGivenUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	db := open(t, path)
	holder := outside(t, path)
	exec(t, holder, "BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	u, ev := aUser("alice")
	if err := db.CreateUser(ctx, u, "", nil, ev); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	exec(t, holder, "COMMIT")
	if _, err := addUser(t, db, "bob"); err != nil {
		t.Error(err)
	}
}

// Where one reader always begins before the other ends, and a writer never rests,
// SQLite alone cannot use the log again from its beginning: it would grow for ever.
func TestLogStaysShort(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	path := filepath.Join(t.TempDir(), "gate.db")
	db := openConfig(t, store.Config{Driver: store.SQLite, Path: path, Wait: patience})
	db.CutLog(5*time.Millisecond, limit)
	defer overlap(t, path)()
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	write := func(n int) {
		t.Helper()
		var events []authcore.Event
		for range n {
			events = append(events, authcore.NewEvent(time.Now(), authcore.CommandLine(), authcore.UserLogin, "alice", authcore.Success, strings.Repeat("x", 500)))
		}
		if err := db.InsertEvents(t.Context(), events, false); err != nil {
			t.Fatal(err)
		}
	}
	for cut := range 3 {
		for size() <= limit {
			write(100)
		}
		for end := time.Now().Add(patience); size() > limit; write(1) {
			if time.Now().After(end) {
				t.Fatalf("the log was cut off %d times, and has %d bytes now", cut, size())
			}
		}
	}
}

// overlap reads from a file in transactions of which the next one always begins
// before the last ends, until the function that it gives is called.
func overlap(t testing.TB, path string) (stop func()) {
	t.Helper()
	look := outside(t, path)
	look.SetMaxOpenConns(2)
	begin := func() *sql.Tx {
		tx, err := look.Begin()
		if err != nil {
			t.Error(err)
			return nil
		}
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM settings").Scan(&n); err != nil {
			t.Error(err)
		}
		return tx
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for last := begin(); last != nil; {
			select {
			case <-ended:
				_ = last.Rollback()
				return
			default:
			}
			next := begin()
			_ = last.Rollback()
			last = next
		}
	}()
	return func() { close(ended); <-done }
}
