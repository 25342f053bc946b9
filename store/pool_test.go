package store

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Whatever opens readers cannot write by them.
func TestReadersAreReadOnly(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Config{Driver: "sqlite", Path: filepath.Join(t.TempDir(), "gate.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.read.ExecContext(t.Context(), "DELETE FROM users"); err == nil {
		t.Error("a reader wrote")
	}
}

// A writer waits for a lock that is held for a short time.
func TestShortLock(t *testing.T) {
	t.Parallel()
	c := Config{Driver: "sqlite", Path: filepath.Join(t.TempDir(), "gate.db"), Wait: time.Minute}
	holder, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	written := make(chan error)
	if err := holder.command(t.Context(), quick, func(*tx) error {
		go func() { written <- db.command(t.Context(), quick, func(*tx) error { return nil }) }()
		for db.write.Stats().InUse == 0 {
			runtime.Gosched()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
