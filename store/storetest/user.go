package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var userTests = map[string]func(*world){
	"create user":         createUser,
	"names are unique":    namesAreUnique,
	"users without email": usersWithoutEmail,
	"invitation":          invitation,
	"list users":          listUsers,
	"update profile":      updateProfile,
	"change groups":       changeGroups,
	"set password":        setPassword,
	"rehash":              rehash,
	"proof since":         proofSince,
}

func createUser(w *world) {
	u := w.add("Alice", func(u *authcore.User) { u.Owner = true })
	for how, find := range map[string]struct {
		key     string
		isEmail bool
	}{"username": {"alice", false}, "email": {"alice@example.com", true}} {
		got, hash, err := w.db().UserByLogin(w.Context(), find.key, find.isEmail)
		w.must(err)
		w.same("by "+how, u, got)
		w.same("hash by "+how, hashOf("old"), hash)
		_, _, err = w.db().UserByLogin(w.Context(), find.key, !find.isEmail)
		w.is("by "+how+" as the other", err, authcore.ErrUserNotFound)
	}
	got, hash := w.read(u.ID)
	w.same("by id", u, got)
	w.same("hash by id", hashOf("old"), hash)

	plain := w.user("bob")
	plain.EmailVerified, plain.Name, plain.Status, plain.Groups = false, "", authcore.Disabled, nil
	w.must(w.db().CreateUser(w.Context(), plain, "", nil, w.event(authcore.UserCreate, "bob")))
	got, hash = w.read(plain.ID)
	w.same("without anything", plain, got)
	w.same("without a password", "", string(hash))

	_, _, err := w.db().UserByLogin(w.Context(), "carol", false)
	w.is("unknown", err, authcore.ErrUserNotFound)
	_, _, err = w.db().UserByID(w.Context(), "")
	w.is("no id", err, authcore.ErrUserNotFound)
	w.happened("user.create Alice", "user.create bob")
	w.changed()
}

func namesAreUnique(w *world) {
	first := w.add("Ren\u00e9", nil)
	tests := []struct {
		name string
		edit func(*authcore.User)
		want error
	}{
		{"the same username", func(u *authcore.User) { u.Username = first.Username }, authcore.ErrUsernameTaken},
		{"in capitals", func(u *authcore.User) { u.Username = "REN\u00c9" }, authcore.ErrUsernameTaken},
		{"written with a combining accent", func(u *authcore.User) { u.Username = "rene\u0301" }, authcore.ErrUsernameTaken},
		{"in full width", func(u *authcore.User) { u.Username = "\uff32en\u00e9" }, authcore.ErrUsernameTaken},
		{"the same address", func(u *authcore.User) { u.Email = first.Email }, authcore.ErrEmailTaken},
		{"the same address in capitals", func(u *authcore.User) { u.Email = strings.ToUpper(first.Email) }, authcore.ErrEmailTaken},
		{"without the accent", func(u *authcore.User) { u.Username, u.Email = "rene", "rene@example.com" }, nil},
		{"with a trailing dot", func(u *authcore.User) { u.Username = "ren\u00e9." }, nil},
	}
	want := []string{"user.create René"}
	for i, test := range tests {
		u := w.user(fmt.Sprint("other", i))
		test.edit(&u)
		err := w.db().CreateUser(w.Context(), u, hashOf("old"), nil, w.event(authcore.UserCreate, test.name))
		w.is(test.name, err, test.want)
		if err == nil {
			want = append(want, "user.create "+test.name)
			continue
		}
		_, _, err = w.db().UserByID(w.Context(), u.ID)
		w.is(test.name+", afterwards", err, authcore.ErrUserNotFound)
		// Nothing is left of it that would stand in the way.
		u.Username, u.Email = fmt.Sprint("again", i), ""
		w.must(w.db().CreateUser(w.Context(), u, hashOf("old"), nil, w.event(authcore.UserCreate, u.Username)))
		want = append(want, "user.create "+u.Username)
	}
	w.happened(want...)
}

func usersWithoutEmail(w *world) {
	for _, name := range []string{"alice", "bob", "carol"} {
		u := w.add(name, func(u *authcore.User) { u.Email, u.EmailVerified = "", false })
		got, _ := w.read(u.ID)
		w.same(name, u, got)
	}
	_, _, err := w.db().UserByLogin(w.Context(), "", true)
	w.is("the empty address", err, authcore.ErrUserNotFound)
}

