package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func signInNew(w *world) {
	w.hasNone("before", "alice")
	in := w.newcomer("alice", "staff", "ops")
	w.must(w.db().SignInIdentity(w.Context(), in))
	u := *in.NewUser
	w.gives("given", u, "staff,ops")
	u.Groups = []string{"ops", "staff"}
	got, hash := w.read(u.ID)
	w.same("user", u, got)
	w.same("password", "", string(hash))
	w.hasIdentity("identity", in.Identity)
	w.identitiesOf("identities", u, in.Identity)
	w.identitiesOf("identities of nobody", w.user("bob"))

	s, got, err := w.db().SessionByToken(w.Context(), in.Token)
	w.must(err)
	w.same("session", in.Session, s)
	w.same("its user", withoutTimes(u), got)
	_, siteToken := w.child(s.ID, "app.example.com")
	site, _, err := w.db().SessionByToken(w.Context(), siteToken)
	w.must(err)
	w.same("of a site session", []string{string(s.Identity), s.Provider, ""}, []string{string(site.Identity), site.Provider, site.ProviderSession})
	all, err := w.db().SessionsOf(w.Context(), u.ID, w.now)
	w.must(err)
	w.same("sessions", true, len(all) == 2 && slices.ContainsFunc(all, func(s authcore.Session) bool { return s.ProviderSession == "session of alice" }))

	plain := w.newcomer("bob")
	plain.Identity.Tokens, plain.Identity.Username, plain.Identity.Email, plain.Session.ProviderSession = "", "", "", ""
	plain.NewUser.Email, plain.NewUser.EmailVerified = "", false
	w.must(w.db().SignInIdentity(w.Context(), plain))
	w.hasIdentity("with little", plain.Identity)
	w.alive("both", true, in.Token, plain.Token)
	w.happened(append(gave(u, 1), "user.create alice", "user.login alice", "session.create app.example.com", "user.create bob", "user.login bob")...)
	w.changed() // nobody knew them
}

// signInInvited: what is refused has used up neither the invitation nor the flow.
func signInInvited(w *world) {
	invite := func(purpose authcore.Purpose, life time.Duration) *authcore.TokenHash {
		_, hash := authcore.NewToken()
		w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: purpose, CreatedAt: w.now, ExpiresAt: w.now.Add(life)}, nil))
		return &hash
	}
	taken := w.add("taken", nil)
	good, alice, bob := invite(authcore.PurposeInvite, time.Hour), w.newcomer("alice"), w.newcomer("bob")
	arrive := func(what string, in authcore.IdentitySignIn, code *authcore.TokenHash, want error) {
		w.Helper()
		in.Invite = code
		w.is(what, w.db().SignInIdentity(w.Context(), in), want)
		w.alive(what, want == nil, in.Token)
		if want != nil {
			w.hasNone(what, in.Identity.Subject)
		}
	}
	arrive("at its end", alice, invite(authcore.PurposeInvite, 0), authcore.ErrInviteInvalid)
	arrive("a setup link", alice, invite(authcore.PurposeSetup, time.Hour), authcore.ErrInviteInvalid)
	arrive("nothing of the kind", alice, new(authcore.TokenHash), authcore.ErrInviteInvalid)
	name := w.newcomer("carol")
	name.NewUser.Username = "TAKEN"
	arrive("a name that is taken", name, good, authcore.ErrUsernameTaken)
	address := w.newcomer("carol")
	address.NewUser.Email = strings.ToUpper(taken.Email)
	arrive("an address that is taken", address, good, authcore.ErrEmailTaken)
	arrive("with the invitation", alice, good, nil)
	arrive("a second time", bob, good, authcore.ErrInviteInvalid)
	arrive("with none", bob, nil, nil)
	w.happened("user.create taken", "user.create alice", "user.login alice", "user.create bob", "user.login bob")
}

