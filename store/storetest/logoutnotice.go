package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var logoutNoticeTests = map[string]func(*world){
	"logout notice: its life":   logoutNoticeLife,
	"logout notice: and no end": logoutNoticeKept,
	"logout notice: of many":    logoutNoticesOfMany,
}

// tellingService adds a service that wants to know of sign-outs.
func (w *world) tellingService(o authcore.Organization, name string) authcore.Service {
	w.Helper()
	s := w.service(o, name)
	s.Access, s.LogoutURI = authcore.ReachEveryone, "https://a.example.com/signed-out"
	w.must(w.db().CreateService(w.Context(), s, w.event(authcore.ServiceCreate, name)))
	return s
}

// notices gives the sessions of whose end a service is to be told by now.
func (w *world) notices(s authcore.Service) (ended []authcore.SessionID) {
	w.Helper()
	all, err := w.db().LogoutNotices(w.Context(), w.now, 5000, 5000)
	w.must(err)
	for _, n := range all {
		if n.Service.ID == s.ID {
			ended = append(ended, n.Session)
		}
	}
	return ended
}

func logoutNoticeLife(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", bob)
	s, deaf := w.tellingService(o, "a"), w.addService(o, "b", authcore.ReachMembers)
	root := w.root(bob)
	one, _ := w.beginIn(s, root, nil)
	two, _ := w.beginIn(s, root, nil)
	w.beginIn(deaf, root, nil)
	w.must(w.db().RevokeSession(w.Context(), root.ID, "", w.event(authcore.UserLogout, "")))
	all, err := w.db().LogoutNotices(w.Context(), w.now, 10, 10)
	w.must(err)
	w.same("told of", 2, len(all))
	for i, session := range []authcore.SessionID{one.ID, two.ID} {
		want := authcore.LogoutNotice{ID: all[i].ID, Service: s, User: bob.ID, Session: session, CreatedAt: w.now}
		w.same("notice", want, all[i])
	}
	due := func(what string, now time.Time, want ...authcore.LogoutNotice) {
		w.Helper()
		got, err := w.db().LogoutNotices(w.Context(), now, 10, 10)
		w.must(err)
		w.same(what, want, got)
	}
	few, err := w.db().LogoutNotices(w.Context(), w.now, 10, 1)
	w.must(err)
	w.same("the first", all[:1], few)
	due("too early", w.now.Add(-time.Microsecond))
	w.must(w.db().LogoutNoticeLater(w.Context(), all[0], w.now.Add(time.Minute), false))
	due("put off", w.now.Add(time.Minute-time.Microsecond), all[1])
	all[0].Tries = 1
	due("due again", w.now.Add(time.Minute), all[1], all[0])
	w.must(w.db().LogoutNoticeDone(w.Context(), all[1].ID, nil))
	ev := w.event(authcore.ServiceUntold, "b")
	w.must(w.db().LogoutNoticeDone(w.Context(), all[0].ID, &ev))
	w.must(w.db().LogoutNoticeLater(w.Context(), all[0], w.now, false))
	due("done", w.now.Add(time.Hour))
	w.happened("user.create bob", "organization.create acme", "organization.approve acme", "service.create a", "service.create b", "user.login bob",
		"service.login grant", "service.login grant", "service.login grant", "user.logout ", "service.untold b")
}

func logoutNoticeKept(w *world) {
	bob, cleo := w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", w.add("owner", nil))
	s, t := w.tellingService(o, "a"), w.tellingService(o, "b")
	one, two, three := w.begin(s, bob), w.begin(s, cleo), w.begin(t, cleo)
	w.must(w.disable(w.db(), cleo))
	w.must(w.deletes(bob, time.Time{}))
	w.same("although the user was deleted", []authcore.SessionID{two.ID, one.ID}, w.notices(s))
	w.same("of another service", []authcore.SessionID{three.ID}, w.notices(t))
	w.must(w.db().DeleteService(w.Context(), t, w.event(authcore.ServiceDelete, "")))
	w.same("not where the service was", 0, len(w.notices(t)))
	clean := func(now time.Time) { // the ids are of this machine's clock
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), now, w.idle(), "")
		w.must(err)
	}
	clean(time.Now().Add(71 * time.Hour))
	w.same("for days", 2, len(w.notices(s)))
	clean(time.Now().Add(73 * time.Hour))
	w.same("and not for ever", 0, len(w.notices(s)))
}

// A service with many notices does not stand in the way of the others.
func logoutNoticesOfMany(w *world) {
	bob, cleo := w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", w.add("owner", nil))
	busy, calm := w.tellingService(o, "a"), w.tellingService(o, "b")
	for range 3 {
		w.begin(busy, bob)
	}
	w.must(w.disable(w.db(), bob))
	w.now = w.now.Add(time.Second)
	w.begin(calm, cleo)
	w.must(w.disable(w.db(), cleo))
	due := func(each, limit int) (of map[string]int, first authcore.LogoutNotice) {
		w.Helper()
		all, err := w.db().LogoutNotices(w.Context(), w.now, each, limit)
		w.must(err)
		of = make(map[string]int)
		for _, n := range all {
			of[n.Service.Name]++
		}
		return of, all[0]
	}
	all, first := due(10, 10)
	w.same("all", map[string]int{"a": 3, "b": 1}, all)
	few, _ := due(2, 10)
	w.same("two of each", map[string]int{"a": 2, "b": 1}, few)
	fewer, _ := due(2, 2)
	w.same("two", map[string]int{"a": 2}, fewer)
	w.must(w.db().LogoutNoticeLater(w.Context(), first, w.now.Add(time.Minute), true))
	left, _ := due(10, 10)
	w.same("all of one put off", map[string]int{"b": 1}, left)
	w.now = w.now.Add(time.Minute)
	again, _ := due(10, 10)
	w.same("due again", map[string]int{"a": 3, "b": 1}, again)
}
