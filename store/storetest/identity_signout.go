package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// signedOut tells a database of a sign-out at the provider, and checks whose sessions that
// ended, and what is recorded.
func (w *world) signedOut(what string, out authcore.SignOut, users ...authcore.User) {
	w.Helper()
	w.signedOutAs(what, out, w.event(authcore.UserLogout, ""), users...)
}

// signedOutAs says what to record.
func (w *world) signedOutAs(what string, out authcore.SignOut, ev authcore.Event, users ...authcore.User) {
	w.Helper()
	out.Once = w.once(authcore.PurposeSignOut)
	if out.Provider == "" {
		out.Provider, out.Issuer = "corp", issuer
	}
	ev.Actor.Session = authcore.NewSessionID() // by which its events are found
	of, err := w.db().SignOutIdentity(w.Context(), out, ev)
	w.must(err)
	var whose []authcore.UserID
	var want, got []authcore.Event
	ev.ID = "" // each has one of its own
	for _, u := range users {
		ev.Target = authcore.TargetUser(u.ID)
		whose, want = append(whose, u.ID), append(want, ev)
	}
	if len(users) == 0 {
		ev.Details = strings.TrimPrefix(ev.Details+"; 0 sessions ended", "; ")
		want = append(want, ev)
	}
	events, err := w.db().EventsAfter(w.Context(), "", 1000)
	w.must(err)
	for _, e := range events {
		if e.Actor.Session == ev.Actor.Session {
			e.ID = ""
			got = append(got, e.Event)
		}
	}
	slices.Sort(of)
	slices.Sort(whose)
	w.same(what, whose, of)
	for _, all := range [][]authcore.Event{want, got} {
		slices.SortFunc(all, func(a, b authcore.Event) int { return strings.Compare(a.Target, b.Target) })
	}
	w.same(what+": told", want, got)
}

// inSession makes a sign-in one in a session at the provider.
func inSession(session string) func(*authcore.IdentitySignIn) {
	return func(in *authcore.IdentitySignIn) { in.Session.ProviderSession = session }
}

func signOutIdentity(w *world) {
	alice, bob := w.add("alice", nil), w.add("bob", nil)
	ofAlice, second, ofBob := w.link(alice, "alice"), w.link(alice, "second"), w.link(bob, "bob")
	root, one := w.arrive(alice, ofAlice, inSession("one"))
	_, site := w.child(root.ID, "app.example.com")
	_, two := w.arrive(alice, ofAlice, inSession("two"))
	_, none := w.arrive(alice, ofAlice, inSession(""))
	_, bySecond := w.arrive(alice, second, inSession("two"))
	_, byPassword := w.signIn(alice, nil)
	_, bobs := w.arrive(bob, ofBob, inSession("one"))
	others := []authcore.TokenHash{bySecond, byPassword, bobs}
	changes := []string{"user " + string(alice.ID), "user " + string(alice.ID), "user " + string(bob.ID)} // of the links

	third := authcore.SignOut{Provider: "third", Issuer: "https://third.example.net", Subject: "alice"}
	w.signedOut("an unknown subject", authcore.SignOut{Subject: "ALICE"})
	w.signedOut("an unknown session", authcore.SignOut{Session: "ONE"})
	w.signedOut("both, one unknown", authcore.SignOut{Subject: "alice", Session: "three"})
	w.signedOut("both, the other unknown", authcore.SignOut{Subject: "carol", Session: "one"})
	w.signedOut("a session of somebody else", authcore.SignOut{Subject: "bob", Session: "two"})
	w.signedOut("another provider", third)
	third.Subject, third.Session = "", "one"
	w.signedOut("another provider, a session", third)
	w.signedOut("nobody", authcore.SignOut{})
	w.alive("after that", true, append(others, one, site, two, none)...)
	w.changed(slices.Clone(changes)...)

	w.signedOut("both", authcore.SignOut{Subject: "alice", Session: "one"}, alice)
	w.alive("both", false, one, site)
	w.alive("others", true, append(others, two, none)...)
	w.signedOut("a subject", authcore.SignOut{Subject: "alice"}, alice)
	w.alive("a subject", false, two, none)
	w.alive("others", true, others...)
	w.changed(append(changes, changes[0], changes[0])...)
	events, err := w.db().EventsAfter(w.Context(), "", 100)
	w.must(err)
	w.same("events", 2+3+6+1+10, len(events))
}

// signOutDetails: only of nobody there is a count, and there is room for it.
func signOutDetails(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	for _, details := range []string{"", "a reason", strings.Repeat("é", 256)} {
		ev := w.event(authcore.UserLogout, "")
		ev.Details = details
		_, token := w.arrive(u, i, nil)
		w.signedOutAs("of somebody", authcore.SignOut{Subject: "alice"}, ev, u)
		w.alive("of somebody", false, token)
		if len(details) < 512 {
			ev.ID = w.event(authcore.UserLogout, "").ID
			w.signedOutAs("of nobody", authcore.SignOut{Subject: "alice"}, ev)
			continue
		}
		ev = w.event(authcore.UserLogout, "")
		ev.Details = details
		_, err := w.db().SignOutIdentity(w.Context(), authcore.SignOut{Provider: "corp", Issuer: issuer, Subject: "alice", Once: w.once(authcore.PurposeSignOut)}, ev)
		w.must(err)
		w.same("cut short", strings.Repeat("é", 247)+"; 0 sessions ended", w.newest(authcore.UserLogout).Details)
	}
}