func signInSetup(w *world) {
	good, other, old := w.setupCode(time.Hour), w.setupCode(time.Hour), w.setupCode(0)
	arrive := func(what, name string, code authcore.TokenHash, want error) {
		w.Helper()
		in := w.newcomer(name)
		in.Setup, in.NewUser.Owner = &code, true
		in.Events[0] = w.event(authcore.SetupClose, name)
		w.is(what, w.db().SignInIdentity(w.Context(), in), want)
		w.alive(what, want == nil, in.Token)
		if want != nil {
			w.hasNone(what, name)
		}
	}
	arrive("with a link that is too old", "alice", old, authcore.ErrSetupToken)
	arrive("with a made-up link", "alice", authcore.TokenHash{1}, authcore.ErrSetupToken)
	w.setupIs(false, false)
	arrive("with the link", "alice", good, nil)
	w.setupIs(true, true)
	arrive("with the link again", "mallory", good, authcore.ErrSetupClosed)
	arrive("with another", "mallory", other, authcore.ErrSetupClosed)
	w.happened("setup.close alice", "user.login alice")
}

func signInWaiting(w *world) {
	in := w.newcomer("alice", "staff")
	in.NewUser.Status, in.Session, in.Token = authcore.Disabled, authcore.Session{}, authcore.TokenHash{}
	w.must(w.db().SignInIdentity(w.Context(), in))
	u := *in.NewUser
	u.Groups = []string{"staff"}
	got, _ := w.read(u.ID)
	w.same("who waits", u, got)
	w.hasIdentity("identity", in.Identity)
	w.alive("nobody", false, authcore.TokenHash{})
	all, err := w.db().SessionsOf(w.Context(), u.ID, w.now)
	w.must(err)
	w.same("sessions", 0, len(all))
	again := w.arrival(u, in.Identity)
	w.is("too early", w.db().SignInIdentity(w.Context(), again), authcore.ErrLoginFailed)
	w.alive("too early", false, again.Token)
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "alice")))
	w.is("let in", w.db().SignInIdentity(w.Context(), again), nil)
	w.alive("let in", true, again.Token)
	w.happened(append(gave(u, 1), "user.create alice", "user.login alice", "user.enable alice", "user.login alice")...)
}

func signInAgain(w *world) {
	u := w.add("alice", nil)
	i, second := w.link(u, "alice"), w.link(u, "second")
	_, first := w.arrive(u, i, nil)
	w.now = w.now.Add(time.Minute)
	fresh := w.identity(u, "alice")
	fresh.ID, fresh.Provider, fresh.Username, fresh.Email, fresh.Tokens, fresh.Version = i.ID, "renamed", "Other", "other@example.net", "fresh", 0
	w.arrive(u, fresh, nil)
	fresh.CreatedAt, fresh.Version = i.CreatedAt, 3
	w.hasIdentity("updated", fresh)
	w.hasIdentity("another", second)
	got, hash := w.read(u.ID)
	w.same("the user stays", u, got)
	w.same("the password stays", hashOf("old"), hash)
	fresh.Tokens = ""
	_, last := w.arrive(u, fresh, nil)
	fresh.Version = 4
	w.hasIdentity("without tokens", fresh)
	w.alive("all of them", true, first, last)
	w.happened("user.create alice", "identity.link alice", "identity.link second", "user.login alice", "user.login alice", "user.login alice")
	w.changed("user "+string(u.ID), "user "+string(u.ID)) // those of the links: nothing has changed since
}

