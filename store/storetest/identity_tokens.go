package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func identityLease(w *world) {
	u := w.add("alice", nil)
	i, second := w.link(u, "alice"), w.link(u, "second")
	i.Groups = nil
	lease := func(what string, id authcore.IdentityID, holder string, d time.Duration, want bool) {
		w.Helper()
		got, ok, err := w.db().LeaseIdentity(w.Context(), id, holder, d)
		w.must(err)
		w.same(what, want, ok)
		if id == i.ID {
			w.same(what+": the identity", i, got)
		}
	}
	lease("the first", i.ID, "a", time.Hour, true)
	lease("another", i.ID, "b", time.Hour, false)
	lease("once more", i.ID, "a", time.Hour, true)
	lease("another identity", second.ID, "b", time.Hour, true)
	w.must(w.db().DropIdentityLease(w.Context(), i.ID, "b")) // it is not b's
	lease("another, still", i.ID, "b", time.Hour, false)
	w.must(w.db().DropIdentityLease(w.Context(), i.ID, "a"))
	lease("another, now", i.ID, "b", time.Hour, true)
	lease("the first, now", i.ID, "a", time.Hour, false)
	lease("for less time", i.ID, "b", time.Millisecond, true) // and is not heard of again
	for ok := false; !ok; {
		var err error
		_, ok, err = w.db().LeaseIdentity(w.Context(), i.ID, "heir", time.Hour)
		w.must(err)
	}
	lease("who is heard of again", i.ID, "b", time.Hour, false)
	i.Tokens = "fresh"
	ok, err := w.db().RenewIdentity(w.Context(), i, w.event(authcore.UserGroups, ""))
	w.must(err)
	w.same("renewed", true, ok)
	i.Version = 2
	lease("another, after that", i.ID, "b", time.Hour, true)
	_, ok, err = w.db().LeaseIdentity(w.Context(), authcore.NewIdentityID(), "a", time.Hour)
	w.is("unknown", err, authcore.ErrIdentityNotFound)
	w.same("unknown", false, ok)
	w.must(w.db().DropIdentityLease(w.Context(), authcore.NewIdentityID(), "a"))
	w.happened("user.create alice", "identity.link alice", "identity.link second")
	w.changed("user "+string(u.ID), "user "+string(u.ID))
}

// renewIdentity: who comes with tokens of an older version has changed nothing.
func renewIdentity(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	i := w.link(u, "alice", "given")
	_, _, err := w.db().LeaseIdentity(w.Context(), i.ID, "holder", time.Hour)
	w.must(err)
	later := w.now.Add(time.Hour)
	renew := func(what string, version int64, want bool, edit func(*authcore.Identity)) {
		w.Helper()
		fresh := i
		fresh.Tokens, fresh.CheckedAt, fresh.Version, fresh.Groups = "fresh", later, version, []string{"fresh"}
		// What only a sign-in changes.
		fresh.Username, fresh.Email, fresh.Provider, fresh.UsedAt = "late", "late@example.net", "late", later
		if edit != nil {
			edit(&fresh)
		}
		got, err := w.db().RenewIdentity(w.Context(), fresh, w.event(authcore.UserLogin, what))
		w.must(err)
		w.same(what, want, got)
	}
	renew("older", 0, false, nil)
	renew("newer", 2, false, nil)
	renew("of another user", 1, false, func(i *authcore.Identity) { i.User = other.ID })
	renew("unknown", 1, false, func(i *authcore.Identity) { i.ID = authcore.NewIdentityID() })
	w.hasIdentity("as it was", i)
	w.inGroups("as they were", u, "given", "ops", "staff")
	_, ok, err := w.db().LeaseIdentity(w.Context(), i.ID, "another", time.Hour)
	w.must(err)
	w.same("the lease is over", false, ok)
	renew("right", 1, true, nil)
	i.Tokens, i.CheckedAt, i.Version = "fresh", later, 2
	w.hasIdentity("renewed", i)
	w.inGroups("renewed", u, "fresh", "ops", "staff")
	renew("again", 1, false, nil)
	w.arrive(u, i, nil)
	renew("signed in meanwhile", 2, false, nil)
	w.must(w.db().UnlinkIdentity(w.Context(), u.ID, i.ID, "", authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, "alice")))
	renew("unlinked meanwhile", 3, false, nil)
	w.inGroups("unlinked meanwhile", u, "ops", "staff")
	w.happened(append(gave(u, 3), "user.create alice", "user.create bob", "identity.link alice", "user.login alice", "identity.unlink alice")...)
}