// signOutSeveral: a session at a provider may be that of several users here.
func signOutSeveral(w *world) {
	var users []authcore.User
	var tokens []authcore.TokenHash
	var changes []string
	for n := range 20 {
		u := w.add(fmt.Sprint("user", n), nil)
		i := w.link(u, u.Username)
		for range 2 {
			root, token := w.arrive(u, i, inSession("shared"))
			_, site := w.child(root.ID, "app.example.com")
			tokens = append(tokens, token, site)
		}
		users, changes = append(users, u), append(changes, "user "+string(u.ID))
	}
	elsewhere := w.identity(users[0], "elsewhere")
	elsewhere.Provider, elsewhere.Issuer = "other", "https://other.example.net"
	w.must(w.db().LinkIdentity(w.Context(), elsewhere, w.once(authcore.PurposeConnect), w.event(authcore.IdentityLink, "")))
	changes = append(changes, changes[0])
	_, staying := w.arrive(users[0], elsewhere, inSession("shared"))

	w.signedOut("one of them", authcore.SignOut{Subject: "user19", Session: "shared"}, users[19])
	w.signedOut("all the others", authcore.SignOut{Session: "shared"}, users[:19]...)
	w.alive("signed out", false, tokens...)
	w.alive("of the other provider", true, staying)
	changes = append(changes, changes[:20]...)
	w.changed(slices.Clone(changes)...)
	w.signedOut("the other provider", authcore.SignOut{Provider: elsewhere.Provider, Issuer: elsewhere.Issuer, Session: "shared"}, users[0])
	w.alive("the other provider", false, staying)
	// The records of one event have ids of their own, whatever the event's is.
	for _, end := range []string{"0000", "0001", "ffff"} {
		for n, u := range users[:4] {
			i := w.identity(u, u.Username)
			got, _, err := w.db().IdentityBy(w.Context(), i.Issuer, i.Subject)
			w.must(err)
			w.arrive(u, got, inSession("shared"))
			changes = append(changes, changes[n])
		}
		ev := w.event(authcore.UserLogout, "")
		ev.ID = ev.ID[:len(ev.ID)-4] + end
		w.signedOutAs(end, authcore.SignOut{Session: "shared"}, ev, users[:4]...)
	}
	w.changed(append(changes, changes[0])...)
}

// signOutOnce: who replays a provider's word ends nothing.
func signOutOnce(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	_, token := w.arrive(u, i, nil)
	out := authcore.SignOut{Provider: "corp", Issuer: issuer, Subject: "alice", Once: w.once(authcore.PurposeSignOut)}
	signOut := func() ([]authcore.UserID, error) {
		return w.db().SignOutIdentity(w.Context(), out, w.event(authcore.UserLogout, ""))
	}
	of, err := signOut()
	w.must(err)
	w.same("whose", []authcore.UserID{u.ID}, of)
	w.alive("ended", false, token)
	_, token = w.arrive(u, i, nil)
	for _, data := range []string{out.Once.Data, "another"} {
		out.Once.Data = data
		of, err = signOut()
		w.is("again", err, authcore.ErrCodeInvalid)
		w.same("again", 0, len(of))
	}
	w.alive("again", true, token)
	w.happened("user.create alice", "identity.link alice", "user.login alice", "user.logout "+authcore.TargetUser(u.ID), "user.login alice")
	w.changed("user "+string(u.ID), "user "+string(u.ID))
}

func usedCodesEnd(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	in := w.arrival(u, i)
	out := authcore.SignOut{Provider: "corp", Issuer: issuer, Subject: "bob", Once: w.once(authcore.PurposeSignOut)}
	use := func(what string, want error) {
		w.Helper()
		s, token := w.session(u)
		in.Session, in.Token, in.Events = s, token, []authcore.Event{w.event(authcore.UserLogin, what)}
		w.is(what, w.db().SignInIdentity(w.Context(), in), want)
		_, err := w.db().SignOutIdentity(w.Context(), out, w.event(authcore.UserLogout, what))
		w.is(what, err, want)
	}
	there := func(what string, want bool) {
		w.Helper()
		for purpose, hash := range map[authcore.Purpose]authcore.TokenHash{authcore.PurposeConnect: in.Once.Hash, authcore.PurposeSignOut: out.Once.Hash} {
			got, err := w.db().CodeValid(w.Context(), purpose, hash, w.now)
			w.must(err)
			w.same(fmt.Sprint(what, ": ", purpose), want, got)
		}
	}
	clean := func(at time.Time) {
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), at, w.now.Add(-time.Hour), "")
		w.must(err)
	}
	there("before", false)
	use("the first time", nil)
	there("used", true)
	clean(in.Once.ExpiresAt.Add(-time.Microsecond))
	there("before their end", true)
	use("before their end", authcore.ErrCodeInvalid)
	clean(in.Once.ExpiresAt)
	there("at their end", false)
	use("when they are gone", nil)
}