// signInGroups: a provider takes what it gave, and nothing else.
func signInGroups(w *world) {
	u, other := w.add("alice", func(u *authcore.User) { u.Groups = []string{"own"} }), w.add("bob", nil)
	i := w.link(u, "alice", "a", "b")
	second := w.link(u, "second", "of-second")
	change := func(add, remove []string) {
		w.must(w.db().ChangeGroups(w.Context(), u.ID, add, remove, w.event(authcore.UserGroups, "")))
	}
	changes := 2
	arrive := func(what string, given []string, changed bool, want ...string) {
		w.Helper()
		i.Groups = given
		_, token := w.arrive(u, i, nil)
		_, got, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, got.Groups)
		if changed {
			changes++
			w.gives(what, u, strings.Join(given, ","))
		}
		w.changed(slices.Repeat([]string{"user " + string(u.ID)}, changes)...)
	}
	arrive("one goes, one comes", []string{"b", "c"}, true, "b", "c", "of-second", "own")
	arrive("the same", []string{"c", "b"}, false, "b", "c", "of-second", "own")
	arrive("one twice", []string{"c", "b", "b"}, false, "b", "c", "of-second", "own")
	arrive("what the user has", []string{"b", "c", "own", "of-second"}, false, "b", "c", "of-second", "own")
	arrive("and has still", []string{"b", "c"}, false, "b", "c", "of-second", "own")
	arrive("in capitals", []string{"B", "c"}, true, "B", "c", "of-second", "own")
	change([]string{"c", "new"}, nil) // from now on it is the owner's
	changes++
	arrive("none", nil, true, "c", "new", "of-second", "own")
	change(nil, []string{"c", "own"})
	changes++
	arrive("what somebody took", []string{"own"}, true, "new", "of-second", "own")
	second.Groups = nil
	w.arrive(u, second, nil)
	w.inGroups("of the other identity", u, "new", "own")
	w.gives("of the other identity", u, "")
	w.inGroups("of another user", other, "ops", "staff")
	w.happened(slices.Concat(gave(u, 2+4+1), slices.Repeat([]string{"user.login alice"}, 8), []string{"user.create alice", "user.create bob", "identity.link alice",
		"identity.link second", "user.login second", "user.groups ", "user.groups "})...)
}

// signInOnce: a second command with the same Once does nothing.
func signInOnce(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice", "given")
	in := w.arrival(u, i)
	w.must(w.db().SignInIdentity(w.Context(), in))
	i.Version = 2
	root := in.Session.ID
	again := w.arrival(u, i)
	again.Identity.Tokens, again.Identity.Groups = "late", []string{"late"}
	newcomer, ofAnother := w.newcomer("bob"), w.identity(u, "another", "late")
	confirm := again.Identity
	confirm.UsedAt = w.now.Add(time.Hour)
	for what, edit := range map[string]func(*authcore.Code){
		"as it was":        func(*authcore.Code) {},
		"by somebody else": func(c *authcore.Code) { c.Data = "by somebody else" },
		"later":            func(c *authcore.Code) { c.CreatedAt, c.ExpiresAt = w.now.Add(time.Hour), w.now.Add(2*time.Hour) },
		"for a sign-out":   func(c *authcore.Code) { c.Purpose = authcore.PurposeSignOut },
	} {
		once := in.Once
		edit(&once)
		again.Once, newcomer.Once = once, once
		w.is(what+": signed in", w.db().SignInIdentity(w.Context(), again), authcore.ErrCodeInvalid)
		w.is(what+": a new user", w.db().SignInIdentity(w.Context(), newcomer), authcore.ErrCodeInvalid)
		w.is(what+": linked", w.db().LinkIdentity(w.Context(), ofAnother, once, w.event(authcore.IdentityLink, "late")), authcore.ErrCodeInvalid)
		w.is(what+": confirmed", w.db().ConfirmIdentity(w.Context(), confirm, root, once, w.event(authcore.UserConfirm, "late")), authcore.ErrCodeInvalid)
		of, err := w.db().SignOutIdentity(w.Context(), authcore.SignOut{Provider: "corp", Issuer: issuer, Subject: "alice", Once: once}, w.event(authcore.UserLogout, "late"))
		w.is(what+": signed out", err, authcore.ErrCodeInvalid)
		w.same(what+": whose sessions ended", 0, len(of))
	}
	w.is("the very same command", w.db().SignInIdentity(w.Context(), in), authcore.ErrCodeInvalid)
	w.hasIdentity("as it was", i)
	w.inGroups("as they were", u, "given", "ops", "staff")
	w.hasNone("a new user", "bob")
	w.hasNone("linked", "another")
	s, _, err := w.db().SessionByToken(w.Context(), in.Token)
	w.must(err)
	w.same("the session", in.Session, s)
	w.alive("late", false, again.Token, newcomer.Token)
	w.happened(append(gave(u, 1), "user.create alice", "identity.link alice", "user.login alice")...)
	w.changed("user " + string(u.ID))
}

