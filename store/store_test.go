package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/store/storetest"
)

// open opens a database, which must work, and closes it when the test ends.
func open(t testing.TB, path string) *store.DB {
	t.Helper()
	return openConfig(t, store.Config{Driver: "sqlite", Path: path})
}

// patience is for tests that are about what happens, not about how soon.
const patience = time.Minute

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

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) [2]storetest.Store {
		c := store.Config{Driver: "sqlite", Path: filepath.Join(t.TempDir(), "gate.db"), Wait: patience}
		return [2]storetest.Store{openConfig(t, c), openConfig(t, c)}
	})
}
