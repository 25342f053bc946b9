package storetest

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func linkIdentity(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	disabled := w.add("carol", func(u *authcore.User) { u.Status = authcore.Disabled })
	newest := w.link(u, "newest", "given", "ops")
	w.inGroups("given", u, "given", "ops", "staff")
	w.gives("given", u, "given,ops")
	w.now = w.now.Add(-time.Minute)
	oldest := w.link(u, "oldest")
	w.now = w.now.Add(time.Second)
	oldest2 := w.identity(u, "in between")
	once := w.once(authcore.PurposeConnect)
	link := func(what string, i authcore.Identity, once authcore.Code, want error) {
		w.Helper()
		w.is(what, w.db().LinkIdentity(w.Context(), i, once, w.event(authcore.IdentityLink, i.Subject)), want)
	}
	link("of somebody else", w.identity(other, "newest", "taken"), once, authcore.ErrIdentityTaken)
	link("one's own again", w.identity(u, "newest", "taken"), once, authcore.ErrIdentityTaken)
	link("to a disabled user", w.identity(disabled, "carol", "taken"), once, authcore.ErrLoginFailed)
	link("to nobody", w.identity(w.user("dave"), "dave", "taken"), once, authcore.ErrLoginFailed)
	link("the same flow is still good", oldest2, once, nil)
	link("and used then", w.identity(other, "bob"), once, authcore.ErrCodeInvalid)

	w.identitiesOf("the oldest first", u, oldest, oldest2, newest)
	w.identitiesOf("of the other", other)
	w.identitiesOf("of the disabled", disabled)
	w.hasIdentity("as it was", newest)
	for what, subject := range map[string]string{"disabled": "carol", "nobody": "dave", "used": "bob"} {
		w.hasNone(what, subject)
	}
	for _, v := range []authcore.User{other, disabled} {
		w.inGroups("of "+v.Username, v, "ops", "staff")
	}
	_, token := w.arrive(u, oldest, nil)
	w.alive("with what was linked", true, token)
	w.happened(append(gave(u, 1), "user.create alice", "user.create bob", "user.create carol", "identity.link newest", "identity.link oldest", "identity.link in between",
		"user.login oldest")...)
	w.now = w.now.Add(-time.Hour)
	w.changed(slices.Repeat([]string{"user " + string(u.ID)}, 3)...)
}

// proven checks when somebody last proved who they are in some sessions.
func (w *world) proven(what string, want time.Time, tokens ...authcore.TokenHash) {
	w.Helper()
	for _, token := range tokens {
		s, _, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, s.AuthTime)
	}
}

func confirmIdentity(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice", "before")
	root, token := w.arrive(u, i, nil)
	_, site := w.child(root.ID, "app.example.com")
	byPassword, passwordToken := w.signIn(u, nil)
	_, staying := w.arrive(u, i, nil)
	later := w.now.Add(time.Hour)
	i.UsedAt, i.CheckedAt, i.Tokens, i.Username, i.Email, i.Groups = later, later, "fresh", "Other", "other@example.net", []string{"after"}
	confirm := func(root authcore.SessionID) error {
		return w.db().ConfirmIdentity(w.Context(), i, root, w.once(authcore.PurposeConnect), w.event(authcore.UserConfirm, "alice"))
	}
	w.is("one's own", confirm(root.ID), nil)
	i.Version = 4 // two sign-ins and this
	w.hasIdentity("confirmed", i)
	w.inGroups("given", u, "after", "ops", "staff")
	w.gives("given", u, "after")
	w.proven("confirmed", later, token, site)
	w.proven("another", root.AuthTime, staying, passwordToken)
	w.is("of a sign-in with the password", confirm(byPassword.ID), nil)
	w.proven("of a sign-in with the password", later, passwordToken)
	w.happened(append(gave(u, 2), "user.create alice", "identity.link alice", "user.login alice", "user.login alice", "user.login alice",
		"session.create app.example.com", "user.confirm alice", "user.confirm alice")...)
	w.changed(slices.Repeat([]string{"user " + string(u.ID)}, 3)...)
}

