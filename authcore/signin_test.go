package authcore_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// cheap parameters keep tests fast; the number of hashes is what they look at.
var cheap = password.Params{Memory: 64, Passes: 1, Lanes: 1}

// clockStart is when every test begins.
var clockStart = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// bench is account services on a database of their own, with a clock that stands
// still and a count of hashes.
type bench struct {
	*authcore.Accounts
	db     *store.DB
	gate   *password.Gate
	events recorder
}

type recorder []authcore.Event

func (r *recorder) Record(e authcore.Event) { *r = append(*r, e) }

func newBench(t *testing.T, permits int) *bench {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Driver: "sqlite", Path: filepath.Join(t.TempDir(), "gate.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{db: db, gate: password.NewGate(permits)}
	b.Accounts = newAccounts(t, db)
	hasher, err := password.NewHasher(b.gate, cheap)
	if err != nil {
		t.Fatal(err)
	}
	b.Passwords, b.Audit = hasher, &b.events
	return b
}

// newAccounts makes account services that hash nothing.
func newAccounts(t *testing.T, db *store.DB) *authcore.Accounts {
	t.Helper()
	now := func() time.Time { return clockStart }
	return &authcore.Accounts{Store: db, Sessions: authcore.NewSessions(db, now, nil), Rules: password.DefaultRules,
		Register: authcore.RegisterOff, Lifetime: authcore.Lifetime{Idle: time.Hour, Max: 24 * time.Hour}, Audit: new(recorder),
		ByAddress: limit.New(limit.Pace{}, now), ByAccount: limit.New(limit.Pace{}, now), Notices: limit.New(limit.Pace{}, now), Now: now}
}

func (b *bench) addUser(t *testing.T, name string, pw authcore.Secret) authcore.User {
	t.Helper()
	u, err := b.CreateUser(context.Background(), authcore.CommandLine(), authcore.NewUser{Username: name, Email: name + "@example.com", Password: pw})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// visitor is somebody at an address.
func visitor(address string) authcore.Actor {
	return authcore.Anonymous(authcore.NewClient(address, "test", ""))
}

// TestSignInDoesTheSameWork counts hashes: whoever it is and whatever is wrong,
// there is exactly one, so that time tells nobody which names exist.
func TestSignInDoesTheSameWork(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	const right = "alice-has-a-long-password"
	b.addUser(t, "alice", right)
	disabled := b.addUser(t, "bob", right)
	b.addUser(t, "carol", "")
	if err := b.SetStatus(context.Background(), authcore.CommandLine(), disabled.ID, authcore.Disabled); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, login string
		password    authcore.Secret
		want        error
	}{
		{"right", "alice", right, nil},
		{"right, by email", "Alice@Example.com", right, nil},
		{"right, other case", "ALICE", right, nil},
		{"wrong password", "alice", "wrong", authcore.ErrLoginFailed},
		{"empty password", "alice", "", authcore.ErrLoginFailed},
		{"unknown name", "nobody", right, authcore.ErrLoginFailed},
		{"unknown email", "nobody@example.com", right, authcore.ErrLoginFailed},
		{"empty name", "", right, authcore.ErrLoginFailed},
		{"impossible name", "a b\x00", right, authcore.ErrLoginFailed},
		{"impossible email", "@", right, authcore.ErrLoginFailed},
		{"a name of a megabyte", strings.Repeat("a", 1<<20), right, authcore.ErrLoginFailed},
		{"disabled, right password", "bob", right, authcore.ErrLoginFailed},
		{"disabled, wrong password", "bob", "wrong", authcore.ErrLoginFailed},
		{"without a password", "carol", right, authcore.ErrLoginFailed},
		{"without a password, empty", "carol", "", authcore.ErrLoginFailed},
		{"too long a password", "alice", authcore.Secret(strings.Repeat("x", 1<<20)), authcore.ErrLoginFailed},
		{"too long a password, unknown name", "nobody", authcore.Secret(strings.Repeat("x", 1<<20)), authcore.ErrLoginFailed},
	} {
		before := b.gate.Stats().Hashed
		_, _, err := b.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: test.login, Password: test.password, Host: "app.example.com"})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error is %v, want %v", test.name, err, test.want)
		}
		if n := b.gate.Stats().Hashed - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", test.name, n)
		}
		var e *authcore.Error
		if errors.As(err, &e) && (e.Message != authcore.ErrLoginFailed.Message || e.Field != "" || e.RetryAfter != 0) {
			t.Errorf("%s: what is shown differs: %+v", test.name, e)
		}
	}
}