func invitation(w *world) {
	code := func(purpose authcore.Purpose, life time.Duration) *authcore.TokenHash {
		_, hash := authcore.NewToken()
		ev := w.event(authcore.InvitationCreate, "")
		w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: purpose, CreatedAt: w.now, ExpiresAt: w.now.Add(life)}, &ev))
		return &hash
	}
	register := func(name string, invite *authcore.TokenHash) error {
		u := w.user(name)
		u.Email = "new-" + u.Email
		return w.db().CreateUser(w.Context(), u, hashOf("old"), invite, w.event(authcore.UserCreate, name))
	}
	good := code(authcore.PurposeInvite, time.Hour)
	w.add("taken", nil)
	w.is("with a name that is taken", register("taken", good), authcore.ErrUsernameTaken)
	w.is("the invitation is still good", register("alice", good), nil)
	w.is("a second time", register("bob", good), authcore.ErrInviteInvalid)
	w.is("at its end", register("bob", code(authcore.PurposeInvite, 0)), authcore.ErrInviteInvalid)
	w.is("a setup link", register("bob", code(authcore.PurposeSetup, time.Hour)), authcore.ErrInviteInvalid)
	w.is("nothing of the kind", register("bob", new(authcore.TokenHash)), authcore.ErrInviteInvalid)
	_, _, err := w.db().UserByLogin(w.Context(), "bob", false)
	w.is("who was refused", err, authcore.ErrUserNotFound)
	w.happened("user.create taken", "user.create alice", "invitation.create ", "invitation.create ", "invitation.create ")
}

func listUsers(w *world) {
	var want []string
	for _, name := range []string{"delta", "Alpha", "charlie", "Bravo", "Éclair", "0zero"} {
		u := w.add(name, nil)
		want = append(want, authcore.UsernameKey(u.Username))
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 5, 6, 100} {
		var got []string
		for after := ""; ; {
			page, err := w.db().Users(w.Context(), after, limit)
			w.must(err)
			if len(page) > limit {
				w.Fatalf("%d users, the limit is %d", len(page), limit)
			}
			for _, u := range page {
				w.same("groups", []string{"ops", "staff"}, u.Groups)
				after = authcore.UsernameKey(u.Username)
				got = append(got, after)
			}
			if len(page) < limit {
				break
			}
		}
		w.same(fmt.Sprint("pages of ", limit), want, got)
	}
	none, err := w.db().Users(w.Context(), "", 0)
	w.must(err)
	w.same("a page of none", 0, len(none))
}

func updateProfile(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	w.now = w.now.Add(time.Second)
	// What should have happened is done to u as well.
	expect := func(what string, err, want error) {
		w.Helper()
		w.is(what, err, want)
		u.UpdatedAt = w.now
		got, hash := w.read(u.ID)
		w.same(what, u, got)
		w.same(what+": the password stays", hashOf("old"), hash)
	}
	profile := func(what, name, email string, verified bool, want error) {
		w.Helper()
		if want == nil {
			u.Name, u.Email, u.EmailVerified = name, email, verified
		}
		expect(what, w.db().UpdateProfile(w.Context(), u.ID, name, email, w.event(authcore.UserUpdate, what)), want)
	}
	address := func(what, email string, verified bool, want error) {
		w.Helper()
		if want == nil {
			u.Email, u.EmailVerified = email, verified
		}
		expect(what, w.db().SetEmail(w.Context(), u.ID, email, w.event(authcore.UserUpdate, what)), want)
	}
	profile("other case", "Another", "ALICE@example.com", true, nil)
	profile("all of it", "Another", "Another@example.net", false, nil)
	profile("the address of another", "Third", "BOB@example.com", false, authcore.ErrEmailTaken)
	address("vouched", "vouched@example.net", true, nil)
	address("the address of another", "BOB@example.com", true, authcore.ErrEmailTaken)
	profile("same address", "", "vouched@example.net", true, nil)
	profile("nothing left", "", "", false, nil)
	profile("nothing again", "", "", false, nil)
	address("one again", "alice@example.com", true, nil)
	address("none", "", false, nil)
	for what, err := range map[string]error{
		"profile": w.db().UpdateProfile(w.Context(), authcore.NewUserID(), "", "", w.event(authcore.UserUpdate, "")),
		"address": w.db().SetEmail(w.Context(), authcore.NewUserID(), "", w.event(authcore.UserUpdate, "")),
	} {
		w.is(what+" of nobody", err, authcore.ErrUserNotFound)
	}
	got, _ := w.read(other.ID)
	w.same("the other", other, got)
	w.happened("user.create alice", "user.create bob", "user.update other case", "user.update all of it", "user.update vouched",
		"user.update same address", "user.update nothing left", "user.update nothing again", "user.update one again", "user.update none")
	change := "user " + string(u.ID)
	w.changed(change, change, change, change, change, change, change, change)
}

