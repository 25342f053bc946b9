package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Store is all that Gatehouse uses of a database.
type Store interface {
	authcore.Store
	InsertEvents(ctx context.Context, events []authcore.Event, durable bool) error
	EventsAfter(ctx context.Context, after string, limit int) ([]authcore.SealedEvent, error)
	Latest(ctx context.Context) (time.Time, error)
	DeleteEnded(ctx context.Context, now, idleBefore time.Time, after string) (next string, more bool, err error)
	RootSessions(ctx context.Context, user authcore.UserID, after string, now, idleBefore time.Time, limit int) ([]store.RootSession, error)
	OwnerExists(ctx context.Context) (bool, error)
	OwnerWithoutPasswordExists(ctx context.Context) (bool, error)
	BindKey(ctx context.Context, id string) error
	TakeLease(ctx context.Context, name, holder string, d time.Duration) (bool, error)
	DropLease(ctx context.Context, name, holder string) error
	PostMail(ctx context.Context, ev *authcore.Event, all ...authcore.Post) error
	MailsDue(ctx context.Context, now time.Time, limit int) ([]authcore.Mail, error)
	ClaimMail(ctx context.Context, m authcore.Mail, next time.Time) (ours bool, err error)
	DeleteMail(ctx context.Context, id authcore.MailID, ev *authcore.Event) error
	MailsWaiting(ctx context.Context) (n int, oldest time.Time, err error)
	WebhookStore
	Ping(ctx context.Context) error
}

var _ Store = (*store.DB)(nil)

// Run runs the suite, and tells how many tests that are. open gives two connections of their own to one database
// that is new and empty; it closes them when its test ends.
func Run(t *testing.T, open func(t testing.TB) [2]Store) (n int) {
	for _, tests := range []map[string]func(*world){userTests, ownerTests, sessionTests, codeTests, identityTests, factorTests, passkeyTests, deleteTests, organizationTests, roleTests, invitationTests, serviceTests, grantTests, deviceGrantTests, consentTests, logoutNoticeTests, impersonationTests, listingTests, webhookTests, eventTests, leaseTests, keyTests, mailTests, mailSignInTests, raceTests} {
		for name, test := range tests {
			n++
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(&world{T: t, nodes: open(t), now: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)})
			})
		}
	}
	return n
}

// world is one database under test. Helpers that cannot do their work end the
// test.
type world struct {
	*testing.T
	nodes [2]Store
	turn  int
	now   time.Time
}

