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

// endedCode leaves a code that is over in the database, for a cleanup to delete.
// The result tells whether it is still there.
func (c *core) endedCode(t *testing.T) (there func() bool) {
	t.Helper()
	_, hash := authcore.NewToken()
	code := authcore.Code{Hash: hash, Purpose: authcore.PurposeInvite, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(-time.Second)}
	if err := c.db.CreateCode(t.Context(), code, nil); err != nil {
		t.Fatal(err)
	}
	return func() bool {
		t.Helper()
		there, err := c.db.CodeValid(t.Context(), authcore.PurposeInvite, hash, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
}

// One node cleans up; when it is killed, another does from the time on that the
// lease is over.
func TestCleanupIsTakenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gate.db")
	dead, heir := testCore(t, path), testCore(t, path)
	defer func() {
		if err := errors.Join(dead.Destruct(), heir.Destruct()); err != nil {
			t.Error(err)
		}
	}()
	cleanOnce := func(c *core) {
		t.Helper()
		if err := c.cleanSessions(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}

	there := heir.endedCode(t)
	if cleanOnce(dead); there() {
		t.Fatal("the first node does not clean up")
	}
	there = heir.endedCode(t)
	if cleanOnce(heir); !there() {
		t.Fatal("two nodes clean up")
	}
	if cleanOnce(dead); there() {
		t.Fatal("the first node does not clean up again")
	}

	// Like a process that is killed, it gives nothing back; but its lease is over
	// soon.
	if ours, err := dead.db.TakeLease(t.Context(), cleanupLease, dead.node, time.Millisecond); err != nil || !ours {
		t.Fatalf("the one who cleans has no lease: %v, %v", ours, err)
	}
	there = heir.endedCode(t)
	life, kill := context.WithCancel(t.Context())
	defer func() { kill(); heir.ended.Wait() }()
	heir.ended.Go(func() { heir.clean(life, 50*time.Millisecond) })
	for end := time.Now().Add(time.Minute); there(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody cleans up after the first was killed")
		}
	}
}
