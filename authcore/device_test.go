package authcore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

func proofs(n int) (d authcore.Device) {
	for i := range n {
		d = append(d, authcore.Proof{User: authcore.NewUserID(), Since: clockStart, At: clockStart.Add(time.Duration(i) * time.Microsecond)})
	}
	return d
}

func TestDeviceBytes(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		want := proofs(n)
		if diff := cmp.Diff(want, authcore.ParseDevice(want.Bytes())); diff != "" {
			t.Errorf("%d proofs (-want +got):\n%s", n, diff)
		}
	}
	for what, b := range map[string][]byte{"cut": proofs(2).Bytes()[:63], "too long": proofs(6).Bytes(), "text": []byte("device")} {
		if got := authcore.ParseDevice(b); got != nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func FuzzParseDevice(f *testing.F) {
	f.Add(proofs(1).Bytes())
	f.Add(proofs(5).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		d := authcore.ParseDevice(b)
		if again := authcore.ParseDevice(d.Bytes()); len(again) != len(d) {
			t.Errorf("%d proofs became %d", len(d), len(again))
		}
	})
}

func TestDeviceWith(t *testing.T) {
	t.Parallel()
	d := proofs(5)
	fresh := authcore.Proof{User: d[2].User, Since: clockStart, At: clockStart.Add(time.Hour)}
	if diff := cmp.Diff(authcore.Device{fresh, d[0], d[1], d[3], d[4]}, d.With(fresh)); diff != "" {
		t.Errorf("somebody again (-want +got):\n%s", diff)
	}
	sixth := proofs(1)[0]
	if diff := cmp.Diff(authcore.Device{sixth, d[0], d[1], d[2], d[3]}, d.With(sixth)); diff != "" {
		t.Errorf("one more than there is room for (-want +got):\n%s", diff)
	}
}

// deviceBench has limits that a few wrong passwords use up, and a clock that
// moves by hand.
type deviceBench struct {
	*bench
	clock time.Time
}

const right = "alice-has-a-long-password"

func newDeviceBench(t *testing.T, permits int) *deviceBench {
	t.Helper()
	d := &deviceBench{bench: newBench(t, permits), clock: clockStart}
	now := func() time.Time { return d.clock }
	d.Now, d.ByAddress, d.ByAccount = now, limit.New(limit.Pace{Burst: 3, First: time.Hour}, now), limit.New(limit.Pace{Burst: 5, First: time.Hour}, now)
	d.addUser(t, "alice", right)
	return d
}

func (d *deviceBench) try(address, login string, pw authcore.Secret, device authcore.Device) error {
	_, _, err := d.SignIn(context.Background(), visitor(address), authcore.SignIn{Login: login, Password: pw, Device: device})
	return err
}

