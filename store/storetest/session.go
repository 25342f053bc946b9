package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var sessionTests = map[string]func(*world){
	"create session":           createSession,
	"session of nobody":        sessionOfNobody,
	"sessions of a user":       sessionsOf,
	"revoke a session":         revokeSession,
	"renew a proof":            renewProof,
	"revoke a user's sessions": revokeSessionsOf,
	"last seen":                lastSeen,
	"changes":                  changesSince,
	"delete what has ended":    deleteEnded,
	"delete in batches":        deleteInBatches,
	"list portal sessions":     rootSessions,
	"delete what nobody uses":  deleteIdle,
	"revoke everything":        revokeEverything,
	"access tokens":            accessTokens,
	"access tokens revoked":    accessTokensRevoked,
	"access tokens bounded":    accessTokensBounded,
}

// withoutTimes is a user as sessions and tokens know one.
func withoutTimes(u authcore.User) authcore.User {
	u.CreatedAt, u.UpdatedAt, u.DeleteAt = time.Time{}, time.Time{}, time.Time{}
	return u
}

func createSession(w *world) {
	u := w.add("alice", nil)
	s, token := w.signIn(u, nil)
	got, user, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("session", s, got)
	w.same("user", withoutTimes(u), user)

	loner := w.add("bob", func(u *authcore.User) { u.Groups, u.Email, u.EmailVerified = nil, "", false })
	s, token = w.signIn(loner, func(s *authcore.Session) { s.AMR, s.Address, s.Agent = []string{}, "", "" })
	got, user, err = w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("session with little", s, got)
	w.same("user with little", withoutTimes(loner), user)

	_, _, err = w.db().SessionByToken(w.Context(), authcore.TokenHash{})
	w.is("unknown", err, authcore.ErrNoSession)
	w.happened("user.create alice", "user.create bob", "user.login alice", "user.login bob")
	w.changed()
}

func sessionOfNobody(w *world) {
	u := w.add("alice", nil)
	disabled := w.add("bob", func(u *authcore.User) { u.Status = authcore.Disabled })
	without := w.user("carol")
	w.must(w.db().CreateUser(w.Context(), without, "", nil, w.event(authcore.UserCreate, "carol")))
	for name, test := range map[string]struct {
		user   authcore.User
		proven string
	}{"wrong hash": {u, "other"}, "disabled": {disabled, "old"}, "no password": {without, "old"}, "unknown": {w.user("dave"), "old"}} {
		s, token := w.session(test.user)
		err := w.db().CreateSession(w.Context(), s, token, hashOf(test.proven), w.event(authcore.UserLogin, name))
		w.is(name, err, authcore.ErrLoginFailed)
		w.alive(name, false, token)
	}
	s, token := w.session(without)
	w.is("no password, no hash", w.db().CreateSession(w.Context(), s, token, "", w.event(authcore.UserLogin, "carol")), authcore.ErrLoginFailed)
	w.happened("user.create alice", "user.create bob", "user.create carol")
}

func sessionsOf(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	oldest, _ := w.signIn(u, func(s *authcore.Session) { s.CreatedAt = w.now.Add(-2 * time.Minute) })
	newest, _ := w.signIn(u, func(s *authcore.Session) { s.CreatedAt = w.now.Add(time.Second) })
	w.signIn(u, func(s *authcore.Session) { s.ExpiresAt = w.now }) // ended
	site, _ := w.child(oldest.ID, "app.example.com")
	w.signIn(other, nil)
	got, err := w.db().SessionsOf(w.Context(), u.ID, w.now)
	w.must(err)
	w.same("sessions", []authcore.Session{newest, site, oldest}, got)
	if got, err = w.db().SessionsOf(w.Context(), authcore.NewUserID(), w.now); err != nil || len(got) != 0 {
		w.Errorf("of nobody: %v, %v", got, err)
	}
}