func changeGroups(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	_, token := w.signIn(u, nil)
	for _, change := range []struct{ add, remove, want []string }{
		{[]string{"b", "a"}, []string{"ops", "staff"}, []string{"a", "b"}},
		{[]string{"a", "c"}, []string{"b"}, []string{"a", "c"}}, // one is there already
		{nil, []string{"nowhere"}, []string{"a", "c"}},
		{[]string{"d"}, []string{"d"}, []string{"a", "c"}},
		{nil, []string{"a", "c"}, nil},
		{[]string{"x/y:z@example.com", "gruppe-é"}, nil, []string{"gruppe-é", "x/y:z@example.com"}},
	} {
		w.must(w.db().ChangeGroups(w.Context(), u.ID, change.add, change.remove, w.event(authcore.UserGroups, "alice")))
		got, _ := w.read(u.ID)
		w.same(strings.Join(change.add, ","), change.want, got.Groups)
		_, got, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(strings.Join(change.add, ",")+" of the session", change.want, got.Groups)
	}
	got, _ := w.read(other.ID)
	w.same("the other", other, got)
	w.changed(slices.Repeat([]string{"user " + string(u.ID)}, 6)...)
	w.is("unknown", w.db().ChangeGroups(w.Context(), authcore.NewUserID(), []string{"a"}, nil, w.event(authcore.UserGroups, "")), authcore.ErrUserNotFound)
}

func setPassword(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	kept, keptToken := w.signIn(u, nil)
	_, keptSite := w.child(kept.ID, "app.example.com")
	ended, endedToken := w.signIn(u, nil)
	_, endedSite := w.child(ended.ID, "app.example.com")
	_, others := w.signIn(other, nil)
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("new"), kept.ID, w.event(authcore.PasswordChange, "alice")))
	_, hash := w.read(u.ID)
	w.same("hash", hashOf("new"), hash)
	w.alive("kept", true, keptToken, keptSite, others)
	w.alive("ended", false, endedToken, endedSite)
	w.changed("user " + string(u.ID))
	_, hash = w.read(other.ID)
	w.same("hash of the other", hashOf("old"), hash)

	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("newer"), "", w.event(authcore.PasswordChange, "alice")))
	w.alive("without one to keep", false, keptToken, keptSite)
	// To keep a session of somebody else keeps none of one's own.
	mine, myToken := w.session(u)
	w.must(w.db().CreateSession(w.Context(), mine, myToken, hashOf("newer"), w.event(authcore.UserLogin, "alice")))
	foreign, _ := w.signIn(other, nil)
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("newest"), foreign.ID, w.event(authcore.PasswordChange, "alice")))
	w.alive("with a foreign one to keep", false, myToken)

	without := w.user("carol")
	w.must(w.db().CreateUser(w.Context(), without, "", nil, w.event(authcore.UserCreate, "carol")))
	w.must(w.db().SetPassword(w.Context(), without.ID, hashOf("first"), "", w.event(authcore.PasswordChange, "carol")))
	_, hash = w.read(without.ID)
	w.same("first hash", hashOf("first"), hash)
	err := w.db().SetPassword(w.Context(), authcore.NewUserID(), hashOf("x"), "", w.event(authcore.PasswordChange, "unknown"))
	w.is("unknown", err, authcore.ErrUserNotFound)
}

func rehash(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	_, token := w.signIn(u, nil)
	w.must(w.db().Rehash(w.Context(), u.ID, hashOf("old"), hashOf("stronger")))
	_, hash := w.read(u.ID)
	w.same("hash", hashOf("stronger"), hash)
	w.alive("after a rehash", true, token)
	if err := w.db().Rehash(w.Context(), u.ID, hashOf("old"), hashOf("late")); err == nil {
		w.Error("a hash that is not the old one any more was replaced")
	}
	_, hash = w.read(u.ID)
	w.same("hash after that", hashOf("stronger"), hash)
	_, hash = w.read(other.ID)
	w.same("hash of the other", hashOf("old"), hash)
	w.changed()
}

// proofSince: what a device proved counts until the password changes or the
// sessions are all revoked, and nothing else ends it.
func proofSince(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	first := w.now
	since := func(what string, id authcore.UserID, want time.Time) {
		w.Helper()
		got, err := w.db().ProofSince(w.Context(), id)
		w.must(err)
		w.same(what, want, got)
	}
	since("as made", u.ID, first)
	w.now = w.now.Add(time.Second)
	root, _ := w.signIn(u, nil)
	w.must(w.db().Rehash(w.Context(), u.ID, hashOf("old"), hashOf("stronger")))
	w.must(w.db().UpdateProfile(w.Context(), u.ID, "Alice", "alice@example.com", w.event(authcore.UserUpdate, "alice")))
	w.must(w.db().RevokeSession(w.Context(), root.ID, u.ID, w.event(authcore.UserLogout, "alice")))
	since("after what ends nothing", u.ID, first)
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("new"), "", w.event(authcore.PasswordChange, "alice")))
	since("after a new password", u.ID, w.now)
	w.now = w.now.Add(time.Second)
	_, err := w.db().RevokeSessionsOf(w.Context(), u.ID, "", w.event(authcore.SessionRevoke, "all"))
	w.must(err)
	since("after all sessions were revoked", u.ID, w.now)
	since("of the other", other.ID, first)
	without := w.user("carol")
	w.must(w.db().CreateUser(w.Context(), without, "", nil, w.event(authcore.UserCreate, "carol")))
	since("without a password", without.ID, time.Time{})
	since("of nobody", authcore.NewUserID(), time.Time{})
}
