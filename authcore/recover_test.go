package authcore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

// withMail gives a bench mail.
func withMail(b *bench) *bench {
	b.Mail = &authcore.Mailing{Sealer: authcore.NewSecretKey().NewSealer("mail", b.Now), ByMailbox: limit.New(limit.Pace{Burst: 3, First: time.Minute}, b.Now),
		Later: authcore.NewLater(func(error) {}), Origin: "https://auth.example.com"}
	return b
}

// finish does what waits until after the answers.
func (b *bench) finish() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.Mail.Later.Run(ctx)
}

// letters are those that wait.
func (b *bench) letters(t *testing.T) (all []authcore.Letter) {
	t.Helper()
	mails, err := b.db.MailsDue(t.Context(), clockStart.Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mails {
		l, err := authcore.OpenLetter(b.Mail.Sealer, m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// untouched is a store that must not be asked.
type untouched struct{ authcore.Store }

// Whoever asks for a link is answered before anybody is looked up: the same for an
// address that somebody has and for one that nobody has, in what is said and in the work
// done (abuse case L2). The limits count both.
func TestAskRecoveryIsTheSame(t *testing.T) {
	t.Parallel()
	b := withMail(newBench(t, 1))
	b.addUser(t, "alice", "alices long password")
	if err := b.SetEmail(t.Context(), authcore.CommandLine(), must(b.FindUser(t.Context(), "alice"))(t).ID, "alice@example.com"); err != nil {
		t.Fatal(err)
	}
	store := b.Store
	for _, email := range []string{"alice@example.com", "nobody@example.com"} {
		b.Store = untouched{} // a nil interface inside: any call would panic
		for n := range 5 {
			err := b.AskRecovery(t.Context(), visitor("192.0.2.1"), email)
			if want := n >= 3; errors.Is(err, authcore.ErrTooManyMails) != want || !want && err != nil {
				t.Errorf("%s, %d: %v", email, n, err)
			}
		}
		b.Store = store
		b.finish()
	}
	var to []string
	for _, l := range b.letters(t) {
		to = append(to, l.To)
	}
	if !slices.Equal(to, []string{"alice@example.com", "alice@example.com", "alice@example.com"}) {
		t.Errorf("letters to %q", to)
	}
	for _, c := range []struct {
		email string
		want  error
	}{{"", authcore.ErrEmailRequired}, {"alice", &authcore.Error{Code: "email_invalid"}}, {"a@b\r\nBcc: c@d", &authcore.Error{Code: "email_invalid"}}} {
		if err := b.AskRecovery(t.Context(), visitor("192.0.2.2"), c.email); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.email, err)
		}
	}
	b.Mail = nil
	if err := b.AskRecovery(t.Context(), visitor("192.0.2.3"), "alice@example.com"); !errors.Is(err, authcore.ErrRecoverOff) {
		t.Errorf("without mail: %v", err)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Who gets a link, and who does not.
func TestRecoveryIsForVerifiedAddresses(t *testing.T) {
	t.Parallel()
	b := withMail(newBench(t, 1))
	ctx, operator := t.Context(), authcore.CommandLine()
	for _, n := range []authcore.NewUser{
		{Username: "proven", Password: "a long password here", EmailVerified: true},
		{Username: "squatter", Password: "a long password here"},
		{Username: "machine", EmailVerified: true},
		{Username: "disabled", Password: "a long password here", EmailVerified: true},
	} {
		n.Email = n.Username + "@example.com"
		u := must(b.CreateUser(ctx, operator, n))(t)
		if n.Username == "disabled" {
			if err := b.SetStatus(ctx, operator, u.ID, authcore.Disabled); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"Proven", "squatter", "machine", "disabled", "nobody"} {
		if err := b.AskRecovery(ctx, visitor("192.0.2.1"), name+"@example.com"); err != nil {
			t.Error(err)
		}
	}
	b.finish()
	all := b.letters(t)
	if len(all) != 1 || all[0].To != "proven@example.com" || !strings.HasPrefix(all[0].Link.Reveal(), "https://auth.example.com/.gate/recover/password?token=") {
		t.Errorf("letters: %+v", all)
	}
	var refused []string
	for _, ev := range b.events {
		if ev.Action == authcore.PasswordRecover {
			refused = append(refused, ev.Details)
		}
	}
	if !slices.Equal(refused, []string{"the address is not verified", "the user has no password", "user is disabled"}) {
		t.Errorf("events: %q", refused)
	}

	link, _, err := b.RecoverUser(ctx, operator, must(b.FindUser(ctx, "squatter"))(t).ID, "")
	if err != nil || !strings.HasPrefix(link.Reveal(), authcore.RecoveryPath) {
		t.Fatalf("%s, %v", link.Reveal(), err)
	}
	_, token, _ := strings.Cut(link.Reveal(), "token=")
	if err := b.Recover(ctx, visitor("192.0.2.1"), authcore.Secret(token), "squatter"); err == nil {
		t.Error("a weak password was taken")
	}
	for n, want := range []error{nil, authcore.ErrCodeInvalid} {
		if err := b.Recover(ctx, visitor("192.0.2.1"), authcore.Secret(token), "another long password"); !errors.Is(err, want) {
			t.Errorf("time %d: %v", n+1, err)
		}
	}
	if _, _, err := b.RecoverUser(ctx, operator, must(b.FindUser(ctx, "disabled"))(t).ID, ""); err == nil {
		t.Error("a link for a disabled user")
	}
}

func TestLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failed []error
		l := authcore.NewLater(func(err error) { failed = append(failed, err) })
		began, away := time.Now(), 3
		var did []time.Duration
		do := func(context.Context) error { did = append(did, time.Since(began)); return nil }
		l.Do(do)
		l.Do(func(context.Context) error {
			if away--; away >= 0 {
				return authcore.ErrUnavailable
			}
			return errors.New("no")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(did) != 1 || did[0] == 0 || len(failed) != 1 || failed[0].Error() != "no" {
			t.Errorf("did %v, failed %v", did, failed)
		}
		l.Do(do)
		l.Do(do)
		cancel()
		<-ended
		if len(did) != 3 {
			t.Errorf("in the end: did %v", did)
		}
		for range 1000 {
			l.Do(do)
		}
		if l.Do(do) {
			t.Error("any number may wait")
		}
	})
}
