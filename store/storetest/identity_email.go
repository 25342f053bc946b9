package storetest

import (
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// signInTakesEmail: an address is whose who proved it, and a new user takes it from who
// never did.
func signInTakesEmail(w *world) {
	unverified := func(u *authcore.User) { u.EmailVerified = false }
	claims, verified, other := w.add("mallory", unverified), w.add("bob", nil), w.add("carol", unverified)
	_, token := w.signIn(claims, nil)
	w.now = w.now.Add(time.Minute)
	arrive := func(what, email string, from authcore.UserID, want error, edit func(*authcore.User)) authcore.User {
		w.Helper()
		in := w.newcomer("new-" + what)
		in.NewUser.Email, in.TakeEmailFrom = email, from
		if edit != nil {
			edit(in.NewUser)
		}
		w.is(what, w.db().SignInIdentity(w.Context(), in), want)
		w.alive(what, want == nil, in.Token)
		return *in.NewUser
	}
	is := func(what string, want authcore.User) {
		w.Helper()
		got, _ := w.read(want.ID)
		w.same(what, want, got)
	}
	capitals := strings.ToUpper(claims.Email)
	arrive("from-nobody", capitals, "", authcore.ErrEmailTaken, nil)
	arrive("from-another", capitals, other.ID, authcore.ErrEmailTaken, nil)
	arrive("from-who-is-not-there", capitals, authcore.NewUserID(), authcore.ErrEmailTaken, nil)
	arrive("verified", verified.Email, verified.ID, authcore.ErrEmailTaken, nil)
	arrive("a-name-that-is-taken", capitals, claims.ID, authcore.ErrUsernameTaken, func(u *authcore.User) { u.Username = "BOB" })
	for _, u := range []authcore.User{claims, verified, other} {
		is("as it was", u)
	}
	w.happened("user.create mallory", "user.create bob", "user.create carol", "user.login mallory")
	w.changed()

	is("takes it", arrive("takes-it", capitals, claims.ID, nil, nil))
	claims.Email, claims.UpdatedAt = "", w.now
	is("from whom it was taken", claims)
	w.alive("from whom it was taken", true, token)
	w.signIn(claims, nil)
	told, want := w.newest(authcore.UserUpdate), w.event(authcore.UserUpdate, authcore.TargetUser(claims.ID))
	want.ID, want.Details = told.ID, "the address, which was never verified, belongs to somebody else"
	w.same("told", want, told)
	w.must(w.db().SetEmail(w.Context(), other.ID, other.Email, w.event(authcore.UserUpdate, "carol")))
	arrive("verified-by-then", other.Email, other.ID, authcore.ErrEmailTaken, nil)
	other.EmailVerified, other.UpdatedAt = true, w.now
	is("verified by then", other)
	w.happened("user.create mallory", "user.create bob", "user.create carol", "user.login mallory", "user.update "+authcore.TargetUser(claims.ID),
		"user.create new-takes-it", "user.login new-takes-it", "user.login mallory", "user.update carol")
	w.changed("user "+string(claims.ID), "user "+string(other.ID))
}