// db gives the nodes in turn.
func (w *world) db() Store {
	w.turn++
	return w.nodes[w.turn%2]
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// is checks that an error is the one wanted; nil stands for none.
func (w *world) is(what string, err, want error) {
	w.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		w.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (w *world) same(what string, want, got any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// event makes an event of now; the texts are such as a database might spoil.
func (w *world) event(action authcore.Action, target string) authcore.Event {
	by := authcore.Actor{Kind: authcore.ActorUser, User: "actor", Session: "session",
		Client: authcore.NewClient("2001:db8::1", "Agent/1.0 (é, 😀; 'quoted\")", "request")}
	return authcore.NewEvent(w.now, by, action, target, authcore.Success, "details: 100 % of \\ and 'this'; -- 😀")
}

// happened checks which events were written, in order, as "action target".
func (w *world) happened(want ...string) {
	w.Helper()
	events, err := w.db().EventsAfter(w.Context(), "", 1000)
	w.must(err)
	var got []string
	for _, ev := range events {
		got = append(got, fmt.Sprint(ev.Action, " ", ev.Target))
	}
	slices.Sort(got)
	slices.Sort(want)
	w.same("events", want, got)
}

// changed checks which changes other nodes are told of, in any order.
func (w *world) changed(want ...string) {
	w.Helper()
	changes, at, err := w.db().ChangesSince(w.Context(), w.now)
	w.must(err)
	w.same("the database's clock is right", true, time.Since(at).Abs() < time.Hour)
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprint(c.Kind, " ", c.Subject))
		if at.Sub(c.At).Abs() > time.Hour || c.ID == "" {
			w.Errorf("change %+v, want one of %s", c, at)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	w.same("changes", want, got)
}

// user makes up a user.
func (w *world) user(name string) authcore.User {
	return authcore.User{ID: authcore.NewUserID(), Username: name, Email: name + "@example.com", EmailVerified: true, Name: name + " É. 😀",
		Status: authcore.Active, Groups: []string{"ops", "staff"}, CreatedAt: w.now, UpdatedAt: w.now}
}

// hashOf stands for a password hash; no store looks into one.
func hashOf(pw string) password.Hash { return password.Hash("$argon2id$v=19$m=64,t=1,p=1$" + pw) }

// add creates a user with the password "old"; edit may change it before.
func (w *world) add(name string, edit func(*authcore.User)) authcore.User {
	w.Helper()
	u := w.user(name)
	if edit != nil {
		edit(&u)
	}
	w.must(w.db().CreateUser(w.Context(), u, hashOf("old"), nil, w.event(authcore.UserCreate, name)))
	return u
}

// read gives a user as the database has it.
func (w *world) read(id authcore.UserID) (authcore.User, password.Hash) {
	w.Helper()
	u, hash, err := w.db().UserByID(w.Context(), id)
	w.must(err)
	return u, hash
}

// session makes up a root session of a user.
func (w *world) session(u authcore.User) (authcore.Session, authcore.TokenHash) {
	_, hash := authcore.NewToken()
	s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: "auth.example.com", AMR: []string{"pwd", "otp"},
		AuthTime: w.now.Add(-time.Minute), CreatedAt: w.now, LastSeen: w.now, ExpiresAt: w.now.Add(time.Hour), Address: "192.0.2.1", Agent: "Agent/1.0 😀"}
	s.Root = s.ID
	return s, hash
}

// signIn creates a root session of a user whose password is "old".
func (w *world) signIn(u authcore.User, edit func(*authcore.Session)) (authcore.Session, authcore.TokenHash) {
	w.Helper()
	s, hash := w.session(u)
	if edit != nil {
		edit(&s)
	}
	w.must(w.db().CreateSession(w.Context(), s, hash, hashOf("old"), w.event(authcore.UserLogin, u.Username)))
	return s, hash
}

// handoff makes a code that carries a root session to a host.
func (w *world) handoff(root authcore.SessionID, host string) authcore.Handoff {
	w.Helper()
	_, hash := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeHandoff, Session: root, Host: host, Browser: "browser",
		Data: "/page?x=1&y=😀", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}, nil))
	return authcore.Handoff{Code: hash, Host: host, Browser: "browser", Now: w.now}
}

// redeem redeems a hand-off for a new site session.
func (w *world) redeem(db Store, h authcore.Handoff) (authcore.Session, authcore.TokenHash, error) {
	_, hash := authcore.NewToken()
	s := authcore.Session{ID: authcore.NewSessionID(), Host: h.Host, CreatedAt: w.now, LastSeen: w.now, Address: "192.0.2.2", Agent: "Other/2.0"}
	s, _, err := db.RedeemHandoff(w.Context(), h, s, hash, w.event(authcore.SessionCreate, h.Host))
	return s, hash, err
}

// child creates a site session under a root.
func (w *world) child(root authcore.SessionID, host string) (authcore.Session, authcore.TokenHash) {
	w.Helper()
	s, hash, err := w.redeem(w.db(), w.handoff(root, host))
	w.must(err)
	return s, hash
}

// lives tells whether a token finds a session.
func (w *world) lives(token authcore.TokenHash) bool {
	w.Helper()
	_, _, err := w.db().SessionByToken(w.Context(), token)
	if err != nil && !errors.Is(err, authcore.ErrNoSession) {
		w.Fatal(err)
	}
	return err == nil
}

// alive checks of several tokens whether they live.
func (w *world) alive(what string, want bool, tokens ...authcore.TokenHash) {
	w.Helper()
	for i, token := range tokens {
		if w.lives(token) != want {
			w.Errorf("%s: session %d lives: %v", what, i, !want)
		}
	}
}

// atOnce runs f n times at once, on both nodes, and gives the errors.
func (w *world) atOnce(n int, f func(i int, db Store) error) []error {
	errs := make([]error, n)
	ready := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-ready
			errs[i] = f(i, w.nodes[i%2])
		})
	}
	close(ready)
	wg.Wait()
	return errs
}

// oneWon checks that exactly one of several was not refused, and the others for
// one of the reasons given.
func (w *world) oneWon(errs []error, reasons ...error) {
	w.Helper()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !slices.ContainsFunc(reasons, func(r error) bool { return errors.Is(err, r) }) {
			w.Errorf("refused with %v", err)
		}
	}
	if won != 1 {
		w.Errorf("%d won", won)
	}
}
