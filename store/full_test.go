package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// A database that may not grow is away for those who write, and for nobody else,
// until it may again.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "gate.db"))
	known, err := addUser(t, db, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // it becomes the size that it has
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		_, err = addUser(t, db, fmt.Sprint("user", i))
	}
	if !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("a full database gives %v", err)
	}
	if u, _, err := db.UserByID(t.Context(), known.ID); err != nil || u.Username != "alice" {
		t.Errorf("to read from it gives %q, %v", u.Username, err)
	}
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Exec(t.Context(), "PRAGMA max_page_count = 1073741823"); err != nil {
		t.Fatal(err)
	}
	if _, err := addUser(t, db, "bob"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
