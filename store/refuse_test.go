package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

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

// A damaged database gives errors for what is damaged and right answers for the
// rest, and CheckIntegrity says so.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	ids := manyUsers(t, path, 300)
	damageUsers(t, path)
	db := open(t, path)
	damaged := 0
	for id, name := range ids {
		u, _, err := db.UserByID(t.Context(), id)
		switch {
		case errors.Is(err, authcore.ErrUserNotFound):
			t.Errorf("%s is said not to exist", name)
		case err != nil:
			damaged++
		case u.ID != id || u.Username != name || u.Name != name+"'s name" || u.Status != authcore.Active:
			t.Errorf("%s is read as %+v", name, u)
		}
	}
	if damaged == 0 || damaged == len(ids) {
		t.Errorf("%d of %d users cannot be read, want some", damaged, len(ids))
	}
	if err := db.CheckIntegrity(t.Context()); err == nil {
		t.Error("CheckIntegrity finds nothing wrong")
	}
	t.Logf("%d of %d users cannot be read", damaged, len(ids))
}

// manyUsers makes a database with users, and gives their names.
func manyUsers(t *testing.T, path string, n int) map[authcore.UserID]string {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Driver: "sqlite", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[authcore.UserID]string)
	var rows []string
	for i := range n {
		id, name := authcore.NewUserID(), fmt.Sprint("user", i)
		ids[id] = name
		rows = append(rows, fmt.Sprintf("('%s', '%s', '%[2]s', '', 0, '%[2]s''s name', 'active', 0, 1, 1)", id, name))
	}
	look := outside(t, path)
	exec(t, look, "INSERT INTO users (id, username, username_key, email, email_verified, name, status, owner, created_at, updated_at) VALUES "+
		strings.Join(rows, ", "))
	if err := errors.Join(look.Close(), db.Close()); err != nil { // the last to close it writes the log back
		t.Fatal(err)
	}
	return ids
}

// damageUsers overwrites every third page that holds rows of users.
func damageUsers(t *testing.T, path string) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page, tableLeaf = 4096, 0x0d // the first byte of a page is its kind
	found := 0
	for at := page; at+page <= len(body); at += page { // the schema begins on the first one
		if one := body[at : at+page]; one[0] == tableLeaf && bytes.Contains(one, []byte("'s nameactive")) {
			if found++; found%3 == 2 {
				copy(one, bytes.Repeat([]byte("damaged "), page/8))
			}
		}
	}
	write(t, path, body)
}