func confirmRefused(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	i, foreign, unlinked := w.link(u, "alice"), w.link(other, "bob"), w.link(u, "unlinked")
	w.must(w.db().UnlinkIdentity(w.Context(), u.ID, unlinked.ID, "", authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, "")))
	root, token := w.arrive(u, i, nil)
	site, siteToken := w.child(root.ID, "app.example.com")
	others, othersToken := w.arrive(other, foreign, nil)
	ended, _ := w.arrive(u, i, nil)
	w.must(w.db().RevokeSession(w.Context(), ended.ID, u.ID, w.event(authcore.SessionRevoke, "")))
	i.Version, foreign.Version = 3, 2
	stolen := foreign
	stolen.User = u.ID
	once := w.once(authcore.PurposeConnect)
	refused := func(what string, i authcore.Identity, root authcore.SessionID) {
		w.Helper()
		i.UsedAt, i.CheckedAt, i.Tokens, i.Groups = w.now.Add(time.Hour), w.now.Add(time.Hour), "late", []string{"late"}
		w.is(what, w.db().ConfirmIdentity(w.Context(), i, root, once, w.event(authcore.UserConfirm, what)), authcore.ErrSessionNotFound)
	}
	refused("a session of another user", i, others.ID)
	refused("a site session by itself", i, site.ID)
	refused("a session that ended", i, ended.ID)
	refused("a session that is unknown", i, authcore.NewSessionID())
	refused("no session", i, "")
	refused("an identity that is unlinked", unlinked, root.ID)
	refused("an identity of another user", stolen, root.ID)
	refused("another user with theirs", foreign, root.ID)
	w.hasIdentity("as it was", i)
	w.hasIdentity("of the other, as it was", foreign)
	w.proven("as it was", root.AuthTime, token, siteToken, othersToken)
	w.is("the same flow is still good", w.db().ConfirmIdentity(w.Context(), i, root.ID, once, w.event(authcore.UserConfirm, "good")), nil)
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "")))
	once = w.once(authcore.PurposeConnect)
	refused("of a disabled user", i, root.ID)
	for _, v := range []authcore.User{u, other} {
		w.inGroups("of "+v.Username, v, "ops", "staff")
	}
	w.happened("user.create alice", "user.create bob", "identity.link alice", "identity.link bob", "identity.link unlinked", "identity.unlink ",
		"user.login alice", "session.create app.example.com", "user.login bob", "user.login alice", "session.revoke ", "user.confirm good", "user.disable ")
}

func unlinkIdentity(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	i, second, foreign := w.link(u, "one", "a", "ops"), w.link(u, "two", "b"), w.link(other, "bob", "a")
	kept, keptToken := w.arrive(u, i, nil)
	_, keptSite := w.child(kept.ID, "app.example.com")
	ended, endedToken := w.arrive(u, i, nil)
	_, endedSite := w.child(ended.ID, "app.example.com")
	_, bySecond := w.arrive(u, second, nil)
	_, byPassword := w.signIn(u, nil)
	_, others := w.arrive(other, foreign, nil)
	unlink := func(of authcore.User, id authcore.IdentityID, keep authcore.SessionID) error {
		return w.db().UnlinkIdentity(w.Context(), of.ID, id, keep, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, of.Username))
	}
	w.is("of another user", unlink(other, i.ID, ""), authcore.ErrIdentityNotFound)
	w.is("unknown", unlink(u, authcore.NewIdentityID(), ""), authcore.ErrIdentityNotFound)
	w.alive("after all that", true, keptToken, keptSite, endedToken, endedSite)
	w.is("one's own", unlink(u, i.ID, kept.ID), nil)
	w.alive("kept", true, keptToken, keptSite, bySecond, byPassword, others)
	w.alive("ended", false, endedToken, endedSite)
	w.hasNone("unlinked", "one")
	second.Version = 2
	w.identitiesOf("what is left", u, second)
	w.inGroups("what is left", u, "b", "ops", "staff")
	w.inGroups("of another user", other, "a", "ops", "staff")
	w.is("again", unlink(u, i.ID, kept.ID), authcore.ErrIdentityNotFound)
	w.is("with a foreign one to keep", unlink(other, foreign.ID, kept.ID), nil)
	w.alive("with a foreign one to keep", false, others)
	w.changed("user "+string(u.ID), "user "+string(u.ID), "user "+string(other.ID), "user "+string(u.ID), "user "+string(other.ID))
	w.link(other, "one") // whoever proves it may have it now
	w.happened(append(append(gave(u, 2), gave(other, 1)...), "user.create alice", "user.create bob", "identity.link one", "identity.link two", "identity.link bob",
		"user.login one", "user.login one", "user.login two", "user.login alice", "user.login bob", "session.create app.example.com", "session.create app.example.com",
		"identity.unlink alice", "identity.unlink bob", "identity.link one")...)
}