func revokeSession(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	root, token := w.signIn(u, nil)
	site, siteToken := w.child(root.ID, "app.example.com")
	_, secondSite := w.child(root.ID, "wiki.example.net")
	_, staying := w.signIn(u, nil)
	underWay := w.handoff(root.ID, "third.example.net")
	revoke := func(id authcore.SessionID, by authcore.UserID) error {
		return w.db().RevokeSession(w.Context(), id, by, w.event(authcore.SessionRevoke, string(by)))
	}
	w.is("of another user", revoke(root.ID, other.ID), authcore.ErrSessionNotFound)
	w.is("a site session by itself", revoke(site.ID, u.ID), authcore.ErrSessionNotFound)
	w.is("unknown", revoke(authcore.NewSessionID(), u.ID), authcore.ErrSessionNotFound)
	w.is("none", revoke("", ""), authcore.ErrSessionNotFound)
	w.alive("after all that", true, token, siteToken, secondSite)
	w.changed()
	w.is("one's own", revoke(root.ID, u.ID), nil)
	w.alive("revoked", false, token, siteToken, secondSite)
	w.alive("another", true, staying)
	w.changed("session " + string(root.ID))
	_, _, err := w.redeem(w.db(), underWay)
	w.is("a hand-off under way", err, authcore.ErrCodeInvalid)
	w.is("again", revoke(root.ID, u.ID), authcore.ErrSessionNotFound)
	foreign, foreignToken := w.signIn(other, nil)
	w.is("anybody's, by the operator", revoke(foreign.ID, ""), nil)
	w.alive("by the operator", false, foreignToken)
}

func renewProof(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	root, token := w.signIn(u, nil)
	site, siteToken := w.child(root.ID, "app.example.com")
	_, staying := w.signIn(u, nil)
	later := w.now.Add(time.Hour)
	renew := func(id authcore.SessionID, by authcore.UserID, proven string) error {
		return w.db().RenewProof(w.Context(), id, by, hashOf(proven), later, w.event(authcore.UserConfirm, string(by)))
	}
	w.is("of another user", renew(root.ID, other.ID, "old"), authcore.ErrSessionNotFound)
	w.is("a site session by itself", renew(site.ID, u.ID, "old"), authcore.ErrSessionNotFound)
	w.is("with a password that was replaced", renew(root.ID, u.ID, "older"), authcore.ErrSessionNotFound)
	w.is("unknown", renew(authcore.NewSessionID(), u.ID, "old"), authcore.ErrSessionNotFound)
	w.changed()
	w.is("one's own", renew(root.ID, u.ID, "old"), nil)
	w.changed("session " + string(root.ID))
	for what, look := range map[string]struct {
		token authcore.TokenHash
		want  time.Time
	}{"root": {token, later}, "site": {siteToken, later}, "another": {staying, root.AuthTime}} {
		s, _, err := w.db().SessionByToken(w.Context(), look.token)
		w.must(err)
		w.same(what, look.want.UnixMicro(), s.AuthTime.UnixMicro())
	}
}

func revokeSessionsOf(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	kept, keptToken := w.signIn(u, nil)
	_, keptSite := w.child(kept.ID, "app.example.com")
	root, token := w.signIn(u, nil)
	_, site := w.child(root.ID, "app.example.com")
	_, bystander := w.signIn(other, nil)
	revoke := func(id authcore.UserID, keep authcore.SessionID, want int) {
		w.Helper()
		n, err := w.db().RevokeSessionsOf(w.Context(), id, keep, w.event(authcore.SessionRevoke, "all"))
		w.must(err)
		w.same("revoked", want, n)
	}
	revoke(u.ID, kept.ID, 1)
	w.alive("revoked", false, token, site)
	w.alive("kept", true, keptToken, keptSite, bystander)
	revoke(u.ID, "", 1)
	w.alive("all revoked", false, keptToken, keptSite)
	revoke(u.ID, "", 0)
	w.alive("of another", true, bystander)
	w.changed("user "+string(u.ID), "user "+string(u.ID), "user "+string(u.ID))
	_, err := w.db().RevokeSessionsOf(w.Context(), authcore.NewUserID(), "", w.event(authcore.SessionRevoke, "all"))
	w.is("of nobody", err, authcore.ErrUserNotFound)
}

func lastSeen(w *world) {
	u := w.add("alice", nil)
	root, token := w.signIn(u, nil)
	_, site := w.child(root.ID, "app.example.com")
	_, other := w.signIn(u, nil)
	seen := func(what string, token authcore.TokenHash, want time.Time) {
		w.Helper()
		s, _, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, s.LastSeen)
	}
	later := w.now.Add(time.Minute)
	w.must(w.db().TouchSessions(w.Context(), []authcore.Seen{{Session: root.ID, At: later}, {Session: authcore.NewSessionID(), At: later}}))
	w.must(w.db().TouchSessions(w.Context(), []authcore.Seen{{Session: root.ID, At: later.Add(-time.Second)}})) // an older one comes late
	w.must(w.db().TouchSessions(w.Context(), nil))
	seen("root", token, later)
	seen("site", site, later)
	seen("another", other, w.now)
	all, err := w.db().SessionsOf(w.Context(), u.ID, w.now)
	w.must(err)
	for _, s := range all {
		if want := map[bool]time.Time{true: later, false: w.now}[s.Root == root.ID]; !s.LastSeen.Equal(want) {
			w.Errorf("in the list: %+v", s)
		}
	}
	many := make([]authcore.Seen, 0, 1000)
	for range 1000 {
		many = append(many, authcore.Seen{Session: authcore.NewSessionID(), At: later})
	}
	w.must(w.db().TouchSessions(w.Context(), append(many, authcore.Seen{Session: root.ID, At: later.Add(time.Hour)})))
	seen("among many", token, later.Add(time.Hour))
}