// TestSignInBusyWhoeverItIs: a full gate refuses known and unknown alike, and
// takes no attempt away.
func TestSignInBusyWhoeverItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	now := func() time.Time { return clockStart }
	b.ByAddress, b.ByAccount = limit.New(limit.Pace{Burst: 1, First: time.Hour}, now), limit.New(limit.Pace{Burst: 1, First: time.Hour}, now)
	b.addUser(t, "alice", "alice-has-a-long-password")
	release, err := b.gate.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"alice", "nobody"} { // each waits for its turn, in vain
		_, _, err := b.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: login, Password: "alice-has-a-long-password"})
		var e *authcore.Error
		if !errors.Is(err, authcore.ErrLoginBusy) || !errors.As(err, &e) || e.RetryAfter <= 0 {
			t.Errorf("%s: error is %v, want busy", login, err)
		}
	}
	release()
	if _, _, err := b.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: "alice", Password: "alice-has-a-long-password"}); err != nil {
		t.Errorf("after the busy moment: %v", err)
	}
}

// TestSignInLimitsComeBeforeTheHash: an attacker who is over a limit costs no hash.
func TestSignInLimitsComeBeforeTheHash(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	now := func() time.Time { return clockStart }
	b.ByAddress, b.ByAccount = limit.New(limit.Pace{Burst: 3, First: time.Hour}, now), limit.New(limit.Pace{Burst: 5, First: time.Hour}, now)
	const right = "alice-has-a-long-password"
	b.addUser(t, "alice", right)
	try := func(address, login string, pw authcore.Secret) error {
		_, _, err := b.SignIn(context.Background(), visitor(address), authcore.SignIn{Login: login, Password: pw})
		return err
	}
	start := b.gate.Stats().Hashed
	for range 10 { // one address guesses many names
		_ = try("192.0.2.1", "nobody", "wrong")
	}
	if n := b.gate.Stats().Hashed - start; n != 3 {
		t.Errorf("one address cost %d hashes, want 3", n)
	}
	start = b.gate.Stats().Hashed
	for i := range 10 { // many addresses guess one name, in many spellings
		_ = try(string(rune('a'+i))+".invalid", []string{"alice", "ALICE", " alice "}[i%3], "wrong")
	}
	if n := b.gate.Stats().Hashed - start; n != 5 {
		t.Errorf("one account cost %d hashes, want 5", n)
	}
	if err := try("192.0.2.9", "alice", right); !errors.Is(err, authcore.ErrTooManyAttempts) {
		t.Errorf("the right password over the limit: %v", err)
	}
}

// TestSignInSuccessCostsNoAttempt: people who know their password never run into
// a limit.
func TestSignInSuccessCostsNoAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	now := func() time.Time { return clockStart }
	b.ByAddress, b.ByAccount = limit.New(limit.Pace{Burst: 2, First: time.Hour}, now), limit.New(limit.Pace{Burst: 2, First: time.Hour}, now)
	b.addUser(t, "alice", "alice-has-a-long-password")
	for i := range 10 {
		_, _, err := b.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: "alice", Password: "alice-has-a-long-password"})
		if err != nil {
			t.Fatalf("sign-in %d: %v", i+1, err)
		}
	}
}

// TestSignInIsAudited: each attempt leaves one event that says why, without what
// was typed as the password.
func TestSignInIsAudited(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.addUser(t, "alice", "alice-has-a-long-password")
	const typed = "typed-by-mistake"
	for login, want := range map[string]string{"alice": "wrong password", "nobody": "unknown user"} {
		b.events = nil
		_, _, _ = b.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: login, Password: typed})
		if len(b.events) != 1 {
			t.Errorf("%s: %d events, want 1", login, len(b.events))
			continue
		}
		e := b.events[0]
		if e.Action != authcore.UserLogin || e.Outcome != authcore.Failure || !strings.Contains(e.Details, want) || e.Actor.Client.Address != "192.0.2.1" {
			t.Errorf("%s: event is %+v", login, e)
		}
		if strings.Contains(e.Details, typed) {
			t.Errorf("%s: the event holds the password", login)
		}
	}
}