// device is a browser that a user has signed in with.
func (d *deviceBench) device(t *testing.T, name string, before authcore.Device) authcore.Device {
	t.Helper()
	u, err := d.FindUser(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := d.NewProof(context.Background(), u.ID)
	if err != nil {
		t.Fatalf("no proof: %v", err)
	}
	return authcore.ParseDevice(before.With(proof).Bytes()) // as it comes back
}

// attack uses up the limit of the account, by wrong passwords from everywhere.
func (d *deviceBench) attack(t *testing.T, login string) {
	t.Helper()
	for i := range 20 {
		_ = d.try(fmt.Sprintf("198.51.100.%d", i), login, "wrong", nil)
	}
	if err := d.try("192.0.2.77", login, right, nil); !errors.Is(err, authcore.ErrTooManySignIns) {
		t.Fatalf("%s is not locked for strangers: %v", login, err)
	}
}

// TestKnownDeviceGetsIn: guesses of strangers do not keep a user's device out, and
// whatever else a device may be is a stranger.
func TestKnownDeviceGetsIn(t *testing.T) {
	t.Parallel()
	d := newDeviceBench(t, 0)
	d.addUser(t, "bob", right)
	phone := d.device(t, "alice", nil)
	family := d.device(t, "bob", phone)
	bobs := d.device(t, "bob", nil)
	d.attack(t, "alice")
	forged := authcore.Device{phone[0]}
	forged[0].User = bobs[0].User
	for _, test := range []struct {
		what   string
		login  string
		device authcore.Device
		want   error
	}{
		{"her own", "alice", phone, nil},
		{"her own, by email", "ALICE@example.com", phone, nil},
		{"one that she shares", "alice", family, nil},
		{"somebody else's", "alice", bobs, authcore.ErrTooManySignIns},
		{"of another user by the same proof", "alice", forged, authcore.ErrTooManySignIns},
		{"none", "alice", nil, authcore.ErrTooManySignIns},
	} {
		if err := d.try("192.0.2.77", test.login, right, test.device); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
	}
	for range 10 { // the address of the device is locked, too
		_ = d.try("192.0.2.77", "nobody", "wrong", nil)
	}
	if err := d.try("192.0.2.77", "alice", right, phone); err != nil {
		t.Errorf("from an address that is locked: %v", err)
	}
}

// TestStolenDevice: a device has as many guesses as an address, once.
func TestStolenDevice(t *testing.T) {
	t.Parallel()
	d := newDeviceBench(t, 0)
	phone, other := d.device(t, "alice", nil), authcore.Device(nil)
	d.clock = d.clock.Add(time.Second)
	other = d.device(t, "alice", nil)
	d.attack(t, "alice")
	before := d.gate.Stats().Hashed
	for i := range 100 {
		err := d.try(fmt.Sprintf("203.0.113.%d", i), "alice", "wrong", phone)
		if i >= 3 && !errors.Is(err, authcore.ErrTooManySignIns) {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	if n := d.gate.Stats().Hashed - before; n != 3 {
		t.Errorf("a stolen device had %d guesses, want 3", n)
	}
	if err := d.try("192.0.2.1", "alice", right, other); err != nil {
		t.Errorf("her other device: %v", err)
	}
	d.clock = d.clock.Add(time.Hour)
	if err := d.try("192.0.2.1", "alice", right, phone); err != nil {
		t.Errorf("her stolen device, later: %v", err)
	}
}

// TestWhatEndsADevice: a new password, signing out everywhere, and age.
func TestWhatEndsADevice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		what  string
		known bool
		do    func(d *deviceBench, alice authcore.User) error
	}{
		{"nothing", true, func(*deviceBench, authcore.User) error { return nil }},
		{"another name", true, func(d *deviceBench, alice authcore.User) error {
			return d.UpdateProfile(context.Background(), authcore.Actor{Kind: authcore.ActorUser, User: alice.ID}, "Alice", "alice@example.com")
		}},
		{"a hash of other parameters", true, func(d *deviceBench, alice authcore.User) error {
			_, old, err := d.Store.UserByID(context.Background(), alice.ID)
			if err != nil {
				return err
			}
			fresh, err := d.Passwords.Hash(context.Background(), right)
			return errors.Join(err, d.Store.Rehash(context.Background(), alice.ID, old, fresh))
		}},
		{"signing out", true, func(d *deviceBench, alice authcore.User) error {
			_, s, err := d.SignIn(context.Background(), visitor("192.0.2.1"), authcore.SignIn{Login: "alice", Password: right})
			return errors.Join(err, d.Revoke(context.Background(), authcore.CommandLine(), s.ID))
		}},
		{"a year", true, func(d *deviceBench, _ authcore.User) error {
			d.clock = d.clock.Add(365 * 24 * time.Hour)
			return nil
		}},
		{"its life", false, func(d *deviceBench, _ authcore.User) error {
			d.clock = d.clock.Add(authcore.DeviceLife)
			return nil
		}},
		{"the same password again", false, func(d *deviceBench, alice authcore.User) error {
			return d.SetPassword(context.Background(), authcore.CommandLine(), alice.ID, right)
		}},
		{"signing out everywhere", false, func(d *deviceBench, alice authcore.User) error {
			_, err := d.RevokeAll(context.Background(), authcore.Actor{Kind: authcore.ActorUser, User: alice.ID}, alice.ID)
			return err
		}},
	} {
		d := newDeviceBench(t, 0)
		phone := d.device(t, "alice", nil)
		alice, err := d.FindUser(context.Background(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		d.clock = d.clock.Add(time.Second)
		if err := test.do(d, alice); err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		d.attack(t, "alice")
		if err := d.try("192.0.2.77", "alice", right, phone); (err == nil) != test.known {
			t.Errorf("after %s: %v, want it known: %t", test.what, err, test.known)
		}
	}
}

// TestDeviceTellsNothing: with any device, an unknown user and a wrong password
// look the same and cost the same.
func TestDeviceTellsNothing(t *testing.T) {
	t.Parallel()
	d := newDeviceBench(t, 0)
	d.addUser(t, "bob", right)
	bobs := d.device(t, "bob", nil)
	for i, login := range []string{"alice", "nobody", "", "@", strings.Repeat("a", 600)} {
		before := d.gate.Stats().Hashed
		err := d.try(fmt.Sprintf("192.0.2.%d", i), login, "wrong", bobs)
		if !errors.Is(err, authcore.ErrLoginFailed) || d.gate.Stats().Hashed != before+1 {
			t.Errorf("%.20q: %v after %d hashes", login, err, d.gate.Stats().Hashed-before)
		}
	}
	for _, login := range []string{"alice", "nobody"} {
		for i := range 5 {
			_ = d.try(fmt.Sprintf("198.51.100.%d", i), login, "wrong", nil)
		}
		err := d.try("203.0.113.1", login, right, bobs)
		var e *authcore.Error
		if !errors.As(err, &e) || !errors.Is(err, authcore.ErrTooManySignIns) || e.Message != authcore.ErrTooManySignIns.Message || e.RetryAfter <= 0 {
			t.Errorf("%s, locked: %v", login, err)
		}
	}
}

// nowhere is where the events go of a test that signs in many at once.
type nowhere struct{}

func (nowhere) Record(authcore.Event) {}

// TestKnownDeviceGoesFirst: where the line before the hashing gate is full of
// strangers, the last of them makes room for a device that knows its user.
func TestKnownDeviceGoesFirst(t *testing.T) {
	t.Parallel()
	d := newDeviceBench(t, 1)
	d.ByAddress, d.ByAccount, d.Audit = limit.New(limit.Pace{}, nil), limit.New(limit.Pace{}, nil), nowhere{}
	phone := d.device(t, "alice", nil)
	release, err := d.gate.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	strangers, known := make(chan error, 10), make(chan error)
	for i := range 10 { // more than there is room for
		go func() { strangers <- d.try(fmt.Sprintf("198.51.%d.1", i), "alice", right, nil) }()
	}
	for range 6 {
		if err := <-strangers; !errors.Is(err, authcore.ErrLoginBusy) {
			t.Errorf("a stranger without a place: %v", err)
		}
	}
	go func() { known <- d.try("203.0.113.1", "alice", right, phone) }()
	if err := <-strangers; !errors.Is(err, authcore.ErrLoginBusy) {
		t.Errorf("the last stranger in line: %v", err)
	}
	release()
	if err := <-known; err != nil {
		t.Errorf("her device: %v", err)
	}
}