// renewGroups: only what changes is told of.
func renewGroups(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice", "a", "b")
	w.link(u, "second", "c")
	want, changes := append(gave(u, 2), "user.create alice", "identity.link alice", "identity.link second"), 2
	renew := func(what string, given []string, changed bool, groups ...string) {
		w.Helper()
		i.Groups = given
		ok, err := w.db().RenewIdentity(w.Context(), i, w.event(authcore.UserLogin, what)) // says only who, and when
		w.must(err)
		w.same(what, true, ok)
		i.Version++
		w.inGroups(what, u, groups...)
		if changed {
			want, changes = append(want, gave(u, 1)...), changes+1
			w.gives(what, u, strings.Join(given, ","))
		}
		w.happened(slices.Clone(want)...)
		w.changed(slices.Repeat([]string{"user " + string(u.ID)}, changes)...)
	}
	renew("the same", []string{"b", "a"}, false, "a", "b", "c", "ops", "staff")
	renew("one goes", []string{"b"}, true, "b", "c", "ops", "staff")
	renew("one comes", []string{"b", "d"}, true, "b", "c", "d", "ops", "staff")
	renew("what the user has", []string{"b", "d", "ops"}, false, "b", "c", "d", "ops", "staff")
	renew("what another gives", []string{"b", "d", "c"}, false, "b", "c", "d", "ops", "staff")
	renew("all go", nil, true, "c", "ops", "staff")
	renew("none", []string{}, false, "c", "ops", "staff")
}

// keepTokens: tokens that were renewed are kept at once, before anything is known of
// the person.
func keepTokens(w *world) {
	u := w.add("alice", nil)
	i, second := w.link(u, "alice", "given"), w.link(u, "second")
	_, _, err := w.db().LeaseIdentity(w.Context(), i.ID, "holder", time.Hour)
	w.must(err)
	lease := func(what string, want bool) {
		w.Helper()
		_, ok, err := w.db().LeaseIdentity(w.Context(), i.ID, "another", time.Hour)
		w.must(err)
		w.same(what+": the lease is free", want, ok)
	}
	later := w.now.Add(time.Hour)
	w.must(w.db().KeepTokens(w.Context(), i.ID, 0, "late", later))
	w.must(w.db().KeepTokens(w.Context(), i.ID, 2, "late", later))
	w.must(w.db().KeepTokens(w.Context(), authcore.NewIdentityID(), 1, "late", later))
	w.hasIdentity("another version", i)
	lease("another version", false)
	w.must(w.db().KeepTokens(w.Context(), i.ID, 1, "fresh", later))
	i.Tokens, i.Version, i.CheckedAt = "fresh", 2, later
	w.hasIdentity("kept", i)
	w.hasIdentity("another identity", second)
	lease("kept", true)
	w.must(w.db().KeepTokens(w.Context(), i.ID, 1, "late", later))
	w.hasIdentity("again", i)
	w.inGroups("as they were", u, "given", "ops", "staff")
	w.happened(append(gave(u, 1), "user.create alice", "identity.link alice", "identity.link second")...)
	w.changed("user "+string(u.ID), "user "+string(u.ID))
}