// signInRefused: and the same flow is good for another try.
func signInRefused(w *world) {
	alice, bob, disabled := w.add("alice", nil), w.add("bob", nil), w.add("carol", nil)
	i, unlinked, ofDisabled := w.link(alice, "alice", "given"), w.link(bob, "bob"), w.link(disabled, "carol")
	w.must(w.db().UnlinkIdentity(w.Context(), bob.ID, unlinked.ID, "", authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, "bob")))
	w.must(w.db().SetStatus(w.Context(), disabled.ID, authcore.Disabled, w.event(authcore.UserDisable, "carol")))
	foreign, taken := w.arrival(bob, i), w.arrival(bob, w.identity(bob, "alice", "taken"))
	foreign.Identity.User, foreign.Identity.Groups, taken.Link = bob.ID, []string{"taken"}, true
	newcomer := w.newcomer("dave")
	newcomer.Identity.Subject = "alice"
	nobody := w.user("nobody")
	for what, test := range map[string]struct {
		in   authcore.IdentitySignIn
		want error
	}{
		"a disabled user":              {w.arrival(disabled, ofDisabled), authcore.ErrLoginFailed},
		"an identity that is unlinked": {w.arrival(bob, unlinked), authcore.ErrLoginFailed},
		"an identity of another user":  {foreign, authcore.ErrLoginFailed},
		"a user who is not there":      {w.arrival(nobody, w.identity(nobody, "nobody")), authcore.ErrLoginFailed},
		"a link of what is taken":      {taken, authcore.ErrIdentityTaken},
		"a new user of what is taken":  {newcomer, authcore.ErrIdentityTaken},
	} {
		w.is(what, w.db().SignInIdentity(w.Context(), test.in), test.want)
		w.alive(what, false, test.in.Token)
		good := w.arrival(alice, i)
		good.Once = test.in.Once
		w.is(what+": afterwards", w.db().SignInIdentity(w.Context(), good), nil)
		i.Version++
	}
	w.hasIdentity("as it was", i)
	w.hasIdentity("of the disabled", ofDisabled)
	w.inGroups("of who was refused", bob, "ops", "staff")
	_, _, err := w.db().UserByLogin(w.Context(), "dave", false)
	w.is("who was refused", err, authcore.ErrUserNotFound)
	w.happened(slices.Concat(gave(alice, 1), slices.Repeat([]string{"user.login alice"}, 6), []string{"user.create alice", "user.create bob", "user.create carol",
		"identity.link alice", "identity.link bob", "identity.link carol", "identity.unlink bob", "user.disable carol"})...)
}

// accountsApart: issuers and subjects are compared byte by byte.
func accountsApart(w *world) {
	var all []authcore.Identity
	for n, account := range [][2]string{
		{issuer, "alice"}, {issuer, "ALICE"}, {issuer, "Alice"}, {issuer, "alice "}, {issuer, " alice"}, {issuer, "alice\t"}, {issuer, "alice\u00a0"},
		{issuer, "\u00e9"}, {issuer, "e\u0301"}, {issuer, "e"}, {issuer, "ß"}, {issuer, "ss"}, {issuer, "1"}, {issuer, "01"}, {issuer, "1 "},
		{issuer + "/", "alice"}, {issuer + " ", "alice"}, {strings.ToUpper(issuer), "alice"}, {issuer + "a", "lice"}, {"https://other.example.net", "alice"},
		{issuer, strings.Repeat("s", 255)}, {issuer, strings.Repeat("s", 254)},
	} {
		u := w.add(fmt.Sprint("user", n), nil)
		i := w.identity(u, account[1])
		i.Issuer, i.Username, i.Email = account[0], "", ""
		w.is(fmt.Sprintf("%q", account), w.db().LinkIdentity(w.Context(), i, w.once(authcore.PurposeConnect), w.event(authcore.IdentityLink, "")), nil)
		all = append(all, i)
	}
	for _, i := range all {
		w.hasIdentity(fmt.Sprintf("%q", i.Subject), i)
	}
	for _, subject := range []string{"", "aLICE", "alice  ", "E", "É", strings.Repeat("s", 253)} {
		w.hasNone(subject, subject)
	}
}