// unlinkKeeps: the session from which somebody unlinks an identity is not of it any more.
func unlinkKeeps(w *world) {
	u := w.add("alice", nil)
	first, second := w.link(u, "one"), w.link(u, "two")
	kept, token := w.arrive(u, first, nil)
	site, siteToken := w.child(kept.ID, "app.example.com")
	other, otherToken := w.arrive(u, second, nil)
	unlink := func(id authcore.IdentityID, keep authcore.SessionID) {
		w.Helper()
		w.must(w.db().UnlinkIdentity(w.Context(), u.ID, id, keep, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, "")))
	}
	has := func(what string, token authcore.TokenHash, want authcore.Session) {
		w.Helper()
		got, _, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, got)
	}
	has("of the identity", token, kept)
	w.same("a site session, of the identity", []string{string(first.ID), "corp"}, []string{string(site.Identity), site.Provider})
	unlink(first.ID, kept.ID)
	for _, s := range []*authcore.Session{&kept, &site} {
		s.Identity, s.Provider, s.ProviderSession = "", "", ""
	}
	has("kept", token, kept)
	has("kept, a site session", siteToken, site)
	has("of another identity", otherToken, other)
	w.signedOut("the account", authcore.SignOut{Subject: "one"})
	w.signedOut("the session", authcore.SignOut{Session: "session of one"})
	anew := w.link(u, "one")
	w.signedOut("the account, linked anew", authcore.SignOut{Subject: "one"})
	w.alive("signed out of what it is not of", true, token, siteToken, otherToken)
	unlink(anew.ID, other.ID)
	has("kept, of another identity", otherToken, other)
	unlink(second.ID, kept.ID)
	w.alive("kept, of no identity", true, token, siteToken)
	w.alive("of what was unlinked", false, otherToken)
}

// lastWayIn: nobody locks themselves out.
func lastWayIn(w *world) {
	in := w.newcomer("alice", "given")
	w.must(w.db().SignInIdentity(w.Context(), in))
	alice, bob := *in.NewUser, w.add("bob", nil)
	i := w.link(bob, "bob", "given")
	_, token := w.arrive(bob, i, nil)
	unlink := func(what string, i authcore.Identity, passwords bool, want error) {
		w.Helper()
		w.is(what, w.db().UnlinkIdentity(w.Context(), i.User, i.ID, "", authcore.Ways{Passwords: passwords, Passkeys: true}, w.event(authcore.IdentityUnlink, i.Subject)), want)
	}
	unlink("without a password", in.Identity, true, authcore.ErrLastWayIn)
	unlink("without anything", in.Identity, false, authcore.ErrLastWayIn)
	unlink("with a password that counts for nothing", i, false, authcore.ErrLastWayIn)
	w.alive("after that", true, in.Token, token)
	w.hasIdentity("after that", in.Identity)
	w.inGroups("after that", alice, "given")
	w.inGroups("after that", bob, "given", "ops", "staff")
	unlink("with a password", i, true, nil)
	second := w.link(alice, "second")
	unlink("with another identity", in.Identity, false, nil)
	unlink("and not that one", second, true, authcore.ErrLastWayIn)
	w.must(w.db().SetPassword(w.Context(), alice.ID, hashOf("first"), "", w.event(authcore.PasswordChange, "alice")))
	unlink("with a first password", second, true, nil)
	w.happened(append(append(gave(alice, 1), gave(bob, 1)...), "user.create alice", "user.login alice", "user.create bob", "identity.link bob", "user.login bob",
		"identity.unlink bob", "identity.link second", "identity.unlink alice", "password.change alice", "identity.unlink second")...)
}
