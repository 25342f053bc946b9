package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// filled makes a database with the data of all migrations, and closes it.
func filled(t *testing.T, c store.Config) {
	t.Helper()
	all := store.Steps()
	db := openAt(t, c, len(all))
	fill(t, db, all[len(all)-1]/1000)
	for _, table := range append([]string{"consents", "revoked_tokens"}, store.GrantTables...) {
		if rows, err := db.Rows(t.Context(), table); err != nil || len(rows) == 0 {
			t.Errorf("%s: %d rows, %v", table, len(rows), err)
		}
	}
	closeAll(t, db)
}

// Grants that may have been used or ended since do not come back, while a token that was
// revoked stays so.
func TestGrantsDoNotComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, restored := sqliteAt(dir+"/gate.db"), sqliteAt(dir+"/restored.db")
	filled(t, c)
	other := open(t, dir+"/other.db")
	if err := store.Copy(t.Context(), openConfig(t, c), other, store.CopyOptions{WithoutSessions: true, Report: func(store.Copied) {}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), c, dir+"/backup.db"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Restore(t.Context(), restored, dir+"/backup.db", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, db := range map[string]*store.DB{"copied": other, "restored": openConfig(t, restored)} {
		for _, table := range store.GrantTables {
			if rows, err := db.Rows(t.Context(), table); err != nil || len(rows) != 0 {
				t.Errorf("%s, %s: %q, %v", name, table, rows, err)
			}
		}
		for _, table := range []string{"consents", "revoked_tokens"} {
			if rows, err := db.Rows(t.Context(), table); err != nil || len(rows) != 1 {
				t.Errorf("%s, %s: %q, %v", name, table, rows, err)
			}
		}
	}
}

// Nothing of what a user granted outlives the user, but for the notices that say so.
func TestGrantsOfWhomIsDeleted(t *testing.T) {
	eachKind(t, func(t *testing.T, c store.Config) {
		const user, session = "0190a000-0000-7000-8000-000000000001", "0190a000-0000-7000-8000-000000000041"
		filled(t, c)
		db := openConfig(t, c)
		for _, statement := range []string{"UPDATE users SET delete_at = 1 WHERE id = '" + user + "'",
			"UPDATE device_grants SET status = 'approved', user_id = '" + user + "', session_id = '" + session + "'"} {
			if err := db.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		ev := authcore.NewEvent(time.Now(), authcore.CommandLine(), authcore.UserDelete, user, authcore.Success, "")
		if deleted, err := db.DeleteDue(t.Context(), user, ev); err != nil || !deleted {
			t.Fatal(deleted, err)
		}
		for _, table := range append([]string{"consents"}, store.GrantTables...) {
			rows, err := db.Rows(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			of := slices.DeleteFunc(rows, func(row string) bool { return !strings.Contains(row, user) && !strings.Contains(row, session) })
			if len(of) > 0 && table != "logout_notices" {
				t.Errorf("%s: %q", table, of)
			}
		}
	})
}
