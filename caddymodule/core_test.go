package caddymodule

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// testCore opens a node's core on a database.
func testCore(t *testing.T, path string) *core {
	t.Helper()
	c := newCore(store.Config{Driver: store.SQLite, Path: path})
	if err := c.open(t.Context(), values{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// cleaned leaves a code that is over in the database, and tells whether it was
// cleaned away within a time.
func (c *core) cleaned(t *testing.T, within time.Duration) bool {
	t.Helper()
	_, hash := authcore.NewToken()
	code := authcore.Code{Hash: hash, Purpose: authcore.PurposeInvite, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(-time.Second)}
	if err := c.db.CreateCode(t.Context(), code, nil); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if there, err := c.db.CodeValid(t.Context(), authcore.PurposeInvite, hash, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		} else if !there {
			return true
		}
	}
	return false
}

// One node cleans up; when it is killed, another does from the time on that the
// lease is over.
func TestCleanupIsTakenOver(t *testing.T) {
	t.Parallel()
	const every = 50 * time.Millisecond
	path := filepath.Join(t.TempDir(), "gate.db")
	dead, heir := testCore(t, path), testCore(t, path)
	defer func() {
		if err := errors.Join(dead.Destruct(), heir.Destruct()); err != nil {
			t.Error(err)
		}
	}()

	life, kill := context.WithCancel(t.Context())
	dead.ended.Go(func() { dead.clean(life, every) })
	if !heir.cleaned(t, time.Minute) {
		t.Fatal("nobody cleans up")
	}
	// As long as the first one lives, another gets no turn.
	if ours, err := dead.db.TakeLease(t.Context(), cleanupLease, dead.node, time.Hour); err != nil || !ours {
		t.Fatalf("the one who cleans has no lease: %v, %v", ours, err)
	}
	if ours, err := heir.db.TakeLease(t.Context(), cleanupLease, heir.node, every); err != nil || ours {
		t.Fatalf("two have the lease: %v, %v", ours, err)
	}
	kill() // like a process that is killed, it gives nothing back
	dead.ended.Wait()
	if _, err := dead.db.TakeLease(t.Context(), cleanupLease, dead.node, every); err != nil {
		t.Fatal(err)
	}
	life, kill = context.WithCancel(t.Context())
	defer func() { kill(); heir.ended.Wait() }()
	heir.ended.Go(func() { heir.clean(life, every) })
	if !heir.cleaned(t, time.Minute) {
		t.Fatal("nobody cleans up after the first was killed")
	}
}