func expelIdentity(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	i, second, foreign := w.link(u, "alice", "given", "ops"), w.link(u, "second", "by-second"), w.link(other, "bob", "given")
	root, token := w.arrive(u, i, nil)
	_, site := w.child(root.ID, "app.example.com")
	_, more := w.arrive(u, i, nil)
	_, bySecond := w.arrive(u, second, nil)
	_, byPassword := w.signIn(u, nil)
	_, others := w.arrive(other, foreign, nil)
	expel := func(what string, version int64, want int) {
		w.Helper()
		ev := w.event(authcore.IdentityExpel, what)
		ev.Details = strings.Repeat("d", 512) // what a provider says may be long
		n, err := w.db().ExpelIdentity(w.Context(), i.ID, version, authcore.Ways{Passwords: true, Passkeys: true}, ev)
		w.must(err)
		w.same(what, want, n)
	}
	i.Version = 3
	expel("an old version", 2, 0)
	w.alive("an old version", true, token, site, more)
	w.hasIdentity("an old version", i)
	w.inGroups("an old version", u, "by-second", "given", "ops", "staff")
	w.changed("user "+string(u.ID), "user "+string(u.ID), "user "+string(other.ID))
	expel("now", 3, 2)
	w.alive("expelled", false, token, site, more)
	w.alive("others", true, bySecond, byPassword, others)
	i.Tokens, i.Version = "", 4
	w.hasIdentity("expelled", i)
	w.inGroups("expelled", u, "by-second", "ops", "staff")
	w.inGroups("of another user", other, "given", "ops", "staff")
	details := w.newest(authcore.IdentityExpel).Details
	w.same("told", true, strings.HasPrefix(details, "dddd") && strings.HasSuffix(details, "; 2 sessions ended"))
	expel("again", 3, 0)
	expel("nothing left", 4, 0)
	_, err := w.db().ExpelIdentity(w.Context(), authcore.NewIdentityID(), 1, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityExpel, "unknown"))
	w.is("unknown", err, authcore.ErrIdentityNotFound)
	w.changed("user "+string(u.ID), "user "+string(u.ID), "user "+string(other.ID), "user "+string(u.ID), "user "+string(u.ID))
	_, back := w.arrive(u, i, nil) // the provider vouches for them again
	w.alive("vouched for again", true, back)
	w.inGroups("vouched for again", u, "by-second", "given", "ops", "staff")
	w.happened(append(append(gave(u, 3), gave(other, 1)...), "user.create alice", "user.create bob", "identity.link alice", "identity.link second", "identity.link bob",
		"user.login alice", "user.login alice", "user.login second", "user.login alice", "user.login bob", "session.create app.example.com", "identity.expel now",
		"identity.expel nothing left", "user.login alice")...)
}

// expelTokens: who has no other way in loses the access tokens too.
func expelTokens(w *world) {
	bystander := w.add("bob", nil)
	stays, staysHash := w.token(bystander, "of bob", nil)
	for name, test := range map[string]struct{ password, passwords, second, itself, want bool }{
		"password":              {password: true, passwords: true, want: true},
		"password-that-is-off":  {password: true},
		"second":                {second: true, want: true},
		"second-and-a-password": {password: true, passwords: true, second: true, want: true},
		"nothing":               {passwords: true},
		"the-identity-itself":   {itself: true, want: true},
	} {
		in := w.newcomer(name)
		w.must(w.db().SignInIdentity(w.Context(), in))
		u := *in.NewUser
		if test.password {
			w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("first"), in.Session.ID, w.event(authcore.PasswordChange, name)))
		}
		if test.second {
			w.link(u, "second of "+name)
		}
		token, hash := w.token(u, name, nil)
		expel := func(version int64, sessions int) {
			w.Helper()
			n, err := w.db().ExpelIdentity(w.Context(), in.Identity.ID, version, authcore.Ways{Passwords: test.passwords, Passkeys: true, Identity: test.itself}, w.event(authcore.IdentityExpel, name))
			w.must(err)
			w.same(name, sessions, n)
		}
		expel(0, 0)
		w.hasToken(name+": an old version", hash, &token, u)
		expel(1, 1)
		if test.want {
			w.hasToken(name, hash, &token, u)
		} else {
			w.hasToken(name, hash, nil, u)
		}
		w.hasToken(name+": of somebody else", staysHash, &stays, bystander)
	}
}
