package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
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
	// A short lock is waited for.
	exec(t, holder, "BEGIN IMMEDIATE")
	written := make(chan error)
	go func() {
		_, err := addUser(t, db, "patient")
		written <- err
	}()
	time.Sleep(100 * time.Millisecond) // it most likely waits by now
	exec(t, holder, "COMMIT")
	if err := <-written; err != nil {
		t.Error(err)
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

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	if err := tryOpen(t, path); err != nil {
		t.Fatal(err)
	}
	look := outside(t, path)
	newest := query[int](t, look, "SELECT max(version_id) FROM goose_db_version")
	exec(t, look, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	says(t, "newer", tryOpen(t, path), "made by a newer Gatehouse", "version 9999", fmt.Sprintf("version %d", newest), "install that version again")
	exec(t, look, "DELETE FROM goose_db_version WHERE version_id = 9999")
	if err := tryOpen(t, path); err != nil {
		t.Error(err)
	}
}

// What cannot be our database is refused with what to do, and is left as it was.
func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 8192)
	_, _ = rand.Read(noise)
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		says []string
	}{
		{"another program's database", func(t *testing.T, path string) {
			db := outside(t, path)
			exec(t, db, "CREATE TABLE notes (text TEXT)", "INSERT INTO notes VALUES ('dear diary')")
			db.Close()
		}, []string{"belongs to another program", "choose another file"}},
		{"another program's database, with its mark", func(t *testing.T, path string) {
			db := outside(t, path)
			exec(t, db, "PRAGMA application_id = 42", "CREATE TABLE users (id TEXT)")
			db.Close()
		}, []string{"belongs to another program", "choose another file"}},
		{"an empty database of another program", func(t *testing.T, path string) {
			db := outside(t, path)
			exec(t, db, "PRAGMA application_id = 42", "CREATE TABLE x (id TEXT)", "DROP TABLE x")
			db.Close()
		}, []string{"belongs to another program", "choose another file"}},
		{"a text", func(t *testing.T, path string) {
			write(t, path, bytes.Repeat([]byte("This is a text, and no database at all.\n"), 100))
		}, []string{"not a SQLite database", "choose another file"}},
		{"a short text", func(t *testing.T, path string) { write(t, path, []byte("hello\n")) }, []string{"not a SQLite database", "choose another file"}},
		{"noise", func(t *testing.T, path string) { write(t, path, noise) }, []string{"not a SQLite database", "choose another file"}},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"is a directory", "choose another"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "gate.db")
			test.make(t, path)
			before, _ := os.ReadFile(path)
			says(t, test.name, tryOpen(t, path), append(test.says, path)...)
			after, _ := os.ReadFile(path)
			if !bytes.Equal(before, after) {
				t.Error("the file has changed")
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("files were left beside it: %v, %v", entries, err)
			}
		})
	}
}

func write(t testing.TB, path string, body []byte) {
	t.Helper()
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Below a file there is no folder to make.
func TestFolderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	path := filepath.Join(file, "gate.db")
	says(t, "below a file", tryOpen(t, path), path, "not a directory", "make the folder writable", `"database sqlite FILE"`)
}

// An empty file is a new database: something else may make the file first, to
// give it an owner.
func TestEmptyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	write(t, path, nil)
	if _, err := addUser(t, open(t, path), "alice"); err != nil {
		t.Error(err)
	}
}

// A damaged database gives errors, never wrong answers or a crash, and
// CheckIntegrity says so.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	db, err := store.Open(t.Context(), store.Config{Driver: "sqlite", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[authcore.UserID]string)
	var rows []string
	for i := range 300 {
		id, name := authcore.NewUserID(), fmt.Sprint("user", i)
		ids[id] = name
		rows = append(rows, fmt.Sprintf("('%s', '%s', '%[2]s', '', 0, '', 'active', 0, 1, 1)", id, name))
	}
	look := outside(t, path)
	exec(t, look, "INSERT INTO users (id, username, username_key, email, email_verified, name, status, owner, created_at, updated_at) VALUES "+
		strings.Join(rows, ", "))
	if err := errors.Join(look.Close(), db.Close()); err != nil { // the last to close it writes the log back
		t.Fatal(err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for at := 8 * page; at+page <= len(body); at += 3 * page { // not the schema
		_, _ = rand.Read(body[at : at+page])
	}
	write(t, path, body)
	db, err = store.Open(t.Context(), store.Config{Driver: "sqlite", Path: path})
	if err != nil {
		t.Logf("it does not open: %v", err)
		return
	}
	defer db.Close()
	damaged := 0
	for id, name := range ids {
		u, _, err := db.UserByID(t.Context(), id)
		switch {
		case err == nil && u.Username != name:
			t.Errorf("%s is read as %q", name, u.Username)
		case err != nil && !errors.Is(err, authcore.ErrUserNotFound):
			damaged++
		}
	}
	if err := db.CheckIntegrity(t.Context()); err == nil {
		t.Error("CheckIntegrity finds nothing wrong")
	}
	t.Logf("%d of %d users cannot be read", damaged, len(ids))
}

// Two processes that start at once on a new file both work.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		path := filepath.Join(t.TempDir(), "gate.db")
		errs := make(chan error)
		for range 4 {
			go func() { errs <- tryOpen(t, path) }()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
}