// Changes have the database's time, whatever the node that makes one thinks.
func changesSince(w *world) {
	u := w.add("alice", nil)
	none, begin, err := w.db().ChangesSince(w.Context(), time.Time{})
	w.must(err)
	w.same("changes of the zero time", 0, len(none))
	var ids []string
	for i := range 5 {
		ev := w.event(authcore.PasswordChange, "")
		ev.Time = w.now.Add(time.Duration(i) * time.Hour)
		w.must(w.db().SetPassword(w.Context(), u.ID, hashOf(fmt.Sprint(i)), "", ev))
		ids = append(ids, ev.ID)
	}
	all, end, err := w.db().ChangesSince(w.Context(), begin)
	w.must(err)
	slices.SortFunc(all, func(a, b authcore.Change) int { return a.At.Compare(b.At) })
	for i, c := range all {
		w.same("change", authcore.Change{ID: ids[i], At: c.At, Kind: authcore.ChangeUser, Subject: string(u.ID)}, c)
		w.same("within the time", true, !c.At.Before(begin) && !c.At.After(end))
		later, _, err := w.db().ChangesSince(w.Context(), c.At)
		w.must(err)
		w.same(fmt.Sprint("since change ", i), true, len(later) >= len(ids)-i)
		later, _, err = w.db().ChangesSince(w.Context(), c.At.Add(time.Microsecond))
		w.must(err)
		w.same(fmt.Sprint("after change ", i), true, len(later) < len(ids)-i)
	}
	w.same("changes", len(ids), len(all))
	if n, _, err := w.db().ChangesSince(w.Context(), end.Add(time.Hour)); err != nil || len(n) != 0 {
		w.Errorf("of later: %v, %v", n, err)
	}
}

func deleteEnded(w *world) {
	u := w.add("alice", nil)
	root, fresh := w.signIn(u, nil)
	_, freshSite := w.child(root.ID, "app.example.com")
	ended, endedToken := w.signIn(u, nil)
	_, endedSite := w.child(ended.ID, "app.example.com")
	idle, idleToken := w.signIn(u, func(s *authcore.Session) { s.LastSeen = w.now.Add(-24*time.Hour - time.Microsecond) })
	_, idleSite := w.child(idle.ID, "app.example.com") // its own last-seen time says nothing
	_, notIdle := w.signIn(u, func(s *authcore.Session) { s.LastSeen = w.now.Add(-24 * time.Hour) })
	w.must(w.db().RevokeSession(w.Context(), ended.ID, "", w.event(authcore.SessionRevoke, "")))
	_, expired := w.signIn(u, func(s *authcore.Session) { s.ExpiresAt = w.now })
	good, old := w.handoff(root.ID, "wiki.example.net"), w.setupCode(0)

	_, more, err := w.db().DeleteEnded(w.Context(), w.now, w.now.Add(-24*time.Hour), "")
	w.must(err)
	w.same("more is left", false, more)
	w.alive("live", true, fresh, freshSite, notIdle)
	w.alive("ended", false, endedToken, endedSite, idleToken, idleSite, expired)
	w.changed("session " + string(ended.ID)) // other nodes have not read it yet
	valid, err := w.db().CodeValid(w.Context(), authcore.PurposeHandoff, good.Code, w.now)
	w.must(err)
	gone, err := w.db().CodeValid(w.Context(), authcore.PurposeSetup, old, w.now.Add(-time.Hour))
	w.must(err)
	w.same("codes", []bool{true, false}, []bool{valid, gone})

	_, _, err = w.db().DeleteEnded(w.Context(), time.Now().Add(2*time.Hour), w.now.Add(-24*time.Hour), "")
	w.must(err)
	w.changed("session " + string(ended.ID)) // a clock that is ahead deletes nothing that others have not read
	w.alive("past their end", false, fresh, freshSite, notIdle)
	got, _ := w.read(u.ID)
	w.same("the user", u, got)
}

