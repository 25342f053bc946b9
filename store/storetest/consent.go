package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var consentTests = map[string]func(*world){
	"consent: its life":           consentLife,
	"consent: what goes with it":  consentDeletion,
	"consent: nobody was asked":   consentUnasked,
	"race: scopes of one consent": raceForConsent,
}

func (w *world) consentOf(u authcore.User, s authcore.Service, scopes ...string) authcore.Consent {
	return authcore.Consent{User: u.ID, Service: s.ID, Organization: s.Organization, Scopes: scopes, CreatedAt: w.now, UpdatedAt: w.now}
}

// consent lets a service have scopes of a user.
func (w *world) consent(u authcore.User, s authcore.Service, scopes ...string) error {
	return w.db().SetConsent(w.Context(), w.consentOf(u, s, scopes...), w.event(authcore.ConsentGrant, s.Name))
}

func (w *world) consents(what string, u authcore.User, want ...authcore.Consent) {
	w.Helper()
	got, err := w.db().Consents(w.Context(), u.ID, w.now)
	w.must(err)
	w.same(what, want, got)
}

func consentLife(w *world) {
	bob, cleo := w.add("bob", nil), w.add("cleo", nil)
	o, other := w.active("acme", w.add("owner", nil)), w.active("beta", w.add("second", nil))
	b, a, c := w.addService(o, "b", authcore.ReachEveryone), w.addService(o, "a", authcore.ReachEveryone), w.addService(other, "c", authcore.ReachEveryone)
	none, err := w.db().ConsentTo(w.Context(), bob.ID, a.ID)
	w.must(err)
	w.same("none", 0, len(none.Scopes))
	w.must(w.consent(bob, b, "openid", "email"))
	w.must(w.consent(bob, a, "openid"))
	w.must(w.consent(bob, c, "openid"))
	w.must(w.consent(cleo, a, "openid", "groups"))
	want := w.consentOf(bob, b, "openid", "email", "orders.read")
	w.now = w.now.Add(time.Minute)
	w.must(w.consent(bob, b, "orders.read", "openid"))
	want.ServiceName, want.Slug, want.UpdatedAt = "b", "acme", w.now
	got, err := w.db().ConsentTo(w.Context(), bob.ID, b.ID)
	w.must(err)
	w.same("more", want, got)
	first, last := w.consentOf(bob, a, "openid"), w.consentOf(bob, c, "openid")
	for _, c := range []*authcore.Consent{&first, &last} {
		c.CreatedAt, c.UpdatedAt = want.CreatedAt, want.CreatedAt
	}
	first.ServiceName, first.Slug, last.ServiceName, last.Slug = "a", "acme", "c", "beta"
	w.consents("all", bob, first, want, last)

	foreign := a
	foreign.Organization = other.ID
	w.is("to another organization's", w.consent(bob, foreign, "openid"), authcore.ErrServiceNotFound)
	w.is("of nobody", w.consent(w.user("x"), a, "openid"), authcore.ErrUserNotFound)
	withdraw := func(u authcore.UserID, s authcore.Service) error {
		return w.db().WithdrawConsent(w.Context(), u, s.ID, w.event(authcore.ConsentWithdraw, s.Name))
	}
	session, kept, theirs := w.begin(b, bob), w.begin(a, bob), w.begin(b, cleo)
	w.is("that was not given", withdraw(cleo.ID, c), authcore.ErrConsentNotFound)
	w.is("by nobody", withdraw("nobody", b), authcore.ErrConsentNotFound)
	w.must(withdraw(bob.ID, b))
	w.is("again", withdraw(bob.ID, b), authcore.ErrConsentNotFound)
	w.sessionLives("of the service", false, session)
	w.sessionLives("of another", true, kept)
	w.sessionLives("of another user", true, theirs)
	w.consents("what is left", bob, first, last)
}

// consentUnasked: a session that goes on after the user has signed out is seen, and can be
// ended, also where the user was not asked.
func consentUnasked(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", w.add("owner", nil))
	a, b := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone)
	root, _ := w.signIn(bob, nil)
	w.beginIn(b, root, nil)
	w.beginIn(a, root, offline)
	session, _ := w.beginIn(a, root, func(s *authcore.ServiceSession) { s.Offline, s.Scopes = true, []string{"openid", "groups"} })
	w.must(w.consent(bob, b, "profile"))
	lasting, asked := w.consentOf(bob, a, "openid", "email", "groups"), w.consentOf(bob, b, "profile")
	lasting.ServiceName, lasting.Slug, lasting.Lasting, asked.ServiceName, asked.Slug = "a", "acme", true, "b", "acme"
	w.consents("with one that goes on", bob, lasting, asked)
	w.must(w.db().WithdrawConsent(w.Context(), bob.ID, a.ID, w.event(authcore.ConsentWithdraw, "")))
	w.sessionLives("withdrawn", false, session)
	w.consents("withdrawn", bob, asked)
	w.beginIn(b, root, offline)
	asked.Lasting, asked.Scopes = true, []string{"profile", "openid", "email"}
	w.consents("one that was asked, too", bob, asked)
	w.now = w.now.Add(time.Hour)
	asked.Lasting, asked.Scopes = false, []string{"profile"}
	w.consents("when the session has expired", bob, asked)
}

func consentDeletion(w *world) {
	bob, cleo := w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", w.add("owner", nil))
	a, b := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone)
	for _, u := range []authcore.User{bob, cleo} {
		w.must(w.consent(u, a, "openid"))
		w.must(w.consent(u, b, "openid"))
	}
	w.must(w.deletes(bob, time.Time{}))
	w.consents("of one who was deleted", bob)
	w.must(w.db().DeleteService(w.Context(), a, w.event(authcore.ServiceDelete, "")))
	got, err := w.db().ConsentTo(w.Context(), cleo.ID, a.ID)
	w.must(err)
	w.same("to a service that was deleted", 0, len(got.Scopes))
	w.must(w.db().DeleteOrganization(w.Context(), o.ID, w.event(authcore.OrganizationDelete, "")))
	w.consents("to an organization that was deleted", cleo)
}

// No scope is lost of many that come at once.
func raceForConsent(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	for _, err := range w.atOnce(10, func(i int, db Store) error {
		return db.SetConsent(w.Context(), w.consentOf(bob, s, "openid", fmt.Sprint("s", i)), w.event(authcore.ConsentGrant, ""))
	}) {
		w.must(err)
	}
	got, err := w.db().ConsentTo(w.Context(), bob.ID, s.ID)
	w.must(err)
	slices.Sort(got.Scopes)
	w.same("scopes", []string{"openid", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}, got.Scopes)
}
