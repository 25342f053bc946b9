package authcore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

func TestTally(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	now := func() time.Time { return clockStart }
	b.Tally, b.ByAddress, b.ByAccount = new(authcore.Tally), limit.New(limit.Pace{Burst: 2, First: time.Hour}, now), limit.New(limit.Pace{Burst: 3, First: time.Hour}, now)
	const right = "alice-has-a-long-password"
	b.addUser(t, "alice", right)
	try := func(ctx context.Context, address, login string, pw authcore.Secret) {
		_, _, _ = b.SignIn(ctx, visitor(address), authcore.SignIn{Login: login, Password: pw})
	}
	try(t.Context(), "192.0.2.1", "alice", right)
	try(t.Context(), "192.0.2.1", "alice", "wrong")
	try(t.Context(), "192.0.2.1", "nobody", "wrong")
	try(t.Context(), "192.0.2.1", "alice", right) // the address has none left
	try(t.Context(), "192.0.2.2", "alice", "wrong")
	try(t.Context(), "192.0.2.2", "alice", "wrong")
	try(t.Context(), "192.0.2.3", "alice", right) // the account has none left
	release, err := b.gate.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	try(t.Context(), "192.0.2.4", "bob", "wrong")
	release()
	gone, leave := context.WithCancel(t.Context())
	leave()
	try(gone, "192.0.2.5", "carol", "wrong")
	b.ByAddress, b.Spread = limit.New(limit.Pace{}, now), limit.NewSpread(authcore.AlarmAccounts, authcore.AlarmWithin, now)
	for i := range authcore.AlarmAccounts {
		if got := b.Tally.Stats().Alarms; got != 0 {
			t.Fatalf("an alarm after %d accounts", i)
		}
		try(t.Context(), "192.0.2.6", fmt.Sprint("user", i), "wrong")
		try(t.Context(), "192.0.2.6", fmt.Sprint("user", i), "wrong")
	}
	want := authcore.TallyStats{Alarms: 1, SignedIn: 1, Wrong: 44, TooMany: 2, Busy: 1, Trouble: 1, ByAddress: 1, ByAccount: 1}
	if diff := cmp.Diff(want, b.Tally.Stats()); diff != "" {
		t.Errorf("tally (-want +got):\n%s", diff)
	}
}