func deleteInBatches(w *world) {
	const n = 620 // more than anybody should delete in one go
	u := w.add("alice", nil)
	_, staying := w.signIn(u, func(s *authcore.Session) { s.ExpiresAt = w.now.Add(100 * time.Hour) })
	var seen []authcore.TokenHash
	for i := range n {
		_, hash := authcore.NewToken()
		w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeInvite, CreatedAt: w.now, ExpiresAt: w.now}, nil))
		if i%100 == 0 {
			_, token := w.signIn(u, nil)
			seen = append(seen, token)
		}
	}
	rounds, after := 0, ""
	for more := true; more; rounds++ {
		var err error
		if after, more, err = w.db().DeleteEnded(w.Context(), w.now.Add(time.Hour), w.now.Add(-time.Hour), after); err != nil {
			w.Fatal(err)
		}
		if rounds > n {
			w.Fatal("there is always more")
		}
	}
	if rounds < 2 {
		w.Errorf("%d rows went in one transaction", n)
	}
	w.alive("ended", false, seen...)
	w.alive("live", true, staying)
}

// Roots that nobody used go with their children, however many there are, and
// one that was used meanwhile stays.
func deleteIdle(w *world) {
	u := w.add("alice", nil)
	old := w.now.Add(-time.Hour)
	var idle, used []authcore.TokenHash
	for i := range 20 {
		root, token := w.signIn(u, func(s *authcore.Session) {
			if i%2 == 0 {
				s.LastSeen = old
			}
		})
		_, site := w.child(root.ID, "app.example.com")
		if i%2 == 0 {
			idle = append(idle, token, site)
		} else {
			used = append(used, token, site)
		}
	}
	next, more, err := w.db().DeleteEnded(w.Context(), w.now, old.Add(time.Second), "")
	w.must(err)
	w.same("more is left", false, more)
	w.alive("idle", false, idle...)
	w.alive("used", true, used...)
	_, late := w.signIn(u, func(s *authcore.Session) { s.LastSeen = old })
	_, _, err = w.db().DeleteEnded(w.Context(), w.now, old.Add(time.Second), next)
	w.must(err)
	w.alive("before where it goes on", true, late)
}

func revokeEverything(w *world) {
	var tokens []authcore.TokenHash
	for i := range 3 {
		u := w.add(fmt.Sprint("user", i), nil)
		for range 2 {
			root, token := w.signIn(u, nil)
			_, site := w.child(root.ID, "app.example.com")
			tokens = append(tokens, token, site)
		}
	}
	later := w.add("late", nil)
	w.now = w.now.Add(time.Second)
	_, stays := w.signIn(later, nil)
	ev := w.event(authcore.SessionRevoke, "everybody")
	ev.Time = w.now.Add(-time.Millisecond)
	n, err := w.db().RevokeEverySession(w.Context(), ev)
	w.must(err)
	w.same("revoked", 6, n)
	w.alive("everybody's", false, tokens...)
	w.alive("of afterwards", true, stays)
	w.changed("all ")
}

func rootSessions(w *world) {
	alice, bob := w.add("alice", nil), w.add("bob", nil)
	var all, alices []authcore.SessionID
	for i := range 5 {
		s, _ := w.signIn(alice, nil)
		w.child(s.ID, "app.example.com")
		all, alices = append(all, s.ID), append(alices, s.ID)
		if i < 2 {
			s, _ = w.signIn(bob, nil)
			all = append(all, s.ID)
		}
	}
	w.signIn(alice, func(s *authcore.Session) { s.ExpiresAt = w.now })
	w.signIn(alice, func(s *authcore.Session) { s.LastSeen = w.now.Add(-time.Hour) })
	slices.Sort(all)
	slices.Sort(alices)
	for _, test := range []struct {
		user  authcore.UserID
		limit int
		want  []authcore.SessionID
	}{{"", 100, all}, {"", 2, all}, {alice.ID, 100, alices}, {alice.ID, 1, alices}, {authcore.NewUserID(), 10, nil}} {
		var got []authcore.SessionID
		for after := ""; ; {
			page, err := w.db().RootSessions(w.Context(), test.user, after, w.now, w.now.Add(-time.Hour), test.limit)
			w.must(err)
			for _, s := range page {
				after = string(s.ID)
				got = append(got, s.ID)
				if want := map[authcore.UserID]string{alice.ID: "alice", bob.ID: "bob"}[s.UserID]; s.Username != want {
					w.Errorf("username %q, want %q", s.Username, want)
				}
			}
			if len(page) < test.limit {
				break
			}
		}
		w.same(fmt.Sprintf("sessions of %q, %d at a time", test.user, test.limit), test.want, got)
	}
}
