package store

import (
	"path/filepath"
	"testing"
)

// The writer's connection is switched for each command, and back.
func TestDurability(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Config{Driver: "sqlite", Path: filepath.Join(t.TempDir(), "gate.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const normal, full = 1, 2 // PRAGMA synchronous
	level := func(d durability, want int) {
		t.Helper()
		var got int
		if err := db.command(t.Context(), d, func(tx *tx) error {
			return tx.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got)
		}); err != nil || got != want {
			t.Errorf("synchronous %d, %v, want %d", got, err, want)
		}
	}
	for range 2 {
		level(quick, normal)
		level(durable, full)
		level(durable, full)
		level(quick, normal)
	}
	// A connection that was replaced has what its DSN says, not what the one
	// before had.
	level(durable, full)
	db.write.SetMaxIdleConns(-1)
	level(durable, full)
	level(quick, normal)
	level(durable, full)
}
