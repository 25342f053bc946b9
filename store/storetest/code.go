package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var codeTests = map[string]func(*world){
	"code":            code,
	"hand-off":        handoff,
	"hand-off, wrong": handoffRefused,
}

func code(w *world) {
	_, hash := authcore.NewToken()
	ev := w.event(authcore.InvitationCreate, "")
	c := authcore.Code{Hash: hash, Purpose: authcore.PurposeInvite, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	w.must(w.db().CreateCode(w.Context(), c, &ev))
	for _, test := range []struct {
		name    string
		purpose authcore.Purpose
		hash    authcore.TokenHash
		after   time.Duration
		want    bool
	}{
		{"at once", authcore.PurposeInvite, hash, 0, true},
		{"again", authcore.PurposeInvite, hash, 0, true},
		{"at the last moment", authcore.PurposeInvite, hash, time.Hour - time.Microsecond, true},
		{"at its end", authcore.PurposeInvite, hash, time.Hour, false},
		{"for something else", authcore.PurposeSetup, hash, 0, false},
		{"unknown", authcore.PurposeInvite, authcore.TokenHash{}, 0, false},
	} {
		got, err := w.db().CodeValid(w.Context(), test.purpose, test.hash, w.now.Add(test.after))
		w.must(err)
		w.same(test.name, test.want, got)
	}
	w.happened("invitation.create ")
}

func handoff(w *world) {
	u := w.add("alice", nil)
	root, token := w.signIn(u, nil)
	w.must(w.db().TouchSessions(w.Context(), []authcore.Seen{{Session: root.ID, At: w.now.Add(time.Second)}}))
	h := w.handoff(root.ID, "app.example.com")
	_, siteToken := authcore.NewToken()
	site := authcore.Session{ID: authcore.NewSessionID(), Host: "app.example.com", CreatedAt: w.now, LastSeen: w.now, Address: "192.0.2.9", Agent: "Agent/2.0"}
	made, code, err := w.db().RedeemHandoff(w.Context(), h, site, siteToken, w.event(authcore.SessionCreate, "app.example.com"))
	w.must(err)
	w.same("where to return to", "/page?x=1&y=😀", code.Data)
	site.Root, site.UserID, site.AMR, site.AuthTime, site.ExpiresAt = root.ID, u.ID, root.AMR, root.AuthTime, root.ExpiresAt
	w.same("as it was made", site, made)
	got, user, err := w.db().SessionByToken(w.Context(), siteToken)
	w.must(err)
	site.LastSeen = w.now.Add(time.Second) // the root's
	w.same("as it is read", site, got)
	w.same("user", withoutTimes(u), user)
	if got.IsRoot() {
		w.Error("a site session is a root")
	}
	_, _, err = w.redeem(w.db(), h)
	w.is("a second time", err, authcore.ErrCodeInvalid)
	w.alive("both", true, token, siteToken)

	events, err := w.db().EventsAfter(w.Context(), "", 100)
	w.must(err)
	last := events[len(events)-1]
	w.same("actor", authcore.Actor{Kind: authcore.ActorUser, User: u.ID, Session: root.ID, Client: last.Actor.Client}, last.Actor)
	w.happened("user.create alice", "user.login alice", "session.create app.example.com")
}

func handoffRefused(w *world) {
	u := w.add("alice", nil)
	root, _ := w.signIn(u, nil)
	site, _ := w.child(root.ID, "app.example.com")
	short, _ := w.signIn(u, func(s *authcore.Session) { s.ExpiresAt = w.now.Add(time.Second) })
	_, invite := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: invite, Purpose: authcore.PurposeInvite, Session: root.ID, Host: "app.example.com",
		Browser: "browser", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	good := w.handoff(root.ID, "app.example.com")
	for _, test := range []struct {
		name string
		h    authcore.Handoff
		edit func(*authcore.Handoff)
	}{
		{"on another host", good, func(h *authcore.Handoff) { h.Host = "wiki.example.net" }},
		{"on a host in capitals", good, func(h *authcore.Handoff) { h.Host = "APP.example.com" }},
		{"in another browser", good, func(h *authcore.Handoff) { h.Browser = "Browser" }},
		{"in none", good, func(h *authcore.Handoff) { h.Browser = "" }},
		{"made up", good, func(h *authcore.Handoff) { h.Code[0] ^= 1 }},
		{"too late", good, func(h *authcore.Handoff) { h.Now = w.now.Add(time.Minute) }},
		{"an invitation", good, func(h *authcore.Handoff) { h.Code = invite }},
		{"of a site session", w.handoff(site.ID, "app.example.com"), nil},
		{"of a session that ended", w.handoff(short.ID, "app.example.com"), func(h *authcore.Handoff) { h.Now = w.now.Add(time.Second) }},
		{"of no session", w.handoff(authcore.NewSessionID(), "app.example.com"), nil},
	} {
		if test.edit != nil {
			test.edit(&test.h)
		}
		_, token, err := w.redeem(w.db(), test.h)
		w.is(test.name, err, authcore.ErrCodeInvalid)
		w.alive(test.name, false, token)
	}
	// None of that has used it up.
	_, _, err := w.redeem(w.db(), good)
	w.is("as it is", err, nil)
	w.happened("user.create alice", "user.login alice", "user.login alice", "session.create app.example.com", "session.create app.example.com")
}
