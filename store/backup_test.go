package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

func sqliteAt(path string) store.Config { return store.Config{Driver: store.SQLite, Path: path} }

// A backup is one state of a database that is being written to.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, file := sqliteAt(filepath.Join(dir, "gate.db")), filepath.Join(dir, "backups.db")
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	people(t, db)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			u, ev := aUser("late" + strings.Repeat("x", i%20) + string(authcore.NewUserID())[:8] + string(authcore.NewUserID())[24:])
			_ = db.CreateUser(ctx, u, "hash", nil, ev) // when the test ends, cut off
		}
	})
	err = store.Backup(t.Context(), c, file)
	stop()
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	says(t, "a file that is there", store.Backup(t.Context(), c, file), "is there already")
	says(t, "a database in use", second(store.Restore(t.Context(), c, file, time.Now())), "is in use", "stop Caddy first")
	wantUsers, _ := all(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	kept, err := store.Restore(t.Context(), c, file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db = openConfig(t, c)
	users, events := all(t, db)
	if len(users) < 700 || len(users) > len(wantUsers) || len(events) != len(users)+1 {
		t.Errorf("%d users and %d events of %d", len(users), len(events), len(wantUsers))
	}
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := db.SessionByToken(t.Context(), authcore.HashToken("token")); err == nil {
		t.Error("a session came back")
	}
	if id, err := db.KeyID(t.Context()); err != nil || id != "key" {
		t.Errorf("key %s, %v", id, err)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	old, _ := all(t, open(t, kept)) // what was there is kept, whole
	if diff := cmp.Diff(wantUsers, old); diff != "" {
		t.Error(diff)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".partial*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func second[A any](_ A, err error) error { return err }

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := sqliteAt(filepath.Join(dir, "gate.db"))
	db := openConfig(t, sqliteAt(filepath.Join(dir, "good.db")))
	people(t, db)
	good := filepath.Join(dir, "backup.db")
	if err := store.Backup(t.Context(), sqliteAt(filepath.Join(dir, "good.db")), good); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), body...)
	copy(damaged[len(damaged)/2:], strings.Repeat("damage! ", 1000))
	for name, content := range map[string][]byte{"damaged": damaged, "cut": body[:len(body)/2], "text": []byte(strings.Repeat("text ", 1000)), "empty": nil} {
		file := filepath.Join(dir, name)
		write(t, file, content)
		if _, err := store.Restore(t.Context(), c, file, time.Now()); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := store.Restore(t.Context(), c, filepath.Join(dir, "missing"), time.Now()); err == nil {
		t.Error("a missing file was restored")
	}
	if _, err := os.Stat(c.Path); err == nil {
		t.Error("something was made of it")
	}
	if _, err := store.Restore(t.Context(), c, good, time.Now()); err != nil { // where nothing was
		t.Error(err)
	}
	says(t, "another database", store.Backup(t.Context(), store.Config{Driver: store.Postgres, DSN: "postgres://u:p@h/db"}, filepath.Join(dir, "x")), "pg_dump", "caddy gate copy")
	says(t, "no folder", store.Backup(t.Context(), c, filepath.Join(dir, "missing", "x")), "no such file")
	says(t, "no database", store.Backup(t.Context(), sqliteAt(filepath.Join(dir, "nothing.db")), filepath.Join(dir, "x")), "no such file")
	if _, err := os.Stat(filepath.Join(dir, "nothing.db")); err == nil {
		t.Error("a database was made")
	}
}

// A log that is left of a database which is gone is not taken for the new one's.
func TestRestoreBesideOldLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, file := sqliteAt(filepath.Join(dir, "gate.db")), filepath.Join(dir, "backup.db")
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := addUser(t, db, "alice"); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), c, file); err != nil {
		t.Fatal(err)
	}
	if _, err := addUser(t, db, "bob"); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(c.Path + "-wal")
	if err != nil || len(log) == 0 {
		t.Fatalf("%d bytes of log, %v", len(log), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.Path); err != nil {
		t.Fatal(err)
	}
	write(t, c.Path+"-wal", log)
	kept, err := store.Restore(t.Context(), c, file, time.Now())
	if err != nil || kept == "" {
		t.Fatalf("%s, %v", kept, err)
	}
	if users, _ := all(t, openConfig(t, c)); len(users) != 1 {
		t.Errorf("%d users", len(users))
	}
	if _, err := os.Stat(kept + "-wal"); err != nil {
		t.Error(err)
	}
}

func TestCopyWithoutSessions(t *testing.T) {
	t.Parallel()
	from, to := open(t, t.TempDir()+"/gate.db"), open(t, t.TempDir()+"/other.db")
	people(t, from)
	if err := store.Copy(t.Context(), from, to, store.CopyOptions{WithoutSessions: true, Report: func(store.Copied) {}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := to.SessionByToken(t.Context(), authcore.HashToken("token")); !errors.Is(err, authcore.ErrNoSession) {
		t.Errorf("the session: %v", err)
	}
	if users, _ := all(t, to); len(users) != 700 {
		t.Errorf("%d users", len(users))
	}
}
